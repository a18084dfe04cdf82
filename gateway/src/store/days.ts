/** Finished days: their chunks become one row a series, and later their samples give way to minutes. In small steps. */
import { type RollupWindow } from '@villagrid/contracts';
import type { SqliteDatabase } from '@villagrid/runtime';
import { foldColumns, joinColumns, joinWindows, noColumns } from './columns.js';
import type { SeriesState } from './open.js';
import { dayMs, idOfKey, minuteMs, timeKey, timeOfKey } from './schema.js';
import { dayWindows, packDay, packGroup, type GroupMember, type PackedDay, type Sealed } from './sealed.js';

/** What this work needs. */
export interface DayWork {
  readonly database: SqliteDatabase;
  readonly sealed: Sealed;
  readonly seriesById: ReadonlyMap<number, SeriesState>;
}

/** Series whose minutes are written with one commit. */
const seriesPerCommit = 16;

/** Packs days that ended before a time, a device's series per commit; gives how many series-days. */
export function* packLooseDays(work: DayWork, beforeMs: number): Generator<void, number> {
  const { sealed } = work;
  const days = new Set([...sealed.looseHours].map((hour) => Math.floor(hour / 24)));
  let packed = 0;
  for (const day of [...days].sort((a, b) => a - b)) {
    if ((day + 1) * dayMs > beforeMs) continue;
    for (const device of devicesOf(work, day).values()) packed += yield* packDeviceDay(work, day, device);
  }
  return packed;
}

/** Hours with chunks of each series of a day, by device. */
function devicesOf({ sealed, seriesById }: DayWork, day: number): Map<string, Map<SeriesState, number[]>> {
  const devices = new Map<string, Map<SeriesState, number[]>>();
  for (const key of sealed.sql.chunkIds.all(timeKey(day * 24, 0), timeKey((day + 1) * 24, 0))) {
    const series = seriesById.get(idOfKey(key));
    if (!series) continue;
    const name = `${series.gridId} ${series.deviceId}`;
    let device = devices.get(name);
    if (!device) devices.set(name, (device = new Map()));
    const hours = device.get(series);
    if (hours) hours.push(timeOfKey(key));
    else device.set(series, [timeOfKey(key)]);
  }
  return devices;
}

function* packDeviceDay(
  { database, sealed }: DayWork,
  day: number,
  device: ReadonlyMap<SeriesState, readonly number[]>,
): Generator<void, number> {
  const members: GroupMember[] = [];
  const days: Array<{ series: SeriesState; packed: PackedDay }> = [];
  for (const [series, hours] of device) {
    const id = series.id as number;
    const pieces = hours.map((hour) => sealed.chunkColumns(id, hour) ?? noColumns);
    const columns = joinColumns([sealed.dayColumns(id, day) ?? noColumns, ...pieces]);
    yield;
    const packed = packDay(dayWindows(columns, series.precision, series.hash));
    days.push({ series, packed });
    members.push({ owner: series, columns, digest: packed.digest });
    yield;
  }
  const group = yield* packGroup(members);
  try {
    database
      .transaction(() => {
        for (const { series, packed } of days) sealed.putDay(series.id as number, day, packed);
        sealed.putRaw(day, group);
        for (const [series, hours] of device) for (const hour of hours) sealed.dropChunk(series.id as number, hour);
      })
      .immediate();
  } catch (error) {
    sealed.reload();
    throw error;
  }
  yield;
  return device.size;
}

/**
 * Deletes the samples of packed days that ended before a time, the oldest first, keeping their minutes unless those are
 * beyond their own retention. `gone` writes within the first commit of a day that it has no samples any more.
 */
export function* prepareRawRemoval(
  { database, sealed }: DayWork,
  beforeMs: number,
  minuteFloorMs: number,
  gone: (dayEndMs: number) => () => void,
): Generator<void, number> {
  let removed = 0;
  for (let key = sealed.sql.oldestRaw.get(); key != null; key = sealed.sql.oldestRaw.get()) {
    const day = timeOfKey(key);
    const dayEndMs = (day + 1) * dayMs;
    if (dayEndMs > beforeMs) break;
    const ids = sealed.sql.rawIds
      .all(timeKey(day, 0), timeKey(day + 1, 0))
      .slice(0, seriesPerCommit)
      .map(idOfKey);
    const minutes = new Map<number, readonly RollupWindow[]>();
    for (const id of ids) {
      if (dayEndMs <= minuteFloorMs) break;
      const samples = sealed.dayColumns(id, day);
      // What came late after a first try is in minutes already.
      if (samples) minutes.set(id, joinWindows(foldColumns(samples, minuteMs), sealed.minutes(id, day)));
      yield;
    }
    const taken = database
      .transaction(() => {
        const noted = gone(dayEndMs);
        for (const [id, windows] of minutes) sealed.putMinutes(id, day, windows);
        for (const id of ids) sealed.sql.dropRaw.run(timeKey(day, id));
        sealed.sql.dropRawTimes.run({ from: timeKey(day, 0), to: timeKey(day + 1, 0) });
        return noted;
      })
      .immediate();
    taken();
    removed += ids.length;
    yield;
  }
  return removed;
}
