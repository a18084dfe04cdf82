/**
 * What a site changes of the rules: any part of a default, or a rule of its own with all of it. The same for a file in a
 * site's folder and for a document from the cloud. Pure.
 */
import { Type, type Static } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { isLearnt } from '../anomaly/checks.js';
import type { Site } from '../site/site.js';
import { tryRule, type RuleProblem } from './check.js';
import { ruleSchema, type Rule } from './rule.js';

/** A change of a rule: any part of it but its id may be left out where it changes a default. */
export const ruleChangeSchema = Type.Object(
  { ...Type.Partial(ruleSchema).properties, id: ruleSchema.properties.id },
  { additionalProperties: false, description: 'A rule of a site, in its folder of rules.' },
);
export type RuleChange = Static<typeof ruleChangeSchema>;

const needed = ['kind', 'severity', 'selector', 'parameters', 'message', 'what', 'why', 'steps'] as const;

/** The rule that a change makes; the names of what it lacks where it changes no default. */
export function combineRule(change: RuleChange, changed: Rule | undefined): Rule | string[] {
  const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
  if (changed === undefined) {
    const lacking = needed.filter((name) => given[name] === undefined);
    return lacking.length > 0 ? lacking : ({ enabled: true, ...given } as Rule);
  }
  // Parameters of another kind are of no use to this one.
  const isSameKind = change.kind === undefined || change.kind === changed.kind;
  const parameters = { ...(isSameKind ? changed.parameters : {}), ...change.parameters };
  return { ...changed, ...given, parameters } as Rule;
}

/** A rule on what is usual, of something whose usual day the gateway does not learn: it would never conclude anything. */
export function watchesUnlearnt({ kind, selector }: Rule, site: Site): RuleProblem | undefined {
  if (kind !== 'deviation' || selector.scope === 'device') return undefined;
  const unlearnt =
    selector.scope === 'figure'
      ? (site.wiring[selector.metric]?.terms ?? [{ metric: selector.metric }]).find(({ metric }) => !isLearnt(metric))
      : isLearnt(selector.metric)
        ? undefined
        : selector;
  if (unlearnt === undefined) return undefined;
  const of = unlearnt.metric === selector.metric ? '' : ` (its figure is made of ${unlearnt.metric})`;
  return {
    path: ['selector', 'metric'],
    what: `what is usual of "${selector.metric}"${of} is not learnt, so a deviation rule would conclude nothing; use another kind`,
  };
}

/** A rule that could never see anything at this site. */
export function watchesNothing({ selector, kind, parameters }: Rule, site: Site): RuleProblem | undefined {
  const isFigure = (metric: string) => metric.startsWith('gateway_') || Object.hasOwn(site.wiring, metric);
  const noFigure = (metric: string) =>
    `the site has no figure "${metric}"; site.wiring has ${Object.keys(site.wiring).join(', ') || 'none'}`;
  if (selector.scope === 'figure') {
    if (!isFigure(selector.metric)) return { path: ['selector', 'metric'], what: noFigure(selector.metric) };
  } else if (selector.device_id !== undefined) {
    const ids = site.devices.map(({ device_id }) => device_id);
    if (!ids.includes(selector.device_id))
      return {
        path: ['selector', 'device_id'],
        what: `device "${selector.device_id}" is not among site.devices (${ids.join(', ') || 'none'})`,
      };
  }
  if (kind !== 'expression') return undefined;
  const inputs = (parameters.inputs ?? {}) as Readonly<
    Record<string, { metric: string; of?: string; otherwise?: number }>
  >;
  for (const [name, { metric, of, otherwise }] of Object.entries(inputs)) {
    if (selector.scope !== 'figure' && of !== 'grid') continue;
    if (otherwise === undefined && !isFigure(metric))
      return { path: ['parameters', 'inputs', name, 'metric'], what: noFigure(metric) };
  }
  return undefined;
}

/** A change checked against a site's defaults: the rule it makes, or one sentence without a full stop on what is wrong. */
export function ruleOfChange(
  value: unknown,
  { site, defaults }: { readonly site: Site; readonly defaults: readonly Rule[] },
): { readonly ok: true; readonly rule: Rule } | { readonly ok: false; readonly reason: string } {
  if (!Check(ruleChangeSchema, value)) {
    const first = Errors(ruleChangeSchema, value)[0];
    return { ok: false, reason: `${first?.instancePath || '(rule)'} ${first?.message ?? 'is wrong'}` };
  }
  const changed = defaults.find(({ id }) => id === value.id);
  const rule = combineRule(value, changed);
  if (Array.isArray(rule))
    return {
      ok: false,
      reason: `${rule.join(', ')} missing; "${value.id}" is no default rule, so all of it is needed`,
    };
  const checked = tryRule(rule);
  if (!checked.ok) return { ok: false, reason: checked.problems.map(({ what }) => what).join('; ') };
  // A default may be changed before its figure is wired.
  const problem = (changed ? undefined : watchesNothing(checked.rule, site)) ?? watchesUnlearnt(checked.rule, site);
  return problem === undefined ? { ok: true, rule: checked.rule } : { ok: false, reason: problem.what };
}
