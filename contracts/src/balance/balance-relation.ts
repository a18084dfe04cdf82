/** What comes in less what goes out is a small loss. */
import type { BalanceFlow } from './channels.js';
import { believableFit, rms, type Term } from './fit.js';
import { enoughRows, timingShare, flowWords, type MeteredDay, type PowerSource } from './metered-day.js';
import type { Expectation, Readings, Relation } from './relation.js';

const flowSign: Readonly<Record<BalanceFlow, 1 | -1>> = {
  generation: 1,
  genset: 1,
  mains: 1,
  consumption: -1,
  battery: -1,
};

/** The balance of powers, or what the site lacks for it. */
export function balanceRelation(site: MeteredDay): { readonly relations: Relation[]; readonly lacks: string[] } {
  const { channels, plant, length, mean, rangeIn, progressOf, powerIds, volts, amps, source } = site;
  const relations: Relation[] = [];
  const lacks: string[] = [];
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
  return { relations, lacks };
}
