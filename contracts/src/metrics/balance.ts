/**
 * The energy balance, and which meter breaks it. What comes in (sun, generator, mains, battery giving) less what goes out
 * (load, battery taking) is loss; a loss that cannot be is a meter that lies. Each possible fault of each channel is
 * mended in thought: the one whose mending makes the balance whole, and no other's, is named.
 */
import { finished, type Steps } from './steps.js';
import { quarterHours, quarterStartMs, type DenseQuarters, type QuarterRaster } from './raster.js';

/** Channels of the balance, with the sign each has in it (mains import and a charging battery are positive). */
const signs = {
  generation_kw: 1,
  genset_power_kw: 1,
  mains_power_kw: 1,
  consumption_kw: -1,
  battery_power_kw: -1,
} as const;
export type BalanceChannel = keyof typeof signs;
const balanceChannels = Object.keys(signs) as BalanceChannel[];

/** What can be wrong with a channel. `not_following`: a state of charge that does not follow the battery's power. */
export type MeterFaultKind = 'flipped_sign' | 'wrong_factor' | 'swapped' | 'offset' | 'stuck' | 'not_following';

/** A channel that is probably wrong. */
export interface MeterFault {
  readonly channel: BalanceChannel | 'battery_soc_pct';
  readonly kind: MeterFaultKind;
  /** The channel it is swapped with. */
  readonly other?: BalanceChannel;
  /** By how much it reads too high: 10, 0.1, 1000, 0.001; of an offset the kW that are too many. */
  readonly amount?: number;
}

/** Columns of the balance on one raster; what is not wired is left out. */
export interface BalanceInputs {
  readonly raster: QuarterRaster;
  readonly channels: Readonly<Partial<Record<BalanceChannel, DenseQuarters>>>;
  readonly soc?: DenseQuarters | undefined;
  /** Rated energy of the battery, kWh; without it the state of charge is not judged. */
  readonly ratedKwh?: number | null | undefined;
}

/** Share of the flows that combined meter uncertainty (2 % each, k = 3) and timing may leave unexplained. */
const tolerance = 0.07;
/** Losses of inverters and lines that are believed: a constant share of the peak, and a share of what flows. */
const standingLoss = 0.04;
const flowLoss = 0.25;
/** Fewest complete quarter hours that are judged: half a day. */
const enoughQuarters = 48;
/** Quarter hours a channel must not move to be called stuck. */
const stuckQuarters = 8;

type Columns = Partial<Record<BalanceChannel, number[]>>;

/** What is left of the balance, kWh, over quarter hours [from, to) where every channel was measured. */
export function balanceResidualKwh(
  { channels }: BalanceInputs,
  from: number,
  to: number,
): { readonly residualKwh: number; readonly inKwh: number; readonly quarters: number } {
  const wired = balanceChannels.filter((channel) => channels[channel] !== undefined);
  let [residual, inflow, quarters] = [0, 0, 0];
  for (let at = from; at < to; at += 1) {
    let sum = 0;
    let incoming = 0;
    for (const channel of wired) {
      const flow = signs[channel] * ((channels[channel] as DenseQuarters).mean[at] as number);
      sum += flow;
      if (flow > 0) incoming += flow;
    }
    if (Number.isNaN(sum)) continue;
    residual += sum * quarterHours;
    inflow += incoming * quarterHours;
    quarters += 1;
  }
  return { residualKwh: residual, inKwh: inflow, quarters };
}

/** The channel that is probably wrong over quarter hours [from, to); undefined when all is well or nothing can be said. */
export function meterFault(inputs: BalanceInputs, from: number, to: number): MeterFault | undefined {
  const { channels } = inputs;
  const wired = balanceChannels.filter((channel) => channels[channel] !== undefined);
  if (!wired.includes('consumption_kw') || wired.length < 2) return undefined;
  const rows: number[] = [];
  for (let at = from; at < to; at += 1)
    if (wired.every((one) => !Number.isNaN((channels[one] as DenseQuarters).mean[at] as number))) rows.push(at);
  if (rows.length < enoughQuarters) return undefined;
  const measured: Columns = Object.fromEntries(
    wired.map((one) => [one, rows.map((at) => (channels[one] as DenseQuarters).mean[at] as number)]),
  );
  const asIs = unexplained(measured);
  if (asIs.share <= tolerance) return socFault(inputs, from, to);

  const mended: { fault: MeterFault; share: number }[] = [];
  const tryOne = (fault: MeterFault, columns: Columns) => {
    if (!plausible(columns)) return;
    mended.push({ fault, share: unexplained(columns).share });
  };
  for (const channel of wired) {
    const values = measured[channel] as number[];
    if (!values.some((value) => Math.abs(value) > 1e-6)) continue;
    const scaled = (factor: number): Columns => ({ ...measured, [channel]: values.map((value) => value * factor) });
    tryOne({ channel, kind: 'flipped_sign' }, scaled(-1));
    for (const amount of [10, 0.1, 1000, 0.001]) tryOne({ channel, kind: 'wrong_factor', amount }, scaled(1 / amount));
    for (const other of wired)
      if (other > channel)
        tryOne({ channel, kind: 'swapped', other }, {
          ...measured,
          [channel]: measured[other],
          [other]: values,
        } as Columns);
  }
  const offset = offsetFault(inputs, wired, rows, measured);
  if (offset !== undefined) mended.push(offset);
  mended.sort((a, b) => a.share - b.share);
  const best = mended[0];
  // A flat stretch is judged last: what an offset or a battery at rest makes flat is not stuck.
  if (best === undefined || best.share > tolerance || best.share > asIs.share / 2)
    return stuckChannel(inputs, wired, rows, measured);
  const rival = mended.find(({ fault }) => !sameChannel(fault, best.fault));
  return rival !== undefined && rival.share < best.share * 1.3 ? undefined : best.fault;
}

const sameChannel = (a: MeterFault, b: MeterFault): boolean =>
  a.channel === b.channel || (a.other !== undefined && a.other === b.channel) || a.channel === b.other;

/** Load and generation are never far below zero. */
function plausible(columns: Columns): boolean {
  for (const channel of ['consumption_kw', 'generation_kw', 'genset_power_kw'] as const) {
    const values = columns[channel];
    if (values === undefined) continue;
    const size = Math.max(...values.map(Math.abs));
    if (values.some((value) => value < -0.1 * size - 0.01)) return false;
  }
  return true;
}

interface Fit {
  /** Root mean square of what losses do not explain, as a share of the flows. */
  readonly share: number;
  /** The constant that would explain most, kW, and the share that were left then. */
  readonly constantKw: number;
  readonly shareWithConstant: number;
}

/** Fits believable losses to the residual: r = a + b x flow, 0 <= a <= standing, 0 <= b <= share. */
function unexplained(columns: Columns): Fit {
  const entries = Object.entries(columns) as [BalanceChannel, number[]][];
  const length = entries[0]?.[1].length ?? 0;
  const residual = new Float64Array(length);
  const flow = new Float64Array(length);
  let size = 0;
  let peak = 0;
  for (let row = 0; row < length; row += 1) {
    let incoming = 0;
    let outgoing = 0;
    for (const [channel, values] of entries) {
      const one = signs[channel] * (values[row] as number);
      if (one > 0) incoming += one;
      else outgoing -= one;
    }
    residual[row] = incoming - outgoing;
    flow[row] = Math.max(incoming, outgoing);
    size += (flow[row] as number) ** 2;
    peak = Math.max(peak, flow[row] as number);
  }
  const scale = Math.sqrt(size / Math.max(1, length)) || 1;
  const bound = (value: number, most: number) => Math.max(0, Math.min(most, value));
  const left = (constant: number, slope: number): number => {
    let sum = 0;
    for (let row = 0; row < length; row += 1)
      sum += ((residual[row] as number) - constant - slope * (flow[row] as number)) ** 2;
    return Math.sqrt(sum / Math.max(1, length)) / scale;
  };
  const { slope, constant } = line(flow, residual);
  const freeSlope = bound(slope, flowLoss);
  const constantKw = mean(residual) - freeSlope * mean(flow);
  const standing = bound(constant, standingLoss * peak);
  const boundedSlope = bound((mean(residual) - standing) / (mean(flow) || 1), flowLoss);
  const candidates = [left(standing, freeSlope), left(standing, boundedSlope), left(0, boundedSlope)];
  return { share: Math.min(...candidates), constantKw, shareWithConstant: left(constantKw, freeSlope) };
}

const mean = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += values[i] as number;
  return values.length === 0 ? 0 : sum / values.length;
};

/** Least squares y = constant + slope x, with the correlation. */
function line(x: ArrayLike<number>, y: ArrayLike<number>): { slope: number; constant: number; correlation: number } {
  const [mx, my] = [mean(x), mean(y)];
  let [xx, xy, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i += 1) {
    const dx = (x[i] as number) - mx;
    const dy = (y[i] as number) - my;
    xx += dx * dx;
    xy += dx * dy;
    yy += dy * dy;
  }
  const slope = xx === 0 ? 0 : xy / xx;
  return { slope, constant: my - slope * mx, correlation: xx === 0 || yy === 0 ? 0 : xy / Math.sqrt(xx * yy) };
}

/** A channel that did not move for hours although the others say it must have. */
function stuckChannel(
  { channels, raster }: BalanceInputs,
  wired: readonly BalanceChannel[],
  rows: readonly number[],
  measured: Columns,
): MeterFault | undefined {
  let worst: { channel: BalanceChannel; share: number } | undefined;
  for (const channel of wired) {
    const { min, max } = channels[channel] as DenseQuarters;
    const flat = longestRun(
      rows,
      (at, before) => min[at] === max[at] && (before === undefined || max[at] === max[before]),
    );
    if (flat.length < stuckQuarters) continue;
    // At 0 a battery rests and the sun is down; a level of generation that is flat at night only is an offset.
    const first = rows[flat.positions[0] as number] as number;
    if ((max[first] as number) === 0) continue;
    const byDay = flat.positions.filter((position) => isDay(raster.hour[rows[position] as number] as number)).length;
    if (channel === 'generation_kw' && byDay < stuckQuarters / 2) continue;
    // A quiet night is flat too: only a run that breaks the balance is a stuck meter, and only if the rest is whole.
    const inside = pick(measured, flat.positions);
    const outside = pick(
      measured,
      rows.map((_, i) => i).filter((i) => !flat.set.has(i)),
    );
    const share = unexplained(inside).share;
    const rest = (outside[channel]?.length ?? 0) === 0 ? 0 : unexplained(outside).share;
    if (share > 2 * tolerance && (rest <= tolerance || flat.length > rows.length / 2) && share > (worst?.share ?? 0))
      worst = { channel, share };
  }
  return worst === undefined ? undefined : { channel: worst.channel, kind: 'stuck' };
}

/** Whether the sun surely stands high at a local hour. */
const isDay = (hour: number): boolean => hour >= 8 && hour < 16;

function longestRun(rows: readonly number[], same: (at: number, before: number | undefined) => boolean) {
  let best: number[] = [];
  let run: number[] = [];
  for (const [position, at] of rows.entries()) {
    const before = run.length === 0 ? undefined : rows[position - 1];
    if (same(at, before)) run.push(position);
    else run = same(at, undefined) ? [position] : [];
    if (run.length > best.length) best = [...run];
  }
  return { positions: best, length: best.length, set: new Set(best) };
}

const pick = (columns: Columns, positions: readonly number[]): Columns =>
  Object.fromEntries(
    Object.entries(columns).map(([channel, values]) => [channel, positions.map((at) => values[at] as number)]),
  );

/**
 * An offset looks alike in every channel of the balance; who has it is told by what must be zero or follow: generation at
 * night, the battery by its state of charge, otherwise the load.
 */
function offsetFault(
  inputs: BalanceInputs,
  wired: readonly BalanceChannel[],
  rows: readonly number[],
  measured: Columns,
): { fault: MeterFault; share: number } | undefined {
  const fit = unexplained(measured);
  if (fit.shareWithConstant > tolerance) return undefined;
  const constant = fit.constantKw;
  const named = (channel: BalanceChannel) => {
    const amount = signs[channel] * constant;
    const columns = { ...measured, [channel]: (measured[channel] as number[]).map((value) => value - amount) };
    return { fault: { channel, kind: 'offset', amount } as const, share: unexplained(columns).share };
  };
  const { raster } = inputs;
  const night = rows.flatMap((at, i) =>
    (raster.hour[at] as number) < 4 || (raster.hour[at] as number) >= 22 ? [i] : [],
  );
  for (const channel of ['generation_kw', 'genset_power_kw'] as const) {
    if (!wired.includes(channel) || night.length < 8) continue;
    // The generator may run at night; what counts is a level it never leaves.
    const least = channel === 'generation_kw' ? night : rows.map((_, i) => i);
    const level = least.map((i) => (measured[channel] as number[])[i] as number).sort((a, b) => a - b);
    const typical = level[Math.floor(level.length / (channel === 'generation_kw' ? 2 : 20))] ?? 0;
    if (Math.abs(typical - constant) < 0.4 * Math.abs(constant)) return named(channel);
  }
  if (wired.includes('battery_power_kw')) {
    const drift = socDrift(inputs, rows);
    if (drift === undefined) return undefined;
    // Charging counts against the balance: a battery that reads too much charging leaves a residual below zero.
    if (Math.abs(drift + constant) < 0.5 * Math.abs(constant)) return named('battery_power_kw');
  }
  return named('consumption_kw');
}

/** Mean kW by which the battery's power says more charging than its state of charge shows; undefined without both. */
function socDrift({ channels, soc, ratedKwh }: BalanceInputs, rows: readonly number[]): number | undefined {
  const power = channels.battery_power_kw;
  const first = rows[0];
  const last = rows.at(-1);
  if (power === undefined || soc === undefined || !ratedKwh || first === undefined || last === undefined)
    return undefined;
  const change = (((soc.last[last] as number) - (soc.last[first] as number)) / 100) * ratedKwh;
  if (Number.isNaN(change) || last === first) return undefined;
  let kwh = 0;
  for (const at of rows) if (at > first) kwh += (power.mean[at] as number) * quarterHours;
  const hours = (last - first) * quarterHours;
  return (kwh - change) / hours;
}

/** Quarter hours over which a state of charge is compared with the integral of power: two hours. */
const socStep = 8;

/** Whether the state of charge follows the battery's power; judged where enough went in and out. */
function socFault({ channels, soc, ratedKwh }: BalanceInputs, from: number, to: number): MeterFault | undefined {
  const power = channels.battery_power_kw;
  if (power === undefined || soc === undefined || !ratedKwh) return undefined;
  const moved: number[] = [];
  const shown: number[] = [];
  for (let at = from; at + socStep < to; at += socStep) {
    let kwh = 0;
    for (let k = 1; k <= socStep; k += 1) kwh += (power.mean[at + k] as number) * quarterHours;
    const change = (((soc.last[at + socStep] as number) - (soc.last[at] as number)) / 100) * ratedKwh;
    // A full battery takes power without showing it.
    if (Number.isNaN(kwh) || Number.isNaN(change) || (soc.max[at + socStep] as number) >= 97) continue;
    moved.push(kwh);
    shown.push(change);
  }
  const size = moved.reduce((sum, one) => sum + Math.abs(one), 0);
  if (moved.length < 5 || size < 0.3 * ratedKwh) return undefined;
  const { slope, correlation } = line(moved, shown);
  return correlation > 0.7 && slope > 0.5 && slope < 1.7
    ? undefined
    : { channel: 'battery_soc_pct', kind: 'not_following' };
}

/** A fault with the days that show it. */
export interface MeterFinding extends MeterFault {
  readonly days: number;
  /** Start of the first such day, Unix ms. */
  readonly firstMs: number;
}

/** Judges each local day of [from, to) and gathers what is wrong, most days first. */
export function meterFindings(inputs: BalanceInputs, from: number, to: number): MeterFinding[] {
  return finished(meterFindingsInSteps(inputs, from, to));
}

/** The same in steps of a day, so that a year does not hold up everything else. */
export function* meterFindingsInSteps(inputs: BalanceInputs, from: number, to: number): Steps<MeterFinding[]> {
  const { raster } = inputs;
  const found = new Map<string, { fault: MeterFault; days: number; firstMs: number }>();
  for (let at = from; at < to; ) {
    let end = at + 1;
    while (end < to && raster.day[end] === raster.day[at]) end += 1;
    const fault = meterFault(inputs, at, end);
    if (fault !== undefined) {
      const key = `${fault.channel} ${fault.kind} ${fault.other ?? ''} ${fault.kind === 'wrong_factor' ? fault.amount : ''}`;
      const known = found.get(key);
      if (known === undefined) found.set(key, { fault, days: 1, firstMs: quarterStartMs(raster, at) });
      else known.days += 1;
    }
    at = end;
    yield;
  }
  return [...found.values()]
    .map(({ fault, days, firstMs }) => ({ ...fault, days, firstMs }))
    .sort((a, b) => b.days - a.days);
}
