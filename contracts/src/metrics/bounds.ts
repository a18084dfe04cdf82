/**
 * Totals over gaps. What was not measured is neither zero nor an outage: it is filled with what the same hour of other
 * days held - its mean for the value, its least and its most for the bounds.
 */
import type { QuarterAmounts } from './energy.js';
import { quarterHours, quarterStartMs, type QuarterRaster } from './raster.js';

/** Amounts of a raster without holes. NaN only where nothing at all can be said (before the first measurement). */
export interface FilledAmounts {
  readonly source: QuarterAmounts;
  /** Quarter hour of the first measurement; -1 without any. */
  readonly first: number;
  readonly value: Float64Array;
  readonly low: Float64Array;
  readonly high: Float64Array;
}

/** Other days that are asked about a gap, to either side. */
const nearDays = 14;
/** Fewer days than this know the hour too little to bound it by themselves. */
const enoughDays = 5;
/** How far the most that was ever seen is stretched where too few days know the hour. */
const stretch = 1.25;

interface Cell {
  sum: number;
  count: number;
  min: number;
  max: number;
}

/**
 * Fills the gaps up to `untilMs` (what lies after it has not happened, or not wholly). Nothing is filled before the first
 * known quarter hour nor in it: the plant may not have been there. `signed` amounts may fall below zero.
 */
export function fillGaps(
  raster: QuarterRaster,
  source: QuarterAmounts,
  untilMs: number,
  signed = false,
): FilledAmounts {
  const value = new Float64Array(raster.length).fill(Number.NaN);
  const low = value.slice();
  const high = value.slice();
  const first = source.known.findIndex((share) => share > 0);
  const filled: FilledAmounts = { source, first, value, low, high };
  if (first < 0) return filled;
  const cells = hourCells(raster, source, untilMs);
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const cell of cells.values()) {
    least = Math.min(least, cell.min);
    most = Math.max(most, cell.max);
  }
  const floor = signed ? least - (stretch - 1) * Math.abs(least) : 0;
  const ceiling = most + (stretch - 1) * Math.abs(most);
  const asked = new Map<number, { mean: number; low: number; high: number }>();
  for (let at = first; at < raster.length && quarterStartMs(raster, at) < untilMs; at += 1) {
    const known = source.known[at] as number;
    const amount = known > 0 ? (source.amount[at] as number) : 0;
    if (known >= 1 || at === first) {
      value[at] = amount;
      low[at] = amount;
      high[at] = amount + (source.more[at] as number);
      continue;
    }
    const key = (raster.day[at] as number) * 24 + (raster.hour[at] as number);
    let usual = asked.get(key);
    if (usual === undefined) asked.set(key, (usual = usualOf(cells, raster, key, floor, ceiling)));
    const missing = 1 - known;
    value[at] = amount + usual.mean * missing;
    low[at] = amount + usual.low * missing;
    high[at] = amount + usual.high * missing + (source.more[at] as number);
  }
  return filled;
}

/** Per local day and hour, the amounts of its whole quarter hours up to `untilMs`. */
function hourCells(
  raster: QuarterRaster,
  { amount, known, measured }: QuarterAmounts,
  untilMs: number,
): Map<number, Cell> {
  const cells = new Map<number, Cell>();
  // A counter's quarter hour that still runs holds the minutes so far, and would pass for a whole one.
  for (let at = 0; at < raster.length && quarterStartMs(raster, at) < untilMs; at += 1) {
    // Half a quarter hour tells of its rest; what a counter spread over a gap tells nothing of the hour.
    if ((known[at] as number) < 0.5 || (measured[at] as number) < 0.5) continue;
    const one = (amount[at] as number) / (known[at] as number);
    const key = (raster.day[at] as number) * 24 + (raster.hour[at] as number);
    const cell = cells.get(key);
    if (cell === undefined) cells.set(key, { sum: one, count: 1, min: one, max: one });
    else {
      cell.sum += one;
      cell.count += 1;
      cell.min = Math.min(cell.min, one);
      cell.max = Math.max(cell.max, one);
    }
  }
  return cells;
}

function usualOf(
  cells: ReadonlyMap<number, Cell>,
  raster: QuarterRaster,
  key: number,
  floor: number,
  ceiling: number,
): { mean: number; low: number; high: number } {
  const hour = key % 24;
  const day = Math.floor(key / 24);
  const near = gather(cells, hour, Math.max(0, day - nearDays), Math.min(raster.days.length - 1, day + nearDays));
  const found = near.days >= enoughDays ? near : gather(cells, hour, 0, raster.days.length - 1);
  if (found.days === 0) {
    const all = gatherAll(cells);
    return { mean: all, low: floor, high: ceiling };
  }
  const mean = found.sum / found.count;
  return found.days >= enoughDays
    ? { mean, low: found.min, high: found.max }
    : { mean, low: Math.min(floor, found.min), high: Math.max(ceiling, found.max) };
}

function gather(cells: ReadonlyMap<number, Cell>, hour: number, firstDay: number, lastDay: number) {
  const found = { days: 0, sum: 0, count: 0, min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY };
  for (let day = firstDay; day <= lastDay; day += 1) {
    const cell = cells.get(day * 24 + hour);
    if (cell === undefined) continue;
    found.days += 1;
    found.sum += cell.sum;
    found.count += cell.count;
    found.min = Math.min(found.min, cell.min);
    found.max = Math.max(found.max, cell.max);
  }
  return found;
}

function gatherAll(cells: ReadonlyMap<number, Cell>): number {
  let sum = 0;
  let count = 0;
  for (const cell of cells.values()) {
    sum += cell.sum;
    count += cell.count;
  }
  return count === 0 ? Number.NaN : sum / count;
}

/** A total over quarter hours [from, to) of a raster. */
export interface Total {
  /** Null when nothing of it was measured. */
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  /** Share that was measured. */
  readonly completeness: number;
  /** Time the value stands for, measured or filled, h: what an average of it divides by. */
  readonly hours: number;
  /** Whether part of the value was filled from other days. */
  readonly estimate: boolean;
}

/**
 * Adds up filled amounts of quarter hours [from, to). Completeness is of `quarters`: fewer than asked for, and not whole,
 * where the plant began within the first.
 */
export function totalOf(
  { source, first, value, low, high }: FilledAmounts,
  from: number,
  to: number,
  quarters = to - from,
): Total {
  let [sum, least, most, measured, known, filled] = [0, 0, 0, 0, 0, 0];
  for (let at = from; at < to; at += 1) {
    measured += source.measured[at] as number;
    if (Number.isNaN(value[at] as number)) continue;
    known += source.known[at] as number;
    if (at !== first) filled += 1 - (source.known[at] as number);
    sum += value[at] as number;
    least += low[at] as number;
    most += high[at] as number;
  }
  const completeness = to > from && quarters > 0 ? Math.min(1, measured / quarters) : 0;
  if (known === 0) return { value: null, low: null, high: null, completeness, hours: 0, estimate: false };
  const hours = (known + filled) * quarterHours;
  return { value: sum, low: least, high: most, completeness, hours, estimate: filled > 0 };
}
