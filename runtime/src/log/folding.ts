/** Folding of repeated lines, so that one broken sensor does not fill the card with the same sentence. */
import type { Clock } from '@villagrid/contracts';
import { unrefTimer } from '../clock/real-clock.js';

/** One line before it is written. */
export interface Line {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

interface Counted {
  readonly line: Line;
  seen: number;
}

/** Different lines remembered per window; more are written unfolded. */
const maxRemembered = 1000;
const windowMs = 60_000;
/** Warnings and errors of one sentence pass so many times as often as one line, whatever else is in them. */
const similarFactor = 4;

/**
 * Counts identical lines per minute; those beyond the first few are told once, with their number, when the minute ends.
 * So are warnings and errors of one sentence that differ in their fields: a full disk is one trouble, not one per device.
 */
export class LineFolder {
  readonly #clock: Clock;
  readonly #foldAfter: number;
  readonly #emit: (line: Line, repeated: number) => void;
  readonly #counts = new Map<string, Counted>();
  readonly #similar = new Map<string, Counted>();
  #windowEndsMs = Number.NEGATIVE_INFINITY;
  #armed = false;

  constructor(clock: Clock, foldAfter: number, emit: (line: Line, repeated: number) => void) {
    this.#clock = clock;
    this.#foldAfter = foldAfter;
    this.#emit = emit;
  }

  /** Whether a line is to be written now. */
  passes(line: Line): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#windowEndsMs) {
      this.flush();
      this.#windowEndsMs = nowMs + windowMs;
    }
    const alike = `${line.level} ${String(line.fields.name)} ${line.message}`;
    if (this.#isWithin(this.#counts, `${alike} ${JSON.stringify(line.fields)}`, line, this.#foldAfter)) {
      const isTrouble = line.level === 'warn' || line.level === 'error';
      const similar = { ...line, fields: { ...common(line), other_fields_differ: true } };
      if (!isTrouble || this.#isWithin(this.#similar, alike, similar, this.#foldAfter * similarFactor)) return true;
    }
    if (!this.#armed) {
      this.#armed = true;
      unrefTimer(this.#clock.after(this.#windowEndsMs - nowMs, () => this.flush()));
    }
    return false;
  }

  #isWithin(counts: Map<string, Counted>, key: string, line: Line, most: number): boolean {
    const counted = counts.get(key);
    if (counted) return (counted.seen += 1) <= most;
    if (counts.size < maxRemembered) counts.set(key, { line, seen: 1 });
    return true;
  }

  /** Tells the counts of the window so far and starts a new one. */
  flush(): void {
    this.#armed = false;
    this.#windowEndsMs = Number.NEGATIVE_INFINITY;
    const folded: (readonly [Line, number])[] = [];
    const collect = (counts: Map<string, Counted>, most: number) => {
      for (const { line, seen } of counts.values()) if (seen > most) folded.push([line, seen - most]);
      counts.clear();
    };
    collect(this.#counts, this.#foldAfter);
    collect(this.#similar, this.#foldAfter * similarFactor);
    for (const [line, repeated] of folded) this.#emit(line, repeated);
  }
}

/** What lines of one sentence have in common: the part that says it, and the code. */
const common = ({ fields }: Line) => ({
  name: fields.name,
  ...(fields.code === undefined ? {} : { code: fields.code }),
});
