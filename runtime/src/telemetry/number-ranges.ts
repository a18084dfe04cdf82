/** Sets of log numbers as ranges: small however many numbers, because holes are rare. Pure. */

/** From and to, both included. */
export type NumberRange = readonly [first: number, last: number];

/** A growing set of whole numbers. */
export class NumberRanges {
  #ranges: Array<[number, number]>;

  constructor(ranges: readonly NumberRange[] = []) {
    this.#ranges = [];
    for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) this.add(first, last);
  }

  /** The ranges in order, neither touching nor overlapping. */
  get ranges(): readonly NumberRange[] {
    return this.#ranges;
  }

  /** The number up to which, from 1 on, none is missing; 0 for none. */
  get contiguous(): number {
    const first = this.#ranges[0];
    return first && first[0] <= 1 ? first[1] : 0;
  }

  has(number: number): boolean {
    const at = this.#search(number);
    const range = this.#ranges[at];
    return range !== undefined && range[0] <= number;
  }

  add(first: number, last = first): void {
    // Nearly always the next number of all.
    const end = this.#ranges.length - 1;
    const newest = this.#ranges[end];
    if (newest && first === newest[1] + 1) {
      this.#ranges[end] = [newest[0], last];
      return;
    }
    // The first range that reaches up to `first`, or touches it.
    const from = this.#search(first - 1);
    let to = from;
    let [low, high] = [first, last];
    for (let range = this.#ranges[to]; range && range[0] <= last + 1; range = this.#ranges[to]) {
      low = Math.min(low, range[0]);
      high = Math.max(high, range[1]);
      to += 1;
    }
    this.#ranges.splice(from, to - from, [low, high]);
  }

  /** Index of the first range that ends at or after a number. */
  #search(number: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle] as [number, number])[1] < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
