/** Stored samples of one series as columns, as a back-test reads them. */
import type { Resolution } from '../history/resolution.js';
import { resolutionMs } from '../history/resolution.js';
import type { WindowColumns } from '../history/window.js';
import { metricDefinition, parseMetricId } from '../metrics/catalogue.js';
import { qualityCodes } from '../quality/quality.js';

/** Samples of a series in order of time. */
export interface SampleColumns {
  /** Unix milliseconds. */
  readonly times: Float64Array;
  /** Values times `factor`; NaN where a sample has none. */
  readonly values: Float64Array;
  readonly qualities: Uint8Array;
  /** What values are divided by to be in the metric's unit. */
  readonly factor: number;
  /** Width of the windows that stand for samples, milliseconds; left out for samples. */
  readonly windowMs?: number;
}

/** The same, with the series' name. */
export interface SeriesSamples extends SampleColumns {
  readonly deviceId: string;
  readonly metric: string;
}

/** Columns from lists of values in the metric's unit; null is a sample without one. */
export function sampleColumns(
  times: readonly number[],
  values: ReadonlyArray<number | null>,
  qualities: readonly number[],
): SampleColumns {
  return {
    times: Float64Array.from(times),
    values: Float64Array.from(values, (value) => value ?? Number.NaN),
    qualities: Uint8Array.from(qualities),
    factor: 1,
  };
}

/**
 * What stands for samples that are gone: of each window its mean (of a counter or state its last value), at its start and
 * at its end, so that a delay that fits into the window passes within it. What was shorter than a window is not seen.
 */
export function samplesOfWindows(
  metric: string,
  { t, mean, last }: WindowColumns,
  resolution: Exclude<Resolution, '1d'>,
): SampleColumns {
  const width = resolutionMs[resolution];
  const kept = metricDefinition(parseMetricId(metric).base)?.aggregation === 'last' ? last : mean;
  const times = new Float64Array(t.length * 2);
  const values = new Float64Array(t.length * 2);
  for (const [at, timeMs] of t.entries()) {
    times[2 * at] = timeMs;
    times[2 * at + 1] = timeMs + width - 1;
    values[2 * at] = values[2 * at + 1] = kept[at] as number;
  }
  return { times, values, qualities: new Uint8Array(times.length).fill(qualityCodes.good), factor: 1, windowMs: width };
}
