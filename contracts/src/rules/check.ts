/** Checks a rule before it runs, so that one that cannot work is told at the start and never silently watches nothing. */
import type { TSchema } from 'typebox';
import { Check, Clone, Default, Errors } from 'typebox/value';
import { VillagridError } from '../errors/catalogue.js';
import { ruleKinds, type Rule } from './rule.js';

/** What is wrong with a rule, and where in it; a sentence without a full stop. */
export interface RuleProblem {
  readonly path: ReadonlyArray<string | number>;
  readonly what: string;
}

/** The rule with the defaults of its kind filled in, or what is wrong with it. */
export type CheckedRule =
  | { readonly ok: true; readonly rule: Rule }
  | { readonly ok: false; readonly problems: readonly RuleProblem[] };

/** Most problems of parameters that are told. */
const mostProblems = 10;

/** Checks a rule of the right form: kind, scope and parameters together. What is wrong is told all at once. */
export function tryRule(rule: Rule): CheckedRule {
  const kind = Object.hasOwn(ruleKinds, rule.kind) ? ruleKinds[rule.kind] : undefined;
  if (!kind) {
    const what = `kind is ${rule.kind}; it must be one of ${Object.keys(ruleKinds).join(', ')}`;
    return { ok: false, problems: [{ path: ['kind'], what }] };
  }
  const problems: RuleProblem[] = [];
  if (!kind.scopes.includes(rule.selector.scope))
    problems.push({
      path: ['selector', 'scope'],
      what: `selector.scope is ${rule.selector.scope}; a ${kind.kind} rule watches a ${kind.scopes.join(' or a ')}`,
    });
  const parameters = Default(kind.parameters, Clone(rule.parameters)) as Record<string, unknown>;
  if (!Check(kind.parameters, parameters)) problems.push(...wrongParameters(kind.parameters, parameters));
  else
    for (const missing of [kind.missing?.(parameters as never) ?? []].flat()) {
      // Some sentences begin with the place they are about.
      const [place = 'parameters'] = /^parameters[\w.]*/.exec(missing) ?? [];
      problems.push({ path: place.split('.'), what: missing.replace(/\.$/, '') });
    }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, rule: { ...rule, parameters } };
}

/** What does not fit the form of a kind's parameters: one problem for each place. */
function wrongParameters(schema: TSchema, parameters: unknown): RuleProblem[] {
  const found = new Map<string, RuleProblem>();
  for (const error of Errors(schema, parameters)) {
    const at = error.instancePath.split('/').slice(1);
    const extra = (error.params as { additionalProperties?: readonly string[] }).additionalProperties ?? [];
    // One name too many is told of itself, or of what holds it.
    for (const steps of extra.length > 0 ? extra.map((name) => [...at, name]) : [at]) {
      const path = ['parameters', ...steps.map((one) => (/^\d+$/.test(one) ? Number(one) : one))];
      const where = path.join('.');
      if (found.has(where)) continue;
      const known = namesAt(schema, steps.slice(0, -1));
      const what =
        extra.length === 0 && error.keyword !== 'boolean'
          ? `${where} ${error.message}`
          : `there is no parameter ${where}${known.length > 0 ? `; there are ${known.join(', ')}` : ''}`;
      found.set(where, { path, what });
    }
  }
  return [...found.values()].slice(0, mostProblems);
}

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
}

/** Names a schema knows at a place; none where it has a choice of forms, or takes any name. */
function namesAt(schema: SchemaNode, steps: readonly string[]): readonly string[] {
  let node: SchemaNode | undefined = schema;
  for (const step of steps) node = /^\d+$/.test(step) ? node?.items : node?.properties?.[step];
  return Object.keys(node?.properties ?? {});
}

/** The rule with the defaults of its kind filled in; throws E_CONFIG_INVALID that names rule and parameter. */
export function checkRule(rule: Rule): Rule {
  const checked = tryRule(rule);
  if (checked.ok) return checked.rule;
  throw new VillagridError(
    'E_CONFIG_INVALID',
    `Rule ${rule.id}: ${checked.problems.map(({ what }) => what).join('; ')}.`,
  );
}
