/** What the village made, used and missed since local midnight. */
import {
  deadVoltageV,
  energyKwh,
  localDayStartMs,
  resolutionMs,
  windowStartMs,
  voltageFigures,
  type Summary,
} from '@villagrid/contracts';
import type { GridPort } from '../ports.js';
import { devicePeriodS } from './figures.js';
import { nominal } from './supply-spans.js';
import { figureSource, sourceDevices, windowsOfFigure } from './windows.js';

const quarterMs = resolutionMs['15m'];
const minuteMs = resolutionMs['1m'];

/** Figures whose presence tells how complete the day is, first wired one counts. */
const witnesses = ['consumption_kw', 'generation_kw', 'battery_soc_pct', 'ac_output_voltage_v'];

/** Makes `today` of the summary. Energies are null for figures that are not wired or have no data today. */
export async function todayView(grid: GridPort, nowMs: number): Promise<Summary['today']> {
  const site = grid.site();
  const fromMs = localDayStartMs(site.zone, nowMs);
  const [generation, consumption, battery, off, completeness] = await Promise.all([
    energyToday(grid, 'generation_kw', fromMs, nowMs),
    energyToday(grid, 'consumption_kw', fromMs, nowMs),
    energyToday(grid, 'battery_power_kw', fromMs, nowMs),
    withoutPowerMinutes(grid, fromMs, nowMs),
    dayCompleteness(grid, fromMs, nowMs),
  ]);
  return {
    from_ms: fromMs,
    generation_kwh: generation?.net ?? null,
    consumption_kwh: consumption?.net ?? null,
    battery_charge_kwh: battery?.positive ?? null,
    battery_discharge_kwh: battery?.negative ?? null,
    without_power_min: off,
    completeness_pct: completeness,
  };
}

/** Energy of a power figure since `fromMs`: closed quarter hours, then minutes. */
async function energyToday(
  grid: GridPort,
  metric: string,
  fromMs: number,
  nowMs: number,
): Promise<{ readonly net: number; readonly positive: number; readonly negative: number } | undefined> {
  const tailMs = Math.max(fromMs, windowStartMs(nowMs, '15m'));
  const [quarters, minutes] = await Promise.all([
    tailMs > fromMs ? windowsOfFigure(grid, metric, '15m', fromMs, tailMs) : undefined,
    windowsOfFigure(grid, metric, '1m', tailMs, nowMs),
  ]);
  if ((quarters?.t.length ?? 0) + minutes.t.length === 0) return undefined;
  const empty = { kwh: 0, positiveKwh: 0, negativeKwh: 0 };
  const a = quarters === undefined ? empty : energyKwh(quarters, quarterMs);
  const b = energyKwh(minutes, minuteMs);
  const round = (kwh: number) => Math.round(kwh * 100) / 100;
  return {
    net: round(a.kwh + b.kwh),
    positive: round(a.positiveKwh + b.positiveKwh),
    negative: round(a.negativeKwh + b.negativeKwh),
  };
}

/** Minutes in which no voltage reached the village; the minutes are only read from the first quarter hour with a dead line on. */
async function withoutPowerMinutes(grid: GridPort, fromMs: number, nowMs: number): Promise<number | null> {
  const deadV = deadVoltageV(nominal(grid).nominalV);
  const metrics = voltageFigures(Object.keys(grid.site().wiring));
  const tailMs = Math.max(fromMs, windowStartMs(nowMs, '15m'));
  let firstMs = tailMs;
  let known = false;
  for (const metric of tailMs > fromMs ? metrics : []) {
    const quarters = await windowsOfFigure(grid, metric, '15m', fromMs, tailMs);
    known ||= quarters.t.length > 0;
    const at = quarters.min.findIndex((min) => min < deadV);
    if (at >= 0) firstMs = Math.min(firstMs, quarters.t[at] as number);
  }
  const brightest = new Map<number, number>();
  for (const metric of metrics) {
    const minutes = await windowsOfFigure(grid, metric, '1m', firstMs, nowMs);
    for (const [at, timeMs] of minutes.t.entries())
      brightest.set(timeMs, Math.max(brightest.get(timeMs) ?? 0, minutes.mean[at] as number));
  }
  if (!known && brightest.size === 0) return null;
  return [...brightest.values()].filter((volts) => volts < deadV).length;
}

/** Share of the day's closed windows that hold data, percent; null in the first window of a day. */
async function dayCompleteness(grid: GridPort, fromMs: number, nowMs: number): Promise<number | null> {
  const site = grid.site();
  const metric = witnesses.find((one) => figureSource(site, one).kind !== 'none');
  if (metric === undefined) return null;
  const devices = sourceDevices(site, figureSource(site, metric));
  const slow = devices.some((deviceId) => devicePeriodS(site, deviceId) * 1000 > minuteMs);
  const resolution = slow ? '15m' : '1m';
  const width = resolutionMs[resolution];
  const closedMs = windowStartMs(nowMs, resolution);
  const expected = Math.floor((closedMs - fromMs) / width);
  if (expected <= 0) return null;
  const { t } = await windowsOfFigure(grid, metric, resolution, fromMs, closedMs);
  return Math.min(100, Math.round((t.length / expected) * 1000) / 10);
}
