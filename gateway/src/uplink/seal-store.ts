/**
 * What was sealed and is not receipted: by this a resend is the same bytes, also after a restart. It is no second queue:
 * what is to be sent is the distance from the cursor to the log's end. What is lost here costs a conflict at worst.
 */

/** A sealed frame: the log numbers it stands for and its bytes. */
export interface Seal {
  readonly first: number;
  readonly last: number;
  readonly bytes: Uint8Array;
}

export interface SealStore {
  /** In order, none overlapping. */
  all(): readonly Seal[];
  put(seal: Seal): void;
  /** Forgets those that end up to a number. */
  forgetUpTo(number: number): void;
  /** Forgets one that does not fit what the cloud has. */
  forget(first: number): void;
  /** Bytes sent and received in a day of the village so far. */
  dayBytes(day: string): number;
  setDayBytes(day: string, bytes: number): void;
}

/** In memory: for tests, and where nothing is gathered. */
export function memorySealStore(): SealStore {
  const seals = new Map<number, Seal>();
  const days = new Map<string, number>();
  return {
    all: () => [...seals.values()].sort((a, b) => a.first - b.first),
    put: (seal) => void seals.set(seal.first, seal),
    forgetUpTo(number) {
      for (const { first, last } of seals.values()) if (last <= number) seals.delete(first);
    },
    forget: (first) => void seals.delete(first),
    dayBytes: (day) => days.get(day) ?? 0,
    setDayBytes: (day, bytes) => void days.set(day, bytes),
  };
}
