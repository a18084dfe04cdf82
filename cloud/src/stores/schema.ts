/** Tables of the cloud beside those of runtime's stores. Never change a migration that was released; add another. */
import type { Migration } from '@villagrid/runtime';

/**
 * cloud_frame is the archive: raw bytes, never changed. Its `seq` is the order of arrival that the projection reads by.
 * `bad` tells why a frame is refused; from_ms and to_ms find raw samples by time. Sums are 16 hexadecimal digits.
 */
export const cloudMigrations: readonly Migration[] = [
  `CREATE TABLE cloud_log (
     id INTEGER PRIMARY KEY,
     gateway_id TEXT NOT NULL,
     epoch TEXT NOT NULL,
     first_ms INTEGER NOT NULL,
     UNIQUE (gateway_id, epoch)
   );
   CREATE TABLE cloud_frame (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     log_id INTEGER NOT NULL,
     number INTEGER NOT NULL,
     grid_id TEXT NOT NULL,
     hash BLOB NOT NULL,
     bytes BLOB NOT NULL,
     received_ms INTEGER NOT NULL,
     from_ms INTEGER,
     to_ms INTEGER,
     bad TEXT,
     UNIQUE (log_id, number)
   );
   CREATE INDEX cloud_frame_by_time ON cloud_frame (grid_id, to_ms, from_ms, seq) WHERE to_ms IS NOT NULL;
   CREATE INDEX cloud_frame_bad ON cloud_frame (log_id, number) WHERE bad IS NOT NULL;
   CREATE TABLE cloud_ledger_range (
     log_id INTEGER NOT NULL,
     first INTEGER NOT NULL,
     last INTEGER NOT NULL,
     sum TEXT NOT NULL,
     PRIMARY KEY (log_id, first)
   ) WITHOUT ROWID;
   CREATE TABLE cloud_dead_letter (
     id INTEGER PRIMARY KEY,
     key BLOB NOT NULL UNIQUE,
     stage TEXT NOT NULL,
     gateway_id TEXT NOT NULL,
     grid_id TEXT NOT NULL,
     epoch TEXT,
     number INTEGER,
     code TEXT NOT NULL,
     reason TEXT NOT NULL,
     bytes BLOB NOT NULL,
     first_ms INTEGER NOT NULL,
     last_ms INTEGER NOT NULL,
     times INTEGER NOT NULL
   );
   CREATE INDEX cloud_dead_letter_by_gateway ON cloud_dead_letter (gateway_id);
   CREATE TABLE cloud_gateway (
     gateway_id TEXT NOT NULL,
     grid_id TEXT NOT NULL,
     site TEXT,
     epoch TEXT,
     boot TEXT,
     version TEXT,
     hello_ms INTEGER,
     received_ms INTEGER,
     unreachable_ms INTEGER,
     PRIMARY KEY (gateway_id, grid_id)
   ) WITHOUT ROWID;
   CREATE TABLE cloud_link (
     grid_id TEXT NOT NULL,
     device_id TEXT NOT NULL,
     state TEXT NOT NULL,
     time_ms INTEGER NOT NULL,
     PRIMARY KEY (grid_id, device_id)
   ) WITHOUT ROWID;
   CREATE TABLE cloud_act (
     seq INTEGER PRIMARY KEY,
     event_id TEXT NOT NULL UNIQUE,
     grid_id TEXT NOT NULL,
     event TEXT NOT NULL,
     created_ms INTEGER NOT NULL,
     confirmed_ms INTEGER
   );
   CREATE INDEX cloud_act_waiting ON cloud_act (grid_id, seq) WHERE confirmed_ms IS NULL;
   CREATE TABLE cloud_cursor (
     name TEXT PRIMARY KEY,
     seq INTEGER NOT NULL
   ) WITHOUT ROWID;`,
  // Which frame a link state came in: a gateway's clock may be set back, its log numbers only grow.
  `ALTER TABLE cloud_link ADD COLUMN log_id INTEGER;
   ALTER TABLE cloud_link ADD COLUMN number INTEGER;`,
];
