import fc from 'fast-check';
import t from 'tap';
import {
  Backtest,
  changedRule,
  comparisonSentence,
  countsSentence,
  createRuleEngine,
  defaultLimits,
  defaultRules,
  describeRule,
  durationText,
  emptyColumns,
  matchOccurrences,
  measuredSentence,
  ruleLimits,
  sampleColumns,
  samplesOfWindows,
  Tally,
  type Occurrence,
  type Rule,
  type SeriesSamples,
  type Site,
} from '@villagrid/contracts';
import { holds, same } from './property.js';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
/** Midnight in Nairobi, three hours ahead of UTC. */
const start = Date.UTC(2026, 2, 1) - 3 * hour;
const zone = 'Africa/Nairobi';
const device = (device_id: string) => ({
  device_id,
  name: device_id,
  kind: 'other' as const,
  protocol: 'mqtt' as const,
  period_s: 5,
  expected: true,
});
const wire = (device_id: string, metric: string) => ({ terms: [{ device_id, metric, factor: 1 }] });
const site: Site = {
  grid_id: 'g',
  gateway_id: 'gw',
  name: 'Village',
  zone,
  plant: { battery_floor_pct: 20, has_genset: false, has_mains: false },
  devices: [device('battery'), device('panel'), device('sky')],
  wiring: {
    battery_soc_pct: wire('battery', 'battery_soc_pct'),
    generation_kw: wire('panel', 'generation_kw'),
    irradiance_w_m2: wire('sky', 'irradiance_w_m2'),
  },
};
const metrics: Readonly<Record<string, readonly string[]>> = {
  battery: ['battery_soc_pct', 'equipment_temp_c'],
  panel: ['generation_kw'],
  sky: ['irradiance_w_m2'],
};
const metricsOf = (deviceId: string) => metrics[deviceId] ?? [];
const ruleOf = (id: string): Rule => {
  const rule = defaultRules(defaultLimits()).find((one) => one.id === id);
  if (!rule) throw new Error(id);
  return rule;
};
type Point = readonly [second: number, value: number | null, quality?: number];
const series = (deviceId: string, metric: string, points: readonly Point[]): SeriesSamples => ({
  deviceId,
  metric,
  ...sampleColumns(
    points.map(([second]) => start + second * 1000),
    points.map(([, value]) => value),
    points.map(([, , quality]) => quality ?? 0),
  ),
});
/** Plays one slice to variants of a rule. */
function played(rules: readonly Rule[], slice: readonly SeriesSamples[], toMs: number, leadMs = 0) {
  const variants = rules.map((rule, index) => ({ name: `v${index}`, rule }));
  const test = new Backtest({ variants, site, metricsOf, fromMs: start + leadMs, toMs, leadMs });
  const order = ({ deviceId }: SeriesSamples) => site.devices.findIndex((one) => one.device_id === deviceId);
  for (const _ of test.play(
    [...slice].sort((a, b) => order(a) - order(b)),
    toMs,
  ));
  return test.results();
}
const stretches = (found: readonly Occurrence[]) =>
  found.map(({ raisedMs, clearedMs }) => [
    (raisedMs - start) / 1000,
    clearedMs === null ? null : (clearedMs - start) / 1000,
  ]);

t.test('a back-test gives when a rule is raised and cleared, and what another limit would have given', async (t) => {
  const low = ruleOf('low_battery');
  const points = Array.from({ length: 720 }, (_, at): Point => [at * 5, at > 100 && at < 200 ? 28 : 40]);
  const [asIs, lower] = played(
    [low, changedRule(low, { 'parameters.below': 25 })],
    [series('battery', 'battery_soc_pct', points)],
    start + hour,
  );
  // Below from second 505 on for a minute; back from 1000 on for two.
  t.same(stretches(asIs?.occurrences ?? []), [[565, 1120]]);
  t.match(asIs?.occurrences[0], { value: 28, limit: 30, deviceId: null, metric: 'battery_soc_pct' });
  t.match(asIs?.counts, { count: 1, atNight: 1, longestMs: 555_000, openAtEnd: 0 });
  t.equal(lower?.counts.count, 0);
});

t.test('a back-test tells how much of its stretch was measured', async (t) => {
  const low = ruleOf('low_battery');
  const measuredOf = (slices: ReadonlyArray<readonly Point[]>) => {
    const [fromMs, toMs] = [start, start + 30 * day];
    const test = new Backtest({ variants: [{ name: 'v', rule: low }], site, metricsOf, fromMs, toMs, leadMs: hour });
    for (const points of slices) for (const _ of test.play([series('battery', 'battery_soc_pct', points)], toMs));
    const sentence = measuredSentence(test.measured, toMs - fromMs);
    return [
      test.measured.fromMs === null ? null : (test.measured.fromMs - start) / 1000,
      test.measured.totalMs,
      sentence,
    ];
  };
  const every = (fromS: number, toS: number, stepS: number, quality = 0): Point[] =>
    Array.from({ length: (toS - fromS) / stepS + 1 }, (_, at) => [fromS + at * stepS, 40, quality]);
  const end = 30 * 86_400;
  t.same(measuredOf([every(end - 120, end, 5)]), [
    end - 120,
    2 * minute,
    'Only 2 minutes of these 30 days were measured.',
  ]);
  // Two hours, one of them in the next slice; then an outage; before the stretch nothing counts, bad values neither.
  const parts = [
    [...every(-1800, 3600, 60)],
    [...every(3660, 7200, 60), ...every(9000, 9600, 60, 64), ...every(20_000, 20_600, 60)],
  ];
  t.same(measuredOf(parts), [0, 2 * hour + 10 * minute, 'Only 2 h 10 min of these 30 days were measured.']);
  t.same(measuredOf([every(0, end, 300)]), [0, 30 * day, null]);
  t.same(measuredOf([[]]), [null, 0, 'Nothing that this rule watches was measured in this time.']);
});

t.test('samples of bad quality never raise, and make a figure unknown', async (t) => {
  const low = changedRule(ruleOf('low_battery'), { 'parameters.on_delay_ms': 0 });
  const bad: Point[] = [
    [0, 50],
    [5, 10, 64],
    [10, null, 66],
    [15, 50],
  ];
  t.same(played([low], [series('battery', 'battery_soc_pct', bad)], start + hour)[0]?.occurrences, []);
});

t.test('silence is raised when it has lasted, and what stood before the stretch is told apart', async (t) => {
  const silent = changedRule(ruleOf('device_silent'), { 'parameters.silent_for_ms': 10 * minute });
  const [found] = played(
    [{ ...silent, selector: { scope: 'device', device_id: 'sky' } }],
    [
      series('sky', 'irradiance_w_m2', [
        [0, 1],
        [2 * 3600 + 1, 1],
        [2 * 3600 + 900, 2],
      ]),
    ],
    start + 3 * hour,
    hour,
  );
  t.same(stretches(found?.occurrences ?? []), [
    [600, 7201],
    [7801, 8100],
    [8700, null],
  ]);
  t.match(found?.counts, { count: 2, standingAtStart: 1, openAtEnd: 1 });
});

t.test('a back-test is the live engine fed one by one, whatever comes', async (t) => {
  const rules = ['low_battery', 'high_equipment_temperature', 'low_generation', 'device_silent'].map(ruleOf);
  const second = fc.integer({ min: 0, max: 5400 });
  const columnOf = (low: number, high: number) =>
    fc.uniqueArray(
      fc.record({
        second,
        value: fc.oneof(
          { weight: 9, arbitrary: fc.integer({ min: low, max: high }) },
          { weight: 1, arbitrary: fc.constant(null) },
        ),
        quality: fc.constantFrom(0, 0, 0, 1, 64),
      }),
      { selector: (one) => one.second, maxLength: 60 },
    );
  const village = fc.record({
    soc: columnOf(5, 60),
    hot: columnOf(40, 80),
    made: columnOf(0, 10),
    sun: columnOf(300, 900),
    cuts: fc.array(second, { maxLength: 3 }),
  });
  holds(
    t,
    'raised and cleared alike',
    fc.property(village, ({ soc, hot, made, sun, cuts }) => {
      const column = (list: typeof soc): Point[] =>
        [...list].sort((a, b) => a.second - b.second).map(({ second: at, value, quality }) => [at, value, quality]);
      const all = [
        series('battery', 'battery_soc_pct', column(soc)),
        series('battery', 'equipment_temp_c', column(hot)),
        series('panel', 'generation_kw', column(made)),
        series('sky', 'irradiance_w_m2', column(sun)),
      ];
      const ends = [...new Set([...cuts, 5401])].sort((a, b) => a - b);
      for (const rule of rules) {
        const test = new Backtest({
          variants: [{ name: 'a', rule }],
          site,
          metricsOf,
          fromMs: start,
          toMs: start + 2 * hour,
          leadMs: 0,
        });
        for (const [index, end] of ends.entries()) {
          const [fromMs, toMs] = [start + (index === 0 ? 0 : (ends[index - 1] as number)) * 1000, start + end * 1000];
          const part = all.map((one) => {
            const keep = [...one.times.keys()].filter(
              (at) => (one.times[at] as number) >= fromMs && (one.times[at] as number) < toMs,
            );
            return {
              ...one,
              times: Float64Array.from(keep, (at) => one.times[at] as number),
              values: Float64Array.from(keep, (at) => one.values[at] as number),
              qualities: Uint8Array.from(keep, (at) => one.qualities[at] as number),
            };
          });
          for (const _ of test.play(part, toMs));
        }
        const found = test.results()[0]?.occurrences ?? [];
        if (!same(stretches(found).sort(), stretches(byHand(rule, all, start + 2 * hour)).sort())) return false;
      }
      return true;
    }),
    40,
  );
});

/** The same with the engine alone: every sample, then the figure it is, ticks in between. */
function byHand(rule: Rule, all: readonly SeriesSamples[], toMs: number): Occurrence[] {
  const engine = createRuleEngine({
    rules: [rule],
    devices: site.devices.map((one) => one.device_id),
    context: { figure: () => undefined },
  });
  const open = new Map<string, Occurrence>();
  const done: Occurrence[] = [];
  const take = (found: ReturnType<typeof engine.onTick>) => {
    for (const { subject, deviceId, metric, transition } of found) {
      if (transition.type === 'raise')
        open.set(subject, { deviceId, metric, raisedMs: transition.atMs, clearedMs: null, value: null, limit: null });
      else {
        done.push({ ...(open.get(subject) as Occurrence), clearedMs: transition.atMs });
        open.delete(subject);
      }
    }
  };
  const firstMs = Math.min(...all.flatMap(({ times }) => [...times]));
  const moments = new Set(all.flatMap(({ times }) => [...times]));
  for (let timeMs = start; timeMs <= toMs; timeMs += 5000) moments.add(timeMs);
  for (const timeMs of [...moments].sort((a, b) => a - b)) {
    // Nobody watches before anything is heard.
    if ((timeMs - start) % 5000 === 0 && timeMs >= firstMs) take(engine.onTick(timeMs));
    const told = all.map((one) => ({ ...one, at: one.times.indexOf(timeMs) })).filter((one) => one.at >= 0);
    for (const deviceId of new Set(told.map((one) => one.deviceId))) {
      const said = told
        .filter((one) => one.deviceId === deviceId)
        .map(({ metric, values, qualities, at }) => {
          const value = values[at] as number;
          return { metric, value: Number.isNaN(value) || (qualities[at] as number) >= 64 ? null : value };
        });
      for (const { metric, value } of said)
        if (value !== null) take(engine.onSeriesSample({ deviceId, metric, timeMs, value }));
      take(engine.onFigures(said.filter(({ metric }) => site.wiring[metric]).map((one) => ({ ...one, timeMs }))));
    }
  }
  return [...done, ...open.values()];
}

t.test(
  'where samples are gone, windows stand for them: a delay within a window passes, what is shorter is not seen',
  async (t) => {
    const windows = emptyColumns();
    for (let at = 0; at < 8; at += 1) {
      windows.t.push(start + at * 15 * minute);
      windows.mean.push(at === 2 || at === 3 ? 20 : 50);
      windows.min.push(5);
      windows.max.push(60);
      windows.last.push(1);
      windows.count.push(180);
    }
    const columns = samplesOfWindows('battery_soc_pct', windows, '15m');
    t.equal(columns.times[5], start + 45 * minute - 1);
    const [found] = played(
      [ruleOf('low_battery')],
      [{ deviceId: 'battery', metric: 'battery_soc_pct', ...columns }],
      start + 2 * hour,
    );
    t.same(stretches(found?.occurrences ?? []), [[2699.999, 3720]]);
  },
);

t.test('occurrences are counted by local day, night, device and duration within the stretch', async (t) => {
  const tally = new Tally({ fromMs: start, toMs: start + 3 * day, zone });
  const add = (fromH: number, toH: number | null, deviceId: string | null = 'a') =>
    tally.add({
      deviceId,
      metric: null,
      raisedMs: start + fromH * hour,
      clearedMs: toH === null ? null : start + toH * hour,
      value: null,
      limit: null,
    });
  t.equal(add(-3, -1), false, 'it ended before');
  add(-2, 1);
  add(5.99, 6.5);
  add(6, 7, 'b');
  add(21.99, 22);
  add(46, 50);
  add(71, null);
  t.equal(add(72, null), false, 'it begins after');
  const counts = tally.counts();
  t.match(counts, { count: 5, atNight: 3, standingAtStart: 1, openAtEnd: 1, longestMs: 4 * hour });
  t.same(
    counts.days,
    [0, 1, 2].map((at) => ({ startMs: start + at * day, count: [3, 1, 1][at] })),
  );
  t.same(
    counts.devices.map((one) => [one.deviceId, one.count]),
    [
      ['a', 4],
      ['b', 1],
    ],
  );
});

t.test('what rang and what would have rung are paired where they overlap', async (t) => {
  const one = (fromMin: number, toMin: number | null, deviceId = 'a'): Occurrence => ({
    deviceId,
    metric: 'm',
    raisedMs: start + fromMin * minute,
    clearedMs: toMin === null ? null : start + toMin * minute,
    value: null,
    limit: null,
  });
  const first = [one(0, 5), one(10, 20), one(50, null), one(0, 5, 'b')];
  const second = [one(1, 4), one(30, 40), one(60, null)];
  t.same(matchOccurrences(first, second, 1000), { both: 2, onlyFirst: 2, onlySecond: 1 });
});

t.test('a limit of a rule is changed by its path; anything else is refused with its place', async (t) => {
  const low = ruleOf('low_generation');
  t.match(changedRule(low, { 'parameters.all.0.below': 3, 'parameters.on_delay_ms': 0 }).parameters, {
    all: [{ below: 3 }, { above: 500 }],
    on_delay_ms: 0,
  });
  t.match(low.parameters, { on_delay_ms: 600_000 }, 'the rule itself stays');
  const refusals: readonly (readonly [string, unknown, RegExp])[] = [
    ['severity', 'low', /severity cannot be changed/],
    ['parameters.all.7.below', 3, /has no parameters\.all\.7\.below/],
    ['parameters.all.2', 3, /has no parameters\.all\.2/],
    ['parameters.__proto__.x', 3, /has no/],
    ['parameters.belwo', 3, /no parameter parameters\.belwo; there are all, unless/],
    ['parameters.all.0.belwo', 3, /no parameter parameters\.all\.0\.belwo; there are metric/],
    ['parameters.on_delay_ms', -1, /on_delay_ms/],
    ['parameters.all', null, /all/],
  ];
  for (const [path, value, detail] of refusals)
    t.throws(() => changedRule(low, { [path]: value as number }), { code: 'E_REQUEST_INVALID', detail }, path);
  t.match(
    ruleLimits(low).map(({ path, value, unit }) => [path, value, unit]),
    [
      ['parameters.all.0.below', 7, 'kW'],
      ['parameters.all.1.above', 500, 'W/m²'],
      ['parameters.unless.0.above', 95, '%'],
      ['parameters.max_age_ms', 120_000, 'ms'],
      ['parameters.on_delay_ms', 600_000, 'ms'],
      ['parameters.off_delay_ms', 300_000, 'ms'],
    ],
  );
  t.match(describeRule(ruleOf('low_battery')), /below 30 %/);
  t.match(describeRule(low), /below 7 kW while [a-z ]+ above 500 W\/m², unless .*above 95 %/, 'no ids of metrics');
});

t.test('what was found is said in plain sentences', async (t) => {
  const counts = (count: number, atNight: number, longestMs = 0, standingAtStart = 0) => ({
    count,
    atNight,
    standingAtStart,
    openAtEnd: 0,
    longestMs,
    totalMs: longestMs,
    days: [],
    devices: [],
  });
  t.equal(
    countsSentence(counts(14, 5, 200 * minute)),
    'It would have been raised 14 times, 5 of them at night; the longest lasted 3 h 20 min.',
  );
  t.equal(countsSentence(counts(0, 0, 0, 1)), 'It would not have been raised. It stood already at the beginning.');
  t.equal(
    comparisonSentence('25 %', counts(3, 1), counts(14, 5)),
    'With 25 % it would have been 3 times instead of 14, at night 1 instead of 5.',
  );
  t.same([40_000, 12 * minute, 3 * hour, 52 * hour].map(durationText), ['40 s', '12 min', '3 h', '2 days 4 h']);
});
