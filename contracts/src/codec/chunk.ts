/**
 * Chunks: samples of one series over an hour or a day, packed as columns. The times are a pack of their own, because the
 * metrics of one reading share them: a device's twelve series keep one column of times, and what a series lacks of it is a
 * list of runs. Values are whole numbers (the value times 10^precision), as differences or as distances from a base,
 * whichever is smaller; missing numbers and qualities are runs. Samples are in order of time; equal times may repeat.
 */
import { ByteReader, ByteWriter, CodecError } from './bytes.js';
import { largestTimeMs } from './frame-head.js';
import { type Compressor, unwrapPacked, wrapPacked } from './packed.js';

/** Columns of one series in order of time. */
export interface ChunkColumns {
  /** Unix milliseconds. */
  readonly times: Float64Array;
  /** Scaled whole numbers; NaN where a sample has no number. */
  readonly values: Float64Array;
  readonly qualities: Uint8Array;
}

const mostSamples = 16 * 1024 * 1024;

/** Packs a column of times, ascending. Throws CodecError for times that are not, or beyond all dates. */
export function packTimes(times: Float64Array, compressor: Pick<Compressor, 'compress'>): Uint8Array {
  const writer = new ByteWriter();
  writer.unsigned(times.length);
  const first = times[0];
  if (first !== undefined) {
    if (!(Math.abs(first) <= largestTimeMs)) throw new CodecError(`time ${first} is beyond all dates`);
    const period = commonestStep(times);
    writer.signed(first);
    writer.unsigned(period);
    let time = first;
    for (let i = 1; i < times.length; i += 1) {
      const next = times[i] as number;
      if (!(next >= time) || next > largestTimeMs) throw new CodecError(`time ${next} follows ${time}`);
      writer.signed(next - time - period);
      time = next;
    }
  }
  return wrapPacked(writer.finish(), compressor);
}

/** Unpacks a column of times; throws CodecError. */
export function unpackTimes(bytes: Uint8Array, compressor: Pick<Compressor, 'decompress'>): Float64Array {
  const body = unwrapPacked(bytes, compressor);
  const reader = new ByteReader(body);
  const count = countOf(reader, body.length + 1);
  const times = new Float64Array(count);
  if (count > 0) {
    let time = reader.signed();
    if (Math.abs(time) > largestTimeMs) throw new CodecError('a time beyond all dates');
    const period = reader.unsigned();
    times[0] = time;
    for (let i = 1; i < count; i += 1) {
      const step = reader.signed() + period;
      time += step;
      if (step < 0 || time > largestTimeMs) throw new CodecError('times go back or beyond all dates');
      times[i] = time;
    }
  }
  if (!reader.atEnd) throw new CodecError('bytes left over after the last time');
  return times;
}

/**
 * Packs a series' values and qualities. `base` is the column of times it is kept with, which may hold more times than the
 * series has; undefined when every time of `columns` must be in it and is not. Throws CodecError for values that are no
 * whole numbers below 2^52 and for steps of 2^52 and more.
 */
export function packValues(
  columns: ChunkColumns,
  base: Float64Array,
  compressor: Pick<Compressor, 'compress'>,
): Uint8Array | undefined {
  const runs = runsWithin(columns.times, base);
  if (runs === undefined) return undefined;
  const { values, qualities } = columns;
  const writer = new ByteWriter();
  writer.unsigned(values.length);
  // One run of everything is the rule, and is written as no runs.
  writer.unsigned(runs.length === 1 ? 0 : runs.length);
  if (runs.length > 1) for (const run of runs) writer.unsigned(run);
  writeRuns(writer, qualities);
  writeMissing(writer, values);
  const numbers = values.filter((value) => !Number.isNaN(value));
  if (numbers.length > 0) {
    const middle = middleOf(numbers);
    const difference = bitsOf(numbers, true, middle) <= bitsOf(numbers, false, middle);
    writer.byte(difference ? 1 : 0);
    let before = difference ? 0 : middle;
    if (!difference) writer.signed(middle);
    for (const value of numbers) {
      if (!Number.isInteger(value)) throw new CodecError(`${value} is no whole number`);
      writer.signed(value - before);
      if (difference) before = value;
    }
  }
  return wrapPacked(writer.finish(), compressor);
}

/** Unpacks a series kept with a column of times; throws CodecError. */
export function unpackValues(
  bytes: Uint8Array,
  base: Float64Array,
  compressor: Pick<Compressor, 'decompress'>,
): ChunkColumns {
  const reader = new ByteReader(unwrapPacked(bytes, compressor));
  const count = countOf(reader, base.length);
  const times = pick(base, readTimeRuns(reader, base.length), count);
  const qualities = readRuns(reader, count);
  const values = new Float64Array(count);
  const missing = readMissing(reader, values);
  if (missing < count) {
    const kind = reader.byte();
    if (kind > 1) throw new CodecError(`values of kind ${kind} are not known here`);
    const difference = kind === 1;
    let before = difference ? 0 : reader.signed();
    for (let i = 0; i < count; i += 1) {
      if (missing > 0 && Number.isNaN(values[i])) continue;
      const value = before + reader.signed();
      if (value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER)
        throw new CodecError('a value beyond 2^53');
      values[i] = value;
      if (difference) before = value;
    }
  }
  if (!reader.atEnd) throw new CodecError('bytes left over after the last value');
  return { times, values, qualities };
}

function countOf(reader: ByteReader, most: number): number {
  const count = reader.unsigned();
  if (count > Math.min(most, mostSamples)) throw new CodecError(`a chunk claims ${count} samples`);
  return count;
}

/** The step that occurs most often among the first ones; 0 for less than two times. */
function commonestStep(times: Float64Array): number {
  const found = new Map<number, number>();
  let [best, bestCount] = [0, 0];
  for (let i = 1; i < times.length && i < 512; i += 1) {
    // Jitter hides the period: steps are counted in classes of 64 ms, and the class's middle is taken.
    const step = (times[i] as number) - (times[i - 1] as number);
    const kind = Math.round(step / 64);
    const count = (found.get(kind) ?? 0) + 1;
    found.set(kind, count);
    if (count > bestCount) [best, bestCount] = [kind, count];
  }
  return nearPeriod(times, best * 64);
}

/** The mean of the steps near a first guess, rounded: with jitter it is nearer to the period than any single step. */
function nearPeriod(times: Float64Array, guess: number): number {
  let [sum, count] = [0, 0];
  for (let i = 1; i < times.length && i < 512; i += 1) {
    const step = (times[i] as number) - (times[i - 1] as number);
    if (Math.abs(step - guess) > 96) continue;
    sum += step;
    count += 1;
  }
  return count === 0 ? Math.max(0, guess) : Math.round(sum / count);
}

/** How many times of `base` are present, absent, present ... in `times`; undefined when a time is not in it. */
function runsWithin(times: Float64Array, base: Float64Array): number[] | undefined {
  const runs: number[] = [];
  let [present, length, at] = [true, 0, 0];
  for (const time of base) {
    const here = at < times.length && times[at] === time;
    if (here) at += 1;
    if (here === present) length += 1;
    else {
      runs.push(length);
      [present, length] = [here, 1];
    }
  }
  runs.push(length);
  return at === times.length ? runs : undefined;
}

function readTimeRuns(reader: ByteReader, length: number): readonly number[] {
  const count = reader.unsigned();
  if (count === 0) return [length];
  if (count > length + 1) throw new CodecError(`a chunk claims ${count} runs of times`);
  return Array.from({ length: count }, () => reader.unsigned());
}

function pick(base: Float64Array, runs: readonly number[], count: number): Float64Array {
  if (runs.length === 1 && count === base.length) return base;
  const times = new Float64Array(count);
  let [at, to, present] = [0, 0, true];
  for (const run of runs) {
    if (at + run > base.length || (present && to + run > count)) throw new CodecError('runs of times are too long');
    if (present) {
      times.set(base.subarray(at, at + run), to);
      to += run;
    }
    at += run;
    present = !present;
  }
  if (to !== count) throw new CodecError(`runs of times give ${to} of ${count} samples`);
  return times;
}

function writeRuns(writer: ByteWriter, qualities: Uint8Array): void {
  for (let at = 0; at < qualities.length; ) {
    const quality = qualities[at] as number;
    let end = at + 1;
    while (end < qualities.length && qualities[end] === quality) end += 1;
    writer.byte(quality);
    // 0 says: up to the end.
    writer.unsigned(end === qualities.length ? 0 : end - at);
    at = end;
  }
}

function readRuns(reader: ByteReader, count: number): Uint8Array {
  const qualities = new Uint8Array(count);
  for (let at = 0; at < count; ) {
    const quality = reader.byte();
    const run = reader.unsigned();
    const end = run === 0 ? count : at + run;
    if (end > count) throw new CodecError('runs of qualities are too long');
    if (quality !== 0) qualities.fill(quality, at, end);
    at = end;
  }
  return qualities;
}

/** Places of missing numbers, as distances. */
function writeMissing(writer: ByteWriter, values: Float64Array): void {
  const places: number[] = [];
  for (const [at, value] of values.entries()) if (Number.isNaN(value)) places.push(at);
  writer.unsigned(places.length);
  let before = -1;
  for (const place of places) {
    writer.unsigned(place - before - 1);
    before = place;
  }
}

function readMissing(reader: ByteReader, values: Float64Array): number {
  const count = reader.unsigned();
  let before = -1;
  for (let i = 0; i < count; i += 1) {
    before += reader.unsigned() + 1;
    if (before >= values.length) throw new CodecError('a missing number beyond the last sample');
    values[before] = Number.NaN;
  }
  return count;
}

/** About the middle of numbers, from some of them. */
function middleOf(numbers: Float64Array): number {
  const some = numbers.filter((_, i) => i % 16 === 0).sort();
  return some[some.length >> 1] as number;
}

/** About how many bits values take as differences, or as distances from a base. */
function bitsOf(numbers: Float64Array, difference: boolean, base: number): number {
  let bits = 0;
  let before = difference ? (numbers[0] as number) : base;
  for (const value of numbers) {
    bits += Math.log2(1 + Math.abs(value - before));
    if (difference) before = value;
  }
  return bits;
}
