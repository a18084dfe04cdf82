/**
 * Watches what a device says, series by series: a jump that the thing measured cannot make, a value that stays the same though
 * it varies by nature, a counter that stands while its power flows. What cannot be told from one value is told with hysteresis:
 * a jump that stays is true after three samples, a stuck value is believed again after it changed twice.
 * Limits are in the metric catalogue. Values stay as they are; only their quality is told. Range and form are told by the payload.
 */
import { metricDefinition, parseMetricId, type JumpLimit, type StuckLimit } from '../metrics/catalogue.js';
import { qualityCodes, type QualityCode } from './quality.js';

/** Samples in a row that agree on a new level before it is believed. */
const confirmations = 3;
/** Changes after which a value that was stuck is believed again. */
const changesUntilFree = 2;
/** The same value so often at least: a device that reports once an hour is not stuck after three. */
const leastRepeats = 20;
/** Energy that must have flowed, kWh, and time, ms, while a counter stood: counters have steps of up to 1 kWh. */
const frozenKwh = 10;
const frozenMs = 1_800_000;
/** Longest step over which a power is taken to have flowed, ms. */
const longestPowerStepMs = 600_000;

/** A time so much older than the newest is no late reading: the clock was set, ms. */
const clockSetBackMs = 6 * 3_600_000;

/** One series. Numbers only, in one shape: this runs for every sample. */
export class SeriesWatch {
  readonly #jump: JumpLimit | undefined;
  readonly #stuck: StuckLimit | undefined;
  readonly #isCounter: boolean;
  readonly #powerSign: number;
  #lastMs = Number.NEGATIVE_INFINITY;
  #last = Number.NaN;
  #lastCode: QualityCode = qualityCodes.good;
  /** The last value that was believed. */
  #good = Number.NaN;
  #goodMs = 0;
  /** A level that may be a new one, and how many samples agree on it. */
  #suspect = 0;
  #suspectMs = 0;
  #suspects = 0;
  #sameSinceMs = 0;
  #repeats = 0;
  #isStuck = false;
  #changes = 0;
  /** Energy that flowed since the counter moved, kWh; the power and time of the last step. */
  #flowedKwh = 0;
  #movedMs = 0;
  #power = 0;
  #powerMs = Number.NEGATIVE_INFINITY;

  constructor(metric: string) {
    const definition = metricDefinition(metric);
    this.#jump = definition?.jump;
    this.#stuck = definition?.stuck;
    this.#isCounter = definition?.aggregation === 'counter';
    this.#powerSign = definition?.counts?.sign ?? 0;
  }

  /**
   * The quality of a value at a time (Unix ms): good, `bad_jump` or `bad_stuck`. The same value at the same time is judged as it
   * was; an older one is not judged, it is good; one that is hours older begins anew, because a clock was set back.
   */
  judge(value: number, timeMs: number): QualityCode {
    if (timeMs <= this.#lastMs) {
      if (timeMs === this.#lastMs && value === this.#last) return this.#lastCode;
      if (timeMs > this.#lastMs - clockSetBackMs) return qualityCodes.good;
      this.#forget();
    }
    let code: QualityCode = qualityCodes.good;
    if (this.#jump !== undefined && this.#isJump(this.#jump, value, timeMs)) code = qualityCodes.bad_jump;
    else {
      this.#good = value;
      this.#goodMs = timeMs;
      if (this.#stuck !== undefined && this.#isStuckAt(this.#stuck, value, timeMs)) code = qualityCodes.bad_stuck;
      else if (this.#powerSign !== 0 && this.#isFrozen(value, timeMs)) code = qualityCodes.bad_stuck;
    }
    this.#last = value;
    this.#lastMs = timeMs;
    this.#lastCode = code;
    return code;
  }

  /** What it remembers, for `importState`; null stands for a number that is none. */
  exportState(): (number | null)[] {
    return [
      this.#lastMs,
      this.#last,
      this.#lastCode,
      this.#good,
      this.#goodMs,
      this.#suspect,
      this.#suspectMs,
      this.#suspects,
      this.#sameSinceMs,
      this.#repeats,
      this.#isStuck ? 1 : 0,
      this.#changes,
      this.#flowedKwh,
      this.#movedMs,
      this.#power,
      this.#powerMs,
    ].map((one) => (Number.isFinite(one) ? one : null));
  }

  /** Goes on from what another remembered; anything else than an export changes nothing. */
  importState(state: unknown): void {
    if (!Array.isArray(state) || state.length !== this.exportState().length) return;
    if (!state.every((one) => one === null || typeof one === 'number')) return;
    const numbers = state as (number | null)[];
    const at = (index: number, none: number): number => numbers[index] ?? none;
    this.#lastMs = at(0, Number.NEGATIVE_INFINITY);
    this.#last = at(1, Number.NaN);
    this.#lastCode = at(2, qualityCodes.good) as QualityCode;
    this.#good = at(3, Number.NaN);
    this.#goodMs = at(4, 0);
    this.#suspect = at(5, 0);
    this.#suspectMs = at(6, 0);
    this.#suspects = at(7, 0);
    this.#sameSinceMs = at(8, 0);
    this.#repeats = at(9, 0);
    this.#isStuck = at(10, 0) === 1;
    this.#changes = at(11, 0);
    this.#flowedKwh = at(12, 0);
    this.#movedMs = at(13, 0);
    this.#power = at(14, 0);
    this.#powerMs = at(15, Number.NEGATIVE_INFINITY);
  }

  #forget(): void {
    this.#last = Number.NaN;
    this.#good = Number.NaN;
    this.#suspects = 0;
    this.#isStuck = false;
  }

  /** The power, kW, of what this counter counts: what flows while the counter stands. */
  flows(powerKw: number, timeMs: number): void {
    const stepMs = timeMs - this.#powerMs;
    if (stepMs > 0 && stepMs <= longestPowerStepMs) {
      const power = this.#power * this.#powerSign;
      if (power > 0) this.#flowedKwh += (power * stepMs) / 3_600_000;
    }
    if (stepMs <= 0 && stepMs > -clockSetBackMs) return;
    this.#power = powerKw;
    this.#powerMs = timeMs;
  }

  #isJump({ step, share = 0, perS }: JumpLimit, value: number, timeMs: number): boolean {
    const change = value - this.#good;
    // Nothing to compare with; a counter that falls began again.
    if (Number.isNaN(change) || (this.#isCounter && change < 0)) return false;
    const reach = (from: number, sinceMs: number) => step + share * Math.abs(from) + (perS * (timeMs - sinceMs)) / 1000;
    if (Math.abs(change) <= reach(this.#good, this.#goodMs)) {
      this.#suspects = 0;
      return false;
    }
    const agrees = this.#suspects > 0 && Math.abs(value - this.#suspect) <= reach(this.#suspect, this.#suspectMs);
    this.#suspects = agrees ? this.#suspects + 1 : 1;
    this.#suspect = value;
    this.#suspectMs = timeMs;
    if (this.#suspects < confirmations) return true;
    this.#suspects = 0;
    return false;
  }

  #isStuckAt({ afterS, restsBelow }: StuckLimit, value: number, timeMs: number): boolean {
    const afterMs = afterS * 1000;
    if (value !== this.#last) {
      this.#sameSinceMs = timeMs;
      this.#repeats = 0;
      if (this.#isStuck && (this.#changes += 1) >= changesUntilFree) this.#isStuck = false;
    } else this.#repeats += 1;
    if (Math.abs(value) <= restsBelow) this.#isStuck = false;
    // Across a gap nobody knows whether it was the same all the time.
    else if (timeMs - this.#lastMs > afterMs / 4) this.#sameSinceMs = timeMs;
    else if (!this.#isStuck && this.#repeats >= leastRepeats && timeMs - this.#sameSinceMs >= afterMs) {
      this.#isStuck = true;
      this.#changes = 0;
    }
    return this.#isStuck;
  }

  #isFrozen(value: number, timeMs: number): boolean {
    if (value !== this.#last) {
      this.#flowedKwh = 0;
      this.#movedMs = timeMs;
      return false;
    }
    return this.#flowedKwh >= frozenKwh && timeMs - this.#movedMs >= frozenMs;
  }
}

/** What of a series must be watched: itself, and the counters that count it. */
interface Watched {
  readonly own: SeriesWatch | undefined;
  readonly counters: SeriesWatch[];
}

/** All series of one device. */
export class DeviceWatch {
  readonly #series = new Map<string, Watched>();

  /** The quality of a value that is good by itself; see `SeriesWatch.judge`. */
  judge(metric: string, value: number, timeMs: number): QualityCode {
    const watched = this.#series.get(metric) ?? this.#add(metric);
    for (const counter of watched.counters) counter.flows(value, timeMs);
    return watched.own === undefined ? qualityCodes.good : watched.own.judge(value, timeMs);
  }

  /**
   * A judge of whole readings of these metrics, as values times 10^decimals. It answers the qualities in their order, or undefined
   * where all are good; the array is used again.
   */
  row(
    metrics: readonly string[],
    factors: Float64Array,
  ): (values: Float64Array, timeMs: number) => Uint8Array | undefined {
    const watched = metrics.map((metric) => this.#series.get(metric) ?? this.#add(metric));
    const codes = new Uint8Array(metrics.length);
    return (values, timeMs) => {
      let any = 0;
      for (let i = 0; i < watched.length; i += 1) {
        const { own, counters } = watched[i] as Watched;
        const value = (values[i] as number) / (factors[i] as number);
        for (let c = 0; c < counters.length; c += 1) (counters[c] as SeriesWatch).flows(value, timeMs);
        const code = own === undefined ? qualityCodes.good : own.judge(value, timeMs);
        codes[i] = code;
        any |= code;
      }
      return any === 0 ? undefined : codes;
    };
  }

  /** What it remembers of each series, for `importState`. */
  exportState(): Readonly<Record<string, readonly (number | null)[]>> {
    return Object.fromEntries(
      [...this.#series].flatMap(([metric, { own }]) => (own === undefined ? [] : [[metric, own.exportState()]])),
    );
  }

  /** Goes on from what another remembered, be that before its first reading. */
  importState(state: unknown): void {
    if (typeof state !== 'object' || state === null) return;
    for (const [metric, one] of Object.entries(state))
      (this.#series.get(metric) ?? this.#add(metric)).own?.importState(one);
  }

  #add(metric: string): Watched {
    const definition = metricDefinition(metric);
    const isWatched = definition?.jump ?? definition?.stuck ?? definition?.counts;
    const watched: Watched = { own: isWatched ? new SeriesWatch(metric) : undefined, counters: [] };
    this.#series.set(metric, watched);
    if (definition?.counts && watched.own) {
      const { suffix } = parseMetricId(metric);
      const power = suffix === undefined ? definition.counts.power : `${definition.counts.power}.${suffix}`;
      (this.#series.get(power) ?? this.#add(power)).counters.push(watched.own);
    }
    return watched;
  }
}
