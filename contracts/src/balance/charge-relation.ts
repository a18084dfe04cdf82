/** The charge follows the battery's energy. */
import { believableFit, rms } from './fit.js';
import { sumOf, type MeteredDay } from './metered-day.js';
import type { Readings, Relation } from './relation.js';

/** The state of charge against the battery's energy, where both are measured. */
export function chargeRelations(site: MeteredDay): Relation[] {
  const { plant, length, hours, blockRows, pick, mean, last, progressOf, named, battery } = site;
  const relations: Relation[] = [];
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
  return relations;
}
