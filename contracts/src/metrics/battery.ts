/** Battery: throughput, cycles, depth of discharge, round-trip efficiency, usable energy, and when it is empty. */
import { zoneOffsetMs } from '../history/resolution.js';
import { ratio } from './key-figure.js';
import { percentile } from './load.js';
import { quarterAt, quarterHours, quarterMs, type DenseQuarters, type QuarterRaster } from './raster.js';

/** (E_ch + E_dis) / 2, kWh. */
export const throughputKwh = (chargedKwh: number, dischargedKwh: number): number => (chargedKwh + dischargedKwh) / 2;

/** E_dis / E_nom. */
export const equivalentCycles = (dischargedKwh: number | null, ratedKwh: number | null): number | null =>
  ratio(dischargedKwh, ratedKwh);

/** 1 - SoC_min / 100 over quarter hours [from, to); null without data. */
export function depthOfDischarge(soc: DenseQuarters, from: number, to: number): number | null {
  let least = Number.POSITIVE_INFINITY;
  for (let at = from; at < to; at += 1) if ((soc.min[at] as number) < least) least = soc.min[at] as number;
  return Number.isFinite(least) ? 1 - least / 100 : null;
}

/**
 * Round-trip efficiency. Between moments of equal charge it is E_dis / E_ch. Otherwise what was put into stock is taken
 * out of account: with the loss shared equally by both ways, E_ch x - E_dis / x = dSoC x E_nom for x = sqrt(efficiency).
 * Null when too little went through (a tenth of the battery) or the result is no efficiency.
 */
export function roundTripEfficiency(
  chargedKwh: number,
  dischargedKwh: number,
  socChangePct: number,
  ratedKwh: number,
): number | null {
  if (chargedKwh <= 0 || dischargedKwh <= 0 || throughputKwh(chargedKwh, dischargedKwh) < 0.1 * ratedKwh) return null;
  const stock = (socChangePct / 100) * ratedKwh;
  const oneWay = (stock + Math.sqrt(stock * stock + 4 * chargedKwh * dischargedKwh)) / (2 * chargedKwh);
  const both = oneWay * oneWay;
  return both > 0.2 && both < 1.1 ? Math.min(1, both) : null;
}

/** What can still be taken out, kWh: E_nom x SoH x (SoC - SoC_min) / 100 x eta_dis. */
export function usableKwh(options: {
  readonly ratedKwh: number;
  readonly socPct: number;
  readonly floorPct: number;
  /** State of health, 0 to 1. */
  readonly health?: number;
  /** Efficiency of taking out, 0 to 1. */
  readonly discharging?: number;
}): number {
  const { ratedKwh, socPct, floorPct, health = 1, discharging = 0.95 } = options;
  return Math.max(0, ratedKwh * health * ((socPct - floorPct) / 100) * discharging);
}

/** When the battery reaches its floor, Unix ms; null where it does not within the horizon. */
export interface Autonomy {
  readonly emptyAtMs: number | null;
  /** With the load of the heaviest and of the lightest tenth of days at each hour. */
  readonly earliestMs: number | null;
  readonly latestMs: number | null;
}

/** Fewest days that know an hour well enough to expect it. */
const enoughDays = 3;

/**
 * Autonomy as a clock time: the usable energy against what the same hours of the past days took, P_L - P_PV, quarter hour
 * by quarter hour. Undefined when the past knows too little. `netLoad` are mean kW (positive takes from the battery).
 */
export function autonomy(options: {
  readonly raster: QuarterRaster;
  readonly netLoad: Float64Array;
  readonly nowMs: number;
  readonly usableKwh: number;
  /** Most the battery can hold above its floor, kWh: a sunny day cannot save more. */
  readonly fullKwh: number;
  readonly horizonHours?: number;
}): Autonomy | undefined {
  const { raster, netLoad, nowMs, horizonHours = 72 } = options;
  const now = quarterAt(raster, nowMs);
  const byHour: number[][] = Array.from({ length: 24 }, () => []);
  for (let at = 0; at < now; at += 1)
    if (!Number.isNaN(netLoad[at] as number)) byHour[raster.hour[at] as number]?.push(netLoad[at] as number);
  if (byHour.some((values) => values.length < 4 * enoughDays)) return undefined;
  const usual = (share: number) => byHour.map((values) => percentile(values, share) ?? 0);
  const mean = byHour.map((values) => values.reduce((sum, one) => sum + one, 0) / values.length);
  const offsetMs = zoneOffsetMs(raster.zone, nowMs);
  const empties = (expected: readonly number[]): number | null => {
    let left = options.usableKwh;
    if (left <= 0) return nowMs;
    for (let step = 0; step < horizonHours * 4; step += 1) {
      const timeMs = nowMs + step * quarterMs;
      const hour = Math.floor((timeMs + offsetMs) / 3_600_000) % 24;
      const taken = (expected[hour] as number) * quarterHours;
      if (taken > 0 && left <= taken) return timeMs + (left / taken) * quarterMs;
      left = Math.min(options.fullKwh, left - taken);
    }
    return null;
  };
  return { emptyAtMs: empties(mean), earliestMs: empties(usual(0.9)), latestMs: empties(usual(0.1)) };
}
