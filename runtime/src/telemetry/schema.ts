/** Tables of the telemetry store. */
import type { Migration } from '../sqlite/migrate.js';

/** Codes under which resolutions are stored; never renumber one. Days are folded from finer windows when read. */
export const resolutionCodes = { '1m': 1, '15m': 2, '1h': 3 } as const;
export type StoredResolution = keyof typeof resolutionCodes;

/**
 * Values are whole numbers, scaled by 10^precision of the series: sums are exact in any order, and a row takes a third of
 * its size. Windows are counted in minutes since 1970, hours of digests in hours. Lanes of a digest are unsigned.
 */
export const telemetryMigrations: readonly Migration[] = [
  `CREATE TABLE telemetry_series (
     id INTEGER PRIMARY KEY,
     grid_id TEXT NOT NULL,
     device_id TEXT NOT NULL,
     metric TEXT NOT NULL,
     precision INTEGER NOT NULL,
     UNIQUE (grid_id, device_id, metric)
   );
   CREATE TABLE telemetry_rollup (
     series_id INTEGER NOT NULL,
     resolution INTEGER NOT NULL,
     window_min INTEGER NOT NULL,
     min INTEGER NOT NULL,
     max INTEGER NOT NULL,
     sum INTEGER NOT NULL,
     count INTEGER NOT NULL,
     last INTEGER NOT NULL,
     last_ms INTEGER NOT NULL,
     PRIMARY KEY (series_id, resolution, window_min)
   ) WITHOUT ROWID;
   CREATE TABLE telemetry_latest (
     series_id INTEGER PRIMARY KEY,
     time_ms INTEGER NOT NULL,
     value INTEGER,
     quality INTEGER NOT NULL
   );
   CREATE TABLE telemetry_digest (
     series_id INTEGER NOT NULL,
     hour INTEGER NOT NULL,
     count INTEGER NOT NULL,
     a INTEGER NOT NULL,
     b INTEGER NOT NULL,
     PRIMARY KEY (series_id, hour)
   ) WITHOUT ROWID;
   CREATE TABLE telemetry_applied (
     source TEXT NOT NULL,
     epoch TEXT NOT NULL,
     first INTEGER NOT NULL,
     last INTEGER NOT NULL,
     PRIMARY KEY (source, epoch, first)
   ) WITHOUT ROWID;`,
];
