/** What every telemetry store does alike once it has its windows: local days, the metric's unit, the order of series. Pure. */
import {
  emptyColumns,
  resolutionMs,
  type Resolution,
  type RollupWindow,
  type WindowColumns,
} from '@villagrid/contracts';
import { dayBoundaries, foldDays } from './days.js';
import type { StoredResolution } from './schema.js';
import type { SeriesKey } from './types.js';

/** What is asked of one series. */
export interface WindowQuestion {
  readonly resolution: Resolution;
  readonly fromMs: number;
  readonly toMs: number;
  /** IANA zone whose local days `1d` means. */
  readonly zone: string;
  /** What stored numbers are divided by: 10^precision of the series. */
  readonly factor: number;
}

/** Gives the windows of a stored resolution that begin in [fromMs, toMs), in order, scaled. */
export type StoredWindows = (resolution: StoredResolution, fromMs: number, toMs: number) => Iterable<RollupWindow>;

/** Answers from stored windows; days are folded from hours, and from quarter hours where a day begins within an hour. */
export function windowColumns(question: WindowQuestion, stored: StoredWindows): WindowColumns {
  const columns = emptyColumns();
  const { factor } = question;
  // Column by column, without a window of its own for each: a year has nine thousand.
  const { t, min, mean, max, last, count } = columns;
  for (const window of scaledWindows(question, stored)) {
    t.push(window.startMs);
    min.push(window.min / factor);
    mean.push(window.sum / factor / window.count);
    max.push(window.max / factor);
    last.push(window.last / factor);
    count.push(window.count);
  }
  return columns;
}

function scaledWindows(
  { resolution, fromMs, toMs, zone }: WindowQuestion,
  stored: StoredWindows,
): Iterable<RollupWindow> {
  if (resolution !== '1d') {
    const widthMs = resolutionMs[resolution];
    return stored(resolution, Math.floor(fromMs / widthMs) * widthMs, toMs);
  }
  const days = dayBoundaries(zone, fromMs, toMs);
  return foldDays(hoursAround(days, stored), days);
}

/** Hours; of an hour in which a day begins (zones of :30 and :45) its quarter hours. */
function* hoursAround(days: readonly number[], stored: StoredWindows): Generator<RollupWindow> {
  const hour = resolutionMs['1h'];
  let fromMs = days[0] as number;
  for (const start of days) {
    if (start % hour === 0) continue;
    const hourMs = Math.floor(start / hour) * hour;
    if (hourMs > fromMs) yield* stored('1h', fromMs, hourMs);
    yield* stored('15m', Math.max(fromMs, hourMs), Math.min(days.at(-1) as number, hourMs + hour));
    fromMs = hourMs + hour;
  }
  if ((days.at(-1) as number) > fromMs) yield* stored('1h', fromMs, days.at(-1) as number);
}

/** Starts of hours in [fromMs, toMs) within which a local day begins: days need their quarter hours. */
export function dividedHours(zone: string, fromMs: number, toMs: number): ReadonlySet<number> {
  const hour = resolutionMs['1h'];
  const within = dayBoundaries(zone, fromMs, toMs).filter((start) => start % hour !== 0);
  return new Set(within.map((start) => Math.floor(start / hour) * hour));
}

/** The order in which stores name series: by device, then by metric. */
export function bySeries(a: SeriesKey, b: SeriesKey): number {
  if (a.deviceId !== b.deviceId) return a.deviceId < b.deviceId ? -1 : 1;
  return a.metric < b.metric ? -1 : a.metric > b.metric ? 1 : 0;
}
