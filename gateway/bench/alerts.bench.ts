/** What people are told of: faults of the reference village, how soon and by what name, and how often nothing was wrong. */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { Bench } from '@villagrid/tools/bench';
import { faultsOf, liveThrough, type FaultResult } from './village-faults.js';
import { watchVillage, type Ended } from './watched-village.js';

/** Seeds that figures are taken from: none that rules were tuned with. `VILLAGRID_ALERT_SEEDS=3001,3002` takes others. */
const seeds = (process.env.VILLAGRID_ALERT_SEEDS ?? '2001,2002,2003,2004,2005,2006,2007,2008,2009,2010')
  .split(',')
  .map(Number);

const dayMs = 86_400_000;
/** The village's local midnight. */
const firstMs = Date.UTC(2026, 4, 1) - 3 * 3_600_000;
const learnDays = 8;
const cleanDays = 30;
/** The most that may ring in a week without anything wrong. */
const mostPerWeek = 2;

const learnt = new Map<number, Ended>();

/** A village after its first days; the same for both benches. */
async function villageOf(seed: number, folder: string): Promise<Ended> {
  const known = learnt.get(seed);
  if (known !== undefined) return known;
  const village = watchVillage({ folder: mkdtempSync(join(folder, 'learning-')), seed, startMs: firstMs });
  await village.live(firstMs + learnDays * dayMs, 120_000);
  const ended = await village.end();
  learnt.set(seed, ended);
  return ended;
}

const key = (name: string): string =>
  name
    .replace(/[^a-z0-9 ]/g, '')
    .trim()
    .replaceAll(' ', '_');

/** Figures of one kind of fault: told in time, named right, minutes, and how many were told beside it. */
function figuresOf(name: string, results: readonly FaultResult[]): Record<string, number> {
  const all = results.filter(({ fault }) => fault.name === name);
  const of = all.some(isCounted) ? all.filter(isCounted) : all;
  const minutes = of.flatMap((one) => (one.minutes === undefined ? [] : [one.minutes])).sort((a, b) => a - b);
  const others = of.reduce((sum, one) => sum + one.others.length, 0) / of.length;
  const [first] = of;
  if (first?.fault.withinMinutes === undefined) return { [`${key(name)}_alerts`]: others };
  return {
    [key(name)]: of.length,
    [`${key(name)}_in_time`]: of.filter(isInTime).length,
    [`${key(name)}_named`]: of.filter((one) => one.isNamed).length,
    [`${key(name)}_median_min`]: minutes[minutes.length >> 1] ?? Number.NaN,
    [`${key(name)}_worst_min`]: minutes.length < of.length ? Number.POSITIVE_INFINITY : (minutes.at(-1) ?? Number.NaN),
    [`${key(name)}_others`]: others,
  };
}

/** What nobody could have noticed, because what was shown stayed true, is no fault. */
const isCounted = ({ fault, isFelt, minutes }: FaultResult): boolean =>
  fault.withinMinutes !== undefined && (isFelt || minutes !== undefined);
const isInTime = ({ minutes, fault }: FaultResult): boolean =>
  minutes !== undefined && minutes <= (fault.withinMinutes ?? 0);

export const benches: readonly Bench[] = [
  {
    id: 'alerts.faults',
    unit: '% of faults told in time, with the right device',
    what: 'Faults of the reference village told by all default rules within their stated time, one day of each fault per seed.',
    own: {
      what: "the gateway's figures, rules, grouping, balance and insight in virtual time",
      async run({ folder }) {
        const results: FaultResult[] = [];
        for (const seed of seeds) {
          const ended = await villageOf(seed, folder);
          for (const fault of faultsOf('judging', seed, ended.atMs)) {
            const result = await liveThrough({ ended, seed, fault, folder });
            if (process.env.VILLAGRID_ALERT_SHOW !== undefined) show(seed, result);
            results.push(result);
          }
        }
        const faults = results.filter(isCounted);
        const names = [...new Set(results.map(({ fault }) => fault.name))];
        return {
          value: (100 * faults.filter((one) => isInTime(one) && one.isNamed).length) / faults.length,
          beside: Object.assign({}, ...names.map((name) => figuresOf(name, results))) as Record<string, number>,
        };
      },
    },
  },
  {
    id: 'alerts.clean_month',
    unit: 'alerts a week',
    what: 'What rings in the reference village in a month without a fault, all default rules; the worst seed.',
    own: {
      what: "the gateway's figures, rules, grouping, balance and insight in virtual time",
      async run({ folder }) {
        const weekly: number[] = [];
        const byRule: Record<string, number> = {};
        for (const seed of seeds) {
          const ended = await villageOf(seed, folder);
          const village = watchVillage({
            folder: mkdtempSync(join(folder, 'month-')),
            seed,
            startMs: ended.atMs,
            from: ended,
          });
          await village.live(ended.atMs + cleanDays * dayMs, 60_000);
          weekly.push((7 * village.told.length) / cleanDays);
          if (process.env.VILLAGRID_ALERT_SHOW !== undefined)
            process.stderr.write(`${seed}: ${village.told.length} in ${cleanDays} days\n`);
          for (const { ruleId, atMs, what } of village.told) {
            byRule[ruleId] = (byRule[ruleId] ?? 0) + 7 / cleanDays / seeds.length;
            if (process.env.VILLAGRID_ALERT_SHOW !== undefined)
              process.stderr.write(`${seed} ${new Date(atMs).toISOString()} ${ruleId}: ${what}\n`);
          }
          await village.end();
        }
        return {
          value: Math.max(...weekly),
          beside: {
            limit: mostPerWeek,
            mean: weekly.reduce((sum, one) => sum + one, 0) / weekly.length,
            ...byRule,
          },
        };
      },
    },
  },
];

function show(seed: number, { fault, minutes, isNamed, isFelt, others }: FaultResult): void {
  const lines = [
    `${seed} ${fault.name}: ${fault.shape}: ${minutes?.toFixed(1) ?? (isFelt ? 'not told' : 'nothing to be told')}${others[0] === undefined || isNamed ? '' : ', another device first'}`,
    ...others.map(({ atMs, ruleId, what }) => `  ${((atMs - fault.fromMs) / 60_000).toFixed(1)} ${ruleId}: ${what}`),
  ];
  process.stderr.write(`${lines.join('\n')}\n`);
}
