/** The form of a device profile: one YAML per device model, pure data. gateway/profiles/README.md explains it to people. */
import Type, { type Static } from 'typebox';

/**
 * Types of a point. `sf16` is a SunSpec scale factor, `acc16` to `acc64` are counters, `sm16` and `sm32` numbers whose highest
 * bit is the sign alone, `bcd16` and `bcd32` decimal digits of four bits each.
 */
export const pointTypes = [
  'u16',
  's16',
  'u32',
  's32',
  'u64',
  's64',
  'f32',
  'f64',
  'str',
  'enum16',
  'enum32',
  'bits16',
  'bits32',
  'bits64',
  'sm16',
  'sm32',
  'bcd16',
  'bcd32',
  'acc16',
  'acc32',
  'acc64',
  'sf16',
] as const;
export type PointType = (typeof pointTypes)[number];

/** How often a point is read: at every poll, about once a minute, or at first contact. */
export const pollingClasses = ['fast', 'slow', 'once'] as const;
export type PollingClass = (typeof pollingClasses)[number];

const oneOf = <T extends string | number>(values: readonly T[], description: string) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    { description },
  ) as unknown as ReturnType<typeof Type.Unsafe<T>>;

const closed = { additionalProperties: false } as const;
const register = (description: string) => Type.Integer({ minimum: 0, maximum: 65_535, description });
const key = (description: string) => Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_]{0,47}$', description });
const wordOrder = oneOf(['msw_first', 'lsw_first'] as const, 'which register of a wider value comes first');
const functionCode = oneOf([3, 4] as const, '3 reads holding registers, 4 reads input registers');
const code = Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: '^0x[0-9a-fA-F]{1,16}$' })], {
  description: 'raw register bits, e.g. 0x8000; 64-bit codes as a text',
});
const metric = Type.String({
  minLength: 1,
  description: 'metric id of the catalogue, with .suffix for a component or phase',
});

const point = {
  key: key('name of the point within the profile'),
  printed: Type.Optional(Type.String({ minLength: 1, description: 'number or name as the maker prints it' })),
  meaning: Type.Optional(Type.String({ minLength: 1, description: 'what it is, where its key does not say it' })),
  function: Type.Optional(functionCode),
  type: oneOf(pointTypes, 'how the registers are read'),
  registers: Type.Optional(Type.Integer({ minimum: 1, maximum: 64, description: 'length of a text, in registers' })),
  word_order: Type.Optional(wordOrder),
  swap_bytes: Type.Optional(Type.Boolean({ description: 'the low byte of each register comes first' })),
  mask: Type.Optional({ ...code, description: 'bits that count, e.g. 0x00FF; they are shifted down to bit 0' }),
  repeat: Type.Optional(
    Type.Object(
      {
        count: Type.Integer({ minimum: 2, maximum: 128, description: 'how many there are' }),
        stride: Type.Integer({ minimum: 1, maximum: 1000, description: 'addresses from one to the next' }),
      },
      {
        ...closed,
        description: 'the same point again: cell_1, cell_2, ... (a metric then needs a line under combine)',
      },
    ),
  ),
  alone: Type.Optional(
    Type.Boolean({ description: 'the device answers for it only when nothing else is asked with it' }),
  ),
  scale: Type.Optional(Type.Number({ description: 'value = raw * scale + offset' })),
  offset: Type.Optional(Type.Number({ description: 'value = raw * scale + offset' })),
  scale_factor: Type.Optional(key('point that holds the power of ten, read together with this one')),
  unit: Type.Optional(Type.String({ maxLength: 12, description: 'unit of the value, e.g. W' })),
  missing: Type.Optional(Type.Array(code, { minItems: 1, description: 'raw codes that mean: no value' })),
  valid_if: Type.Optional(
    Type.Object(
      {
        point: key('point to look at'),
        above: Type.Optional(Type.Number({ description: 'the value it must exceed' })),
        one_of: Type.Optional(Type.Array(Type.Number(), { minItems: 1, description: 'the values it may have' })),
      },
      { ...closed, description: 'the point counts only while another one says so' },
    ),
  ),
  values: Type.Optional(
    Type.Record(Type.String({ pattern: '^[0-9]+$' }), Type.String({ minLength: 1 }), {
      description: 'meaning of each number of a state',
    }),
  ),
  flags: Type.Optional(
    Type.Record(Type.String({ pattern: '^[0-9]+$' }), Type.String({ minLength: 1 }), {
      description: 'meaning of each bit that is set, counted from 0 at the lowest',
    }),
  ),
  metric: Type.Optional(metric),
  metric_factor: Type.Optional(
    Type.Number({ description: 'metric value = value * metric_factor; negative turns the sign' }),
  ),
  metric_map: Type.Optional(
    Type.Record(Type.String({ pattern: '^[0-9]+$' }), Type.Number(), {
      description: 'metric value of each raw number; others mean: no value',
    }),
  ),
  trouble: Type.Optional(
    Type.Object(
      {
        off: Type.Optional(
          Type.Array(Type.Integer(), { minItems: 1, description: 'values that say it is switched off' }),
        ),
        fault: Type.Optional(
          Type.Array(Type.Integer(), { minItems: 1, description: 'values that say it has a fault and does not work' }),
        ),
        words: Type.Optional(Type.Boolean({ description: 'its meaning (values, flags) says which fault it is' })),
      },
      {
        ...closed,
        description: 'the point tells whether the device is well: it feeds fault_state, and words for the alert',
      },
    ),
  ),
  polling: Type.Optional(oneOf(pollingClasses, 'every poll, about once a minute, or at first contact')),
};

/** A point at a fixed address. */
export const pointSchema = Type.Object(
  {
    ...point,
    address: register('address on the wire, counted from 0'),
    high_address: Type.Optional(
      register('register of the upper half of a 32-bit value, where it is not beside the lower'),
    ),
  },
  closed,
);
/** A point of a SunSpec model. */
export const modelPointSchema = Type.Object(
  { ...point, model_offset: register("registers from the model's id register; the first data point is at 2") },
  closed,
);

const missingByType = Type.Record(Type.String({ pattern: `^(${pointTypes.join('|')})$` }), Type.Array(code), {
  description: 'codes of no value, by type',
});

const computedSchema = Type.Object(
  {
    key: key('name of the value within the profile'),
    multiply: Type.Array(key('point'), {
      minItems: 2,
      maxItems: 4,
      description: 'points whose values are multiplied; one without a value leaves the product without one',
    }),
    unit: Type.String({ maxLength: 12, description: 'unit of the product, e.g. W' }),
    metric,
    metric_factor: point.metric_factor,
  },
  { ...closed, description: 'a value that the device does not give and that follows from points it gives' },
);

/** A register that a command may write, where a site switches commands on and names this one for the device. */
const writePointSchema = Type.Object(
  {
    key: key('name of the command'),
    label: Type.String({ minLength: 1, maxLength: 80, description: 'what it does, for the person who says yes to it' }),
    role: Type.Optional(
      oneOf(['operator', 'installer', 'admin'] as const, 'who may ask for it; installer when left out'),
    ),
    choices: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_-]{0,30}$' }), Type.Number(), {
        description: 'names of the only values there are; a number within the limits when left out',
      }),
    ),
    address: register('address on the wire, counted from 0'),
    function: oneOf([6, 16] as const, '6 writes one register, 16 several'),
    type: oneOf(['u16', 's16', 'u32', 's32', 'f32'] as const, 'how the value is written'),
    word_order: Type.Optional(wordOrder),
    scale: Type.Optional(Type.Number({ description: 'raw = value / scale' })),
    unit: Type.Optional(Type.String({ maxLength: 12 })),
    min: Type.Number({ description: 'lowest value a command may ask for' }),
    max: Type.Number({ description: 'highest value a command may ask for' }),
    safe: Type.Number({ description: 'value that harms nothing, written when a command must be taken back' }),
    reads_back: key('point that shows what was written'),
  },
  closed,
);

const sunspecSchema = Type.Object(
  {
    bases: Type.Array(register('where "SunS" may be'), { minItems: 1 }),
    missing: missingByType,
    models: Type.Array(
      Type.Object(
        {
          ids: Type.Array(Type.Integer({ minimum: 1, maximum: 65_534 }), { minItems: 1 }),
          name: Type.String({ minLength: 1 }),
          points: Type.Array(modelPointSchema, { minItems: 1 }),
        },
        closed,
      ),
      { minItems: 1 },
    ),
  },
  { ...closed, description: 'points found by walking the chain of SunSpec models' },
);

const probeSchema = Type.Object(
  {
    function: functionCode,
    address: register('address on the wire, counted from 0'),
    registers: Type.Integer({ minimum: 1, maximum: 64, description: 'how many registers to read; those of the type' }),
    type: oneOf(pointTypes, 'how the registers are read'),
    word_order: Type.Optional(wordOrder),
    one_of: Type.Optional(
      Type.Array(code, { minItems: 1, description: 'raw register bits, any of which fits (negative ones as bits)' }),
    ),
    matches: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'regular expression that a text (str) must match' }),
    ),
    between: Type.Optional(
      Type.Tuple([Type.Number(), Type.Number()], {
        description: 'lowest and highest number that fits, before scaling',
      }),
    ),
    confidence: Type.Number({
      minimum: 0,
      maximum: 1,
      description: 'how sure a fit makes it: 1 only this model answers so, 0.3 many others might',
    }),
  },
  closed,
);

const identifySchema = Type.Object(
  {
    closes_on_unknown: Type.Boolean({
      default: false,
      description: 'the device drops the connection or falls silent after a request for a register it lacks',
    }),
    probes: Type.Array(probeSchema, { minItems: 1, description: 'reads that tell this model from others' }),
  },
  { ...closed, description: 'how a scan tells this model from others' },
);

/** A device profile as written. */
export const profileSchema = Type.Object(
  {
    profile: Type.Literal(1, { description: 'version of the form' }),
    id: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$', description: 'the file name without .yaml' }),
    vendor: Type.String({ minLength: 1 }),
    models: Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
    kind: oneOf(
      ['meter', 'inverter', 'battery', 'charger', 'sensor', 'system', 'genset', 'other'] as const,
      'what the device is',
    ),
    transport: Type.Object(
      {
        tcp: Type.Optional(
          Type.Object(
            {
              port: Type.Integer({ minimum: 1, maximum: 65_535, default: 502 }),
              unit: Type.Integer({ minimum: 0, maximum: 255, default: 1 }),
            },
            closed,
          ),
        ),
        rtu: Type.Optional(
          Type.Object(
            {
              baud: Type.Integer({ minimum: 300, maximum: 1_000_000 }),
              parity: oneOf(['none', 'even', 'odd'] as const, 'parity'),
              stop_bits: oneOf([1, 2] as const, 'stop bits'),
              unit: Type.Integer({ minimum: 0, maximum: 255, default: 1 }),
            },
            closed,
          ),
        ),
      },
      { ...closed, description: 'how the maker ships it' },
    ),
    limits: Type.Object(
      {
        max_registers: Type.Integer({
          minimum: 1,
          maximum: 125,
          default: 125,
          description: 'most registers of one read',
        }),
        max_gap: Type.Integer({
          minimum: 0,
          maximum: 124,
          default: 0,
          description: 'unused registers that may be read along to save a request',
        }),
        min_gap_ms: Type.Number({
          minimum: 0,
          maximum: 10_000,
          default: 0,
          description: 'silence before each request',
        }),
        timeout_ms: Type.Number({
          minimum: 50,
          maximum: 30_000,
          default: 1000,
          description: 'longest wait for an answer',
        }),
        window: Type.Optional(
          Type.Integer({
            minimum: 1,
            maximum: 1000,
            description: 'a read must not cross a multiple of this address, as with Growatt (45)',
          }),
        ),
        forbidden: Type.Array(Type.Tuple([register('first'), register('last')]), {
          default: [],
          description: 'ranges [first, last] that must not be read, not even along the way',
        }),
      },
      { ...closed, default: {} },
    ),
    function: Type.Union([Type.Literal(3), Type.Literal(4)], {
      default: 3,
      description: 'function of points that name none',
    }),
    word_order: Type.Union([Type.Literal('msw_first'), Type.Literal('lsw_first')], { default: 'msw_first' }),
    address_step: Type.Integer({
      minimum: 1,
      maximum: 4,
      default: 1,
      description: 'address of the next register minus that of this one; 2 where addresses count bytes',
    }),
    missing: Type.Optional(missingByType),
    slow_every_s: Type.Number({
      minimum: 1,
      maximum: 86_400,
      default: 60,
      description: 'how often slow points are read',
    }),
    points: Type.Optional(Type.Array(pointSchema, { minItems: 1 })),
    site_points: Type.Boolean({ default: false, description: 'the site gives the points in its settings' }),
    sunspec: Type.Optional(sunspecSchema),
    computed: Type.Optional(Type.Array(computedSchema, { minItems: 1 })),
    write_points: Type.Optional(Type.Array(writePointSchema, { minItems: 1 })),
    combine: Type.Record(
      Type.String(),
      oneOf(['first', 'sum', 'mean'] as const, 'how points of one metric become one'),
      {
        default: {},
        description: 'metrics fed by several points: first that has a value, sum of all, mean of those with a value',
      },
    ),
    identify: Type.Optional(identifySchema),
    quirks: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    sources: Type.Record(Type.String(), Type.String(), { description: 'repository or document: commit or date' }),
  },
  closed,
);

/** A checked profile. */
export type Profile = Static<typeof profileSchema>;
/** A point at a fixed address, as written. */
export type ProfilePoint = Static<typeof pointSchema>;
/** A point of a SunSpec model, as written. */
export type ModelPoint = Static<typeof modelPointSchema>;
/** A register that a command may write, as written. */
export type WritePoint = Static<typeof writePointSchema>;
/** A value computed from points, as written. */
export type ComputedPoint = Static<typeof computedSchema>;
/** How a scan tells a model from others. */
export type Identify = Static<typeof identifySchema>;
/** One read that tells a model from others, and what must come back. */
export type IdentifyProbe = Static<typeof probeSchema>;
/** How several points become one metric. */
export type Combine = 'first' | 'sum' | 'mean';
