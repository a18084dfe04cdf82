/** Anomalies and forecasts on the reference village: how much is found, how often it cries wolf, how far forecasts are off. */
import type { Bench, Contestant, Figure } from '@villagrid/tools/bench';
import { evaluateSeed, zLimits, type Hit, type SeedResult } from './evaluate-anomalies.js';
import { evaluateForecasts, forecastPlants, type ForecastScore } from './evaluate-forecasts.js';

/** Seeds that figures are taken from: none that limits were chosen with. `VILLAGRID_INSIGHT_SEEDS=301,302` takes others. */
const seeds = (process.env.VILLAGRID_INSIGHT_SEEDS ?? '101,102,103,104,105,106,107,108,109,110').split(',').map(Number);

let judged: SeedResult[] | undefined;
/** Everything is a function of the seeds: it is made once, and each contestant's figures are taken from it. */
const results = (): SeedResult[] => (judged ??= seeds.map((seed) => evaluateSeed(seed, 'judging')));

/** Share of faults that a contestant found in time and how often it alarmed without one. */
function figure(hitOf: (one: SeedResult['troubles'][number]) => Hit, alarmsOf: (one: SeedResult) => number): Figure {
  const all = results();
  const troubles = all.flatMap((one) => [...one.troubles]);
  const faults = troubles.filter((one) => one.isFault);
  const found = faults.filter((one) => hitOf(one).found);
  const weeks = all.reduce((sum, one) => sum + one.cleanWeeks, 0);
  const minutes = found.map((one) => hitOf(one).minutes).sort((a, b) => a - b);
  const beside: Record<string, number> = {
    first_named_right_pct: (100 * found.filter((one) => hitOf(one).named).length) / Math.max(1, found.length),
    false_alarms_per_week: all.reduce((sum, one) => sum + alarmsOf(one), 0) / weeks,
    median_minutes: minutes[minutes.length >> 1] ?? Number.NaN,
  };
  for (const name of new Set(troubles.map((one) => one.name))) {
    const of = troubles.filter((one) => one.name === name);
    beside[name.replaceAll(' ', '_')] = (100 * of.filter((one) => hitOf(one).found).length) / of.length;
  }
  return { value: (100 * found.length) / faults.length, beside };
}

const zScore = (limit: (typeof zLimits)[number]): Contestant => {
  const at = zLimits.indexOf(limit);
  return {
    what: `mean and standard deviation of each series and hour, an alarm from ${limit} on`,
    run: async () =>
      figure(
        (one) => one.z[at] as Hit,
        (one) => one.zAlarms[at] ?? 0,
      ),
  };
};

const battery = new Map<string, { empty: ForecastScore; morning: ForecastScore }>();
/** Forecasts of all seeds and plants, weighed by how many there were. */
function forecasts(which: 'empty' | 'morning', column: 'own' | 'present' | 'yesterday'): Figure {
  let [sum, hits, count] = [0, 0, 0];
  const beside: Record<string, number> = {};
  for (const [name, plant] of Object.entries(forecastPlants)) {
    let [own, of] = [0, 0];
    for (const seed of seeds) {
      const key = `${seed} ${name}`;
      const one = battery.get(key) ?? evaluateForecasts(seed, plant);
      battery.set(key, one);
      const score = one[which];
      own += score[column] * score.count;
      hits += score.hits * score.count;
      of += score.count;
    }
    sum += own;
    count += of;
    if (of > 0) beside[name.replaceAll(' ', '_')] = own / of;
  }
  return {
    value: sum / count,
    beside: { ...beside, forecasts: count, ...(column === 'own' ? { interval_holds_pct: (100 * hits) / count } : {}) },
  };
}

export const benches: readonly Bench[] = [
  {
    id: 'insight.anomaly.recall',
    unit: '% of faults found in time',
    what: 'Injected faults that the detector finds in time, and its false alarms, over a clean month and a day of each fault per seed.',
    own: {
      what: 'the detector of the gateway on windows of 15 minutes',
      run: async () =>
        figure(
          (one) => one.own,
          (one) => one.ownAlarms,
        ),
    },
    peers: Object.fromEntries(zLimits.map((limit) => [`z-score ${limit}`, zScore(limit)])),
  },
  {
    id: 'insight.battery.empty_error',
    unit: 'h',
    what: 'Mean error of the forecast of when the battery is empty, over the nights on which it was or was said to be.',
    own: { what: 'the forecast of the gateway', run: async () => forecasts('empty', 'own') },
    peers: {
      'charge by current': {
        what: 'charge over the floor divided by the present power',
        run: async () => forecasts('empty', 'present'),
      },
      'as yesterday': { what: 'the same time as a day ago', run: async () => forecasts('empty', 'yesterday') },
    },
  },
  {
    id: 'insight.battery.morning_error',
    unit: 'points of charge',
    what: 'Mean error of the charge forecast for the next 6 o’clock, made each hour of the day before.',
    own: { what: 'the forecast of the gateway', run: async () => forecasts('morning', 'own') },
    peers: {
      'charge by current': { what: 'the present power goes on', run: async () => forecasts('morning', 'present') },
      'as yesterday': { what: 'the charge at the last 6 o’clock', run: async () => forecasts('morning', 'yesterday') },
    },
  },
];
