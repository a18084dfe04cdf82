/**
 * Alert events: immutable facts about one occurrence, each with an id born where it happens. The alert is what
 * `reduceAlert` makes of the set of its events, in any order and with duplicates.
 */

/** Severities, worst first. */
export const severities = ['critical', 'high', 'medium', 'low'] as const;
export type Severity = (typeof severities)[number];

/** Compares severities: negative when `a` is worse. */
export function compareSeverity(a: Severity, b: Severity): number {
  return severities.indexOf(a) - severities.indexOf(b);
}

/** The person behind an event, as they were named then. */
export interface Actor {
  readonly user_id: string;
  readonly name: string;
}

/** Where an event was born: a gateway, the cloud, or a phone (through either). */
export interface EventOrigin {
  readonly kind: 'gateway' | 'cloud';
  readonly id: string;
}

interface EventBase {
  /** Unique in the world; the same event may arrive many times. */
  readonly id: string;
  readonly alert_id: string;
  readonly grid_id: string;
  /** When it happened, Unix milliseconds by the clock of who says so; for show, never for order of merging. */
  readonly at_ms: number;
  readonly origin: EventOrigin;
}

/** What an alert is about. */
export interface AlertSubject {
  /** Rule that raised it, e.g. `high_equipment_temperature`. */
  readonly rule_id: string;
  /** Kind of trouble for machines, e.g. `high_equipment_temperature`. */
  readonly type: string;
  readonly severity: Severity;
  /** Plain message, e.g. "high temperature on equipment". */
  readonly message: string;
  /** One sentence with figures: what happened. */
  readonly what: string;
  readonly why: string;
  readonly steps: readonly string[];
  /** How long there is to do it, a sentence; left out where nobody said. */
  readonly how_long?: string;
  /** Affected device; null when it concerns the grid as a whole. */
  readonly device_id: string | null;
  readonly device_name: string | null;
  readonly metric: string | null;
  readonly value: number | null;
  readonly limit: number | null;
  readonly unit: string | null;
}

export interface RaisedEvent extends EventBase {
  readonly kind: 'raised';
  readonly subject: AlertSubject;
}
export interface SeverityChangedEvent extends EventBase {
  readonly kind: 'severity_changed';
  readonly severity: Severity;
}
export interface ClearedEvent extends EventBase {
  readonly kind: 'cleared';
  readonly value: number | null;
}
export interface AcknowledgedEvent extends EventBase {
  readonly kind: 'acknowledged';
  readonly actor: Actor;
  readonly note: string | null;
}
export interface NotedEvent extends EventBase {
  readonly kind: 'noted';
  readonly actor: Actor;
  readonly note: string;
}
export interface AssignedEvent extends EventBase {
  readonly kind: 'assigned';
  readonly actor: Actor;
  readonly assignee: Actor | null;
}
export interface ShelvedEvent extends EventBase {
  readonly kind: 'shelved';
  readonly actor: Actor;
  readonly reason: string;
  /** How long, at most 24 h, counted from `at_ms` of the side that received it. */
  readonly duration_ms: number;
}
export interface UnshelvedEvent extends EventBase {
  readonly kind: 'unshelved';
  readonly actor: Actor;
  /** The shelving it ends. */
  readonly shelve_event_id: string;
}

/** Any event of an alert. */
export type AlertEvent =
  | RaisedEvent
  | SeverityChangedEvent
  | ClearedEvent
  | AcknowledgedEvent
  | NotedEvent
  | AssignedEvent
  | ShelvedEvent
  | UnshelvedEvent;

/** An event of a kind that this program does not know, from a newer one: carried along as it is and otherwise ignored. */
export interface UnknownAlertEvent {
  readonly kind: string;
  readonly [field: string]: unknown;
}

/** Events that only the evaluating gateway may state; people's acts are the others. */
export const gatewayOnlyEvents: readonly AlertEvent['kind'][] = ['raised', 'severity_changed', 'cleared'];
