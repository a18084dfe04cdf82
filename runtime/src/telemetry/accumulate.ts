/** What a batch of frames adds to each series, gathered in memory before anything is written. Pure. */
import {
  emptyDigest,
  foldSample,
  qualityClass,
  resolutionMs,
  seriesHasher,
  windowOf,
  windowStartMs,
  type Frame,
  type RollupWindow,
  type Sample,
  type SeriesDigest,
} from '@villagrid/contracts';
import { resolutionCodes, type StoredResolution } from './schema.js';
import type { SeriesKey } from './types.js';

export const hourMs = resolutionMs['1h'];
const stored = Object.keys(resolutionCodes) as StoredResolution[];

/** Whether a sample counts for minimum, maximum and mean. */
export const isUsable = (sample: Sample): sample is Sample & { readonly value: number } =>
  sample.value !== null && qualityClass(sample.quality) !== 'bad';

/** What one series gains by a batch; values still in the metric's unit, windows scaled by `factor`. */
export class SeriesGain {
  readonly key: SeriesKey;
  readonly windows = new Map<StoredResolution, Map<number, RollupWindow>>(
    stored.map((resolution) => [resolution, new Map()]),
  );
  /** Digests by start of their UTC hour. */
  readonly digests = new Map<number, SeriesDigest>();
  latest: Sample;
  readonly #hash: ReturnType<typeof seriesHasher>;
  readonly #factor: number;

  constructor(first: Sample, precision: number) {
    this.key = { deviceId: first.deviceId, metric: first.metric };
    this.latest = first;
    this.#hash = seriesHasher(first.deviceId, first.metric);
    this.#factor = 10 ** precision;
  }

  add(found: Sample): void {
    // Frames keep whole milliseconds; a frame that was not packed yet may still hold fractions.
    const sample = Number.isInteger(found.timeMs) ? found : { ...found, timeMs: Math.round(found.timeMs) };
    const hour = Math.floor(sample.timeMs / hourMs) * hourMs;
    let digest = this.digests.get(hour);
    if (!digest) this.digests.set(hour, (digest = emptyDigest()));
    this.#hash(digest, sample.timeMs, sample.value, sample.quality);
    if (sample.timeMs >= this.latest.timeMs) this.latest = sample;
    if (!isUsable(sample)) return;
    const scaled = Math.round(sample.value * this.#factor);
    for (const [resolution, windows] of this.windows) {
      const startMs = windowStartMs(sample.timeMs, resolution);
      const window = windows.get(startMs);
      if (window) foldSample(window, sample.timeMs, scaled);
      else windows.set(startMs, windowOf(startMs, sample.timeMs, scaled));
    }
  }
}

/** Gathers the samples of frames by series. `precisionOf` gives the decimals a series is kept with. */
export function gather(
  frames: Iterable<Pick<Frame, 'samples'>>,
  precisionOf: (key: SeriesKey) => number,
): SeriesGain[] {
  const gains = new Map<string, SeriesGain>();
  for (const frame of frames) {
    for (const sample of frame.samples) {
      const name = `${sample.deviceId} ${sample.metric}`;
      let gain = gains.get(name);
      if (!gain) gains.set(name, (gain = new SeriesGain(sample, precisionOf(sample))));
      gain.add(sample);
    }
  }
  return [...gains.values()];
}
