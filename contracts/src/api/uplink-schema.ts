/** What the API tells of a gateway's link to its cloud. */
import { Type, type Static, type TSchema } from 'typebox';
import { settablePlans } from '../wire/uplink.js';

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const uplinkStatusSchema = Type.Object({
  connected: Type.Boolean(),
  plan: Type.Enum([...settablePlans], { description: 'what of telemetry is sent' }),
  boosted: Type.Boolean({ description: 'somebody watches from afar, so more is sent for a while' }),
  waiting_frames: Type.Integer({ description: 'parts of the log without a receipt of the cloud' }),
  waiting_since_ms: nullable(Type.Number({ description: 'time of the oldest of them, Unix ms' })),
  held: nullable(
    Type.Union([Type.Literal('link'), Type.Literal('budget')], { description: 'why history waits just now' }),
  ),
  complete_at_ms: nullable(
    Type.Number({
      description:
        'when all that waits will be at the cloud, Unix ms, by what was measured so far; null when that cannot be said',
    }),
  ),
  day: Type.String({ description: 'local day that bytes are counted for, YYYY-MM-DD' }),
  used_bytes: Type.Integer({
    description: 'of that day, both ways: counted below TLS, and headers of TCP and IP as reckoned',
  }),
  budget_bytes: nullable(Type.Integer({ description: 'most of a day; alerts go beyond it' })),
});
export type UplinkStatus = Static<typeof uplinkStatusSchema>;

export const uplinkAnswerSchema = Type.Object({
  grid_id: Type.String(),
  uplink: nullable(uplinkStatusSchema),
});
