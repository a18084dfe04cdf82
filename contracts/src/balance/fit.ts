/** Small statistics of the balance: a regression that knows beforehand what is believable, and robust means. Pure. */

/** A term of a model: its values, and what its coefficient is believed to be before looking. */
export interface Term {
  readonly values: Float64Array;
  readonly mean: number;
  readonly spread: number;
}

/** What a model leaves. `score` counts squared deviations in units of what is believable: small is believable. */
export interface Fit {
  readonly score: number;
  readonly rows: number;
  /** Root mean square of what is left, in the unit of y. */
  readonly left: number;
  readonly coefficients: readonly number[];
}

/** Share of rows that may be anything: a late sample, a gap, a switching moment. */
const oddShare = 0.06;
/** Deviations beyond this many spreads count no more. */
const mostDeviation = 6;
/** Neighbouring windows err alike, so that more of them prove no more. */
const mostIndependent = 24;

/** Solves a small symmetric positive system by elimination. */
function solve(matrix: number[][], right: number[]): number[] {
  const n = right.length;
  for (let col = 0; col < n; col += 1) {
    const pivot = matrix[col] as number[];
    const lead = pivot[col] || 1e-12;
    for (let row = col + 1; row < n; row += 1) {
      const target = matrix[row] as number[];
      const factor = (target[col] as number) / lead;
      if (factor === 0) continue;
      for (let k = col; k < n; k += 1) (target[k] as number) -= factor * (pivot[k] as number);
      (right[row] as number) -= factor * (right[col] as number);
    }
  }
  const x = new Array<number>(n).fill(0);
  for (let row = n - 1; row >= 0; row -= 1) {
    const line = matrix[row] as number[];
    let sum = right[row] as number;
    for (let k = row + 1; k < n; k += 1) sum -= (line[k] as number) * (x[k] as number);
    x[row] = sum / (line[row] || 1e-12);
  }
  return x;
}

/**
 * Fits y = sum of coefficient x term, weighing what is left (in units of each row's spread `sigma`) against how far the
 * coefficients must leave what is believed. The oddest rows are left out.
 */
export function believableFit(y: Float64Array, sigma: Float64Array, terms: readonly Term[]): Fit {
  const rows = y.length;
  const independent = Math.min(rows, mostIndependent) / Math.max(1, rows);
  let use = new Uint8Array(rows).fill(1);
  let coefficients: number[] = [];
  const deviations = new Float64Array(rows);
  for (let round = 0; round < 2; round += 1) {
    const matrix = terms.map(() => new Array<number>(terms.length).fill(0));
    const right = new Array<number>(terms.length).fill(0);
    for (const [i, term] of terms.entries()) {
      (matrix[i] as number[])[i] = 1 / term.spread ** 2;
      right[i] = term.mean / term.spread ** 2;
    }
    for (let row = 0; row < rows; row += 1) {
      if (use[row] === 0) continue;
      const weight = independent / (sigma[row] as number) ** 2;
      for (const [i, term] of terms.entries()) {
        const scaled = weight * (term.values[row] as number);
        if (scaled === 0) continue;
        (right[i] as number) += scaled * (y[row] as number);
        for (const [j, other] of terms.entries())
          ((matrix[i] as number[])[j] as number) += scaled * (other.values[row] as number);
      }
    }
    coefficients = solve(matrix, right);
    for (let row = 0; row < rows; row += 1) {
      let model = 0;
      for (const [i, term] of terms.entries()) model += (coefficients[i] as number) * (term.values[row] as number);
      deviations[row] = ((y[row] as number) - model) / (sigma[row] as number);
    }
    const order = Float64Array.from(deviations, Math.abs).sort();
    const limit = order[Math.max(0, Math.ceil(rows * (1 - oddShare)) - 1)] ?? 0;
    use = Uint8Array.from(deviations, (one) => (Math.abs(one) <= limit ? 1 : 0));
  }
  let [sum, left, counted] = [0, 0, 0];
  for (let row = 0; row < rows; row += 1) {
    if (use[row] === 0) continue;
    sum += Math.min(Math.abs(deviations[row] as number), mostDeviation) ** 2;
    left += ((deviations[row] as number) * (sigma[row] as number)) ** 2;
    counted += 1;
  }
  const n = Math.max(1, counted);
  let score = (sum / n) * Math.min(rows, mostIndependent);
  for (const [i, term] of terms.entries())
    score += Math.min(200, (((coefficients[i] as number) - term.mean) / term.spread) ** 2);
  return { score, rows, left: Math.sqrt(left / n), coefficients };
}

/** Root mean square; 0 of nothing. */
export function rms(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += (values[i] as number) ** 2;
  return values.length === 0 ? 0 : Math.sqrt(sum / values.length);
}

/** The middle one; NaN of nothing. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1
    ? (sorted[half] as number)
    : ((sorted[half - 1] as number) + (sorted[half] as number)) / 2;
}

/** Least squares actual = gain x expected, steadied against odd rows by two rounds of dropping the worst. */
export function gainOf(actual: readonly number[], expected: readonly number[]): number {
  let rows = actual.map((_, i) => i);
  let gain = Number.NaN;
  for (let round = 0; round < 3; round += 1) {
    let [ee, ae] = [0, 0];
    for (const i of rows) {
      ee += (expected[i] as number) ** 2;
      ae += (actual[i] as number) * (expected[i] as number);
    }
    if (ee === 0) return Number.NaN;
    gain = ae / ee;
    const off = rows.map((i) => Math.abs((actual[i] as number) - gain * (expected[i] as number)));
    const limit = Float64Array.from(off).sort()[Math.ceil(0.9 * off.length) - 1] ?? 0;
    const kept = rows.filter((_, k) => (off[k] as number) <= limit);
    if (kept.length < 4) break;
    rows = kept;
  }
  return gain;
}

/** Least squares actual = expected x (start + growth x progress). */
export function driftOf(
  actual: readonly number[],
  expected: readonly number[],
  progress: readonly number[],
): { readonly start: number; readonly growth: number } {
  let [a11, a12, a22, b1, b2] = [0, 0, 0, 0, 0];
  for (const [i, value] of actual.entries()) {
    const e = expected[i] as number;
    const p = e * (progress[i] as number);
    a11 += e * e;
    a12 += e * p;
    a22 += p * p;
    b1 += value * e;
    b2 += value * p;
  }
  const det = a11 * a22 - a12 * a12;
  if (det <= 1e-9 * a11 * a22) return { start: Number.NaN, growth: Number.NaN };
  return { start: (b1 * a22 - b2 * a12) / det, growth: (b2 * a11 - b1 * a12) / det };
}
