/** The connection sheet: which way the values come, how old the last answer is, what helps. */
import { useState } from 'preact/hooks';
import { agoText, momentText } from '../i18n/format.js';
import { addTexts, t } from '../i18n/messages.js';
import { clockDifference } from './clock-notice.js';
import { valid } from '../origin/roaming.js';
import { useApp } from './context.js';
import { Dialog } from '../features/dialog/dialog.js';
import { awaySinceMs } from './source.js';
import { WayRows } from './connection-sheet-ways.js';
import { UplinkRows } from './connection-sheet-uplink.js';
import { sheetTexts } from './connection-sheet-texts.js';

addTexts(sheetTexts);

export function ConnectionSheet() {
  const { state, tryNow } = useApp();
  const {
    sheetOpen,
    discovery,
    lastServer,
    channel,
    carrier,
    followed,
    views,
    nowMs,
    offsetMs,
    acts,
    gridsState,
    login,
  } = state;
  const [tries, setTries] = useState(0);
  const open = sheetOpen.value;
  if (!open) return null;
  const gridId = followed.value;
  const view = gridId === null ? undefined : views.value[gridId];
  const kind = discovery.value?.kind ?? lastServer.value.kind;
  const id = discovery.value?.server_id ?? lastServer.value.id;
  const zone = view?.summary.zone ?? 'UTC';
  const way =
    channel.value === 'idle' ? (valid(login.value) && gridsState.value === 'ok' ? 'polling' : 'idle') : channel.value;
  const heard = channel.value === 'live' || channel.value === 'polling';
  const away =
    !heard || view === undefined || view.summary.source.kind === 'gateway'
      ? null
      : awaySinceMs(view.summary, nowMs.value);
  const close = () => {
    sheetOpen.value = false;
  };
  const off = clockDifference(offsetMs.value);
  const waiting = acts.value.filter((act) => act.state === 'waiting').length;
  const reported = view?.summary.source.last_reported_ms ?? null;
  return (
    <Dialog open title={t('sheet.title')} onClose={close}>
      <dl class="facts">
        <div>
          <dt>{t('sheet.server')}</dt>
          <dd>
            {kind === null ? t('sheet.never') : t(`source.${kind}`)}
            {id !== null && ` ${id}`}
            <br />
            {location.host}
          </dd>
        </div>
        <div>
          <dt>{t('sheet.way')}</dt>
          <dd>
            {away === null
              ? t(way === 'live' && carrier.value === 'events' ? 'sheet.way.events' : `sheet.way.${way}`)
              : t('sheet.way.away', {
                  server: t(`source.${kind ?? 'cloud'}`),
                  when: momentText(away, nowMs.value, zone),
                })}
          </dd>
        </div>
        <div>
          <dt>{t('sheet.last')}</dt>
          <dd>{view === undefined ? t('sheet.never') : agoText(view.answeredAtMs, nowMs.value, zone)}</dd>
        </div>
        {reported !== null && (
          <div>
            <dt>{t('sheet.reported')}</dt>
            <dd>{momentText(reported, nowMs.value, zone)}</dd>
          </div>
        )}
        <div>
          <dt>{t('sheet.clock')}</dt>
          <dd>{off === undefined ? t('sheet.clock.same') : t('notice.clock', { ...off, server: kind ?? 'server' })}</dd>
        </div>
        {kind === 'gateway' && gridId !== null && <UplinkRows gridId={gridId} zone={zone} />}
        {waiting > 0 && (
          <div>
            <dt>{t('sheet.saved')}</dt>
            <dd>{t('more.waiting', { n: waiting })}</dd>
          </div>
        )}
      </dl>
      <WayRows zone={zone} tries={tries} />
      {(channel.value === 'down' || channel.value === 'connecting') && (
        <>
          <h3 class="h2 flush">{t('sheet.help.title')}</h3>
          <ul class="help">
            <li>{t('sheet.help.wifi')}</li>
            <li>{t('sheet.help.mobile')}</li>
          </ul>
        </>
      )}
      <button
        type="button"
        class="btn pri block"
        onClick={() => {
          tryNow();
          setTries(tries + 1);
        }}
      >
        {t('sheet.try')}
      </button>
    </Dialog>
  );
}
