/** Series made ready for drawing: aligned to one raster of times, with nulls where nothing was measured. Pure. */
import type { History } from '@villagrid/contracts';

/** Windows of one width, all series on the same times. Values are null where nothing was measured. */
export interface AlignedHistory {
  readonly stepMs: number;
  readonly times: number[];
  readonly series: Record<string, { mean: (number | null)[]; min: (number | null)[]; max: (number | null)[] }>;
}

/** The last 24 hours of a grid. */
export interface DayHistory extends AlignedHistory {
  /** Server time it was fetched at, Unix ms. */
  readonly fetchedAtMs: number;
}

/** Hours of a day chart in ms, and the width of its windows. */
export const dayMs = 86_400_000;
export const dayStepMs = 300_000;

/**
 * Lays series on a raster from `fromMs` to `toMs` in steps of `stepMs`, starting at a multiple of the step as seen from
 * `anchorMs` (windows of local days are not aligned to UTC, and may come an hour early or late). Several windows in a step
 * are averaged by their counts; the server folds most of them already.
 */
export function align(
  history: History,
  options: { fromMs: number; toMs: number; stepMs: number; anchorMs?: number },
): AlignedHistory {
  const { fromMs, toMs, stepMs } = options;
  const anchor = options.anchorMs ?? 0;
  const early = anchor === 0 ? 0 : 0.25;
  const first = Math.floor((fromMs - anchor) / stepMs) * stepMs + anchor;
  const length = Math.max(1, Math.floor((toMs - first) / stepMs) + 1);
  const times = Array.from({ length }, (_, i) => first + i * stepMs);
  const series: AlignedHistory['series'] = {};
  for (const one of history.series) {
    const sum = new Float64Array(length);
    const weight = new Float64Array(length);
    const min = new Array<number | null>(length).fill(null);
    const max = new Array<number | null>(length).fill(null);
    one.times_ms.forEach((time, i) => {
      const at = Math.floor((time - first) / stepMs + early);
      const mean = one.mean[i] ?? null;
      if (at < 0 || at >= length || mean === null) return;
      const samples = one.count[i] || 1;
      sum[at] = (sum[at] ?? 0) + mean * samples;
      weight[at] = (weight[at] ?? 0) + samples;
      const low = one.min[i] ?? mean;
      const high = one.max[i] ?? mean;
      min[at] = Math.min(min[at] ?? low, low);
      max[at] = Math.max(max[at] ?? high, high);
    });
    const mean = Array.from(weight, (n, i) => (n === 0 ? null : (sum[i] ?? 0) / n));
    series[one.metric] = { mean, min, max };
  }
  return { stepMs, times, series };
}

/** A stretch without data, Unix ms. */
export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Stretches in which none of the series has data, at least `atLeast` steps long. The newest step may still be filling. */
export function gaps(history: AlignedHistory, metrics: readonly string[], atLeast = 2): Gap[] {
  const columns = metrics.map((metric) => history.series[metric]?.mean).filter((column) => column !== undefined);
  const found: Gap[] = [];
  if (columns.length === 0) return found;
  let start = -1;
  const { times, stepMs } = history;
  for (let i = 0; i <= times.length; i += 1) {
    const empty = i < times.length && columns.every((column) => (column[i] ?? null) === null);
    if (empty && start < 0) start = i;
    if (!empty && start >= 0) {
      if (i - start >= atLeast) found.push({ fromMs: times[start] ?? 0, toMs: (times[i - 1] ?? 0) + stepMs });
      start = -1;
    }
  }
  return found;
}

/** Bridges holes shorter than a gap so that a slow sensor's line is not broken: linear between neighbours. */
export function bridged(values: readonly (number | null)[], longest = 2): (number | null)[] {
  const out = [...values];
  let last = -1;
  for (let i = 0; i < out.length; i += 1) {
    const value = out[i] ?? null;
    if (value === null) continue;
    const hole = i - last - 1;
    if (last >= 0 && hole > 0 && hole < longest) {
      const before = out[last] as number;
      for (let k = 1; k <= hole; k += 1) out[last + k] = before + ((value - before) * k) / (hole + 1);
    }
    last = i;
  }
  return out;
}

/** The day with the newest figures put into its last window; the raster moves on as time passes. */
export function withNewest(
  day: DayHistory,
  nowMs: number,
  newest: Readonly<Record<string, { value: number | null; time_ms: number | null } | undefined>>,
): DayHistory {
  const { stepMs } = day;
  const firstWanted = Math.floor((nowMs - dayMs) / stepMs) * stepMs;
  const start = Math.max(0, Math.round((firstWanted - (day.times[0] ?? 0)) / stepMs));
  const length = Math.floor((nowMs - firstWanted) / stepMs) + 1;
  if (start > day.times.length || length > 2000) return day;
  const shift = (values: readonly (number | null)[]) => Array.from({ length }, (_, i) => values[start + i] ?? null);
  const series: AlignedHistory['series'] = {};
  for (const [metric, columns] of Object.entries(day.series)) {
    const next = { mean: shift(columns.mean), min: shift(columns.min), max: shift(columns.max) };
    const figure = newest[metric];
    if (figure?.value !== null && figure?.value !== undefined && figure.time_ms !== null) {
      const at = Math.floor((figure.time_ms - firstWanted) / stepMs);
      if (at >= 0 && at < length) {
        const { value } = figure;
        next.mean[at] = next.mean[at] ?? value;
        // The window that is filling ends at the newest value, so that the line meets the figure above it.
        if (at >= length - 2) next.mean[at] = value;
        next.min[at] = Math.min(next.min[at] ?? value, value);
        next.max[at] = Math.max(next.max[at] ?? value, value);
      }
    }
    series[metric] = next;
  }
  return { ...day, times: Array.from({ length }, (_, i) => firstWanted + i * stepMs), series };
}

/** Lowest, highest and last value of a column; undefined when it is empty. */
export function extent(values: readonly (number | null)[]): { min: number; max: number; last: number } | undefined {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let last: number | undefined;
  for (const value of values) {
    if (value === null) continue;
    if (value < min) min = value;
    if (value > max) max = value;
    last = value;
  }
  return last === undefined ? undefined : { min, max, last };
}
