/** One alert: what happened, why it matters, what to do, the value against its limit, who did what. */
import './alerts.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import { agoText, durationText, momentText, sentenceStart, unbroken } from '../../i18n/format.js';
import { wordsOf } from '../../i18n/alert-words.js';
import { addTexts, isMessageKey, t } from '../../i18n/messages.js';
import { paused } from '../../live/apply.js';
import { withActs, type ShownAlert } from '../../local/acts.js';
import { settings } from '../../platform/platform.js';
import { useApp } from '../../ui/context.js';
import { Icon, Severity } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Dialog } from '../dialog/dialog.js';
import { Header, useHeard } from '../../ui/shell.js';
import { wide } from '../../ui/theme.js';
import { AlertFamily, GiveDialog, PauseDialog, StandingLines } from './alert-acts.js';
import { actText, pausedText, seenText, WaitingActs } from './alert-row.js';
import { alertValueText, presentValue, type Present } from './alert-value.js';
import { LimitChart } from './limit-chart.js';
import { useSeriesPresent } from './series-present.js';
import { alertTexts } from './texts.js';

addTexts(alertTexts);

/** Alerts whose sentence was made for the occasion, with times and names that no translation has. */
const wordedOnce = /^(out_of_the_ordinary|battery_will_be_empty|temperature_heads_over_limit)$/;

/** The screen of one alert on a phone. */
export function AlertScreen({ gridId, alertId }: { gridId: string; alertId: string }) {
  const app = useApp();
  useEffect(() => app.follow(gridId), [gridId, app]);
  const name = app.state.views.value[gridId]?.summary.name;
  return (
    <div class="screen alert-screen">
      <Header title={t('alert.title')} gridName={name} back={{ href: links.alerts(gridId), to: t('alerts.title') }} />
      <main id="content">
        <AlertDetail gridId={gridId} alertId={alertId} />
      </main>
    </div>
  );
}

/** What is known of one alert, and the bar with what can be done. */
export function AlertDetail({ gridId, alertId }: { gridId: string; alertId: string }) {
  const app = useApp();
  const { views, acts, nowMs, login } = app.state;
  const view = views.value[gridId];
  const found = view?.alerts.find((alert) => alert.alert_id === alertId);
  const [dialog, setDialog] = useState<'note' | 'pause' | 'give'>();
  const heard = useHeard();
  const zone = view?.summary.zone ?? 'UTC';
  const figure = found && presentValue(found, view, nowMs.value, zone, heard);
  const series = useSeriesPresent(found, heard && figure === undefined, zone);
  useEffect(() => {
    if (found === undefined) void app.refreshAlert(gridId, alertId);
  }, [found === undefined, app.state.channel.value]);
  if (found === undefined)
    return (
      <div class="empty">
        <p class="t">{t('alert.missing')}</p>
        <p>{t('alert.missingNext')}</p>
      </div>
    );
  const alert = withActs(found, acts.value);
  const words = wordsOf(found);
  const now = nowMs.value;
  const open = alert.status === 'active';
  const isPaused = paused(alert, now);
  const mayAct = login.value !== null && login.value.role !== 'viewer';
  const present = figure ?? series;
  const then = thenText(alert, present, now, zone);
  const waitingSeen = alert.waiting.some((act) => act.type === 'acknowledge');
  return (
    <article class="detail">
      <div class="detail-body">
        <p class="state">
          <Severity severity={alert.severity} blink={open && !alert.seen && !isPaused} label={false} />
          <span>
            <b>{t(`severity.${alert.severity}`)}</b> ·{' '}
            {open
              ? t('alert.sinceFor', {
                  when: momentText(alert.raised_at_ms, now, zone),
                  duration:
                    now - alert.raised_at_ms < 60_000 ? t('age.justNow') : durationText(now - alert.raised_at_ms),
                })
              : t('alert.lasted', {
                  from: momentText(alert.raised_at_ms, now, zone),
                  duration: durationText((alert.cleared_at_ms ?? now) - alert.raised_at_ms),
                })}
            <br />
            <StateLine alert={alert} nowMs={now} zone={zone} />
          </span>
        </p>
        <h2>{unbroken(sentenceStart(words.what || words.message))}</h2>
        {then !== undefined && <p class="then">{unbroken(then)}</p>}
        {words !== found && wordedOnce.test(found.rule_id) && (
          <p class="why" lang="en" dir="ltr">
            {unbroken(found.what)}
          </p>
        )}
        <p class="why">{unbroken(words.why)}</p>
        <StandingLines alert={alert} nowMs={now} zone={zone} />
        <AlertFamily alert={alert} all={view?.alerts ?? []} />
        {alert.refused.map((act) => (
          <div class="refused" key={act.id} role="status">
            <span>{t('alert.refused', { what: actText(act), reason: act.refusal ?? '' })}</span>
            <button type="button" class="btn quiet" onClick={() => void app.dismissAct(act.id)}>
              {t('alert.refused.dismiss')}
            </button>
          </div>
        ))}
        {alert.waiting.length > 0 && (
          <div class="waiting-box">
            <WaitingActs alert={alert} nowMs={now} zone={zone} />
          </div>
        )}
        {words.steps.length > 0 && (
          <section class="do" aria-labelledby={`do-${alertId}`}>
            <h3 class="h2 flush" id={`do-${alertId}`}>
              {t('alert.steps')}
            </h3>
            <ol>
              {words.steps.map((step, i) => (
                <li key={step}>
                  <span class="num" aria-hidden="true">
                    {i + 1}
                  </span>
                  <p>{step}</p>
                </li>
              ))}
            </ol>
          </section>
        )}
        <LimitChart alert={alert} zone={zone} />
        <section aria-labelledby={`tl-${alertId}`}>
          <h3 class="h2 flush" id={`tl-${alertId}`}>
            {t('alert.timeline')}
          </h3>
          <Timeline alert={alert} nowMs={now} zone={zone} />
        </section>
        {alert.device_id !== null && (
          <a class="row device-link" href={links.devices(gridId)}>
            <Icon name="chip" />
            <span class="main">
              <span class="t">{alert.device_name ?? alert.device_id}</span>
              <DeviceSeen gridId={gridId} deviceId={alert.device_id} />
            </span>
            <Icon name="next" flip class="chev" />
          </a>
        )}
        <details class="technician">
          <summary>{t('alert.details')}</summary>
          <dl class="facts">
            {(
              [
                ['alert.detail.rule', alert.rule_id],
                ['alert.detail.type', alert.type],
                ['alert.detail.device', alert.device_id],
                ['alert.detail.metric', alert.metric],
                ['alert.detail.value', alert.value === null ? null : `${alert.value} ${alert.unit ?? ''}`],
                ['alert.detail.limit', alert.limit === null ? null : `${alert.limit} ${alert.unit ?? ''}`],
                ['alert.detail.id', alert.alert_id],
              ] as const
            ).map(([key, value]) =>
              value === null ? null : (
                <div key={key}>
                  <dt>{t(key)}</dt>
                  <dd>
                    <bdi>{value}</bdi>
                  </dd>
                </div>
              ),
            )}
          </dl>
        </details>
      </div>
      {mayAct ? (
        <div class="act">
          <div>
            {!alert.seen ? (
              <button
                type="button"
                class="btn pri"
                onClick={() => void app.act({ alert, type: 'acknowledge', note: null })}
              >
                <Icon name="eye" />
                {t('alert.act.seen')}
              </button>
            ) : (
              <span class="btn done">
                <Icon name={waitingSeen ? 'clock' : 'check'} />
                {t('alert.act.alreadySeen')}
              </span>
            )}
            <button type="button" class="btn sub" onClick={() => setDialog('note')}>
              <Icon name="note" />
              {t('alert.act.note')}
            </button>
            <button type="button" class="btn sub" onClick={() => setDialog('give')}>
              <Icon name="person" />
              {t('alert.act.give')}
            </button>
            {open && (
              <button
                type="button"
                class="btn sub"
                onClick={() => (isPaused ? void app.act({ alert, type: 'unshelve', note: null }) : setDialog('pause'))}
              >
                <Icon name="clock" />
                {t(isPaused ? 'alert.act.resume' : 'alert.act.pause')}
              </button>
            )}
          </div>
        </div>
      ) : (
        <p class="note-line">{t('alert.readOnly')}</p>
      )}
      <NoteDialog
        alert={alert}
        value={alertValueText(alert, present, now, zone)}
        open={dialog === 'note'}
        onClose={() => setDialog(undefined)}
      />
      <PauseDialog alert={alert} open={dialog === 'pause'} onClose={() => setDialog(undefined)} />
      <GiveDialog alert={alert} open={dialog === 'give'} onClose={() => setDialog(undefined)} />
    </article>
  );
}

/** The sentence above speaks of the moment of raising: says so, and how it is now. */
function thenText(alert: ShownAlert, present: Present | undefined, nowMs: number, zone: string): string | undefined {
  if (alert.value === null || alert.metric === null) return undefined;
  const when = momentText(alert.raised_at_ms, nowMs, zone);
  return present === undefined
    ? t('alert.then', { when })
    : t('alert.thenNow', { then: when, when: present.when, now: present.value });
}

function StateLine({ alert, nowMs, zone }: { alert: ShownAlert; nowMs: number; zone: string }) {
  if (alert.status === 'resolved') {
    const when = momentText(alert.cleared_at_ms ?? alert.raised_at_ms, nowMs, zone);
    if (!alert.acknowledged) return <>{t('alert.clearedNotSeen', { when })}</>;
    const seen = alert.seen_after_clearing
      ? t('alerts.seenAfter')
      : t('alerts.seenBy', { name: alert.acknowledged_by?.name ?? t('event.somebody') });
    return <>{`${t('alert.cleared', { when })} · ${seen}`}</>;
  }
  const pause = pausedText(alert, nowMs, zone);
  if (pause !== undefined) return <>{alert.seen ? `${pause} · ${seenText(alert)}` : pause}</>;
  if (alert.acknowledged)
    return (
      <>
        {t('alert.seen', {
          name: alert.acknowledged_by?.name ?? t('event.somebody'),
          when: momentText(alert.acknowledged_at_ms ?? alert.raised_at_ms, nowMs, zone),
        })}
      </>
    );
  const own = alert.waiting.find((act) => act.type === 'acknowledge');
  return (
    <>
      {own === undefined
        ? t('alert.new')
        : t('alert.seen', { name: own.displayName, when: momentText(own.occurredAtMs, nowMs, zone) })}
    </>
  );
}

function Timeline({ alert, nowMs, zone }: { alert: ShownAlert; nowMs: number; zone: string }) {
  return (
    <ol class="tl">
      {alert.timeline.map((entry) => {
        const key = `event.${entry.kind}`;
        const given = entry.kind === 'assigned' ? (entry.about ?? null) : null;
        const name = entry.actor?.name ?? t('event.somebody');
        const words =
          given !== null
            ? t(given === name ? 'event.taken' : 'event.givenTo', { name, to: given })
            : isMessageKey(key)
              ? t(key, { name })
              : entry.kind;
        return (
          <li key={entry.event_id}>
            <time dateTime={new Date(entry.at_ms).toISOString()}>{momentText(entry.at_ms, nowMs, zone)}</time>
            <span class={`dot ${entry.kind === 'raised' || entry.kind === 'cleared' ? 'on' : ''}`} aria-hidden="true" />
            <span>
              {entry.kind === 'raised' || entry.kind === 'cleared' ? <b>{words}</b> : words}
              {entry.note !== null && entry.note !== '' && entry.kind !== 'suppressed' && (
                <>
                  {': '}
                  <q>{entry.note}</q>
                </>
              )}
            </span>
          </li>
        );
      })}
      {alert.waiting.map((act) => (
        <li key={act.id} class="pending">
          <time dateTime={new Date(act.occurredAtMs).toISOString()}>{momentText(act.occurredAtMs, nowMs, zone)}</time>
          <span class="dot clock" aria-hidden="true">
            <Icon name="clock" />
          </span>
          <span>
            {actText(act)}
            {act.note !== null && (
              <>
                {': '}
                <q>{act.note}</q>
              </>
            )}
          </span>
        </li>
      ))}
    </ol>
  );
}

function DeviceSeen({ gridId, deviceId }: { gridId: string; deviceId: string }) {
  const { views, nowMs } = useApp().state;
  const view = views.value[gridId];
  const device = view?.devices.find(({ device_id }) => device_id === deviceId);
  if (device === undefined) return null;
  const seen =
    device.last_seen_ms === null
      ? t('age.never')
      : t('devices.lastSeen', { when: agoText(device.last_seen_ms, nowMs.value, view?.summary.zone ?? 'UTC') });
  return <span class="d">{[device.location, seen].filter(Boolean).join(' · ')}</span>;
}

const quickWords = ['alert.note.quick1', 'alert.note.quick2', 'alert.note.quick3'] as const;

function NoteDialog({
  alert,
  value,
  open,
  onClose,
}: {
  alert: ShownAlert;
  value: string | undefined;
  open: boolean;
  onClose: () => void;
}) {
  const app = useApp();
  // A draft outlives a reload, a login and a phone that closes the app for want of memory.
  const draft = `draft.${alert.alert_id}`;
  const [text, setTextOnly] = useState(() => settings.get(draft) ?? '');
  const setText = (next: string) => {
    setTextOnly(next);
    settings.set(draft, next === '' ? null : next);
  };
  const area = useRef<HTMLTextAreaElement>(null);
  const send = (type: 'acknowledge' | 'note') => {
    const note = text.trim();
    if (note === '') {
      area.current?.focus();
      return;
    }
    void app.act({ alert, type, note });
    // Now there is something of the person's own to keep: the moment to ask the browser not to clear it.
    void navigator.storage?.persist?.().catch(() => undefined);
    setText('');
    onClose();
  };
  return (
    <Dialog open={open} title={t('alert.note.title')} onClose={onClose}>
      <form
        class="note-form"
        onSubmit={(event) => {
          event.preventDefault();
          send(alert.seen ? 'note' : 'acknowledge');
        }}
      >
        <p class="note-about">
          {[sentenceStart(wordsOf(alert).message), value].filter((part) => part !== undefined).join(': ')}
        </p>
        <label class="field">
          <span>{t('alert.note.label')}</span>
          <textarea
            ref={area}
            class="input"
            rows={3}
            maxLength={4000}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <div class="chips" role="group" aria-label={t('alert.note.quick')}>
          {quickWords.map((key) => (
            <button
              key={key}
              type="button"
              class="chip"
              onClick={() => setText(text === '' ? t(key) : `${text.trimEnd()} ${t(key)}`)}
            >
              {t(key)}
            </button>
          ))}
        </div>
        <div class="note-buttons">
          {!alert.seen && (
            <button type="submit" class="btn pri" disabled={text.trim() === ''}>
              <Icon name="eye" />
              {t('alert.act.seenWithNote')}
            </button>
          )}
          <button
            type="button"
            class={`btn ${alert.seen ? 'pri' : ''}`}
            disabled={text.trim() === ''}
            onClick={() => send('note')}
          >
            {t('alert.act.noteOnly')}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** True where the detail has its own place beside the list. */
export const detailBeside = () => wide.value;
