/** Words a receipt from a ledger. Pure. */
import type { Receipt } from '@villagrid/contracts';
import type { Ledger } from './ledger.js';

/** Most later ranges and refused numbers a receipt names: more than a gateway has on its way at a time. */
export const mostRangesTold = 64;
export const mostBadTold = 600;
/** Longest reason told, characters, so that a receipt stays below 100 KB; the dead letter has the whole of it. */
const longestReason = 120;

/** A refused number and why. */
export type BadNumber = readonly [number: number, reason: string];

/** The receipt for one epoch. Where there are too many ranges the longest are told: what is not told is sent again. */
export function makeReceipt(epoch: string, ledger: Ledger, bad: readonly BadNumber[]): Receipt {
  const later = [...ledger.later];
  if (later.length > mostRangesTold) {
    later.sort((a, b) => b.last - b.first - (a.last - a.first));
    later.length = mostRangesTold;
    later.sort((a, b) => a.first - b.first);
  }
  return {
    y: 'receipt',
    epoch,
    up_to: ledger.upTo,
    sum: ledger.sum.toString(16).padStart(16, '0'),
    also: later.map(({ first, last }) => [first, last] as const),
    bad: bad.slice(-mostBadTold).map(([number, reason]) => [number, reason.slice(0, longestReason)] as const),
  };
}
