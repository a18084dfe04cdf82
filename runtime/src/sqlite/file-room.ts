/** How much room a database file takes, and how free pages of it are given back to the disk, in small steps. */
import { statSync } from 'node:fs';
import { nextTurn } from '../clock/next-turn.js';
import type { SqliteDatabase } from './open.js';

/** Pages that are given back at a time. */
const pagesPerStep = 256;

/** The room of one database. */
export interface FileRoom {
  /** Size of the file and its write-ahead log. */
  usedBytes(): number;
  /** Gives free pages back to the disk but for some; with none spared, also what the write-ahead log takes. */
  giveBack(sparePages: number): Promise<void>;
}

/**
 * Makes it; `database` is asked each time, because a log is opened anew after its card failed. Nothing is written while
 * `mayWrite` says no.
 */
export function createFileRoom(
  path: string,
  database: () => SqliteDatabase,
  mayWrite: () => boolean = () => true,
): FileRoom {
  const sizeOf = (file: string) => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  return {
    usedBytes: () => sizeOf(path) + sizeOf(`${path}-wal`),
    async giveBack(sparePages) {
      let before = Number.POSITIVE_INFINITY;
      while (mayWrite()) {
        const free = Number(database().pragma('freelist_count', { simple: true }));
        if (free <= sparePages || free >= before) break;
        before = free;
        database().pragma(`incremental_vacuum(${Math.min(pagesPerStep, free - sparePages)})`);
        await nextTurn();
      }
      if (sparePages === 0 && mayWrite()) database().pragma('wal_checkpoint(TRUNCATE)');
    },
  };
}
