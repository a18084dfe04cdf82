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

/** Counts identical lines per minute; those beyond the first few are told once, with their number, when the minute ends. */
export class LineFolder {
  readonly #clock: Clock;
  readonly #foldAfter: number;
  readonly #emit: (line: Line, repeated: number) => void;
  readonly #counts = new Map<string, Counted>();
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
    const key = `${line.level} ${line.message} ${JSON.stringify(line.fields)}`;
    const counted = this.#counts.get(key);
    if (!counted) {
      if (this.#counts.size < maxRemembered) this.#counts.set(key, { line, seen: 1 });
      return true;
    }
    counted.seen += 1;
    if (counted.seen <= this.#foldAfter) return true;
    if (!this.#armed) {
      this.#armed = true;
      unrefTimer(this.#clock.after(this.#windowEndsMs - nowMs, () => this.flush()));
    }
    return false;
  }

  /** Tells the counts of the window so far and starts a new one. */
  flush(): void {
    this.#armed = false;
    this.#windowEndsMs = Number.NEGATIVE_INFINITY;
    const folded = [...this.#counts.values()].filter((counted) => counted.seen > this.#foldAfter);
    this.#counts.clear();
    for (const { line, seen } of folded) this.#emit(line, seen - this.#foldAfter);
  }
}
