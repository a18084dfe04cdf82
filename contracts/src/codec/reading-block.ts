/**
 * Samples as columns, for the way from a node's publish to the log and the history: a node says the same series again
 * and again, so what is known of them is kept once, and a reading is one row of whole numbers. A frame can be made of
 * such blocks; whoever wants its samples one by one gets them as of any other frame. Pure.
 */
import { metricPrecision } from '../metrics/catalogue.js';
import type { QualityCode } from '../quality/quality.js';
import type { Frame, Sample } from './frame.js';

/** Series of one device that come together, in the order of their values. One object for all readings of that form. */
export class DeviceSeries {
  readonly deviceId: string;
  readonly metrics: readonly string[];
  /** Decimals kept of each, and what a value is multiplied by to be whole. */
  readonly precisions: readonly number[];
  readonly factors: Float64Array;
  #headText: string | undefined;

  constructor(deviceId: string, metrics: readonly string[]) {
    this.deviceId = deviceId;
    this.metrics = metrics;
    this.precisions = metrics.map(metricPrecision);
    this.factors = Float64Array.from(this.precisions, (precision) => 10 ** precision);
  }

  /** How the series stand in the head of a packed frame: JSON of their triples, without brackets around all. */
  get headText(): string {
    this.#headText ??= JSON.stringify(
      this.metrics.map((metric, index) => [this.deviceId, metric, this.precisions[index]]),
    ).slice(1, -1);
    return this.#headText;
  }

  /** A value in the metric's unit; null for NaN, which is no number. */
  value(index: number, scaled: number): number | null {
    return scaled === scaled ? scaled / (this.factors[index] as number) || 0 : null;
  }
}

const firstRoom = 512;

/** Where the values of many readings lie, one reading after the other; for all blocks of one frame. */
export class ValueRoom {
  #values: Float64Array;
  #length = 0;

  /** Begins with room for so many values. */
  constructor(room = firstRoom) {
    this.#values = new Float64Array(Math.max(firstRoom, room));
  }

  /** The values; longer than what was added. Another object once it had to grow. */
  get values(): Float64Array {
    return this.#values;
  }

  get length(): number {
    return this.#length;
  }

  /** Adds the first `count` of some values; gives the place of the first one. */
  add(values: Float64Array, count: number): number {
    const place = this.#length;
    const end = place + count;
    if (end > this.#values.length) {
      const grown = new Float64Array(end * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    const into = this.#values;
    for (let i = 0; i < count; i += 1) into[place + i] = values[i] as number;
    this.#length = end;
    return place;
  }
}

/** Readings of the same series in order of arrival. Each has one time and one quality. */
export class ReadingBlock {
  readonly series: DeviceSeries;
  /** Whole Unix milliseconds and quality of each reading. */
  readonly times: number[] = [];
  readonly qualities: QualityCode[] = [];
  /** Where the values of each reading begin in the room: scaled whole numbers, NaN for none. */
  readonly places: number[] = [];
  readonly #room: ValueRoom;

  constructor(series: DeviceSeries, room = new ValueRoom()) {
    this.series = series;
    this.#room = room;
  }

  get count(): number {
    return this.times.length;
  }

  /** Values of this and other blocks: those of a reading begin at its place. */
  get values(): Float64Array {
    return this.#room.values;
  }

  get sampleCount(): number {
    return this.count * this.series.metrics.length;
  }

  /** Adds a reading; `values` begins with as many scaled numbers as there are series, and is copied. */
  add(timeMs: number, values: Float64Array, quality: QualityCode): void {
    this.times.push(timeMs);
    this.qualities.push(quality);
    this.places.push(this.#room.add(values, this.series.metrics.length));
  }

  /** Adds its samples to a list, one by one. */
  pushTo(samples: Sample[]): void {
    const { deviceId, metrics } = this.series;
    const { values } = this;
    for (const [at, timeMs] of this.times.entries()) {
      const quality = this.qualities[at] as number;
      const place = this.places[at] as number;
      for (const [index, metric] of metrics.entries()) {
        const value = this.series.value(index, values[place + index] as number);
        samples.push({ deviceId, metric, timeMs, value, quality });
      }
    }
  }
}

/** Part of a group of samples, in order: one by one, or as columns. */
export type SamplePiece = Sample[] | ReadingBlock;

/** All samples of some pieces, one by one, in order. */
export function samplesOfPieces(pieces: readonly SamplePiece[]): Sample[] {
  const samples: Sample[] = [];
  for (const piece of pieces) {
    if (piece instanceof ReadingBlock) piece.pushTo(samples);
    else for (const sample of piece) samples.push(sample);
  }
  return samples;
}

/** Not enumerable, so that no copy of a frame has it. */
const blocksKey = Symbol('blocks');

/**
 * Makes a frame of pieces. Its samples are made when they are asked for; where all pieces are blocks and no series is
 * in two of them, `blocksOf` gives those. A copy of the frame is an ordinary frame.
 */
export function frameOfPieces(facts: Omit<Frame, 'samples'>, pieces: readonly SamplePiece[]): Frame {
  let samples: readonly Sample[] | undefined;
  const frame: Frame & { readonly [blocksKey]?: readonly ReadingBlock[] } = {
    ...facts,
    get samples() {
      return (samples ??= samplesOfPieces(pieces));
    },
  };
  const blocks = pieces.filter((piece) => piece instanceof ReadingBlock);
  if (blocks.length > 0 && blocks.length === pieces.length && areApart(blocks))
    Object.defineProperty(frame, blocksKey, { value: blocks });
  return frame;
}

/** The samples of a frame as columns, where it was made of such: all of them, each series in one block only. */
export const blocksOf = (frame: Frame & { readonly [blocksKey]?: readonly ReadingBlock[] }) => frame[blocksKey];

/** Whether no series is in two blocks. */
function areApart(blocks: readonly ReadingBlock[]): boolean {
  // Nearly always every device has one block.
  if (new Set(blocks.map(({ series }) => series.deviceId)).size === blocks.length) return true;
  const seen = new Map<string, Set<string>>();
  for (const { series } of blocks) {
    let metrics = seen.get(series.deviceId);
    if (!metrics) {
      seen.set(series.deviceId, new Set(series.metrics));
      continue;
    }
    for (const metric of series.metrics) {
      if (metrics.has(metric)) return false;
      metrics.add(metric);
    }
  }
  return true;
}

/** The earliest and the latest time of a frame's samples, Unix milliseconds; undefined without samples. */
export function spanOfFrame(frame: Frame): readonly [fromMs: number, toMs: number] | undefined {
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const see = (timeMs: number) => {
    if (timeMs < from) from = timeMs;
    if (timeMs > to) to = timeMs;
  };
  const blocks = blocksOf(frame);
  if (blocks === undefined) for (const { timeMs } of frame.samples) see(timeMs);
  else for (const { times } of blocks) for (const timeMs of times) see(timeMs);
  return from <= to ? [from, to] : undefined;
}
