/**
 * A file that only takes space, given back when there is none: on a full disk SQLite can neither delete nor tidy up, so
 * the way out of a full disk needs some room itself. It is made again when there is space.
 */
import { closeSync, openSync, rmSync, statfsSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, type Clock, type Timer } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';

export interface BallastOptions {
  readonly folder: string;
  /** 0 keeps none. */
  readonly bytes: number;
  readonly realClock: Clock;
  readonly log: Logger;
}

const lookEveryMs = 5000;
const chunkBytes = 256 * 1024;
/** Free space below which the ballast goes, because other files than the log need some too, bytes. */
const leastFreeBytes = 512 * 1024;

/** The ballast of one data folder. */
export class Ballast {
  readonly #options: BallastOptions;
  readonly #path: string;
  #timer: Timer | undefined;
  #making: Promise<void> | undefined;

  constructor(options: BallastOptions) {
    this.#options = options;
    this.#path = join(options.folder, 'ballast');
  }

  /** Makes it, and looks after it from now on. Does not wait for either. */
  start(): void {
    if (this.#options.bytes === 0) {
      rmSync(this.#path, { force: true });
      return;
    }
    this.#timer = this.#options.realClock.every(lookEveryMs, () => this.#look());
    this.#look();
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#making;
  }

  /** Bytes it takes now. */
  size(): number {
    return statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Gives its space back; false when it had none. */
  release(): boolean {
    const size = this.size();
    if (size === 0) return false;
    try {
      // Emptied, not removed: a descriptor that still writes it holds no space either.
      closeSync(openSync(this.#path, 'w'));
    } catch (error) {
      this.#options.log.error('the ballast file cannot be emptied', { error });
      return false;
    }
    this.#options.log.warn('the disk is full; the ballast file was given up', { freed_bytes: size });
    return true;
  }

  #look(): void {
    const { bytes, log } = this.#options;
    const free = this.#freeBytes();
    if (free === undefined || this.#making) return;
    const size = this.size();
    if (free < leastFreeBytes) {
      if (size > 0) this.release();
      return;
    }
    // With as much again left over, or it would fill the disk itself.
    if (size >= bytes || free < 2 * (bytes - size)) return;
    this.#making = this.#make(size)
      .catch((error: unknown) => log.warn('the ballast file cannot be made yet', { reason: messageOf(error) }))
      .finally(() => (this.#making = undefined));
  }

  /** Real bytes in small steps: a hole would take no space, and one large write would hold up the commits. */
  async #make(from: number): Promise<void> {
    const file = await open(this.#path, 'a', 0o600);
    try {
      const chunk = Buffer.alloc(chunkBytes, 0x56);
      for (let size = from; size < this.#options.bytes; size += chunkBytes) {
        await file.write(chunk, 0, Math.min(chunkBytes, this.#options.bytes - size));
        await file.datasync();
      }
    } finally {
      await file.close();
    }
  }

  #freeBytes(): number | undefined {
    try {
      const { bavail, bsize } = statfsSync(this.#options.folder);
      return bavail * bsize;
    } catch {
      return undefined;
    }
  }
}
