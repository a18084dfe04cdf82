/** Registers to values: types, word order, no-value codes, scale factors. Pure; a missing value is null, never 0. */
import { type Point, type Profile, registersOf, type RegisterType } from './profile.js';

/** Looks up a register; undefined when it was not read. */
export type RegisterLookup = (function_: 3 | 4, address: number) => number | undefined;

const noScaleFactor = 0x8000;

function rawNumber(type: RegisterType, words: readonly number[]): { value: number; code: number } {
  let code = 0n;
  for (const word of words) code = (code << 16n) | BigInt(word);
  const bits = words.length * 16;
  if (type === 'f32') {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, Number(code));
    return { value: view.getFloat32(0), code: Number(code) };
  }
  return { value: Number(type.startsWith('s') ? BigInt.asIntN(bits, code) : code), code: Number(code) };
}

/** A point's value in the maker's unit; null when the device says it has none; undefined when it was not read. */
export function decodePoint(point: Point, lookup: RegisterLookup, base = 0): number | null | undefined {
  const words: number[] = [];
  for (let i = 0; i < registersOf(point.type); i += 1) {
    const word = lookup(point.function, base + point.address + i);
    if (word === undefined) return undefined;
    words.push(word);
  }
  if (point.word_order === 'low_first') words.reverse();
  const { value, code } = rawNumber(point.type, words);
  if (!Number.isFinite(value) || point.missing.includes(code)) return null;
  let factor = point.scale;
  if (point.scale_factor !== undefined) {
    const exponent = lookup(point.function, base + point.scale_factor);
    if (exponent === undefined) return undefined;
    if (exponent === noScaleFactor) return null;
    const signed = exponent > 0x7fff ? exponent - 0x10000 : exponent;
    if (signed < -10 || signed > 10) return null;
    // Dividing by a whole power of ten keeps 0.1 exact where multiplying by 10^-1 would not.
    factor = signed < 0 ? factor / 10 ** -signed : factor * 10 ** signed;
  }
  return value * factor + point.offset;
}

/** The metrics of a device from its registers. Points that were not read are left out. */
export function decodeMetrics(profile: Profile, lookup: RegisterLookup, base = 0): Record<string, number | null> {
  const values = new Map<string, number | null>();
  for (const point of profile.points) {
    const value = decodePoint(point, lookup, base);
    if (value !== undefined) values.set(point.key, value);
  }
  const presence = profile.present_when === undefined ? undefined : values.get(profile.present_when);
  const absent = profile.present_when !== undefined && (presence === undefined || presence === null || presence <= 0);
  const metrics: Record<string, number | null> = {};
  for (const point of profile.points) {
    const value = values.get(point.key);
    if (point.metric === undefined || value === undefined) continue;
    metrics[point.metric] = absent || value === null ? null : value * point.metric_factor;
  }
  return metrics;
}
