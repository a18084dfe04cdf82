/** Rule kind `deviation`: a value lies outside of what is usual for this site at this time of day. */
import { Type, type Static } from 'typebox';
import {
  delayed,
  delayRestingMs,
  initialDelayState,
  isDelayState,
  movedDelayState,
  overByTime,
  restartedDelay,
  restingDelay,
  stateAt,
  type DelayState,
  type RuleKind,
} from '../kind.js';

/** Parameters: how far beyond what is usual, and how well that must be known. */
export const deviationParameters = Type.Object(
  {
    side: Type.Union([Type.Literal('above'), Type.Literal('below'), Type.Literal('both')], { default: 'both' }),
    times: Type.Number({
      default: 2,
      minimum: 1,
      maximum: 20,
      description: 'how many times as far from the middle as the usual range reaches',
    }),
    least: Type.Number({
      default: 0,
      minimum: 0,
      description: "smallest distance from the usual range that counts, in the metric's unit",
    }),
    min_days: Type.Integer({ default: 7, minimum: 1, description: 'days that must be known first' }),
    on_delay_ms: Type.Integer({ default: 900_000, minimum: 0 }),
    off_delay_ms: Type.Integer({ default: 900_000, minimum: 0 }),
  },
  { additionalProperties: false },
);
export type DeviationParameters = Static<typeof deviationParameters>;

/** Deviation from the usual day, with delays. While the usual day is not known, nothing is concluded. */
export const deviation: RuleKind<DeviationParameters, DelayState> = {
  kind: 'deviation',
  parameters: deviationParameters,
  scopes: ['figure', 'series'],
  isState: isDelayState,
  initial: () => initialDelayState,
  onSample(p, before, sample, context) {
    const { timeMs, value } = sample;
    const known = stateAt(before, timeMs);
    if (known === undefined) return { state: before };
    const usual = context.usual?.(sample.deviceId, sample.metric, timeMs);
    if (usual === undefined || usual.days < p.min_days) return { state: { ...known, lastMs: timeMs } };
    const upper = Math.max(usual.middle + p.times * (usual.high - usual.middle), usual.high + p.least);
    const lower = Math.min(usual.middle - p.times * (usual.middle - usual.low), usual.low - p.least);
    const isAbove = p.side !== 'below' && value > upper;
    const isBelow = p.side !== 'above' && value < lower;
    // It is over only when it is usual again, so that a value at the bound does not come and go.
    const over = (p.side === 'below' || value <= usual.high) && (p.side === 'above' || value >= usual.low);
    const step = delayed(known, { holds: isAbove || isBelow, over, atMs: timeMs }, p);
    if (step.change === undefined) return { state: step.state };
    return {
      state: step.state,
      transition:
        step.change === 'raise'
          ? { type: 'raise', atMs: timeMs, value, limit: isAbove ? usual.high : usual.low }
          : { type: 'clear', atMs: timeMs, value },
    };
  },
  moved: movedDelayState,
  restingMs: delayRestingMs,
  resting: restingDelay,
  restarted: (_p, state, raised, listening) => restartedDelay(state, raised, listening),
  onTick: (p, state, nowMs) => overByTime(state, nowMs, p.off_delay_ms),
  describe: (p) =>
    `${p.side === 'both' ? 'far from' : `far ${p.side}`} what is usual here at this time of day for ${Math.round(p.on_delay_ms / 60_000)} min`,
};
