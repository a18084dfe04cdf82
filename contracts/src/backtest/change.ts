/** A rule with some of its parameters changed, and which of them are limits that a person may move. */
import type { TSchema } from 'typebox';
import { Clone } from 'typebox/value';
import { VillagridError } from '../errors/catalogue.js';
import { metricDefinition, parseMetricId } from '../metrics/catalogue.js';
import { checkRule } from '../rules/check.js';
import { ruleKinds, type Rule } from '../rules/rule.js';

/** What a parameter is changed to. */
export type ParameterValue = number | string | boolean | null;
/** Changes by path, as `parameters.below` or `parameters.all.0.above`; null takes a parameter away. */
export type RuleChanges = Readonly<Record<string, ParameterValue>>;

/** A number of a rule that a person may move. */
export interface RuleLimit {
  readonly path: string;
  readonly value: number;
  /** The metric's unit, `ms` for a duration, empty for a count. */
  readonly unit: string;
  readonly description: string;
}

const refuse = (detail: string) => new VillagridError('E_REQUEST_INVALID', detail);

/** Names that are no parameters of anybody. */
const forbidden = new Set(['__proto__', 'constructor', 'prototype']);

/** The rule with changes, checked and with its kind's defaults. Throws E_REQUEST_INVALID that names what is wrong. */
export function changedRule(rule: Rule, changes: RuleChanges): Rule {
  const document = Clone(rule) as unknown as Record<string, unknown>;
  for (const [path, value] of Object.entries(changes)) {
    const steps = path.split('.');
    const last = steps.pop();
    if (steps[0] !== 'parameters' || last === undefined || last === '')
      throw refuse(`${path} cannot be changed; a path begins with parameters., as in parameters.below.`);
    let at: unknown = document;
    for (const step of steps) {
      at = !forbidden.has(step) && isBranch(at) && Object.hasOwn(at, step) ? at[step] : undefined;
      if (!isBranch(at)) throw refuse(`Rule ${rule.id} has no ${path}.`);
    }
    const branch = at as Record<string, unknown>;
    if (forbidden.has(last) || (Array.isArray(at) && !Object.hasOwn(at, last)))
      throw refuse(`Rule ${rule.id} has no ${path}.`);
    if (value === null) delete branch[last];
    else branch[last] = value;
  }
  return checkedRule(document as unknown as Rule);
}

/** The rule, checked and with its kind's defaults. Throws E_REQUEST_INVALID. */
export function checkedRule(rule: Rule): Rule {
  try {
    return checkRule(rule);
  } catch (error) {
    if (error instanceof VillagridError && error.code === 'E_CONFIG_INVALID') throw refuse(error.detail);
    throw error;
  }
}

const isBranch = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** The numbers of a rule that a person may move, in the order of its parameters. */
export function ruleLimits(rule: Rule): RuleLimit[] {
  const own = 'metric' in rule.selector ? rule.selector.metric : undefined;
  const found: RuleLimit[] = [];
  const walk = (value: unknown, path: string, metric: string | undefined, schema: TSchema | undefined): void => {
    if (typeof value === 'number') {
      const name = path.slice(path.lastIndexOf('.') + 1);
      const of = (schema ?? {}) as { description?: string; type?: string };
      const unit = name.endsWith('_ms')
        ? 'ms'
        : of.type === 'integer' || metric === undefined
          ? ''
          : (metricDefinition(parseMetricId(metric).base)?.unit ?? '');
      found.push({ path, value, unit, description: of.description ?? '' });
    } else if (Array.isArray(value)) {
      const items = (schema as { items?: TSchema } | undefined)?.items;
      for (const [index, one] of value.entries()) walk(one, `${path}.${index}`, metric, items);
    } else if (isBranch(value)) {
      const properties = (schema as { properties?: Record<string, TSchema> } | undefined)?.properties ?? {};
      const of = typeof value.metric === 'string' ? value.metric : metric;
      for (const [key, one] of Object.entries(value)) walk(one, `${path}.${key}`, of, properties[key]);
    }
  };
  const checked = checkRule(rule);
  walk(checked.parameters, 'parameters', own, ruleKinds[rule.kind]?.parameters);
  return found;
}

/** A rule's condition in one plain sentence, with its unit. */
export function describeRule(rule: Rule): string {
  const checked = checkRule(rule);
  const metric = 'metric' in rule.selector ? rule.selector.metric : undefined;
  const unit = metric === undefined ? '' : (metricDefinition(parseMetricId(metric).base)?.unit ?? '');
  const sentence = ruleKinds[rule.kind]?.describe(checked.parameters as never, unit) ?? '';
  // Kinds name metrics by their ids: people read labels, and a limit with its unit.
  return sentence.replace(
    /\b([a-z][a-z0-9_]*_[a-z0-9_]+(?:\.[\w-]+)?)( (?:above|below) -?[\d.]+)?/g,
    (whole, id: string, limit) => {
      const known = metricDefinition(parseMetricId(id).base);
      if (known === undefined) return whole;
      const label = `${known.label.charAt(0).toLowerCase()}${known.label.slice(1)}`;
      return typeof limit === 'string' ? `${label}${limit} ${known.unit}`.trimEnd() : label;
    },
  );
}
