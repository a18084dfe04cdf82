/** Documents of telling people: how the ways do, what was sent, a test. */
import { Type, type Static } from 'typebox';

const channel = Type.Union([Type.Literal('sms'), Type.Literal('email'), Type.Literal('relay')]);
const orNull = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** How one channel does. */
export const notifyChannelSchema = Type.Object({
  channel,
  state: Type.Union([Type.Literal('ok'), Type.Literal('failing'), Type.Literal('unknown')]),
  detail: Type.String({ description: 'what works or what is wrong, in plain words' }),
  signal_dbm: orNull(Type.Number({ description: 'strength of the mobile network' })),
  balance: orNull(
    Type.Object({
      text: Type.String({ description: 'what the operator says' }),
      amount: orNull(Type.Number({ description: 'the first number in it' })),
      at_ms: Type.Number(),
    }),
  ),
  sent: Type.Number({ description: 'messages that the far side took since the start' }),
  failed: Type.Number(),
  last_sent_ms: orNull(Type.Number()),
});

/** How telling people does. */
export const notifyStatusSchema = Type.Object({
  grid_id: Type.String(),
  people: Type.Number({ description: 'how many are in the settings' }),
  waiting: Type.Number({ description: 'how many are to be told something' }),
  channels: Type.Array(notifyChannelSchema),
  recent: Type.Array(
    Type.Object({
      at_ms: Type.Number(),
      recipient: Type.String(),
      channel: Type.String(),
      subject: Type.String(),
      error: orNull(Type.String()),
    }),
    { description: 'the newest messages, newest first' },
  ),
});
export type NotifyStatus = Static<typeof notifyStatusSchema>;

/** A test that is asked for. */
export const notifyTestSchema = Type.Object(
  { channel, to: Type.String({ default: '', maxLength: 254, description: 'number or address; nothing for a relay' }) },
  { additionalProperties: false },
);
