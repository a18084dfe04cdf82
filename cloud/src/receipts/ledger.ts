/**
 * The ledger of one gateway's log: which numbers are here, as ranges, each with the sum of its frames' hashes. Pure.
 * The sum does not depend on the order of arrival, so both sides can compare it.
 */

/** First 8 bytes (big endian) of a SHA-256, as the receipts add them up. */
export function hashTerm(sha256: Uint8Array): bigint {
  let term = 0n;
  for (let i = 0; i < 8; i += 1) term = (term << 8n) | BigInt(sha256[i] ?? 0);
  return term;
}

const modulus = 1n << 64n;

/** Numbers from `first` to `last`, both included, all here; `sum` is modulo 2^64. */
export interface LedgerRange {
  readonly first: number;
  readonly last: number;
  readonly sum: bigint;
}

/** Which numbers of one log are explained. */
export class Ledger {
  #ranges: LedgerRange[];

  /** From saved ranges, in any order. */
  constructor(ranges: Iterable<LedgerRange> = []) {
    this.#ranges = [...ranges].sort((a, b) => a.first - b.first);
  }

  /** Ranges in order, neither overlapping nor touching. */
  get ranges(): readonly LedgerRange[] {
    return this.#ranges;
  }

  /** Last number below which, from 1 on, none is missing; 0 for none. */
  get upTo(): number {
    const first = this.#ranges[0];
    return first?.first === 1 ? first.last : 0;
  }

  /** Sum of the hashes of the frames up to `upTo`. */
  get sum(): bigint {
    const first = this.#ranges[0];
    return first?.first === 1 ? first.sum : 0n;
  }

  /** Ranges beyond a hole. */
  get later(): readonly LedgerRange[] {
    return this.#ranges[0]?.first === 1 ? this.#ranges.slice(1) : this.#ranges;
  }

  has(number: number): boolean {
    const range = this.#ranges[this.#indexFrom(number)];
    return range !== undefined && range.first <= number;
  }

  /** Notes a frame that is new in the archive and stands for numbers up to `last`; also one that was given up before. */
  add(number: number, term: bigint, last = number): void {
    this.#merge({ first: number, last, sum: term % modulus });
  }

  /** Whether any number of a range is explained. */
  hasAny(first: number, last: number): boolean {
    const range = this.#ranges[this.#indexFrom(first)];
    return range !== undefined && range.first <= last;
  }

  /** Explains numbers that will never come; what is here of them stays. */
  giveUp(first: number, last: number): void {
    if (last >= first) this.#merge({ first, last, sum: 0n });
  }

  /** The numbers from 1 to `last` that are not explained, as ranges. */
  missingUpTo(last: number): Array<readonly [first: number, last: number]> {
    const missing: Array<readonly [number, number]> = [];
    let next = 1;
    for (const range of this.#ranges) {
      if (range.first > last) break;
      if (range.first > next) missing.push([next, range.first - 1]);
      next = range.last + 1;
    }
    if (next <= last) missing.push([next, last]);
    return missing;
  }

  #merge(added: LedgerRange): void {
    const from = this.#indexFrom(added.first - 1);
    let to = from;
    let { first, last, sum } = added;
    for (let range = this.#ranges[to]; range && range.first <= added.last + 1; range = this.#ranges[to]) {
      first = Math.min(first, range.first);
      last = Math.max(last, range.last);
      sum = (sum + range.sum) % modulus;
      to += 1;
    }
    this.#ranges.splice(from, to - from, { first, last, sum });
  }

  /** Index of the first range that ends at or after a number. */
  #indexFrom(number: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle] as LedgerRange).last < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
