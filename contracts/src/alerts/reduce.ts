/** The one function that turns a set of events into the alert. Same result for any order and any duplication. */
import { isAlertEventKind } from './check-event.js';
import type { Actor, AlertEvent, AlertSubject, Severity } from './events.js';
import { compareSeverity } from './events.js';

/** One line of an alert's timeline. */
export interface TimelineEntry {
  readonly event_id: string;
  readonly kind: AlertEvent['kind'];
  readonly at_ms: number;
  readonly actor: Actor | null;
  readonly note: string | null;
  readonly origin: AlertEvent['origin'];
}

/** A note somebody wrote. */
export interface AlertNote {
  readonly event_id: string;
  readonly at_ms: number;
  readonly actor: Actor;
  readonly text: string;
}

/** One occurrence that needs a person. Active and acknowledged are two separate facts. */
export interface Alert extends AlertSubject {
  readonly alert_id: string;
  readonly grid_id: string;
  readonly status: 'active' | 'resolved';
  readonly acknowledged: boolean;
  /** Who is named first; all acknowledgements are in the timeline. */
  readonly acknowledged_by: Actor | null;
  readonly acknowledged_at_ms: number | null;
  /** True when the acknowledgement came after clearing. */
  readonly seen_after_clearing: boolean;
  readonly raised_at_ms: number;
  readonly cleared_at_ms: number | null;
  readonly assignee: Actor | null;
  /** Until when it is shelved, if that end lies ahead; compare with the present time. */
  readonly shelved_until_ms: number | null;
  readonly shelved_reason: string | null;
  readonly notes: readonly AlertNote[];
  readonly timeline: readonly TimelineEntry[];
}

/** Longest shelving, 24 h in milliseconds. */
export const longestShelveMs = 24 * 3600 * 1000;

/** A total order that does not depend on arrival: time, then kind, then id. */
function order(a: AlertEvent, b: AlertEvent): number {
  return (
    a.at_ms - b.at_ms ||
    kindOrder.indexOf(a.kind) - kindOrder.indexOf(b.kind) ||
    (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
  );
}
const kindOrder: readonly AlertEvent['kind'][] = [
  'raised',
  'severity_changed',
  'acknowledged',
  'noted',
  'assigned',
  'shelved',
  'unshelved',
  'cleared',
];

/**
 * Reduces the events of one alert. Undefined while no `raised` event is there yet (a person's act may arrive first and
 * is kept by the store until then). Events of kinds unknown here, which a newer program may have left, do not count.
 */
export function reduceAlert(events: Iterable<AlertEvent>): Alert | undefined {
  const byId = new Map<string, AlertEvent>();
  for (const event of events) {
    if (!isAlertEventKind(event.kind)) continue;
    const known = byId.get(event.id);
    // Two contents under one id cannot come from us; keep one by a rule that does not depend on order.
    if (known === undefined || JSON.stringify(event) < JSON.stringify(known)) byId.set(event.id, event);
  }
  const sorted = [...byId.values()].sort(order);
  const raised = sorted.find((event) => event.kind === 'raised');
  if (raised?.kind !== 'raised') return undefined;

  let cleared: number | null = null;
  let severity: Severity = raised.subject.severity;
  let acknowledged: { actor: Actor; at: number } | undefined;
  let assignee: Actor | null = null;
  const notes: AlertNote[] = [];
  const ended = new Set<string>();
  for (const event of sorted) if (event.kind === 'unshelved') ended.add(event.shelve_event_id);
  let shelvedUntil: number | null = null;
  let shelvedReason: string | null = null;
  for (const event of sorted) {
    switch (event.kind) {
      case 'severity_changed':
        severity = event.severity;
        break;
      case 'cleared':
        cleared ??= event.at_ms;
        break;
      case 'acknowledged':
        acknowledged ??= { actor: event.actor, at: event.at_ms };
        if (event.note !== null && event.note !== '')
          notes.push({ event_id: event.id, at_ms: event.at_ms, actor: event.actor, text: event.note });
        break;
      case 'noted':
        notes.push({ event_id: event.id, at_ms: event.at_ms, actor: event.actor, text: event.note });
        break;
      case 'assigned':
        assignee = event.assignee;
        break;
      case 'shelved': {
        const until = event.at_ms + Math.min(event.duration_ms, longestShelveMs);
        if (!ended.has(event.id) && (shelvedUntil === null || until > shelvedUntil)) {
          shelvedUntil = until;
          shelvedReason = event.reason;
        }
        break;
      }
      default:
        break;
    }
  }
  return {
    ...raised.subject,
    severity,
    alert_id: raised.alert_id,
    grid_id: raised.grid_id,
    status: cleared === null ? 'active' : 'resolved',
    acknowledged: acknowledged !== undefined,
    acknowledged_by: acknowledged?.actor ?? null,
    acknowledged_at_ms: acknowledged?.at ?? null,
    seen_after_clearing: acknowledged !== undefined && cleared !== null && acknowledged.at > cleared,
    raised_at_ms: raised.at_ms,
    cleared_at_ms: cleared,
    assignee,
    shelved_until_ms: shelvedUntil,
    shelved_reason: shelvedReason,
    notes,
    timeline: sorted.map((event) => ({
      event_id: event.id,
      kind: event.kind,
      at_ms: event.at_ms,
      actor: 'actor' in event ? event.actor : null,
      note:
        event.kind === 'acknowledged' || event.kind === 'noted'
          ? event.note
          : event.kind === 'shelved'
            ? event.reason
            : null,
      origin: event.origin,
    })),
  };
}

/** Order of a list: active first, of these the worst first and unacknowledged before acknowledged; then newest first. */
export function compareAlerts(a: Alert, b: Alert): number {
  const active = (alert: Alert) => (alert.status === 'active' ? 0 : 1);
  const seen = (alert: Alert) => (alert.acknowledged ? 1 : 0);
  return (
    active(a) - active(b) ||
    (a.status === 'active' ? compareSeverity(a.severity, b.severity) || seen(a) - seen(b) : 0) ||
    b.raised_at_ms - a.raised_at_ms ||
    (a.alert_id < b.alert_id ? -1 : a.alert_id > b.alert_id ? 1 : 0)
  );
}
