/** A rollup window: minimum, maximum, mean, last and count of the good samples in it. */

/** What one window holds; `sum` and `count` make the mean, so windows add up exactly. */
export interface RollupWindow {
  startMs: number;
  min: number;
  max: number;
  sum: number;
  count: number;
  last: number;
  lastMs: number;
}

/** A window of one sample. */
export function windowOf(startMs: number, timeMs: number, value: number): RollupWindow {
  return { startMs, min: value, max: value, sum: value, count: 1, last: value, lastMs: timeMs };
}

/** Adds one sample to a window. */
export function foldSample(window: RollupWindow, timeMs: number, value: number): void {
  if (value < window.min) window.min = value;
  if (value > window.max) window.max = value;
  window.sum += value;
  window.count += 1;
  if (timeMs >= window.lastMs) {
    window.last = value;
    window.lastMs = timeMs;
  }
}

/** Adds another window's samples to a window. */
export function foldWindow(window: RollupWindow, other: RollupWindow): void {
  if (other.min < window.min) window.min = other.min;
  if (other.max > window.max) window.max = other.max;
  window.sum += other.sum;
  window.count += other.count;
  if (other.lastMs >= window.lastMs) {
    window.last = other.last;
    window.lastMs = other.lastMs;
  }
}

/** Columns of windows of one series, in order of time. */
export interface WindowColumns {
  readonly t: number[];
  readonly min: number[];
  readonly mean: number[];
  readonly max: number[];
  readonly last: number[];
  readonly count: number[];
}

/** Empty columns. */
export const emptyColumns = (): WindowColumns => ({ t: [], min: [], mean: [], max: [], last: [], count: [] });

/** Appends a window to columns. */
export function appendWindow(columns: WindowColumns, window: RollupWindow): void {
  columns.t.push(window.startMs);
  columns.min.push(window.min);
  columns.mean.push(window.sum / window.count);
  columns.max.push(window.max);
  columns.last.push(window.last);
  columns.count.push(window.count);
}
