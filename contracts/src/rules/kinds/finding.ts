/**
 * Rule kind `finding`: something that the gateway found out by itself (an anomaly, a forecast). It watches a figure that
 * numbers what was found, 0 for nothing, as `balance` does.
 */
import type { RuleKind } from '../kind.js';
import { balance, type BalanceParameters, type BalanceState } from './balance.js';

/** Findings of the gateway itself. */
export const finding: RuleKind<BalanceParameters, BalanceState> = {
  ...balance,
  kind: 'finding',
  describe: (p) => `something that the gateway found out, ${p.confirmations} times in a row`,
};
