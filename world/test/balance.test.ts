/**
 * The energy balance names the lying meter: faults of every kind on every channel of the reference village and of sites
 * with other physics, and clean days that must stay without blame. `npm run soak` prints the whole table.
 */
import { diagnoseBalance, needsWholeDay, type BalanceDiagnosis, type MeterChannel } from '@villagrid/contracts';
import t from 'tap';
import {
  change,
  dayOf,
  exchange,
  minutesPerDay,
  otherDays,
  referenceDays,
  seeded,
  usualMeters,
  type Injection,
  type MeteredSite,
  type OtherSite,
} from './balance-sites.js';

const full = process.env.VILLAGRID_SOAK === 'full';
const seed = Number(process.env.SEED ?? 20261128);
t.setTimeout(full ? 0 : 90_000);

const atSun = ['generation_kw', 'generation_energy_kwh'];
const atLoad = ['consumption_kw', 'consumption_energy_kwh'];
const atBattery = [
  'battery_power_kw',
  'battery_charge_energy_kwh',
  'battery_discharge_energy_kwh',
  'battery_soc_pct',
  'dc_bus_voltage_v',
  'dc_bus_current_a',
];
const everything = [...atSun, ...atLoad, ...atBattery];
const plain: OtherSite = {
  name: 'lead battery, 8 % loss',
  pvKwp: 20,
  batteryKwh: 80,
  volts: 48,
  loadScale: 0.4,
  oneWay: 0.9,
  inverterLoss: 0.08,
  standingKw: 0.1,
  gensetKw: 0,
  mainsKw: 0,
  metrics: everything,
};
const otherSites: readonly OtherSite[] = [
  plain,
  {
    ...plain,
    name: 'generator, 96 V',
    pvKwp: 25,
    batteryKwh: 60,
    volts: 96,
    loadScale: 0.8,
    oneWay: 0.95,
    inverterLoss: 0.05,
    gensetKw: 12,
    metrics: [...everything, 'genset_power_kw'],
  },
  {
    ...plain,
    name: 'weak mains',
    pvKwp: 15,
    batteryKwh: 40,
    loadScale: 0.5,
    oneWay: 0.97,
    inverterLoss: 0.04,
    mainsKw: 6,
    metrics: [...everything, 'mains_power_kw', 'mains_import_energy_kwh'],
  },
  {
    ...plain,
    name: 'tiny, 24 V',
    pvKwp: 3,
    batteryKwh: 10,
    volts: 24,
    loadScale: 0.06,
    inverterLoss: 0.07,
    standingKw: 0.03,
  },
  {
    ...plain,
    name: '400 V, 2 % loss',
    pvKwp: 60,
    batteryKwh: 200,
    volts: 400,
    loadScale: 1.4,
    oneWay: 0.98,
    inverterLoss: 0.02,
  },
];

interface Case {
  readonly kind: string;
  /** Channels of which one must be named. */
  readonly ids: readonly string[];
  readonly injection: Injection;
}

const sizeOf = (values: Float64Array) => {
  const known = values.filter((one) => !Number.isNaN(one));
  return Math.sqrt(known.reduce((sum, one) => sum + one * one, 0) / Math.max(1, known.length));
};

/** The faults of one channel of a day. Sizes are drawn at 20 % and beyond. */
function faultsOf(site: MeteredSite, channel: MeterChannel, first: number, random: () => number): Case[] {
  const { id, measure } = channel;
  const day = (site.minutes.get(id) as Float64Array).slice(first, first + minutesPerDay);
  const start = day.find((one) => !Number.isNaN(one)) ?? 0;
  let since = Math.floor(60 + random() * 300);
  while (Number.isNaN(day[since] as number)) since += 1;
  const counter = measure === 'counter';
  const size = sizeOf(day);
  const draw = (from: number, to: number) => from + random() * (to - from);
  const ids = [id];
  const made: Case[] = [];
  const add = (kind: string, injection: Injection) => made.push({ kind, ids, injection });
  add(
    'flipped',
    change(id, (value) => (measure === 'charge' ? 100 - value : -value)),
  );
  for (const factor of [10, 0.1, 1000, 0.001])
    add(
      `factor ${factor}`,
      change(id, (value) => value * factor),
    );
  add(
    'stuck',
    change(id, () => day[since] as number, 0),
  );
  add(
    'stuck later',
    change(id, (value, at) => (at < since ? value : (day[since] as number))),
  );
  for (const sign of [1, -1]) {
    const grown = sign > 0 ? draw(1.2, 2) : 1 / draw(1.25, 2);
    add(
      sign > 0 ? 'gain up' : 'gain down',
      change(id, (value) => start * (counter ? 1 : 0) + (value - start * (counter ? 1 : 0)) * grown),
    );
    if (!counter && measure !== 'charge') {
      const offset = sign * draw(0.2, 0.8) * size;
      add(
        sign > 0 ? 'offset up' : 'offset down',
        change(id, (value) => value + offset),
      );
    }
    const growth = sign > 0 ? draw(0.3, 0.8) : -draw(0.3, 0.6);
    let [last, level] = [start, start];
    add(
      sign > 0 ? 'drift up' : 'drift down',
      change(id, (value, at) => {
        const factor = 1 + (growth * at) / minutesPerDay;
        if (!counter) return value * factor;
        if (at < 5) [last, level] = [start, start];
        level += (value - last) * factor;
        last = value;
        return level;
      }),
    );
  }
  return made;
}

/** Faults of a sensor that feeds several series, and swaps. */
function sharedFaults(site: MeteredSite): Case[] {
  const made: Case[] = [];
  const has = (id: string) => site.minutes.has(id);
  const all =
    (...some: readonly Injection[]): Injection =>
    (minutes) =>
      some.reduce((done, one) => one(done), minutes);
  for (const power of site.channels.filter((one) => one.measure === 'power')) {
    const along = site.channels.filter(
      (one) =>
        one.deviceId === power.deviceId && one.flow === power.flow && ['counter', 'current'].includes(one.measure),
    );
    if (along.length === 0) continue;
    const ids = [power, ...along].map((one) => one.id);
    const times = (factor: number) => all(...ids.map((id) => change(id, (value) => value * factor)));
    made.push({ kind: 'shared factor 10', ids, injection: times(10) });
    const counters = along.filter((one) => one.measure === 'counter').map((one) => one.id);
    const [into, outOf] = counters;
    if (power.flow === 'battery' && into !== undefined && outOf !== undefined)
      made.push({
        kind: 'shared flipped',
        ids,
        injection: all(
          exchange(into, outOf),
          ...ids.filter((id) => !counters.includes(id)).map((id) => change(id, (value) => -value)),
        ),
      });
  }
  const powers = site.channels.filter(
    (one) => one.measure === 'power' && one.flow !== 'genset' && one.flow !== 'mains',
  );
  // Two inverters under one sun show the same: a swap of them changes nothing.
  for (const [index, left] of powers.entries())
    for (const right of powers.slice(index + 1))
      if (left.flow !== right.flow)
        made.push({ kind: 'swapped', ids: [left.id, right.id], injection: exchange(left.id, right.id) });
  const [volts, amps] = ['voltage', 'current'].map((measure) =>
    site.channels.find((one) => one.measure === measure && !one.second),
  );
  if (volts && amps && volts.deviceId === amps.deviceId && site.channels.some((one) => one.second))
    made.push({ kind: 'swapped', ids: [volts.id, amps.id], injection: exchange(volts.id, amps.id) });
  return made.filter(({ ids }) => ids.every(has));
}

type Verdict = 'named' | 'ambiguous' | 'wrong' | 'silent' | 'unexplained';

function verdictOf({ state, faults }: BalanceDiagnosis, ids: readonly string[]): Verdict {
  const hits = faults.some(({ channel, along, other }) =>
    [channel, ...along, ...(other ? [other] : [])].some((one) => ids.includes(one.id)),
  );
  if (state === 'right' || state === 'unknown') return 'silent';
  if (state === 'unexplained') return 'unexplained';
  if (!hits) return 'wrong';
  return state === 'named' ? 'named' : 'ambiguous';
}

/** Counts verdicts by kind and metric. */
class Table {
  readonly rows = new Map<string, Record<Verdict, number>>();
  readonly notes: string[] = [];

  add(name: string, verdict: Verdict, note: string): void {
    const row = this.rows.get(name) ?? { named: 0, ambiguous: 0, wrong: 0, silent: 0, unexplained: 0 };
    row[verdict] += 1;
    this.rows.set(name, row);
    if (verdict !== 'named') this.notes.push(`${verdict}: ${note}`);
  }
  total(verdict: Verdict): number {
    return [...this.rows.values()].reduce((sum, row) => sum + row[verdict], 0);
  }
  print(title: string): void {
    const lines = [...this.rows]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(
        ([name, row]) =>
          `${name.padEnd(52)} ${String(row.named).padStart(5)} ${String(row.ambiguous).padStart(9)} ${String(row.wrong).padStart(5)} ${String(row.silent).padStart(6)} ${String(row.unexplained).padStart(11)}`,
      );
    process.stdout.write(`\n${title.padEnd(52)} named ambiguous wrong silent unexplained\n${lines.join('\n')}\n`);
  }
}

const said = ({ state, faults, relations }: BalanceDiagnosis) =>
  `${state} ${faults.map((one) => `${one.kind} ${one.channel.id}${one.size === undefined ? '' : ` ${one.size.toPrecision(3)}`}`).join(' | ')} [${relations
    .filter((one) => !one.holds)
    .map((one) => one.id)
    .join(', ')}]`;

function judge(table: Table, site: MeteredSite, day: number, cases: readonly Case[], label: string): void {
  for (const { kind, ids, injection } of cases) {
    const result = diagnoseBalance(dayOf(site, day * minutesPerDay, injection));
    const metric = (ids[0] as string).split('/')[1];
    table.add(
      `${kind.padEnd(18)} ${metric}`,
      verdictOf(result, ids),
      `${label} day ${day} ${kind} ${ids[0]}: ${said(result)}`,
    );
  }
}

const everyFault = (site: MeteredSite, day: number, random: () => number): Case[] => [
  ...site.channels.flatMap((channel) => faultsOf(site, channel, day * minutesPerDay, random)),
  ...sharedFaults(site),
];

t.test('each kind of fault on each meter of the reference village is named within a day', async (t) => {
  const table = new Table();
  const seeds = full ? 10 : 1;
  const days = full ? 2 : 1;
  for (let one = 0; one < seeds; one += 1) {
    const site = referenceDays(seed + one, days);
    const random = seeded(seed + one);
    for (let day = 0; day < days; day += 1)
      judge(table, site, day, everyFault(site, day, random), `seed ${seed + one}`);
  }
  if (full) table.print('reference village: kind and channel');
  for (const note of table.notes) t.comment(note);
  t.equal(table.total('wrong'), 0, 'no other meter is blamed');
  const asked = [...table.rows.values()].reduce(
    (sum, row) => sum + row.named + row.ambiguous + row.wrong + row.silent + row.unexplained,
    0,
  );
  t.ok(table.total('named') >= 0.97 * asked, `${table.total('named')} of ${asked} named`);
});

t.test('sites with other losses, batteries, a generator or weak mains: nobody is blamed wrongly', async (t) => {
  const table = new Table();
  for (const [index, of] of (full ? otherSites : otherSites.slice(1, 2)).entries())
    for (let one = 0; one < (full ? 4 : 1); one += 1) {
      const site = otherDays(of, seed + one + 100 * index, 1);
      const random = seeded(seed + one);
      const cases = everyFault(site, 0, random);
      judge(table, site, 0, full ? cases : cases.filter((_, i) => i % 2 === one % 2), of.name);
    }
  if (full) table.print('other sites: kind and channel');
  for (const note of table.notes) t.comment(note);
  const asked = [...table.rows.values()].reduce(
    (sum, row) => sum + row.named + row.ambiguous + row.wrong + row.silent + row.unexplained,
    0,
  );
  t.ok(table.total('wrong') <= 0.01 * asked, `${table.total('wrong')} of ${asked} wrong`);
  t.ok(
    table.total('named') + table.total('ambiguous') >= 0.9 * asked,
    `${table.total('named')} named, ${table.total('ambiguous')} ambiguous of ${asked}`,
  );
});

t.test('while a fault is younger than a day, no other meter is blamed for as long as an alert takes', async (t) => {
  /** Equal findings, an hour apart, that raise an alert. */
  const confirmations = 3;
  let asked = 0;
  for (let one = 0; one < (full ? 4 : 1); one += 1) {
    const site = referenceDays(seed + 3000 + one, 3);
    const random = seeded(seed + one);
    for (const channel of site.channels) {
      const { id, measure } = channel;
      const since = minutesPerDay + Math.floor(random() * 1200);
      const kinds: Readonly<Record<string, (value: number) => number>> = {
        flipped: (value) => (measure === 'charge' ? 100 - value : -value),
        'ten times': (value) => value * 10,
        'a third less': (value) => value * 0.66,
      };
      for (const [kind, to] of Object.entries(kinds).filter(
        (_, i) => full || i === site.channels.indexOf(channel) % 3,
      )) {
        const faulty = { ...site, minutes: change(id, to, since)(site.minutes) };
        let [before, inARow] = ['', 0];
        for (let hour = 1; hour <= 24; hour += full ? 1 : 2) {
          const untilMinute = Math.ceil(since / 15) * 15 + hour * 60;
          if (untilMinute > 3 * minutesPerDay) break;
          const result = diagnoseBalance(dayOf(faulty, untilMinute - minutesPerDay));
          asked += 1;
          const blamed = result.faults.length > 0 && !needsWholeDay(result) ? said(result).split(' [')[0] : '';
          const key = result.faults.map((fault) => `${fault.kind} ${fault.channel.id}`).join();
          inARow = blamed !== '' && key === before ? inARow + 1 : 1;
          before = key;
          if (blamed !== '' && inARow >= confirmations && verdictOf(result, [id]) === 'wrong')
            t.fail(`seed ${seed + 3000 + one}, ${kind} ${id} since ${hour} h: ${blamed}`);
        }
      }
    }
  }
  t.pass(`${asked} days with a fault that began within`);
});

t.test('clean days blame nobody', async (t) => {
  const seeds = 10;
  const days = full ? 30 : 2;
  const hoursApart = full ? 6 : 24;
  let judged = 0;
  for (let one = 0; one < seeds; one += 1) {
    const site = referenceDays(seed + 1000 + one, days, { ...usualMeters, lostWindows: 0.01 * (one % 6) });
    for (let minute = 0; minute + minutesPerDay <= days * minutesPerDay; minute += hoursApart * 60) {
      const result = diagnoseBalance(dayOf(site, minute));
      judged += 1;
      if (result.state !== 'right') t.fail(`seed ${seed + 1000 + one}, minute ${minute}: ${said(result)}`);
    }
  }
  for (const of of full ? otherSites : [])
    for (let one = 0; one < 4; one += 1) {
      const site = otherDays(of, seed + 2000 + one, 8, { gainPct: 2, noisePct: 1, lostWindows: 0.02 });
      for (let minute = 0; minute + minutesPerDay <= 8 * minutesPerDay; minute += 360) {
        const result = diagnoseBalance(dayOf(site, minute));
        judged += 1;
        if (result.state !== 'right')
          t.fail(`${of.name}, seed ${seed + 2000 + one}, minute ${minute}: ${said(result)}`);
      }
    }
  t.pass(`${judged} clean days judged`);
});
