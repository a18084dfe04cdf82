/** Whether a document from outside is an alert event: checked where events come in, so that reducing them cannot fail. */
import { severities, type AlertEvent } from './events.js';

type Fields = Readonly<Record<string, unknown>>;

const isText = (value: unknown): boolean => typeof value === 'string';
const isNumber = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value);
const isRecord = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const orNull = (check: (value: unknown) => boolean) => (value: unknown) => value === null || check(value);
const isActor = (value: unknown): boolean => isRecord(value) && isText(value.user_id) && isText(value.name);
const isSeverity = (value: unknown): boolean => (severities as readonly unknown[]).includes(value);

const isSubject = (value: unknown): boolean =>
  isRecord(value) &&
  [value.rule_id, value.type, value.message, value.what, value.why].every(isText) &&
  isSeverity(value.severity) &&
  Array.isArray(value.steps) &&
  value.steps.every(isText) &&
  [value.device_id, value.device_name, value.metric, value.unit].every(orNull(isText)) &&
  [value.value, value.limit].every(orNull(isNumber));

/** What each kind carries beside the fields all have. */
const carries: Readonly<Record<AlertEvent['kind'], (event: Fields) => boolean>> = {
  raised: (event) => isSubject(event.subject),
  severity_changed: (event) => isSeverity(event.severity),
  cleared: (event) => orNull(isNumber)(event.value),
  acknowledged: (event) => isActor(event.actor) && orNull(isText)(event.note),
  noted: (event) => isActor(event.actor) && isText(event.note),
  assigned: (event) => isActor(event.actor) && orNull(isActor)(event.assignee),
  shelved: (event) => isActor(event.actor) && isText(event.reason) && isNumber(event.duration_ms),
  unshelved: (event) => isActor(event.actor) && isText(event.shelve_event_id),
};

/** True for a whole alert event of a known kind. Further fields are allowed. */
export function isAlertEvent(value: unknown): value is AlertEvent {
  return (
    isRecord(value) &&
    [value.id, value.alert_id, value.grid_id].every((text) => typeof text === 'string' && text !== '') &&
    isNumber(value.at_ms) &&
    isRecord(value.origin) &&
    (value.origin.kind === 'gateway' || value.origin.kind === 'cloud') &&
    isText(value.origin.id) &&
    typeof value.kind === 'string' &&
    Object.hasOwn(carries, value.kind) &&
    carries[value.kind as AlertEvent['kind']](value)
  );
}
