/** Registers to values. A code for "no value", a number that is none, and anything not read become null, never 0. Pure. */
import type { Layout, ResolvedPoint } from './layout.js';
import { type Combine, type PollingClass, pollingClasses } from './profile-schema.js';

/** Registers that were read, by function and address. */
export class RegisterImage {
  readonly #words = new Map<number, number>();

  /** Takes the words of one answer; `step` addresses lie between one register and the next. */
  add(functionCode: 3 | 4, address: number, words: readonly number[], step = 1): void {
    for (const [i, word] of words.entries()) this.#words.set(functionCode * 65_536 + address + i * step, word);
  }

  /** The words of a range; undefined when one of them was not read. */
  get(functionCode: 3 | 4, address: number, count: number, step = 1): number[] | undefined {
    const words: number[] = [];
    for (let i = 0; i < count; i += 1) {
      const word = this.#words.get(functionCode * 65_536 + address + i * step);
      if (word === undefined) return undefined;
      words.push(word);
    }
    return words;
  }
}

/** A decoded point: a number, a text, null for "the device says it has none", undefined for "not read". */
export type PointValue = number | string | null | undefined;

/** A number without the noise of binary fractions: 5002 * 0.01 is 50.02. */
const clean = (value: number): number => (Number.isInteger(value) ? value : Number(value.toPrecision(12)));

/** A 32-bit float as the shortest decimal that is the same float: more digits would be noise of the conversion. */
function shortestFloat(value: number): number {
  for (let digits = 6; digits < 9; digits += 1) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

/** What decoding a value needs to know of its point. */
export type RawForm = Pick<ResolvedPoint, 'type' | 'lswFirst' | 'missing' | 'swapBytes' | 'mask'>;

/** The bits of a value, most significant first. */
export function bitsOf(
  { lswFirst, swapBytes }: Pick<RawForm, 'lswFirst' | 'swapBytes'>,
  words: readonly number[],
): bigint {
  let bits = 0n;
  for (let i = 0; i < words.length; i += 1) {
    const word = words[lswFirst ? words.length - 1 - i : i] ?? 0;
    bits = (bits << 16n) | BigInt(swapBytes ? ((word & 0xff) << 8) | (word >> 8) : word);
  }
  return bits;
}

/** Bits under a mask, shifted down to bit 0. */
function masked(bits: bigint, mask: bigint): bigint {
  let shift = 0n;
  while (shift < 64n && ((mask >> shift) & 1n) === 0n) shift += 1n;
  return (bits & mask) >> shift;
}

/** Decimal digits of four bits each; null where one of them is none. */
function fromDecimalDigits(bits: bigint, digits: number): number | null {
  const text = bits.toString(16).padStart(digits, '0');
  return /^[0-9]+$/.test(text) ? Number(text) : null;
}

function textOf(words: readonly number[], swapBytes: boolean): string | null {
  let text = '';
  for (const word of words)
    text += swapBytes ? String.fromCharCode(word & 0xff, word >> 8) : String.fromCharCode(word >> 8, word & 0xff);
  const shown = text.replace(/\0.*$/s, '').trim();
  // A text of all ones is an empty memory, not a name.
  return shown === '' || /^[\u00ff]+$/.test(shown) ? null : shown;
}

/** The raw value of a point before scaling. */
export function decodeRaw(point: RawForm, words: readonly number[]): number | string | null {
  if (point.type === 'str') return textOf(words, point.swapBytes ?? false);
  const whole = bitsOf(point, words);
  if (point.missing.includes(whole)) return null;
  const bits = point.mask === undefined ? whole : masked(whole, point.mask);
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits << BigInt(64 - 16 * words.length));
  const value = ((): number | null => {
    switch (point.type) {
      case 's16':
      case 'sf16':
        return view.getInt16(0);
      case 's32':
        return view.getInt32(0);
      case 's64':
        return Number(view.getBigInt64(0));
      case 'sm16':
        return bits & 0x8000n ? -Number(bits & 0x7fffn) : Number(bits);
      case 'sm32':
        return bits & 0x8000_0000n ? -Number(bits & 0x7fff_ffffn) : Number(bits);
      case 'bcd16':
        return fromDecimalDigits(bits, 4);
      case 'bcd32':
        return fromDecimalDigits(bits, 8);
      case 'f32':
        return shortestFloat(view.getFloat32(0));
      case 'f64':
        return view.getFloat64(0);
      default:
        return Number(bits);
    }
  })();
  return value !== null && Number.isFinite(value) ? value : null;
}

/** The registers of a point as they were read; undefined when one is missing. */
function wordsOf(point: ResolvedPoint, image: RegisterImage): number[] | undefined {
  const { highAddress, function: functionCode, address, count, step, lswFirst } = point;
  if (highAddress === undefined) return image.get(functionCode, address, count, step);
  const low = image.get(functionCode, address, 1)?.[0];
  const high = image.get(functionCode, highAddress, 1)?.[0];
  if (low === undefined || high === undefined) return undefined;
  return lswFirst ? [low, high] : [high, low];
}

/** Every point of a layout that was read, by key. */
export function decodePoints(layout: Layout, image: RegisterImage): Map<string, PointValue> {
  const raw = new Map<string, PointValue>();
  for (const point of layout.points) {
    const words = wordsOf(point, image);
    if (words) raw.set(point.key, decodeRaw(point, words));
  }
  const values = new Map<string, PointValue>();
  for (const point of layout.points) {
    const value = raw.get(point.key);
    if (typeof value !== 'number') {
      if (raw.has(point.key)) values.set(point.key, value);
      continue;
    }
    let factor = point.scale;
    if (point.scaleFactor !== undefined) {
      const exponent = raw.get(point.scaleFactor);
      // Without its scale factor a raw number means nothing; SunSpec allows -10 to 10.
      if (typeof exponent !== 'number' || exponent < -10 || exponent > 10) {
        values.set(point.key, null);
        continue;
      }
      factor = Number(`1e${exponent}`) * point.scale;
    }
    values.set(point.key, clean(value * factor + point.offset));
  }
  for (const { key, validIf } of layout.points) {
    if (!validIf || !values.has(key)) continue;
    const partner = values.get(validIf.point);
    const above = validIf.above === undefined || (typeof partner === 'number' && partner > validIf.above);
    const among = validIf.one_of === undefined || (typeof partner === 'number' && validIf.one_of.includes(partner));
    if (typeof partner !== 'number' || !above || !among) values.set(key, null);
  }
  for (const { key, multiply } of layout.computed ?? []) {
    const factors = multiply.map((one) => values.get(one));
    if (factors.includes(undefined)) continue;
    const numbers = factors.filter((one) => typeof one === 'number');
    const product = numbers.reduce((total, one) => total * one, 1);
    values.set(key, numbers.length === factors.length ? clean(product) : null);
  }
  return values;
}

/** The meanings of the bits that are set in a state of flags, lowest first; a bit without a meaning by its number. */
export function flagsOf(flags: Readonly<Record<string, string>>, value: number): string[] {
  const names: string[] = [];
  for (let bits = BigInt(value), bit = 0; bits > 0n; bits >>= 1n, bit += 1)
    if (bits & 1n) names.push(flags[String(bit)] ?? `bit ${bit}`);
  return names;
}

/** Whether everything a layout guards is as it must be; false too where a guard was not read. */
export function guardsHold(layout: Layout, image: RegisterImage): boolean {
  return layout.guards.every((guard) => {
    const words = image.get(guard.function, guard.address, guard.words.length);
    return words !== undefined && guard.words.every((word, i) => word === words[i]);
  });
}

/**
 * Metric values of decoded points, in the metric's unit and sign. A metric none of whose points was read is left out;
 * null means the device says it has no value. A sum lacks nothing or is null: a part of a sum would be a wrong value.
 * `due` are the polling classes that count now: what was only read along for another point's sake is not delivered.
 */
export function metricValues(
  layout: Layout,
  values: ReadonlyMap<string, PointValue>,
  combine: Readonly<Record<string, Combine>>,
  due: ReadonlySet<PollingClass> = new Set(pollingClasses),
): Record<string, number | null> {
  const fed = new Map<string, PointValue[]>();
  for (const point of layout.points) {
    if (point.metric === undefined || !due.has(point.polling)) continue;
    const value = values.get(point.key);
    const list = fed.get(point.metric) ?? [];
    list.push(toMetric(point, value));
    fed.set(point.metric, list);
  }
  for (const { key, metric, metricFactor } of layout.computed ?? []) {
    const value = values.get(key);
    if (value === undefined) continue;
    const list = fed.get(metric) ?? [];
    list.push(typeof value === 'number' ? clean(value * metricFactor) : null);
    fed.set(metric, list);
  }
  const metrics: Record<string, number | null> = {};
  for (const [metric, all] of fed) {
    const read = all.filter((value) => value !== undefined);
    if (read.length === 0) continue;
    const numbers = read.filter((value) => typeof value === 'number');
    const how = combine[metric] ?? 'first';
    const sum = numbers.reduce((total, value) => total + value, 0);
    if (how === 'first') metrics[metric] = numbers[0] ?? null;
    else if (numbers.length === 0) metrics[metric] = null;
    else if (how === 'mean') metrics[metric] = clean(sum / numbers.length);
    else if (read.length === all.length) metrics[metric] = numbers.length === all.length ? clean(sum) : null;
  }
  return metrics;
}

function toMetric(point: ResolvedPoint, value: PointValue): PointValue {
  if (value === undefined) return undefined;
  if (typeof value !== 'number') return null;
  if (point.metricMap) return point.metricMap[String(value)] ?? null;
  return clean(value * point.metricFactor);
}
