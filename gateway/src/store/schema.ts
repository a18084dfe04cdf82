/** Tables of the history store, and the keys of their rows. */
import type { Migration } from '@villagrid/runtime';

export const hourMs = 3_600_000;
export const dayMs = 86_400_000;
export const quarterMs = 900_000;
export const minuteMs = 60_000;

const idSpace = 2 ** 20;
const daySpace = 2 ** 26;
const dayZero = 2 ** 25;

/** Most series a store holds: their ids are the low bits of row keys. */
export const mostSeries = idSpace - 1;

/** Key by time first (hour or day since 1970): what is written together lies together. */
export const timeKey = (time: number, id: number): number => time * idSpace + id;
/** Time and id of such a key. */
export const timeOfKey = (key: number): number => Math.floor(key / idSpace);
export const idOfKey = (key: number): number => key - timeOfKey(key) * idSpace;
/** Key by series first: a year of one series lies together. */
export const dayKey = (seriesId: number, day: number): number => seriesId * daySpace + day + dayZero;
/** First and last key that a day of a series may have. */
export const daysOf = (seriesId: number): [first: number, last: number] => [
  seriesId * daySpace,
  (seriesId + 1) * daySpace - 1,
];
export const dayOfKey = (key: number): number => (key % daySpace) - dayZero;

/**
 * Rows are keyed by one integer each, because SQLite lets a row of such a table fill its page, whereas one of a WITHOUT
 * ROWID table spills into pages of its own from a kilobyte on. Values are whole numbers, scaled by 10^precision of the
 * series; lanes of digests are signed 32-bit numbers.
 *
 * An hour of a series is a chunk (with pieces of it, when it is large and grew) until its day has ended; then the day is one row of windows for ever (`store_day` has
 * hours, `store_quarter` quarter hours), and one of samples (`store_raw`) until retention replaces it by minutes
 * (`store_minute`). Times are apart, because the metrics of one reading share them.
 */
export const storeMigrations: readonly Migration[] = [
  (database) => {
    // Version 0.1 kept a row per series and window. Every frame is still in the log of such a gateway: the projector
    // starts from its first one again.
    for (const table of ['series', 'rollup', 'latest', 'digest', 'applied'])
      database.exec(`DROP TABLE IF EXISTS telemetry_${table}`);
    database.exec(`
      CREATE TABLE store_series (
        id INTEGER PRIMARY KEY,
        grid_id TEXT NOT NULL,
        device_id TEXT NOT NULL,
        metric TEXT NOT NULL,
        precision INTEGER NOT NULL,
        total INTEGER NOT NULL,
        a INTEGER NOT NULL,
        b INTEGER NOT NULL,
        latest_ms INTEGER NOT NULL,
        latest INTEGER,
        latest_quality INTEGER NOT NULL,
        UNIQUE (grid_id, device_id, metric)
      );
      CREATE TABLE store_chunk (
        id INTEGER PRIMARY KEY,
        total INTEGER NOT NULL,
        a INTEGER NOT NULL,
        b INTEGER NOT NULL,
        min INTEGER,
        max INTEGER,
        sum INTEGER,
        count INTEGER NOT NULL,
        last INTEGER,
        last_after INTEGER,
        times INTEGER NOT NULL,
        body BLOB NOT NULL
      );
      CREATE TABLE store_chunk_times (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
      CREATE TABLE store_day (
        id INTEGER PRIMARY KEY,
        total INTEGER NOT NULL,
        a INTEGER NOT NULL,
        b INTEGER NOT NULL,
        hours BLOB NOT NULL,
        digests BLOB NOT NULL
      );
      CREATE TABLE store_quarter (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
      CREATE TABLE store_minute (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
      CREATE TABLE store_raw (id INTEGER PRIMARY KEY, times INTEGER NOT NULL, body BLOB NOT NULL);
      CREATE TABLE store_raw_times (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
      CREATE TABLE store_applied (
        source TEXT NOT NULL,
        epoch TEXT NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        before_ms INTEGER,
        PRIMARY KEY (source, epoch, first)
      ) WITHOUT ROWID;
      CREATE TABLE store_meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;`);
  },
  // Samples that a chunk had before more came to it, in the order of ids; what a chunk's row says is said of all of them.
  (database) => {
    database.exec(`
      CREATE TABLE store_piece (
        id INTEGER PRIMARY KEY,
        chunk INTEGER NOT NULL,
        total INTEGER NOT NULL,
        times INTEGER NOT NULL,
        body BLOB NOT NULL
      );
      CREATE INDEX store_piece_of ON store_piece (chunk);`);
  },
];
