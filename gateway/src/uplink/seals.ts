/** The seals at hand, found by number. A store that fails costs only that a restart may seal anew. */
import { messageOf } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { Seal, SealStore } from './seal-store.js';

export class Seals {
  readonly #store: SealStore;
  readonly #logger: Logger;
  /** In order, none overlapping; few, because only what is without a receipt is sealed. */
  #all: Seal[];

  constructor(store: SealStore, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
    this.#all = [...store.all()];
  }

  /** The seal that begins with a number. */
  at(number: number): Seal | undefined {
    return this.#all.find(({ first }) => first === number);
  }

  /** Number at which the next seal after one begins; infinite without any. */
  nextAfter(number: number): number {
    return this.#all.find(({ first }) => first > number)?.first ?? Number.POSITIVE_INFINITY;
  }

  put(seal: Seal): void {
    this.#all.push(seal);
    this.#all.sort((a, b) => a.first - b.first);
    this.#try(() => this.#store.put(seal));
  }

  /** Forgets those that are receipted. */
  forgetUpTo(number: number): void {
    if (this.#all.every(({ last }) => last > number)) return;
    this.#all = this.#all.filter(({ last }) => last > number);
    this.#try(() => this.#store.forgetUpTo(number));
  }

  forget(first: number): void {
    this.#all = this.#all.filter((seal) => seal.first !== first);
    this.#try(() => this.#store.forget(first));
  }

  /** Forgets those that lie partly within numbers the cloud has: it has them otherwise. */
  forgetCut(ranges: readonly (readonly [first: number, last: number])[]): void {
    for (const { first, last } of this.#all) {
      const cut = ranges.some(([from, to]) => first <= to && last >= from && !(from <= first && to >= last));
      if (cut) this.forget(first);
    }
  }

  #try(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#logger.warn('what was sealed for the cloud could not be kept', { reason: messageOf(error) });
    }
  }
}
