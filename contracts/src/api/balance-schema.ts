/** What the energy balance says of a grid's meters, as a document. */
import { Type, type Static, type TSchema } from 'typebox';
import { channelFaultKinds } from '../balance/faults.js';
import { severities } from '../alerts/events.js';

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const literals = <T extends string>(values: readonly T[]) => Type.Unsafe<T>(Type.Enum([...values]));
const time = (description: string) => Type.Number({ description: `${description}, Unix milliseconds` });

export const balanceSchema = Type.Object({
  grid_id: Type.String(),
  from_ms: time('start of the day that was judged'),
  to_ms: time('its end'),
  state: literals(['right', 'named', 'ambiguous', 'unexplained', 'unknown']),
  headline: Type.String({ description: 'what was found, in one sentence' }),
  why: Type.String(),
  steps: Type.Array(Type.String(), { description: 'what to do, in order' }),
  severity: literals(severities),
  needs_whole_day: Type.Boolean({
    description: 'the finding may come from a change within the day; it counts only once it has lasted a day',
  }),
  faults: Type.Array(
    Type.Object({
      kind: literals(channelFaultKinds),
      device_id: Type.String(),
      metric: Type.String(),
      words: Type.String(),
      size: nullable(
        Type.Number({
          description: 'times it reads too much; of an offset its unit; of a drift its growth over the day',
        }),
      ),
      other: nullable(Type.Object({ device_id: Type.String(), metric: Type.String() })),
      also: Type.Array(Type.Object({ device_id: Type.String(), metric: Type.String() }), {
        description: 'series that are wrong with it because one sensor feeds them',
      }),
    }),
    { description: 'one when named, several when the meters cannot tell between them' },
  ),
  relations: Type.Array(
    Type.Object({
      id: Type.String(),
      kind: Type.String(),
      words: Type.String(),
      channels: Type.Array(Type.String()),
      holds: Type.Boolean(),
      score: Type.Number({ description: 'how far from believable: up to 14 is' }),
      residual_share: Type.Number({ description: 'what is left unexplained, as a share of what flows' }),
    }),
  ),
  lacks: Type.Array(Type.String(), {
    description: 'what the site does not measure and what cannot be checked therefore',
  }),
});
export type BalanceAnswer = Static<typeof balanceSchema>;
