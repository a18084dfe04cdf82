/** The summary of a grid: figures, verdict, today, devices, plant, limits. */
import {
  makeVerdict,
  standsAlone,
  type Alert,
  type AlertEvent,
  type Summary,
  type Verdict,
} from '@villagrid/contracts';
import type { GridPort, ServerIdentity } from '../ports.js';
import { lastingOf } from '../insight/insights.js';
import { deviceViews, seenDevices } from './devices.js';
import { figureViews, gridFigures, type GridFigures } from './figures.js';
import { maintenanceAtHand } from './grid-records.js';
import { nominal } from './supply-spans.js';
import { windowsOfFigure } from './windows.js';

/** Span of the mean that the time to empty is judged by, milliseconds. */
const batteryMeanMs = 15 * 60_000;

/** Mean battery power of the last quarter of an hour, kW, charging positive; null without data. */
export async function recentBatteryPowerKw(grid: GridPort, nowMs: number): Promise<number | null> {
  const { mean, count } = await windowsOfFigure(grid, 'battery_power_kw', '1m', nowMs - batteryMeanMs, nowMs);
  let sum = 0;
  let weight = 0;
  for (const [at, value] of mean.entries()) {
    sum += value * (count[at] ?? 1);
    weight += count[at] ?? 1;
  }
  return weight === 0 ? null : Math.round((sum / weight) * 1000) / 1000;
}

/** The verdict of a grid. */
export function verdictOf(
  grid: GridPort,
  { figures }: GridFigures,
  active: readonly Alert[],
  batteryPowerKw: number | null,
  nowMs: number,
): Verdict {
  const { nominalV } = nominal(grid);
  return makeVerdict({
    figures,
    plant: grid.site().plant,
    nowMs,
    batteryPowerKw,
    openAlerts: active.filter(standsAlone),
    nominalV,
    lasting: lastingOf(grid, nowMs),
  });
}

/** Makes the summary from facts gathered at `nowMs`. */
export function summaryView(facts: {
  readonly grid: GridPort;
  readonly identity: ServerIdentity;
  readonly active: readonly Alert[];
  readonly records: readonly AlertEvent[];
  readonly batteryPowerKw: number | null;
  readonly today: Summary['today'];
  readonly nowMs: number;
}): Summary {
  const { grid, identity, active, nowMs } = facts;
  const site = grid.site();
  const figures = gridFigures(grid, nowMs);
  const limits: Summary['limits'] = {};
  for (const [metric, { low, high }] of Object.entries(grid.limits()))
    limits[metric] = { ...(low === undefined ? {} : { low }), ...(high === undefined ? {} : { high }) };
  return {
    grid_id: site.grid_id,
    name: site.name,
    zone: site.zone,
    now_ms: nowMs,
    source: {
      kind: identity.kind,
      id: identity.serverId,
      clock_trust: identity.clockTrust(),
      last_reported_ms: grid.lastReportedMs(),
    },
    figures: figureViews(grid, nowMs, figures),
    verdict: verdictOf(grid, figures, active, facts.batteryPowerKw, nowMs),
    today: facts.today,
    devices: seenDevices(deviceViews(grid, nowMs)),
    maintenance: maintenanceAtHand(facts.records, nowMs),
    plant: {
      pv_kwp: site.plant.pv_kwp ?? null,
      battery_kwh: site.plant.battery_kwh ?? null,
      battery_floor_pct: site.plant.battery_floor_pct,
      has_genset: site.plant.has_genset,
      has_mains: site.plant.has_mains,
    },
    limits,
    ...(site.words === undefined ? {} : { words: site.words }),
  };
}
