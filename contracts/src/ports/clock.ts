/** The two sources every part gets from its composition root: time and randomness. */

/** A pending timer; cancelling twice is harmless. */
export interface Timer {
  cancel(): void;
}

/**
 * Time as a port. `nowMs` is Unix milliseconds of the (possibly wrong, possibly accelerated) wall clock;
 * `monotonicMs` never steps. Delays are in milliseconds of this clock.
 */
export interface Clock {
  nowMs(): number;
  monotonicMs(): number;
  after(delayMs: number, run: () => void): Timer;
  every(periodMs: number, run: () => void): Timer;
  /** Resolves after the delay; rejects with the signal's reason if it aborts first. */
  sleep(delayMs: number, signal?: AbortSignalLike): Promise<void>;
}

/** The part of AbortSignal that `Clock.sleep` needs, so that contracts stay free of platform types. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Randomness as a port: unpredictable in production, seeded in tests and simulations. */
export interface RandomSource {
  /** A number in [0, 1). */
  float(): number;
  bytes(length: number): Uint8Array;
}

/** How far a wall clock is trusted, most trusted first. */
export const clockTrusts = ['ntp', 'rtc', 'cloud', 'phone', 'floor', 'none'] as const;
export type ClockTrust = (typeof clockTrusts)[number];

/** Whether times by such a clock count as right: somebody or something told it the time. */
export function isTrusted(trust: ClockTrust): boolean {
  return trust !== 'floor' && trust !== 'none';
}

/** Whether `a` is trusted more than `b`. */
export function trustsMore(a: ClockTrust, b: ClockTrust): boolean {
  return clockTrusts.indexOf(a) < clockTrusts.indexOf(b);
}
