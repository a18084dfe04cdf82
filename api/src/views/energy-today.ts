/**
 * Energy of a figure since local midnight: what the device's own counter counted, else the power integrated over the
 * time that was measured. A counter goes on over gaps and restarts, so the total of a day does not fall.
 */
import {
  counterSteps,
  energyKwh,
  resolutionMs,
  type Site,
  type WindowColumns,
  type Wire,
  type WireTerm,
} from '@villagrid/contracts';
import type { GridPort } from '../ports.js';
import { figureSource, sourcePeriodsS, windowsOfFigure } from './windows.js';

const quarterMs = resolutionMs['15m'];
/** How far before midnight the counter's last reading is looked for: over a long weekend without a gateway. */
const contextMs = 3 * 86_400_000;
/** A counter that has said nothing for so long, and nothing today, is not waited for. */
const aliveMs = 2 * quarterMs;
/** How much faster than the highest power seen a counter may run: readings stand anywhere in their minute. */
const rateMargin = 4;

/** Which part of a power is meant: what flows one way, or the other as a positive energy. */
export type PowerPart = 'positive' | 'negative';

/** Energy since `fromMs` (local midnight) in kWh, two decimals; null when nothing tells it. */
export async function energyToday(
  grid: GridPort,
  counter: string,
  power: string,
  part: PowerPart,
  fromMs: number,
  nowMs: number,
): Promise<number | null> {
  const powers = await windowsOfFigure(grid, power, '15m', fromMs - contextMs, nowMs);
  const counted = await countedToday(grid, counter, maxPerHour(powers, grid.site()), fromMs, nowMs);
  const rest =
    counted === undefined || counted.fromMs > fromMs
      ? await integrated(grid, power, part, fromMs, counted?.fromMs ?? nowMs, nowMs)
      : undefined;
  if (counted === undefined && rest === undefined) return null;
  return Math.round(((counted?.kwh ?? 0) + (rest ?? 0)) * 100) / 100;
}

/** Most that a counter beside this power may gain in an hour, kWh. */
function maxPerHour({ min, max }: WindowColumns, { plant }: Site): number {
  let peak = Math.max(1, plant.pv_kwp ?? 0);
  for (const [at, high] of max.entries()) peak = Math.max(peak, high, -(min[at] as number));
  return rateMargin * peak;
}

/** What the counters of a figure counted, and since when they know it; undefined when they do not tell. */
async function countedToday(
  grid: GridPort,
  metric: string,
  perHour: number,
  fromMs: number,
  nowMs: number,
): Promise<{ readonly kwh: number; readonly fromMs: number } | undefined> {
  const source = figureSource(grid.site(), metric);
  if (source.kind !== 'wire') return undefined;
  let kwh = 0;
  let since = Number.POSITIVE_INFINITY;
  for (const term of (source.wire as Wire).terms) {
    const one = await countedByOne(grid, term, perHour, fromMs, nowMs);
    if (one === undefined) return undefined;
    kwh += one.kwh;
    since = Math.min(since, one.fromMs);
  }
  return { kwh, fromMs: Math.max(fromMs, since) };
}

async function countedByOne(
  grid: GridPort,
  { device_id, metric, factor }: WireTerm,
  perHour: number,
  fromMs: number,
  nowMs: number,
): Promise<{ readonly kwh: number; readonly fromMs: number } | undefined> {
  const times: number[] = [];
  const readings: number[] = [];
  for (const [resolution, startMs, endMs] of [
    ['15m', fromMs - contextMs, fromMs],
    ['1m', fromMs, nowMs],
  ] as const) {
    const { t, max, last } = await grid.windows(device_id, metric, resolution, startMs, endMs);
    for (const [at, timeMs] of t.entries()) {
      // The last reading of a window stands at its end; that of the running one is as new as now.
      const readMs = Math.min(timeMs + resolutionMs[resolution], nowMs);
      // A counter that fell within the window was at its highest before.
      if ((max[at] as number) > (last[at] as number)) {
        times.push(readMs);
        readings.push(max[at] as number);
      }
      times.push(readMs);
      readings.push(last[at] as number);
    }
  }
  const newestMs = times.at(-1);
  if (newestMs === undefined || (newestMs <= fromMs && nowMs - newestMs > aliveMs)) return undefined;
  let kwh = 0;
  for (const step of counterSteps(times, readings, { maxPerHour: perHour })) {
    const [startMs, endMs] = [times[step.from] as number, times[step.to] as number];
    if (endMs <= fromMs) continue;
    // Of what was counted over midnight today has its share by time.
    kwh += step.amount * Math.min(1, (endMs - fromMs) / Math.max(1, endMs - startMs));
  }
  return { kwh: kwh * factor, fromMs: times[0] as number };
}

/** Power integrated over the measured time of [fromMs, toMs); undefined when nothing was measured. */
async function integrated(
  grid: GridPort,
  metric: string,
  part: PowerPart,
  fromMs: number,
  toMs: number,
  nowMs: number,
): Promise<number | undefined> {
  const site = grid.site();
  const source = figureSource(site, metric);
  if (source.kind === 'none') return undefined;
  const periodMs = Math.max(...sourcePeriodsS(site, source)) * 1000;
  const resolution = periodMs > resolutionMs['1m'] ? '15m' : '1m';
  const widthMs = resolutionMs[resolution];
  const columns = await windowsOfFigure(grid, metric, resolution, fromMs - widthMs, toMs);
  if (!columns.t.some((timeMs) => timeMs >= fromMs)) return undefined;
  const { positiveKwh, negativeKwh } = energyKwh(columns, { widthMs, periodMs, fromMs, nowMs });
  return part === 'positive' ? positiveKwh : negativeKwh;
}
