/** How long to wait before the next try. Pure. */
import type { RandomSource } from '@villagrid/contracts';

/** Bounds of the wait, in milliseconds, and the source of its jitter. */
export interface BackoffLimits {
  readonly minMs: number;
  readonly maxMs: number;
  readonly random: RandomSource;
}

/**
 * Milliseconds to wait before try number `attempt` (0 is the first repeat): evenly spread between `minMs` and a ceiling
 * that doubles with each try up to `maxMs`, so that a thousand clients cut off together do not come back together.
 */
export function backoffDelayMs(attempt: number, { minMs, maxMs, random }: BackoffLimits): number {
  const ceilingMs = Math.max(minMs, Math.min(maxMs, minMs * 2 ** (Math.max(0, attempt) + 1)));
  return minMs + random.float() * (ceilingMs - minMs);
}
