/** From single runs to results: medians, ratios, spread, the table. Pure. */

/** A result as `--json` writes it. */
export interface Result {
  readonly id: string;
  /** Median of `runs`, in `unit`. */
  readonly value: number;
  readonly unit: string;
  /** Median of the limit; null where a bench has none. */
  readonly limit: number | null;
  /** Medians of the peers that could run. */
  readonly peers: Readonly<Record<string, number>>;
  readonly runs: readonly number[];
}

/** All single values of one bench. */
export interface Runs {
  readonly own: readonly number[];
  readonly limit: readonly number[];
  readonly peers: Readonly<Record<string, readonly number[]>>;
  /** What each contestant measured beside its figure, run by run. */
  readonly beside?: Readonly<Record<string, ReadonlyArray<Readonly<Record<string, number>>>>>;
}

/** The middle value; the mean of the two middle ones of an even number. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = Number.NaN, high = Number.NaN] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 === 1 ? high : (low + high) / 2;
}

/** Distance of the farthest runs in parts of the median. */
export function spread(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : (Math.max(...values) - Math.min(...values)) / median(values);
}

/** Makes the result of one bench. */
export function resultOf({ id, unit }: { readonly id: string; readonly unit: string }, runs: Runs): Result {
  const peers = Object.entries(runs.peers).filter(([, values]) => values.length > 0);
  return {
    id,
    value: round(median(runs.own)),
    unit,
    limit: runs.limit.length === 0 ? null : round(median(runs.limit)),
    peers: Object.fromEntries(peers.map(([name, values]) => [name, round(median(values))])),
    runs: runs.own.map(round),
  };
}

/** Four significant digits say all that a run can tell. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}

/** The results as a table for people. */
export function tableOf(results: readonly Result[]): string {
  const head = ['id', 'value', 'unit', 'limit', 'x limit', 'peers', 'spread'];
  const rows = results.map(({ id, value, unit, limit, peers, runs }) => [
    id,
    shown(value),
    unit,
    limit === null ? '-' : shown(limit),
    limit === null ? '-' : (value / limit).toFixed(2),
    Object.entries(peers)
      .map(([name, other]) => `${name} ${shown(other)} (x ${(value / other).toFixed(2)})`)
      .join(', ') || '-',
    `${(spread(runs) * 100).toFixed(0)} %`,
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => (row[column] ?? '').length)));
  const right = new Set([1, 3, 4, 6]);
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        right.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [head, widths.map((width) => '-'.repeat(width)), ...rows].map(line).join('\n');
}

function shown(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 2 : 0 });
}
