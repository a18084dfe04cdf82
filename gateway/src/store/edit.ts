/** Works out what samples change in chunks and days, before anything is written. */
import { emptyDigest, addDigest, type ChunkColumns, type SeriesDigest } from '@villagrid/contracts';
import { foldColumns, joinColumns, joinWindows, noColumns, withoutColumns, type OpenHour } from './columns.js';
import type { SeriesState } from './open.js';
import { dayMs, hourMs, minuteMs } from './schema.js';
import { dayWindows, digestOf, joinDays, packDay, packGroup, type GroupMember, type Sealed } from './sealed.js';

/** Samples of one series and hour that come, and such that go. */
export interface Edit {
  readonly series: SeriesState;
  readonly hour: number;
  readonly part: OpenHour;
  readonly removed?: OpenHour;
}

/** What is to be written, in order, within one transaction; and what each series' digest gains or loses by it. */
export interface PreparedEdits {
  readonly writes: ReadonlyArray<() => void>;
  readonly changes: ReadonlyArray<{ readonly series: SeriesState; readonly change: SeriesDigest }>;
}

/**
 * Prepares edits in small steps; undefined when a sample that is to go is not there. Days whose samples are gone
 * (before `rawFloorMs`) get what comes folded into their windows, which cannot take anything back.
 */
export function* prepareEdits(
  sealed: Sealed,
  edits: readonly Edit[],
  rawFloorMs: number,
  minuteFloorMs: number,
): Generator<void, PreparedEdits | undefined> {
  const writes: Array<() => void> = [];
  const changes: Array<{ series: SeriesState; change: SeriesDigest }> = [];

  for (const group of groupsOf(edits)) {
    const day = Math.floor((group[0] as Edit).hour / 24);
    const hours = new Map<number, GroupMember[]>();
    const wholeDay: GroupMember[] = [];
    for (const [series, own] of bySeries(group)) {
      const { id } = series;
      const packed = id !== undefined && sealed.hasDay(id, day);
      const samples = packed ? sealed.dayColumns(id, day) : undefined;
      if (samples === undefined && (packed || (day + 1) * dayMs <= rawFloorMs)) {
        if (!foldInto(series, day, own)) return undefined;
      } else if (samples) {
        yield;
        const after = apply(samples, own);
        if (!after) return undefined;
        yield;
        const windows = packDay(dayWindows(after, series.precision, series.hash));
        changes.push({ series, change: difference(windows.digest, sealed.dayDigest(id as number, day)) });
        if (after.times.length === 0) {
          writes.push(() => sealed.dropDay(series.id as number, day));
          continue;
        }
        writes.push(() => sealed.putDay(series.id as number, day, windows));
        wholeDay.push({ owner: series, columns: after, digest: windows.digest });
      } else {
        for (const [hour, edits] of byHour(own)) if (!inHour(series, hour, edits, hours)) return undefined;
      }
      yield;
    }
    for (const [hour, members] of hours) {
      const packed = yield* packGroup(members);
      writes.push(() => sealed.putChunks(hour, packed));
    }
    if (wholeDay.length > 0) {
      const packed = yield* packGroup(wholeDay);
      writes.push(() => sealed.putRaw(day, packed));
    }
  }
  return { writes, changes };

  function inHour(series: SeriesState, hour: number, own: readonly Edit[], hours: Map<number, GroupMember[]>): boolean {
    const { id } = series;
    const put = (member: GroupMember) => hours.set(hour, [...(hours.get(hour) ?? []), member]);
    const before = id === undefined ? emptyDigest() : sealed.chunkDigest(id, hour);
    const count = own.reduce((sum, { part }) => sum + part.count, 0);
    if (id !== undefined && count > 0 && !own.some(takesAway) && sealed.canGrow(id, hour, count)) {
      const columns = joinColumns(own.map(({ part }) => part.columns()));
      const change = digestOf(columns, series.precision, series.hash);
      changes.push({ series, change });
      const digest = { ...before };
      addDigest(digest, change);
      const known = sealed.chunkWindow(id, hour);
      const [window] = joinWindows(known ? [known] : [], foldColumns(columns, hourMs));
      put({ owner: series, columns, digest, window, isMore: true });
      return true;
    }
    const known = id === undefined ? undefined : sealed.chunkColumns(id, hour);
    const after = apply(known ?? noColumns, own);
    if (!after) return false;
    const digest = digestOf(after, series.precision, series.hash);
    changes.push({ series, change: difference(digest, before) });
    if (after.times.length === 0) writes.push(() => sealed.dropChunk(series.id as number, hour));
    else {
      const [window] = foldColumns(after, hourMs);
      put({ owner: series, columns: after, digest, window });
    }
    return true;
  }

  function foldInto(series: SeriesState, day: number, own: readonly Edit[]): boolean {
    if (own.some(takesAway)) return false;
    const columns = joinColumns(own.map(({ part }) => part.columns()));
    const gain = dayWindows(columns, series.precision, series.hash);
    const known = series.id === undefined ? undefined : sealed.day(series.id, day);
    const windows = packDay(known ? joinDays(known, gain) : gain);
    const change = emptyDigest();
    for (const [, one] of gain.digests) addDigest(change, one);
    changes.push({ series, change });
    writes.push(() => sealed.putDay(series.id as number, day, windows));
    if ((day + 1) * dayMs > minuteFloorMs) {
      const before = series.id === undefined ? [] : sealed.minutes(series.id, day);
      const minutes = joinWindows(before, foldColumns(columns, minuteMs));
      writes.push(() => sealed.putMinutes(series.id as number, day, minutes));
    }
    return true;
  }
}

const takesAway = ({ removed }: Edit): boolean => removed !== undefined && removed.count > 0;

const difference = (after: SeriesDigest, before: SeriesDigest): SeriesDigest => ({
  count: after.count - before.count,
  a: (after.a - before.a) | 0,
  b: (after.b - before.b) | 0,
});

/** Takes away, then adds; undefined when something that is to go is not there. */
function apply(samples: ChunkColumns, edits: readonly Edit[]): ChunkColumns | undefined {
  let rest: ChunkColumns | undefined = samples;
  for (const { removed } of edits)
    if (removed && removed.count > 0 && rest) rest = withoutColumns(rest, removed.columns());
  return rest && joinColumns([rest, ...edits.map(({ part }) => part.columns())]);
}

/** Edits of one device and UTC day together: their samples may share times, and a packed day is one piece. */
function groupsOf(edits: readonly Edit[]): Iterable<Edit[]> {
  const groups = new Map<string, Edit[]>();
  for (const edit of edits) {
    const name = `${Math.floor(edit.hour / 24)} ${edit.series.deviceId} ${edit.series.gridId}`;
    const group = groups.get(name);
    if (group) group.push(edit);
    else groups.set(name, [edit]);
  }
  return groups.values();
}

/** A series' edits of each hour: several when samples came while it was being sealed, and that failed. */
function byHour(edits: readonly Edit[]): Map<number, Edit[]> {
  const hours = new Map<number, Edit[]>();
  for (const edit of edits) hours.set(edit.hour, [...(hours.get(edit.hour) ?? []), edit]);
  return hours;
}

function bySeries(edits: readonly Edit[]): Map<SeriesState, Edit[]> {
  const series = new Map<SeriesState, Edit[]>();
  for (const edit of edits) series.set(edit.series, [...(series.get(edit.series) ?? []), edit]);
  return series;
}
