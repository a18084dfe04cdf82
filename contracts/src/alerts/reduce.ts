/** The one function that turns a set of events into the alert. Same result for any order and any duplication. */
import { isAlertEventKind } from './check-event.js';
import type {
  Actor,
  AlertEvent,
  AlertSubject,
  AssignedEvent,
  LastKnownEvent,
  Severity,
  ShelvedEvent,
  SuppressedEvent,
  SuppressionReason,
} from './events.js';
import { compareSeverity } from './events.js';

/** One line of an alert's timeline. */
export interface TimelineEntry {
  readonly event_id: string;
  readonly kind: AlertEvent['kind'];
  readonly at_ms: number;
  readonly actor: Actor | null;
  readonly note: string | null;
  /** The other half of it: whom it was given to, the new severity, what it is kept back by. */
  readonly about: string | null;
  /** Of a pause: when it ends by itself, Unix ms. */
  readonly until_ms: number | null;
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
  /** How severe it was at first. */
  readonly raised_severity: Severity;
  readonly cleared_at_ms: number | null;
  readonly assignee: Actor | null;
  /** Until when it is shelved, if that end lies ahead; `shelvedAt` compares it with the present time. */
  readonly shelved_until_ms: number | null;
  readonly shelved_reason: string | null;
  /** The shelvings that nobody ended, also those whose time is over. */
  readonly shelvings: readonly Shelving[];
  /** What explains it, while that lasts: an alert above it or planned work. It wakes nobody then. */
  readonly suppressed_by: string | null;
  readonly suppressed_because: SuppressionReason | null;
  /** Since when its sensor is silent and it stays as last known; null while it is heard. */
  readonly last_known_since_ms: number | null;
  readonly notes: readonly AlertNote[];
  readonly timeline: readonly TimelineEntry[];
}

/** One pause of an alert. */
export interface Shelving {
  readonly event_id: string;
  readonly from_ms: number;
  readonly until_ms: number;
  readonly reason: string;
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
  'suppressed',
  'released',
  'last_known',
  'heard_again',
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
    if (known === event) continue;
    if (known === undefined || JSON.stringify(event) < JSON.stringify(known)) byId.set(event.id, event);
  }
  const sorted = [...byId.values()].sort(order);
  const raised = sorted.find((event) => event.kind === 'raised');
  if (raised?.kind !== 'raised') return undefined;

  let cleared: number | null = null;
  let severity: Severity = raised.subject.severity;
  let acknowledged: { actor: Actor; at: number } | undefined;
  const notes: AlertNote[] = [];
  // What ends or replaces something names it: so clocks that differ do not decide, and neither does the order of arrival.
  const over = new Set<string>();
  for (const event of sorted) for (const id of endedBy(event)) over.add(id);
  let assigned: AssignedEvent | undefined;
  let suppressed: SuppressedEvent | undefined;
  let silent: LastKnownEvent | undefined;
  let shelved: Shelving | undefined;
  const shelvings: Shelving[] = [];
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
        if (!over.has(event.id)) assigned = event;
        break;
      case 'suppressed':
        if (!over.has(event.id)) suppressed = event;
        break;
      case 'last_known':
        if (!over.has(event.id)) silent ??= event;
        break;
      case 'shelved': {
        if (over.has(event.id)) break;
        const one = shelvingOf(event);
        shelvings.push(one);
        if (shelved === undefined || one.until_ms > shelved.until_ms) shelved = one;
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
    raised_severity: raised.subject.severity,
    cleared_at_ms: cleared,
    assignee: assigned?.assignee ?? null,
    shelved_until_ms: shelved?.until_ms ?? null,
    shelved_reason: shelved?.reason ?? null,
    shelvings,
    suppressed_by: suppressed?.parent_id ?? null,
    suppressed_because: suppressed?.because ?? null,
    last_known_since_ms: silent?.at_ms ?? null,
    notes,
    timeline: sorted.map(entryOf),
  };
}

/** What an event ends or replaces, by the ids of these events. */
function endedBy(event: AlertEvent): readonly string[] {
  switch (event.kind) {
    case 'unshelved':
      return [event.shelve_event_id];
    case 'released':
      return [event.suppress_event_id];
    case 'heard_again':
      return [event.mark_event_id];
    case 'assigned':
      return event.replaces ?? [];
    default:
      return [];
  }
}

const shelvingOf = (event: ShelvedEvent): Shelving => ({
  event_id: event.id,
  from_ms: event.at_ms,
  until_ms: event.at_ms + Math.min(event.duration_ms, longestShelveMs),
  reason: event.reason,
});

function entryOf(event: AlertEvent): TimelineEntry {
  const { id, kind, at_ms, origin } = event;
  const base = { event_id: id, kind, at_ms, actor: 'actor' in event ? event.actor : null, origin };
  const entry = { ...base, note: null, about: null, until_ms: null };
  switch (event.kind) {
    case 'acknowledged':
    case 'noted':
      return { ...entry, note: event.note };
    case 'cleared':
      return { ...entry, note: event.note ?? null };
    case 'shelved':
      return { ...entry, note: event.reason, until_ms: shelvingOf(event).until_ms };
    case 'assigned':
      return { ...entry, about: event.assignee?.name ?? null };
    case 'severity_changed':
      return { ...entry, about: event.severity };
    case 'suppressed':
      return { ...entry, about: event.parent_id, note: event.because };
    default:
      return entry;
  }
}

/** How far ahead of ours another clock may be for its pauses to count, milliseconds. */
const clockToleranceMs = 600_000;

/**
 * The pause that is in force at a time; undefined when there is none. One that begins ahead of our clock does not count:
 * an alert that rings once too often is better than one that is silent for longer than a day.
 */
export function shelvedAt(alert: Pick<Alert, 'shelvings'>, nowMs: number): Shelving | undefined {
  return alert.shelvings
    .filter(({ from_ms, until_ms }) => until_ms > nowMs && from_ms <= nowMs + clockToleranceMs)
    .reduce<Shelving | undefined>(
      (best, one) => (best === undefined || one.until_ms > best.until_ms ? one : best),
      undefined,
    );
}

/** Whether an alert stands on its own: active, and not explained by another one or by planned work. */
export function standsAlone(alert: Pick<Alert, 'status' | 'suppressed_by'>): boolean {
  return alert.status === 'active' && alert.suppressed_by === null;
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
