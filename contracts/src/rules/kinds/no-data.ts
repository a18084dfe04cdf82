/** Rule kind `no_data`: nothing has come for too long. Its subject is a device. */
import { Type, type Static } from 'typebox';
import { latestSampleMs, type RuleKind } from '../kind.js';

/** Parameters: silence in milliseconds after which it is raised. */
export const noDataParameters = Type.Object(
  {
    silent_for_ms: Type.Integer({
      default: 600_000,
      minimum: 1000,
      description: 'raise after this long without a sample',
    }),
  },
  { additionalProperties: false },
);
export type NoDataParameters = Static<typeof noDataParameters>;

/** When the subject was last heard, and whether the alert is raised. */
export interface NoDataState {
  readonly raised: boolean;
  readonly lastMs: number | null;
}

/** Missing data. The first tick starts the count for a subject never heard. */
export const noData: RuleKind<NoDataParameters, NoDataState> = {
  kind: 'no_data',
  parameters: noDataParameters,
  scopes: ['device'],
  oncePerTime: true,
  isState: (value): value is NoDataState => {
    const { raised, lastMs } = (value ?? {}) as Partial<Record<keyof NoDataState, unknown>>;
    return typeof raised === 'boolean' && (lastMs === null || typeof lastMs === 'number');
  },
  initial: () => ({ raised: false, lastMs: null }),
  onSample(_p, state, sample) {
    const { raised } = state;
    const known = state.lastMs ?? 0;
    const setBack = known - sample.timeMs > latestSampleMs;
    // Only a sample newer than what was known ends the silence; a backfilled one does not.
    if (sample.timeMs <= known && !setBack) return { state };
    if (!raised) return { state: { raised, lastMs: sample.timeMs } };
    return {
      state: { raised: false, lastMs: sample.timeMs },
      transition: { type: 'clear', atMs: sample.timeMs, value: null },
    };
  },
  restingMs: ({ raised, lastMs }) => (raised || lastMs === null ? undefined : lastMs),
  resting: (lastMs) => ({ raised: false, lastMs }),
  restarted(p, state, raised, { sinceMs, graceMs }) {
    const lastMs = state.lastMs === null ? null : Math.min(state.lastMs, sinceMs);
    if (raised) return { raised, lastMs: lastMs ?? 0 };
    // While the gateway was off it heard nobody: each has a grace to speak. Without one the silence counts as it did.
    if (graceMs <= 0) return { raised, lastMs };
    const earliestMs = sinceMs + Math.min(graceMs, p.silent_for_ms) - p.silent_for_ms;
    return { raised, lastMs: lastMs === null ? null : Math.max(lastMs, earliestMs) };
  },
  moved: ({ raised, lastMs }, byMs) => ({ raised, lastMs: lastMs === null ? null : lastMs + byMs }),
  onTick(p, state, nowMs) {
    // Never heard, or the clock was set back behind what was heard: the silence counts from now.
    if (state.lastMs === null || state.lastMs - nowMs > latestSampleMs) return { state: { ...state, lastMs: nowMs } };
    if (state.raised || nowMs - state.lastMs < p.silent_for_ms) return { state };
    // Dated by the silence, not by the look at the clock.
    const atMs = Math.min(nowMs, state.lastMs + p.silent_for_ms);
    return { state: { ...state, raised: true }, transition: { type: 'raise', atMs, value: null, limit: null } };
  },
  // The silence counts from when the device could be heard again.
  excused: (state, nowMs) => (state.raised ? state : { raised: false, lastMs: nowMs }),
  describe: (p) => `nothing heard for ${Math.round(p.silent_for_ms / 60_000)} min`,
};
