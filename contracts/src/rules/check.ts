/** Checks a rule before it runs, so that one that cannot work is told at the start and never silently watches nothing. */
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
  | { readonly ok: false; readonly problem: RuleProblem };

/** Checks a rule of the right form: kind, scope and parameters together. */
export function tryRule(rule: Rule): CheckedRule {
  const wrong = (path: RuleProblem['path'], what: string): CheckedRule => ({ ok: false, problem: { path, what } });
  const kind = Object.hasOwn(ruleKinds, rule.kind) ? ruleKinds[rule.kind] : undefined;
  if (!kind) return wrong(['kind'], `kind is ${rule.kind}; it must be one of ${Object.keys(ruleKinds).join(', ')}`);
  if (!kind.scopes.includes(rule.selector.scope))
    return wrong(
      ['selector', 'scope'],
      `selector.scope is ${rule.selector.scope}; a ${kind.kind} rule watches a ${kind.scopes.join(' or a ')}`,
    );
  const parameters = Default(kind.parameters, Clone(rule.parameters)) as Record<string, unknown>;
  if (!Check(kind.parameters, parameters)) {
    const first = Errors(kind.parameters, parameters)[0];
    const steps = (first?.instancePath ?? '').split('/').slice(1);
    const extra = (first?.params as { additionalProperties?: readonly string[] } | undefined)
      ?.additionalProperties?.[0];
    // One name too many is told of itself, or of what holds it.
    if (extra !== undefined) steps.push(extra);
    const path = ['parameters', ...steps.map((one) => (/^\d+$/.test(one) ? Number(one) : one))];
    const where = path.join('.');
    if (extra === undefined && first?.keyword !== 'boolean')
      return wrong(path, `${where} ${first?.message ?? 'is wrong'}`);
    const known = namesAt(kind.parameters, steps.slice(0, -1));
    return wrong(path, `there is no parameter ${where}${known.length > 0 ? `; there are ${known.join(', ')}` : ''}`);
  }
  const missing = kind.missing?.(parameters as never);
  if (missing === undefined) return { ok: true, rule: { ...rule, parameters } };
  // Some sentences begin with the place they are about.
  const [place = 'parameters'] = /^parameters[\w.]*/.exec(missing) ?? [];
  return wrong(place.split('.'), missing.replace(/\.$/, ''));
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
  throw new VillagridError('E_CONFIG_INVALID', `Rule ${rule.id}: ${checked.problem.what}.`);
}
