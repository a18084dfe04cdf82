/** Runs of the gateway that never learnt the time lie between their neighbours: how far each must be moved for that. Pure. */

/** A run that ended without a trusted time; its first and last frame, and what its clock showed, Unix ms. */
export interface UnanchoredBoot {
  readonly boot: string;
  readonly first_number: number;
  readonly last_number: number;
  readonly start_ms: number;
  readonly end_ms: number;
}

/**
 * Moves runs so that each begins after the one before ended, and the last one ends before `nextStartMs`. How long the
 * power was off is not known: a run that lies within its bounds stays. Gives only runs that move.
 */
export function boundBoots(
  boots: readonly UnanchoredBoot[],
  nextStartMs: number,
): Array<UnanchoredBoot & { readonly correction_ms: number }> {
  const moved = boots.map((one) => ({ ...one, correction_ms: 0 }));
  let endMs = -Infinity;
  for (const one of moved) {
    one.correction_ms = Math.max(0, endMs - one.start_ms);
    endMs = Math.max(endMs, one.end_ms + one.correction_ms);
  }
  // Last, because the start of the run that knows the time is the surest of all bounds.
  let startMs = nextStartMs;
  for (const one of moved.toReversed()) {
    one.correction_ms = Math.round(Math.min(one.correction_ms, startMs - one.end_ms));
    startMs = one.start_ms + one.correction_ms;
  }
  return moved.filter(({ correction_ms }) => correction_ms !== 0);
}
