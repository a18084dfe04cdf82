/**
 * What must hold between the meters of a site, each as a relation that says how far the readings are from believable: what
 * comes in less what goes out is a small loss; power is volts times amperes; a counter is the integral of its power; the
 * charge follows the battery's energy; two meters of one thing agree; the sun makes nothing at night.
 */
import type { BalanceDay, BalanceFlow, MeterChannel } from './channels.js';
import { believableFit, rms, type Term } from './fit.js';

/** Values of a channel as the wiring counts them; NaN where unknown. */
export interface Reading {
  readonly mean: Float64Array;
  readonly min: Float64Array;
  readonly max: Float64Array;
  readonly last: Float64Array;
}
export type Readings = ReadonlyMap<string, Reading>;

/** How far readings are from a relation. A score up to about ten is believable. */
export interface RelationFit {
  readonly score: number;
  /** What is left unexplained, as a share of what flows (or of the range that is possible). */
  readonly share: number;
  readonly rows: number;
}

/** Pairs of what a channel said and what the others say it should have said. */
export interface Expectation {
  readonly actual: number[];
  readonly expected: number[];
  /** 0 at the start of the day, 1 at its end. */
  readonly progress: number[];
}

/** One thing that must hold. */
export interface Relation {
  readonly id: string;
  readonly kind: 'balance' | 'product' | 'counter' | 'charge' | 'same' | 'sign' | 'night' | 'range' | 'full';
  /** Channels that take part. */
  readonly channels: readonly string[];
  /** In words: what was held against what. */
  readonly words: string;
  /** Undefined where too little was measured. */
  evaluate(readings: Readings, leastRows?: number): RelationFit | undefined;
  /** What a channel should have said; undefined where the relation cannot tell. */
  expect?(readings: Readings, channelId: string): Expectation | undefined;
}

const enoughRows = 40;
/** Meters look at different moments: what moved within a window is known to this share of its range. */
const timingShare = 0.05;
/** Least size of what is compared, in steps of what is known. */
const leastInSteps = 4;
/** Windows of a block over which energies are compared: counters and charge have coarse steps. */
const blockHours = 2;

const flowSign: Readonly<Record<BalanceFlow, 1 | -1>> = {
  generation: 1,
  genset: 1,
  mains: 1,
  consumption: -1,
  battery: -1,
};

/** What a flow is called in a sentence. */
export const flowWords: Readonly<Record<BalanceFlow, string>> = {
  generation: 'generation',
  genset: 'generator',
  mains: 'mains',
  consumption: 'consumption',
  battery: 'battery',
};

/** How the power of a flow is known: its channels, and a column made of them. */
interface PowerSource {
  readonly flow: BalanceFlow;
  readonly channels: readonly string[];
  /** Parts whose own loss and error are believed apart. */
  parts(readings: Readings): readonly Float64Array[];
}

const sumOf = (parts: readonly Float64Array[], length: number): Float64Array => {
  const sum = new Float64Array(length);
  for (const part of parts) for (let i = 0; i < length; i += 1) (sum[i] as number) += part[i] as number;
  return sum;
};

/** All relations a site's channels allow, and what it lacks for those it does not. */
export function relationsOf(day: BalanceDay): {
  readonly relations: readonly Relation[];
  readonly lacks: readonly string[];
} {
  const { channels, plant, length, windowMs } = day;
  const hours = windowMs / 3_600_000;
  const blockRows = Math.max(1, Math.round(blockHours / hours));
  const relations: Relation[] = [];
  const lacks: string[] = [];
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

  // ---- how the power of each flow is known
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

  // ---- the balance of powers
  const wanted: readonly (readonly [BalanceFlow, boolean])[] = [
    ['generation', (plant.pvKwp ?? 1) > 0],
    ['genset', plant.hasGenset],
    ['mains', plant.hasMains],
    ['consumption', true],
    ['battery', plant.batteryKwh === undefined || plant.batteryKwh > 0],
  ];
  const sources: PowerSource[] = [];
  const missing: string[] = [];
  for (const [flow, needed] of wanted) {
    const one = source(flow);
    if (one !== undefined) sources.push(one);
    else if (needed) missing.push(flowWords[flow]);
  }
  if (missing.length > 0)
    lacks.push(`What comes in cannot be held against what goes out: no meter for ${missing.join(' and ')}.`);
  else if (sources.length >= 2) relations.push(balanceOf(sources));

  function balanceOf(all: readonly PowerSource[]): Relation {
    const lossOf = { generation: 0.015, genset: 0.01, mains: 0.01, consumption: 0.02, battery: 0.02 } as const;
    const columnsOf = (readings: Readings) =>
      all.flatMap((one) => one.parts(readings).map((values) => ({ flow: one.flow, values })));
    return {
      id: 'balance',
      kind: 'balance',
      channels: all.flatMap((one) => one.channels),
      words: `what comes in against what goes out (${all.map((one) => flowWords[one.flow]).join(', ')})`,
      evaluate(readings, leastRows = enoughRows) {
        const columns = columnsOf(readings);
        const rows: number[] = [];
        for (let i = 0; i < length; i += 1)
          if (columns.every(({ values }) => !Number.isNaN(values[i] as number))) rows.push(i);
        if (rows.length < leastRows) return undefined;
        const at = (values: Float64Array) => Float64Array.from(rows, (row) => values[row] as number);
        const parts = columns.map(({ flow, values }) => ({ flow, values: at(values) }));
        const n = rows.length;
        const residual = new Float64Array(n);
        const through = new Float64Array(n);
        for (let i = 0; i < n; i += 1) {
          let [incoming, outgoing] = [0, 0];
          for (const { flow, values } of parts) {
            const one = flowSign[flow] * (values[i] as number);
            if (one > 0) incoming += one;
            else outgoing -= one;
          }
          residual[i] = incoming - outgoing;
          through[i] = Math.max(incoming, outgoing);
        }
        const size = rms(through) || 1e-9;
        const ids = all
          .filter((one) => one.channels.length > 0 && powerIds.has(one.channels[0] as string))
          .flatMap((one) => one.channels);
        const sigma = through.map(
          (one, i) => 0.02 * one + 0.012 * size + timingShare * rangeIn(readings, ids, rows[i] as number),
        );
        const terms: Term[] = parts.map(({ flow, values }) => ({
          values: flow === 'battery' ? values.map((v) => -v) : values,
          mean: flow === 'battery' ? 0 : lossOf[flow],
          spread: flow === 'battery' ? 0.015 : flow === 'consumption' ? 0.028 : 0.02,
        }));
        for (const { flow, values } of parts)
          if (flow === 'battery') terms.push({ values: values.map(Math.abs), mean: lossOf.battery, spread: 0.02 });
        terms.push({ values: new Float64Array(n).fill(size), mean: 0.01, spread: 0.015 });
        const { score, left } = believableFit(residual, sigma, terms);
        const lossShare = residual.reduce((a, b) => a + b, 0) / (through.reduce((a, b) => a + b, 0) || 1);
        return { score, share: Math.max(left / size, Math.abs(lossShare - 0.04)), rows: n };
      },
      expect(readings, channelId) {
        const own = all.find((one) => one.channels.includes(channelId));
        const channel = channels.find((one) => one.id === channelId);
        if (own === undefined || channel === undefined) return undefined;
        const columns = columnsOf(readings);
        const ofVolts = channel.measure === 'voltage';
        const ofAmps = channel.measure === 'current';
        const part = ofVolts || ofAmps ? own.parts(readings)[0] : own.parts(readings)[own.channels.indexOf(channelId)];
        const other = ofVolts ? mean(readings, amps?.id ?? '') : ofAmps ? mean(readings, volts?.id ?? '') : undefined;
        const leastOther = other === undefined ? 0 : 0.15 * rms(other.filter((one) => !Number.isNaN(one)));
        if (part === undefined) return undefined;
        const out: Expectation = { actual: [], expected: [], progress: [] };
        for (let i = 0; i < length; i += 1) {
          let [sum, load, store] = [0, 0, 0];
          for (const { flow, values: one } of columns) {
            sum += flowSign[flow] * (one[i] as number);
            if (flow === 'consumption') load = one[i] as number;
            if (flow === 'battery') store += one[i] as number;
          }
          const actual = part[i] as number;
          const others = sum - flowSign[own.flow] * actual - 0.02 * Math.abs(load) - 0.02 * Math.abs(store);
          if (Number.isNaN(others)) continue;
          const expected = -flowSign[own.flow] * others;
          const by = other === undefined ? 1 : (other[i] as number) / 1000;
          if (other !== undefined && Math.abs(by * 1000) <= leastOther) continue;
          out.actual.push(actual / by);
          out.expected.push(expected / by);
          out.progress.push(progressOf(i));
        }
        return out;
      },
    };
  }

  // ---- two columns that should be equal
  interface Beside {
    readonly a: number[];
    readonly b: number[];
    readonly row: number[];
    /** How coarse each row is known, beside the meters' classes. */
    readonly coarse: number[];
  }
  interface EqualOptions {
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
  const equal = (options: EqualOptions): Relation => ({
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
  });

  /** Mean columns side by side. */
  const beside =
    (
      left: (r: Readings) => Float64Array,
      right: (r: Readings) => Float64Array,
      coarse: number,
      moving: readonly string[],
    ) =>
    (readings: Readings): Beside => {
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

  // ---- power against volts times amperes
  const batteryPowers = pick('battery', 'power');
  if (batteryPowers.length > 0 && volts !== undefined && amps !== undefined) {
    const power = (readings: Readings) =>
      sumOf(
        batteryPowers.map((one) => mean(readings, one.id)),
        length,
      );
    relations.push(
      equal({
        id: 'product',
        kind: 'product',
        words: `battery power (${batteryPowers.map(named).join(' and ')}) against volts times amperes (${[...new Set([volts, amps].map(named))].join(' and ')})`,
        left: batteryPowers.map((one) => one.id),
        right: [volts.id, amps.id],
        rows: beside(
          power,
          product,
          0.02,
          batteryPowers.map((one) => one.id),
        ),
        spread: 0.02,
        rowSpread: 0.04,
        leastRows: enoughRows,
        expect(readings, channelId) {
          const p = power(readings);
          const v = mean(readings, volts.id);
          const a = mean(readings, amps.id);
          const out: Expectation = { actual: [], expected: [], progress: [] };
          const least = 0.15 * rms(Float64Array.from(a).filter((one) => !Number.isNaN(one)));
          const own =
            batteryPowers.length === 1 && batteryPowers[0]?.id === channelId
              ? 'power'
              : channelId === volts.id
                ? 'volts'
                : channelId === amps.id
                  ? 'amps'
                  : undefined;
          if (own === undefined) return undefined;
          for (let i = 0; i < length; i += 1) {
            const [pi, vi, ai] = [p[i] as number, v[i] as number, a[i] as number];
            if (Number.isNaN(pi + vi + ai)) continue;
            if (own === 'volts' && Math.abs(ai) <= least) continue;
            out.actual.push(own === 'power' ? pi : own === 'volts' ? vi : ai);
            out.expected.push(
              own === 'power' ? (vi * ai) / 1000 : own === 'volts' ? (1000 * pi) / ai : (1000 * pi) / vi,
            );
            out.progress.push(progressOf(i));
          }
          return out;
        },
      }),
    );
  }

  // ---- two devices that measure the same thing
  for (const measure of ['voltage', 'current', 'charge'] as const) {
    const [one] = pick('battery', measure);
    const [other] = pick('battery', measure, true);
    if (one === undefined || other === undefined) continue;
    const spread = { voltage: 0.015, current: 0.025, charge: 0.05 }[measure];
    relations.push(
      equal({
        id: `same_${measure}`,
        kind: 'same',
        words: `${{ voltage: 'volts', current: 'amperes', charge: 'state of charge' }[measure]} of ${named(one)} against ${named(other)}`,
        left: [one.id],
        right: [other.id],
        rows: beside(
          (r) => mean(r, one.id),
          (r) => mean(r, other.id),
          2 * Math.max(one.step, other.step),
          [one.id],
        ),
        spread,
        rowSpread: measure === 'voltage' ? 0.012 : 0.05,
        leastRows: enoughRows,
      }),
    );
  }

  // ---- counters against the integral of power
  /** Mean power of each window as a counter adds it up, and how surely it is known, kW. */
  interface Counted {
    readonly power: Float64Array;
    readonly unsure: Float64Array;
  }
  /** Whether a counter was set anew or exchanged within a block: once in a while that happens, and is no energy. */
  const jumps = (readings: Readings, id: string, start: number, end: number): boolean => {
    const values = last(readings, id);
    const limit = jumpLimit(values);
    for (let i = start; i <= end; i += 1)
      if (Math.abs((values[i] as number) - (values[i - 1] as number)) > limit) return true;
    return false;
  };
  const limits = new WeakMap<Float64Array, number>();
  const jumpLimit = (values: Float64Array): number => {
    const known = limits.get(values);
    if (known !== undefined) return known;
    const moves: number[] = [];
    for (let i = 1; i < length; i += 1) {
      const move = Math.abs((values[i] as number) - (values[i - 1] as number));
      if (!Number.isNaN(move)) moves.push(move);
    }
    const usual = Float64Array.from(moves).sort()[Math.ceil(0.95 * moves.length) - 1] ?? 0;
    const limit = usual > 0 ? 8 * usual : Number.POSITIVE_INFINITY;
    limits.set(values, limit);
    return limit;
  };
  const energyRows =
    (energy: (readings: Readings) => Counted, counters: readonly MeterChannel[], coarse: number) =>
    (readings: Readings): Beside => {
      const { power, unsure } = energy(readings);
      const out = { a: [] as number[], b: [] as number[], row: [] as number[], coarse: [] as number[] };
      for (let start = 1; start + blockRows <= length; start += blockRows) {
        const end = start + blockRows - 1;
        let counted = 0;
        for (const one of counters)
          counted += (last(readings, one.id)[end] as number) - (last(readings, one.id)[start - 1] as number);
        let [kwh, rows, unsureKwh] = [0, 0, coarse];
        for (let i = start; i <= end; i += 1) {
          let value = power[i] as number;
          if (Number.isNaN(value)) {
            // A single gap is bridged by its neighbours.
            const [before, after] = [power[i - 1] as number, power[i + 1] ?? Number.NaN];
            value = (before + after) / 2;
            if (Number.isNaN(value)) continue;
            unsureKwh += (Math.abs(after - before) / 2 + 0.1 * Math.abs(value)) * hours;
          } else unsureKwh += (unsure[i] as number) * hours;
          kwh += value * hours;
          rows += 1;
        }
        if (Number.isNaN(counted) || rows < blockRows) continue;
        if (counters.some((one) => jumps(readings, one.id, start, end))) continue;
        out.a.push(counted);
        out.b.push(kwh);
        out.row.push(start + blockRows / 2);
        out.coarse.push(unsureKwh);
      }
      return out;
    };
  /** A flow that is counted as it comes. */
  const plainly =
    (ids: readonly string[]) =>
    (readings: Readings): Counted => ({
      power: sumOf(
        ids.map((id) => mean(readings, id)),
        length,
      ),
      unsure: Float64Array.from({ length }, (_, row) => timingShare * rangeIn(readings, ids, row) * 0.3),
    });
  /** One direction of a flow that runs both ways: within a window that did both, the mean tells only bounds of each. */
  const oneWay =
    (power: PowerSource, way: 'in' | 'out') =>
    (readings: Readings): Counted => {
      const total = sumOf(power.parts(readings), length);
      const side = way === 'in' ? 1 : -1;
      const out = { power: new Float64Array(length), unsure: new Float64Array(length) };
      const [only] = power.channels;
      const byAmperes = amps !== undefined && power.channels.includes(amps.id);
      const bounds = readings.get(byAmperes ? amps.id : (only ?? ''));
      const level = byAmperes ? mean(readings, volts?.id ?? '') : undefined;
      for (let row = 0; row < length; row += 1) {
        const value = side * (total[row] as number);
        const unit = level === undefined ? 1 : (level[row] as number) / 1000;
        const ends = [bounds?.min[row] ?? value, bounds?.max[row] ?? value].map((one) => side * one * unit);
        const [low, high] = [Math.min(...ends), Math.max(...ends)];
        const least = Math.max(0, value);
        const most = low < 0 && high > 0 ? Math.max(least, (high * (value - low)) / (high - low)) : least;
        out.power[row] = Number.isNaN(value) ? Number.NaN : (least + most) / 2;
        out.unsure[row] = (most - least) / 2 + timingShare * 0.3 * (high - low);
      }
      return out;
    };
  const counterRelation = (
    id: string,
    counters: readonly MeterChannel[],
    powerIds: readonly string[],
    energy: (readings: Readings) => Counted,
    words: string,
  ) => {
    relations.push(
      equal({
        id,
        kind: 'counter',
        words,
        left: counters.map((one) => one.id),
        right: powerIds,
        rows: energyRows(
          energy,
          counters,
          counters.reduce((sum, one) => sum + one.step * 2, 0.02),
        ),
        spread: 0.015,
        rowSpread: 0.03,
        leastRows: 5,
      }),
    );
  };
  for (const flow of ['generation', 'genset', 'consumption'] as const) {
    const powers = pick(flow, 'power');
    const counters = pick(flow, 'counter');
    if (powers.length === 0 || counters.length === 0) continue;
    const paired =
      powers.every((one) => counters.some((other) => other.deviceId === one.deviceId)) &&
      powers.length === counters.length;
    if (paired)
      for (const power of powers) {
        const counter = counters.find((one) => one.deviceId === power.deviceId) as MeterChannel;
        counterRelation(
          `counter ${counter.id}`,
          [counter],
          [power.id],
          plainly([power.id]),
          `kWh counter of ${named(counter)} against its power`,
        );
      }
    else
      counterRelation(
        `counter ${flow}`,
        counters,
        powers.map((one) => one.id),
        plainly(powers.map((one) => one.id)),
        `kWh counter of ${flowWords[flow]} (${counters.map(named).join(' and ')}) against power (${powers.map(named).join(' and ')})`,
      );
  }
  for (const flow of ['battery', 'mains'] as const) {
    const power = fromPower(flow) ?? (flow === 'battery' ? fromProduct : undefined);
    if (power === undefined) continue;
    for (const way of ['in', 'out'] as const) {
      const counters = pick(flow, 'counter').filter((one) => one.counts === way);
      if (counters.length === 0) continue;
      counterRelation(
        `counter ${counters.map((one) => one.id).join(' ')}`,
        counters,
        power.channels,
        oneWay(power, way),
        `kWh ${way === 'in' ? 'into' : 'out of'} the ${flowWords[flow]} (${counters.map(named).join(' and ')}) against its power`,
      );
    }
  }

  // ---- the charge against the battery's energy
  const [charge] = pick('battery', 'charge');
  if (charge !== undefined && battery !== undefined) {
    const knownKwh = plant.batteryKwh;
    const soc = charge;
    const rowsOf = (readings: Readings) => {
      const power = sumOf(battery.parts(readings), length);
      const level = last(readings, soc.id);
      const highest = mean(readings, soc.id);
      const out = { change: [] as number[], into: [] as number[], from: [] as number[], row: [] as number[] };
      for (let start = 1; start + blockRows <= length; start += blockRows) {
        const end = start + blockRows - 1;
        let [into, from, rows, full] = [0, 0, 0, false];
        for (let i = start; i <= end; i += 1) {
          const one = power[i] as number;
          if (Number.isNaN(one)) continue;
          if (one > 0) into += one * hours;
          else from -= one * hours;
          rows += 1;
          // A full battery takes power without showing it.
          if ((highest[i] as number) >= 98) full = true;
        }
        const change = (level[end] as number) - (level[start - 1] as number);
        if (Number.isNaN(change) || rows < blockRows - 1 || full) continue;
        out.change.push(change);
        out.into.push((into * blockRows) / rows);
        out.from.push((from * blockRows) / rows);
        out.row.push(start + blockRows / 2);
      }
      return out;
    };
    // Without its size, the battery's own movement of the day must do: only direction and shape are judged then.
    const sizeOf = ({ change, into, from }: ReturnType<typeof rowsOf>): number => {
      if (knownKwh !== undefined && knownKwh > 0) return knownKwh;
      const moved = rms(into.map((one, i) => one - (from[i] as number)));
      return Math.max(0.5, (100 * moved) / (rms(change) || 1));
    };
    relations.push({
      id: 'charge',
      kind: 'charge',
      channels: [soc.id, ...battery.channels],
      words: `state of charge (${named(soc)}) against the energy into and out of the battery`,
      evaluate(readings) {
        const rows = rowsOf(readings);
        if (rows.change.length < 5) return undefined;
        const kwh = sizeOf(rows);
        const net = Float64Array.from(rows.into, (one, i) => one - (rows.from[i] as number));
        const through = Float64Array.from(rows.into, (one, i) => one + (rows.from[i] as number));
        const size = rms(net) || 1e-9;
        if (size < 0.01 * kwh && rms(rows.change) < 1) return undefined;
        const y = Float64Array.from(rows.change, (one, i) => (one / 100) * kwh - (net[i] as number));
        const coarse = (Math.max(soc.step, 0.1) / 100) * kwh * 2;
        const sigma = Float64Array.from(through, (one) => 0.1 * one + 0.06 * size + coarse);
        const fit = believableFit(y, sigma, [
          { values: net, mean: 0, spread: 0.2 },
          { values: through.map((one) => -one), mean: 0.03, spread: 0.05 },
        ]);
        return { score: fit.score, share: rms(y) / size, rows: rows.change.length };
      },
      expect(readings, channelId) {
        if (channelId !== soc.id) return undefined;
        const rows = rowsOf(readings);
        const kwh = sizeOf(rows);
        return {
          actual: rows.change,
          expected: rows.into.map((one, i) => (100 * (one - (rows.from[i] as number))) / kwh),
          progress: rows.row.map(progressOf),
        };
      },
    });
  }

  // ---- what no meter may say
  const violation = (
    id: string,
    kind: Relation['kind'],
    ids: readonly string[],
    words: string,
    /** Deviation in units of what is believable, of the row; undefined where unknown or not concerned. */
    deviation: (readings: Readings) => (row: number) => number | undefined,
    least: number,
  ) => {
    relations.push({
      id,
      kind,
      channels: ids,
      words,
      evaluate(readings) {
        const of = deviation(readings);
        const found: number[] = [];
        for (let i = 0; i < length; i += 1) {
          const one = of(i);
          if (one !== undefined && !Number.isNaN(one)) found.push(Math.min(6, Math.max(0, one)));
        }
        if (found.length < least) return undefined;
        const sorted = found.sort((a, b) => a - b).slice(0, Math.max(1, Math.floor(found.length * 0.94)));
        const score = (sorted.reduce((sum, one) => sum + one * one, 0) / sorted.length) * Math.min(24, sorted.length);
        return { score, share: Math.min(1, Math.sqrt(score / 24) / 6), rows: found.length };
      },
    });
  };
  const sizeOf = (values: Float64Array) => rms(values.filter((one) => !Number.isNaN(one))) || 1e-9;
  for (const flow of ['generation', 'genset', 'consumption'] as const)
    for (const one of pick(flow, 'power'))
      violation(
        `sign ${one.id}`,
        'sign',
        [one.id],
        `${flowWords[flow]} of ${named(one)} is never below zero`,
        (r) => {
          const values = mean(r, one.id);
          const size = sizeOf(values);
          return (row) => (-(values[row] as number) - 0.02 * size) / (0.05 * size);
        },
        8,
      );
  for (const one of pick('generation', 'power'))
    violation(
      `night ${one.id}`,
      'night',
      [one.id],
      `${named(one)} makes nothing at night`,
      (r) => {
        const values = mean(r, one.id);
        const scale = plant.pvKwp ?? sizeOf(values);
        return (row) =>
          day.dark[row] === 1 ? (Math.abs(values[row] as number) - 0.005 * scale) / (0.01 * scale) : undefined;
      },
      8,
    );
  const generation = fromPower('generation');
  if (generation !== undefined && plant.pvKwp !== undefined && plant.pvKwp > 0) {
    const kwp = plant.pvKwp;
    violation(
      'size generation',
      'range',
      generation.channels,
      `generation within what ${kwp} kWp can make`,
      (r) => {
        const values = sumOf(generation.parts(r), length);
        const irradiance = day.irradiance;
        return (row) => {
          const sun = irradiance?.[row];
          const most =
            sun === undefined || Number.isNaN(sun) ? 1.2 * kwp : kwp * ((1.3 * Math.max(0, sun)) / 1000 + 0.1);
          return ((values[row] as number) - most) / (0.1 * kwp);
        };
      },
      8,
    );
  }
  for (const one of [...pick('battery', 'voltage'), ...pick('battery', 'voltage', true)]) {
    const nominal = plant.dcNominalV;
    violation(
      `range ${one.id}`,
      'range',
      [one.id],
      `${named(one)} reads a voltage that can be`,
      (r) => {
        const values = mean(r, one.id);
        const [low, high] = nominal === undefined ? [9, 1000] : [0.7 * nominal, 1.4 * nominal];
        return (row) => {
          const value = values[row] as number;
          return value < low ? (low - value) / (0.05 * low) : (value - high) / (0.05 * high);
        };
      },
      8,
    );
  }
  for (const one of pick('battery', 'charge')) {
    violation(
      `range ${one.id}`,
      'range',
      [one.id],
      `state of charge of ${named(one)} within 0 to 100 %`,
      (r) => {
        const values = mean(r, one.id);
        return (row) => {
          const value = values[row] as number;
          return value > 50 ? (value - 101) / 1 : (-1 - value) / 1;
        };
      },
      8,
    );
    // Sun that nobody takes while the battery rests: it is full then, and must say so.
    const { irradiance } = day;
    const kwp = plant.pvKwp;
    if (irradiance !== undefined && kwp !== undefined && kwp > 0 && generation !== undefined && battery !== undefined)
      violation(
        `full ${one.id}`,
        'full',
        [one.id, ...generation.channels, ...battery.channels],
        `state of charge of ${named(one)} when sunshine is left over and the battery takes no more`,
        (r) => {
          const made = sumOf(generation.parts(r), length);
          const stored = sumOf(battery.parts(r), length);
          const level = mean(r, one.id);
          return (row) => {
            const sun = irradiance[row] as number;
            const heldBack =
              sun > 300 && (made[row] as number) < (0.5 * kwp * sun) / 1000 && (made[row] as number) > 0.02 * kwp;
            const rests = Math.abs(stored[row] as number) < 0.04 * kwp;
            return heldBack && rests ? (93 - (level[row] as number)) / 4 : undefined;
          };
        },
        4,
      );
  }
  return { relations, lacks };
}
