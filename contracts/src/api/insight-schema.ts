/** What the gateway finds out of the ordinary at a grid, and what it expects, as a document. */
import { Type, type Static, type TSchema } from 'typebox';

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const time = (description: string) => Type.Number({ description: `${description}, Unix milliseconds` });
const range = (description: string) => Type.Object({ low: Type.Number(), high: Type.Number() }, { description });

const trackSchema = Type.Object(
  {
    scored: Type.Integer({ description: 'forecasts whose time has come' }),
    interval_held_pct: nullable(Type.Number({ description: 'how often the interval held what happened; 80 is meant' })),
    error: nullable(Type.Number({ description: 'mean absolute error' })),
    simple_error: nullable(Type.Number({ description: 'that of the simple way to tell' })),
  },
  { description: 'how good such forecasts were here' },
);

export const anomalySchema = Type.Object({
  since_ms: time('start of the first window that was odd'),
  until_ms: nullable(time('when it was over; null while it lasts')),
  score: Type.Number({ description: 'worst deviation in usual deviations; 4 is the limit' }),
  headline: Type.String(),
  why: Type.String(),
  steps: Type.Array(Type.String()),
  inputs: Type.Array(
    Type.Object({
      device_id: Type.String(),
      device_name: Type.String(),
      metric: Type.String(),
      kind: Type.Union([Type.Literal('off'), Type.Literal('silent'), Type.Literal('stuck')]),
      share: Type.Number({ description: 'part of the blame, 0 to 1; all add up to 1' }),
      value: nullable(Type.Number({ description: 'its mean in the quarter of an hour' })),
      expected: nullable(range('where it would fit with everything else')),
      usual: nullable(
        Type.Object({ low: Type.Number(), middle: Type.Number(), high: Type.Number(), days: Type.Integer() }),
      ),
      against: Type.Array(Type.String(), { description: 'what it was held against' }),
    }),
  ),
  silenced_by: nullable(
    Type.Object(
      {
        from: Type.Number(),
        to: Type.Number(),
        whole: Type.Boolean({ description: 'whether nothing at all would have been said, or only less' }),
      },
      { description: 'the smallest change of the first input that would have kept it silent' },
    ),
  ),
});

export const insightSchema = Type.Object({
  grid_id: Type.String(),
  until_ms: nullable(time('end of the newest quarter of an hour that was looked at')),
  learnt_days: Type.Integer({
    description: 'days that are known of the usual course, of each at least half; below 5 little can be said',
  }),
  behind: Type.Boolean({ description: 'history is still being read' }),
  anomaly: nullable(anomalySchema),
  recent: Type.Array(anomalySchema, { description: 'the last ones, newest first' }),
  battery: nullable(
    Type.Object({
      made_at_ms: time('when it was made'),
      soc_pct: Type.Number(),
      floor_pct: Type.Number(),
      empty_at_ms: nullable(time('when the battery reaches its floor; null when not within two days')),
      earliest_ms: nullable(time('start of the interval that holds four in five')),
      latest_ms: nullable(time('its end; null when it may not get empty within two days')),
      chance: Type.Number({ description: 'share of the courses that get empty within a day, 0 to 1' }),
      morning_ms: time('the next 6 o’clock'),
      morning_pct: Type.Object({ low: Type.Number(), middle: Type.Number(), high: Type.Number() }),
      days: Type.Integer({ description: 'days of the site that it was made from' }),
      usable_kwh: nullable(Type.Number({ description: 'what the battery gives from full to its floor, as learnt' })),
    }),
  ),
  battery_track: Type.Object({ empty_hours: trackSchema, morning_points: trackSchema }),
  temperatures: Type.Array(
    Type.Object({
      device_id: Type.String(),
      metric: Type.String(),
      now_c: Type.Number(),
      limit_c: Type.Number(),
      over_at_ms: nullable(time('when it is expected over its limit; null when not within two hours')),
      earliest_ms: nullable(time('when it may be at the earliest')),
      course: Type.Array(
        Type.Object({ at_ms: time('for when'), low: Type.Number(), middle: Type.Number(), high: Type.Number() }),
      ),
    }),
  ),
  temperature_track: trackSchema,
});
export type InsightAnswer = Static<typeof insightSchema>;
export type AnomalyView = Static<typeof anomalySchema>;
