/** When the gateway does not know the time: what it shows, and to who may, the offer to set it from this phone. */
import './clock-offer.css';
import { useState } from 'preact/hooks';
import type { Summary } from '@villagrid/contracts';
import { ApiFailure } from '../../origin/api.js';
import { momentText } from '../../i18n/format.js';
import { addTexts, t } from '../../i18n/messages.js';
import { clockDifference } from '../../ui/clock-notice.js';
import { useApp } from '../../ui/context.js';
import { clockTexts } from './texts.js';

addTexts(clockTexts);

/** Nothing while the clock is trusted, or when this is not the gateway itself. */
export function ClockOffer({ summary }: { summary: Summary }) {
  const app = useApp();
  const { offsetMs, nowMs, login } = app.state;
  const [state, setState] = useState<'idle' | 'sending'>('idle');
  const [refused, setRefused] = useState<string>();
  const { source, grid_id: gridId, zone } = summary;
  if (source.kind !== 'gateway' || (source.clock_trust !== 'floor' && source.clock_trust !== 'none')) return null;
  const off = clockDifference(offsetMs.value);
  const mayOffer = login.value !== null && login.value.role !== 'viewer';
  const offer = async () => {
    setState('sending');
    setRefused(undefined);
    try {
      const answer = await app.offerClock(gridId);
      if (!answer.taken) setRefused(answer.reason ?? t('clock.notTaken'));
    } catch (error) {
      setRefused(error instanceof ApiFailure && error.problem?.detail ? error.problem.detail : t('error.offline'));
    }
    setState('idle');
  };
  const phoneMs = nowMs.value - offsetMs.value;
  return (
    <section class="clock-offer" role="status" data-clock-offer>
      <p>
        {off === undefined
          ? t('notice.clockUncertain')
          : t('clock.wrong', { difference: off.difference, shown: momentText(nowMs.value, phoneMs, zone) })}
      </p>
      {mayOffer && (
        <button type="button" class="btn" disabled={state === 'sending'} onClick={() => void offer()}>
          {t('clock.set', { now: momentText(phoneMs, phoneMs, zone) })}
        </button>
      )}
      {refused !== undefined && <p>{refused}</p>}
    </section>
  );
}
