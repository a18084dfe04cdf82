/** Two meters of one thing agree: power with volts times amperes, a device with a second one. */
import { beside, equalRelation } from './equal-relation.js';
import { rms } from './fit.js';
import { enoughRows, sumOf, type MeteredDay } from './metered-day.js';
import type { Expectation, Readings, Relation } from './relation.js';

/** What is measured twice. */
export function twinRelations(site: MeteredDay): Relation[] {
  const { length, pick, mean, progressOf, named, volts, amps, product } = site;
  const relations: Relation[] = [];
  // Power against volts times amperes
  const batteryPowers = pick('battery', 'power');
  if (batteryPowers.length > 0 && volts !== undefined && amps !== undefined) {
    const power = (readings: Readings) =>
      sumOf(
        batteryPowers.map((one) => mean(readings, one.id)),
        length,
      );
    relations.push(
      equalRelation(site, {
        id: 'product',
        kind: 'product',
        words: `battery power (${batteryPowers.map(named).join(' and ')}) against volts times amperes (${[...new Set([volts, amps].map(named))].join(' and ')})`,
        left: batteryPowers.map((one) => one.id),
        right: [volts.id, amps.id],
        rows: beside(
          site,
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

  // Two devices that measure the same thing
  for (const measure of ['voltage', 'current', 'charge'] as const) {
    const [one] = pick('battery', measure);
    const [other] = pick('battery', measure, true);
    if (one === undefined || other === undefined) continue;
    const spread = { voltage: 0.015, current: 0.025, charge: 0.05 }[measure];
    relations.push(
      equalRelation(site, {
        id: `same_${measure}`,
        kind: 'same',
        words: `${{ voltage: 'volts', current: 'amperes', charge: 'state of charge' }[measure]} of ${named(one)} against ${named(other)}`,
        left: [one.id],
        right: [other.id],
        rows: beside(
          site,
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
  return relations;
}
