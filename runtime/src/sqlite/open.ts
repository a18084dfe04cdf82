/**
 * Opening SQLite right. better-sqlite3 is compiled so that every open after the first of a WAL database runs with
 * synchronous=NORMAL, which loses acknowledged commits at a power cut; here FULL is set after each open and checked.
 */
import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import Database from 'better-sqlite3';
import { messageOf, VillagridError } from '@villagrid/contracts';
import { migrateDatabase, type Migration } from './migrate.js';

/** An open database (better-sqlite3's). */
export type SqliteDatabase = Database.Database;

export interface OpenDatabaseOptions {
  /** File path, or `:memory:`. */
  readonly path: string;
  readonly migrations?: readonly Migration[];
  /** Opens an existing file for reading only; migrations are not run, a newer schema is still refused. */
  readonly readonly?: boolean;
  /** How long a write waits for another process's lock, milliseconds; default 2000. */
  readonly busyTimeoutMs?: number;
  /** Pages kept in memory between transactions, KiB; default SQLite's own 2000. */
  readonly cacheKib?: number;
}

/** The log file is cut back to this after a checkpoint, bytes. */
const journalSizeLimit = 4 * 1024 * 1024;

/** Pages of one transaction that are kept back until its end: 2 MB. */
const spillPages = 500;

/** Opens, sets and migrates a database; its file is readable by its owner only. Throws E_STORE_OPEN saying which and why. */
export function openDatabase({
  path,
  migrations = [],
  readonly = false,
  busyTimeoutMs = 2000,
  cacheKib,
}: OpenDatabaseOptions): SqliteDatabase {
  let database: SqliteDatabase | undefined;
  try {
    const inMemory = path === ':memory:';
    if (!inMemory && !readonly) ownerOnly(path);
    database = new Database(path, { readonly, timeout: busyTimeoutMs });
    if (readonly) {
      refuseNewerSchema(database, migrations.length);
      return database;
    }
    // First of all: what is written before it is not synced.
    database.pragma('synchronous = FULL');
    // Only before the first table does this take effect; asked first, because setting it writes a page at every open.
    if (database.pragma('auto_vacuum', { simple: true }) !== 2) database.pragma('auto_vacuum = INCREMENTAL');
    if (!inMemory) {
      const mode = database.pragma('journal_mode = WAL', { simple: true });
      if (mode !== 'wal') throw new Error(`journal mode is ${String(mode)}; the file system does not allow WAL`);
    }
    if (database.pragma('synchronous', { simple: true }) !== 2) throw new Error('synchronous=FULL was not accepted');
    database.pragma(`journal_size_limit = ${journalSizeLimit}`);
    database.pragma('foreign_keys = ON');
    if (cacheKib !== undefined) {
      database.pragma(`cache_size = -${cacheKib}`);
      // What one transaction changes stays in memory as long as with SQLite's own size: written early, it is written twice.
      database.pragma(`cache_spill = ${spillPages}`);
    }
    migrateDatabase(database, migrations);
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof VillagridError) throw error;
    throw new VillagridError('E_STORE_OPEN', `${path}: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}

/** Creates the file for its owner only, before SQLite would create it for everybody; -wal and -shm take its mode. */
function ownerOnly(path: string): void {
  for (const file of [path, `${path}-wal`, `${path}-shm`]) if (existsSync(file)) chmodSync(file, 0o600);
  closeSync(openSync(path, 'a', 0o600));
}

function refuseNewerSchema(database: SqliteDatabase, known: number): void {
  const found = Number(database.pragma('user_version', { simple: true }));
  if (known > 0 && found > known) migrateDatabase(database, []);
}
