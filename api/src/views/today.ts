/** What the village made, used and missed since local midnight. */
import {
  deadVoltageV,
  localDayStartMs,
  measuredTimesMs,
  resolutionMs,
  windowStartMs,
  voltageFigures,
  type Summary,
} from '@villagrid/contracts';
import type { GridPort } from '../ports.js';
import { energyToday } from './energy-today.js';
import { nominal } from './supply-spans.js';
import { figureSource, sourcePeriodsS, windowsOfFigure } from './windows.js';

const minuteMs = resolutionMs['1m'];

/** Figures whose presence tells how complete the day is, first wired one counts. */
const witnesses = ['consumption_kw', 'generation_kw', 'battery_soc_pct', 'ac_output_voltage_v'];

/** Makes `today` of the summary. Energies are null for figures that are not wired or have no data today. */
export async function todayView(grid: GridPort, nowMs: number): Promise<Summary['today']> {
  const site = grid.site();
  const fromMs = localDayStartMs(site.zone, nowMs);
  const [generation, consumption, charge, discharge, off, completeness] = await Promise.all([
    energyToday(grid, 'generation_energy_kwh', 'generation_kw', 'positive', fromMs, nowMs),
    energyToday(grid, 'consumption_energy_kwh', 'consumption_kw', 'positive', fromMs, nowMs),
    energyToday(grid, 'battery_charge_energy_kwh', 'battery_power_kw', 'positive', fromMs, nowMs),
    energyToday(grid, 'battery_discharge_energy_kwh', 'battery_power_kw', 'negative', fromMs, nowMs),
    withoutPowerMinutes(grid, fromMs, nowMs),
    dayCompleteness(grid, fromMs, nowMs),
  ]);
  return {
    from_ms: fromMs,
    generation_kwh: generation,
    consumption_kwh: consumption,
    battery_charge_kwh: charge,
    battery_discharge_kwh: discharge,
    without_power_min: off,
    completeness_pct: completeness,
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

/** Measured share of the day so far, percent; null in the first window of a day. */
async function dayCompleteness(grid: GridPort, fromMs: number, nowMs: number): Promise<number | null> {
  const site = grid.site();
  const metric = witnesses.find((one) => figureSource(site, one).kind !== 'none');
  if (metric === undefined) return null;
  const periodMs = Math.max(...sourcePeriodsS(site, figureSource(site, metric))) * 1000;
  const resolution = periodMs > minuteMs ? '15m' : '1m';
  const widthMs = resolutionMs[resolution];
  const closedMs = windowStartMs(nowMs, resolution);
  if (closedMs <= fromMs) return null;
  const windows = await windowsOfFigure(grid, metric, resolution, fromMs - widthMs, closedMs);
  const timing = { widthMs, periodMs, fromMs, nowMs: closedMs };
  const measured = measuredTimesMs(windows, timing).reduce((sum, one) => sum + one, 0);
  return Math.min(100, Math.round((measured / (closedMs - fromMs)) * 1000) / 10);
}
