/** Rule kind `rate_of_change`: a value rises or falls by more than so much within a window. */
import { Type, type Static } from 'typebox';
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
import { foldSliding, isSliding, movedSliding, slide, type Sliding } from '../sliding.js';

/** Parameters: changes in the metric's unit within the window, delays in milliseconds. */
export const rateOfChangeParameters = Type.Object(
  {
    rises_by: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, description: 'raise when it rises by more than this within the window' }),
    ),
    falls_by: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, description: 'raise when it falls by more than this within the window' }),
    ),
    window_ms: Type.Integer({ minimum: 10_000, maximum: 86_400_000, description: 'length of the window' }),
    deadband: Type.Number({ default: 0, minimum: 0, description: 'how much smaller the change must be to clear' }),
    on_delay_ms: Type.Integer({ default: 0, minimum: 0 }),
    off_delay_ms: Type.Integer({ default: 0, minimum: 0 }),
  },
  { additionalProperties: false },
);
export type RateOfChangeParameters = Static<typeof rateOfChangeParameters>;

/** Delays and the window. */
export interface RateOfChangeState extends DelayState {
  readonly window?: Sliding;
}

/** Change within a window. */
export const rateOfChange: RuleKind<RateOfChangeParameters, RateOfChangeState> = {
  kind: 'rate_of_change',
  parameters: rateOfChangeParameters,
  scopes: ['figure', 'series'],
  missing: (p) =>
    p.rises_by === undefined && p.falls_by === undefined ? 'parameters need rises_by or falls_by, or both.' : undefined,
  isState: (value): value is RateOfChangeState => {
    if (!isDelayState(value)) return false;
    const { window } = value as { readonly window?: unknown };
    return window === undefined || isSliding(window);
  },
  initial: () => initialDelayState,
  onSample(p, before, sample) {
    const { timeMs, value } = sample;
    const known = stateAt(before, timeMs);
    if (known === undefined) return { state: before };
    // After the clock was set back the window is of another time.
    const window = slide(known === before ? (before.window ?? []) : [], p.window_ms, timeMs, value);
    const change = foldSliding(window, p.window_ms, timeMs, 'change');
    if (change === undefined) return { state: { ...known, lastMs: timeMs, window } };
    const beyond = (by: number | undefined, size: number, back: number) => by !== undefined && size > by - back;
    const holds = beyond(p.rises_by, change, 0) || beyond(p.falls_by, -change, 0);
    const over = !beyond(p.rises_by, change, p.deadband) && !beyond(p.falls_by, -change, p.deadband);
    const step = delayed(known, { holds, over, atMs: timeMs }, p);
    const state = { ...step.state, window };
    if (step.change === undefined) return { state };
    const limit = (change > 0 ? p.rises_by : p.falls_by) ?? null;
    return {
      state,
      transition:
        step.change === 'raise'
          ? { type: 'raise', atMs: timeMs, value: Math.abs(change), limit }
          : { type: 'clear', atMs: timeMs, value: Math.abs(change) },
    };
  },
  moved: (state, byMs) => ({
    ...movedDelayState(state, byMs),
    ...(state.window === undefined ? {} : { window: movedSliding(state.window, byMs) }),
  }),
  restarted: (_p, state, raised, listening) => restartedDelay(state, raised, listening),
  onTick: (p, state, nowMs) => overByTime(state, nowMs, p.off_delay_ms),
  describe(p, unit) {
    const parts = [];
    if (p.rises_by !== undefined) parts.push(`rises by more than ${p.rises_by} ${unit}`.trim());
    if (p.falls_by !== undefined) parts.push(`falls by more than ${p.falls_by} ${unit}`.trim());
    return `${parts.join(' or ')} within ${Math.round(p.window_ms / 60_000)} min`;
  },
};
