/** What a node keeps until it is acknowledged: a bounded queue of readings, oldest first. */

/** A reading a node has taken. */
export interface KeptReading {
  readonly seq: number;
  /** Milliseconds since the node's boot. */
  readonly up: number;
  readonly ts?: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** The queue. A full one gives up its oldest reading and counts it. */
export interface ReadingStore {
  add(reading: KeptReading): void;
  /** The oldest readings, at most so many; they stay until removed. */
  oldest(count: number): readonly KeptReading[];
  /** Removes everything up to and including the sequence number. */
  removeThrough(seq: number): void;
  clear(): void;
  readonly size: number;
  readonly givenUp: number;
}

/** A store for `capacity` readings. */
export function createReadingStore(capacity = 5000): ReadingStore {
  let kept: KeptReading[] = [];
  let givenUp = 0;
  return {
    add(reading) {
      kept.push(reading);
      if (kept.length > capacity) {
        givenUp += kept.length - capacity;
        kept = kept.slice(kept.length - capacity);
      }
    },
    oldest: (count) => kept.slice(0, count),
    removeThrough(seq) {
      const next = kept.findIndex((reading) => reading.seq > seq);
      kept = next < 0 ? [] : kept.slice(next);
    },
    clear() {
      kept = [];
    },
    get size() {
      return kept.length;
    },
    get givenUp() {
      return givenUp;
    },
  };
}

/** The payload for readings of one boot: the single form for one, `readings` for several. */
export function telemetryPayload(boot: string, readings: readonly KeptReading[]): string {
  const [first] = readings;
  if (readings.length === 1 && first !== undefined) return JSON.stringify({ v: 1, boot, ...first });
  return JSON.stringify({ v: 1, boot, readings });
}
