/**
 * What can be wrong with a meter, and the readings as they would be without it: each fault is mended in thought and the
 * relations are asked again. Sizes are estimated from what the other meters say the channel should have said.
 */
import type { BalanceDay, MeterChannel } from './channels.js';
import { driftOf, gainOf, median, rms } from './fit.js';
import type { Expectation, Reading, Readings, Relation } from './relation.js';

/**
 * Kinds of fault. `unclear`: the channel contradicts all others in a way that no simple fault explains.
 */
export const channelFaultKinds = [
  'flipped',
  'factor',
  'swapped',
  'stuck',
  'offset',
  'gain',
  'drift',
  'unclear',
] as const;
export type ChannelFaultKind = (typeof channelFaultKinds)[number];

/** A possible fault of one channel, or of all channels of a device that one sensor feeds. */
export interface ChannelFault {
  readonly kind: ChannelFaultKind;
  /** The channel, and the others that are wrong with it because one sensor feeds them. */
  readonly channel: MeterChannel;
  readonly along: readonly MeterChannel[];
  /** Of a swap: what it is swapped with. */
  readonly other?: MeterChannel;
  /** How many times too much it reads (factor, gain), by how much of its unit (offset), or how much its gain grows over the day (drift). */
  readonly size?: number;
  /** Windows [from, to) it did not move in, of a stuck one. */
  readonly stuckFrom?: number;
  readonly stuckTo?: number;
  /** True of a stuck one that might simply have had nothing to measure. */
  readonly atRest?: boolean;
}

/** A fault with the readings as they would be without it. */
export interface Mended {
  readonly fault: ChannelFault;
  readonly readings: Readings;
  /** How much less likely beforehand than a plain fault, in the units of the relations' scores. */
  readonly cost: number;
}

const costs: Readonly<Record<ChannelFaultKind, number>> = {
  flipped: 1,
  factor: 1,
  stuck: 1,
  swapped: 2,
  offset: 4,
  gain: 4,
  drift: 6,
  unclear: 20,
};
/** A sensor that feeds several series is as likely as a single wrong series, but not more. */
const sharedCost = 0.5;
const stuckAtZeroCost = 12;
const unclearChargeCost = 10;
const factors = [10, 0.1, 100, 0.01, 1000, 0.001];
/** Smaller errors are a matter of class and calibration, not of wiring, and are never blamed. */
const leastGain = 0.13;
const leastDrift = 0.15;
const leastOffset = 0.1;
/** Hours without the least movement before a meter is called stuck. */
const stuckHours = 2;

const sumsUp = (channel: MeterChannel) => channel.measure === 'counter';

const mapColumn = (values: Float64Array, change: (value: number, row: number) => number): Float64Array =>
  Float64Array.from(values, change);

/** A reading through a function of value and row; a counter's movement is changed, not its level. */
function through(reading: Reading, channel: MeterChannel, change: (value: number, row: number) => number): Reading {
  if (!sumsUp(channel)) {
    const [one, other] = [mapColumn(reading.min, change), mapColumn(reading.max, change)];
    return {
      mean: mapColumn(reading.mean, change),
      min: mapColumn(one, (value, row) => Math.min(value, other[row] as number)),
      max: mapColumn(other, (value, row) => Math.max(value, one[row] as number)),
      last: mapColumn(reading.last, change),
    };
  }
  const last = new Float64Array(reading.last.length).fill(Number.NaN);
  let [before, level] = [Number.NaN, 0];
  for (const [row, value] of reading.last.entries()) {
    if (Number.isNaN(value)) continue;
    if (!Number.isNaN(before)) level += change(value - before, row);
    before = value;
    last[row] = level;
  }
  return { ...reading, last };
}

const withReadings = (readings: Readings, changes: readonly (readonly [string, Reading])[]): Readings =>
  new Map([...readings, ...changes]);

const blank = (reading: Reading, from: number, to: number): Reading => {
  const hide = (values: Float64Array) =>
    mapColumn(values, (value, row) => (row >= from && row < to ? Number.NaN : value));
  return { ...reading, mean: hide(reading.mean), last: hide(reading.last) };
};

/** Channels of one device that one sensor feeds: power or current and what is computed from them inside the device. */
function sharedSensors(channels: readonly MeterChannel[]): MeterChannel[][] {
  const groups = new Map<string, MeterChannel[]>();
  for (const one of channels) {
    if (one.measure === 'voltage' || one.measure === 'charge') continue;
    const key = `${one.deviceId} ${one.flow}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const rank = { power: 0, current: 1, counter: 2, voltage: 3, charge: 4 } as const;
  return [...groups.values()]
    .filter((group) => group.length > 1)
    .map((group) => [...group].sort((a, b) => rank[a.measure] - rank[b.measure]));
}

/** The longest stretch in which a channel did not move at all, in windows [from, to). */
export function flatRun(
  day: BalanceDay,
  channel: MeterChannel,
): { readonly from: number; readonly to: number } | undefined {
  const columns = day.columns.get(channel.id);
  if (columns === undefined) return undefined;
  const least = Math.ceil((stuckHours * 3_600_000) / day.windowMs);
  let best = { from: 0, to: 0 };
  let from = -1;
  for (let row = 0; row <= day.length; row += 1) {
    // What was not measured tells neither way.
    if (row < day.length && Number.isNaN(columns.min[row])) continue;
    const [low, high] = [columns.min[row] ?? Number.NaN, columns.max[row] ?? Number.NaN];
    const flat = low === high;
    const goesOn = flat && from >= 0 && low === columns.max[from];
    if (goesOn) continue;
    if (from >= 0 && row - from > best.to - best.from) best = { from, to: row };
    from = flat ? row : -1;
  }
  return best.to - best.from >= least ? best : undefined;
}

/** Every fault of the suspects that is worth asking about, mended. `failing` are the relations that do not hold. */
export function* mendedFaults(
  day: BalanceDay,
  readings: Readings,
  relations: readonly Relation[],
  failing: readonly Relation[],
): Generator<Mended> {
  const { channels } = day;
  const concerned = (ids: readonly string[]) =>
    failing.every((relation) => ids.some((id) => relation.channels.includes(id)));
  const reading = (one: MeterChannel) => readings.get(one.id) as Reading;
  const known = channels.filter((one) => readings.has(one.id));
  const suspects = [...known.map((one) => [one]), ...sharedSensors(known)].filter((group) =>
    concerned(group.map((one) => one.id)),
  );

  for (const group of suspects) {
    const [channel, ...along] = group as [MeterChannel, ...MeterChannel[]];
    const shared = along.length > 0 ? sharedCost : 0;
    const made = (
      kind: ChannelFaultKind,
      more: Partial<ChannelFault>,
      change: (one: MeterChannel) => (value: number, row: number) => number,
      cost = costs[kind],
    ): Mended => ({
      fault: { kind, channel, along, ...more },
      readings: withReadings(
        readings,
        group.map((one) => [one.id, through(reading(one), one, change(one))] as const),
      ),
      cost: cost + shared,
    });

    // The wrong way round: what a device counts into one direction then is the other's.
    const twoWay = group.filter((one) => one.counts !== undefined);
    if (along.length > 0 && twoWay.length === 2) {
      const [a, b] = twoWay as [MeterChannel, MeterChannel];
      const others = group.filter((one) => one.counts === undefined);
      yield {
        fault: { kind: 'flipped', channel, along },
        readings: withReadings(readings, [
          [a.id, reading(b)],
          [b.id, reading(a)],
          ...others.map((one) => [one.id, through(reading(one), one, (value) => -value)] as const),
        ]),
        cost: costs.flipped + shared,
      };
    } else yield made('flipped', {}, (one) => (one.measure === 'charge' ? (value) => 100 - value : (value) => -value));

    for (const size of factors.filter((one) => couldBe(one, channel, reading(channel))))
      yield made('factor', { size }, () => (value) => value / size);

    // Sizes that the other meters ask for.
    const expectations: { readonly of: MeterChannel; readonly found: Expectation }[] = [];
    for (const relation of relations) {
      for (const one of group) {
        if (!relation.channels.includes(one.id)) continue;
        const found = relation.expect?.(readings, one.id);
        if (found !== undefined && found.actual.length >= 5) expectations.push({ of: one, found });
      }
    }
    const gains = new Set<number>();
    const drifts: { start: number; growth: number }[] = [];
    for (const { found } of expectations) {
      const gain = gainOf(found.actual, found.expected);
      if (Number.isFinite(gain) && gain > 0.02 && Math.abs(gain - 1) >= leastGain) gains.add(gain);
      const { start, growth } = driftOf(found.actual, found.expected, found.progress);
      if (Number.isFinite(start) && start > 0.3 && start < 3 && Math.abs(growth / start) >= leastDrift)
        drifts.push({ start, growth });
    }
    for (const size of gains) yield made('gain', { size }, () => (value) => value / size);
    const lastRow = Math.max(1, day.length - 1);
    for (const { start, growth } of drifts) {
      const right = Math.abs(start - 1) < 0.08 ? 1 : start;
      yield made('drift', { size: growth / right }, () => (value, row) => value / (right + (growth * row) / lastRow));
    }
    if (along.length === 0 && !sumsUp(channel)) {
      const offsets = new Set<number>();
      const size = rms(reading(channel).mean.filter((one) => !Number.isNaN(one)));
      for (const { found } of expectations) {
        const offset = median(found.actual.map((one, i) => one - (found.expected[i] as number)));
        if (Math.abs(offset) >= leastOffset * size) offsets.add(offset);
      }
      if (channel.measure === 'charge') for (const one of chargeOffsets(day, reading(channel))) offsets.add(one);
      // What must be nothing at night shows its offset then.
      if (channel.flow === 'generation') {
        const night = reading(channel).mean.filter((value, row) => day.dark[row] === 1 && !Number.isNaN(value));
        const offset = median(night);
        if (night.length >= 8 && Math.abs(offset) >= leastOffset * size) offsets.add(offset);
      }
      for (const offset of offsets) yield made('offset', { size: offset }, () => (value) => value - offset);
    }

    if (along.length === 0) {
      const run = flatRun(day, channel);
      const restsAtZero = run !== undefined && mayRest(day, channel, run);
      if (run !== undefined && contradicted(day, readings, relations, channel, run))
        yield {
          fault: { kind: 'stuck', channel, along, stuckFrom: run.from, stuckTo: run.to, atRest: restsAtZero },
          readings: withReadings(readings, [[channel.id, blank(reading(channel), run.from, run.to)]]),
          cost: restsAtZero ? stuckAtZeroCost : costs.stuck,
        };
      // Whoever agrees with an independent witness is not simply wrong.
      const witnessed = relations.some(
        (one) =>
          one.channels.includes(channel.id) &&
          !failing.includes(one) &&
          movementKinds.includes(one.kind) &&
          one.kind !== 'charge',
      );
      if (!witnessed)
        yield {
          fault: { kind: 'unclear', channel, along },
          readings: withReadings(readings, [[channel.id, blank(reading(channel), 0, day.length)]]),
          // A state of charge is computed, not measured, and lies in more ways than a meter does.
          cost: channel.measure === 'charge' ? unclearChargeCost : costs.unclear,
        };
    }
  }

  // Two that were taken for each other: single series, or all that two devices measure of a flow.
  const units = [...known.map((one) => [one]), ...sharedSensors(known)];
  for (const [index, left] of units.entries()) {
    for (const right of units.slice(index + 1)) {
      const exchange = pairs(left, right);
      if (exchange === undefined || !concerned([...left, ...right].map((one) => one.id))) continue;
      yield {
        fault: {
          kind: 'swapped',
          channel: left[0] as MeterChannel,
          along: left.slice(1),
          other: right[0] as MeterChannel,
        },
        readings: withReadings(
          readings,
          exchange.flatMap(([a, b]) => [[a.id, reading(b)] as const, [b.id, reading(a)] as const]),
        ),
        cost: costs.swapped + (left.length > 1 ? sharedCost : 0),
      };
    }
  }
}

/** Whether a channel may well not move over such a stretch: a counter, a generator or a mains at rest, the sun at night. */
function mayRest(
  day: BalanceDay,
  channel: MeterChannel,
  { from, to }: { readonly from: number; readonly to: number },
): boolean {
  const { flow, measure } = channel;
  if (measure === 'counter') return true;
  if (day.columns.get(channel.id)?.max[from] !== 0) return false;
  if (flow === 'genset' || flow === 'mains') return true;
  return flow === 'generation' && (to - from) * day.windowMs < 15 * 3_600_000;
}

/** Whether a factor is worth asking about: a charge of 70 % is not ten times too much. */
function couldBe(factor: number, channel: MeterChannel, { mean }: Reading): boolean {
  if (channel.measure !== 'charge') return true;
  const highest = Math.max(...mean.filter((one) => !Number.isNaN(one)));
  return factor > 1 ? highest > 150 : highest < 20;
}

/** What would be exchanged; undefined where the two cannot be taken for each other. */
function pairs(
  left: readonly MeterChannel[],
  right: readonly MeterChannel[],
): (readonly [MeterChannel, MeterChannel])[] | undefined {
  if (left.length !== right.length) return undefined;
  const out: (readonly [MeterChannel, MeterChannel])[] = [];
  for (const [i, a] of left.entries()) {
    const b = right[i] as MeterChannel;
    if (a.id === b.id) return undefined;
    const alike = a.measure === b.measure && (left.length === 1 || a.counts === b.counts);
    const voltsForAmperes =
      a.deviceId === b.deviceId &&
      a.measure !== b.measure &&
      [a, b].every((one) => one.measure === 'voltage' || one.measure === 'current');
    if (!alike && !voltsForAmperes) return undefined;
    out.push([a, b]);
  }
  return out;
}

/** By how much a charge that is never full, or above full, would be off. */
function chargeOffsets(day: BalanceDay, { mean }: Reading): number[] {
  const measured = mean.filter((one) => !Number.isNaN(one));
  if (measured.length === 0) return [];
  const highest = Math.max(...measured);
  return highest > 101
    ? [highest - 100, median(measured.filter((one) => one > 100)) - 99]
    : day.irradiance
      ? [highest - 99]
      : [];
}

/** Relations that tell whether a channel moved as it should. */
const movementKinds: readonly Relation['kind'][] = ['balance', 'product', 'counter', 'charge', 'same'];

/** Whether other meters say that a channel must have moved while it did not. */
function contradicted(
  day: BalanceDay,
  readings: Readings,
  relations: readonly Relation[],
  channel: MeterChannel,
  { from, to }: { readonly from: number; readonly to: number },
): boolean {
  const own = readings.get(channel.id) as Reading;
  const inside = (values: Float64Array) =>
    mapColumn(values, (value, row) => (row >= from - 1 && row < to ? value : Number.NaN));
  const only = withReadings(readings, [[channel.id, { ...own, mean: inside(own.mean), last: inside(own.last) }]]);
  return relations.some((relation) => {
    if (!relation.channels.includes(channel.id) || !movementKinds.includes(relation.kind)) return false;
    const fit = relation.evaluate(only, relation.kind === 'counter' ? 1 : 6);
    return fit !== undefined && fit.score > 10;
  });
}
