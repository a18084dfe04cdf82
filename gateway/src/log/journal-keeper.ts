/** Keeps a journal at hand: opens the one there is, makes one where there is none, and makes another after one failed. */
import { rmSync } from 'node:fs';
import { messageOf, type Clock, type Timer } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import { Journal, makeJournal, type FoundJournal } from './journal.js';
import { blockBytes, type JournalHead } from './journal-record.js';

/** Wait before another one is made after a failure, real milliseconds; doubled each time up to the longest. */
const firstWaitMs = 5000;
const longestWaitMs = 600_000;
/** Commits in a row after which the card counts as mended. */
const mendedAfter = 1000;

export interface JournalSettings {
  /** The journal's file. */
  readonly path: string;
  /** Its size; rounded to whole blocks. */
  readonly bytes: number;
  /** What was found there at the start. */
  readonly found: FoundJournal | undefined;
  /** A copy made while it was written: it ends at its first gap. */
  readonly fromCopy?: boolean;
  /** For tests, the control: commits count before they are synced. */
  readonly late?: boolean;
}

export interface JournalKeeperOptions extends JournalSettings {
  readonly epoch: string;
  readonly realClock: Clock;
  readonly log: Logger;
  /** Whether nothing hangs on what the present file holds. */
  readonly mayBegin: () => boolean;
  /** Notes durably that a journal stands before the tables. A throw puts it off. */
  readonly begins: () => void;
}

/** The journal of one log, when there is one at hand. */
export class JournalKeeper {
  readonly #options: JournalKeeperOptions;
  readonly #head: JournalHead;
  #journal: Journal | undefined;
  #attempt: number;
  /** Whether the file at its place is known to be whole. */
  #whole: boolean;
  #waitMs = firstWaitMs;
  #commits = 0;
  #timer: Timer | undefined;
  #making: Promise<void> | undefined;
  #stopped = false;

  constructor(options: JournalKeeperOptions) {
    const { epoch, bytes, found } = options;
    this.#options = options;
    this.#head = { epoch, blocks: Math.max(4, Math.floor(bytes / blockBytes)) };
    this.#attempt = (found?.records ?? []).reduce((most, one) => Math.max(most, one.attempt), 0) + 1;
    this.#whole =
      found?.damage === undefined && found?.head?.epoch === epoch && found.head.blocks === this.#head.blocks;
  }

  /** The journal to write to; undefined while there is none. */
  get current(): Journal | undefined {
    return this.#journal;
  }

  /** Begins with the journal, unless it has to wait: for the room of what it held, or for a card that failed. */
  wake(): void {
    if (this.#journal || this.#making || this.#timer || this.#stopped || !this.#options.mayBegin()) return;
    if (this.#whole) this.#begin();
    else
      this.#making = makeJournal(this.#options.path, this.#head)
        .then(
          () => {
            this.#whole = true;
          },
          (error: unknown) => this.#putOff(error),
        )
        .finally(() => {
          this.#making = undefined;
          // What was committed meanwhile is in the tables.
          if (this.#whole) this.wake();
        });
  }

  /** Notes a commit that is durable. */
  worked(): void {
    this.#commits += 1;
    if (this.#commits === mendedAfter) this.#waitMs = firstWaitMs;
  }

  /** The journal failed: it is closed, and another one made after a while. */
  failed(error: unknown): void {
    const journal = this.#journal;
    this.#journal = undefined;
    this.#whole = false;
    this.#commits = 0;
    if (journal) {
      this.#attempt = journal.attempt;
      void journal.close();
    }
    this.#putOff(error);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#making;
    await this.#journal?.close();
    this.#journal = undefined;
  }

  #begin(): void {
    try {
      this.#options.begins();
      const { path, late = false } = this.#options;
      this.#journal = new Journal({ path, head: this.#head, attempt: this.#attempt, late });
    } catch (error) {
      this.#whole = false;
      this.#putOff(error);
    }
  }

  #putOff(error: unknown): void {
    // One that was being made when all ended: nobody waits for another, and a timer would keep the process.
    if (this.#stopped) return;
    const { log, realClock } = this.#options;
    log.warn('commits go without the journal for now, which wears the card more', {
      reason: messageOf(error),
      again_in_s: this.#waitMs / 1000,
    });
    this.#timer = realClock.after(this.#waitMs, () => {
      this.#timer = undefined;
      this.wake();
    });
    this.#waitMs = Math.min(this.#waitMs * 2, longestWaitMs);
  }
}

/** Removes a journal that is not wanted any more. */
export function removeJournal(path: string): void {
  for (const name of [path, `${path}.new`]) rmSync(name, { force: true });
}
