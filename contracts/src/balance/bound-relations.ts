/** What no meter may say: below zero, sun at night, more than the plant can, an empty battery that takes no more. */
import { rms } from './fit.js';
import { flowWords, sumOf, type MeteredDay } from './metered-day.js';
import type { Readings, Relation } from './relation.js';

/** Bounds of what each meter says. */
export function boundRelations(site: MeteredDay): Relation[] {
  const { day, plant, length, pick, mean, named, fromPower, battery } = site;
  const relations: Relation[] = [];
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
  return relations;
}
