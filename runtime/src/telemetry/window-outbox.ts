/**
 * Rollup windows that are kept elsewhere too: which changed since they were last sent there, which were let go here, and
 * which came after that. All by triggers, so that a window and its mark are always in one transaction.
 *
 * A window is sent as a whole, so sending it twice changes nothing. One that was let go here and gains late samples begins
 * anew as another part of the same window; whoever reads folds the parts.
 */
import { resolutionMs, type RollupWindow } from '@villagrid/contracts';
import { migrateModule, type Migration } from '../sqlite/migrate.js';
import type { SqliteDatabase } from '../sqlite/open.js';
import { resolutionCodes, type StoredResolution } from './schema.js';
import type { SeriesKey } from './types.js';

/** A part of a window; scaled like all stored windows. Without `window` it lost all its samples. */
export interface WindowPart {
  readonly part: number;
  readonly startMs: number;
  readonly window: RollupWindow | undefined;
}

/** A part that is to be sent. */
export interface OutgoingWindow extends WindowPart, SeriesKey {
  readonly gridId: string;
  readonly resolution: StoredResolution;
  /** What its numbers are divided by to be in the metric's unit. */
  readonly factor: number;
  /** Of the mark: it stays when the window changes while it is under way. */
  readonly mark: { readonly seriesId: number; readonly version: number };
}

/** A series of which windows are about to go. */
export interface LeavingSeries extends SeriesKey {
  readonly gridId: string;
  readonly seriesId: number;
  /** Windows of part 0 that would go, by resolution. */
  readonly counts: Readonly<Record<StoredResolution, number>>;
  /** Start of the oldest of them; Infinity when there are none. */
  readonly fromMs: number;
}

/** Windows that were kept long enough. */
export interface PrunedWindows {
  /** Left out: those of every grid. */
  readonly gridId?: string;
  readonly resolution: StoredResolution;
  readonly beforeMs: number;
  /** Series that are spared, by metric. */
  readonly spares?: (metric: string) => boolean;
}

/** Windows of a series before a time that are to be deleted elsewhere. */
export interface OutgoingDeletion extends SeriesKey {
  readonly gridId: string;
  readonly seriesId: number;
  readonly resolution: StoredResolution;
  readonly beforeMs: number;
}

export interface WindowOutbox {
  /** Changed windows that ended before a time, at most `limit`. */
  pending(limit: number, endedByMs: number): readonly OutgoingWindow[];
  /** These were sent (or refused for good). Those that changed meanwhile stay. */
  done(windows: readonly OutgoingWindow[]): void;
  /** How many wait, open ones among them; counted up to 100,000. */
  waiting(): number;
  /** Before this, windows here are only parts of the whole; 0 while everything is here. */
  readonly horizonMs: number;
  /**
   * Lets sent windows go that begin before a time, and late parts that came `keepDays` days before now; what has not been
   * sent stays. In steps, one per series, each whole by itself; before one is taken away the caller may `resend` it. Yields
   * what is next to go, and returns how many went.
   */
  release(beforeMs: number, nowMs: number, keepDays: number): Generator<LeavingSeries, number>;
  /** Marks windows of a series again that are part 0 and begin before a time; returns how many. */
  resend(series: LeavingSeries, beforeMs: number): number;
  /** Marks one window again, part 0 or a late one; false when it is not here. */
  again(gridId: string, key: SeriesKey, resolution: StoredResolution, startMs: number): boolean;
  /** Windows of a series here that begin in [fromMs, toMs), in order; those that are to be emptied elsewhere among them. */
  here(seriesId: number, resolution: StoredResolution, fromMs: number, toMs: number): readonly WindowPart[];
  series(gridId: string, key: SeriesKey): { readonly id: number; readonly factor: number } | undefined;
  /**
   * Notes that windows are over and removes those here by `steps`, each in a transaction and none of them marked: they are
   * not to be emptied elsewhere but deleted. Yields what each step gives.
   */
  prune(which: PrunedWindows, steps: Iterator<number>): Generator<number>;
  /** Time before which a series' windows of a resolution are over; -Infinity for none. */
  prunedMs(seriesId: number, resolution: StoredResolution): number;
  /** Deletions to be done elsewhere: those that have grown by `atLeastMs` since the last. */
  prunes(atLeastMs: number): readonly OutgoingDeletion[];
  pruneDone(deletion: OutgoingDeletion): void;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
const resolutions = Object.keys(resolutionCodes) as StoredResolution[];

/** telemetry_part names late parts only; every other window is part 0. While `quiet` is 1 deletions are not marked. */
const outboxMigrations: readonly Migration[] = [
  `CREATE TABLE telemetry_outbox (
     series_id INTEGER NOT NULL,
     resolution INTEGER NOT NULL,
     window_min INTEGER NOT NULL,
     version INTEGER NOT NULL,
     PRIMARY KEY (series_id, resolution, window_min)
   ) WITHOUT ROWID;
   CREATE TABLE telemetry_part (
     series_id INTEGER NOT NULL,
     resolution INTEGER NOT NULL,
     window_min INTEGER NOT NULL,
     part INTEGER NOT NULL,
     PRIMARY KEY (series_id, resolution, window_min)
   ) WITHOUT ROWID;
   CREATE TABLE telemetry_elsewhere (
     only INTEGER PRIMARY KEY CHECK (only = 1),
     target TEXT,
     horizon_min INTEGER NOT NULL,
     next_part INTEGER NOT NULL,
     quiet INTEGER NOT NULL
   );
   INSERT INTO telemetry_elsewhere VALUES (1, NULL, 0, 1, 0);
   CREATE TABLE telemetry_pruned (
     resolution INTEGER PRIMARY KEY,
     before_ms INTEGER NOT NULL,
     done INTEGER NOT NULL
   );`,
  // By series, for what is kept how long is told by grid and metric.
  `DROP TABLE telemetry_pruned;
   CREATE TABLE telemetry_pruned (
     series_id INTEGER NOT NULL,
     resolution INTEGER NOT NULL,
     before_ms INTEGER NOT NULL,
     done_ms INTEGER,
     PRIMARY KEY (series_id, resolution)
   ) WITHOUT ROWID;`,
];

const sameWindow = (row: 'NEW' | 'OLD'): string =>
  `series_id = ${row}.series_id AND resolution = ${row}.resolution AND window_min = ${row}.window_min`;
// No OR clauses: those of the statement that fires the trigger would win over them.
const mark = (row: 'NEW' | 'OLD'): string =>
  `UPDATE main.telemetry_outbox SET version = version + 1 WHERE ${sameWindow(row)};
   INSERT INTO main.telemetry_outbox SELECT ${row}.series_id, ${row}.resolution, ${row}.window_min, 1
     WHERE NOT EXISTS (SELECT 1 FROM main.telemetry_outbox WHERE ${sameWindow(row)});`;

/** Of this connection alone: a server that keeps everything here marks nothing. */
const triggers = `
  CREATE TEMP TRIGGER telemetry_late_part BEFORE INSERT ON main.telemetry_rollup
  WHEN NEW.window_min < (SELECT horizon_min FROM main.telemetry_elsewhere)
    AND NOT EXISTS (SELECT 1 FROM main.telemetry_rollup WHERE ${sameWindow('NEW')})
    AND NOT EXISTS (SELECT 1 FROM main.telemetry_part WHERE ${sameWindow('NEW')})
  BEGIN
    INSERT INTO main.telemetry_part
      SELECT NEW.series_id, NEW.resolution, NEW.window_min, next_part FROM main.telemetry_elsewhere;
  END;
  CREATE TEMP TRIGGER telemetry_mark_new AFTER INSERT ON main.telemetry_rollup BEGIN ${mark('NEW')} END;
  CREATE TEMP TRIGGER telemetry_mark_changed AFTER UPDATE ON main.telemetry_rollup BEGIN ${mark('NEW')} END;
  CREATE TEMP TRIGGER telemetry_mark_gone AFTER DELETE ON main.telemetry_rollup
  WHEN (SELECT quiet FROM main.telemetry_elsewhere) = 0 BEGIN ${mark('OLD')} END;`;

/**
 * Opens it in a database that holds a telemetry store. `target` names where windows go: at another one everything that is
 * still here is sent again. One per database at a time.
 */
export function openWindowOutbox(database: SqliteDatabase, target: string): WindowOutbox {
  migrateModule(database, 'telemetry_outbox', outboxMigrations);
  database.exec(triggers);
  const sql = statements(database);
  const markAll = database.transaction(() => {
    const known = sql.target.get() ?? null;
    if (known === target) return;
    // What came while nobody marked it is another part of windows that were let go before.
    sql.partUnmarked.run();
    sql.markUnmarked.run();
    sql.setTarget.run(target);
  });
  markAll.immediate();

  /** What is deleted within it is not to be emptied elsewhere. */
  const quietTransaction = database.transaction((work: () => void): void => {
    sql.setQuiet.run(1);
    work();
    sql.setQuiet.run(0);
  });
  const quietly = <T>(work: () => T): T => {
    let result: { readonly of: T } | undefined;
    quietTransaction.immediate(() => (result = { of: work() }));
    return (result as unknown as { readonly of: T }).of;
  };

  return {
    pending: (limit, endedByMs) =>
      sql.pending.all(Math.floor(endedByMs / minuteMs), limit).map((row): OutgoingWindow => {
        const resolution = resolutions.find((one) => resolutionCodes[one] === row.resolution) as StoredResolution;
        return {
          gridId: row.grid_id,
          deviceId: row.device_id,
          metric: row.metric,
          resolution,
          factor: 10 ** row.precision,
          mark: { seriesId: row.series_id, version: row.version },
          ...partOf(row),
        };
      }),
    done: database.transaction((windows: readonly OutgoingWindow[]) => {
      for (const { mark, resolution, startMs } of windows)
        sql.unmark.run(mark.seriesId, resolutionCodes[resolution], startMs / minuteMs, mark.version);
    }),
    waiting: () => sql.waiting.get() ?? 0,
    get horizonMs() {
      return (sql.horizon.get() ?? 0) * minuteMs;
    },
    *release(beforeMs, nowMs, keepDays) {
      const today = Math.floor(nowMs / dayMs);
      const next = sql.nextPart.get() ?? 1;
      // Numbers of parts are days where they can be, so that they tell how long a part has been here.
      const newestPart = keepDays <= 0 ? Number.MAX_SAFE_INTEGER : today - keepDays;
      const beforeMin = Math.floor(beforeMs / minuteMs);
      // First of all, so that what comes for a window from now on is another part unless the window is still here; and a
      // part that is let go never comes again under its number.
      sql.setHorizon.run(beforeMin, keepDays <= 0 ? next + 1 : Math.max(next, today));
      let went = 0;
      for (const { id, grid_id, device_id, metric } of sql.allSeries.all()) {
        const counts = { '1m': 0, '15m': 0, '1h': 0 };
        let fromMs = Infinity;
        for (const resolution of resolutions) {
          const found = sql.leaving.get(id, resolutionCodes[resolution], beforeMin);
          if (!found || found.first === null) continue;
          counts[resolution] = found.count;
          fromMs = Math.min(fromMs, found.first * minuteMs);
        }
        yield { gridId: grid_id, deviceId: device_id, metric, seriesId: id, counts, fromMs };
        went += quietly(() =>
          resolutions.reduce(
            (sum, one) => sum + sql.release.run(id, resolutionCodes[one], beforeMin, newestPart).changes,
            0,
          ),
        );
      }
      sql.dropParts.run();
      return went;
    },
    resend: ({ seriesId }, beforeMs) =>
      resolutions.reduce(
        (sum, one) => sum + sql.resend.run(seriesId, resolutionCodes[one], Math.floor(beforeMs / minuteMs)).changes,
        0,
      ),
    again(gridId, { deviceId, metric }, resolution, startMs) {
      const series = sql.series.get(gridId, deviceId, metric);
      if (series === undefined) return false;
      const at = [series.id, resolutionCodes[resolution], startMs / minuteMs] as const;
      sql.again.run(...at);
      return sql.isMarked.get(...at) === 1;
    },
    here: (seriesId, resolution, fromMs, toMs) =>
      sql.here.all(seriesId, resolutionCodes[resolution], fromMs / minuteMs, toMs / minuteMs).map(partOf),
    series(gridId, { deviceId, metric }) {
      const found = sql.series.get(gridId, deviceId, metric);
      return found && { id: found.id, factor: 10 ** found.precision };
    },
    *prune({ gridId, resolution, beforeMs, spares }, steps) {
      const code = resolutionCodes[resolution];
      const series = sql.allSeries
        .all()
        .filter((one) => (gridId === undefined || one.grid_id === gridId) && spares?.(one.metric) !== true);
      for (const { id } of series) sql.setPruned.run(id, code, beforeMs);
      for (;;) {
        const step = quietly(() => steps.next());
        if (step.done === true) break;
        yield step.value;
      }
      for (const { id } of series) {
        sql.dropMarks.run(id, code, beforeMs / minuteMs);
        sql.dropOldParts.run(id, code, beforeMs / minuteMs);
      }
    },
    prunedMs: (seriesId, resolution) => sql.pruned.get(seriesId, resolutionCodes[resolution]) ?? -Infinity,
    prunes: (atLeastMs) =>
      sql.prunes.all(atLeastMs).map((row) => ({
        gridId: row.grid_id,
        deviceId: row.device_id,
        metric: row.metric,
        seriesId: row.series_id,
        resolution: resolutions.find((one) => resolutionCodes[one] === row.resolution) as StoredResolution,
        beforeMs: row.before_ms,
      })),
    pruneDone: ({ seriesId, resolution, beforeMs }) =>
      void sql.pruneDone.run(beforeMs, seriesId, resolutionCodes[resolution]),
  };
}

/**
 * To be called where windows are kept here alone, before a telemetry store is used. Returns the time before which windows
 * are elsewhere; undefined for none. Should they go elsewhere again, all that is here is sent.
 */
export function closeWindowOutbox(database: SqliteDatabase): number | undefined {
  const known = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'telemetry_elsewhere'").get();
  if (known === undefined) return undefined;
  database.prepare('UPDATE telemetry_elsewhere SET target = NULL').run();
  const horizon = database.prepare<[], number>('SELECT horizon_min FROM telemetry_elsewhere').pluck().get() ?? 0;
  return horizon > 0 ? horizon * minuteMs : undefined;
}

interface PartRow {
  readonly window_min: number;
  readonly part: number;
  readonly min: number | null;
  readonly max: number;
  readonly sum: number;
  readonly count: number;
  readonly last: number;
  readonly last_ms: number;
}

function partOf({ window_min, part, min, max, sum, count, last, last_ms }: PartRow): WindowPart {
  const startMs = window_min * minuteMs;
  if (min === null) return { part, startMs, window: undefined };
  return { part, startMs, window: { startMs, min, max, sum, count, last, lastMs: last_ms } };
}

function statements(database: SqliteDatabase) {
  const width = resolutions.map((one) => `WHEN ${resolutionCodes[one]} THEN ${resolutionMs[one] / minuteMs}`).join(' ');
  const columns = `window_min, ifnull(part, 0) AS part, min, max, sum, count, last, last_ms`;
  const key = 'series_id, resolution, window_min';
  const unmarked = `NOT EXISTS (SELECT 1 FROM telemetry_outbox AS o WHERE o.series_id = r.series_id
    AND o.resolution = r.resolution AND o.window_min = r.window_min)`;
  const part = `(SELECT part FROM telemetry_part AS p WHERE p.series_id = r.series_id
    AND p.resolution = r.resolution AND p.window_min = r.window_min)`;
  return {
    target: database.prepare<[], string | null>('SELECT target FROM telemetry_elsewhere').pluck(),
    setTarget: database.prepare<[string]>('UPDATE telemetry_elsewhere SET target = ?'),
    partUnmarked: database.prepare(
      `INSERT INTO telemetry_part SELECT ${key}, (SELECT next_part FROM telemetry_elsewhere) FROM telemetry_rollup AS r
       WHERE window_min < (SELECT horizon_min FROM telemetry_elsewhere) AND ${part} IS NULL AND ${unmarked}`,
    ),
    markUnmarked: database.prepare(
      `INSERT INTO telemetry_outbox SELECT ${key}, 1 FROM telemetry_rollup AS r WHERE ${unmarked}`,
    ),
    pending: database.prepare<
      [number, number],
      PartRow & {
        readonly series_id: number;
        readonly resolution: number;
        readonly version: number;
        readonly grid_id: string;
        readonly device_id: string;
        readonly metric: string;
        readonly precision: number;
      }
    >(
      `SELECT o.series_id, o.resolution, o.version, grid_id, device_id, metric, precision, ${columns}
       FROM telemetry_outbox AS o JOIN telemetry_series ON id = o.series_id
         LEFT JOIN telemetry_rollup USING (${key}) LEFT JOIN telemetry_part USING (${key})
       WHERE o.window_min + CASE o.resolution ${width} END <= ? LIMIT ?`,
    ),
    unmark: database.prepare<[number, number, number, number]>(
      'DELETE FROM telemetry_outbox WHERE series_id = ? AND resolution = ? AND window_min = ? AND version = ?',
    ),
    waiting: database.prepare<[], number>('SELECT count(*) FROM (SELECT 1 FROM telemetry_outbox LIMIT 100000)').pluck(),
    horizon: database.prepare<[], number>('SELECT horizon_min FROM telemetry_elsewhere').pluck(),
    nextPart: database.prepare<[], number>('SELECT next_part FROM telemetry_elsewhere').pluck(),
    setQuiet: database.prepare<[number]>('UPDATE telemetry_elsewhere SET quiet = ?'),
    setHorizon: database.prepare<[number, number]>(
      'UPDATE telemetry_elsewhere SET horizon_min = max(horizon_min, ?), next_part = ?',
    ),
    allSeries: database.prepare<[], { id: number; grid_id: string; device_id: string; metric: string }>(
      'SELECT id, grid_id, device_id, metric FROM telemetry_series ORDER BY id',
    ),
    leaving: database.prepare<[number, number, number], { count: number; first: number | null }>(
      `SELECT count(*) AS count, min(window_min) AS first FROM telemetry_rollup AS r
       WHERE series_id = ? AND resolution = ? AND window_min < ? AND ${part} IS NULL AND ${unmarked}`,
    ),
    release: database.prepare<[number, number, number, number]>(
      `DELETE FROM telemetry_rollup AS r
       WHERE series_id = ? AND resolution = ? AND window_min < ? AND ifnull(${part}, 0) <= ? AND ${unmarked}`,
    ),
    resend: database.prepare<[number, number, number]>(
      `INSERT INTO telemetry_outbox SELECT ${key}, 1 FROM telemetry_rollup AS r
       WHERE series_id = ? AND resolution = ? AND window_min < ? AND ${part} IS NULL AND ${unmarked}`,
    ),
    again: database.prepare<[number, number, number]>(
      `INSERT INTO telemetry_outbox SELECT ${key}, 1 FROM telemetry_rollup AS r
       WHERE series_id = ? AND resolution = ? AND window_min = ? AND ${unmarked}`,
    ),
    isMarked: database
      .prepare<[number, number, number], number>(
        'SELECT 1 FROM telemetry_outbox WHERE series_id = ? AND resolution = ? AND window_min = ?',
      )
      .pluck(),
    dropParts: database.prepare(
      `DELETE FROM telemetry_part AS r WHERE ${unmarked} AND NOT EXISTS (
         SELECT 1 FROM telemetry_rollup AS w WHERE w.series_id = r.series_id AND w.resolution = r.resolution
           AND w.window_min = r.window_min)`,
    ),
    here: database.prepare<[number, number, number, number], PartRow>(
      `WITH wanted (series_id, resolution, from_min, to_min) AS (VALUES (?, ?, ?, ?)), known AS (
         SELECT r.window_min FROM telemetry_rollup AS r JOIN wanted USING (series_id, resolution)
           WHERE r.window_min >= from_min AND r.window_min < to_min
         UNION SELECT o.window_min FROM telemetry_outbox AS o JOIN wanted USING (series_id, resolution)
           WHERE o.window_min >= from_min AND o.window_min < to_min)
       SELECT ${columns} FROM known JOIN wanted
         LEFT JOIN telemetry_rollup USING (${key}) LEFT JOIN telemetry_part USING (${key}) ORDER BY window_min`,
    ),
    series: database.prepare<[string, string, string], { id: number; precision: number }>(
      'SELECT id, precision FROM telemetry_series WHERE grid_id = ? AND device_id = ? AND metric = ?',
    ),
    dropMarks: database.prepare<[number, number, number]>(
      `DELETE FROM telemetry_outbox AS o WHERE series_id = ? AND resolution = ? AND window_min < ? AND NOT EXISTS (
         SELECT 1 FROM telemetry_rollup AS w WHERE w.series_id = o.series_id AND w.resolution = o.resolution
           AND w.window_min = o.window_min)`,
    ),
    dropOldParts: database.prepare<[number, number, number]>(
      `DELETE FROM telemetry_part AS p WHERE series_id = ? AND resolution = ? AND window_min < ? AND NOT EXISTS (
         SELECT 1 FROM telemetry_rollup AS w WHERE w.series_id = p.series_id AND w.resolution = p.resolution
           AND w.window_min = p.window_min)`,
    ),
    setPruned: database.prepare<[number, number, number]>(
      `INSERT INTO telemetry_pruned VALUES (?, ?, ?, NULL) ON CONFLICT (series_id, resolution) DO UPDATE
       SET before_ms = max(before_ms, excluded.before_ms)`,
    ),
    pruned: database
      .prepare<[number, number], number>(
        'SELECT before_ms FROM telemetry_pruned WHERE series_id = ? AND resolution = ?',
      )
      .pluck(),
    prunes: database.prepare<
      [number],
      {
        series_id: number;
        resolution: number;
        before_ms: number;
        grid_id: string;
        device_id: string;
        metric: string;
      }
    >(
      `SELECT series_id, resolution, before_ms, grid_id, device_id, metric
       FROM telemetry_pruned JOIN telemetry_series ON id = series_id
       WHERE done_ms IS NULL OR before_ms - done_ms >= max(1, ?)`,
    ),
    pruneDone: database.prepare<[number, number, number]>(
      'UPDATE telemetry_pruned SET done_ms = ? WHERE series_id = ? AND resolution = ?',
    ),
  };
}
