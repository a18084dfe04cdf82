/** Occurrences of a rule over a stretch of time, and what is counted of them. Pure. */
import { zoneOffsetMs } from '../history/resolution.js';
import { localDays } from '../metrics/raster.js';

/** One time that a rule was raised. */
export interface Occurrence {
  readonly deviceId: string | null;
  readonly metric: string | null;
  readonly raisedMs: number;
  /** Null when it had not ended at the end of the stretch. */
  readonly clearedMs: number | null;
  /** Value and limit when it was raised. */
  readonly value: number | null;
  readonly limit: number | null;
}

/** The stretch that is counted, Unix ms, and the zone whose days and nights count. */
export interface Stretch {
  readonly fromMs: number;
  readonly toMs: number;
  readonly zone: string;
}

/** What is counted. Durations are those within the stretch, milliseconds. */
export interface OccurrenceCounts {
  /** Raised within the stretch. */
  readonly count: number;
  /** Of these raised between 22 and 6 on the village's clock: somebody is woken. */
  readonly atNight: number;
  /** Raised before the stretch and still standing when it began. */
  readonly standingAtStart: number;
  readonly openAtEnd: number;
  readonly longestMs: number;
  readonly totalMs: number;
  /** Raised per local day, all days of the stretch. */
  readonly days: ReadonlyArray<{ readonly startMs: number; readonly count: number }>;
  /** By device, those with the most first; null is the village as a whole. */
  readonly devices: ReadonlyArray<{
    readonly deviceId: string | null;
    readonly count: number;
    readonly totalMs: number;
  }>;
}

/** Night hours on the village's clock: from the first to before the last. */
export const nightHours = [22, 6] as const;
const quarterMs = 900_000;

/** Tells night from day in a zone; remembers the offsets it looked up. */
export function nightOf(zone: string): (timeMs: number) => boolean {
  const offsets = new Map<number, number>();
  return (timeMs) => {
    const quarter = Math.floor(timeMs / quarterMs);
    let offset = offsets.get(quarter);
    if (offset === undefined) offsets.set(quarter, (offset = zoneOffsetMs(zone, quarter * quarterMs)));
    const hour = Math.floor((timeMs + offset) / 3_600_000) % 24;
    return hour >= nightHours[0] || hour < nightHours[1];
  };
}

/** Counts occurrences as they end; keeps no list of them. */
export class Tally {
  readonly #stretch: Stretch;
  readonly #isNight: (timeMs: number) => boolean;
  readonly #dayStarts: readonly number[];
  readonly #days: number[];
  readonly #devices = new Map<string | null, { count: number; totalMs: number }>();
  #count = 0;
  #atNight = 0;
  #standing = 0;
  #open = 0;
  #longestMs = 0;
  #totalMs = 0;

  constructor(stretch: Stretch) {
    this.#stretch = stretch;
    this.#isNight = nightOf(stretch.zone);
    this.#dayStarts = localDays(stretch.zone, stretch.fromMs, stretch.toMs).map(({ fromMs }) => fromMs);
    this.#days = this.#dayStarts.map(() => 0);
  }

  /** Counts one that has ended, or was open at the end; false when it does not touch the stretch. */
  add({ deviceId, raisedMs, clearedMs }: Occurrence): boolean {
    const { fromMs, toMs } = this.#stretch;
    if (raisedMs >= toMs || (clearedMs !== null && clearedMs <= fromMs)) return false;
    const durationMs = Math.min(clearedMs ?? toMs, toMs) - Math.max(raisedMs, fromMs);
    this.#longestMs = Math.max(this.#longestMs, durationMs);
    this.#totalMs += durationMs;
    if (clearedMs === null || clearedMs >= toMs) this.#open += 1;
    let device = this.#devices.get(deviceId);
    if (!device) this.#devices.set(deviceId, (device = { count: 0, totalMs: 0 }));
    device.totalMs += durationMs;
    if (raisedMs < fromMs) {
      this.#standing += 1;
      return true;
    }
    this.#count += 1;
    device.count += 1;
    if (this.#isNight(raisedMs)) this.#atNight += 1;
    const day = this.#dayOf(raisedMs);
    this.#days[day] = (this.#days[day] as number) + 1;
    return true;
  }

  counts(): OccurrenceCounts {
    return {
      count: this.#count,
      atNight: this.#atNight,
      standingAtStart: this.#standing,
      openAtEnd: this.#open,
      longestMs: this.#longestMs,
      totalMs: this.#totalMs,
      days: this.#dayStarts.map((startMs, at) => ({ startMs, count: this.#days[at] as number })),
      devices: [...this.#devices]
        .map(([deviceId, one]) => ({ deviceId, ...one }))
        .sort((a, b) => b.count - a.count || b.totalMs - a.totalMs),
    };
  }

  #dayOf(timeMs: number): number {
    let [low, high] = [0, this.#dayStarts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#dayStarts[middle] as number) <= timeMs) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/**
 * How far two lists of the same rule agree: pairs of one device and metric that overlap in time, or lie no further apart
 * than `slackMs`; each occurrence is in at most one pair.
 */
export function matchOccurrences(
  first: readonly Occurrence[],
  second: readonly Occurrence[],
  slackMs: number,
): { readonly both: number; readonly onlyFirst: number; readonly onlySecond: number } {
  const key = (one: Occurrence) => `${one.deviceId ?? ''} ${one.metric ?? ''}`;
  const waiting = new Map<string, Occurrence[]>();
  for (const one of [...second].sort((a, b) => a.raisedMs - b.raisedMs)) {
    const list = waiting.get(key(one));
    if (list) list.push(one);
    else waiting.set(key(one), [one]);
  }
  const next = new Map<string, number>();
  let both = 0;
  for (const one of [...first].sort((a, b) => a.raisedMs - b.raisedMs)) {
    const name = key(one);
    const list = waiting.get(name) ?? [];
    let at = next.get(name) ?? 0;
    while (
      at < list.length &&
      ((list[at] as Occurrence).clearedMs ?? Number.POSITIVE_INFINITY) + slackMs < one.raisedMs
    )
      at += 1;
    const other = list[at];
    if (other !== undefined && other.raisedMs - slackMs <= (one.clearedMs ?? Number.POSITIVE_INFINITY)) {
      both += 1;
      at += 1;
    }
    next.set(name, at);
  }
  return { both, onlyFirst: first.length - both, onlySecond: second.length - both };
}
