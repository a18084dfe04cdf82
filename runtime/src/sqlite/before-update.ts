/**
 * A copy of a database from before its tables are changed by an update: what an older program can still read. One is kept
 * of each database, `<file>.before-update`; while an update is under way it is `<file>.updating-<module>`.
 */
import { chmodSync, existsSync, readdirSync, renameSync, rmSync, statfsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type Database from 'better-sqlite3';
import { syncFile, syncFolder } from './rescue.js';

/** Free space that is left to everybody else after a copy was made, bytes. */
const spareBytes = 8 * 1024 * 1024;
/** Openings of which there is a copy: several modules that change in one start share it. */
const copied = new WeakSet<Database.Database>();

/** Openings that were updated without a copy, for want of room. */
const uncopied = new WeakSet<Database.Database>();

/** Whether this opening was updated and there was no room for a copy from before: an older program cannot go back. */
export const updatedWithoutCopy = (database: Database.Database): boolean => uncopied.has(database);

/**
 * Makes the copy before the first step, unless the database holds nothing, one was made already by a run that was
 * interrupted, or there is no room: steps are all or nothing, so an update is safe without. Throws when the database is
 * damaged.
 */
export function copyBeforeUpdate(database: Database.Database, module: string): void {
  if (database.memory || copied.has(database) || !holdsRows(database)) return;
  const copy = underWay(database, module);
  const making = `${copy}.new`;
  rmSync(making, { force: true });
  if (!existsSync(copy)) {
    if (!hasRoom(database.name)) {
      uncopied.add(database);
      return;
    }
    try {
      database.prepare('VACUUM INTO ?').run(making);
    } catch (error) {
      rmSync(making, { force: true });
      if ((error as { readonly code?: unknown }).code !== 'SQLITE_FULL') throw error;
      uncopied.add(database);
      return;
    }
    chmodSync(making, 0o600);
    syncFile(making);
    renameSync(making, copy);
    syncFolder(dirname(copy));
  }
  copied.add(database);
}

/** After the last step: the copy takes the place of the one from the update before. */
export function updateDone(database: Database.Database, module: string): void {
  if (database.memory) return;
  const copy = underWay(database, module);
  if (!existsSync(copy)) return;
  renameSync(copy, `${database.name}.before-update`);
  syncFolder(dirname(copy));
}

/** The copy an older program can go back to; undefined when there is none. */
export function copyOfBefore(file: string): string | undefined {
  const folder = dirname(file);
  if (!existsSync(folder)) return undefined;
  const own = basename(file);
  const names = readdirSync(folder).filter(
    (name) => name === `${own}.before-update` || (name.startsWith(`${own}.updating-`) && !name.endsWith('.new')),
  );
  // One that is under way is the older state.
  const found = names.sort().at(-1);
  return found === undefined ? undefined : join(folder, found);
}

const underWay = (database: Database.Database, module: string): string => `${database.name}.updating-${module}`;

function holdsRows(database: Database.Database): boolean {
  const tables = database
    .prepare<[], string>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'schema_module'",
    )
    .pluck()
    .all();
  return tables.some((name) => database.prepare(`SELECT 1 FROM "${name}" LIMIT 1`).get() !== undefined);
}

function hasRoom(file: string): boolean {
  const size = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const { bavail, bsize } = statfsSync(dirname(file));
  return bavail * bsize >= size(file) + size(`${file}-wal`) + spareBytes;
}
