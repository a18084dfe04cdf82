/** The cloud's files and how they are opened. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, VillagridError } from '@villagrid/contracts';
import { migrateModule, openDatabase, type SqliteDatabase } from '@villagrid/runtime';
import { cloudMigrations } from './schema.js';

/** Files below `data_dir`: `accounts` (settings.db, as in the gateway) is shared with the installer's command line, `cloud` is this process's own. */
export const cloudFiles = (dataDir: string) => ({
  cloud: join(dataDir, 'cloud.db'),
  accounts: join(dataDir, 'settings.db'),
});

/** Opens (and makes) the cloud's own database. Throws E_STORE_OPEN. */
export function openCloudDatabase(dataDir: string): SqliteDatabase {
  makeDataDir(dataDir);
  const database = openDatabase({ path: cloudFiles(dataDir).cloud });
  migrateModule(database, 'cloud', cloudMigrations);
  return database;
}

/** Makes the folder, for its owner only. Throws E_STORE_OPEN. */
export function makeDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new VillagridError('E_STORE_OPEN', `${dataDir}: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}

/**
 * Whether the store, not what was to be stored, is at fault: what SQLite says of disk, locks and memory, and what the
 * system says of files. With anything else the same message would fail the same way for ever.
 */
export function isStoreFailure(error: unknown): boolean {
  if (error instanceof VillagridError) return false;
  const { code, errno } = (error ?? {}) as { readonly code?: unknown; readonly errno?: unknown };
  if (typeof code !== 'string') return false;
  return typeof errno === 'number' || /^SQLITE_(?!CONSTRAINT|MISMATCH|RANGE|TOOBIG)/.test(code);
}
