/** Tables of the log. */
import type { Migration } from '@villagrid/runtime';

/** A frame that spans more than this, milliseconds, had an index of its own. */
const longFrameMs = 3_600_000;

/**
 * Frames are append-only, and found by their number alone. `state` holds what must agree with the newest frame: rule
 * states, sequence numbers of nodes.
 */
export const logMigrations: readonly Migration[] = [
  `CREATE TABLE frame (
     number INTEGER PRIMARY KEY,
     from_ms INTEGER,
     to_ms INTEGER,
     bytes BLOB NOT NULL
   );
   CREATE INDEX frame_by_time ON frame (to_ms, from_ms) WHERE to_ms IS NOT NULL;
   CREATE INDEX frame_long ON frame (to_ms, from_ms) WHERE to_ms - from_ms > ${longFrameMs};
   CREATE TABLE epoch (
     epoch TEXT PRIMARY KEY,
     made_at_ms INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE cursor (
     reader TEXT PRIMARY KEY,
     number INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE state (
     name TEXT PRIMARY KEY,
     number INTEGER NOT NULL,
     value TEXT NOT NULL
   ) WITHOUT ROWID;`,
  // History is asked of its own store; an index costs each commit a page of the card.
  'DROP INDEX frame_by_time; DROP INDEX frame_long',
];
