/** A second copy of a small database that must not be lost: settings and accounts. Made whole beside the first, then renamed. */
import { chmodSync, copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import type { SqliteDatabase } from './open.js';
import { syncFile, syncFolder } from './rescue.js';

const copyOf = (path: string) => `${path}.copy`;

/** Keeps a copy beside a database up to date; only writes when something changed. */
export class SafeCopy {
  readonly #database: SqliteDatabase;
  readonly #path: string;
  #changes: number | undefined;

  /** `path` is the database's file. */
  constructor(database: SqliteDatabase, path: string) {
    this.#database = database;
    this.#path = path;
  }

  /** Makes the copy when there is none or the database was changed since. Throws when it cannot be written. */
  refresh(): void {
    const changes = this.#database.prepare('SELECT total_changes()').pluck().get() as number;
    const copy = copyOf(this.#path);
    if (changes === this.#changes && existsSync(copy)) return;
    const making = `${copy}.new`;
    rmSync(making, { force: true });
    this.#database.prepare('VACUUM INTO ?').run(making);
    chmodSync(making, 0o600);
    syncFile(making);
    renameSync(making, copy);
    syncFolder(dirname(copy));
    this.#changes = changes;
  }
}

/** Puts the copy of a damaged database at `into`; does nothing when there is none, throws when it is damaged too. */
export function restoreCopy(into: string, { path }: { readonly path: string }): void {
  const copy = copyOf(path);
  if (!existsSync(copy)) return;
  const database = new Database(copy, { readonly: true });
  try {
    const found: unknown = database.pragma('quick_check(1)', { simple: true });
    if (found !== 'ok') throw new Error(`the copy is damaged too: ${String(found)}`);
  } finally {
    database.close();
    for (const part of ['-wal', '-shm']) rmSync(`${copy}${part}`, { force: true });
  }
  copyFileSync(copy, into);
}
