/** What a rule is, and the registry of kinds. Adding a kind is its file and its line here. */
import { Type, type Static } from 'typebox';
import { severities } from '../alerts/events.js';
import { deviceKinds } from '../site/site.js';
import type { RuleKind } from './kind.js';
import { balance } from './kinds/balance.js';
import { comparison } from './kinds/comparison.js';
import { deviation } from './kinds/deviation.js';
import { expression } from './kinds/expression.js';
import { finding } from './kinds/finding.js';
import { noData } from './kinds/no-data.js';
import { rateOfChange } from './kinds/rate-of-change.js';
import { state } from './kinds/state.js';
import { threshold } from './kinds/threshold.js';

// The registry holds kinds of different parameter and state types; each pairs only with its own.
// checkRule holds parameters against the kind's schema before they meet.
type AnyKind = RuleKind<never, unknown>;

/** Every rule kind by its name. */
export const ruleKinds: Readonly<Record<string, AnyKind>> = {
  threshold: threshold as unknown as AnyKind,
  no_data: noData as unknown as AnyKind,
  rate_of_change: rateOfChange as unknown as AnyKind,
  state: state as unknown as AnyKind,
  comparison: comparison as unknown as AnyKind,
  expression: expression as unknown as AnyKind,
  deviation: deviation as unknown as AnyKind,
  balance: balance as unknown as AnyKind,
  finding: finding as unknown as AnyKind,
};

const ofDevices = {
  device_id: Type.Optional(Type.String({ description: 'this device only' })),
  device_class: Type.Optional(Type.Enum([...deviceKinds] as const, { description: 'devices of this kind' })),
  tags: Type.Optional(
    Type.Array(Type.String({ minLength: 1 }), { minItems: 1, description: 'devices that have all these tags' }),
  ),
};

/** Which subjects a rule covers: a grid figure, every series of a metric (any component), or every device. */
export const selectorSchema = Type.Union([
  Type.Object({ scope: Type.Literal('figure'), metric: Type.String() }, { additionalProperties: false }),
  Type.Object(
    {
      scope: Type.Literal('series'),
      metric: Type.String({ description: 'metric without component: all components are covered' }),
      component: Type.Optional(
        Type.String({ minLength: 1, description: 'this component only: what comes after the dot of the metric' }),
      ),
      ...ofDevices,
    },
    { additionalProperties: false },
  ),
  Type.Object({ scope: Type.Literal('device'), ...ofDevices }, { additionalProperties: false }),
]);
export type RuleSelector = Static<typeof selectorSchema>;

/** Days of the week as a schedule names them, Monday first. */
export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const clockTime = (description: string) => Type.String({ pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$', description });

/** When a rule watches, in the grid's time; outside it raises nothing new, and what is raised still ends. */
export const scheduleSchema = Type.Object(
  {
    hours: Type.Optional(
      Type.Array(
        Type.Object(
          { from: clockTime('first minute, 18:00'), to: clockTime('end, 06:00: past midnight when before from') },
          { additionalProperties: false },
        ),
        { minItems: 1 },
      ),
    ),
    days: Type.Optional(
      Type.Array(Type.Enum([...weekdays] as const), {
        minItems: 1,
        description: 'days on which its hours begin; every day when left out',
      }),
    ),
    months: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1, maximum: 12 }), {
        minItems: 1,
        description: 'season: months of the year; all when left out',
      }),
    ),
  },
  { additionalProperties: false },
);
export type RuleSchedule = Static<typeof scheduleSchema>;

/** A rule as configured. Texts may use {device}, {value}, {limit}, {unit}, {component}, {window}, {said}. */
export const ruleSchema = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z][a-z0-9_]{0,62}$' }),
    kind: Type.String({ description: 'one of the rule kinds, threshold for example' }),
    enabled: Type.Boolean({ default: true }),
    severity: Type.Enum([...severities] as const),
    selector: selectorSchema,
    parameters: Type.Record(Type.String(), Type.Unknown()),
    schedule: Type.Optional(scheduleSchema),
    keep_firing_ms: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 86_400_000,
        description: 'what is over stays raised so long, and is the same alert when it comes back meanwhile',
      }),
    ),
    part_of: Type.Optional(
      Type.String({
        description: 'id of a rule that says the same with more weight: while its alert stands, this one wakes nobody',
      }),
    ),
    message: Type.String({ minLength: 1, description: 'plain message, e.g. high temperature on equipment' }),
    what: Type.String({ description: 'one sentence with figures' }),
    why: Type.String({ description: 'why it matters' }),
    steps: Type.Array(Type.String(), { description: 'what to do, in order' }),
    how_long: Type.Optional(Type.String({ description: 'how long there is to do it' })),
  },
  { additionalProperties: false },
);
export type Rule = Static<typeof ruleSchema>;
