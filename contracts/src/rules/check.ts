/** Checks a rule before it runs, so that one that cannot work is told at the start and never silently watches nothing. */
import { Check, Clone, Default, Errors } from 'typebox/value';
import { VillagridError } from '../errors/catalogue.js';
import { ruleKinds, type Rule } from './rule.js';

/** The rule with the defaults of its kind filled in; throws E_CONFIG_INVALID that names rule and parameter. */
export function checkRule(rule: Rule): Rule {
  const refuse = (detail: string) => new VillagridError('E_CONFIG_INVALID', `Rule ${rule.id}: ${detail}`);
  const kind = Object.hasOwn(ruleKinds, rule.kind) ? ruleKinds[rule.kind] : undefined;
  if (!kind) throw refuse(`kind is ${rule.kind}; it must be one of ${Object.keys(ruleKinds).join(', ')}.`);
  if (!kind.scopes.includes(rule.selector.scope))
    throw refuse(
      `selector.scope is ${rule.selector.scope}; a ${kind.kind} rule watches a ${kind.scopes.join(' or a ')}.`,
    );
  const parameters = Default(kind.parameters, Clone(rule.parameters)) as Record<string, unknown>;
  if (!Check(kind.parameters, parameters)) {
    const first = Errors(kind.parameters, parameters)[0];
    const where = first?.instancePath.replaceAll('/', '.') ?? '';
    const extra = (first?.params as { additionalProperties?: readonly string[] } | undefined)?.additionalProperties;
    throw refuse(`parameters${where} ${first?.message ?? 'is wrong'}${extra ? ` (${extra.join(', ')})` : ''}.`);
  }
  const missing = kind.missing?.(parameters as never);
  if (missing !== undefined) throw refuse(missing);
  return { ...rule, parameters };
}
