/** One alert as a row: symbol, short cause, equipment, since, who has seen it; what waits to be sent stays with it. */
import { agoText, durationText, momentText, sentenceStart } from '../../i18n/format.js';
import { wordsOf } from '../../i18n/alert-words.js';
import { isolated, t } from '../../i18n/messages.js';
import { paused } from '../../live/apply.js';
import type { Act, ShownAlert } from '../../local/acts.js';
import { useApp } from '../../ui/context.js';
import { Icon, Severity } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { useHeard } from '../../ui/shell.js';
import { alertValueText, presentValue } from './alert-value.js';

/** "since 13:58", or how long for a fresh one. */
export function sinceText(alert: ShownAlert, nowMs: number, zone: string): string {
  const age = nowMs - alert.raised_at_ms;
  if (age < 60_000) return t('age.justNow');
  return age < 3_600_000 ? durationText(age) : t('age.since', { when: momentText(alert.raised_at_ms, nowMs, zone) });
}

/** "Paused until 18:33", or undefined for an alert that is not paused. */
export function pausedText(alert: ShownAlert, nowMs: number, zone: string): string | undefined {
  return paused(alert, nowMs)
    ? t('alerts.pausedUntil', { when: momentText(alert.shelved_until_ms ?? nowMs, nowMs, zone) })
    : undefined;
}

/** Who has seen it, in a few words. */
export function seenText(alert: ShownAlert): string {
  if (alert.acknowledged) return t('alerts.seenBy', { name: alert.acknowledged_by?.name ?? t('event.somebody') });
  if (alert.status === 'resolved') return t('alerts.clearedNotSeen');
  return alert.seen ? t('alerts.seenBy', { name: alert.waiting[0]?.displayName ?? '' }) : t('alerts.notSeen');
}

/** What it is about in one line: "Kisima · Inverter 1: 68 °C, now 74 °C". */
function subjectText(alert: ShownAlert, value: string | undefined, gridName?: string): string {
  const device = [alert.device_name ?? undefined, value]
    .flatMap((part) => part ?? [])
    .map(isolated)
    .join(': ');
  // An isolated sentence of isolated parts would lose its direction.
  return [gridName === undefined ? '' : isolated(gridName), device].filter((part) => part !== '').join(' · ');
}

/** The event that an act will be. */
const actEvent = {
  acknowledge: 'event.acknowledged',
  note: 'event.noted',
  assign: 'event.assigned',
  shelve: 'event.shelved',
  unshelve: 'event.unshelved',
} as const;

/** An act in the words of a timeline: "Paused by Amina". */
export const actText = ({ type, displayName }: Act): string => t(actEvent[type], { name: displayName });

/** The acts of this phone that wait, one line each. */
export function WaitingActs({ alert, nowMs, zone }: { alert: ShownAlert; nowMs: number; zone: string }) {
  return (
    <>
      {alert.waiting.map((act) => {
        const when = momentText(act.occurredAtMs, nowMs, zone);
        const key =
          act.type !== 'acknowledge' && act.type !== 'note'
            ? 'alert.waiting.other'
            : act.type === 'note'
              ? 'alert.waiting.note'
              : act.note
                ? 'alert.waiting.acknowledgeNote'
                : 'alert.waiting.acknowledge';
        return (
          <p class="wait" key={act.id}>
            <Icon name="clock" />
            <span>{t(key, { when, note: act.note ?? '', what: actText(act) })}</span>
          </p>
        );
      })}
    </>
  );
}

export function AlertRow({
  alert,
  nowMs,
  zone,
  tinted = false,
  current = false,
  gridName,
}: {
  alert: ShownAlert;
  nowMs: number;
  zone: string;
  tinted?: boolean;
  current?: boolean;
  gridName?: string;
}) {
  const { views } = useApp().state;
  const present = presentValue(alert, views.value[alert.grid_id], nowMs, zone, useHeard());
  const where = subjectText(alert, alertValueText(alert, present, nowMs, zone), gridName);
  const open = alert.status === 'active';
  const pause = pausedText(alert, nowMs, zone);
  // A critical one stays as visible as it is, paused or not.
  const calm = pause !== undefined && alert.severity !== 'critical';
  const rest = open
    ? [sinceText(alert, nowMs, zone), pause ?? seenText(alert)]
    : [
        t('alerts.clearedAt', { when: agoText(alert.cleared_at_ms ?? alert.raised_at_ms, nowMs, zone) }),
        alert.acknowledged ? seenText(alert) : t('alerts.notSeen'),
      ];
  return (
    <div class={tinted ? `alert a-${calm ? 'paused' : alert.severity}` : `plain-alert ${open ? '' : 'cleared'}`}>
      <a
        class="row"
        href={links.alert(alert.grid_id, alert.alert_id)}
        {...(current ? { 'aria-current': 'true' as const } : {})}
      >
        <Severity severity={alert.severity} blink={open && !alert.seen && pause === undefined} label={false} />
        <span class="main">
          <span class="t">{sentenceStart(wordsOf(alert).message)}</span>
          {where !== '' && <span class="d">{where}</span>}
          <span class="d">
            <b>{t(`severity.${alert.severity}`)}</b> · {rest.join(' · ')}
          </span>
        </span>
        <Icon name="next" flip class="chev" />
      </a>
      {alert.waiting.length > 0 && (
        <div class="held">
          <WaitingActs alert={alert} nowMs={nowMs} zone={zone} />
        </div>
      )}
    </div>
  );
}
