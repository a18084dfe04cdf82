/** Counts failed tries per key within a sliding window. In memory: a restart forgets, which costs an attacker nothing worth having. */

/** How many failures within how long. */
export interface TryLimitOptions {
  readonly failures: number;
  readonly windowMs: number;
  /** Keys remembered at most; the one longest without a failure goes first. */
  readonly keys?: number;
}

/** A limit of tries; times are monotonic milliseconds. */
export interface TryLimit {
  /** Milliseconds until the next try is allowed; 0 when allowed now. */
  waitMs(key: string, nowMs: number): number;
  fail(key: string, nowMs: number): void;
  /** Forgives what failed. */
  forget(key: string): void;
}

/** Makes a limit of tries. */
export function createTryLimit({ failures, windowMs, keys = 10_000 }: TryLimitOptions): TryLimit {
  const times = new Map<string, number[]>();
  const recent = (key: string, nowMs: number) => (times.get(key) ?? []).filter((time) => nowMs - time < windowMs);
  return {
    waitMs(key, nowMs) {
      const list = recent(key, nowMs);
      const freesIt = list[list.length - failures];
      return freesIt === undefined ? 0 : windowMs - (nowMs - freesIt);
    },
    forget(key) {
      times.delete(key);
    },
    fail(key, nowMs) {
      const list = recent(key, nowMs);
      list.push(nowMs);
      // Taken out and put in again: the map's order is that of the last failure.
      times.delete(key);
      times.set(key, list);
      if (times.size > keys) for (const oldest of times.keys()) if (times.size > keys) times.delete(oldest);
    },
  };
}
