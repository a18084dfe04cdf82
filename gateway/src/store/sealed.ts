/** The durable part of the history: reads and writes rows of chunks and days. Knows nothing of what is still open. */
import {
  addDigest,
  CodecError,
  emptyDigest,
  foldWindow,
  packDigests,
  packTimes,
  packValues,
  packWindows,
  unpackDigests,
  unpackTimes,
  unpackValues,
  unpackWindows,
  type ChunkColumns,
  type RollupWindow,
  type SeriesDigest,
} from '@villagrid/contracts';
import type { Logger, SqliteDatabase } from '@villagrid/runtime';
import { foldColumns, joinColumns, joinWindows, noColumns, sliceColumns, type Hasher } from './columns.js';
import { dayKey, dayMs, dayOfKey, hourMs, idOfKey, minuteMs, quarterMs, timeKey, timeOfKey } from './schema.js';
import { type ChunkRow, sealedStatements } from './statements.js';
import { zip } from './zip.js';

/** Samples of a chunk below which it is written anew when more come to it: an hour of a reading a second is below. */
const smallChunk = 4096;
/** Pieces beside a chunk before it is written anew, once all of them hold as much as the first. */
const mostPieces = 16;
/** Samples beyond which a chunk is not written anew: those of all series of a device are in memory then. */
const largeChunk = 65_536;

/** What is known of a series' samples of one hour or day; its row id may not be known before they are written. */
interface GroupFacts {
  readonly owner: { readonly id: number | undefined };
  readonly digest: SeriesDigest;
  /** The window of an hour; undefined when no sample counts. */
  readonly window?: RollupWindow | undefined;
  /** The columns are only what comes to the chunk, which keeps what it has as pieces; digest and window are of all. */
  readonly isMore?: boolean;
}

/** Samples of a series that are to be packed. */
export interface GroupMember extends GroupFacts {
  readonly columns: ChunkColumns;
}

/**
 * What is written of a series in one hour or day, and which column of times it is kept with. Holds no samples: all groups
 * of a seal wait for one transaction, and after a flood their samples are ten times the memory there is.
 */
export interface PackedSeries extends GroupFacts {
  readonly values: Uint8Array;
  /** Index in the times of the group. */
  readonly times: number;
}

/** Series that are written together because they may share their times. */
export interface PackedGroup {
  readonly times: readonly Uint8Array[];
  readonly series: readonly PackedSeries[];
}

/** The windows of a series' day. */
export interface DayWindows {
  readonly digests: ReadonlyArray<readonly [hour: number, digest: SeriesDigest]>;
  readonly hours: readonly RollupWindow[];
  readonly quarters: readonly RollupWindow[];
}

/** The same, packed. */
export interface PackedDay {
  readonly digest: SeriesDigest;
  readonly hours: Uint8Array;
  readonly quarters: Uint8Array;
  readonly digests: Uint8Array;
}

/** Packs columns of several series; those with the same times, or some of them, share them. A step per series. */
export function* packGroup(all: readonly GroupMember[]): Generator<void, PackedGroup> {
  const times: Uint8Array[] = [];
  const bases: Float64Array[] = [];
  const series: PackedSeries[] = [];
  // The longest first: what others lack of its times is a few runs.
  for (const { columns, ...facts } of [...all].sort((a, b) => b.columns.times.length - a.columns.times.length)) {
    let packed: PackedSeries | undefined;
    for (const [i, base] of bases.entries()) {
      const values = packValues(columns, base, zip);
      if (values && values.length < columns.times.length * 8 + 64) packed = { ...facts, values, times: i };
      if (packed) break;
    }
    if (!packed) {
      const base = columns.times;
      bases.push(base);
      times.push(packTimes(base, zip));
      yield;
      packed = { ...facts, values: packValues(columns, base, zip) as Uint8Array, times: times.length - 1 };
    }
    series.push(packed);
    yield;
  }
  return { times, series };
}

/** Works out the windows and digests of columns. */
export function dayWindows(columns: ChunkColumns, precision: number, hash: Hasher): DayWindows {
  const digests: Array<[number, SeriesDigest]> = [];
  for (let at = 0; at < columns.times.length; ) {
    const hour = Math.floor((columns.times[at] as number) / hourMs);
    const part = sliceColumns(columns, hour * hourMs, (hour + 1) * hourMs);
    digests.push([hour, digestOf(part, precision, hash)]);
    at += part.times.length;
  }
  const quarters = foldColumns(columns, quarterMs);
  return { digests, quarters, hours: hoursOf(quarters) };
}

/** Windows of a day with what came later folded in; for days whose samples are gone. */
export function joinDays(first: DayWindows, second: DayWindows): DayWindows {
  const digests = new Map(first.digests.map(([hour, digest]) => [hour, { ...digest }]));
  for (const [hour, digest] of second.digests) {
    const known = digests.get(hour);
    if (known) addDigest(known, digest);
    else digests.set(hour, { ...digest });
  }
  const quarters = joinWindows(first.quarters, second.quarters);
  return { digests: [...digests].sort(([a], [b]) => a - b), quarters, hours: joinWindows(first.hours, second.hours) };
}

/** Packs the windows of a day. */
export function packDay({ digests, hours, quarters }: DayWindows): PackedDay {
  const digest = emptyDigest();
  for (const [, one] of digests) addDigest(digest, one);
  return {
    digest,
    hours: packWindows(hours, hourMs, zip),
    quarters: packWindows(quarters, quarterMs, zip),
    digests: packDigests(digests, zip),
  };
}

function hoursOf(quarters: readonly RollupWindow[]): RollupWindow[] {
  const hours: RollupWindow[] = [];
  for (const quarter of quarters) {
    const startMs = Math.floor(quarter.startMs / hourMs) * hourMs;
    const last = hours.at(-1);
    if (last?.startMs === startMs) foldWindow(last, quarter);
    else hours.push({ ...quarter, startMs });
  }
  return hours;
}

/** Count and hash of columns. */
export function digestOf({ times, values, qualities }: ChunkColumns, precision: number, hash: Hasher): SeriesDigest {
  const digest = emptyDigest();
  const factor = 10 ** precision;
  for (let i = 0; i < times.length; i += 1) {
    const value = values[i] as number;
    hash(digest, times[i] as number, value === value ? value / factor : null, qualities[i] as number);
  }
  return digest;
}

/** Columns of times that are kept unpacked: a day's takes about 140 kB. */
const mostKept = 24;

/** Rows of chunks and days. What cannot be unpacked is told once, and taken as missing. */
export class Sealed {
  readonly sql: ReturnType<typeof sealedStatements>;
  /** Hours that have chunks. */
  readonly looseHours = new Set<number>();
  readonly #log: Logger;
  readonly #told = new Set<string>();
  readonly #kept = new Map<string, Float64Array>();

  /** Pieces that could not be unpacked. */
  get damaged(): number {
    return this.#told.size;
  }

  constructor(database: SqliteDatabase, log: Logger) {
    this.sql = sealedStatements(database);
    this.#log = log;
    this.reload();
  }

  /** Reads anew which hours have chunks. */
  reload(): void {
    this.#kept.clear();
    this.looseHours.clear();
    // From hour to hour: looking at every row would read all chunks.
    for (let key = this.sql.nextChunk.get(-Number.MAX_SAFE_INTEGER); key != null; ) {
      const hour = timeOfKey(key);
      this.looseHours.add(hour);
      key = this.sql.nextChunk.get(timeKey(hour + 1, 0));
    }
  }

  /** Hours with chunks of [fromMs, toMs), in order. */
  looseBetween(fromMs: number, toMs: number): number[] {
    return [...this.looseHours]
      .filter((hour) => (hour + 1) * hourMs > fromMs && hour * hourMs < toMs)
      .sort((a, b) => a - b);
  }

  /** The samples of a series' hour that are in a chunk. */
  chunkColumns(seriesId: number, hour: number): ChunkColumns | undefined {
    const row = this.sql.chunk.get(timeKey(hour, seriesId));
    return row && this.#chunkOf(row, seriesId, hour);
  }

  /** The window of a series' hour; undefined when no sample counts. */
  chunkWindow(seriesId: number, hour: number): RollupWindow | undefined {
    return this.#looseWindows(seriesId, hour, hourMs)[0];
  }

  /**
   * Whether samples that come to a chunk are written beside what it has. A flood comes to the same hour again and again:
   * if each time all were written anew, the work would grow with the square of the samples. So it is done only when the
   * chunk has doubled since the last time, which is a fixed part of all the work, and not at all when it is large.
   */
  canGrow(seriesId: number, hour: number, more: number): boolean {
    const key = timeKey(hour, seriesId);
    const total = this.sql.chunk.get(key)?.total ?? 0;
    if (total < smallChunk) return false;
    const totals = this.sql.pieceTotals.all(key);
    const first = totals[0] ?? total;
    return totals.length < mostPieces || total - first + more < first || total + more > largeChunk;
  }

  /** Digest of what a chunk was written with. */
  chunkDigest(seriesId: number, hour: number): SeriesDigest {
    const row = this.sql.chunk.get(timeKey(hour, seriesId));
    return row ? { count: row.total, a: row.a, b: row.b } : emptyDigest();
  }

  /** Digest of what a packed day was written with. */
  dayDigest(seriesId: number, day: number): SeriesDigest {
    const row = this.sql.dayDigests.get(dayKey(seriesId, day) - 1, dayKey(seriesId, day));
    return row ? { count: row.total, a: row.a | 0, b: row.b | 0 } : emptyDigest();
  }

  #chunkOf(row: ChunkRow, seriesId: number, hour: number): ChunkColumns | undefined {
    const unpack = (what: string, { body, times }: Pick<ChunkRow, 'body' | 'times'>) =>
      this.#whole<ChunkColumns | undefined>(what, undefined, () => {
        return unpackValues(body, this.#times(this.sql.chunkTimes, timeKey(hour, times)), zip);
      });
    const key = timeKey(hour, seriesId);
    const newest = unpack(`chunk ${key}`, row);
    const pieces = this.sql.pieces.all(key);
    if (pieces.length === 0) return newest;
    return joinColumns([
      ...pieces.map((piece) => unpack(`piece ${piece.id} of chunk ${key}`, piece) ?? noColumns),
      newest ?? noColumns,
    ]);
  }

  /** The samples of a series' packed day; undefined when they are not kept (any more). */
  dayColumns(seriesId: number, day: number): ChunkColumns | undefined {
    const row = this.sql.raw.get(timeKey(day, seriesId));
    if (!row) return undefined;
    return this.#whole<ChunkColumns | undefined>(`day ${timeKey(day, seriesId)}`, undefined, () => {
      return unpackValues(row.body, this.#times(this.sql.rawTimes, timeKey(day, row.times)), zip);
    });
  }

  /** A column of times; the last ones are kept, because a question for several metrics of a device needs it for each. */
  #times(rows: typeof this.sql.rawTimes, key: number): Float64Array {
    const kind = rows === this.sql.rawTimes ? 'day' : 'hour';
    const known = this.#kept.get(`${kind} ${key}`);
    if (known) return known;
    const body = rows.get(key);
    if (!body) throw new CodecError('its times are missing');
    const times = unpackTimes(body, zip);
    if (this.#kept.size >= mostKept) this.#kept.clear();
    this.#kept.set(`${kind} ${key}`, times);
    return times;
  }

  /** Whether a series' day has ended and become one row. */
  hasDay(seriesId: number, day: number): boolean {
    return this.sql.hasDay.get(dayKey(seriesId, day)) !== undefined;
  }

  /** The windows of a packed day. */
  day(seriesId: number, day: number): DayWindows | undefined {
    const row = this.sql.day.get(dayKey(seriesId, day));
    if (!row) return undefined;
    return {
      hours: this.#windows(row.hours, hourMs, `hours of day ${day} of series ${seriesId}`),
      quarters: this.quarters(seriesId, day),
      digests: this.#whole(`digests of day ${day} of series ${seriesId}`, [], () => unpackDigests(row.digests, zip)),
    };
  }

  quarters(seriesId: number, day: number): RollupWindow[] {
    const body = this.sql.quarter.get(timeKey(day, seriesId));
    return body ? this.#windows(body, quarterMs, `quarters of day ${day} of series ${seriesId}`) : [];
  }

  minutes(seriesId: number, day: number): RollupWindow[] {
    const body = this.sql.minute.get(timeKey(day, seriesId));
    return body ? this.#windows(body, minuteMs, `minutes of day ${day} of series ${seriesId}`) : [];
  }

  /** Windows of hours, quarter hours or minutes that begin in [fromMs, toMs), in order; both are whole windows. */
  windows(seriesId: number, widthMs: number, fromMs: number, toMs: number): RollupWindow[] {
    const firstDay = Math.floor(fromMs / dayMs);
    const lastDay = Math.ceil(toMs / dayMs) - 1;
    const loose = this.looseBetween(fromMs, toMs);
    const found: RollupWindow[] = [];
    let at = 0;
    const takeLoose = (beforeHour: number) => {
      for (; at < loose.length && (loose[at] as number) < beforeHour; at += 1)
        found.push(...this.#looseWindows(seriesId, loose[at] as number, widthMs));
    };
    for (const { id, hours } of this.sql.days.all(dayKey(seriesId, firstDay), dayKey(seriesId, lastDay))) {
      const day = dayOfKey(id);
      takeLoose(day * 24);
      if (widthMs === hourMs) {
        const windows = this.#windows(hours, hourMs, `hours of day ${day} of series ${seriesId}`);
        for (let i = 0; i < windows.length; i += 1) found.push(windows[i] as RollupWindow);
      } else if (widthMs === quarterMs) found.push(...this.quarters(seriesId, day));
      else {
        const minutes = this.minutes(seriesId, day);
        const columns = this.dayColumns(seriesId, day);
        for (const one of columns ? joinWindows(foldColumns(columns, widthMs), minutes) : minutes) found.push(one);
      }
    }
    takeLoose(Number.POSITIVE_INFINITY);
    return found[0] !== undefined && (found[0].startMs < fromMs || (found.at(-1) as RollupWindow).startMs >= toMs)
      ? found.filter(({ startMs }) => startMs >= fromMs && startMs < toMs)
      : found;
  }

  #looseWindows(seriesId: number, hour: number, widthMs: number): RollupWindow[] {
    const row = this.sql.chunk.get(timeKey(hour, seriesId));
    if (!row || row.count === 0) return [];
    if (widthMs !== hourMs) return foldColumns(this.#chunkOf(row, seriesId, hour) ?? noColumns, widthMs);
    const { min, max, sum, count, last, last_after: after } = row;
    return [{ startMs: hour * hourMs, min, max, sum, count, last, lastMs: hour * hourMs + after }];
  }

  /** The samples of a series in [fromMs, toMs). */
  columns(seriesId: number, fromMs: number, toMs: number): ChunkColumns {
    const pieces: ChunkColumns[] = [];
    const firstDay = Math.floor(fromMs / dayMs);
    const lastDay = Math.ceil(toMs / dayMs) - 1;
    for (const id of this.sql.dayIds.all(dayKey(seriesId, firstDay), dayKey(seriesId, lastDay))) {
      const columns = this.dayColumns(seriesId, dayOfKey(id));
      if (columns) pieces.push(columns);
    }
    for (const hour of this.looseBetween(fromMs, toMs)) {
      const columns = this.chunkColumns(seriesId, hour);
      if (columns) pieces.push(columns);
    }
    pieces.sort((a, b) => (a.times[0] ?? 0) - (b.times[0] ?? 0));
    return sliceColumns(joinColumns(pieces), fromMs, toMs);
  }

  /** Writes chunks of an hour; those that were there give way, or become pieces. Within a transaction. */
  putChunks(hour: number, { times, series }: PackedGroup): void {
    this.#kept.clear();
    const firstFree = this.#nextTimes(this.sql.lastChunkTimes, hour);
    for (const [i, body] of times.entries()) this.sql.addChunkTimes.run(timeKey(hour, firstFree + i), body);
    for (const { owner, window, digest, isMore, values, times: own } of series) {
      const key = timeKey(hour, owner.id as number);
      if (isMore) this.sql.setAside.run({ chunk: key });
      else this.sql.dropPieces.run(key);
      this.sql.putChunk.run(
        key,
        digest.count,
        digest.a,
        digest.b,
        window?.min ?? null,
        window?.max ?? null,
        window?.sum ?? null,
        window?.count ?? 0,
        window?.last ?? null,
        window ? window.lastMs - hour * hourMs : null,
        firstFree + own,
        values,
      );
    }
    // Times that nobody is kept with any more; none in the usual case of a fresh hour.
    if (firstFree > 0 && series.some(({ isMore }) => !isMore))
      this.sql.dropChunkTimes.run({ from: timeKey(hour, 0), to: timeKey(hour + 1, 0) });
    this.looseHours.add(hour);
  }

  dropChunk(seriesId: number, hour: number): void {
    this.#kept.clear();
    this.sql.dropChunk.run(timeKey(hour, seriesId));
    this.sql.dropPieces.run(timeKey(hour, seriesId));
    const next = this.sql.nextChunk.get(timeKey(hour, 0));
    if (next == null || timeOfKey(next) !== hour) {
      this.sql.dropChunkTimes.run({ from: timeKey(hour, 0), to: timeKey(hour + 1, 0) });
      this.looseHours.delete(hour);
    }
  }

  /** Writes the samples of a packed day. Within a transaction. */
  putRaw(day: number, { times, series }: PackedGroup): void {
    this.#kept.clear();
    const firstFree = this.#nextTimes(this.sql.lastRawTimes, day);
    for (const [i, body] of times.entries()) this.sql.addRawTimes.run(timeKey(day, firstFree + i), body);
    for (const { owner, values, times: own } of series)
      this.sql.putRaw.run(timeKey(day, owner.id as number), firstFree + own, values);
    if (firstFree > 0) this.sql.dropRawTimes.run({ from: timeKey(day, 0), to: timeKey(day + 1, 0) });
  }

  /** Writes the windows of a day. Within a transaction. */
  putDay(seriesId: number, day: number, { digest, hours, quarters, digests }: PackedDay): void {
    this.sql.putDay.run(dayKey(seriesId, day), digest.count, digest.a, digest.b, hours, digests);
    this.sql.putQuarter.run(timeKey(day, seriesId), quarters);
  }

  /** Forgets a day that has no samples any more because their times were wrong. Within a transaction. */
  dropDay(seriesId: number, day: number): void {
    this.#kept.clear();
    this.sql.dropDay.run(dayKey(seriesId, day));
    this.sql.dropQuarter.run(timeKey(day, seriesId));
    this.sql.dropRaw.run(timeKey(day, seriesId));
    this.sql.dropRawTimes.run({ from: timeKey(day, 0), to: timeKey(day + 1, 0) });
  }

  putMinutes(seriesId: number, day: number, windows: readonly RollupWindow[]): void {
    this.sql.putMinute.run(timeKey(day, seriesId), packWindows(windows, minuteMs, zip));
  }

  #nextTimes(statement: ReturnType<typeof sealedStatements>['lastRawTimes'], time: number): number {
    const last = statement.get(timeKey(time, 0), timeKey(time + 1, 0));
    return last == null ? 0 : idOfKey(last) + 1;
  }

  #windows(body: Uint8Array, widthMs: number, what: string): RollupWindow[] {
    return this.#whole(what, [], () => unpackWindows(body, widthMs, zip));
  }

  #whole<T>(what: string, otherwise: T, unpack: () => T): T {
    try {
      return unpack();
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      if (!this.#told.has(what)) {
        this.#told.add(what);
        this.#log.error('a piece of the history is damaged and is taken as missing', { what, reason: error.message });
      }
      return otherwise;
    }
  }
}
