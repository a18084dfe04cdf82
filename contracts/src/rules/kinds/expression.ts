/**
 * Rule kind `expression`: a formula over several metrics, each as it is now or folded over a window. A rule of a figure sees
 * the grid's figures, a rule of a device that device's metrics. While one of its values is not known nothing is concluded.
 */
import { Type, type Static } from 'typebox';
import { metricDefinition } from '../../metrics/catalogue.js';
import { compileFormula, longestFormula, type Formula } from '../formula.js';
import {
  delayed,
  initialDelayState,
  isDelayState,
  movedDelayState,
  overByTime,
  restartedDelay,
  stateAt,
  type DelayState,
  type RuleKind,
} from '../kind.js';
import { foldSliding, isSliding, movedSliding, slide, slidingFolds, type Sliding } from '../sliding.js';

const input = Type.Object(
  {
    metric: Type.String({ minLength: 1, description: 'a figure of the grid, or a metric of the device' }),
    of: Type.Optional(
      Type.Union([Type.Literal('device'), Type.Literal('grid')], {
        description:
          "in a rule of devices: whether it is the device's metric, as when left out, or a figure of the grid",
      }),
    ),
    otherwise: Type.Optional(
      Type.Number({ description: 'its value while none is known; left out, nothing is concluded' }),
    ),
    window_ms: Type.Optional(
      Type.Integer({ minimum: 10_000, maximum: 86_400_000, description: 'fold the samples of this long' }),
    ),
    fold: Type.Optional(
      Type.Enum([...slidingFolds] as const, { description: 'what a window is folded to; mean when left out' }),
    ),
  },
  { additionalProperties: false },
);
type Input = Static<typeof input>;

const formula = (description: string) => Type.String({ minLength: 1, maxLength: 2 * longestFormula, description });

/** Parameters: formulas, the values they name, and delays in milliseconds. */
export const expressionParameters = Type.Object(
  {
    when: formula('holds when there is trouble, as load > 10 && soc < 40; a metric may be named as it is'),
    clear_when: Type.Optional(formula('holds when it is over; when left out, that is when the trouble does not hold')),
    inputs: Type.Record(Type.String({ pattern: '^[a-z_][a-z0-9_]{0,62}$' }), input, {
      default: {},
      maxProperties: 16,
      description: 'names of values',
    }),
    max_age_ms: Type.Integer({ default: 120_000, minimum: 1000, description: 'older values do not count' }),
    on_delay_ms: Type.Integer({ default: 0, minimum: 0 }),
    off_delay_ms: Type.Integer({ default: 0, minimum: 0 }),
  },
  { additionalProperties: false },
);
export type ExpressionParameters = Static<typeof expressionParameters>;

/** Delays, and what was seen: so the same samples give the same whenever the gateway was started. */
export interface ExpressionState extends DelayState {
  /** Newest time and value of each metric. */
  readonly seen?: Readonly<Record<string, readonly [timeMs: number, value: number]>>;
  /** Windows of the inputs that have one. */
  readonly windows?: Readonly<Record<string, Sliding>>;
}

interface Compiled {
  readonly when: Formula;
  readonly clearWhen: Formula | undefined;
  readonly inputs: ReadonlyArray<{ readonly name: string; readonly one: Input }>;
  readonly watches: readonly string[];
  readonly figures: readonly string[];
  /** Filled anew at each evaluation. */
  readonly values: Record<string, number>;
}

const compiledOf = new WeakMap<ExpressionParameters, Compiled>();

function compiled(p: ExpressionParameters): Compiled {
  let one = compiledOf.get(p);
  if (one === undefined) compiledOf.set(p, (one = compile(p)));
  return one;
}

function compile(p: ExpressionParameters): Compiled {
  const read = (text: string): Formula => {
    const result = compileFormula(text);
    if (!result.ok) throw new Error(result.reason);
    return result.formula;
  };
  const when = read(p.when);
  const clearWhen = p.clear_when === undefined ? undefined : read(p.clear_when);
  const names = [...new Set([...when.names, ...(clearWhen?.names ?? [])])];
  const inputs = names.map((name) => ({ name, one: p.inputs[name] ?? { metric: name } }));
  return {
    when,
    clearWhen,
    inputs,
    watches: [...new Set(inputs.flatMap(({ one }) => (one.of === 'grid' ? [] : [one.metric])))],
    figures: [...new Set(inputs.flatMap(({ one }) => (one.of === 'grid' ? [one.metric] : [])))],
    values: {},
  };
}

/** A formula over several values, with delays. */
export const expression: RuleKind<ExpressionParameters, ExpressionState> = {
  kind: 'expression',
  parameters: expressionParameters,
  scopes: ['figure', 'device'],
  missing(p) {
    const found: string[] = [];
    for (const [where, text] of [
      ['when', p.when],
      ['clear_when', p.clear_when],
    ] as const) {
      if (text === undefined) continue;
      const result = compileFormula(text);
      if (!result.ok) {
        found.push(`parameters.${where}: ${result.reason}.`);
        continue;
      }
      if (result.formula.names.length === 0)
        found.push(`parameters.${where} names no value, so it would never change.`);
      for (const name of result.formula.names)
        if (!Object.hasOwn(p.inputs, name) && !looksLikeMetric(name))
          found.push(`parameters.${where}: "${name}" is neither an input nor a metric; say under inputs what it is.`);
    }
    for (const [name, one] of Object.entries(p.inputs)) {
      if (one.fold !== undefined && one.window_ms === undefined)
        found.push(`parameters.inputs.${name} has a fold and no window_ms.`);
      if (one.of === 'grid' && one.window_ms !== undefined)
        found.push(`parameters.inputs.${name} is a figure of the grid: a window is of the subject's own metrics.`);
    }
    if (found.length === 0 && compiled(p).watches.length === 0)
      found.push('no input is of the subject itself, so nothing would wake the rule.');
    return found;
  },
  watches: (p) => compiled(p).watches,
  figures: (p) => compiled(p).figures,
  isState: (value): value is ExpressionState => {
    if (!isDelayState(value)) return false;
    const { seen = {}, windows = {} } = value as { seen?: unknown; windows?: unknown };
    const isRecord = (one: unknown): one is object => typeof one === 'object' && one !== null;
    return (
      isRecord(seen) &&
      isRecord(windows) &&
      Object.values(seen).every((one) => Array.isArray(one) && one.length === 2 && one.every(Number.isFinite)) &&
      Object.values(windows).every(isSliding)
    );
  },
  initial: () => initialDelayState,
  onSample(p, before, sample, context) {
    const { timeMs, value, metric } = sample;
    const known = stateAt(before, timeMs);
    if (known === undefined) return { state: before };
    const { when, clearWhen, inputs, values } = compiled(p);
    const isSetBack = known !== before;
    const seen: Record<string, readonly [number, number]> = isSetBack ? {} : { ...before.seen };
    seen[metric] = [timeMs, value];
    let windows = isSetBack ? {} : before.windows;
    let copied: Record<string, Sliding> | undefined;
    let isWhole = true;
    for (const { name, one } of inputs) {
      let now: number | undefined;
      if (one.of === 'grid') now = context.figure(one.metric, timeMs, p.max_age_ms);
      else if (one.window_ms === undefined) {
        const newest = seen[one.metric];
        now = newest !== undefined && timeMs - newest[0] <= p.max_age_ms ? newest[1] : undefined;
      } else {
        if (one.metric === metric) {
          windows = copied ??= { ...windows };
          copied[name] = slide(copied[name] ?? [], one.window_ms, timeMs, value);
        }
        now = foldSliding(windows?.[name] ?? [], one.window_ms, timeMs, one.fold ?? 'mean');
      }
      now ??= one.otherwise;
      if (now === undefined) isWhole = false;
      else values[name] = now;
    }
    const memory = { seen, ...(windows === undefined ? {} : { windows }) };
    if (!isWhole) return { state: { ...known, lastMs: timeMs, ...memory } };
    const holds = when.holds(values);
    const over = clearWhen === undefined ? !holds : clearWhen.holds(values);
    const step = delayed(known, { holds, over, atMs: timeMs }, p);
    const state = { ...step.state, ...memory };
    if (step.change === undefined) return { state };
    const shown = inputs[0] === undefined ? null : (values[inputs[0].name] ?? null);
    return {
      state,
      transition:
        step.change === 'raise'
          ? { type: 'raise', atMs: timeMs, value: shown, limit: null }
          : { type: 'clear', atMs: timeMs, value: shown },
    };
  },
  lost(state, metric) {
    if (state.seen?.[metric] === undefined) return state;
    const { [metric]: _gone, ...seen } = state.seen;
    return { ...state, seen };
  },
  moved(state, byMs) {
    const { seen, windows } = state;
    return {
      ...movedDelayState(state, byMs),
      ...(seen && {
        seen: Object.fromEntries(Object.entries(seen).map(([key, [timeMs, value]]) => [key, [timeMs + byMs, value]])),
      }),
      ...(windows && {
        windows: Object.fromEntries(Object.entries(windows).map(([key, one]) => [key, movedSliding(one, byMs)])),
      }),
    };
  },
  restarted: (_p, state, raised, listening) => restartedDelay(state, raised, listening),
  onTick: (p, state, nowMs) => overByTime(state, nowMs, p.off_delay_ms),
  describe: (p) => `${p.when}${p.on_delay_ms > 0 ? ` for ${Math.round(p.on_delay_ms / 1000)} s` : ''}`,
};

/** Metrics end in their unit, as `load_kw`; the gateway's own figures begin with its name. */
const looksLikeMetric = (name: string): boolean => name.startsWith('gateway_') || metricDefinition(name) !== undefined;
