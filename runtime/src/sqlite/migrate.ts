/** Schema versions: migrations in order, each in a transaction. */
import type Database from 'better-sqlite3';
import { VillagridError } from '@villagrid/contracts';
import { copyBeforeUpdate, copyOfBefore, updateDone } from './before-update.js';

/** One step of a schema: SQL, or a function for what SQL cannot say. Never change one that was released; add another. */
export type Migration = string | ((database: Database.Database) => void);

/**
 * Brings `user_version` to the number of migrations; each step is all or nothing, and one that was interrupted is made
 * again at the next start. A database that holds anything is copied before. Throws E_STORE_OPEN for a newer schema.
 */
export function migrateDatabase(database: Database.Database, migrations: readonly Migration[]): void {
  const found = Number(database.pragma('user_version', { simple: true }));
  refuseNewer(database, found, migrations.length);
  if (found < migrations.length) copyBeforeUpdate(database, 'file');
  for (let version = found; version < migrations.length; version += 1) {
    runStep(database, migrations[version] as Migration, () => database.pragma(`user_version = ${version + 1}`));
  }
  updateDone(database, 'file');
}

/**
 * The same for one module among several in a database: its version is kept in table `schema_module`, so that modules of
 * different rooms do not share one count. Throws E_STORE_OPEN for a newer schema.
 */
export function migrateModule(database: Database.Database, module: string, migrations: readonly Migration[]): void {
  database.exec(
    'CREATE TABLE IF NOT EXISTS schema_module (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID',
  );
  const row = database
    .prepare<[string], { version: number }>('SELECT version FROM schema_module WHERE name = ?')
    .get(module);
  const found = row?.version ?? 0;
  refuseNewer(database, found, migrations.length);
  const note = database.prepare(
    'INSERT INTO schema_module VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET version = excluded.version',
  );
  if (found < migrations.length) copyBeforeUpdate(database, module);
  for (let version = found; version < migrations.length; version += 1) {
    runStep(database, migrations[version] as Migration, () => note.run(module, version + 1));
  }
  updateDone(database, module);
}

/** The versions of the modules in a database, without changing it; empty for one that knows none. */
export function schemaVersions(database: Database.Database): Record<string, number> {
  const known = database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_module'").get();
  if (known === undefined) return {};
  const rows = database.prepare<[], { name: string; version: number }>('SELECT name, version FROM schema_module').all();
  return Object.fromEntries(rows.map(({ name, version }) => [name, version]));
}

function runStep(database: Database.Database, migration: Migration, note: () => void): void {
  database
    .transaction(() => {
      if (typeof migration === 'string') database.exec(migration);
      else migration(database);
      note();
    })
    .immediate();
}

function refuseNewer(database: Database.Database, found: number, known: number): void {
  if (found <= known) return;
  const copy = database.memory ? undefined : copyOfBefore(database.name);
  throw new VillagridError(
    'E_STORE_OPEN',
    `${database.name} has schema version ${found}; this program knows versions up to ${known}.`,
    {
      next:
        'Install the newer program again, or restore a backup from before the update.' +
        (copy === undefined
          ? ''
          : ` A copy from before it is ${copy}: put in its place, what was measured since is lost.`),
    },
  );
}
