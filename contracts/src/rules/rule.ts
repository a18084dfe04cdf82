/** What a rule is, and the registry of kinds. Adding a kind is its file and its line here. */
import { Type, type Static } from 'typebox';
import { severities } from '../alerts/events.js';
import type { RuleKind } from './kind.js';
import { balance } from './kinds/balance.js';
import { comparison } from './kinds/comparison.js';
import { finding } from './kinds/finding.js';
import { noData } from './kinds/no-data.js';
import { threshold } from './kinds/threshold.js';

// The registry holds kinds of different parameter and state types; each pairs only with its own.
// checkRule holds parameters against the kind's schema before they meet.
type AnyKind = RuleKind<never, unknown>;

/** Every rule kind by its name. */
export const ruleKinds: Readonly<Record<string, AnyKind>> = {
  threshold: threshold as unknown as AnyKind,
  no_data: noData as unknown as AnyKind,
  comparison: comparison as unknown as AnyKind,
  balance: balance as unknown as AnyKind,
  finding: finding as unknown as AnyKind,
};

/** Which subjects a rule covers: a grid figure, every series of a metric (any component), or every device. */
export const selectorSchema = Type.Union([
  Type.Object({ scope: Type.Literal('figure'), metric: Type.String() }, { additionalProperties: false }),
  Type.Object(
    {
      scope: Type.Literal('series'),
      metric: Type.String({ description: 'metric without component: all components are covered' }),
      device_id: Type.Optional(Type.String()),
    },
    { additionalProperties: false },
  ),
  Type.Object(
    { scope: Type.Literal('device'), device_id: Type.Optional(Type.String()) },
    { additionalProperties: false },
  ),
]);
export type RuleSelector = Static<typeof selectorSchema>;

/** A rule as configured. Texts may use {device}, {value}, {limit}, {unit}, {component}. */
export const ruleSchema = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z][a-z0-9_]{0,62}$' }),
    kind: Type.String({ description: 'threshold, no_data, comparison, balance or finding' }),
    enabled: Type.Boolean({ default: true }),
    severity: Type.Enum([...severities] as const),
    selector: selectorSchema,
    parameters: Type.Record(Type.String(), Type.Unknown()),
    message: Type.String({ minLength: 1, description: 'plain message, e.g. high temperature on equipment' }),
    what: Type.String({ description: 'one sentence with figures' }),
    why: Type.String({ description: 'why it matters' }),
    steps: Type.Array(Type.String(), { description: 'what to do, in order' }),
  },
  { additionalProperties: false },
);
export type Rule = Static<typeof ruleSchema>;
