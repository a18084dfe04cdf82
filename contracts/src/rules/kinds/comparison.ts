/** Rule kind `comparison`: several figures of the grid compared at the same time, all conditions holding. */
import { Type, type Static } from 'typebox';
import {
  delayed,
  delayRestingMs,
  initialDelayState,
  isDelayState,
  overByTime,
  movedDelayState,
  restartedDelay,
  restingDelay,
  stateAt,
  type DelayState,
  type RuleKind,
} from '../kind.js';

const condition = Type.Object(
  {
    metric: Type.String({ description: 'a grid figure' }),
    above: Type.Optional(Type.Number()),
    below: Type.Optional(Type.Number()),
  },
  { additionalProperties: false },
);

/** Parameters: conditions that must all hold, and conditions of which none may hold. A missing figure never raises. */
export const comparisonParameters = Type.Object(
  {
    all: Type.Array(condition, { minItems: 1 }),
    unless: Type.Array(condition, { default: [] }),
    max_age_ms: Type.Integer({ default: 120_000, minimum: 1000, description: 'older figures do not count' }),
    on_delay_ms: Type.Integer({ default: 0, minimum: 0 }),
    off_delay_ms: Type.Integer({ default: 0, minimum: 0 }),
  },
  { additionalProperties: false },
);
export type ComparisonParameters = Static<typeof comparisonParameters>;
type Condition = Static<typeof condition>;

/** Comparison of figures with delays. Unknown figures neither raise nor clear. */
export const comparison: RuleKind<ComparisonParameters, DelayState> = {
  kind: 'comparison',
  parameters: comparisonParameters,
  scopes: ['figure'],
  missing: (p) =>
    [...p.all, ...p.unless].some((one) => one.above === undefined && one.below === undefined)
      ? 'each condition needs above or below, or both.'
      : undefined,
  watches: (p) => [...p.all, ...p.unless].map((one) => one.metric),
  isState: isDelayState,
  initial: () => initialDelayState,
  onSample(p, before, sample, context) {
    const state = stateAt(before, sample.timeMs);
    if (state === undefined) return { state: before };
    const value = (metric: string) =>
      metric === sample.metric ? sample.value : context.figure(metric, sample.timeMs, p.max_age_ms);
    const met = (one: Condition) => {
      const number = value(one.metric);
      if (number === undefined) return undefined;
      return (one.above === undefined || number > one.above) && (one.below === undefined || number < one.below);
    };
    const all = p.all.map(met);
    if (all.includes(undefined)) return { state };
    const holds = all.every((one) => one === true) && !p.unless.some((one) => met(one) === true);
    const step = delayed(state, { holds, over: !holds, atMs: sample.timeMs }, p);
    if (step.change === undefined) return { state: step.state };
    const first = p.all[0] as Condition;
    const shown = value(first.metric) ?? null;
    return {
      state: step.state,
      transition:
        step.change === 'raise'
          ? { type: 'raise', atMs: sample.timeMs, value: shown, limit: first.below ?? first.above ?? null }
          : { type: 'clear', atMs: sample.timeMs, value: shown },
    };
  },
  moved: movedDelayState,
  restingMs: delayRestingMs,
  resting: restingDelay,
  restarted: (_p, state, raised, listening) => restartedDelay(state, raised, listening),
  onTick: (p, state, nowMs) => overByTime(state, nowMs, p.off_delay_ms),
  describe(p) {
    const say = (one: Condition) =>
      `${one.metric} ${one.below !== undefined ? `below ${one.below}` : `above ${one.above}`}`;
    const unless = p.unless.length > 0 ? `, unless ${p.unless.map(say).join(' or ')}` : '';
    return p.all.map(say).join(' while ') + unless;
  },
};
