/** Documents of what people say of a grid as a whole, and of what its alerts ask of them. */
import { Type, type Static, type TSchema } from 'typebox';
import { severities } from '../alerts/events.js';

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const time = (description: string) => Type.Number({ description: `${description}, Unix milliseconds` });
const actor = Type.Object({ user_id: Type.String(), name: Type.String() });
const act = { act_id: Type.Optional(Type.String({ pattern: '^[0-9A-HJKMNP-TV-Z]{26}$' })) };

export const maintenanceSchema = Type.Object({
  maintenance_id: Type.String(),
  reason: Type.String(),
  device_ids: nullable(Type.Array(Type.String(), { description: 'what is worked on; null for the whole grid' })),
  from_ms: time('start'),
  until_ms: time('when it ends, or ended'),
  planned_by: actor,
  ended_by: nullable(actor),
  state: Type.Unsafe<'ahead' | 'now' | 'over'>(Type.Enum(['ahead', 'now', 'over'])),
});
export type MaintenanceView = Static<typeof maintenanceSchema>;

export const maintenanceListSchema = Type.Object({
  grid_id: Type.String(),
  now_ms: time('the server’s clock'),
  maintenance: Type.Array(maintenanceSchema, { description: 'by start, newest first; the newest 100' }),
});
export type MaintenanceList = Static<typeof maintenanceListSchema>;

export const planMaintenanceSchema = Type.Object({
  ...act,
  reason: Type.String({ minLength: 1, maxLength: 400 }),
  device_ids: Type.Optional(
    Type.Array(Type.String(), { minItems: 1, maxItems: 1000, description: 'the whole grid when left out' }),
  ),
  from_ms: Type.Optional(Type.Number({ minimum: 0, description: 'start, Unix milliseconds; now when left out' })),
  duration_s: Type.Number({ minimum: 60, maximum: 7 * 86_400, description: 'at most a week; it ends by itself' }),
});
export const endMaintenanceSchema = Type.Object({ ...act });

export const handOverSchema = Type.Object({
  grid_id: Type.String(),
  now_ms: time('the server’s clock'),
  notes: Type.Array(
    Type.Object({
      event_id: Type.String(),
      at_ms: time('when it was written'),
      actor,
      note: Type.String(),
      current: Type.Boolean({ description: 'false once somebody who knew it wrote a later one' }),
    }),
    { description: 'what is current first, then the newest; at most 100' },
  ),
});
export type HandOverView = Static<typeof handOverSchema>;
export const writeHandOverSchema = Type.Object({
  ...act,
  note: Type.String({ minLength: 1, maxLength: 4000 }),
  replaces: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
      maxItems: 200,
      description: 'notes (event ids) that were known; all that the server knows when left out',
    }),
  ),
});

const count = (description: string) => Type.Integer({ description });
export const alertLoadSchema = Type.Object(
  {
    from_ms: time('start'),
    to_ms: time('end, at most now'),
    days: Type.Number(),
    alerts: count('alerts that asked for somebody'),
    suppressed: count('further ones that another alert or planned work explained'),
    per_day: Type.Number({ description: 'a village bears 5; ISA-18.2 allows 150 where it is somebody’s only work' }),
    most_per_day: count('in the worst local day'),
    per_night: Type.Number({ description: 'between 22 and 6 o’clock; 1 is what people bear' }),
    peak_10_min: nullable(Type.Object({ count: Type.Integer(), from_ms: time('start of the worst ten minutes') })),
    flood_share: Type.Number({ description: 'share of the time with more than 10 within 10 minutes; ISA-18.2: 0.01' }),
    by_severity: Type.Object(
      Object.fromEntries(severities.map((one) => [one, Type.Integer()])) as Record<
        (typeof severities)[number],
        ReturnType<typeof Type.Integer>
      >,
    ),
    worst_rules: Type.Array(
      Type.Object({ rule_id: Type.String(), message: Type.String(), count: Type.Integer(), share: Type.Number() }),
    ),
    chattering: Type.Array(
      Type.Object({
        rule_id: Type.String(),
        message: Type.String(),
        device_name: nullable(Type.String()),
        count: Type.Integer(),
      }),
      { description: 'came and went three times within ten minutes' },
    ),
    standing: count('active now'),
    stale: count('active for more than a day; ISA-18.2: at most 5'),
    median_seen_ms: nullable(Type.Number({ description: 'until somebody had seen it' })),
    judgement: Type.Unsafe<'good' | 'fair' | 'poor'>(Type.Enum(['good', 'fair', 'poor'])),
  },
  { description: 'alerts against the figures of ISA-18.2 and what a village can bear' },
);
export const alertLoadAnswerSchema = Type.Object({
  grid_id: Type.String(),
  now_ms: time('the server’s clock'),
  load: alertLoadSchema,
});
