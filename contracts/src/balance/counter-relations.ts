/** A counter is the integral of its power. */
import type { MeterChannel } from './channels.js';
import { type Beside, equalRelation } from './equal-relation.js';
import { timingShare, flowWords, sumOf, type MeteredDay, type PowerSource } from './metered-day.js';
import type { Readings, Relation } from './relation.js';

/** Mean power of each window as a counter adds it up, and how surely it is known, kW. */
interface Counted {
  readonly power: Float64Array;
  readonly unsure: Float64Array;
}

/** Each counter against the power it counts. */
export function counterRelations(site: MeteredDay): Relation[] {
  const { length, hours, blockRows, pick, mean, last, rangeIn, named, volts, amps, fromPower, fromProduct } = site;
  const relations: Relation[] = [];
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
      equalRelation(site, {
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
  return relations;
}
