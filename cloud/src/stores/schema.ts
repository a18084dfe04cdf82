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
  // The order of words about a link is that of the log: clocks may be wrong.
  `ALTER TABLE cloud_link ADD COLUMN epoch TEXT;
   ALTER TABLE cloud_link ADD COLUMN number INTEGER;`,
  // What was given up until now is what the ledger explains without a frame.
  `ALTER TABLE cloud_log ADD COLUMN newest_number INTEGER;
   CREATE TABLE cloud_given_up (
     log_id INTEGER NOT NULL,
     first INTEGER NOT NULL,
     last INTEGER NOT NULL,
     PRIMARY KEY (log_id, first)
   ) WITHOUT ROWID;
   WITH bound (log_id, number) AS (
     SELECT log_id, number FROM cloud_frame UNION ALL SELECT id, 9007199254740991 FROM cloud_log
   ), gap (log_id, first, last) AS (
     SELECT log_id, lag(number, 1, 0) OVER (PARTITION BY log_id ORDER BY number) + 1, number - 1 FROM bound
   )
   INSERT INTO cloud_given_up
     SELECT gap.log_id, max(gap.first, range.first), min(gap.last, range.last)
     FROM gap JOIN cloud_ledger_range AS range
       ON range.log_id = gap.log_id AND range.first <= gap.last AND range.last >= gap.first
     WHERE gap.first <= gap.last;`,
  // A sealed frame stands for several log numbers; null: for its own alone.
  'ALTER TABLE cloud_frame ADD COLUMN last_number INTEGER',
  // cloud_removed is what is left of frames that were kept long enough: consecutive numbers of one local day without a pause
  // in between. cloud_manifest is what gateways say of their days; the series go once found equal, which `equal_ms` tells.
  `CREATE TABLE cloud_removed (
     log_id INTEGER NOT NULL,
     first INTEGER NOT NULL,
     last INTEGER NOT NULL,
     grid_id TEXT NOT NULL,
     frames INTEGER NOT NULL,
     from_ms INTEGER,
     to_ms INTEGER,
     PRIMARY KEY (log_id, first)
   ) WITHOUT ROWID;
   CREATE INDEX cloud_removed_by_time ON cloud_removed (grid_id, to_ms, from_ms) WHERE to_ms IS NOT NULL;
   CREATE TABLE cloud_manifest (
     grid_id TEXT NOT NULL,
     from_ms INTEGER NOT NULL,
     to_ms INTEGER NOT NULL,
     gateway_id TEXT NOT NULL,
     epoch TEXT NOT NULL,
     number INTEGER NOT NULL,
     up_to INTEGER NOT NULL,
     samples INTEGER NOT NULL,
     series TEXT,
     equal_ms INTEGER,
     asked_ms INTEGER,
     PRIMARY KEY (grid_id, from_ms)
   ) WITHOUT ROWID;
   CREATE INDEX cloud_manifest_open ON cloud_manifest (grid_id, from_ms) WHERE equal_ms IS NULL;
   ALTER TABLE cloud_gateway ADD COLUMN clock_trust TEXT;
   ALTER TABLE cloud_gateway ADD COLUMN disk_used_pct REAL;
   ALTER TABLE cloud_gateway ADD COLUMN card_life_used_pct REAL;`,
  // Every revision of a grid's documents, newest 50 of each; `told` is what its gateway decided on last. cloud_command is what
  // people here told a gateway to do: the audit of this side, newest 1,000 of each grid.
  `CREATE TABLE cloud_document (
     grid_id TEXT NOT NULL,
     name TEXT NOT NULL,
     rev INTEGER NOT NULL,
     items TEXT NOT NULL,
     sha256 TEXT NOT NULL,
     cause TEXT NOT NULL,
     author TEXT,
     lost TEXT NOT NULL,
     created_ms INTEGER NOT NULL,
     state TEXT,
     reason TEXT,
     decided_ms INTEGER,
     PRIMARY KEY (grid_id, name, rev)
   ) WITHOUT ROWID;
   CREATE TABLE cloud_document_told (
     grid_id TEXT NOT NULL,
     name TEXT NOT NULL,
     rev INTEGER NOT NULL,
     PRIMARY KEY (grid_id, name)
   ) WITHOUT ROWID;
   CREATE TABLE cloud_command (
     seq INTEGER PRIMARY KEY,
     command_id TEXT NOT NULL UNIQUE,
     grid_id TEXT NOT NULL,
     record TEXT NOT NULL
   );
   CREATE INDEX cloud_command_of_grid ON cloud_command (grid_id, seq);`,
];
