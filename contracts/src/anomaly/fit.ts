/**
 * A relation that is learnt as it goes: a linear regression that forgets exponentially and does not follow odd values,
 * and how far its target usually is from it. Pure; state is a handful of numbers.
 */

/** What is learnt of a relation. Arrays are in the order of the features, the matrix row by row. */
export interface LearntFit {
  /** Sums of weights times feature times feature, and times target. */
  readonly matrix: number[];
  readonly right: number[];
  /** How often deviations of each size were seen, in steps of half an octave. */
  readonly sizes: number[];
  /** How many windows were learnt from, and how many deviations are counted in `sizes`, both with forgetting. */
  weight: number;
  counted: number;
  /** Windows ever learnt from. */
  learnt: number;
}

/** Windows are forgotten by half after so many: ten days of quarter hours. */
const halfLifeWindows = 960;
const kept = 0.5 ** (1 / halfLifeWindows);
/** Sizes of deviations: the first bin holds those up to half a floor. */
const sizeBins = 36;
const firstSize = 0.5;
/** What the coefficients are believed to be before looking: none, loosely, as if seen in this many windows. */
const priorWeight = 0.02;
/** How much less sure a model is that is asked about what it has not seen. */
const leverageFactor = 25;
/** A deviation counts for the coefficients in full up to this many spreads. */
const fullUpTo = 2;
/** Deviations are counted once so many windows taught the coefficients. */
const coefficientsFrom = 40;

/** A fit that has learnt nothing. */
export const newFit = (features: number): LearntFit => ({
  matrix: new Array<number>(features * features).fill(0),
  right: new Array<number>(features).fill(0),
  sizes: new Array<number>(sizeBins).fill(0),
  weight: 0,
  counted: 0,
  learnt: 0,
});

/** What a fit says of a window: the target it expects and how sure it is, in the target's unit. */
export interface Expected {
  readonly value: number;
  /** Usual deviation, comparable to a standard deviation; never below the floor. */
  readonly spread: number;
  readonly coefficients: readonly number[];
}

/** Solves (matrix + prior) x = right for one or two right sides; the matrix is symmetric and positive. */
function solve(fit: LearntFit, rights: readonly (readonly number[])[]): number[][] {
  const n = fit.right.length;
  const a: number[][] = [];
  for (let row = 0; row < n; row += 1) {
    const line = fit.matrix.slice(row * n, row * n + n);
    (line[row] as number) += priorWeight;
    for (const right of rights) line.push(right[row] as number);
    a.push(line);
  }
  for (let col = 0; col < n; col += 1) {
    const pivot = a[col] as number[];
    const lead = pivot[col] || 1e-12;
    for (let row = col + 1; row < n; row += 1) {
      const line = a[row] as number[];
      const factor = (line[col] as number) / lead;
      if (factor !== 0) for (let k = col; k < line.length; k += 1) (line[k] as number) -= factor * (pivot[k] as number);
    }
  }
  return rights.map((_, which) => {
    const x = new Array<number>(n).fill(0);
    for (let row = n - 1; row >= 0; row -= 1) {
      const line = a[row] as number[];
      let sum = line[n + which] as number;
      for (let k = row + 1; k < n; k += 1) sum -= (line[k] as number) * (x[k] as number);
      x[row] = sum / (line[row] || 1e-12);
    }
    return x;
  });
}

const dot = (a: readonly number[], b: readonly number[]): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] as number) * (b[i] as number);
  return sum;
};

/** Size below which the given share of deviations lies, in floors. */
function sizeAt({ sizes, counted }: LearntFit, share: number): number {
  let before = 0;
  const wanted = share * counted;
  for (let bin = 0; bin < sizeBins; bin += 1) {
    before += sizes[bin] as number;
    if (before >= wanted) return firstSize * 2 ** (bin / 2);
  }
  return firstSize * 2 ** (sizeBins / 2);
}

/**
 * The usual deviation in floors, 1 or more: whichever of several quantiles asks for the most, so that a relation with
 * heavy tails is not taken for a narrow one.
 */
export function usualDeviation(fit: LearntFit): number {
  return Math.max(
    1,
    sizeAt(fit, 0.5) * 1.2,
    sizeAt(fit, 0.9) / 1.645,
    sizeAt(fit, 0.98) / 2.33,
    sizeAt(fit, 0.997) / 3,
  );
}

/** What is expected of a window with these features. `floor` is the smallest deviation that means anything, target's unit. */
export function expectedOf(fit: LearntFit, features: readonly number[], floor: number): Expected {
  if (features.length === 0) return { value: 0, spread: floor * usualDeviation(fit), coefficients: [] };
  const [coefficients, reach] = solve(fit, [fit.right, features]) as [number[], number[]];
  const leverage = Math.max(0, dot(features, reach));
  return {
    value: dot(coefficients, features),
    spread: floor * usualDeviation(fit) * Math.sqrt(1 + leverageFactor * leverage),
    coefficients,
  };
}

/** Learns from a window. `expected` is what was expected of it before. */
export function learn(
  fit: LearntFit,
  features: readonly number[],
  target: number,
  floor: number,
  expected: Expected,
): void {
  const deviation = Math.abs(target - expected.value);
  const isYoung = fit.learnt < coefficientsFrom;
  const weight = isYoung ? 1 : Math.min(1, (fullUpTo * expected.spread) / Math.max(deviation, 1e-9));
  const n = features.length;
  for (let row = 0; row < n; row += 1) {
    const scaled = weight * (features[row] as number);
    fit.right[row] = (fit.right[row] as number) * kept + scaled * target;
    for (let col = 0; col < n; col += 1) {
      const at = row * n + col;
      fit.matrix[at] = (fit.matrix[at] as number) * kept + scaled * (features[col] as number);
    }
  }
  fit.weight = fit.weight * kept + weight;
  fit.learnt += 1;
  if (isYoung && n > 0) return;
  for (let bin = 0; bin < sizeBins; bin += 1) fit.sizes[bin] = (fit.sizes[bin] as number) * kept;
  const bin = Math.ceil(2 * Math.log2(Math.max(deviation / floor / firstSize, 1e-9)));
  (fit.sizes[Math.max(0, Math.min(sizeBins - 1, bin))] as number) += 1;
  fit.counted = fit.counted * kept + 1;
}

/** Six significant digits: more would only lengthen the state. (`toPrecision` takes ten times as long.) */
const short = (value: number): number => {
  if (value === 0) return 0;
  const scale = 10 ** (5 - Math.floor(Math.log10(Math.abs(value))));
  return Number.isFinite(scale) ? Math.round(value * scale) / scale : 0;
};

/** The state as a document for JSON. */
export const fitState = (fit: LearntFit): unknown => ({
  m: fit.matrix.map(short),
  r: fit.right.map(short),
  s: fit.sizes.map(short),
  w: short(fit.weight),
  c: short(fit.counted),
  l: fit.learnt,
});

/** Reads a state back; undefined when it is none of this many features. */
export function fitFrom(saved: unknown, features: number): LearntFit | undefined {
  const { m, r, s, w, c, l } = (saved ?? {}) as Partial<Record<string, unknown>>;
  const numbers = (value: unknown, length: number): value is number[] =>
    Array.isArray(value) && value.length === length && value.every((one) => Number.isFinite(one));
  if (!numbers(m, features * features) || !numbers(r, features) || !numbers(s, sizeBins)) return undefined;
  if (![w, c, l].every((one) => Number.isFinite(one))) return undefined;
  return {
    matrix: [...m],
    right: [...r],
    sizes: [...s],
    weight: w as number,
    counted: c as number,
    learnt: l as number,
  };
}
