/** Tells the same thing at most once a minute, with how often it happened meanwhile. */
import type { Clock } from '@villagrid/contracts';

const windowMs = 60_000;
const maxKeys = 1000;

/** Remembers what was told when. */
export class Seldom {
  readonly #clock: Clock;
  readonly #told = new Map<string, { atMs: number; since: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `tell` with the number of times this happened since it was last told, if that was long enough ago. */
  tell(key: string, tell: (times: number) => void): void {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#told.get(key);
    if (known && nowMs - known.atMs < windowMs) {
      known.since += 1;
      return;
    }
    if (this.#told.size >= maxKeys) this.#told.clear();
    this.#told.set(key, { atMs: nowMs, since: 0 });
    tell((known?.since ?? 0) + 1);
  }
}
