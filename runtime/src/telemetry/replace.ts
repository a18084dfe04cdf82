/**
 * Replacing samples in the rollups of rows. What can be taken out of a sum is; a minimum, maximum or last value that may
 * have gone is found again: minutes from the frames, quarter hours from minutes, hours from quarter hours.
 */
import {
  emptyDigest,
  foldSample,
  foldWindow,
  metricPrecision,
  resolutionMs,
  seriesHasher,
  windowOf,
  windowStartMs,
  type RollupWindow,
  type Sample,
} from '@villagrid/contracts';
import type { SqliteDatabase } from '../sqlite/open.js';
import { gather, hourMs, isUsable, type SeriesGain } from './accumulate.js';
import { resolutionCodes, type StoredResolution } from './schema.js';
import type { FrameReader, SeriesKey } from './types.js';

const minuteMs = 60_000;
/** From which windows those of a resolution can be folded. */
const finerOf = { '15m': '1m', '1h': '15m' } as const;

interface Series {
  readonly id: number;
  readonly precision: number;
}

interface WindowRow {
  readonly window_min: number;
  readonly min: number;
  readonly max: number;
  readonly sum: number;
  readonly count: number;
  readonly last: number;
  readonly last_ms: number;
}

/** What a series loses and gains, and its minutes that must be found again from the frames. */
interface Work {
  readonly key: SeriesKey;
  readonly series: Series;
  readonly lost: Sample[];
  gain: SeriesGain | undefined;
  readonly anew: Map<number, RollupWindow | undefined>;
}

const nameOf = ({ deviceId, metric }: SeriesKey): string => `${deviceId} ${metric}`;

/** Makes the replacement over the rows of one store; `write` adds what a series gains. */
export function createReplacement(store: {
  readonly database: SqliteDatabase;
  readonly frames: FrameReader;
  readonly seriesOf: (gridId: string, key: SeriesKey) => Series | undefined;
  readonly write: (gridId: string, gain: SeriesGain) => void;
}): (gridId: string, removed: readonly Sample[], added: readonly Sample[]) => void {
  const { database, frames, seriesOf } = store;
  const sql = statements(database);

  /** Minutes of series as the frames have them now; all of them in one walk through the frames. */
  const fromFrames = (gridId: string, wanted: ReadonlyMap<string, Work>): void => {
    const minutes = new Set([...wanted.values()].flatMap(({ anew }) => [...anew.keys()]));
    for (const fromMs of minutes) {
      for (const frame of frames.framesOverlapping(fromMs, fromMs + minuteMs, gridId)) {
        for (const sample of frame.samples) {
          if (!isUsable(sample) || windowStartMs(sample.timeMs, '1m') !== fromMs) continue;
          const work = wanted.get(nameOf(sample));
          if (!work?.anew.has(fromMs)) continue;
          const scaled = Math.round(sample.value * 10 ** work.series.precision);
          const window = work.anew.get(fromMs);
          if (window) foldSample(window, sample.timeMs, scaled);
          else work.anew.set(fromMs, windowOf(fromMs, sample.timeMs, scaled));
        }
      }
    }
  };

  const put = (
    series: Series,
    resolution: StoredResolution,
    startMs: number,
    window: RollupWindow | undefined,
  ): void => {
    if (window === undefined || window.count === 0) {
      sql.deleteWindow.run(series.id, resolutionCodes[resolution], startMs / minuteMs);
      return;
    }
    const { min, max, sum, count, last, lastMs } = window;
    sql.putWindow.run(series.id, resolutionCodes[resolution], startMs / minuteMs, min, max, sum, count, last, lastMs);
  };

  /** Subtracts from one window; undefined when that cannot tell what it is now. */
  const subtracted = (
    row: WindowRow,
    lost: readonly { timeMs: number; scaled: number }[],
  ): RollupWindow | undefined => {
    const count = row.count - lost.length;
    if (count < 0) return undefined;
    const touched = lost.some(
      ({ timeMs, scaled }) => scaled === row.min || scaled === row.max || timeMs === row.last_ms,
    );
    if (count > 0 && touched) return undefined;
    return {
      startMs: row.window_min * minuteMs,
      min: row.min,
      max: row.max,
      sum: lost.reduce((sum, { scaled }) => sum - scaled, row.sum),
      count,
      last: row.last,
      lastMs: row.last_ms,
    };
  };

  const lostByWindow = ({ lost, series }: Work, resolution: StoredResolution) => {
    const windows = new Map<number, { timeMs: number; scaled: number }[]>();
    for (const sample of lost) {
      if (!isUsable(sample)) continue;
      const startMs = windowStartMs(sample.timeMs, resolution);
      const one = { timeMs: sample.timeMs, scaled: Math.round(sample.value * 10 ** series.precision) };
      const before = windows.get(startMs);
      if (before) before.push(one);
      else windows.set(startMs, [one]);
    }
    return windows;
  };

  /** Takes samples out of the minutes, and notes those where that does not tell enough. */
  const takeOut = (work: Work): void => {
    for (const [startMs, lost] of lostByWindow(work, '1m')) {
      const row = sql.window.get(work.series.id, resolutionCodes['1m'], startMs / minuteMs);
      if (!row) continue;
      const rest = subtracted(row, lost);
      if (rest === undefined) work.anew.set(startMs, undefined);
      else put(work.series, '1m', startMs, rest);
    }
  };

  /** Puts what was found and gained into the minutes, and makes the quarter hours and hours anew. */
  const bringIn = (work: Work): void => {
    const { series, gain, anew } = work;
    const minutes = gain?.windows.get('1m');
    for (const [startMs, window] of anew) {
      put(series, '1m', startMs, window);
      // What the frames gave holds the new samples already.
      minutes?.delete(startMs);
    }
    for (const window of minutes?.values() ?? []) addWindow(series, '1m', window);
    for (const resolution of ['15m', '1h'] as const) {
      const gained = gain?.windows.get(resolution);
      for (const [startMs, lost] of lostByWindow(work, resolution)) {
        const row = sql.window.get(series.id, resolutionCodes[resolution], startMs / minuteMs);
        const more = gained?.get(startMs);
        gained?.delete(startMs);
        put(series, resolution, startMs, row ? coarse(series, resolution, row, lost, more) : more);
      }
      for (const window of gained?.values() ?? []) addWindow(series, resolution, window);
    }
    // Only digests and the newest value are left to be written.
    if (gain) for (const windows of gain.windows.values()) windows.clear();
  };

  /** A quarter hour or hour from the finer windows; where these were given up already, by subtraction as far as that goes. */
  const coarse = (
    series: Series,
    resolution: keyof typeof finerOf,
    row: WindowRow,
    lost: readonly { timeMs: number; scaled: number }[],
    more: RollupWindow | undefined,
  ): RollupWindow | undefined => {
    const startMs = row.window_min * minuteMs;
    const count = row.count - lost.length + (more?.count ?? 0);
    let folded: RollupWindow | undefined;
    for (const finer of sql.windows.iterate(
      series.id,
      resolutionCodes[finerOf[resolution]],
      startMs / minuteMs,
      (startMs + resolutionMs[resolution]) / minuteMs,
    )) {
      const window: RollupWindow = { ...finer, startMs, lastMs: finer.last_ms };
      if (folded) foldWindow(folded, window);
      else folded = window;
    }
    if ((folded?.count ?? 0) === count) return folded;
    const rest: RollupWindow = {
      startMs,
      min: row.min,
      max: row.max,
      sum: lost.reduce((sum, { scaled }) => sum - scaled, row.sum),
      count: Math.max(0, row.count - lost.length),
      last: row.last,
      lastMs: row.last_ms,
    };
    if (rest.count === 0) return more;
    if (more) foldWindow(rest, more);
    return rest;
  };

  const addWindow = (series: Series, resolution: StoredResolution, window: RollupWindow): void => {
    const row = sql.window.get(series.id, resolutionCodes[resolution], window.startMs / minuteMs);
    if (!row) return put(series, resolution, window.startMs, window);
    const folded: RollupWindow = { ...row, startMs: window.startMs, lastMs: row.last_ms };
    foldWindow(folded, window);
    put(series, resolution, window.startMs, folded);
  };

  const takeDigests = ({ key, series, lost }: Work): void => {
    const hash = seriesHasher(key.deviceId, key.metric);
    const hours = new Map<number, ReturnType<typeof emptyDigest>>();
    for (const { timeMs, value, quality } of lost) {
      const hour = Math.floor(timeMs / hourMs);
      let digest = hours.get(hour);
      if (!digest) hours.set(hour, (digest = emptyDigest()));
      hash(digest, timeMs, value, quality);
    }
    for (const [hour, { count, a, b }] of hours) {
      sql.subtractDigest.run(count, -a >>> 0, -b >>> 0, series.id, hour);
      sql.deleteEmptyDigest.run(series.id, hour);
    }
  };

  /** The newest sample again, when the one that was is among those taken away. */
  const renewLatest = (gridId: string, { key, series, lost }: Work): void => {
    const row = sql.latest.get(series.id);
    if (!row || !lost.some(({ timeMs }) => timeMs === row.time_ms)) return;
    const hour = sql.newestHour.get(series.id) ?? null;
    let newest: Sample | undefined;
    if (hour !== null) {
      for (const frame of frames.framesOverlapping(hour * hourMs, (hour + 1) * hourMs, gridId)) {
        for (const sample of frame.samples) {
          if (nameOf(sample) !== nameOf(key) || Math.floor(sample.timeMs / hourMs) !== hour) continue;
          if (newest === undefined || sample.timeMs >= newest.timeMs) newest = sample;
        }
      }
    }
    if (newest === undefined) {
      sql.deleteLatest.run(series.id);
      return;
    }
    const scaled = newest.value === null ? null : Math.round(newest.value * 10 ** series.precision);
    sql.putLatest.run(series.id, newest.timeMs, scaled, newest.quality);
  };

  return database.transaction((gridId: string, removed: readonly Sample[], added: readonly Sample[]) => {
    const works = new Map<string, Work>();
    for (const sample of removed) {
      const known = works.get(nameOf(sample));
      if (known) {
        known.lost.push(sample);
        continue;
      }
      const key = { deviceId: sample.deviceId, metric: sample.metric };
      const series = seriesOf(gridId, key);
      if (series) works.set(nameOf(key), { key, series, lost: [sample], gain: undefined, anew: new Map() });
    }
    const precisionOf = (key: SeriesKey) => seriesOf(gridId, key)?.precision ?? metricPrecision(key.metric);
    const gains = gather([{ samples: added }], precisionOf);
    for (const gain of gains) {
      const work = works.get(nameOf(gain.key));
      if (work) work.gain = gain;
    }
    for (const work of works.values()) {
      takeDigests(work);
      takeOut(work);
    }
    fromFrames(gridId, works);
    for (const work of works.values()) bringIn(work);
    for (const gain of gains) store.write(gridId, gain);
    for (const work of works.values()) renewLatest(gridId, work);
  });
}

function statements(database: SqliteDatabase) {
  const columns = 'window_min, min, max, sum, count, last, last_ms';
  return {
    window: database.prepare<[number, number, number], WindowRow>(
      `SELECT ${columns} FROM telemetry_rollup WHERE series_id = ? AND resolution = ? AND window_min = ?`,
    ),
    windows: database.prepare<[number, number, number, number], WindowRow>(
      `SELECT ${columns} FROM telemetry_rollup
       WHERE series_id = ? AND resolution = ? AND window_min >= ? AND window_min < ? ORDER BY window_min`,
    ),
    putWindow: database.prepare<number[]>('INSERT OR REPLACE INTO telemetry_rollup VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    deleteWindow: database.prepare<[number, number, number]>(
      'DELETE FROM telemetry_rollup WHERE series_id = ? AND resolution = ? AND window_min = ?',
    ),
    subtractDigest: database.prepare<number[]>(
      `UPDATE telemetry_digest SET count = count - ?, a = (a + ?) & 4294967295, b = (b + ?) & 4294967295
       WHERE series_id = ? AND hour = ?`,
    ),
    deleteEmptyDigest: database.prepare<[number, number]>(
      'DELETE FROM telemetry_digest WHERE series_id = ? AND hour = ? AND count <= 0',
    ),
    newestHour: database
      .prepare<[number], number | null>('SELECT max(hour) FROM telemetry_digest WHERE series_id = ?')
      .pluck(),
    latest: database.prepare<[number], { time_ms: number }>('SELECT time_ms FROM telemetry_latest WHERE series_id = ?'),
    putLatest: database.prepare<[number, number, number | null, number]>(
      'INSERT OR REPLACE INTO telemetry_latest VALUES (?, ?, ?, ?)',
    ),
    deleteLatest: database.prepare<[number]>('DELETE FROM telemetry_latest WHERE series_id = ?'),
  };
}
