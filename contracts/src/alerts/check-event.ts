/**
 * Whether a document from outside is an alert event: checked where events come in, so that reducing them cannot fail.
 * One table of forms; how long texts may be matters only where an event comes from another machine, because what is
 * in a log already must stay readable whatever is thought of its length later.
 */
import { severities, suppressionReasons, type AlertEvent, type UnknownAlertEvent } from './events.js';
import { isRecord } from '../json/record.js';

/** An event, or why it is none: the field and what is wrong with it. */
export type CheckedAlertEvent =
  | { readonly ok: true; readonly event: AlertEvent }
  | { readonly ok: false; readonly reason: string };

/** Checks a document from another machine: a whole event of a known kind, of this grid, within bounds. Further fields are kept. */
export function checkAlertEvent(value: unknown, gridId: string): CheckedAlertEvent {
  const reason = faultOf(value, true) ?? gridFault(value as AlertEvent, gridId);
  return reason === undefined ? { ok: true, event: value as AlertEvent } : { ok: false, reason };
}

/** True for a whole alert event of a known kind, of any length. Further fields are allowed. */
export function isAlertEvent(value: unknown): value is AlertEvent {
  return faultOf(value, false) === undefined;
}

/** True for an object that names a kind unknown here: an event of a newer program. A broken event of a known kind is none. */
export function isUnknownAlertEvent(value: unknown): value is UnknownAlertEvent {
  return isRecord(value) && typeof value.kind === 'string' && !isAlertEventKind(value.kind);
}

/** Whether this program knows the kind. */
export function isAlertEventKind(kind: string): kind is AlertEvent['kind'] {
  return Object.hasOwn(kinds, kind);
}

/** What is wrong with a value of this form, told with its path; undefined when nothing is. */
type Form = (value: unknown, path: string, bounded: boolean) => string | undefined;

const latestMs = 8.64e15;
const must = (right: boolean, path: string, be: string) => (right ? undefined : `${path} must be ${be}`);
/** Length in code points, as JSON Schema counts it. */
const longer = (text: string, than: number) => text.length > than && [...text].length > than;

const text =
  (most = 4000, least = 0): Form =>
  (value, path, bounded) => {
    if (typeof value !== 'string' || value.length < least)
      return must(false, path, least > 0 ? 'a text that is not empty' : 'a text');
    return must(!bounded || !longer(value, most), path, `at most ${most} characters`);
  };
const number =
  (least = -Number.MAX_VALUE, most = Number.MAX_VALUE): Form =>
  (value, path, bounded) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) return must(false, path, 'a number');
    return must(!bounded || (value >= least && value <= most), path, `from ${least} to ${most}`);
  };
const oneOf =
  (...values: readonly string[]): Form =>
  (value, path) =>
    must((values as readonly unknown[]).includes(value), path, `one of ${values.join(', ')}`);
const orNull =
  (form: Form): Form =>
  (value, path, bounded) =>
    value === null ? undefined : form(value, path, bounded);
const optional =
  (form: Form): Form =>
  (value, path, bounded) =>
    value === undefined ? undefined : form(value, path, bounded);
const truth: Form = (value, path) => must(typeof value === 'boolean', path, 'true or false');
const list =
  (form: Form, most: number): Form =>
  (value, path, bounded) => {
    if (!Array.isArray(value)) return must(false, path, 'a list');
    if (bounded && value.length > most) return must(false, path, `at most ${most} long`);
    return first(value.map((one, i) => form(one, `${path}/${i}`, bounded)));
  };
const record =
  (forms: Readonly<Record<string, Form>>): Form =>
  (value, path, bounded) => {
    if (!isRecord(value)) return must(false, path, 'an object');
    return first(Object.entries(forms).map(([name, form]) => form(value[name], `${path}/${name}`, bounded)));
  };
const first = (faults: ReadonlyArray<string | undefined>) => faults.find((fault) => fault !== undefined);

const id = text(64, 1);
const actor = record({ user_id: text(128), name: text(200) });
const severity = oneOf(...severities);
const base = {
  id,
  alert_id: id,
  grid_id: text(64, 1),
  at_ms: number(0, latestMs),
  origin: record({ kind: oneOf('gateway', 'cloud'), id: text(64) }),
};
const subject = record({
  rule_id: text(128),
  type: text(128),
  severity,
  message: text(),
  what: text(),
  why: text(),
  steps: list(text(), 50),
  said: optional(text()),
  device_id: orNull(text(64)),
  device_name: orNull(text(200)),
  metric: orNull(text(128)),
  value: orNull(number()),
  limit: orNull(number()),
  unit: orNull(text(32)),
});

const kind = (forms: Readonly<Record<string, Form>>) => record({ ...base, ...forms });
const kinds: Readonly<Record<AlertEvent['kind'], Form>> = {
  raised: kind({ subject }),
  severity_changed: kind({ severity }),
  cleared: kind({ value: orNull(number()), note: optional(text()) }),
  acknowledged: kind({ actor, note: orNull(text()) }),
  noted: kind({ actor, note: text() }),
  assigned: kind({ actor, assignee: orNull(actor), replaces: optional(list(id, 200)) }),
  shelved: kind({ actor, reason: text(), duration_ms: number(0) }),
  unshelved: kind({ actor, shelve_event_id: id }),
  suppressed: kind({ parent_id: id, because: oneOf(...suppressionReasons) }),
  released: kind({ suppress_event_id: id, told: truth }),
  last_known: kind({}),
  heard_again: kind({ mark_event_id: id }),
  maintenance_planned: kind({
    actor,
    reason: text(),
    device_ids: orNull(list(text(64, 1), 1000)),
    from_ms: number(0, latestMs),
    until_ms: number(0, latestMs),
  }),
  maintenance_ended: kind({ actor }),
  handed_over: kind({ actor, note: text(), replaces: list(id, 200) }),
};

function faultOf(value: unknown, bounded: boolean): string | undefined {
  if (!isRecord(value)) return 'an alert event that is no object';
  if (typeof value.kind !== 'string' || !isAlertEventKind(value.kind))
    return `alert event of unknown kind ${typeof value.kind === 'string' ? value.kind.slice(0, 40) : typeof value.kind}`;
  const fault = kinds[value.kind](value, '', bounded);
  return fault === undefined ? undefined : `alert event ${value.kind}${fault}`;
}

function gridFault({ grid_id }: AlertEvent, gridId: string): string | undefined {
  return grid_id === gridId ? undefined : `alert event of grid ${grid_id}, not of ${gridId}`;
}
