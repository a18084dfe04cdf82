/**
 * Differences of counters (kWh, hours): across gaps, resets, roll-overs and readings that cannot be. Never negative,
 * never giant. The one place for this: history, reports and whatever else needs the difference of a counter uses it.
 */

/** What a counter can do. */
export interface CounterLimits {
  /** Most it can gain in an hour, in its own unit: the plant's power in kW for kWh, 1 for hours. */
  readonly maxPerHour: number;
  /** Smallest step it shows; a fall of up to two of them is noise. 0.01 when left out. */
  readonly resolution?: number;
  /** Counts at which it starts again from 0, beside the usual registers and displays. */
  readonly rollOverAt?: readonly number[];
}

/** How a difference was found. `reset`: began again at 0; `replaced`: jumped to another count, nothing is known of between. */
export type CounterStepKind = 'counted' | 'rolled_over' | 'reset' | 'replaced';

/** What was counted between two readings. */
export interface CounterStep {
  /** Index of the reading it begins and ends at. */
  readonly from: number;
  readonly to: number;
  readonly amount: number;
  /** Most it can have been; more than `amount` only where the counter lost its count. */
  readonly high: number;
  readonly kind: CounterStepKind;
}

const scales = [1, 0.1, 0.01, 0.001];
const scaled = (values: readonly number[]): number[] => values.flatMap((value) => scales.map((scale) => value * scale));
/** All ones in a register of 15, 16, 31 or 32 bits: the usual word for "no value", at the usual scales. */
const noValues = new Set(scaled([32_767, 65_535, 2_147_483_647, 4_294_967_295]).map((one) => Math.round(one * 1000)));
/** Where registers and displays of five to nine digits start again. */
const rollOvers = [...scaled([65_536, 2_147_483_648, 4_294_967_296]), 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/** Within how many readings a wrong run must end to be told from a changed counter: a day of quarter hours. */
const lookAhead = 96;

/** Whether a count is one of them; all are whole thousandths. */
function isNoValue(value: number): boolean {
  const thousandths = Math.round(value * 1000);
  return noValues.has(thousandths) && Math.abs(value * 1000 - thousandths) < 1e-3 * Math.max(1, value * 1e-6);
}

/**
 * Differences between the readings of a counter, in order of time (Unix ms). Readings that are not finite, negative or a
 * register's "no value" are left out, as is a run of wrong readings that returns; the step then spans them. A fall is a
 * roll-over where that explains it, a reset otherwise: what the counter shows after it was counted at least.
 */
export function counterSteps(
  timesMs: readonly number[],
  values: readonly (number | null)[],
  { maxPerHour, resolution = 0.01, rollOverAt = [] }: CounterLimits,
): CounterStep[] {
  const usable: number[] = [];
  for (const [at, value] of values.entries())
    if (value !== null && Number.isFinite(value) && value >= 0 && !isNoValue(value)) usable.push(at);
  const tolerance = 2 * resolution + 1e-9;
  const value = (at: number): number => values[at] as number;
  const most = (from: number, to: number): number =>
    (maxPerHour * ((timesMs[to] as number) - (timesMs[from] as number))) / 3_600_000 + tolerance;
  const follows = (from: number, to: number, base = value(from)): boolean =>
    value(to) >= base - tolerance && value(to) - base <= most(from, to);

  const steps: CounterStep[] = [];
  let base = usable[0];
  if (base === undefined) return steps;
  // Kept apart from the base's reading: after noise the count goes on from where it was highest.
  let count = value(base);
  for (let k = 1; k < usable.length; k += 1) {
    let at = usable[k] as number;
    if (!follows(base, at, count)) {
      const back = returnsAt(k);
      if (back !== undefined) {
        k = back;
        at = usable[k] as number;
      }
    }
    const high = most(base, at);
    if (follows(base, at, count)) {
      const amount = Math.max(0, value(at) - count);
      steps.push({ from: base, to: at, amount, high: amount, kind: 'counted' });
      count = Math.max(count, value(at));
    } else {
      steps.push({ from: base, to: at, ...lost(value(at), high) });
      count = value(at);
    }
    base = at;
  }
  return steps;

  /** Position of the first reading that goes on from the base after an edge that cannot be: what lies between is wrong. */
  function returnsAt(first: number): number | undefined {
    for (let k = first + 1; k < Math.min(usable.length, first + lookAhead); k += 1) {
      const at = usable[k] as number;
      if (follows(base as number, at, count) && !follows(usable[k - 1] as number, at)) return k;
    }
    return undefined;
  }

  function lost(now: number, high: number): { amount: number; high: number; kind: CounterStepKind } {
    if (now > count) return { amount: 0, high, kind: 'replaced' };
    let rolled = Number.POSITIVE_INFINITY;
    for (const one of [...rollOvers, ...rollOverAt])
      if (one > count - tolerance) rolled = Math.min(rolled, Math.max(0, one - count) + now);
    if (rolled <= high) return { amount: rolled, high: rolled, kind: 'rolled_over' };
    return { amount: now <= high ? now : 0, high, kind: now <= high ? 'reset' : 'replaced' };
  }
}
