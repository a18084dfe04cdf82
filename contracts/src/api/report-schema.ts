/** The report of a grid as a document. */
import { Type, type Static, type TSchema } from 'typebox';
import { alertLoadSchema } from './grid-record-schema.js';
import { reportGroups } from '../metrics/report-figures.js';
import { interruptionCauses } from '../metrics/supply.js';

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const literals = <T extends string>(values: readonly T[]) => Type.Unsafe<T>(Type.Enum([...values]));
const time = (description: string) => Type.Number({ description: `${description}, Unix milliseconds` });

export const reportFigureSchema = Type.Object({
  id: Type.String(),
  group: literals(reportGroups),
  label: Type.String({ description: 'plain name' }),
  help: Type.String({ description: 'what it means, in one sentence' }),
  value: nullable(Type.Number({ description: 'null when it cannot be known' })),
  unit: Type.String(),
  completeness: Type.Number({ minimum: 0, maximum: 1, description: 'share of the period that was measured' }),
  low: nullable(Type.Number({ description: 'least the truth of a total may be; null for what is not a total' })),
  high: nullable(Type.Number({ description: 'most the truth of a total may be' })),
  basis: nullable(literals(['counter', 'integrated', 'mixed'])),
  estimate: Type.Boolean({ description: 'the value holds assumed parts' }),
  judgement: nullable(literals(['good', 'fair', 'poor'])),
});
export type ReportFigureView = Static<typeof reportFigureSchema>;

const energy = nullable(Type.Number());
export const reportRowSchema = Type.Object({
  from_ms: time('start'),
  to_ms: time('end'),
  completeness: Type.Number({ minimum: 0, maximum: 1 }),
  generation_kwh: energy,
  generation_low_kwh: energy,
  generation_high_kwh: energy,
  consumption_kwh: energy,
  consumption_low_kwh: energy,
  consumption_high_kwh: energy,
  battery_charge_kwh: energy,
  battery_discharge_kwh: energy,
  mains_import_kwh: energy,
  genset_kwh: energy,
  peak_load_kw: nullable(Type.Number()),
  battery_low_pct: nullable(Type.Number({ description: 'lowest charge' })),
  without_power_min: nullable(Type.Number()),
  unknown_min: nullable(Type.Number({ description: 'time that nothing is known of the supply' })),
});
export type ReportRow = Static<typeof reportRowSchema>;

export const reportSchema = Type.Object({
  grid_id: Type.String(),
  name: Type.String(),
  zone: Type.String(),
  now_ms: time('the server’s clock'),
  period: nullable(literals(['day', 'month', 'year'])),
  from_ms: time('start of the period'),
  to_ms: time('end of the period, may lie ahead'),
  since_ms: time('from when figures are made: the first measurement where it lies in the period'),
  until_ms: time('up to when figures are made: the last closed quarter hour'),
  completeness: Type.Number({ minimum: 0, maximum: 1, description: 'share of the time from since to until' }),
  state: Type.Unsafe<'well' | 'watch' | 'sick' | 'unknown'>(
    Type.Enum(['well', 'watch', 'sick', 'unknown'], { description: 'at first sight' }),
  ),
  findings: Type.Array(
    Type.Object({
      id: Type.String({ description: 'figure or channel it is about' }),
      severity: literals(['fair', 'poor']),
      text: Type.String(),
    }),
  ),
  figures: Type.Array(reportFigureSchema),
  rows_by: literals(['hour', 'day', 'month']),
  rows: Type.Array(reportRowSchema),
  interruptions: Type.Array(
    Type.Object({
      from_ms: time('start'),
      to_ms: time('end'),
      minutes: Type.Number({ description: 'known time without power' }),
      sustained: Type.Boolean({ description: 'longer than 5 minutes' }),
      cause: literals(interruptionCauses),
      starts_in_gap: Type.Boolean({ description: 'may have begun earlier: nothing is known of the time before' }),
      ends_in_gap: Type.Boolean(),
    }),
    { description: 'the newest 200' },
  ),
  alert_load: alertLoadSchema,
  minutes_by_cause: Type.Record(Type.String(), Type.Number()),
  battery_empty: nullable(
    Type.Object(
      {
        at_ms: nullable(time('expected')),
        earliest_ms: nullable(time('with much load')),
        latest_ms: nullable(time('with little load')),
      },
      { description: 'when the battery is empty at the load of the same hours of past days; null when not known' },
    ),
  ),
});
export type Report = Static<typeof reportSchema>;
