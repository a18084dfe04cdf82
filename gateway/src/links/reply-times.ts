/** How fast each unit of a link answers and how often it does not: deadlines and link states come from here. Pure. */

/** What is known of a unit. */
export interface UnitHealth {
  /** Smoothed time to its answer, real milliseconds; undefined before the first. */
  readonly latencyMs: number | undefined;
  /** Part of its last requests (64 at most) that had no good answer, 0 to 1. */
  readonly errorRate: number;
  readonly requests: number;
}

interface Unit {
  smoothMs: number | undefined;
  deviationMs: number;
  /** 1 for a failure, newest last. */
  recent: number[];
  requests: number;
  failedLast: boolean;
}

/** Never wait less: a busy box takes a while to look at what came, real milliseconds. */
const floorMs = 150;
const remembered = 64;

/** Answer times of the units of one link. */
export class ReplyTimes {
  readonly #units = new Map<number, Unit>();

  /**
   * How long to wait for a unit's answer: what it usually takes and four times its usual spread, never more than
   * `longestMs`. After a failure it is given all of that. Real milliseconds.
   */
  timeoutMs(unit: number, longestMs: number): number {
    const known = this.#units.get(unit);
    if (known?.smoothMs === undefined || known.failedLast) return longestMs;
    return Math.min(longestMs, Math.max(floorMs, 2 * known.smoothMs, known.smoothMs + 4 * known.deviationMs));
  }

  /** It answered after so many real milliseconds; an exception is an answer. */
  answered(unit: number, tookMs: number): void {
    const one = this.#unit(unit);
    if (one.smoothMs === undefined) {
      one.smoothMs = tookMs;
      one.deviationMs = tookMs / 2;
    } else {
      one.deviationMs += (Math.abs(tookMs - one.smoothMs) - one.deviationMs) / 4;
      one.smoothMs += (tookMs - one.smoothMs) / 8;
    }
    this.#note(one, 0);
  }

  /** It did not answer, or not this. */
  failed(unit: number): void {
    this.#note(this.#unit(unit), 1);
  }

  /** Whether its last request failed, or it was never asked. */
  inDoubt(unit: number): boolean {
    return this.#units.get(unit)?.failedLast ?? true;
  }

  health(unit: number): UnitHealth | undefined {
    const one = this.#units.get(unit);
    if (!one) return undefined;
    const failures = one.recent.reduce((sum, bit) => sum + bit, 0);
    return { latencyMs: one.smoothMs, errorRate: failures / Math.max(1, one.recent.length), requests: one.requests };
  }

  #unit(unit: number): Unit {
    const known = this.#units.get(unit);
    if (known) return known;
    const made: Unit = { smoothMs: undefined, deviationMs: 0, recent: [], requests: 0, failedLast: false };
    this.#units.set(unit, made);
    return made;
  }

  #note(one: Unit, failure: 0 | 1): void {
    one.requests += 1;
    one.failedLast = failure === 1;
    one.recent.push(failure);
    if (one.recent.length > remembered) one.recent.shift();
  }
}
