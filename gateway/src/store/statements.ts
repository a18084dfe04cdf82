/** SQL of the history store. */
import type { SqliteDatabase } from '@villagrid/runtime';

/** What this room uses of a prepared statement (better-sqlite3's, whose own type cannot be named outside runtime). */
export interface Statement<Bind extends unknown[], Row = unknown> {
  get(...bind: Bind): Row | undefined;
  all(...bind: Bind): Row[];
  run(...bind: Bind): { readonly changes: number; readonly lastInsertRowid: number | bigint };
  pluck(): this;
}

/** A chunk's row; its window's columns are null when no sample counts. */
export interface ChunkRow {
  readonly id: number;
  readonly total: number;
  readonly a: number;
  readonly b: number;
  readonly min: number;
  readonly max: number;
  readonly sum: number;
  readonly count: number;
  readonly last: number;
  readonly last_after: number;
  readonly times: number;
  readonly body: Uint8Array;
}

/** Samples that a chunk had before more came to it. */
export interface PieceRow {
  readonly id: number;
  readonly times: number;
  readonly body: Uint8Array;
}

/** Sums of digests, their lanes not wrapped. */
export interface DigestRow {
  readonly total: number;
  readonly a: number;
  readonly b: number;
}

/** Prepares with a type that other files can name. */
const preparing =
  (database: SqliteDatabase) =>
  <Bind extends unknown[], Row = unknown>(text: string): Statement<Bind, Row> =>
    database.prepare(text) as unknown as Statement<Bind, Row>;

/** Statements over chunks and days. */
export function sealedStatements(database: SqliteDatabase) {
  const prepare = preparing(database);
  const one = <Row>(text: string) => prepare<[number], Row>(text);
  const range = <Row>(text: string) => prepare<[number, number], Row>(text);
  return {
    nextChunk: prepare<[number], number | null>('SELECT min(id) FROM store_chunk WHERE id >= ?').pluck(),
    chunk: one<ChunkRow>('SELECT * FROM store_chunk WHERE id = ?'),
    chunkIds: range<number>('SELECT id FROM store_chunk WHERE id >= ? AND id < ?').pluck(),
    chunkDigests: range<DigestRow & { id: number }>('SELECT id, total, a, b FROM store_chunk WHERE id >= ? AND id < ?'),
    chunkTimes: one<Uint8Array>('SELECT body FROM store_chunk_times WHERE id = ?').pluck(),
    lastChunkTimes: range<number | null>('SELECT max(id) FROM store_chunk_times WHERE id >= ? AND id < ?').pluck(),
    addChunkTimes: prepare<[number, Uint8Array]>('INSERT INTO store_chunk_times VALUES (?, ?)'),
    putChunk: prepare<Array<number | null | Uint8Array>>(
      'INSERT OR REPLACE INTO store_chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    ),
    dropChunk: prepare<[number]>('DELETE FROM store_chunk WHERE id = ?'),
    pieces: one<PieceRow>('SELECT id, times, body FROM store_piece WHERE chunk = ? ORDER BY id'),
    pieceTotals: one<number>('SELECT total FROM store_piece WHERE chunk = ? ORDER BY id').pluck(),
    /** What is in a chunk's own row becomes the newest of its pieces. */
    setAside: prepare<[{ chunk: number }]>(
      `INSERT INTO store_piece (chunk, total, times, body)
       SELECT id, total - (SELECT ifnull(sum(total), 0) FROM store_piece WHERE chunk = :chunk), times, body
       FROM store_chunk WHERE id = :chunk`,
    ),
    dropPieces: prepare<[number]>('DELETE FROM store_piece WHERE chunk = ?'),
    dropChunkTimes: prepare<[{ from: number; to: number }]>(
      `DELETE FROM store_chunk_times WHERE id >= :from AND id < :to
       AND id - :from NOT IN (SELECT times FROM store_chunk WHERE id >= :from AND id < :to)
       AND id - :from NOT IN (SELECT times FROM store_piece WHERE chunk >= :from AND chunk < :to)`,
    ),
    hasDay: one<number>('SELECT 1 FROM store_day WHERE id = ?').pluck(),
    day: one<{ hours: Uint8Array; digests: Uint8Array }>('SELECT hours, digests FROM store_day WHERE id = ?'),
    days: range<{ id: number; hours: Uint8Array }>(
      'SELECT id, hours FROM store_day WHERE id >= ? AND id <= ? ORDER BY id',
    ),
    dayIds: range<number>('SELECT id FROM store_day WHERE id >= ? AND id <= ? ORDER BY id').pluck(),
    /** Lanes add up exactly: 64 bits hold two thousand million of them. */
    dayDigests: range<DigestRow>(
      `SELECT ifnull(sum(total), 0) AS total, ifnull(sum(a), 0) & 4294967295 AS a, ifnull(sum(b), 0) & 4294967295 AS b
       FROM store_day WHERE id > ? AND id <= ?`,
    ),
    putDay: prepare<Array<number | Uint8Array>>('INSERT OR REPLACE INTO store_day VALUES (?, ?, ?, ?, ?, ?)'),
    dropDay: prepare<[number]>('DELETE FROM store_day WHERE id = ?'),
    quarter: one<Uint8Array>('SELECT body FROM store_quarter WHERE id = ?').pluck(),
    putQuarter: prepare<[number, Uint8Array]>('INSERT OR REPLACE INTO store_quarter VALUES (?, ?)'),
    dropQuarter: prepare<[number]>('DELETE FROM store_quarter WHERE id = ?'),
    dropQuarters: prepare<[number]>('DELETE FROM store_quarter WHERE id < ?'),
    minute: one<Uint8Array>('SELECT body FROM store_minute WHERE id = ?').pluck(),
    putMinute: prepare<[number, Uint8Array]>('INSERT OR REPLACE INTO store_minute VALUES (?, ?)'),
    dropMinutes: prepare<[number]>('DELETE FROM store_minute WHERE id < ?'),
    raw: one<{ times: number; body: Uint8Array }>('SELECT times, body FROM store_raw WHERE id = ?'),
    putRaw: prepare<[number, number, Uint8Array]>('INSERT OR REPLACE INTO store_raw VALUES (?, ?, ?)'),
    dropRaw: prepare<[number]>('DELETE FROM store_raw WHERE id = ?'),
    oldestRaw: prepare<[], number | null>('SELECT min(id) FROM store_raw').pluck(),
    rawIds: range<number>('SELECT id FROM store_raw WHERE id >= ? AND id < ?').pluck(),
    rawTimes: one<Uint8Array>('SELECT body FROM store_raw_times WHERE id = ?').pluck(),
    lastRawTimes: range<number | null>('SELECT max(id) FROM store_raw_times WHERE id >= ? AND id < ?').pluck(),
    addRawTimes: prepare<[number, Uint8Array]>('INSERT INTO store_raw_times VALUES (?, ?)'),
    dropRawTimes: prepare<[{ from: number; to: number }]>(
      `DELETE FROM store_raw_times WHERE id >= :from AND id < :to
       AND id - :from NOT IN (SELECT times FROM store_raw WHERE id >= :from AND id < :to)`,
    ),
  };
}

/** A series' row. */
export interface SeriesRow extends DigestRow {
  readonly id: number;
  readonly grid_id: string;
  readonly device_id: string;
  readonly metric: string;
  readonly precision: number;
  readonly latest_ms: number;
  readonly latest: number | null;
  readonly latest_quality: number;
}

/** Statements over series, applied numbers and settings of the store itself. */
export function indexStatements(database: SqliteDatabase) {
  const prepare = preparing(database);
  return {
    series: prepare<[], SeriesRow>('SELECT * FROM store_series ORDER BY id'),
    addSeries: prepare<[string, string, string, number, number]>(
      `INSERT INTO store_series (grid_id, device_id, metric, precision, total, a, b, latest_ms, latest, latest_quality)
       VALUES (?, ?, ?, ?, 0, 0, 0, ?, NULL, 0)`,
    ),
    setSeries: prepare<Array<number | null>>(
      'UPDATE store_series SET total = ?, a = ?, b = ?, latest_ms = ?, latest = ?, latest_quality = ? WHERE id = ?',
    ),
    applied: prepare<[], { source: string; epoch: string; first: number; last: number; before_ms: number | null }>(
      'SELECT * FROM store_applied ORDER BY source, epoch, first',
    ),
    clearApplied: prepare<[string, string]>('DELETE FROM store_applied WHERE source = ? AND epoch = ?'),
    addApplied: prepare<[string, string, number, number, number | null]>(
      'INSERT INTO store_applied VALUES (?, ?, ?, ?, ?)',
    ),
    meta: prepare<[string], number>('SELECT value FROM store_meta WHERE name = ?').pluck(),
    setMeta: prepare<[string, number]>('INSERT OR REPLACE INTO store_meta VALUES (?, ?)'),
  };
}
