/** Seals that are forgotten with the process. */
import type { Seal, SealStore } from '../log/seal-store.js';

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
