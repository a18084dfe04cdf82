/** Tables of devices without a gateway. What they measured is in the archive, each device a log of its own per boot. */
import type { Migration } from '@villagrid/runtime';

/**
 * direct_log counts what came of a boot: between the first and the last number, what was not taken is missing.
 * direct_alert holds what devices said is wrong and have not ended. direct_state: what survives a restart, by name.
 */
export const directMigrations: readonly Migration[] = [
  `CREATE TABLE direct_device (
     device_id TEXT PRIMARY KEY,
     heard_ms INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE direct_log (
     device_id TEXT NOT NULL,
     boot TEXT NOT NULL,
     first INTEGER NOT NULL,
     last INTEGER NOT NULL,
     taken INTEGER NOT NULL,
     heard_ms INTEGER NOT NULL,
     PRIMARY KEY (device_id, boot)
   ) WITHOUT ROWID;
   CREATE TABLE direct_alert (
     device_id TEXT NOT NULL,
     alert TEXT NOT NULL,
     alert_id TEXT NOT NULL,
     PRIMARY KEY (device_id, alert)
   ) WITHOUT ROWID;
   CREATE TABLE direct_state (
     name TEXT PRIMARY KEY,
     text TEXT NOT NULL
   ) WITHOUT ROWID;`,
];
