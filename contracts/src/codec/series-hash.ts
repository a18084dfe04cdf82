/**
 * Count and hash of a series, by which anybody can compare two sides. The hash does not depend on the order in which
 * samples came: each sample gives 64 bits, which are added modulo 2^32 in two lanes.
 *
 * Per sample: words = [timeMs / 2^32, timeMs mod 2^32, scaled value's high and low word (two's complement of the
 * value times 10^precision), quality]; a missing value's words are 0x80000000 and 0. Each lane starts from the lane's
 * seed mixed with the characters of `device_id`, a space and `metric`, then mixes word by word with Murmur3's
 * 32-bit finaliser. Written as 16 hexadecimal digits, lane A first.
 */
import { metricPrecision } from '../metrics/catalogue.js';

/** Count and order-independent hash of the samples of one series. */
export interface SeriesDigest {
  count: number;
  /** The two 32-bit lanes of the hash. */
  a: number;
  b: number;
}

/** The digest of no samples. */
export const emptyDigest = (): SeriesDigest => ({ count: 0, a: 0, b: 0 });

const mix = (hash: number, word: number): number => {
  let h = Math.imul(hash ^ word, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h | 0;
};

/** Makes the function that adds a sample of one series to a digest. */
export function seriesHasher(
  deviceId: string,
  metric: string,
): (digest: SeriesDigest, timeMs: number, value: number | null, quality: number) => void {
  let seedA = 0x56494c4c;
  let seedB = 0x41475249;
  for (const character of `${deviceId} ${metric}`) {
    const code = character.codePointAt(0) ?? 0;
    seedA = mix(seedA, code);
    seedB = mix(seedB, code + 0x9e3779b9);
  }
  const factor = 10 ** metricPrecision(metric);
  return (digest, timeMs, value, quality) => {
    const time = Math.round(timeMs);
    const timeHigh = Math.floor(time / 4294967296) | 0;
    const timeLow = time | 0;
    const scaled = value === null ? 0 : Math.round(value * factor);
    const valueHigh = value === null ? 0x80000000 | 0 : Math.floor(scaled / 4294967296) | 0;
    const valueLow = scaled | 0;
    let a = mix(seedA, timeHigh);
    let b = mix(seedB, timeLow);
    a = mix(mix(mix(mix(a, timeLow), valueHigh), valueLow), quality);
    b = mix(mix(mix(mix(b, timeHigh), valueLow), valueHigh), quality + 0x9e3779b9);
    digest.count += 1;
    digest.a = (digest.a + a) | 0;
    digest.b = (digest.b + b) | 0;
  };
}

/** Adds one digest to another: the digest of both sets together. */
export function addDigest(into: SeriesDigest, other: SeriesDigest): void {
  into.count += other.count;
  into.a = (into.a + other.a) | 0;
  into.b = (into.b + other.b) | 0;
}

/** Count and hash of a series, the hash as `digestHex` writes it. */
export interface CountedHash {
  readonly count: number;
  readonly hash: string;
}

/** What a set holds beside another that is part of it. */
export function withoutDigest(whole: CountedHash, part: CountedHash | undefined): CountedHash {
  if (part === undefined) return { count: whole.count, hash: whole.hash };
  const lane = ({ hash }: CountedHash, at: number) => Number.parseInt(hash.slice(at, at + 8), 16);
  const rest = (at: number) => (lane(whole, at) - lane(part, at)) | 0;
  const count = whole.count - part.count;
  return { count, hash: digestHex({ count, a: rest(0), b: rest(8) }) };
}

/** The hash as 16 hexadecimal digits. */
export function digestHex(digest: SeriesDigest): string {
  const hex = (lane: number) => (lane >>> 0).toString(16).padStart(8, '0');
  return hex(digest.a) + hex(digest.b);
}
