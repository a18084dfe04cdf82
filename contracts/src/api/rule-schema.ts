/** Rules in the API: the list with their limits, and trying one on the past. */
import { Type, type Static, type TSchema } from 'typebox';
import { severities } from '../alerts/events.js';
import { granularities } from '../history/resolution.js';
import { ruleSchema } from '../rules/rule.js';

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const literals = <T extends string>(values: readonly T[]) => Type.Unsafe<T>(Type.Enum([...values]));
const time = (description: string) => Type.Number({ description: `${description}, Unix milliseconds` });
const duration = (description: string) => Type.Number({ description: `${description}, milliseconds` });

/** A number of a rule that can be moved. */
export const ruleLimitSchema = Type.Object({
  path: Type.String({ description: 'where it stands in the rule, e.g. parameters.below' }),
  value: Type.Number(),
  unit: Type.String({ description: 'ms for a duration; empty for a count' }),
  description: Type.String(),
});

export const ruleListSchema = Type.Object({
  grid_id: Type.String(),
  rules: Type.Array(
    Type.Object({
      rule_id: Type.String(),
      kind: Type.String(),
      enabled: Type.Boolean(),
      severity: literals(severities),
      message: Type.String(),
      why: Type.String(),
      description: Type.String({ description: 'its condition in one plain sentence' }),
      metric: nullable(Type.String()),
      unit: nullable(Type.String()),
      limits: Type.Array(ruleLimitSchema),
      testable: Type.Boolean({
        description: 'false where it watches what no history keeps: the gateway itself, or a figure that is not wired',
      }),
    }),
  ),
});
export type RuleList = Static<typeof ruleListSchema>;

/** Most variants of one test. */
export const mostVariants = 4;
/** Longest stretch of a test, days. */
export const longestTestDays = 400;

const changes = Type.Record(
  Type.String({ maxLength: 120 }),
  Type.Union([Type.Number(), Type.String({ maxLength: 2000 }), Type.Boolean(), Type.Null()]),
  { description: 'parameter by path to its value, e.g. {"parameters.below": 25}; null takes one away' },
);

/** A rule that is only tried: texts and severity may be left out. */
export const triedRuleSchema = Type.Partial(ruleSchema);

export const ruleTestRequestSchema = Type.Object(
  {
    rule_id: Type.Optional(Type.String({ maxLength: 64, description: 'a rule of this grid' })),
    rule: Type.Optional(triedRuleSchema),
    variants: Type.Optional(
      Type.Array(
        Type.Object(
          { name: Type.Optional(Type.String({ minLength: 1, maxLength: 80 })), set: Type.Optional(changes) },
          { additionalProperties: false },
        ),
        { minItems: 1, maxItems: mostVariants, description: 'the rule as it is when left out' },
      ),
    ),
    days: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, maximum: longestTestDays, description: '30 when left out' }),
    ),
    from: Type.Optional(Type.String({ description: 'instead of days: ISO 8601 or Unix milliseconds' })),
    to: Type.Optional(Type.String({ description: 'ISO 8601 or Unix milliseconds; now when left out' })),
  },
  { additionalProperties: false },
);
export type RuleTestRequest = Static<typeof ruleTestRequestSchema>;

const countFields = {
  count: Type.Integer({ description: 'times it was raised within the stretch' }),
  at_night: Type.Integer({ description: 'of these between 22 and 6 on the village’s clock' }),
  standing_at_start: Type.Integer({ description: 'raised before the stretch, and standing when it began' }),
  open_at_end: Type.Integer(),
  longest_ms: duration('longest time it stood within the stretch'),
  total_ms: duration('all times it stood within the stretch together'),
  days: Type.Array(Type.Object({ start_ms: time('start of the local day'), count: Type.Integer() })),
  devices: Type.Array(
    Type.Object({
      device_id: nullable(Type.String()),
      device_name: nullable(Type.String()),
      count: Type.Integer(),
      total_ms: duration('time it stood'),
    }),
    { description: 'those with the most first; null is the village' },
  ),
  occurrences: Type.Array(
    Type.Object({
      device_id: nullable(Type.String()),
      metric: nullable(Type.String()),
      raised_at_ms: time('when it was raised'),
      cleared_at_ms: nullable(time('when it was cleared; null when it still stood')),
      value: nullable(Type.Number()),
      limit: nullable(Type.Number()),
      at_night: Type.Boolean(),
    }),
  ),
  occurrences_left_out: Type.Integer({ description: 'counted, but not listed one by one' }),
};

export const ruleTestResultSchema = Type.Object({
  rule_id: Type.String(),
  kind: Type.String(),
  from_ms: time('start of the stretch'),
  to_ms: time('its end'),
  zone: Type.String(),
  samples: Type.Integer({ description: 'samples that were played' }),
  measured_from_ms: nullable(time('first moment of the stretch with data of what the rule looks at; null without any')),
  measured_ms: duration('time of the stretch with such data'),
  measured_share: Type.Number({ description: 'the same as a share of the stretch, 0 to 1' }),
  took_ms: duration('how long it took'),
  granularities: Type.Array(
    Type.Object({ granularity: literals(granularities), from_ms: time('from'), to_ms: time('to') }),
    { description: 'what it was answered from; where samples are gone, windows stand for them' },
  ),
  notes: Type.Array(Type.String(), { description: 'what this answer cannot know' }),
  variants: Type.Array(
    Type.Object({
      name: Type.String(),
      description: Type.String({ description: 'the condition in one plain sentence' }),
      set: changes,
      sentence: Type.String({ description: 'what would have been' }),
      comparison: nullable(Type.String({ description: 'against the first variant' })),
      ...countFields,
    }),
  ),
  live: nullable(
    Type.Object(
      {
        ...countFields,
        both: Type.Integer({ description: 'raised in the village and by the first variant' }),
        only_live: Type.Integer(),
        only_test: Type.Integer(),
        whole: Type.Boolean({ description: 'false when older alerts are no longer listed' }),
      },
      { description: 'what this rule really raised; null for a rule that does not run here' },
    ),
  ),
});
export type RuleTestResult = Static<typeof ruleTestResultSchema>;

/** States of a test. */
export const ruleTestStates = ['waiting', 'running', 'done', 'failed', 'cancelled'] as const;
export type RuleTestState = (typeof ruleTestStates)[number];

export const ruleTestSchema = Type.Object({
  test_id: Type.String(),
  grid_id: Type.String(),
  state: literals(ruleTestStates),
  progress: Type.Number({ description: '0 to 1' }),
  error: nullable(Type.Object({ code: Type.String(), detail: Type.String() })),
  result: nullable(ruleTestResultSchema),
});
export type RuleTest = Static<typeof ruleTestSchema>;
