/** A day of a site as its relations look at it: columns of its channels, and how the power of each flow is known. */
import type { BalanceDay, BalanceFlow, MeterChannel } from './channels.js';
import type { Readings } from './relation.js';

/** So many windows say something. */
export const enoughRows = 40;
/** Meters look at different moments: what moved within a window is known to this share of its range. */
export const timingShare = 0.05;
/** Windows of a block over which energies are compared: counters and charge have coarse steps. */
const blockHours = 2;

/** What a flow is called in a sentence. */
export const flowWords: Readonly<Record<BalanceFlow, string>> = {
  generation: 'generation',
  genset: 'generator',
  mains: 'mains',
  consumption: 'consumption',
  battery: 'battery',
};

/** How the power of a flow is known: its channels, and a column made of them. */
export interface PowerSource {
  readonly flow: BalanceFlow;
  readonly channels: readonly string[];
  /** Parts whose own loss and error are believed apart. */
  parts(readings: Readings): readonly Float64Array[];
}

/** The sum of columns, row by row; NaN where one of them is not known. */
export const sumOf = (parts: readonly Float64Array[], length: number): Float64Array => {
  const sum = new Float64Array(length);
  for (const part of parts) for (let i = 0; i < length; i += 1) (sum[i] as number) += part[i] as number;
  return sum;
};

/** A day, and what its relations ask of it. */
export type MeteredDay = ReturnType<typeof meteredDay>;

/** Looks at a day: columns by channel (kW, kWh, V, A, %; NaN where unknown), and each flow as the best of its meters tells it. */
export function meteredDay(day: BalanceDay) {
  const { channels, plant, length, windowMs } = day;
  const hours = windowMs / 3_600_000;
  const blockRows = Math.max(1, Math.round(blockHours / hours));
  const empty = new Float64Array(length).fill(Number.NaN);
  const pick = (flow: BalanceFlow, measure: MeterChannel['measure'], second = false) =>
    channels.filter((one) => one.flow === flow && one.measure === measure && one.second === second);
  const mean = (readings: Readings, id: string) => readings.get(id)?.mean ?? empty;
  const last = (readings: Readings, id: string) => readings.get(id)?.last ?? empty;
  /** How far the named channels moved within a window, in their unit. */
  const rangeIn = (readings: Readings, ids: readonly string[], row: number): number => {
    let sum = 0;
    for (const id of ids) {
      const one = readings.get(id);
      const range = one === undefined ? 0 : (one.max[row] as number) - (one.min[row] as number);
      if (range > sum) sum = range;
    }
    return sum;
  };
  const progressOf = (row: number) => row / Math.max(1, length - 1);
  const named = (one: MeterChannel) => one.deviceName;

  const powerIds = new Set(channels.filter((one) => one.measure === 'power').map((one) => one.id));

  // How the power of each flow is known.
  const fromPower = (flow: BalanceFlow): PowerSource | undefined => {
    const powers = pick(flow, 'power');
    if (powers.length === 0) return undefined;
    return {
      flow,
      channels: powers.map((one) => one.id),
      parts: (readings) => powers.map((one) => mean(readings, one.id)),
    };
  };
  const [volts] = pick('battery', 'voltage');
  const [amps] = pick('battery', 'current');
  const product = (readings: Readings): Float64Array => {
    const out = new Float64Array(length);
    const v = mean(readings, volts?.id ?? '');
    const a = mean(readings, amps?.id ?? '');
    for (let i = 0; i < length; i += 1) out[i] = ((v[i] as number) * (a[i] as number)) / 1000;
    return out;
  };
  const fromProduct: PowerSource | undefined =
    volts !== undefined && amps !== undefined
      ? { flow: 'battery', channels: [volts.id, amps.id], parts: (readings) => [product(readings)] }
      : undefined;
  const fromCounters = (flow: BalanceFlow): PowerSource | undefined => {
    const counters = pick(flow, 'counter');
    const bothWays = flow === 'battery' || flow === 'mains';
    if (counters.length === 0 || (flow === 'battery' && new Set(counters.map((one) => one.counts)).size < 2))
      return undefined;
    return {
      flow,
      channels: counters.map((one) => one.id),
      parts: (readings) =>
        counters.map((one) => {
          const values = last(readings, one.id);
          const sign = bothWays && one.counts === 'out' ? -1 : 1;
          return Float64Array.from(values, (value, i) =>
            i === 0 ? Number.NaN : (sign * (value - (values[i - 1] as number))) / hours,
          );
        }),
    };
  };
  const source = (flow: BalanceFlow) =>
    fromPower(flow) ?? (flow === 'battery' ? fromProduct : undefined) ?? fromCounters(flow);
  const battery = source('battery');
  return {
    ...{ day, channels, plant, length, hours, blockRows, pick, mean, last, rangeIn, progressOf, named, powerIds },
    ...{ volts, amps, product, fromPower, fromProduct, source, battery },
  };
}
