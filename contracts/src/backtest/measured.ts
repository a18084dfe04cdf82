/** How much of a stretch was measured at all: a rule that was not raised says nothing about time without data. */

/** What there is of a stretch. */
export interface Measured {
  /** First moment of the stretch that was measured, Unix ms; null when none was. */
  readonly fromMs: number | null;
  /** Time in which anything of it was measured, milliseconds. */
  readonly totalMs: number;
}

/** Measured time of some devices together. Samples are shown in slices, in order of time. */
export class MeasuredTime {
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #lastOf = new Map<string, number>();
  #spans: [number, number][] = [];
  #firstMs: number | null = null;
  #coveredMs: number;
  #totalMs = 0;

  constructor(fromMs: number, toMs: number) {
    this.#fromMs = fromMs;
    this.#toMs = toMs;
    this.#coveredMs = fromMs;
  }

  /** Times of a slice at which a source said something; up to `gapMs` between two of them count as measured. */
  add(source: string, times: Iterable<number>, gapMs: number): void {
    let startMs = this.#lastOf.get(source);
    let lastMs = startMs;
    for (const timeMs of times) {
      if (lastMs === undefined || startMs === undefined || timeMs - lastMs > gapMs) {
        if (startMs !== undefined && lastMs !== undefined) this.#spans.push([startMs, lastMs]);
        startMs = timeMs;
      }
      lastMs = timeMs;
    }
    if (startMs === undefined || lastMs === undefined) return;
    this.#spans.push([startMs, lastMs]);
    this.#lastOf.set(source, Math.max(lastMs, this.#lastOf.get(source) ?? lastMs));
  }

  /** Adds up what was shown of a slice; what several sources measured at once counts once. */
  endSlice(): void {
    for (const [startMs, endMs] of this.#spans.sort((a, b) => a[0] - b[0])) {
      if (endMs < this.#fromMs || startMs >= this.#toMs) continue;
      this.#firstMs ??= Math.max(startMs, this.#fromMs);
      const untilMs = Math.min(endMs, this.#toMs);
      this.#totalMs += Math.max(0, untilMs - Math.max(startMs, this.#coveredMs));
      this.#coveredMs = Math.max(this.#coveredMs, untilMs);
    }
    this.#spans = [];
  }

  measured(): Measured {
    return { fromMs: this.#firstMs, totalMs: this.#totalMs };
  }
}
