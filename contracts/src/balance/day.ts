/** A day of a site for the balance check, from the windows its history keeps. */
import { zoneOffsetMs } from '../history/resolution.js';
import type { WindowColumns } from '../history/window.js';
import { expectedSamples } from '../metrics/raster.js';
import type { Site } from '../site/site.js';
import { balancePlant, meterChannels, type BalanceDay, type MeterColumns } from './channels.js';

/** Windows of the check: a quarter hour, over about a day. */
export const balanceWindowMs = 900_000;
export const balanceDayMs = 86_400_000;
/** A window with a smaller share of its samples is a gap. */
const wholeFrom = 0.5;

/** Columns on the day's windows; windows that hold too few samples are gaps. */
function onWindows(columns: WindowColumns, fromMs: number, length: number): MeterColumns {
  const make = () => new Float64Array(length).fill(Number.NaN);
  const out = { mean: make(), min: make(), max: make(), last: make() };
  const expected = expectedSamples(columns.count, Math.max(1, ...columns.count));
  for (const [row, timeMs] of columns.t.entries()) {
    const at = Math.round((timeMs - fromMs) / balanceWindowMs);
    if (at < 0 || at >= length || (columns.count[row] as number) < wholeFrom * expected) continue;
    for (const name of ['mean', 'min', 'max', 'last'] as const) out[name][at] = columns[name][row] as number;
  }
  return out;
}

/** The last whole window before a time ends here, Unix ms. */
export const balanceUntilMs = (timeMs: number): number => Math.floor(timeMs / balanceWindowMs) * balanceWindowMs;

/**
 * Lays windows of 15 minutes, by channel id, on the day that ends at `untilMs` (a multiple of the window).
 * `irradiance` are the windows of the grid's irradiance where it has one.
 */
export function balanceDay(
  site: Site,
  untilMs: number,
  windows: ReadonlyMap<string, WindowColumns>,
  irradiance?: WindowColumns,
): BalanceDay {
  const length = Math.round(balanceDayMs / balanceWindowMs);
  const fromMs = untilMs - balanceDayMs;
  const columns = new Map<string, MeterColumns>();
  for (const [id, one] of windows) columns.set(id, onWindows(one, fromMs, length));
  const dark = new Uint8Array(length);
  for (let at = 0; at < length; at += 1) {
    const timeMs = fromMs + at * balanceWindowMs;
    const hour = Math.floor((timeMs + zoneOffsetMs(site.zone, timeMs)) / 3_600_000) % 24;
    // Between 22 and 4 on the village's clock the sun is down wherever villages have a microgrid.
    if (hour >= 22 || hour < 4) dark[at] = 1;
  }
  return {
    channels: meterChannels(site),
    plant: balancePlant(site),
    fromMs,
    windowMs: balanceWindowMs,
    length,
    columns,
    dark,
    ...(irradiance === undefined ? {} : { irradiance: onWindows(irradiance, fromMs, length).mean }),
  };
}
