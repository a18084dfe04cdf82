/** Which blocks of a journal are free: written round and round, given back in the order in which they were written. */

interface Taken {
  readonly number: number;
  readonly at: number;
  readonly blocks: number;
}

/** The blocks of one journal, numbered from 1; block 0 is its head. */
export class JournalRing {
  readonly #blocks: number;
  /** In the order of writing. */
  #taken: Taken[] = [];
  #next = 1;

  /** `blocks` with the head. */
  constructor(blocks: number) {
    this.#blocks = blocks;
  }

  /** Largest record that ever fits, blocks. */
  get largest(): number {
    return Math.floor((this.#blocks - 1) / 2);
  }

  /** Share of the ring that holds records, 0 to 1. */
  get used(): number {
    const first = this.#taken[0];
    const last = this.#taken.at(-1);
    if (!first || !last) return 0;
    const end = last.at + last.blocks;
    const span = end > first.at ? end - first.at : this.#blocks - 1 - first.at + end;
    return span / (this.#blocks - 1);
  }

  /** Takes blocks in a row for a record; gives the first one, or undefined while there is no such room. */
  take(number: number, blocks: number): number | undefined {
    const first = this.#taken[0];
    let at = this.#next;
    if (!first) {
      if (blocks > this.#blocks - 1) return undefined;
      if (at + blocks > this.#blocks) at = 1;
    } else if (at > first.at) {
      // Free are the end, and the beginning up to the oldest.
      if (at + blocks > this.#blocks) {
        if (1 + blocks > first.at) return undefined;
        at = 1;
      }
    } else if (at + blocks > first.at) return undefined;
    this.#taken.push({ number, at, blocks });
    this.#next = at + blocks;
    return at;
  }

  /** Gives back what records up to a number take. */
  release(upTo: number): void {
    const stays = this.#taken.findIndex((one) => one.number > upTo);
    this.#taken = stays < 0 ? [] : this.#taken.slice(stays);
  }
}
