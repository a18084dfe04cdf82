/** The databases beside the log: opened after a look at them, kept apart from each other, so that one that is damaged harms no other. */
import { basename, join } from 'node:path';
import type { Clock, Timer } from '@villagrid/contracts';
import {
  damageOf,
  markClean,
  openDatabase,
  restoreCopy,
  SafeCopy,
  secureDatabase,
  setAsideCount,
  type Logger,
  type SqliteDatabase,
  updatedWithoutCopy,
} from '@villagrid/runtime';

/** Pages each database keeps in memory, KiB: what is read again lies in the system's own cache, which a small box shares. */
export const cacheKib = 500;
/** How often the copy of what must not be lost is brought up to date, real milliseconds. */
const copyEveryMs = 600_000;

export interface DataFolderOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly log: Logger;
}

/** Says that a database was updated with no copy of before, for want of room. */
export function sayIfUncopied(path: string, database: SqliteDatabase, log: Logger): void {
  if (updatedWithoutCopy(database))
    log.warn(
      'an update changed a database without a copy from before, for which there is no room; there is no way back',
      {
        file: basename(path),
      },
    );
}

/** One data folder. */
export class DataFolder {
  /** Where damaged files go; people empty it. */
  readonly quarantine: string;
  readonly #options: DataFolderOptions;
  readonly #opened: { readonly path: string; readonly database: SqliteDatabase }[] = [];
  readonly #copies: SafeCopy[] = [];
  #timer: Timer | undefined;

  constructor(options: DataFolderOptions) {
    this.#options = options;
    this.quarantine = join(options.folder, 'quarantine');
  }

  /**
   * Opens a database of the folder; one that is damaged is set aside, and starts anew, or with `copied` from its second
   * copy. Throws E_STORE_OPEN.
   */
  open(name: string, { copied = false }: { readonly copied?: boolean } = {}): SqliteDatabase {
    const { folder, clock, log } = this.#options;
    const path = join(folder, name);
    const options = {
      path,
      quarantine: this.quarantine,
      nowMs: clock.nowMs(),
      log,
      ...(copied ? { salvage: restoreCopy } : {}),
    };
    secureDatabase(options);
    let database: SqliteDatabase;
    try {
      database = openDatabase({ path, cacheKib });
    } catch (error) {
      // Closed in good order and damaged since.
      const damage = damageOf(error);
      if (damage === undefined) throw error;
      secureDatabase({ ...options, damage });
      database = openDatabase({ path, cacheKib });
    }
    this.#opened.push({ path, database });
    if (copied) this.#copies.push(new SafeCopy(database, path));
    return database;
  }

  /** Makes the copies, now and from time to time. */
  start(): void {
    for (const { path, database } of this.#opened) sayIfUncopied(path, database, this.#options.log);
    this.#copy();
    this.#timer = this.#options.realClock.every(copyEveryMs, () => this.#copy());
  }

  /** Makes the copies once more and closes all. */
  stop(): void {
    this.#timer?.cancel();
    this.#copy();
    for (const { path, database } of this.#opened.splice(0)) {
      database.close();
      markClean(path);
    }
  }

  /** How many damaged files are set aside. */
  damagedFiles(): number {
    return setAsideCount(this.quarantine);
  }

  #copy(): void {
    for (const copy of this.#copies) {
      try {
        copy.refresh();
      } catch (error) {
        this.#options.log.error('the second copy of the settings cannot be written', { error });
      }
    }
  }
}
