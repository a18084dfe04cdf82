/** Two columns that should be equal. */
import { believableFit, rms } from './fit.js';
import { type MeteredDay, timingShare } from './metered-day.js';
import type { Readings, Relation } from './relation.js';

/** Least size of what is compared, in steps of what is known. */
const leastInSteps = 4;

/** Two columns, row by row. */
export interface Beside {
  readonly a: number[];
  readonly b: number[];
  readonly row: number[];
  /** How coarse each row is known, beside the meters' classes. */
  readonly coarse: number[];
}

/** What is held against what. */
export interface EqualOptions {
  readonly id: string;
  readonly kind: Relation['kind'];
  readonly words: string;
  readonly left: readonly string[];
  readonly right: readonly string[];
  /** Both sides, row by row (rows may be blocks), and how coarse a row is. */
  readonly rows: (readings: Readings) => Beside;
  /** Spread of the ratio that is believed, and of each row. */
  readonly spread: number;
  readonly rowSpread: number;
  readonly leastRows: number;
  /** What the channel should have said, where that is not simply the other side. */
  readonly expect?: Relation['expect'];
}

/** The relation that both sides are equal. */
export function equalRelation({ progressOf }: MeteredDay, options: EqualOptions): Relation {
  return {
    id: options.id,
    kind: options.kind,
    channels: [...options.left, ...options.right],
    words: options.words,
    evaluate(readings, leastRows = options.leastRows) {
      const { a, b, coarse } = options.rows(readings);
      if (a.length < Math.min(leastRows, options.leastRows)) return undefined;
      const size = rms(b.length === 0 ? [] : b.map((one, i) => (Math.abs(one) + Math.abs(a[i] as number)) / 2)) || 1e-9;
      // Where everything drowns in the steps of a counter, nothing is said.
      if (size < leastInSteps * (coarse.reduce((sum, one) => sum + one, 0) / coarse.length)) return undefined;
      const y = Float64Array.from(a, (one, i) => one - (b[i] as number));
      const sigma = Float64Array.from(
        b,
        (one, i) => (options.rowSpread * (Math.abs(one) + size)) / 2 + (coarse[i] as number),
      );
      const fit = believableFit(y, sigma, [{ values: Float64Array.from(b), mean: 0, spread: options.spread }]);
      return { score: fit.score, share: rms(y) / size, rows: a.length };
    },
    expect:
      options.expect ??
      ((readings, channelId) => {
        const { a, b, row } = options.rows(readings);
        const progress = row.map(progressOf);
        if (options.left.includes(channelId) && options.left.length === 1) return { actual: a, expected: b, progress };
        if (options.right.includes(channelId) && options.right.length === 1)
          return { actual: b, expected: a, progress };
        return undefined;
      }),
  };
}

/** Mean columns side by side; `coarse` is how coarse they are known, beside how far `moving` channels moved within a window. */
export function beside(
  { length, rangeIn }: MeteredDay,
  left: (r: Readings) => Float64Array,
  right: (r: Readings) => Float64Array,
  coarse: number,
  moving: readonly string[],
): (readings: Readings) => Beside {
  return (readings) => {
    const [x, y] = [left(readings), right(readings)];
    const out = { a: [] as number[], b: [] as number[], row: [] as number[], coarse: [] as number[] };
    for (let i = 0; i < length; i += 1) {
      if (Number.isNaN(x[i] as number) || Number.isNaN(y[i] as number)) continue;
      out.a.push(x[i] as number);
      out.b.push(y[i] as number);
      out.row.push(i);
      out.coarse.push(coarse + timingShare * rangeIn(readings, moving, i));
    }
    return out;
  };
}
