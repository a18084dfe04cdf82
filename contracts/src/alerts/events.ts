/**
 * Alert events: immutable facts about one occurrence, each with an id born where it happens. The alert is what
 * `reduceAlert` makes of the set of its events, in any order and with duplicates.
 */

/** Severities, worst first. */
export const severities = ['critical', 'high', 'medium', 'low'] as const;
export type Severity = (typeof severities)[number];

/** Rule id of the alert that stands for too many alerts at once. */
export const alertFloodRuleId = 'alert_flood';

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

/** Why an alert wakes nobody: the device, line or gateway above it is down; too many at once; work that was planned. */
export const suppressionReasons = ['parent', 'flood', 'maintenance'] as const;
export type SuppressionReason = (typeof suppressionReasons)[number];

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
  /** What the device itself says of its fault, in its maker's words; left out where it says nothing. */
  readonly said?: string;
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
  /** What was found out by then, in a sentence. */
  readonly note?: string;
}
/** Nobody is woken for it while something else stands that explains it. */
export interface SuppressedEvent extends EventBase {
  readonly kind: 'suppressed';
  /** The alert above it, or the planned work. */
  readonly parent_id: string;
  readonly because: SuppressionReason;
}
/** It outlived what kept it back, and speaks for itself again. */
export interface ReleasedEvent extends EventBase {
  readonly kind: 'released';
  /** The suppression it ends. */
  readonly suppress_event_id: string;
  /** Whether people are told of it now; false where an earlier message has told them. */
  readonly told: boolean;
}
/** Its sensor went silent: it stays as it was last known. */
export interface LastKnownEvent extends EventBase {
  readonly kind: 'last_known';
}
export interface HeardAgainEvent extends EventBase {
  readonly kind: 'heard_again';
  /** The mark it ends. */
  readonly mark_event_id: string;
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
  /** Null takes it back from whom it was given to. */
  readonly assignee: Actor | null;
  /** Earlier assignments that were known when it was given: these it replaces whatever clocks say. */
  readonly replaces?: readonly string[];
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

/** Work that is planned: what is raised meanwhile is recorded and wakes nobody. Its `alert_id` is its own. */
export interface MaintenancePlannedEvent extends EventBase {
  readonly kind: 'maintenance_planned';
  readonly actor: Actor;
  readonly reason: string;
  /** Devices that are worked on; null for the whole grid. */
  readonly device_ids: readonly string[] | null;
  /** Start, Unix ms. */
  readonly from_ms: number;
  /** When it ends by itself, Unix ms. */
  readonly until_ms: number;
}
/** The planned work of this `alert_id` is over before its time. */
export interface MaintenanceEndedEvent extends EventBase {
  readonly kind: 'maintenance_ended';
  readonly actor: Actor;
}
/** What one operator leaves to the next. Its `alert_id` is its own. */
export interface HandedOverEvent extends EventBase {
  readonly kind: 'handed_over';
  readonly actor: Actor;
  readonly note: string;
  /** Earlier notes that were known when it was written: these it replaces whatever clocks say. */
  readonly replaces: readonly string[];
}

/** Any event of an alert, or what people say of the grid as a whole: it travels, is kept and merges the same way. */
export type AlertEvent =
  | RaisedEvent
  | SeverityChangedEvent
  | ClearedEvent
  | AcknowledgedEvent
  | NotedEvent
  | AssignedEvent
  | ShelvedEvent
  | UnshelvedEvent
  | SuppressedEvent
  | ReleasedEvent
  | LastKnownEvent
  | HeardAgainEvent
  | GridRecord;

/** What people say of the grid as a whole. */
export type GridRecord = MaintenancePlannedEvent | MaintenanceEndedEvent | HandedOverEvent;

/** An event of a kind that this program does not know, from a newer one: carried along as it is and otherwise ignored. */
export interface UnknownAlertEvent {
  readonly kind: string;
  readonly [field: string]: unknown;
}

/** Events that only who evaluates may state; people's acts are the others. */
export const gatewayOnlyEvents: readonly AlertEvent['kind'][] = [
  'raised',
  'severity_changed',
  'cleared',
  'suppressed',
  'released',
  'last_known',
  'heard_again',
];

/** Whether an event is about the grid as a whole and not about an alert. */
export function isGridRecord(event: AlertEvent): event is GridRecord {
  return gridRecordKinds.includes(event.kind);
}
const gridRecordKinds: readonly AlertEvent['kind'][] = ['maintenance_planned', 'maintenance_ended', 'handed_over'];
