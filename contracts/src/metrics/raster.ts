/**
 * The raster every figure is made on: quarter hours, put into local days of the grid's IANA zone. Quarter hours because
 * zones of :30 and :45 begin their days inside an hour of UTC; a local day has 92, 96 or 100 of them.
 */
import { localDayStartMs, resolutionMs, zoneOffsetMs } from '../history/resolution.js';
import type { WindowColumns } from '../history/window.js';

/** Width of a quarter hour, milliseconds and hours. */
export const quarterMs = resolutionMs['15m'];
export const quarterHours = 0.25;

/** A stretch of time, Unix milliseconds, end excluded. */
export interface TimeSpan {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The local days that touch a stretch, whole (23 to 25 hours each), in order. */
export function localDays(zone: string, fromMs: number, toMs: number): TimeSpan[] {
  const days: TimeSpan[] = [];
  for (let startMs = localDayStartMs(zone, fromMs); startMs < toMs; ) {
    // 36 hours on is in the next day, be this one 23, 24 or 25 hours long.
    const nextMs = localDayStartMs(zone, startMs + 36 * 3_600_000);
    days.push({ fromMs: startMs, toMs: nextMs });
    startMs = nextMs;
  }
  return days;
}

/** Year, month (1 to 12) and day of a time in a zone. */
export function localDate(
  zone: string,
  timeMs: number,
): { readonly year: number; readonly month: number; readonly day: number } {
  const local = new Date(timeMs + zoneOffsetMs(zone, timeMs));
  return { year: local.getUTCFullYear(), month: local.getUTCMonth() + 1, day: local.getUTCDate() };
}

/** The local day, month or year that holds a time. */
export function localPeriod(zone: string, period: 'day' | 'month' | 'year', timeMs: number): TimeSpan {
  if (period === 'day') return localDays(zone, timeMs, timeMs + 1)[0] as TimeSpan;
  const { year, month } = localDate(zone, timeMs);
  // Noon of the first is on the first in every zone that is within half a day of UTC.
  const first = (y: number, m: number) => localDayStartMs(zone, Date.UTC(y, m, 1, 12) - zoneOffsetMs(zone, timeMs));
  return period === 'month'
    ? { fromMs: first(year, month - 1), toMs: first(year, month) }
    : { fromMs: first(year, 0), toMs: first(year + 1, 0) };
}

/** Quarter hours of whole local days, with the local day and the local hour of each. */
export interface QuarterRaster {
  readonly zone: string;
  readonly fromMs: number;
  /** How many quarter hours. */
  readonly length: number;
  readonly days: readonly TimeSpan[];
  /** Index into `days`, per quarter hour. */
  readonly day: Uint16Array;
  /** Local hour 0 to 23, per quarter hour. */
  readonly hour: Uint8Array;
}

/** Lays the raster over the local days that touch a stretch. */
export function quarterRaster(zone: string, fromMs: number, toMs: number): QuarterRaster {
  const days = localDays(zone, fromMs, toMs);
  const startMs = days[0]?.fromMs ?? fromMs;
  const length = Math.max(0, Math.round(((days.at(-1)?.toMs ?? startMs) - startMs) / quarterMs));
  const day = new Uint16Array(length);
  const hour = new Uint8Array(length);
  let at = 0;
  for (const [index, { fromMs: dayMs, toMs: endMs }] of days.entries()) {
    const offset = zoneOffsetMs(zone, dayMs);
    // Asking a zone for each quarter hour of a year takes half a second; only days that change their offset need it.
    const steady = endMs - dayMs === 86_400_000 && zoneOffsetMs(zone, endMs - 1) === offset;
    for (let timeMs = dayMs; timeMs < endMs && at < length; timeMs += quarterMs, at += 1) {
      const local = timeMs + (steady ? offset : zoneOffsetMs(zone, timeMs));
      day[at] = index;
      hour[at] = Math.floor(local / 3_600_000) % 24;
    }
  }
  return { zone, fromMs: startMs, length, days, day, hour };
}

/** Start of a quarter hour of the raster, Unix ms. */
export const quarterStartMs = (raster: QuarterRaster, at: number): number => raster.fromMs + at * quarterMs;

/** Index of the quarter hour that holds a time, bounded to the raster (`length` for the end). */
export const quarterAt = (raster: QuarterRaster, timeMs: number): number =>
  Math.max(0, Math.min(raster.length, Math.floor((timeMs - raster.fromMs) / quarterMs)));

/** Columns of one figure on the raster; NaN where nothing was measured. */
export interface DenseQuarters {
  readonly mean: Float64Array;
  readonly min: Float64Array;
  readonly max: Float64Array;
  readonly last: Float64Array;
  /** Measured share of each quarter hour, 0 to 1. */
  readonly coverage: Float64Array;
}

/**
 * Samples a whole window of a series holds: by the period of its device, but not more than nine in ten of its own windows
 * reach. Devices read some of their points more seldom than others, and only the series itself tells.
 */
export function expectedSamples(counts: readonly number[], byPeriod: number): number {
  // Fewer windows than this could all be short by a gap.
  if (counts.length < 4) return Math.max(1, byPeriod);
  // Typed arrays sort numbers ten times as fast, and a year has 35,000.
  const sorted = Float64Array.from(counts).sort();
  return Math.max(1, Math.min(byPeriod, sorted[Math.ceil(0.9 * (sorted.length - 1))] as number));
}

/** From this share of its expected samples on a quarter hour counts as whole: a late sample is no gap. */
const wholeFrom = 0.9;

/**
 * Puts windows of 15 minutes on the raster. `periodS` is how often the slowest source reports, seconds. A source slower than that keeps its value until its next sample is due.
 */
export function denseQuarters(raster: QuarterRaster, columns: WindowColumns, periodS: number): DenseQuarters {
  const make = () => new Float64Array(raster.length).fill(Number.NaN);
  const dense = { mean: make(), min: make(), max: make(), last: make(), coverage: new Float64Array(raster.length) };
  const expected = expectedSamples(columns.count, quarterMs / 1000 / periodS);
  const hold = Math.max(1, Math.round((periodS * 1000) / quarterMs));
  for (const [row, timeMs] of columns.t.entries()) {
    const at = Math.floor((timeMs - raster.fromMs) / quarterMs);
    if (at < 0 || at >= raster.length) continue;
    const share = (columns.count[row] as number) / expected;
    for (let k = at; k < Math.min(raster.length, at + hold); k += 1) {
      dense.mean[k] = columns.mean[row] as number;
      dense.min[k] = columns.min[row] as number;
      dense.max[k] = columns.max[row] as number;
      dense.last[k] = columns.last[row] as number;
      dense.coverage[k] = share >= wholeFrom ? 1 : share;
    }
  }
  return dense;
}
