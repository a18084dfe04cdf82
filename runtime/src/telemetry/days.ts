/** Local days: where they begin, and windows folded into them. Pure. */
import { foldWindow, localDayStartMs, type RollupWindow } from '@villagrid/contracts';

/** Starts of the local days that touch [fromMs, toMs), and the start of the day after. */
export function dayBoundaries(zone: string, fromMs: number, toMs: number): number[] {
  const starts = [localDayStartMs(zone, fromMs)];
  for (let start = starts[0] as number; start < toMs; starts.push(start)) {
    // 26 hours on is in the morning of the next day, be this one 23, 24 or 25 hours long.
    const next = localDayStartMs(zone, start + 26 * 3_600_000);
    start = next > start ? next : start + 86_400_000;
  }
  return starts;
}

/** Folds windows, in order of time, into the days between the boundaries; days without any are left out. */
export function foldDays(windows: Iterable<RollupWindow>, boundaries: readonly number[]): RollupWindow[] {
  const days: RollupWindow[] = [];
  let at = 0;
  let day: RollupWindow | undefined;
  for (const window of windows) {
    while (at + 1 < boundaries.length && window.startMs >= (boundaries[at + 1] as number)) {
      at += 1;
      day = undefined;
    }
    if (day) foldWindow(day, window);
    else days.push((day = { ...window, startMs: boundaries[at] as number }));
  }
  return days;
}
