/** The byte budget of a day of the village: what may still go, and when the history will be complete. Pure but for its store. */
import { zoneOffsetMs } from '@villagrid/contracts';
import type { SealStore } from '../log/seal-store.js';

const dayMs = 86_400_000;
/** The use of live is known after so long. */
const knownAfterMs = 600_000;
/** Before that, this share of the budget is kept for it. */
const firstReserve = 0.5;

/** Local day of a moment, as YYYY-MM-DD, and when the next one begins. */
export function localDay(ms: number, zone: string): { readonly day: string; readonly endMs: number } {
  const local = ms + zoneOffsetMs(zone, ms);
  const start = Math.floor(local / dayMs) * dayMs;
  return { day: new Date(start).toISOString().slice(0, 10), endMs: ms + (start + dayMs - local) };
}

/** Counts the bytes of a day. */
export class DayBudget {
  readonly #store: Pick<SealStore, 'dayBytes' | 'setDayBytes'>;
  readonly #zone: () => string;
  readonly #dailyBytes: number | null;
  #day = '';
  /** The day holds from the moment it was asked for until this one. */
  #knownFromMs = Number.POSITIVE_INFINITY;
  #endMs = Number.NEGATIVE_INFINITY;
  #used = 0;
  #written = 0;
  #counted = 0;
  #live = { bytes: 0, sinceMs: undefined as number | undefined };

  constructor(options: {
    readonly store: Pick<SealStore, 'dayBytes' | 'setDayBytes'>;
    readonly zone: () => string;
    /** Null: no budget. */
    readonly dailyBytes: number | null;
  }) {
    this.#store = options.store;
    this.#zone = options.zone;
    this.#dailyBytes = options.dailyBytes;
  }

  /** Takes what the line has carried in all since the start. Written down now and then, so that a restart forgets little. */
  count(totalBytes: number, nowMs: number): void {
    this.#turn(nowMs);
    this.#used += Math.max(0, totalBytes - this.#counted);
    this.#counted = totalBytes;
    if (this.#used - this.#written >= 20_000) this.save();
  }

  save(): void {
    if (this.#day === '' || this.#used === this.#written) return;
    this.#store.setDayBytes(this.#day, Math.round(this.#used));
    this.#written = this.#used;
  }

  /** So many bytes were live, headers included. */
  countLive(bytes: number, nowMs: number): void {
    this.#live.sinceMs ??= nowMs;
    this.#live.bytes += bytes;
  }

  usedBytes(nowMs: number): number {
    this.#turn(nowMs);
    return Math.round(this.#used);
  }

  get dailyBytes(): number | null {
    return this.#dailyBytes;
  }

  /** Whether something may go now. Alerts and what is said at a connection always may; live is kept room for. */
  allows(what: 'live' | 'backfill' | 'boost', nowMs: number): boolean {
    if (this.#dailyBytes === null) return true;
    this.#turn(nowMs);
    if (what === 'live') return this.#used < this.#dailyBytes;
    return this.#used + this.reserveBytes(nowMs) < this.#dailyBytes;
  }

  /** What live will take until the day ends, as far as is known. */
  reserveBytes(nowMs: number): number {
    const leftMs = localDay(nowMs, this.#zone()).endMs - nowMs;
    return (this.livePerDayBytes(nowMs) * leftMs) / dayMs;
  }

  livePerDayBytes(nowMs: number): number {
    const { bytes, sinceMs } = this.#live;
    const knownMs = sinceMs === undefined ? 0 : nowMs - sinceMs;
    if (knownMs < knownAfterMs) return (this.#dailyBytes ?? 0) * firstReserve;
    return (bytes / knownMs) * dayMs;
  }

  #turn(nowMs: number): void {
    // Asked at every step of the uplink, and the calendar of a zone is slow.
    if (nowMs >= this.#knownFromMs && nowMs < this.#endMs) return;
    const { day, endMs } = localDay(nowMs, this.#zone());
    this.#knownFromMs = nowMs;
    this.#endMs = endMs;
    if (day === this.#day) return;
    this.save();
    this.#day = day;
    this.#used = this.#written = this.#store.dayBytes(day);
  }
}

/** When everything that waits will be there, Unix milliseconds; null when it never will at this budget. */
export function completeAtMs(facts: {
  readonly nowMs: number;
  /** Bytes that wait, and how quickly they go, bytes a millisecond. */
  readonly waitingBytes: number;
  readonly bytesPerMs: number;
  /** End of the local day. */
  readonly dayEndMs: number;
  readonly dailyBytes: number | null;
  readonly usedBytes: number;
  readonly reserveBytes: number;
  readonly livePerDayBytes: number;
}): number | null {
  const { nowMs, waitingBytes, bytesPerMs, dayEndMs, dailyBytes } = facts;
  if (waitingBytes <= 0) return nowMs;
  if (!(bytesPerMs > 0)) return null;
  if (dailyBytes === null) return nowMs + waitingBytes / bytesPerMs;
  const today = Math.min(
    Math.max(0, dailyBytes - facts.usedBytes - facts.reserveBytes),
    bytesPerMs * (dayEndMs - nowMs),
  );
  if (waitingBytes <= today) return nowMs + waitingBytes / bytesPerMs;
  const perDay = Math.min(dailyBytes - facts.livePerDayBytes, bytesPerMs * dayMs);
  if (perDay <= 0) return null;
  const rest = waitingBytes - today;
  const days = Math.ceil(rest / perDay) - 1;
  return dayEndMs + days * dayMs + (rest - days * perDay) / bytesPerMs;
}
