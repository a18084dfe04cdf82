/** Registers to values. A code for "no value", a number that is none, and anything not read become null, never 0. Pure. */
import type { Layout, ResolvedPoint } from './layout.js';
import { type Combine, type PollingClass, pollingClasses } from './profile-schema.js';

/** Registers that were read, by function and address. */
export class RegisterImage {
  readonly #words = new Map<number, number>();

  /** Takes the words of one answer. */
  add(functionCode: 3 | 4, address: number, words: readonly number[]): void {
    for (const [i, word] of words.entries()) this.#words.set(functionCode * 65_536 + address + i, word);
  }

  /** The words of a range; undefined when one of them was not read. */
  get(functionCode: 3 | 4, address: number, count: number): number[] | undefined {
    const words: number[] = [];
    for (let i = 0; i < count; i += 1) {
      const word = this.#words.get(functionCode * 65_536 + address + i);
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

/** The raw value of a point before scaling. */
export function decodeRaw(
  point: Pick<ResolvedPoint, 'type' | 'lswFirst' | 'missing'>,
  words: readonly number[],
): number | string | null {
  if (point.type === 'str') {
    let text = '';
    for (const word of words) text += String.fromCharCode(word >> 8, word & 0xff);
    const shown = text.replace(/\0.*$/s, '').trim();
    return shown === '' ? null : shown;
  }
  const ordered = point.lswFirst ? [...words].reverse() : words;
  const view = new DataView(new ArrayBuffer(8));
  for (const [i, word] of ordered.entries()) view.setUint16(2 * i, word);
  const bits = ordered.reduce((sum, word) => (sum << 16n) | BigInt(word), 0n);
  if (point.missing.includes(bits)) return null;
  const value = ((): number => {
    switch (point.type) {
      case 's16':
      case 'sf16':
        return view.getInt16(0);
      case 's32':
        return view.getInt32(0);
      case 's64':
        return Number(view.getBigInt64(0));
      case 'f32':
        return shortestFloat(view.getFloat32(0));
      case 'f64':
        return view.getFloat64(0);
      default:
        return Number(bits);
    }
  })();
  return Number.isFinite(value) ? value : null;
}

/** Every point of a layout that was read, by key. */
export function decodePoints(layout: Layout, image: RegisterImage): Map<string, PointValue> {
  const raw = new Map<string, PointValue>();
  for (const point of layout.points) {
    const words = image.get(point.function, point.address, point.count);
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
    if (typeof partner !== 'number' || partner <= validIf.above) values.set(key, null);
  }
  return values;
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
