/** The form of a payload mapping: how a node's own topics and messages become readings. One YAML per firmware, pure data; gateway/profiles/mqtt/README.md explains it to people. */
import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;
const text = (description: string) => Type.String({ minLength: 1, maxLength: 300, description });
const metric = Type.String({
  minLength: 1,
  maxLength: 100,
  description: 'metric id of the catalogue, with .suffix for a component or phase',
});
const topic = (description: string) =>
  Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000]+$', description });
const scalar = Type.Union([Type.String(), Type.Number(), Type.Boolean()]);

/** Forms a time can have in a message. */
export const timeForms = ['unix_or_iso'] as const;
/** What becomes of several numbers behind one path. */
export const manyForms = ['sum', 'mean', 'first'] as const;

/** One value of a message. */
export const mappedValueSchema = Type.Object(
  {
    path: Type.Optional(
      text('where the value is in the JSON: names with dots between, [0] for a place in a list, [*] for all of it'),
    ),
    metric,
    unit: Type.Optional(
      Type.String({ maxLength: 12, description: 'unit the node uses; the conversion follows from it' }),
    ),
    scale: Type.Optional(Type.Number({ description: 'quantity in the unit = number * scale + offset' })),
    offset: Type.Optional(Type.Number({ description: 'quantity in the unit = number * scale + offset' })),
    negate: Type.Optional(Type.Boolean({ description: 'turns the sign, for a node that counts the other way' })),
    many: Type.Optional(
      Type.Union(
        manyForms.map((one) => Type.Literal(one)),
        { description: 'what [*] gives: the sum, the mean or the first' },
      ),
    ),
    missing: Type.Optional(
      Type.Array(scalar, { minItems: 1, description: 'values that mean: no value, as the node writes them' }),
    ),
    states: Type.Optional(
      Type.Record(Type.String({ minLength: 1 }), Type.Number(), {
        description: 'metric value of each text, or of true and false; other texts are no value',
      }),
    ),
    when: Type.Optional(
      Type.Object(
        { path: text('where to look'), equals: scalar },
        { ...closed, description: 'the value counts only in messages that say so' },
      ),
    ),
  },
  closed,
);

/** One kind of message. */
export const mappedMessageSchema = Type.Object(
  {
    topic: topic('topic with {parameters}; + stands for any one part'),
    form: Type.Union([Type.Literal('json'), Type.Literal('number')], {
      description: 'json: an object; number: the payload is the number itself',
    }),
    time: Type.Optional(
      Type.Object(
        {
          path: text('where the time is'),
          form: Type.Union(
            timeForms.map((one) => Type.Literal(one)),
            { default: 'unix_or_iso', description: 'Unix seconds or milliseconds, or ISO 8601 (UTC without a zone)' },
          ),
        },
        { ...closed, description: 'left out where the node’s clock is no better than the time of arrival' },
      ),
    ),
    needs_one: Type.Boolean({
      default: false,
      description: 'whether a message without any of the values is refused; otherwise it is of no interest',
    }),
    values: Type.Array(mappedValueSchema, { minItems: 1, maxItems: 64 }),
  },
  closed,
);

const commandValue = Type.Union([Type.String({ maxLength: 64 }), Type.Number(), Type.Boolean()]);

/** Something the device can be told to do. */
export const mappedCommandSchema = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z][a-z0-9_]{0,30}$', description: 'name of the command' }),
    label: Type.String({ minLength: 1, maxLength: 80, description: 'what people read' }),
    role: Type.Union([Type.Literal('operator'), Type.Literal('installer'), Type.Literal('admin')], {
      default: 'installer',
      description: 'who may send it at least',
    }),
    choices: Type.Optional(
      Type.Record(
        Type.String({ minLength: 1, maxLength: 64 }),
        Type.Object(
          {
            send: commandValue,
            read_back: Type.Optional(commandValue),
          },
          closed,
        ),
        {
          description:
            'what people choose: what is sent for it, and what the device says when it is done (the same when left out)',
        },
      ),
    ),
    number: Type.Optional(
      Type.Object(
        { min: Type.Number(), max: Type.Number(), unit: Type.Optional(Type.String({ maxLength: 12 })) },
        { ...closed, description: 'instead of choices: limits of a number' },
      ),
    ),
    safe: Type.Optional(
      Type.Union([Type.String(), Type.Number()], { description: 'the choice or number that harms nothing' }),
    ),
    topic: Type.Optional(topic('where it is sent; left out for nodes that speak our own form')),
    payload: Type.String({
      default: '{value}',
      maxLength: 300,
      description: 'what is sent; {value} stands for the value',
    }),
    answer: Type.Optional(
      Type.Object(
        {
          topic: topic('where the device says what it has now'),
          path: Type.Optional(text('where in the JSON; left out when the payload is the value')),
        },
        { ...closed, description: 'how the device acknowledges; left out for nodes that speak our own form' },
      ),
    ),
  },
  closed,
);

const commandExample = Type.Object(
  {
    command: Type.String(),
    value: Type.Union([Type.String(), Type.Number()]),
    sends: Type.String({ description: 'payload that is sent' }),
    answer: Type.String({ description: 'payload of the answer that acknowledges it' }),
  },
  closed,
);

const example = Type.Object(
  {
    topic: topic('topic as the node writes it'),
    payload: Type.Union(
      [Type.String(), Type.Unsafe<Record<string, unknown>>(Type.Object({}, { additionalProperties: true }))],
      {
        description: 'the message: a text, or a mapping that is sent as JSON',
      },
    ),
    gives: Type.Optional(
      Type.Record(Type.String(), Type.Union([Type.Number(), Type.Null()]), {
        description: 'metric to value; null where the node says that it has none; empty for a message of no interest',
      }),
    ),
    link: Type.Optional(Type.Union([Type.Literal('up'), Type.Literal('down')])),
  },
  { ...closed, description: 'a message and what becomes of it; checked whenever the mapping is read' },
);

/** A mapping as written. */
export const mappingSchema = Type.Object(
  {
    mapping: Type.Literal(1, { description: 'version of the form' }),
    id: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$', description: 'the file name without .yaml' }),
    title: Type.String({ minLength: 1, maxLength: 120 }),
    own: Type.Boolean({
      default: false,
      description: 'for nodes that speak Villagrid’s own form: such a mapping only says what they can be told to do',
    }),
    parameters: Type.Record(
      Type.String({ pattern: '^[a-z][a-z0-9_]{0,30}$' }),
      Type.Object(
        {
          help: text('what it is and where the installer finds it'),
          default: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
        },
        closed,
      ),
      { default: {}, description: 'what differs from device to device; stands as {name} in topics' },
    ),
    publishes: Type.Array(topic('filter with a parameter'), {
      default: [],
      maxItems: 16,
      description: 'topics the node may write to: its own ones, so each names a parameter',
    }),
    tolerates: Type.Array(topic('filter'), {
      default: [],
      maxItems: 16,
      description: 'further topics its firmware writes to, such as announcements; taken and dropped',
    }),
    subscribes: Type.Array(topic('filter'), {
      default: [],
      maxItems: 16,
      description: 'filters its firmware subscribes to; nothing is sent there but commands',
    }),
    link: Type.Optional(
      Type.Object(
        {
          topic: topic('topic of the last will'),
          up: Type.Array(Type.String(), { minItems: 1, description: 'payloads that mean: here' }),
          down: Type.Array(Type.String(), { minItems: 1, description: 'payloads that mean: gone' }),
        },
        closed,
      ),
    ),
    messages: Type.Array(mappedMessageSchema, { default: [], maxItems: 100 }),
    commands: Type.Array(mappedCommandSchema, {
      default: [],
      maxItems: 32,
      description:
        'what it can be told to do; of use only where a site switches commands on and names them for the device',
    }),
    examples: Type.Array(example, { default: [] }),
    command_examples: Type.Array(commandExample, { default: [] }),
    example_parameters: Type.Record(Type.String(), Type.String(), {
      default: {},
      description: 'parameters the examples are read with',
    }),
    quirks: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    sources: Type.Record(Type.String(), Type.String(), { description: 'document: date it was read' }),
  },
  closed,
);

/** A checked mapping. */
export type Mapping = Static<typeof mappingSchema>;
export type MappedMessage = Static<typeof mappedMessageSchema>;
export type MappedCommand = Static<typeof mappedCommandSchema>;
export type MappedValue = Static<typeof mappedValueSchema>;
