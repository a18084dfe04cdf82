/**
 * Energy per quarter hour: from the device's own counter first, integrated from power only where there is no counter,
 * and then it says so.
 */
import type { WindowColumns } from '../history/window.js';
import { counterSteps, type CounterLimits } from './counter.js';
import { quarterHours, quarterMs, type DenseQuarters, type QuarterRaster } from './raster.js';

/** Where an energy comes from. `mixed`: partly counted, partly integrated. */
export type EnergyBasis = 'counter' | 'integrated' | 'mixed';

/** An amount per quarter hour of a raster. */
export interface QuarterAmounts {
  /** Known amount; NaN where nothing is known. */
  readonly amount: Float64Array;
  /** What it may have been more, where a counter lost its count. */
  readonly more: Float64Array;
  /** Share of the quarter hour whose amount is known: 1 where a counter bridges a gap. */
  readonly known: Float64Array;
  /** Share of the quarter hour that was measured. */
  readonly measured: Float64Array;
  /** 1 where a counter told it, 0 where it was integrated. */
  readonly counted: Uint8Array;
}

/** Where the known amounts of quarter hours [from, to) come from; null where nothing is known. */
export function basisOf({ counted, known }: QuarterAmounts, from: number, to: number): EnergyBasis | null {
  let [byCounter, byPower] = [false, false];
  for (let at = from; at < to && !(byCounter && byPower); at += 1) {
    if ((known[at] as number) === 0) continue;
    if (counted[at] === 1) byCounter = true;
    else byPower = true;
  }
  return byCounter && byPower ? 'mixed' : byCounter ? 'counter' : byPower ? 'integrated' : null;
}

const emptyAmounts = (raster: QuarterRaster, counted: 0 | 1): QuarterAmounts => ({
  amount: new Float64Array(raster.length).fill(Number.NaN),
  more: new Float64Array(raster.length),
  known: new Float64Array(raster.length),
  measured: new Float64Array(raster.length),
  counted: new Uint8Array(raster.length).fill(counted),
});

/** One counter of a figure: its windows of 15 minutes, and what it is multiplied by. */
export interface CounterTerm {
  readonly columns: WindowColumns;
  readonly factor: number;
}

/**
 * What counters counted per quarter hour, kWh or hours. Each counter is differenced by itself, so that the reset of one
 * does not disturb the sum. Over a gap the counted amount is spread evenly: its total is known, its course is not.
 */
export function countedQuarters(
  raster: QuarterRaster,
  terms: readonly CounterTerm[],
  limits: CounterLimits,
): QuarterAmounts {
  const out = emptyAmounts(raster, 1);
  for (const [index, { columns, factor }] of terms.entries()) {
    const amount = new Float64Array(raster.length).fill(Number.NaN);
    const more = new Float64Array(raster.length);
    const measured = new Float64Array(raster.length);
    // The last reading of a window stands at its end.
    const ends = columns.t.map((timeMs) => timeMs + quarterMs);
    for (const timeMs of columns.t) {
      const at = Math.floor((timeMs - raster.fromMs) / quarterMs);
      // One reading is enough: it tells all that was counted up to it.
      if (at >= 0 && at < raster.length) measured[at] = 1;
    }
    for (const step of counterSteps(ends, columns.last, limits)) {
      const first = Math.round(((ends[step.from] as number) - raster.fromMs) / quarterMs);
      const end = Math.round(((ends[step.to] as number) - raster.fromMs) / quarterMs);
      const each = step.amount / (end - first);
      const eachMore = (step.high - step.amount) / (end - first);
      for (let at = Math.max(0, first); at < Math.min(raster.length, end); at += 1) {
        amount[at] = each;
        more[at] = eachMore;
      }
    }
    for (let at = 0; at < raster.length; at += 1) {
      const value = (amount[at] as number) * factor;
      const sum = index === 0 ? value : (out.amount[at] as number) + value;
      out.amount[at] = sum;
      out.more[at] = (out.more[at] as number) + (more[at] as number) * Math.abs(factor);
      out.known[at] = Number.isNaN(sum) ? 0 : 1;
      out.measured[at] =
        index === 0 ? (measured[at] as number) : Math.min(out.measured[at] as number, measured[at] as number);
    }
  }
  return out;
}

/** Which part of a power is integrated: all of it, what is above zero, or what is below zero (as a positive energy). */
export type PowerPart = 'all' | 'positive' | 'negative';

/**
 * Energy of a power figure, kWh per quarter hour: mean kW times the measured share of the quarter hour. Directions that
 * alternate within a quarter hour cancel out; a counter sees them apart.
 */
export function integratedQuarters(
  raster: QuarterRaster,
  power: DenseQuarters,
  part: PowerPart = 'all',
): QuarterAmounts {
  const out = emptyAmounts(raster, 0);
  for (let at = 0; at < raster.length; at += 1) {
    const mean = power.mean[at] as number;
    const share = power.coverage[at] as number;
    if (Number.isNaN(mean) || share === 0) continue;
    const taken = part === 'all' ? mean : Math.max(0, part === 'positive' ? mean : -mean);
    out.amount[at] = taken * quarterHours * share;
    out.known[at] = share;
    out.measured[at] = share;
  }
  return out;
}

/** Hours a machine ran, per quarter hour, by its power: the measured share of quarter hours above `runsFromKw`. */
export function runningQuarters(raster: QuarterRaster, power: DenseQuarters, runsFromKw: number): QuarterAmounts {
  const out = emptyAmounts(raster, 0);
  for (let at = 0; at < raster.length; at += 1) {
    const mean = power.mean[at] as number;
    const share = power.coverage[at] as number;
    if (Number.isNaN(mean) || share === 0) continue;
    out.amount[at] = mean > runsFromKw ? quarterHours * share : 0;
    out.known[at] = share;
    out.measured[at] = share;
  }
  return out;
}

/** Counted amounts, with integrated ones where the counter knows nothing. Undefined when there is neither. */
export function preferCounted(
  counted: QuarterAmounts | undefined,
  integrated: QuarterAmounts | undefined,
): QuarterAmounts | undefined {
  const has = (amounts: QuarterAmounts | undefined) => amounts?.known.some((share) => share > 0) === true;
  if (counted === undefined || !has(counted)) return integrated ?? counted;
  if (integrated === undefined || !has(integrated)) return counted;
  const amount = counted.amount.slice();
  const known = counted.known.slice();
  const measured = counted.measured.slice();
  const kinds = counted.counted.slice();
  for (let at = 0; at < amount.length; at += 1) {
    if ((known[at] as number) > 0 || (integrated.known[at] as number) === 0) continue;
    kinds[at] = 0;
    amount[at] = integrated.amount[at] as number;
    known[at] = integrated.known[at] as number;
    measured[at] = integrated.measured[at] as number;
  }
  return { ...counted, amount, known, measured, counted: kinds };
}
