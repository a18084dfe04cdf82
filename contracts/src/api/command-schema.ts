/** Remote commands in the API: asked, confirmed, acknowledged by the device, audited. */
import { Type, type Static, type TSchema } from 'typebox';
import { identifierPattern } from '../wire/topics.js';

/** Longest life of a command, seconds: what was not acknowledged by then has failed. */
export const longestCommandS = 60;

/** States a command can be in. `failed` says that nothing is known: it may have been done. */
export const commandStates = ['sent', 'acknowledged', 'refused', 'failed'] as const;
export type CommandState = (typeof commandStates)[number];

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const value = Type.Union([Type.String({ maxLength: 64 }), Type.Number()], {
  description: 'one of the choices by its name, or a number within the limits',
});

export const commandRequestSchema = Type.Object(
  {
    grid_id: Type.String({ pattern: identifierPattern }),
    command: Type.String({ minLength: 1, maxLength: 64, description: 'name of a command of the device' }),
    value,
    confirmation: Type.Optional(
      Type.String({ maxLength: 64, description: 'what the same request without it was answered with' }),
    ),
    expires_in_s: Type.Optional(
      Type.Integer({ minimum: 1, maximum: longestCommandS, description: 'how long the device may take' }),
    ),
  },
  { additionalProperties: false },
);

/** A command as it was, for the answer and the audit. */
export const commandRecordSchema = Type.Object({
  command_id: Type.String(),
  device_id: Type.String(),
  command: Type.String(),
  value,
  state: Type.Unsafe<CommandState>(Type.Enum([...commandStates])),
  reason: nullable(Type.String({ description: 'why it was refused or failed' })),
  read_back: nullable(Type.String({ description: 'what the device said it has now' })),
  actor: Type.Object({ user_id: Type.String(), name: Type.String() }),
  sent_at_ms: Type.Number(),
  expires_in_s: Type.Number(),
  finished_at_ms: nullable(Type.Number()),
  late_answer: Type.Boolean({ description: 'whether the device answered after the command had failed' }),
});
export type CommandRecord = Static<typeof commandRecordSchema>;

export const commandAnswerSchema = Type.Union([
  Type.Object({
    state: Type.Literal('needs_confirmation'),
    question: Type.String({ description: 'what will be done, for the person to say yes to' }),
    confirmation: Type.String({ description: 'to be sent with the same request within a minute' }),
  }),
  Type.Object({ state: Type.Literal('finished'), record: commandRecordSchema }),
]);
export type CommandAnswer = Static<typeof commandAnswerSchema>;

/** What a device can be told to do. */
export const commandOfferSchema = Type.Object({
  device_id: Type.String(),
  command: Type.String(),
  label: Type.String(),
  role: Type.String(),
  choices: nullable(Type.Array(Type.String())),
  number: nullable(Type.Object({ min: Type.Number(), max: Type.Number(), unit: nullable(Type.String()) })),
  safe: nullable(value),
});
export type CommandOffer = Static<typeof commandOfferSchema>;

/** Records that a list of commands holds, the newest. */
export const mostCommandsListed = 200;

export const commandListSchema = Type.Object({
  grid_id: Type.String(),
  enabled: Type.Boolean({ description: 'whether commands are switched on at this site' }),
  offers: Type.Array(commandOfferSchema),
  records: Type.Array(commandRecordSchema, { description: `newest first, at most ${mostCommandsListed}` }),
});
export type CommandList = Static<typeof commandListSchema>;
