/**
 * The village's clock. The gateway may not set the system's clock, so it keeps its own: while a time service keeps the
 * system's clock right it is that one; otherwise it is a known time carried on by monotonic time, which no step of the
 * system's clock moves. Timers are the system's own and never notice. Only the keeper puts it right.
 */
import type { AbortSignalLike, Clock, ClockTrust, Timer } from '@villagrid/contracts';

/** The village's clock and how far it is trusted. */
export class VillageClock implements Clock {
  readonly #system: Clock;
  #trust: ClockTrust;
  /** Wall minus monotonic time; undefined while the system's clock is followed. */
  #anchorMs: number | undefined;

  constructor(system: Clock, trust: ClockTrust) {
    this.#system = system;
    this.#trust = trust;
  }

  nowMs(): number {
    return this.#anchorMs === undefined ? this.#system.nowMs() : this.#anchorMs + this.#system.monotonicMs();
  }

  monotonicMs(): number {
    return this.#system.monotonicMs();
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#system.after(delayMs, run);
  }

  every(periodMs: number, run: () => void): Timer {
    return this.#system.every(periodMs, run);
  }

  sleep(delayMs: number, signal?: AbortSignalLike): Promise<void> {
    return this.#system.sleep(delayMs, signal);
  }

  trust(): ClockTrust {
    return this.#trust;
  }

  /** By how much it is ahead of the system's clock, milliseconds. */
  offsetMs(): number {
    return this.#anchorMs === undefined ? 0 : Math.round(this.nowMs() - this.#system.nowMs());
  }

  /** Whether it is the system's clock itself. */
  get follows(): boolean {
    return this.#anchorMs === undefined;
  }

  /** Carries a time on by monotonic time. */
  set(nowMs: number, trust: ClockTrust): void {
    this.#anchorMs = nowMs - this.#system.monotonicMs();
    this.#trust = trust;
  }

  /** Follows the system's clock. */
  follow(trust: ClockTrust): void {
    this.#anchorMs = undefined;
    this.#trust = trust;
  }
}
