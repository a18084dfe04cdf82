/** Rows of the connection sheet about the gateway's own link to the cloud: what is sent, what waits, what the day cost. */
import type { UplinkStatus } from '@villagrid/contracts';
import { useEffect, useState } from 'preact/hooks';
import { bytesText, dayClockText, momentText, numberFormat } from '../i18n/format.js';
import { t } from '../i18n/messages.js';
import { useApp } from './context.js';

const patienceMs = 5000;
const askEveryMs = 10_000;

const decimal = (bytes: number) => numberFormat({ maximumFractionDigits: 1 }).format(bytes / 1_000_000);
/** Budget and use in one unit: "3.1 of 20 MB". */
const ofBudget = (used: number, budget: number): string =>
  t('sheet.uplink.of', {
    used: decimal(used),
    budget: decimal(budget),
  });

/** When history will be there, or why it waits. */
export function historyText(uplink: UplinkStatus, nowMs: number, zone: string): string {
  const { complete_at_ms: at, held, waiting_frames: waiting, waiting_since_ms: since } = uplink;
  if (held === 'link')
    return waiting === 0 || since === null
      ? t('sheet.uplink.down')
      : t('sheet.uplink.waits', { since: momentText(since, nowMs, zone) });
  if (at === null) return t(held === 'budget' ? 'sheet.uplink.never' : 'sheet.uplink.measuring');
  return at <= nowMs + 1000
    ? t('sheet.uplink.complete')
    : t(held === 'budget' ? 'sheet.uplink.budget' : 'sheet.uplink.by', { when: dayClockText(at, zone) });
}

export function UplinkRows({ gridId, zone }: { readonly gridId: string; readonly zone: string }) {
  const { api, state } = useApp();
  const [uplink, setUplink] = useState<UplinkStatus | null>(null);
  const step = Math.floor(state.nowMs.value / askEveryMs);
  useEffect(() => {
    let gone = false;
    api
      .ask(
        `/api/uplink/${gridId}`,
        patienceMs,
        (response) => response.json() as Promise<{ uplink: UplinkStatus | null }>,
      )
      .then(
        (answer) => void (gone || setUplink(answer.uplink)),
        // The other rows say that nobody answers.
        () => undefined,
      );
    return () => void (gone = true);
  }, [gridId, step]);
  if (uplink === null) return null;
  const nowMs = state.nowMs.value;
  return (
    <>
      <div>
        <dt>{t('sheet.uplink')}</dt>
        <dd>
          {t(`sheet.uplink.plan.${uplink.plan}`)}
          {uplink.boosted && (
            <>
              <br />
              {t('sheet.uplink.boosted')}
            </>
          )}
        </dd>
      </div>
      <div>
        <dt>{t('sheet.uplink.history')}</dt>
        <dd>{historyText(uplink, nowMs, zone)}</dd>
      </div>
      <div>
        <dt>{t('sheet.uplink.today')}</dt>
        <dd>
          {uplink.budget_bytes === null
            ? bytesText(uplink.used_bytes)
            : ofBudget(uplink.used_bytes, uplink.budget_bytes)}
        </dd>
      </div>
    </>
  );
}
