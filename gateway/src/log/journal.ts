/**
 * The journal: a file of real zeros made once and written round and round, so that a sync writes the record's own blocks
 * and nothing of the file system's. Writes and syncs run beside the event loop.
 */
import {
  close,
  closeSync,
  existsSync,
  fdatasync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  write,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { messageOf } from '@villagrid/contracts';
import { syncFolder } from '@villagrid/runtime';
import {
  blockBytes,
  decodeHead,
  encodeHead,
  encodeRecord,
  recordsIn,
  type JournalHead,
  type JournalRecord,
} from './journal-record.js';
import { JournalRing } from './journal-ring.js';

const closing = promisify(close);
const syncing = promisify(fdatasync);
const lateSyncs = 8;
/** Bytes of the file that are made at a time. */
const makingBytes = 256 * 1024;

/** A journal as it was found. */
export interface FoundJournal {
  /** Why it is not what was written; its records count all the same. */
  readonly damage?: string;
  readonly head?: JournalHead;
  readonly records: readonly JournalRecord[];
}

/** Reads a journal; undefined when there is none. Never throws: what cannot be read is damage. */
export function readJournal(path: string): FoundJournal | undefined {
  if (!existsSync(path)) return undefined;
  let file: Buffer;
  try {
    file = readFileSync(path);
  } catch (error) {
    return { damage: messageOf(error), records: [] };
  }
  const records = recordsIn(file);
  try {
    const head = decodeHead(file);
    if (file.length !== head.blocks * blockBytes) return { damage: 'it has another length', head, records };
    return { head, records };
  } catch (error) {
    return { damage: messageOf(error), records };
  }
}

/** Makes a journal of real bytes, durable under its name when this resolves. Rejects when there is no room. */
export async function makeJournal(path: string, head: JournalHead): Promise<void> {
  const making = `${path}.new`;
  try {
    const file = await open(making, 'w', 0o600);
    try {
      await file.write(encodeHead(head), 0, blockBytes, 0);
      const zeros = Buffer.alloc(makingBytes);
      const length = head.blocks * blockBytes;
      for (let at = blockBytes; at < length; ) {
        const { bytesWritten } = await file.write(zeros, 0, Math.min(makingBytes, length - at), at);
        at += bytesWritten;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    renameSync(making, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(making, { force: true });
    throw error;
  }
}

export interface JournalOptions {
  readonly path: string;
  readonly head: JournalHead;
  /** The first attempt: above all that the file holds. */
  readonly attempt: number;
  /** For tests, the control: only each eighth write is synced. */
  readonly late?: boolean;
}

/** A commit that is to be written; the journal adds the rest. */
export type JournalEntry = Omit<JournalRecord, 'epoch' | 'attempt' | 'durable'>;

/** An open journal. One write at a time; after one that failed it is closed and never used again. */
export class Journal {
  readonly #options: JournalOptions;
  readonly #file: number;
  readonly #ring: JournalRing;
  #attempt: number;

  /** Opens a journal that was made. Throws when it cannot be opened, or is not that one. */
  constructor(options: JournalOptions) {
    this.#options = options;
    this.#file = openSync(options.path, 'r+');
    if (fstatSync(this.#file).size !== options.head.blocks * blockBytes) {
      closeSync(this.#file);
      throw new Error('the journal has another length');
    }
    this.#ring = new JournalRing(options.head.blocks);
    this.#attempt = options.attempt;
  }

  /** The next attempt, for a journal that takes this one's place. */
  get attempt(): number {
    return this.#attempt;
  }

  /** Share that is taken, 0 to 1. */
  get used(): number {
    return this.#ring.used;
  }

  /** Commits up to a number are kept elsewhere, durably: their blocks are free. */
  release(upTo: number): void {
    this.#ring.release(upTo);
  }

  /**
   * What writes some of the commits, in their order and as many as there is room for; undefined when there is none for
   * the first. `fits` is false when there never will be.
   */
  prepare(
    entries: readonly JournalEntry[],
    durable: number,
  ): { readonly count: number; readonly fits: boolean; readonly run: () => Promise<void> } {
    const { epoch } = this.#options.head;
    const attempt = this.#attempt;
    const pieces: { at: number; parts: Buffer[] }[] = [];
    let count = 0;
    let end = -1;
    let fits = true;
    for (const entry of entries) {
      const bytes = encodeRecord({ ...entry, epoch, attempt, durable });
      const blocks = bytes.length / blockBytes;
      fits = blocks <= this.#ring.largest;
      const at = fits ? this.#ring.take(entry.number, blocks) : undefined;
      if (at === undefined) break;
      if (at === end) pieces.at(-1)?.parts.push(bytes);
      else pieces.push({ at, parts: [bytes] });
      end = at + blocks;
      count += 1;
    }
    this.#attempt += 1;
    return {
      count,
      fits: fits || count > 0,
      run: async () => {
        for (const { at, parts } of pieces)
          await this.#write(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts), at * blockBytes);
        if (this.#options.late !== true || attempt % lateSyncs === 0) await syncing(this.#file);
      },
    };
  }

  /** Closes the file; nothing is synced. */
  async close(): Promise<void> {
    await closing(this.#file).catch(() => {});
  }

  #write(bytes: Buffer, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const from = (done: number): void =>
        write(this.#file, bytes, done, bytes.length - done, position + done, (error, written) => {
          if (error) reject(error);
          else if (done + written < bytes.length) from(done + written);
          else resolve();
        });
      from(0);
    });
  }
}
