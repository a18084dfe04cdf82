/** Reads the past of a grid for a back-test, slice by slice; where samples are gone, the windows that are still kept. */
import {
  sampleColumns,
  samplesOfWindows,
  type Granularity,
  type SeriesName,
  type SeriesSamples,
} from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { GridPort } from '../ports.js';

/** UTC days are what a gateway keeps together. */
const sliceMs = 86_400_000;

/** A slice of the past. */
export interface PastSlice {
  readonly fromMs: number;
  readonly toMs: number;
  readonly series: readonly SeriesSamples[];
  /** The coarsest that any series was read from; undefined when there is nothing. */
  readonly granularity: Granularity | undefined;
}

const fineness: readonly Granularity[] = ['raw', '1m', '15m', '1h', '1d'];

/** The coarser of two. */
const coarser = (a: Granularity | undefined, b: Granularity | undefined): Granularity | undefined =>
  a === undefined || (b !== undefined && fineness.indexOf(b) > fineness.indexOf(a)) ? b : a;

/** Slices of some series in [fromMs, toMs), in order of time. */
export async function* pastSlices(
  grid: GridPort,
  series: readonly SeriesName[],
  fromMs: number,
  toMs: number,
): AsyncGenerator<PastSlice> {
  for (let startMs = fromMs; startMs < toMs; ) {
    const endMs = Math.min(toMs, (Math.floor(startMs / sliceMs) + 1) * sliceMs);
    const found: SeriesSamples[] = [];
    let granularity: Granularity | undefined;
    const raw = await rawOf(grid, series, startMs, endMs);
    for (const [index, one] of raw.entries()) {
      if (one.times.length > 0) {
        found.push(one);
        granularity = coarser(granularity, 'raw');
        continue;
      }
      const kept = await keptWindows(grid, series[index] as SeriesName, startMs, endMs);
      if (kept === undefined) continue;
      found.push(kept.samples);
      granularity = coarser(granularity, kept.granularity);
    }
    yield { fromMs: startMs, toMs: endMs, series: found, granularity };
    startMs = endMs;
  }
}

async function rawOf(
  grid: GridPort,
  series: readonly SeriesName[],
  fromMs: number,
  toMs: number,
): Promise<readonly SeriesSamples[]> {
  if (grid.samples !== undefined) return grid.samples(series, fromMs, toMs);
  const found: SeriesSamples[] = [];
  for (const { deviceId, metric } of series) {
    await nextTurn();
    const { t, value, quality } = await grid.raw(deviceId, metric, fromMs, toMs);
    found.push({ deviceId, metric, ...sampleColumns(t, value, quality) });
  }
  return found;
}

/** The finest windows that are kept of a series; undefined when nothing was measured. */
async function keptWindows(grid: GridPort, { deviceId, metric }: SeriesName, fromMs: number, toMs: number) {
  for (const granularity of ['1m', '15m', '1h'] as const) {
    await nextTurn();
    const windows = await grid.windows(deviceId, metric, granularity, fromMs, toMs);
    if (windows.t.length > 0)
      return { granularity, samples: { deviceId, metric, ...samplesOfWindows(metric, windows, granularity) } };
  }
  return undefined;
}
