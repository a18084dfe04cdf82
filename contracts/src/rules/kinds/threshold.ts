/** Rule kind `threshold`: above or below a limit, with a clear level (deadband), on-delay and off-delay. */
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

/** Parameters: limits in the metric's unit, delays in milliseconds. */
export const thresholdParameters = Type.Object(
  {
    above: Type.Optional(Type.Number({ description: 'raise when the value is above this' })),
    below: Type.Optional(Type.Number({ description: 'raise when the value is below this' })),
    unless_below: Type.Optional(
      Type.Number({
        description: "a value below this is another rule's matter: it does not raise, and it ends what is raised",
      }),
    ),
    deadband: Type.Number({
      default: 0,
      minimum: 0,
      description: 'how far back inside the limit the value must come to clear',
    }),
    on_delay_ms: Type.Integer({ default: 0, minimum: 0 }),
    off_delay_ms: Type.Integer({ default: 0, minimum: 0 }),
  },
  { additionalProperties: false },
);
export type ThresholdParameters = Static<typeof thresholdParameters>;

const excepted = (p: ThresholdParameters, value: number) => p.unless_below !== undefined && value < p.unless_below;
const holds = (p: ThresholdParameters, value: number) =>
  !excepted(p, value) && ((p.above !== undefined && value > p.above) || (p.below !== undefined && value < p.below));
const over = (p: ThresholdParameters, value: number) =>
  excepted(p, value) ||
  ((p.above === undefined || value <= p.above - p.deadband) &&
    (p.below === undefined || value >= p.below + p.deadband));

/** Threshold with hysteresis and delays. */
export const threshold: RuleKind<ThresholdParameters, DelayState> = {
  kind: 'threshold',
  parameters: thresholdParameters,
  scopes: ['figure', 'series'],
  missing: (p) =>
    p.above === undefined && p.below === undefined ? 'parameters need above or below, or both.' : undefined,
  isState: isDelayState,
  initial: () => initialDelayState,
  onSample(p, before, sample) {
    const state = stateAt(before, sample.timeMs);
    if (state === undefined) return { state: before };
    const step = delayed(state, { holds: holds(p, sample.value), over: over(p, sample.value), atMs: sample.timeMs }, p);
    if (step.change === undefined) return { state: step.state };
    const limit = p.above !== undefined && sample.value > p.above ? p.above : (p.below ?? p.above ?? null);
    return {
      state: step.state,
      transition:
        step.change === 'raise'
          ? { type: 'raise', atMs: sample.timeMs, value: sample.value, limit }
          : { type: 'clear', atMs: sample.timeMs, value: sample.value },
    };
  },
  moved: movedDelayState,
  restingMs: delayRestingMs,
  resting: restingDelay,
  restarted: (_p, state, raised, listening) => restartedDelay(state, raised, listening),
  onTick: (p, state, nowMs) => overByTime(state, nowMs, p.off_delay_ms),
  describe(p, unit) {
    const parts = [];
    if (p.above !== undefined) parts.push(`above ${p.above} ${unit}`.trim());
    if (p.below !== undefined) parts.push(`below ${p.below} ${unit}`.trim());
    const delay = p.on_delay_ms > 0 ? ` for ${Math.round(p.on_delay_ms / 1000)} s` : '';
    return `${parts.join(' or ')}${delay}`;
  },
};
