/** The telemetry store over SQLite. */
import {
  addDigest,
  digestHex,
  emptyColumns,
  emptyDigest,
  metricPrecision,
  seriesHasher,
  type RollupWindow,
  type SeriesDigest,
} from '@villagrid/contracts';
import { migrateModule } from '../sqlite/migrate.js';
import type { SqliteDatabase } from '../sqlite/open.js';
import { gather, hourMs, type SeriesGain } from './accumulate.js';
import { NumberRanges } from './number-ranges.js';
import { createReplacement } from './replace.js';
import { resolutionCodes, telemetryMigrations, type StoredResolution } from './schema.js';
import type {
  FrameReader,
  LatestSample,
  NumberedFrame,
  SeriesCompleteness,
  SeriesKey,
  TelemetryStore,
} from './types.js';
import { bySeries, dividedHours, windowColumns } from './windows.js';

export interface TelemetryStoreOptions {
  /** Any database opened by `openDatabase`; the store's tables begin with `telemetry_` and are made here. */
  readonly database: SqliteDatabase;
  readonly frames: FrameReader;
  /** IANA zone of a grid, for its local days. */
  readonly zoneOf: (gridId: string) => string;
}

interface SeriesRow {
  readonly id: number;
  readonly device_id: string;
  readonly metric: string;
  readonly precision: number;
}
interface RollupRow {
  readonly window_min: number;
  readonly min: number;
  readonly max: number;
  readonly sum: number;
  readonly count: number;
  readonly last: number;
  readonly last_ms: number;
}

const minuteMs = 60_000;

/** Which windows of a grid go. */
export interface WindowRemoval {
  readonly gridId: string;
  readonly resolution: '1m' | '15m';
  /** Windows that begin in [fromMs, beforeMs). */
  readonly fromMs: number;
  readonly beforeMs: number;
  /** Series that are spared, by metric. */
  readonly spares?: (metric: string) => boolean;
}

/** The store of a server of many grids, whose windows go by grid. */
export interface RowTelemetryStore extends TelemetryStore {
  /** Grids that ever had a sample. */
  grids(): string[];
  /** Count and hash per series of samples in [fromMs, toMs), whole UTC hours; series without any are left out. */
  digests(gridId: string, fromMs: number, toMs: number): SeriesCompleteness[];
  /**
   * Deletes windows of a grid, at most some hundreds of one series with each step, and yields how many went. Quarter hours
   * that days are folded from stay.
   */
  removeWindows(which: WindowRemoval): Generator<number>;
}

/** Windows of one step of removing. */
const windowsPerStep = 500;

/** Opens the store in a database, making or migrating its tables. */
export function createTelemetryStore({ database, frames, zoneOf }: TelemetryStoreOptions): RowTelemetryStore {
  migrateModule(database, 'telemetry', telemetryMigrations);
  const sql = statements(database);
  /** Series rows by grid, then by `device metric`. */
  const known = new Map<string, Map<string, SeriesRow>>();

  const seriesOf = (gridId: string): Map<string, SeriesRow> => {
    let rows = known.get(gridId);
    if (!rows) {
      rows = new Map(sql.seriesOfGrid.all(gridId).map((row) => [`${row.device_id} ${row.metric}`, row]));
      known.set(gridId, rows);
    }
    return rows;
  };
  const find = (gridId: string, deviceId: string, metric: string) => seriesOf(gridId).get(`${deviceId} ${metric}`);

  const write = (gridId: string, gain: SeriesGain): void => {
    const { deviceId, metric } = gain.key;
    let row = find(gridId, deviceId, metric);
    if (!row) {
      const precision = metricPrecision(metric);
      const { lastInsertRowid } = sql.addSeries.run(gridId, deviceId, metric, precision);
      row = { id: Number(lastInsertRowid), device_id: deviceId, metric, precision };
      seriesOf(gridId).set(`${deviceId} ${metric}`, row);
    }
    for (const [resolution, windows] of gain.windows) {
      for (const window of windows.values()) {
        const { startMs, min, max, sum, count, last, lastMs } = window;
        sql.addWindow.run(row.id, resolutionCodes[resolution], startMs / minuteMs, min, max, sum, count, last, lastMs);
      }
    }
    for (const [startMs, { count, a, b }] of gain.digests)
      sql.addDigest.run(row.id, startMs / hourMs, count, a >>> 0, b >>> 0);
    const { timeMs, value, quality } = gain.latest;
    sql.setLatest.run(row.id, timeMs, value === null ? null : Math.round(value * 10 ** row.precision), quality);
  };

  const loadRanges = (source: string, epoch: string) =>
    new NumberRanges(sql.ranges.all(source, epoch).map(({ first, last }) => [first, last] as const));
  const saveRanges = (source: string, epoch: string, ranges: NumberRanges): void => {
    sql.clearRanges.run(source, epoch);
    for (const [first, last] of ranges.ranges) sql.addRange.run(source, epoch, first, last);
  };

  const apply = database.transaction(
    (gridId: string, source: string, epoch: string, batch: readonly NumberedFrame[]) => {
      const ranges = loadRanges(source, epoch);
      const fresh = [];
      for (const { number, frame } of batch) {
        if (ranges.has(number)) continue;
        ranges.add(number);
        fresh.push(frame);
      }
      if (fresh.length > 0) {
        const precisionOf = ({ deviceId, metric }: SeriesKey) =>
          find(gridId, deviceId, metric)?.precision ?? metricPrecision(metric);
        for (const gain of gather(fresh, precisionOf)) write(gridId, gain);
        saveRanges(source, epoch, ranges);
      }
      return { applied: fresh.length, skipped: batch.length - fresh.length, upTo: ranges.contiguous };
    },
  );

  const replace = createReplacement({
    database,
    frames,
    seriesOf: (gridId, { deviceId, metric }) => find(gridId, deviceId, metric),
    write,
  });

  const rowsBetween = function* (
    series: SeriesRow,
    resolution: StoredResolution,
    fromMs: number,
    toMs: number,
  ): Generator<RollupWindow> {
    for (const row of sql.windows.iterate(series.id, resolutionCodes[resolution], fromMs / minuteMs, toMs / minuteMs)) {
      const { window_min, last_ms, ...scaled } = row;
      yield { startMs: window_min * minuteMs, lastMs: last_ms, ...scaled };
    }
  };

  const removeSome = database.transaction((id: number, code: number, starts: readonly number[]): number => {
    let gone = 0;
    for (const start of starts) gone += sql.removeWindow.run(id, code, start).changes;
    return gone;
  });

  const removeWindows = function* (which: WindowRemoval): Generator<number> {
    const { gridId, resolution, fromMs, beforeMs, spares } = which;
    const code = resolutionCodes[resolution];
    const perHour = hourMs / minuteMs;
    for (const { id, metric } of [...seriesOf(gridId).values()]) {
      if (spares?.(metric)) continue;
      for (let at = Math.max(0, fromMs / minuteMs); ; ) {
        const starts = sql.windowStarts.all(id, code, at, beforeMs / minuteMs, windowsPerStep);
        const [first, last] = [starts[0], starts.at(-1)];
        if (first === undefined || last === undefined) break;
        const staying =
          resolution === '15m' ? dividedHours(zoneOf(gridId), first * minuteMs, (last + 15) * minuteMs) : undefined;
        const stays = (start: number) => staying?.has(Math.floor(start / perHour) * hourMs) === true;
        yield removeSome.immediate(
          id,
          code,
          starts.filter((start) => !stays(start)),
        );
        if (starts.length < windowsPerStep) break;
        at = last + 1;
      }
    }
  };

  return {
    grids: () => sql.grids.all(),
    removeWindows,
    digests: (gridId, fromMs, toMs) =>
      sql.digestsBetween
        .all(gridId, fromMs / hourMs, toMs / hourMs)
        .map(({ device_id, metric, count, a, b }) => ({
          deviceId: device_id,
          metric,
          count,
          hash: digestHex({ count, a: a | 0, b: b | 0 }),
        }))
        .sort(bySeries),
    applyFrames(gridId, source, epoch, batch) {
      try {
        return apply.immediate(gridId, source, epoch, batch);
      } catch (error) {
        // Rows of series added by the transaction are gone with it.
        known.clear();
        throw error;
      }
    },
    replaceSamples(gridId, removed, added) {
      try {
        replace(gridId, removed, added);
      } catch (error) {
        known.clear();
        throw error;
      }
    },
    skipNumbers(source, epoch, first, last) {
      database
        .transaction(() => {
          const ranges = loadRanges(source, epoch);
          ranges.add(first, last);
          saveRanges(source, epoch, ranges);
        })
        .immediate();
    },
    cursor: (source, epoch) => loadRanges(source, epoch).contiguous,
    appliedRanges: (source, epoch) => loadRanges(source, epoch).ranges,
    series: (gridId) =>
      [...seriesOf(gridId).values()].map(({ device_id, metric }) => ({ deviceId: device_id, metric })).sort(bySeries),
    latest: (gridId) =>
      sql.latest
        .all(gridId)
        .map(
          ({ device_id, metric, precision, time_ms, value, quality }): LatestSample => ({
            deviceId: device_id,
            metric,
            timeMs: time_ms,
            value: value === null ? null : value / 10 ** precision,
            quality,
          }),
        )
        .sort(bySeries),

    windows(gridId, deviceId, metric, resolution, fromMs, toMs) {
      const series = find(gridId, deviceId, metric);
      if (!series || !(toMs > fromMs)) return emptyColumns();
      const question = { resolution, fromMs, toMs, zone: zoneOf(gridId), factor: 10 ** series.precision };
      return windowColumns(question, (stored, from, to) => rowsBetween(series, stored, from, to));
    },

    raw(gridId, deviceId, metric, fromMs, toMs) {
      const found = [];
      for (const frame of frames.framesOverlapping(fromMs, toMs, gridId)) {
        for (const sample of frame.samples) {
          const wanted =
            sample.deviceId === deviceId && sample.metric === metric && sample.timeMs >= fromMs && sample.timeMs < toMs;
          if (wanted) found.push(sample);
        }
      }
      found.sort((a, b) => a.timeMs - b.timeMs);
      return {
        t: found.map((one) => one.timeMs),
        value: found.map((one) => one.value),
        quality: found.map((one) => one.quality),
      };
    },

    completeness(gridId, untilMs) {
      const wholeMs = Math.floor(untilMs / hourMs) * hourMs;
      const digests = new Map<string, SeriesKey & { digest: SeriesDigest }>();
      const digestOf = (key: SeriesKey): SeriesDigest => {
        const name = `${key.deviceId} ${key.metric}`;
        let entry = digests.get(name);
        if (!entry) digests.set(name, (entry = { deviceId: key.deviceId, metric: key.metric, digest: emptyDigest() }));
        return entry.digest;
      };
      for (const { device_id, metric, count, a, b } of sql.digests.all(gridId, wholeMs / hourMs)) {
        // Sums of unsigned lanes stay below 2^53 for two million hours, so they are exact before they wrap.
        addDigest(digestOf({ deviceId: device_id, metric }), { count, a: a | 0, b: b | 0 });
      }
      if (untilMs > wholeMs) {
        const hashers = new Map<string, ReturnType<typeof seriesHasher>>();
        for (const frame of frames.framesOverlapping(wholeMs, untilMs, gridId)) {
          for (const sample of frame.samples) {
            if (sample.timeMs < wholeMs || sample.timeMs >= untilMs) continue;
            const name = `${sample.deviceId} ${sample.metric}`;
            let hasher = hashers.get(name);
            if (!hasher) hashers.set(name, (hasher = seriesHasher(sample.deviceId, sample.metric)));
            hasher(digestOf(sample), sample.timeMs, sample.value, sample.quality);
          }
        }
      }
      return [...digests.values()]
        .map(({ deviceId, metric, digest }) => ({ deviceId, metric, count: digest.count, hash: digestHex(digest) }))
        .sort(bySeries);
    },

    pruneWindows: (resolution, beforeMs) => sql.prune.run(resolutionCodes[resolution], beforeMs / minuteMs).changes,
  };
}

function statements(database: SqliteDatabase) {
  return {
    seriesOfGrid: database.prepare<[string], SeriesRow>(
      'SELECT id, device_id, metric, precision FROM telemetry_series WHERE grid_id = ?',
    ),
    addSeries: database.prepare<[string, string, string, number]>(
      'INSERT INTO telemetry_series (grid_id, device_id, metric, precision) VALUES (?, ?, ?, ?)',
    ),
    addWindow: database.prepare<number[]>(
      `INSERT INTO telemetry_rollup (series_id, resolution, window_min, min, max, sum, count, last, last_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (series_id, resolution, window_min) DO UPDATE SET
         min = min(min, excluded.min), max = max(max, excluded.max), sum = sum + excluded.sum, count = count + excluded.count,
         last = CASE WHEN excluded.last_ms >= last_ms THEN excluded.last ELSE last END, last_ms = max(last_ms, excluded.last_ms)`,
    ),
    addDigest: database.prepare<number[]>(
      `INSERT INTO telemetry_digest (series_id, hour, count, a, b) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (series_id, hour) DO UPDATE SET
         count = count + excluded.count, a = (a + excluded.a) & 4294967295, b = (b + excluded.b) & 4294967295`,
    ),
    setLatest: database.prepare<[number, number, number | null, number]>(
      `INSERT INTO telemetry_latest (series_id, time_ms, value, quality) VALUES (?, ?, ?, ?)
       ON CONFLICT (series_id) DO UPDATE SET time_ms = excluded.time_ms, value = excluded.value, quality = excluded.quality
       WHERE excluded.time_ms >= time_ms`,
    ),
    ranges: database.prepare<[string, string], { first: number; last: number }>(
      'SELECT first, last FROM telemetry_applied WHERE source = ? AND epoch = ? ORDER BY first',
    ),
    clearRanges: database.prepare<[string, string]>('DELETE FROM telemetry_applied WHERE source = ? AND epoch = ?'),
    addRange: database.prepare<[string, string, number, number]>('INSERT INTO telemetry_applied VALUES (?, ?, ?, ?)'),
    latest: database.prepare<
      [string],
      { device_id: string; metric: string; precision: number; time_ms: number; value: number | null; quality: number }
    >(
      `SELECT device_id, metric, precision, time_ms, value, quality FROM telemetry_series JOIN telemetry_latest ON series_id = id WHERE grid_id = ?`,
    ),
    windows: database.prepare<[number, number, number, number], RollupRow>(
      `SELECT window_min, min, max, sum, count, last, last_ms FROM telemetry_rollup
       WHERE series_id = ? AND resolution = ? AND window_min >= ? AND window_min < ? ORDER BY window_min`,
    ),
    digests: database.prepare<
      [string, number],
      { device_id: string; metric: string; count: number; a: number; b: number }
    >(
      `SELECT device_id, metric, sum(count) AS count, sum(a) & 4294967295 AS a, sum(b) & 4294967295 AS b
       FROM telemetry_series JOIN telemetry_digest ON series_id = id WHERE grid_id = ? AND hour < ? GROUP BY id`,
    ),
    grids: database.prepare<[], string>('SELECT DISTINCT grid_id FROM telemetry_series ORDER BY grid_id').pluck(),
    windowStarts: database
      .prepare<[number, number, number, number, number], number>(
        `SELECT window_min FROM telemetry_rollup
         WHERE series_id = ? AND resolution = ? AND window_min >= ? AND window_min < ? ORDER BY window_min LIMIT ?`,
      )
      .pluck(),
    removeWindow: database.prepare<[number, number, number]>(
      'DELETE FROM telemetry_rollup WHERE series_id = ? AND resolution = ? AND window_min = ?',
    ),
    digestsBetween: database.prepare<
      [string, number, number],
      { device_id: string; metric: string; count: number; a: number; b: number }
    >(
      `SELECT device_id, metric, sum(count) AS count, sum(a) & 4294967295 AS a, sum(b) & 4294967295 AS b
       FROM telemetry_series JOIN telemetry_digest ON series_id = id
       WHERE grid_id = ? AND hour >= ? AND hour < ? GROUP BY id HAVING sum(count) > 0`,
    ),
    prune: database.prepare<[number, number]>('DELETE FROM telemetry_rollup WHERE resolution = ? AND window_min < ?'),
  };
}
