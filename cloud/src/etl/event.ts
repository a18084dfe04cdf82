/** Checks one alert event that came from outside, field by field. Pure. */
import { severities, type AlertEvent } from '@villagrid/contracts';
import { Type, type TSchema } from 'typebox';
import { Check, Errors } from 'typebox/value';

const id = Type.String({ minLength: 1, maxLength: 64 });
const time = Type.Number({ minimum: 0, maximum: 8.64e15 });
const text = (maxLength = 4000) => Type.String({ maxLength });
const nullable = (schema: TSchema) => Type.Union([schema, Type.Null()]);
const actor = Type.Object({ user_id: Type.String({ maxLength: 128 }), name: Type.String({ maxLength: 200 }) });
const base = {
  id,
  alert_id: id,
  grid_id: Type.String(),
  at_ms: time,
  origin: Type.Object({ kind: Type.Enum(['gateway', 'cloud']), id: Type.String({ maxLength: 64 }) }),
};
const severity = Type.Enum([...severities]);
const kind = <K extends AlertEvent['kind']>(name: K, fields: Record<string, TSchema>) =>
  Type.Object({ ...base, kind: Type.Literal(name), ...fields });

/** One schema per kind; fields beyond are kept, so that a newer gateway may say more. */
const schemas: Readonly<Record<AlertEvent['kind'], TSchema>> = {
  raised: kind('raised', {
    subject: Type.Object({
      rule_id: text(128),
      type: text(128),
      severity,
      message: text(),
      what: text(),
      why: text(),
      steps: Type.Array(text(), { maxItems: 50 }),
      device_id: nullable(text(64)),
      device_name: nullable(text(200)),
      metric: nullable(text(128)),
      value: nullable(Type.Number()),
      limit: nullable(Type.Number()),
      unit: nullable(text(32)),
    }),
  }),
  severity_changed: kind('severity_changed', { severity }),
  cleared: kind('cleared', { value: nullable(Type.Number()) }),
  acknowledged: kind('acknowledged', { actor, note: nullable(text()) }),
  noted: kind('noted', { actor, note: text() }),
  assigned: kind('assigned', { actor, assignee: nullable(actor) }),
  shelved: kind('shelved', { actor, reason: text(), duration_ms: Type.Number({ minimum: 0 }) }),
  unshelved: kind('unshelved', { actor, shelve_event_id: id }),
};

/** An event, or why it is none. */
export type CheckedEvent =
  | { readonly ok: true; readonly event: AlertEvent }
  | { readonly ok: false; readonly reason: string };

/** Checks that a value is an alert event of this grid. */
export function checkEvent(value: unknown, gridId: string): CheckedEvent {
  const found = value as { kind?: unknown; id?: unknown; grid_id?: unknown } | null;
  if (typeof found !== 'object' || found === null) return { ok: false, reason: 'an alert event that is no object' };
  if (typeof found.kind !== 'string' || !Object.hasOwn(schemas, found.kind))
    return { ok: false, reason: `alert event of unknown kind ${String(found.kind).slice(0, 40)}` };
  const schema = schemas[found.kind as AlertEvent['kind']];
  if (!Check(schema, value)) {
    const first = Errors(schema, value)[0];
    return {
      ok: false,
      reason: `alert event ${found.kind}${first?.instancePath ?? ''}: ${first?.message ?? 'invalid'}`,
    };
  }
  if (found.grid_id !== gridId)
    return { ok: false, reason: `alert event of grid ${String(found.grid_id).slice(0, 64)}, not of ${gridId}` };
  return { ok: true, event: value as AlertEvent };
}
