/**
 * Rollup windows of one series and one width, packed as columns: a day's hours, quarter hours or minutes in one short
 * string of bytes. Values are scaled whole numbers. Sums are written as the distance from what minimum and maximum let
 * expect, times as what is left of the window, which makes most numbers small.
 */
import type { RollupWindow } from '../history/window.js';
import { ByteReader, ByteWriter, CodecError } from './bytes.js';
import { largestTimeMs } from './frame-head.js';
import { type Compressor, unwrapPacked, wrapPacked } from './packed.js';
import type { SeriesDigest } from './series-hash.js';

/** Packs windows of one width, in order, each beginning at a multiple of the width. Throws CodecError for others. */
export function packWindows(
  windows: readonly RollupWindow[],
  widthMs: number,
  compressor: Pick<Compressor, 'compress'>,
): Uint8Array {
  const writer = new ByteWriter();
  writer.unsigned(windows.length);
  let slot = 0;
  for (const [i, { startMs }] of windows.entries()) {
    const next = startMs / widthMs;
    if (!Number.isInteger(next) || (i > 0 && next <= slot)) throw new CodecError(`a window begins at ${startMs}`);
    if (i === 0) writer.signed(next);
    else writer.unsigned(next - slot - 1);
    slot = next;
  }
  let before = 0;
  for (const { count } of windows) {
    writer.signed(count - before);
    before = count;
  }
  before = 0;
  for (const { min } of windows) {
    writer.signed(min - before);
    before = min;
  }
  for (const { min, max } of windows) writer.unsigned(max - min);
  for (const { min, max, last } of windows) if (max > min) writer.unsigned(last - min);
  writeSums(writer, windows);
  for (const { startMs, lastMs } of windows) writer.unsigned(startMs + widthMs - lastMs);
  return wrapPacked(writer.finish(), compressor);
}

/** Unpacks windows; throws CodecError. */
export function unpackWindows(
  bytes: Uint8Array,
  widthMs: number,
  compressor: Pick<Compressor, 'decompress'>,
): RollupWindow[] {
  const body = unwrapPacked(bytes, compressor);
  const reader = new ByteReader(body);
  const length = reader.unsigned();
  if (length > body.length) throw new CodecError(`a pack claims ${length} windows`);
  const windows: RollupWindow[] = [];
  let slot = 0;
  for (let i = 0; i < length; i += 1) {
    slot = i === 0 ? reader.signed() : slot + reader.unsigned() + 1;
    const startMs = slot * widthMs;
    if (Math.abs(startMs) > largestTimeMs) throw new CodecError('a window beyond all dates');
    windows.push({ startMs, min: 0, max: 0, sum: 0, count: 0, last: 0, lastMs: 0 });
  }
  let before = 0;
  for (const window of windows) {
    window.count = before += reader.signed();
    if (window.count < 1) throw new CodecError('a window of no samples');
  }
  before = 0;
  for (const window of windows) window.min = before += reader.signed();
  for (const window of windows) window.max = window.min + reader.unsigned();
  for (const window of windows) window.last = window.max > window.min ? window.min + reader.unsigned() : window.min;
  readSums(reader, windows);
  for (const window of windows) window.lastMs = window.startMs + widthMs - reader.unsigned();
  if (!reader.atEnd) throw new CodecError('bytes left over after the last window');
  return windows;
}

/** Sums of huge values are beyond whole numbers: then all of them are written as floating point. */
function writeSums(writer: ByteWriter, windows: readonly RollupWindow[]): void {
  const distances = windows.map(({ min, max, sum, count }) => sum - expectedSum(min, max, count));
  const exact = windows.every(({ sum }, i) => Number.isSafeInteger(sum) && Math.abs(distances[i] as number) < 2 ** 52);
  writer.byte(exact ? 0 : 1);
  if (exact) for (const [i, { min, max }] of windows.entries()) if (max > min) writer.signed(distances[i] as number);
  if (exact) return;
  for (const { sum } of windows) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, sum);
    writer.raw(bytes);
  }
}

function readSums(reader: ByteReader, windows: readonly RollupWindow[]): void {
  const exact = reader.byte() === 0;
  for (const window of windows) {
    const { min, max, count } = window;
    if (exact) window.sum = max > min ? expectedSum(min, max, count) + reader.signed() : min * count;
    else {
      const bytes = reader.raw(8);
      window.sum = new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0);
    }
  }
}

/** What a sum is if values lie evenly between minimum and maximum; whole, so that it can be subtracted exactly. */
const expectedSum = (min: number, max: number, count: number): number => Math.floor((min + max) / 2) * count;

/** Packs digests of hours, in order of their hour (counted since 1970). */
export function packDigests(
  digests: ReadonlyArray<readonly [hour: number, digest: SeriesDigest]>,
  compressor: Pick<Compressor, 'compress'>,
): Uint8Array {
  const writer = new ByteWriter();
  writer.unsigned(digests.length);
  let before = 0;
  for (const [hour, { count, a, b }] of digests) {
    writer.signed(hour - before);
    before = hour;
    writer.unsigned(count);
    for (const lane of [a, b]) for (let shift = 0; shift < 32; shift += 8) writer.byte(lane >>> shift);
  }
  return wrapPacked(writer.finish(), compressor);
}

/** Unpacks digests of hours; throws CodecError. */
export function unpackDigests(
  bytes: Uint8Array,
  compressor: Pick<Compressor, 'decompress'>,
): Array<[hour: number, digest: SeriesDigest]> {
  const body = unwrapPacked(bytes, compressor);
  const reader = new ByteReader(body);
  const length = reader.unsigned();
  if (length > body.length) throw new CodecError(`a pack claims ${length} digests`);
  let hour = 0;
  const lane = () => {
    const [a, b, c, d] = reader.raw(4) as unknown as [number, number, number, number];
    return a | (b << 8) | (c << 16) | (d << 24);
  };
  const digests: Array<[number, SeriesDigest]> = [];
  for (let i = 0; i < length; i += 1) {
    hour += reader.signed();
    digests.push([hour, { count: reader.unsigned(), a: lane(), b: lane() }]);
  }
  if (!reader.atEnd) throw new CodecError('bytes left over after the last digest');
  return digests;
}
