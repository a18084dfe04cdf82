/**
 * A damaged database is never a reason not to start: before anybody opens a file, it is looked at when the last stop was
 * not a clean one, and set aside when it is damaged, with what can be saved put in its place.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import type { Logger } from '../log/logger.js';
import type { SqliteDatabase } from './open.js';
import { readWal } from './wal.js';

export interface SecureOptions {
  /** The database's file. */
  readonly path: string;
  /** Folder for damaged files; made when needed. */
  readonly quarantine: string;
  /** Unix milliseconds, for the name of what is set aside. */
  readonly nowMs: number;
  readonly log: Logger;
  /**
   * Makes the file `into` from what can be read of the damaged one, which is still at its place; `ignoreWal` says that
   * its write-ahead log belongs to something else. Making none, or throwing, leaves an empty start.
   */
  readonly salvage?: (into: string, damaged: { readonly path: string; readonly ignoreWal: boolean }) => void;
  /**
   * What tells one such database from another. One that is told otherwise with its write-ahead log than without belongs
   * to a log of another database, put there by hand with an older or foreign file.
   */
  readonly identity?: (database: SqliteDatabase) => string | undefined;
  /** Larger files are only looked at shortly, bytes: reading all of one takes long on a card. */
  readonly checkUpToBytes?: number;
  /** Why the file is damaged, when that was found while it was opened, whatever a look at it says. */
  readonly damage?: string;
}

/** A file that was set aside. */
export interface Rescue {
  readonly why: string;
  /** Folder it is in now. */
  readonly setAside: string;
  /** Whether something took its place. */
  readonly salvaged: boolean;
}

const defaultCheckUpToBytes = 128 * 1024 * 1024;
/** Up to this size indexes are compared with their tables too, bytes. */
const compareIndexesUpToBytes = 32 * 1024 * 1024;
/** Damaged files kept of one database; the oldest goes first, because they take the space of what is measured. */
const mostSetAside = 3;
const parts = ['', '-wal', '-shm', '-journal'] as const;

/** Makes sure that a database's file can be opened; gives what was set aside, if anything. Throws only when nothing can be written. */
export function secureDatabase(options: SecureOptions): Rescue | undefined {
  const { path, log } = options;
  const rescued = `${path}.rescued`;
  const making = `${path}.rescuing`;
  const wasClean = existsSync(cleanMarker(path)) && options.damage === undefined;
  removeAll(making);
  // Made whole, and stopped before it took its place.
  if (existsSync(rescued)) {
    if (existsSync(path)) moveAside(options, 'it was set aside before, and the power failed meanwhile');
    moveInPlace(rescued, path);
  }
  const why = problemOf(options, wasClean) ?? options.damage;
  if (wasClean) {
    rmSync(cleanMarker(path), { force: true });
    syncFolder(dirname(path));
  }
  if (why === undefined) return undefined;
  log.error('a database is damaged and is set aside', { code: 'E_STORE_OPEN', file: path, why });
  let salvaged = false;
  try {
    options.salvage?.(making, { path, ignoreWal: walIsForeign(path) });
    salvaged = existsSync(making);
    if (salvaged) moveInPlace(making, rescued);
  } catch (error) {
    log.error('nothing could be saved from the damaged database', { file: path, error });
    salvaged = false;
  }
  removeAll(making);
  const setAside = moveAside(options, why);
  if (salvaged) moveInPlace(rescued, path);
  log.warn(salvaged ? 'what could be read of a damaged database was taken over' : 'a damaged database starts anew', {
    file: path,
    set_aside: setAside,
  });
  return { why, setAside, salvaged };
}

/** What an error, or what caused it, says of a damaged file; undefined when it is about something else. */
export function damageOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = (error as { readonly code?: unknown }).code;
  const isDamage =
    error.name === 'CodecError' ||
    (typeof code === 'string' && /^SQLITE_(CORRUPT|NOTADB|IOERR_READ|IOERR_SHORT_READ|FORMAT)/.test(code)) ||
    // Our own SQL does not fit: the schema, or the note of what was migrated, is not what the migrations made.
    code === 'SQLITE_ERROR';
  return isDamage ? error.message : damageOf(error.cause);
}

/** Notes that a database was closed in good order, so that the next start need not read all of it. */
export function markClean(path: string): void {
  // A write-ahead log that is still there was not copied into the file: the last connection did not end well.
  if (existsSync(`${path}-wal`)) return;
  closeSync(openSync(cleanMarker(path), 'w', 0o600));
  syncFolder(dirname(path));
}

/** Whether a database's last user closed it in good order; asked before `secureDatabase`, which takes the mark away. */
export function wasClosedCleanly(path: string): boolean {
  return existsSync(cleanMarker(path));
}

/** Files set aside in a quarantine folder. */
export function setAsideCount(quarantine: string): number {
  return existsSync(quarantine) ? readdirSync(quarantine).length : 0;
}

/** Makes changes of names in a folder durable. */
export function syncFolder(folder: string): void {
  const file = openSync(folder, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes the content of a file durable. */
export function syncFile(path: string): void {
  const file = openSync(path, 'r+');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

const cleanMarker = (path: string) => `${path}.clean`;

function problemOf(
  { path, identity, checkUpToBytes = defaultCheckUpToBytes }: SecureOptions,
  wasClean: boolean,
): string | undefined {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const walBytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) {
    // SQLite would delete the write-ahead log of a file that is missing or empty, and with it everything.
    return walBytes > 32 ? 'the file is gone or empty beside its write-ahead log' : undefined;
  }
  const wal = walBytes === 0 ? undefined : readWal(`${path}-wal`);
  if (wal?.damage !== undefined) return `the write-ahead log is damaged: ${wal.damage}`;
  const short = wasClean || size > checkUpToBytes;
  const found = check(path, short ? 'short' : size > compareIndexesUpToBytes ? 'quick' : 'whole');
  if (found !== undefined || !identity || !wal || wal.usable === 0) return found;
  const mixed = alone(path, (main) => {
    const own = read(main, identity);
    return own !== undefined && own !== read(path, identity);
  });
  return mixed === true ? 'the write-ahead log belongs to another database' : undefined;
}

/** What a function finds in a database that is not changed by it; undefined when it throws. */
function read<T>(path: string, find: (database: SqliteDatabase) => T): T | undefined {
  let database: SqliteDatabase | undefined;
  try {
    database = new Database(path, { readonly: true });
    return find(database);
  } catch {
    return undefined;
  } finally {
    database?.close();
  }
}

/** Reads a database without changing it: nothing of a foreign write-ahead log may reach the file. */
function check(path: string, how: 'short' | 'quick' | 'whole'): string | undefined {
  let database: Database.Database | undefined;
  try {
    database = new Database(path, { readonly: true });
    if (how !== 'short') {
      const pragma = how === 'whole' ? 'integrity_check(1)' : 'quick_check(1)';
      const found: unknown = database.pragma(pragma, { simple: true });
      return found === 'ok' ? undefined : String(found);
    }
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
    return undefined;
  } catch (error) {
    // Anything else (no permission, a lock, a hot journal) is for the ordinary opening to deal with or to tell.
    return damageOf(error);
  } finally {
    database?.close();
  }
}

/** Whether the file is whole by itself and only wrong together with its write-ahead log. */
function walIsForeign(path: string): boolean {
  if (!existsSync(path) || !existsSync(`${path}-wal`) || readWal(`${path}-wal`)?.damage !== undefined) return false;
  return alone(path, (main) => check(main, 'whole') === undefined) ?? false;
}

/** Looks at a database's file without its write-ahead log, which it has not under another name; undefined when that fails. */
function alone<T>(path: string, look: (main: string) => T): T | undefined {
  const main = `${path}.alone`;
  removeAll(main);
  try {
    linkSync(path, main);
    return look(main);
  } catch {
    return undefined;
  } finally {
    removeAll(main);
  }
}

function removeAll(path: string): void {
  for (const part of parts) rmSync(`${path}${part}`, { force: true });
}

function moveAside({ path, quarantine, nowMs }: SecureOptions, why: string): string {
  mkdirSync(quarantine, { recursive: true, mode: 0o700 });
  const name = basename(path);
  const stamp = new Date(nowMs).toISOString().replace(/[:.]/g, '-');
  let folder = join(quarantine, `${name}-${stamp}`);
  for (let n = 2; existsSync(folder); n += 1) folder = join(quarantine, `${name}-${stamp}-${n}`);
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(folder, 'why.txt'), `${why}\n`);
  // The main file last: as long as it is at its place, this is done again.
  for (const part of [...parts].reverse())
    if (existsSync(`${path}${part}`)) renameSync(`${path}${part}`, join(folder, `${name}${part}`));
  syncFolder(folder);
  syncFolder(dirname(path));
  const older = readdirSync(quarantine)
    .filter((one) => one.startsWith(`${name}-`))
    .sort((a, b) => statSync(join(quarantine, a)).ctimeMs - statSync(join(quarantine, b)).ctimeMs);
  for (const one of older.slice(0, -mostSetAside)) rmSync(join(quarantine, one), { recursive: true, force: true });
  return folder;
}

function moveInPlace(from: string, to: string): void {
  syncFile(from);
  renameSync(from, to);
  syncFolder(dirname(to));
}
