/**
 * Rule kind `balance`: the energy balance says that a meter lies. It watches a figure that numbers what was found, 0 for
 * nothing; the same finding must come several times in a row, because a day in which a meter was changed fits nothing.
 */
import { Type, type Static } from 'typebox';
import { latestSampleMs, type RuleKind } from '../kind.js';

/** Parameters: how often in a row the same must be found, and how often nothing, before it counts. */
export const balanceParameters = Type.Object(
  {
    confirmations: Type.Integer({ default: 3, minimum: 1, description: 'equal findings in a row before it is raised' }),
    clear_after: Type.Integer({
      default: 2,
      minimum: 1,
      description: 'checks in a row without it before it is cleared',
    }),
  },
  { additionalProperties: false },
);
export type BalanceParameters = Static<typeof balanceParameters>;

/** What was found last, how often in a row, and what is raised. */
export interface BalanceState {
  readonly raised: boolean;
  /** Number of the raised finding; 0 when that was lost. */
  readonly finding?: number;
  readonly last?: number;
  readonly times?: number;
  readonly lastMs?: number;
}

/** Findings of the energy balance. */
export const balance: RuleKind<BalanceParameters, BalanceState> = {
  kind: 'balance',
  parameters: balanceParameters,
  scopes: ['figure'],
  isState: (value): value is BalanceState => typeof (value as { raised?: unknown } | null)?.raised === 'boolean',
  initial: () => ({ raised: false }),
  onSample(p, state, sample) {
    const lastMs = state.lastMs ?? 0;
    if (sample.timeMs < lastMs && lastMs - sample.timeMs <= latestSampleMs) return { state };
    const found = Math.round(sample.value);
    const times = state.last === found ? (state.times ?? 0) + 1 : 1;
    // An alert whose number was lost in a restart is about whatever is found first.
    const finding = state.raised && (state.finding ?? 0) === 0 && found !== 0 ? found : (state.finding ?? 0);
    const seen = { raised: state.raised, finding, last: found, times, lastMs: sample.timeMs };
    if (state.raised) {
      if (found === finding || times < p.clear_after) return { state: seen };
      return {
        state: { ...seen, raised: false, finding: 0 },
        transition: { type: 'clear', atMs: sample.timeMs, value: null },
      };
    }
    if (found === 0 || times < p.confirmations) return { state: seen };
    return {
      state: { ...seen, raised: true, finding: found },
      transition: { type: 'raise', atMs: sample.timeMs, value: null, limit: null },
    };
  },
  restarted: (_p, state, raised, { sinceMs }) => ({
    ...state,
    raised,
    ...(state.lastMs === undefined ? {} : { lastMs: Math.min(state.lastMs, sinceMs) }),
  }),
  moved: (state, byMs) => (state.lastMs === undefined ? state : { ...state, lastMs: Math.max(0, state.lastMs + byMs) }),
  onTick: (_p, state) => ({ state }),
  describe: (p) => `a meter that the energy balance contradicts, found ${p.confirmations} times in a row`,
};
