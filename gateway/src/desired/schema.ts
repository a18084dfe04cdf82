/** Tables of the documents a gateway was given, beside the accounts. Never change a migration that was released; add another. */
import type { Migration } from '@villagrid/runtime';

/**
 * desired_document: `items` are in force and known to be good, `trial` is what is tried now; rev, sha256, state and reason
 * are of the newest revision that was decided on. desired_seen is what settings and accounts said when last looked at, so
 * that a person's change is noticed. desired_report waits to be written to the log.
 */
export const desiredMigrations: readonly Migration[] = [
  `CREATE TABLE desired_document (
     name TEXT PRIMARY KEY,
     items TEXT NOT NULL,
     trial TEXT,
     rev INTEGER NOT NULL,
     sha256 TEXT NOT NULL,
     state TEXT,
     reason TEXT,
     decided_ms INTEGER,
     version INTEGER NOT NULL,
     author TEXT
   ) WITHOUT ROWID;
   CREATE TABLE desired_seen (
     name TEXT PRIMARY KEY,
     body TEXT NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE desired_report (
     seq INTEGER PRIMARY KEY,
     entry TEXT NOT NULL
   );`,
];
