/** Samples of one series as columns: growing ones of an open hour, and what is worked out of finished ones. Pure. */
import {
  foldSample,
  foldWindow,
  qualityClass,
  windowOf,
  type ChunkColumns,
  type ReadingBlock,
  type RollupWindow,
  type seriesHasher,
  type SeriesDigest,
} from '@villagrid/contracts';
import { hourMs } from './schema.js';

const firstRoom = 64;

/** Adds samples of one series to a digest. */
export type Hasher = ReturnType<typeof seriesHasher>;

/** Samples of an hour that are not in a chunk yet, in the order in which they came. */
export class OpenHour {
  readonly hour: number;
  /** Being sealed: what comes now goes elsewhere. */
  frozen = false;
  readonly #digest: SeriesDigest = { count: 0, a: 0, b: 0 };
  #after = new Int32Array(firstRoom);
  #values = new Float64Array(firstRoom);
  #qualities = new Uint8Array(firstRoom);
  #count = 0;
  #inOrder = true;
  #columns: ChunkColumns | undefined;

  constructor(hour: number) {
    this.hour = hour;
  }

  get count(): number {
    return this.#count;
  }

  /** Adds a sample; `value` is scaled, NaN for none. */
  add(timeMs: number, value: number, quality: number): void {
    if (this.#count === this.#after.length) this.#grow();
    const after = timeMs - this.hour * hourMs;
    if (this.#count > 0 && after < (this.#after[this.#count - 1] as number)) this.#inOrder = false;
    this.#after[this.#count] = after;
    this.#values[this.#count] = value;
    this.#qualities[this.#count] = quality;
    this.#count += 1;
    this.#columns = undefined;
  }

  /** Adds readings of this hour: of each the value at `index`, scaled. */
  addColumn({ times, places, values, qualities, count }: ReadingBlock, index: number): void {
    while (this.#count + count > this.#after.length) this.#grow();
    const startMs = this.hour * hourMs;
    let before = this.#count === 0 ? Number.NEGATIVE_INFINITY : (this.#after[this.#count - 1] as number);
    for (let at = 0; at < count; at += 1) {
      const after = (times[at] as number) - startMs;
      if (after < before) this.#inOrder = false;
      before = after;
      this.#after[this.#count] = after;
      this.#values[this.#count] = values[(places[at] as number) + index] as number;
      this.#qualities[this.#count] = qualities[at] as number;
      this.#count += 1;
    }
    this.#columns = undefined;
  }

  /** Count and hash of what is here; worked out when asked for, because most of it is sealed unasked. */
  digest(hash: Hasher, factor: number): SeriesDigest {
    const startMs = this.hour * hourMs;
    for (let at = this.#digest.count; at < this.#count; at += 1) {
      const value = this.#values[at] as number;
      const scaled = value === value ? value / factor : null;
      hash(this.#digest, startMs + (this.#after[at] as number), scaled, this.#qualities[at] as number);
    }
    return this.#digest;
  }

  /** The samples in order of time; of equal times the one that came first is first. */
  columns(): ChunkColumns {
    if (this.#columns) return this.#columns;
    const startMs = this.hour * hourMs;
    const times = Float64Array.from(this.#after.subarray(0, this.#count), (after) => startMs + after);
    const columns = {
      times,
      values: this.#values.slice(0, this.#count),
      qualities: this.#qualities.slice(0, this.#count),
    };
    this.#columns = this.#inOrder ? columns : inOrder(columns);
    return this.#columns;
  }

  #grow(): void {
    const more = <T extends Int32Array | Float64Array | Uint8Array>(old: T, made: T): T => {
      made.set(old);
      return made;
    };
    const room = this.#after.length * 2;
    this.#after = more(this.#after, new Int32Array(room));
    this.#values = more(this.#values, new Float64Array(room));
    this.#qualities = more(this.#qualities, new Uint8Array(room));
  }
}

export const noColumns: ChunkColumns = {
  times: new Float64Array(0),
  values: new Float64Array(0),
  qualities: new Uint8Array(0),
};

function inOrder({ times, values, qualities }: ChunkColumns): ChunkColumns {
  const order = Uint32Array.from(times.keys()).sort((x, y) => (times[x] as number) - (times[y] as number) || x - y);
  return {
    times: Float64Array.from(order, (at) => times[at] as number),
    values: Float64Array.from(order, (at) => values[at] as number),
    qualities: Uint8Array.from(order, (at) => qualities[at] as number),
  };
}

/** Columns put together in order of time; of equal times the earlier piece's come first. */
export function joinColumns(pieces: readonly ChunkColumns[]): ChunkColumns {
  const filled = pieces.filter((one) => one.times.length > 0);
  if (filled.length <= 1) return filled[0] ?? noColumns;
  const length = filled.reduce((sum, one) => sum + one.times.length, 0);
  const joined = {
    times: new Float64Array(length),
    values: new Float64Array(length),
    qualities: new Uint8Array(length),
  };
  let at = 0;
  let sorted = true;
  for (const piece of filled) {
    if (at > 0 && (piece.times[0] as number) < (joined.times[at - 1] as number)) sorted = false;
    joined.times.set(piece.times, at);
    joined.values.set(piece.values, at);
    joined.qualities.set(piece.qualities, at);
    at += piece.times.length;
  }
  return sorted ? joined : inOrder(joined);
}

/** Columns without some samples, each taken away once; undefined when one of them is not there. */
export function withoutColumns(all: ChunkColumns, removed: ChunkColumns): ChunkColumns | undefined {
  const keep = new Uint8Array(all.times.length).fill(1);
  for (const [i, time] of removed.times.entries()) {
    let at = lowerBound(all.times, time);
    const same = () =>
      keep[at] === 1 && Object.is(all.values[at], removed.values[i]) && all.qualities[at] === removed.qualities[i];
    while (all.times[at] === time && !same()) at += 1;
    if (all.times[at] !== time) return undefined;
    keep[at] = 0;
  }
  return {
    times: all.times.filter((_, at) => keep[at] === 1),
    values: all.values.filter((_, at) => keep[at] === 1),
    qualities: all.qualities.filter((_, at) => keep[at] === 1),
  };
}

/** The samples of [fromMs, toMs), without copying. */
export function sliceColumns({ times, values, qualities }: ChunkColumns, fromMs: number, toMs: number): ChunkColumns {
  const [from, to] = [lowerBound(times, fromMs), lowerBound(times, toMs)];
  return {
    times: times.subarray(from, to),
    values: values.subarray(from, to),
    qualities: qualities.subarray(from, to),
  };
}

/** Index of the first time that is not before another. */
function lowerBound(times: Float64Array, timeMs: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Windows of one width of the samples that count for minimum, maximum and mean. */
export function foldColumns({ times, values, qualities }: ChunkColumns, widthMs: number): RollupWindow[] {
  const windows: RollupWindow[] = [];
  let window: RollupWindow | undefined;
  let endMs = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < times.length; i += 1) {
    const value = values[i] as number;
    if (value !== value || qualityClass(qualities[i] as number) === 'bad') continue;
    const timeMs = times[i] as number;
    if (window && timeMs < endMs) foldSample(window, timeMs, value);
    else {
      const startMs = Math.floor(timeMs / widthMs) * widthMs;
      endMs = startMs + widthMs;
      windows.push((window = windowOf(startMs, timeMs, value)));
    }
  }
  return windows;
}

/** Windows of two lists, in order of time; those of one beginning are folded together, the second list's being newer. */
export function joinWindows(first: readonly RollupWindow[], second: readonly RollupWindow[]): readonly RollupWindow[] {
  if (second.length === 0) return first;
  if (first.length === 0) return second;
  const joined: RollupWindow[] = [];
  let at = 0;
  for (const window of second) {
    for (; at < first.length && (first[at] as RollupWindow).startMs < window.startMs; at += 1)
      joined.push(first[at] as RollupWindow);
    if (first[at]?.startMs === window.startMs) {
      const both = { ...(first[at] as RollupWindow) };
      foldWindow(both, window);
      joined.push(both);
      at += 1;
    } else joined.push(window);
  }
  for (; at < first.length; at += 1) joined.push(first[at] as RollupWindow);
  return joined;
}
