/**
 * The quick way through telemetry payloads: a node's messages differ in nothing but their numbers. A form is made of one
 * that was parsed in full; what has the same bytes between its numbers is read by it, at a tenth of the cost. It only
 * takes plain decimals of catalogued metrics within their range, and says no to everything else, which then goes the
 * full way: what it reads is exactly what `parseTelemetryText` would give, never with a finding. Pure.
 */
import { metricFacts } from '../metrics/catalogue.js';
import type { ParsedTelemetry } from './telemetry.js';

/** What a number of a payload is: an index of a metric, or one of these. */
const place = { seq: -1, up: -2, ts: -3 } as const;

/** Digits of which every number is exact, also while it is put together. */
const mostDigits = 15;
const powers = Float64Array.from({ length: mostDigits + 1 }, (_, power) => 10 ** power);
/** Longer payloads are not worth remembering, bytes. */
const longestForm = 4096;
const [quote, comma, minus, dot, zero, nine, colon] = [34, 44, 45, 46, 48, 57, 58];
const [openBrace, backslash, closeBrace] = [123, 92, 125];

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= zero && byte <= nine;
const isBlank = (byte: number | undefined): boolean => byte === 32 || byte === 9 || byte === 10 || byte === 13;

/** A form, and the reading that was last read by it. */
export class TelemetryForm {
  readonly boot: string | undefined;
  readonly metrics: readonly string[];
  /** Of the last reading; undefined where the form has none. */
  seq: number | undefined;
  upMs: number | undefined;
  timeMs: number | undefined;
  /** Of the last reading: values times 10^precision, whole, in the order of `metrics`. */
  readonly values: Float64Array;
  /** The bytes between the numbers, one after the other, and where each piece ends. */
  readonly #literals: Uint8Array;
  readonly #ends: Int32Array;
  /** What each number is. */
  readonly #places: Int32Array;
  readonly #precisions: Int32Array;
  /** Bounds of each metric, in its unit and scaled. */
  readonly #bounds: Float64Array;

  private constructor(boot: string | undefined, metrics: readonly string[], pieces: Pieces, bounds: Bounds) {
    this.boot = boot;
    this.metrics = metrics;
    this.values = new Float64Array(metrics.length);
    this.#literals = Uint8Array.from(pieces.literals);
    this.#ends = Int32Array.from(pieces.ends);
    this.#places = Int32Array.from(pieces.places);
    this.#precisions = Int32Array.from(bounds.precisions);
    this.#bounds = Float64Array.from(bounds.limits);
  }

  /** The form of a payload, bytes `from` to `to`, that was parsed in full; undefined when it has none that can be kept. */
  static of(bytes: Uint8Array, from: number, to: number, parsed: ParsedTelemetry): TelemetryForm | undefined {
    if (!parsed.ok || parsed.resent || parsed.findings.length > 0 || to - from > longestForm) return undefined;
    const [reading] = parsed.readings;
    const pieces = piecesOf(bytes, from, to);
    if (reading === undefined || pieces === undefined) return undefined;
    const metrics = reading.values.map(({ metric }) => metric);
    if (metrics.length === 0 || metrics.join() !== pieces.metrics.join()) return undefined;
    const bounds = boundsOf(metrics);
    if (bounds === undefined) return undefined;
    const form = new TelemetryForm(reading.boot, metrics, pieces, bounds);
    const isSame =
      form.read(bytes, from, to) &&
      form.seq === reading.seq &&
      form.upMs === reading.upMs &&
      form.timeMs === reading.timeMs &&
      reading.values.every(
        ({ value, quality }, i) =>
          quality === 0 &&
          value !== null &&
          Math.round(value * 10 ** (bounds.precisions[i] as number)) === form.values[i],
      );
    return isSame ? form : undefined;
  }

  /** Reads a payload, bytes `from` to `to`, into the fields; false when it has another form, or anything odd. */
  read(bytes: Uint8Array, from: number, to: number): boolean {
    const literals = this.#literals;
    const ends = this.#ends;
    const places = this.#places;
    const numbers = places.length;
    let at = from;
    let literal = 0;
    for (let number = 0; ; number += 1) {
      const end = ends[number] as number;
      if (at + end - literal > to) return false;
      while (literal < end) {
        if (bytes[at] !== literals[literal]) return false;
        at += 1;
        literal += 1;
      }
      if (number === numbers) return at === to;
      let byte = bytes[at] as number;
      const isNegative = byte === minus;
      if (isNegative) byte = bytes[(at += 1)] as number;
      const first = at;
      // Nine digits fit whole numbers of 32 bits, which are much quicker.
      let digits = 0;
      let ninth = at + 9;
      while (byte >= zero && byte <= nine && at < ninth) {
        digits = (digits * 10 + byte - zero) | 0;
        byte = bytes[(at += 1)] as number;
      }
      let mantissa: number = digits;
      while (byte >= zero && byte <= nine) {
        mantissa = mantissa * 10 + (byte - zero);
        byte = bytes[(at += 1)] as number;
      }
      const whole = at - first;
      if (whole === 0 || whole > mostDigits || (whole > 1 && bytes[first] === zero)) return false;
      let decimals = 0;
      if (byte === dot) {
        const point = at;
        byte = bytes[(at += 1)] as number;
        ninth += 1;
        if (whole <= 9) {
          while (byte >= zero && byte <= nine && at < ninth) {
            digits = (digits * 10 + byte - zero) | 0;
            byte = bytes[(at += 1)] as number;
          }
          mantissa = digits;
        }
        while (byte >= zero && byte <= nine) {
          mantissa = mantissa * 10 + (byte - zero);
          byte = bytes[(at += 1)] as number;
        }
        decimals = at - point - 1;
        if (decimals === 0 || whole + decimals > mostDigits) return false;
      }
      const index = places[number] as number;
      if (index >= 0) {
        if (!this.#put(index, mantissa, decimals, isNegative)) return false;
      } else {
        if (isNegative || decimals > 0) return false;
        if (index === place.seq) this.seq = mantissa;
        else if (index === place.up) this.upMs = mantissa;
        else this.timeMs = mantissa;
      }
    }
  }

  /** Notes a metric's number, quantised as by `quantise`; false when it is out of range. */
  #put(index: number, mantissa: number, decimals: number, isNegative: boolean): boolean {
    const precision = this.#precisions[index] as number;
    const bounds = this.#bounds;
    let scaled: number;
    if (decimals <= precision) {
      // Exact: within the bounds it is far below 2^53.
      scaled = mantissa * (powers[precision - decimals] as number);
      const signed = isNegative ? -scaled : scaled;
      if (signed < (bounds[index * 4 + 2] as number) || signed > (bounds[index * 4 + 3] as number)) return false;
    } else {
      const value = mantissa / (powers[decimals] as number);
      const signed = isNegative ? -value : value;
      if (signed < (bounds[index * 4] as number) || signed > (bounds[index * 4 + 1] as number)) return false;
      scaled = Math.round(value * (powers[precision] as number));
    }
    this.values[index] = isNegative && scaled !== 0 ? -scaled : scaled;
    return true;
  }
}

interface Bounds {
  readonly precisions: readonly number[];
  readonly limits: readonly number[];
}

/** Bounds of catalogued metrics whose limits are whole when scaled; undefined when one is not such. */
function boundsOf(metrics: readonly string[]): Bounds | undefined {
  const precisions: number[] = [];
  const limits: number[] = [];
  for (const metric of metrics) {
    const facts = metricFacts(metric);
    if (facts?.definition === undefined) return undefined;
    const { min, max } = facts.definition;
    const factor = 10 ** facts.precision;
    const scaled = [Math.round(min * factor), Math.round(max * factor)] as const;
    if (scaled[0] / factor !== min || scaled[1] / factor !== max || max * factor > 2 ** 50) return undefined;
    precisions.push(facts.precision);
    limits.push(min, max, ...scaled);
  }
  return { precisions, limits };
}

interface Pieces {
  readonly literals: readonly number[];
  readonly ends: readonly number[];
  readonly places: readonly number[];
  readonly metrics: readonly string[];
}

/** Takes a payload apart that is one plain object of the known fields, each once; undefined for all others. */
function piecesOf(bytes: Uint8Array, from: number, to: number): Pieces | undefined {
  const literals: number[] = [];
  const ends: number[] = [];
  const places: number[] = [];
  const metrics: string[] = [];
  const seen = new Set<string>();
  let at = from;
  let kept = from;

  const skipBlank = (): void => {
    while (at < to && isBlank(bytes[at])) at += 1;
  };
  const take = (byte: number): boolean => {
    skipBlank();
    if (at >= to || bytes[at] !== byte) return false;
    at += 1;
    return true;
  };
  /** A text without escapes. */
  const text = (): string | undefined => {
    if (!take(quote)) return undefined;
    let characters = '';
    for (; at < to && bytes[at] !== quote; at += 1) {
      if (bytes[at] === backslash) return undefined;
      characters += String.fromCharCode(bytes[at] as number);
    }
    return take(quote) ? characters : undefined;
  };
  const isNumeral = (): boolean => isDigit(bytes[at]) || [minus, dot, 43, 69, 101].includes(bytes[at] as number);
  /** A number that changes from message to message. */
  const number = (what: number): boolean => {
    skipBlank();
    if (at >= to || !isNumeral()) return false;
    for (; kept < at; kept += 1) literals.push(bytes[kept] as number);
    ends.push(literals.length);
    places.push(what);
    while (at < to && isNumeral()) at += 1;
    kept = at;
    return true;
  };
  const version = (): boolean => {
    skipBlank();
    const first = at;
    while (at < to && isNumeral()) at += 1;
    return at > first;
  };
  const metric = (name: string): boolean => {
    metrics.push(name);
    return number(metrics.length - 1);
  };
  const field = (name: string): boolean => {
    if (name === 'seq' || name === 'up' || name === 'ts') return number(place[name]);
    if (name === 'v') return version();
    if (name === 'boot') return text() !== undefined;
    return name === 'metrics' && object('metrics.', metric);
  };
  /** An object whose fields are each taken; false when one is not, or comes twice. */
  function object(prefix: string, takeField: (name: string) => boolean): boolean {
    if (!take(openBrace)) return false;
    do {
      const name = text();
      if (name === undefined || seen.has(prefix + name) || !take(colon)) return false;
      seen.add(prefix + name);
      if (!takeField(name)) return false;
    } while (take(comma));
    return take(closeBrace);
  }

  if (!object('', field)) return undefined;
  skipBlank();
  if (at !== to) return undefined;
  for (; kept < to; kept += 1) literals.push(bytes[kept] as number);
  ends.push(literals.length);
  return { literals, ends, places, metrics };
}
