/** Neighbouring windows folded into fewer, wider ones, so that an answer fits a screen: the same on phone, gateway and cloud. */
import { localDayStartMs, resolutionMs, windowStartMs, zoneOffsetMs, type Resolution } from './resolution.js';
import { emptyColumns, type WindowColumns } from './window.js';

/** Windows of a resolution taken together: so many at a time. Days are the zone's. */
export interface Folding {
  readonly resolution: Resolution;
  readonly zone: string;
  /** Stored windows in one, 1 or more. */
  readonly by: number;
}

/** Width of a folded window in milliseconds; nominal for days. */
export const foldedWidthMs = ({ resolution, by }: Folding): number => resolutionMs[resolution] * by;

/**
 * Start of the folded window that holds a time, Unix ms. Folded windows are counted from 1970 on (days by their date), so
 * they lie where they lie whatever range is asked.
 */
export function foldedStartMs(folding: Folding, timeMs: number): number {
  const { resolution, zone, by } = folding;
  if (resolution !== '1d') {
    const width = foldedWidthMs(folding);
    return by === 1 ? windowStartMs(timeMs, resolution) : Math.floor(timeMs / width) * width;
  }
  const start = localDayStartMs(zone, timeMs);
  if (by === 1) return start;
  const offset = zoneOffsetMs(zone, start);
  const date = Math.floor((start + offset) / resolutionMs['1d']);
  const first = Math.floor(date / by) * by;
  // Noon of a date is on it, whatever the zone did meanwhile.
  return localDayStartMs(zone, (first + 0.5) * resolutionMs['1d'] - offset);
}

/** Start of the folded window after the one that holds a time, Unix ms. */
export function foldedEndMs(folding: Folding, timeMs: number): number {
  const start = foldedStartMs(folding, timeMs);
  const end = start + foldedWidthMs(folding);
  return folding.resolution === '1d' ? localDayStartMs(folding.zone, end + resolutionMs['1d'] / 2) : end;
}

/**
 * The least folding with which a range has at most `points` windows, and where the first one starts. A first window that
 * the range only touches is left out when it would be one too many.
 */
export function foldingOf(
  range: { readonly fromMs: number; readonly toMs: number },
  resolution: Resolution,
  zone: string,
  points: number,
): { readonly folding: Folding; readonly fromMs: number } {
  const { fromMs, toMs } = range;
  const by = Math.max(1, Math.ceil((toMs - fromMs) / resolutionMs[resolution] / points));
  const folding = { resolution, zone, by };
  const width = foldedWidthMs(folding);
  const last = foldedStartMs(folding, toMs - 1);
  let start = foldedStartMs(folding, fromMs);
  // Rounded, because a local day may be an hour longer or shorter than its width.
  while (Math.round((last - start) / width) >= points) start = foldedEndMs(folding, start);
  return { folding, fromMs: start };
}

/**
 * Folds columns: minimum of minima, maximum of maxima, means weighted by their counts, the last of the last window,
 * counts added. What is empty stays empty.
 */
export function foldWindowColumns(columns: WindowColumns, folding: Folding): WindowColumns {
  if (folding.by === 1) return columns;
  const out = emptyColumns();
  let endMs = Number.NEGATIVE_INFINITY;
  let at = -1;
  let sum = 0;
  for (const [i, timeMs] of columns.t.entries()) {
    const [min, max, count] = [columns.min[i] as number, columns.max[i] as number, columns.count[i] as number];
    if (timeMs >= endMs) {
      const startMs = foldedStartMs(folding, timeMs);
      endMs = foldedEndMs(folding, startMs);
      at += 1;
      sum = 0;
      out.t.push(startMs);
      out.min.push(min);
      out.max.push(max);
      out.mean.push(0);
      out.last.push(0);
      out.count.push(0);
    }
    sum += (columns.mean[i] as number) * count;
    out.min[at] = Math.min(out.min[at] as number, min);
    out.max[at] = Math.max(out.max[at] as number, max);
    out.count[at] = (out.count[at] as number) + count;
    out.mean[at] = sum / (out.count[at] as number);
    out.last[at] = columns.last[i] as number;
  }
  return out;
}
