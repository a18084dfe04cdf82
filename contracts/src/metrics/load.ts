/** Load: average, peak, load factor, base load, and what of it was renewable. */
import { ratio } from './key-figure.js';
import type { DenseQuarters, QuarterRaster } from './raster.js';

/** The largest mean of a quarter hour, kW, and when it began; undefined without data. */
export function peakQuarter(
  load: DenseQuarters,
  from: number,
  to: number,
): { readonly kw: number; readonly at: number } | undefined {
  let best: { kw: number; at: number } | undefined;
  for (let at = from; at < to; at += 1) {
    const kw = load.mean[at] as number;
    // A quarter hour of which little was measured is no mean of a quarter hour.
    if ((load.coverage[at] as number) < 0.5) continue;
    if (best === undefined || kw > best.kw) best = { kw, at };
  }
  return best;
}

/** Average load over peak load; null without a peak above zero. */
export const loadFactor = (averageKw: number | null, peakKw: number | null): number | null => ratio(averageKw, peakKw);

/** Local hours that count as night: people sleep, what runs is always on. */
const nightFrom = 22;
const nightTo = 5;

/** The 5th percentile of the night's quarter hours, kW; null without any. */
export function baseLoadKw(raster: QuarterRaster, load: DenseQuarters, from: number, to: number): number | null {
  const night: number[] = [];
  for (let at = from; at < to; at += 1) {
    const hour = raster.hour[at] as number;
    if ((hour >= nightFrom || hour < nightTo) && (load.coverage[at] as number) > 0) night.push(load.mean[at] as number);
  }
  return percentile(night, 0.05);
}

/** A percentile (0 to 1) by linear interpolation between neighbours; null for no values. */
export function percentile(values: readonly number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)] as number;
  const above = sorted[Math.ceil(place)] as number;
  return below + (above - below) * (place - Math.floor(place));
}

/** 1 - (E_gen + E_in) / E_L, not below 0; the mains counts as not renewable unless said otherwise. */
export function renewableFraction(
  loadKwh: number | null,
  gensetKwh: number | null,
  importKwh: number | null,
  mainsRenewable = false,
): number | null {
  const other = (gensetKwh ?? 0) + (mainsRenewable ? 0 : (importKwh ?? 0));
  const share = ratio(other, loadKwh);
  return share === null ? null : Math.max(0, 1 - share);
}
