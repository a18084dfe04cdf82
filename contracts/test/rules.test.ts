import fc from 'fast-check';
import t from 'tap';
import { Check } from 'typebox/value';
import {
  alertSubject,
  alertWords,
  checkRule,
  compileFormula,
  createRuleEngine,
  defaultLimits,
  defaultRules,
  flappingRows,
  metricDefinition,
  ruleKinds,
  ruleLanguages,
  ruleSchema,
  ruleTexts,
  shortNumber,
  wordedAs,
  wordedRules,
  type Rule,
  type RuleContext,
  type RuleSample,
  type Transition,
} from '@villagrid/contracts';
import { holds, same } from './property.js';

const start = 1_767_225_600_000;
const noFigures: RuleContext = { figure: () => undefined };

/** Runs one kind over samples `[seconds, value]` and ticks `[seconds]`; gives transitions as `12 raise 61`. */
function play(
  kind: string,
  parameters: object,
  steps: readonly (readonly [number, number] | readonly [number])[],
  context = noFigures,
) {
  const one = ruleKinds[kind];
  if (!one) throw new Error(kind);
  let state: unknown = one.initial();
  const out: string[] = [];
  for (const [second, value] of steps) {
    const timeMs = start + second * 1000;
    const sample: RuleSample = { deviceId: 'd', metric: 'm', timeMs, value: value as number };
    const step =
      value === undefined
        ? one.onTick(parameters as never, state, timeMs, context)
        : one.onSample(parameters as never, state, sample, context);
    state = step.state;
    if (step.transition) {
      const { type, atMs, value: shown } = step.transition;
      out.push(
        [(atMs - start) / 1000, type, shown, ...('limit' in step.transition ? [step.transition.limit] : [])].join(' '),
      );
    }
  }
  return out;
}

t.test('threshold: raises beyond the limit, not at it; clears only when back by the deadband', async (t) => {
  const hot = { above: 60, deadband: 3, on_delay_ms: 0, off_delay_ms: 0 };
  t.same(
    play('threshold', hot, [
      [0, 60],
      [1, 60.01],
      [2, 70],
      [3, 57.01],
      [4, 57],
      [5, 60],
      [6, 61],
    ]),
    ['1 raise 60.01 60', '4 clear 57', '6 raise 61 60'],
  );
  const both = { above: 253, below: 196, deadband: 3, on_delay_ms: 0, off_delay_ms: 0 };
  t.same(
    play('threshold', both, [
      [0, 196],
      [1, 195.9],
      [2, 198.9],
      [3, 199],
      [4, 253.1],
      [5, 195],
      [6, 230],
    ]),
    ['1 raise 195.9 196', '3 clear 199', '4 raise 253.1 253', '6 clear 230'],
  );
});

t.test('threshold: a delay is over when it has lasted exactly so long, and starts anew when interrupted', async (t) => {
  const slow = { above: 14, deadband: 1, on_delay_ms: 60_000, off_delay_ms: 120_000 };
  t.same(
    play('threshold', slow, [
      [0, 15],
      [59.999, 15],
      [60, 15.5],
    ]),
    ['60 raise 15.5 14'],
  );
  t.same(
    play('threshold', slow, [
      [0, 15],
      [59, 14],
      [60, 15],
      [119.999, 15],
      [120, 15],
    ]),
    ['120 raise 15 14'],
  );
  const raised = [
    [0, 15],
    [60, 15],
  ] as const;
  t.same(play('threshold', slow, [...raised, [100, 13], [219.999, 13], [220, 12]]).slice(1), ['220 clear 12']);
  t.same(play('threshold', slow, [...raised, [100, 13], [219, 13.5], [220, 13], [339.9, 13], [340, 13]]).slice(1), [
    '340 clear 13',
  ]);
  t.same(
    play('threshold', slow, [...raised, [100, 13], [99, 99], [220, 13]]).slice(1),
    ['220 clear 13'],
    'a late sample does not disturb',
  );
  t.same(play('threshold', slow, [[0, 15], [1000]]), [], 'time alone raises nothing');
});

t.test(
  'what was over at the last sample ends after the delay without a further one, but nothing begins so',
  async (t) => {
    const p = { above: 60, deadband: 3, on_delay_ms: 0, off_delay_ms: 60_000 };
    t.same(play('threshold', p, [[0, 75], [5, 40], [64], [65], [70]]), ['0 raise 75 60', '65 clear ']);
    t.same(play('threshold', p, [[0, 75], [5, 59], [900]]), ['0 raise 75 60'], 'not yet inside the limit');
    t.same(play('threshold', { ...p, on_delay_ms: 10_000 }, [[0, 75], [900]]), []);
    const rules = defaultRules(defaultLimits()).filter(({ id }) => id === 'high_equipment_temperature');
    const engine = createRuleEngine({ rules, devices: [], context: noFigures });
    const say = (second: number, value: number) =>
      engine.onSeriesSample({ deviceId: 'spare-1', metric: 'equipment_temp_c', timeMs: start + second * 1000, value });
    t.equal(say(0, 75.25).length, 1);
    say(5, 40);
    t.same(engine.onTick(start + 64_999), []);
    t.match(engine.onTick(start + 65_000), [{ deviceId: 'spare-1', transition: { type: 'clear' } }]);
  },
);

t.test('a broken line is one alert: its devices are not silent on their own account until it is back', async (t) => {
  let broken = true;
  const engine = createRuleEngine({
    rules: defaultRules(defaultLimits({})),
    devices: ['d1', 'd2'],
    context: { figure: () => undefined, excused: (id) => broken && id === 'd1' },
  });
  const types = (minute: number) => {
    const nowMs = start + minute * 60_000;
    return [...engine.onFigure('gateway_lines_down', nowMs, broken ? 1 : 0), ...engine.onTick(nowMs)].map(
      ({ rule, deviceId, transition }) => `${transition.type} ${rule.id} ${deviceId ?? ''}`.trim(),
    );
  };
  t.same([0, 4, 5, 10, 30].map(types), [[], [], ['raise line_down'], ['raise device_silent d2'], []]);
  broken = false;
  t.same([31, 39, 40].map(types).flat(), ['clear line_down', 'raise device_silent d1']);
});

t.test('no_data: raises after exactly so much silence, counted from the first tick for one never heard', async (t) => {
  const silent = { silent_for_ms: 600_000 };
  t.same(play('no_data', silent, [[0], [599.999], [600], [700]]), ['600 raise  ']);
  t.same(play('no_data', silent, [[0], [100, 1], [699.999], [700], [701, 1], [702]]), ['700 raise  ', '701 clear ']);
  t.same(
    play('no_data', silent, [[100, 1], [50, 1], [699], [700]]),
    ['700 raise  '],
    'an older sample is no later sign of life',
  );
  t.same(
    play('no_data', silent, [[100, 1], [700], [60, 1], [100, 1], [800]]),
    ['700 raise  '],
    'what is sent late does not end the silence',
  );
});

t.test('when the clock is set back, rules judge by the samples of the new time at once', async (t) => {
  const hour = 3600;
  const hot = { above: 60, deadband: 3, on_delay_ms: 5000, off_delay_ms: 0 };
  t.same(
    play('threshold', hot, [
      [hour, 61],
      [0, 61],
      [4, 61],
      [5, 61],
      [5 - 600, 50],
      [6, 50],
    ]),
    ['5 raise 61 60', '6 clear 50'],
    'the delay counts anew, a sample that is only late is none',
  );
  const context = { figure: () => undefined };
  t.same(
    play(
      'comparison',
      { all: [{ metric: 'm', above: 1 }], unless: [], max_age_ms: 1000, on_delay_ms: 0, off_delay_ms: 0 },
      [
        [hour, 0],
        [0, 2],
      ],
      context,
    ),
    ['0 raise 2 1'],
  );
  const silent = { silent_for_ms: 10_000 };
  t.same(play('no_data', silent, [[hour, 1], [0], [9], [10]]), ['10 raise  ']);
  t.same(play('no_data', silent, [[hour, 1], [hour + 10], [0, 1], [10]]), [
    `${hour + 10} raise  `,
    '0 clear ',
    '10 raise  ',
  ]);
});

t.test('comparison: all conditions together, none of the exceptions, and unknown figures change nothing', async (t) => {
  const figures: Record<string, number | undefined> = { irradiance_w_m2: 800, battery_soc_pct: 50 };
  const asked: number[] = [];
  const context: RuleContext = {
    figure: (metric, _timeMs, maxAgeMs) => {
      asked.push(maxAgeMs);
      return figures[metric];
    },
  };
  const low = {
    all: [
      { metric: 'm', below: 7 },
      { metric: 'irradiance_w_m2', above: 500 },
    ],
    unless: [{ metric: 'battery_soc_pct', above: 95 }],
    max_age_ms: 120_000,
    on_delay_ms: 300_000,
    off_delay_ms: 300_000,
  };
  const run = (steps: readonly (readonly [number, number])[]) => play('comparison', low, steps, context);
  t.same(
    run([
      [0, 6.9],
      [299.999, 6],
      [300, 5],
    ]),
    ['300 raise 5 7'],
  );
  t.same(
    run([
      [0, 7],
      [300, 7],
      [600, 7],
    ]),
    [],
    'at the limit is not below it',
  );
  figures.battery_soc_pct = 96;
  t.same(
    run([
      [0, 1],
      [300, 1],
      [900, 1],
    ]),
    [],
    'a full battery holds generation back',
  );
  figures.battery_soc_pct = undefined;
  t.same(
    run([
      [0, 1],
      [300, 1],
    ]),
    ['300 raise 1 7'],
    'an unknown exception is none',
  );
  figures.irradiance_w_m2 = undefined;
  t.same(
    run([
      [0, 1],
      [300, 1],
    ]),
    [],
    'an unknown condition raises nothing',
  );
  t.ok(asked.every((age) => age === 120_000));
});

t.test('balance: the same finding several times in a row raises, another or none ends it', async (t) => {
  const context: RuleContext = { figure: () => undefined };
  const run = (...findings: readonly number[]) =>
    play(
      'balance',
      { confirmations: 3, clear_after: 2 },
      findings.map((one, i) => [i, one] as const),
      context,
    ).map((one) => one.split(' ').slice(0, 2).join(' '));
  t.same(run(0, 7, 7, 0, 7, 7), [], 'a change within a day that fits nothing for long is no finding');
  t.same(run(7, 7, 7, 7), ['2 raise'], 'once');
  t.same(run(7, 7, 7, 0, 7, 0, 0, 0), ['2 raise', '6 clear']);
  t.same(run(7, 7, 7, 9, 9, 9), ['2 raise', '4 clear', '5 raise'], 'another meter is another alert');
});

t.test('default rules are whole: valid, with every text, and the words of the product', async (t) => {
  const rules = defaultRules(defaultLimits());
  t.equal(new Set(rules.map((rule) => rule.id)).size, rules.length);
  for (const rule of rules) {
    t.ok(Check(ruleSchema, rule), `${rule.id} has the form of a rule`);
    t.same(checkRule(rule), rule, `${rule.id} has whole and valid parameters`);
    t.ok(ruleKinds[rule.kind]?.describe(rule.parameters as never, 'unit'), 'can be said in one sentence');
    t.ok(rule.message && rule.what && rule.why && rule.steps.length > 0 && rule.steps.every(Boolean), 'all texts');
    const metric = rule.selector.scope === 'device' ? null : rule.selector.metric;
    t.ok(metric === null || metricDefinition(metric) || metric.startsWith('gateway_'), `${metric} is a metric`);
    for (const [deviceId, name, full] of [
      [null, null, metric],
      ['inv-1', 'Inverter 1', metric === null ? null : `${metric}.l2`],
    ] as const) {
      const transition: Transition = {
        type: 'raise',
        atMs: start,
        value: rule.kind === 'no_data' ? null : 75.256,
        limit: rule.kind === 'no_data' ? null : 60,
      };
      const subject = alertSubject({ rule, subject: 's', deviceId, metric: full, transition }, name);
      const texts = [subject.message, subject.what, subject.why, ...subject.steps].join(' ');
      t.notMatch(texts, /[{}]|NaN|undefined|null|\s\s/, texts);
    }
  }
  const byId = Object.fromEntries(rules.map((rule) => [rule.id, rule]));
  t.match(byId.high_consumption, { message: 'unusual load increase', parameters: { above: 14 } });
  t.match(byId.high_equipment_temperature, {
    message: 'high temperature on equipment',
    parameters: { above: 60, on_delay_ms: 0 },
  });
  t.match(byId.low_generation, { message: 'solar output is low' });
  const hot = byId.high_equipment_temperature as Rule;
  const raise: Transition = { type: 'raise', atMs: start, value: 75.25, limit: 60 };
  const found = { rule: hot, subject: 's', deviceId: 'inv-1', metric: 'equipment_temp_c.inverter', transition: raise };
  t.equal(alertSubject(found, 'Inverter 1').what, 'Inverter 1 has 75.3 °C; the limit is 60 °C.');
  t.equal(alertSubject(found, 'Powerhouse').what, 'Powerhouse (inverter) has 75.3 °C; the limit is 60 °C.');
  const silent = {
    rule: byId.device_silent as Rule,
    subject: 's',
    deviceId: 'inv-1',
    metric: null,
    transition: { ...raise, value: null, limit: null },
  };
  t.equal(alertSubject(silent, null).what, 'Nothing was heard from inv-1 for 10 min.');
  for (const [ruleId, value, expected] of [
    ['disk_filling', 91.4, { value: 91.4, unit: '%' }],
    ['storage_failing', 1, { value: null }],
  ] as const) {
    const own = byId[ruleId] as Rule;
    const metric = (own.selector as { metric: string }).metric;
    const raised: Transition = { type: 'raise', atMs: start, value, limit: null };
    t.match(
      alertSubject({ rule: own, subject: 's', deviceId: null, metric, transition: raised }, null),
      expected,
      'a state of the gateway is told by its sentence, not by a number',
    );
  }
  t.same([0, -0.001, 2.345, 12.34, 123.4, 1234.5, 7.1, 60].map(shortNumber), [
    '0',
    '0',
    '2.35',
    '12.3',
    '123',
    '1235',
    '7.1',
    '60',
  ]);
});

t.test('a dead line is one alert: no power, and not also a voltage and a frequency out of limits', async (t) => {
  const wiring = { ac_output_voltage_v: {}, 'ac_output_voltage_v.feeder-2': {}, ac_frequency_hz: {} };
  const rules = defaultRules(defaultLimits(), { plant: { battery_floor_pct: 25 }, wiring });
  for (const rule of rules) t.same(checkRule(rule), rule, rule.id);
  const present = new Map<string, number>();
  const engine = createRuleEngine({ rules, devices: [], context: { figure: (metric) => present.get(metric) } });
  let nowMs = start;
  const run = (values: Record<string, number>): string[] => {
    for (const [metric, value] of Object.entries(values)) present.set(metric, value);
    const found: string[] = [];
    for (let second = 0; second < 90; second += 5, nowMs += 5000)
      for (const [metric, value] of Object.entries(values))
        for (const { rule, transition } of engine.onFigure(metric, nowMs, value))
          found.push(`${transition.type} ${rule.id}`);
    return found;
  };
  const feeder = 'ac_output_voltage_v.feeder-2';
  t.same(run({ ac_output_voltage_v: 231, [feeder]: 230, ac_frequency_hz: 50 }), []);
  t.same(run({ ac_output_voltage_v: 231, [feeder]: 0, ac_frequency_hz: 50 }), ['raise no_power_feeder_2']);
  t.same(run({ ac_output_voltage_v: 180, [feeder]: 0, ac_frequency_hz: 50 }), ['raise ac_voltage_out_of_limits']);
  t.same(run({ ac_output_voltage_v: 0, [feeder]: 0, ac_frequency_hz: 0 }).sort(), [
    'clear ac_voltage_out_of_limits',
    'clear no_power_feeder_2',
    'raise no_power',
  ]);
  t.same(run({ ac_output_voltage_v: 231, [feeder]: 230, ac_frequency_hz: 50 }), ['clear no_power']);
  const battery = rules.find(({ id }) => id === 'critical_battery') as Rule;
  const raise: Transition = { type: 'raise', atMs: start, value: 18, limit: 22 };
  t.equal(
    alertSubject({ rule: battery, subject: 's', deviceId: null, metric: 'battery_soc_pct', transition: raise }, null)
      .what,
    'The battery holds 18 %; at 25 % the inverters switch the village off.',
    'true before and after the village went dark',
  );
});

t.test('solar output is low: scaled to the plant, silent while a full battery holds it back', async (t) => {
  t.equal(defaultLimits().generation_low_kw, 7);
  t.equal(defaultLimits({ pv_kwp: 20 }).generation_low_kw, 7);
  t.equal(defaultLimits({ pv_kwp: 5 }).generation_low_kw, 1.75);
  const run = (pvKwp: number, generationKw: number, irradiance: number, soc: number) => {
    const figures: Record<string, number> = {
      irradiance_w_m2: irradiance,
      battery_soc_pct: soc,
      generation_kw: generationKw,
    };
    const engine = createRuleEngine({
      rules: defaultRules(defaultLimits({ pv_kwp: pvKwp })),
      devices: [],
      context: { figure: (metric) => figures[metric] },
    });
    const raised: string[] = [];
    for (let second = 0; second <= 600; second += 10) {
      for (const [metric, value] of Object.entries(figures)) {
        for (const one of engine.onFigure(metric, start + second * 1000, value))
          raised.push(`${one.rule.id} ${second}`);
      }
    }
    return raised;
  };
  t.same(run(20, 6.9, 800, 70), ['low_generation 300']);
  t.same(run(20, 7.1, 800, 70), []);
  t.same(run(20, 6.9, 499, 70), [], 'weak sun');
  t.same(run(20, 0, 1000, 99), [], 'full battery');
  t.same(run(5, 6.9, 1000, 70), [], 'more than a small plant can make');
  t.same(run(5, 1.7, 1000, 70), ['low_generation 300']);
});

t.test(
  'a rule that cannot work is refused by name when the engine starts, and missing parameters get their defaults',
  async (t) => {
    const rule = defaultRules(defaultLimits())[0] as Rule;
    const start1 = (change: object) =>
      createRuleEngine({ rules: [{ ...rule, ...change } as Rule], devices: [], context: noFigures });
    for (const [change, detail] of [
      [{ kind: 'astrology' }, /high_consumption.*astrology.*threshold/],
      [{ kind: 'constructor' }, /constructor/],
      [{ parameters: { above: 'much' } }, /high_consumption.*above/],
      [{ parameters: { above: 1, on_delay_ms: -1 } }, /on_delay_ms/],
      [{ parameters: { above: 1, oops: 1 } }, /oops/],
      [{ parameters: {} }, /above.*below/],
      [{ kind: 'no_data', parameters: {} }, /scope/],
      [{ selector: { scope: 'device' } }, /scope/],
      [{ kind: 'comparison', parameters: { all: [] } }, /all/],
    ] as const)
      t.throws(() => start1(change), { code: 'E_CONFIG_INVALID', detail }, JSON.stringify(change));
    t.doesNotThrow(() => start1({ enabled: false, kind: 'astrology' }), 'one that is switched off may wait');
    const short = start1({ parameters: { above: 14 } });
    t.equal(short.onFigure('consumption_kw', start, 15).length, 1);
    const comparison = start1({ kind: 'comparison', parameters: { all: [{ metric: 'consumption_kw', above: 14 }] } });
    t.equal(comparison.onFigure('consumption_kw', start, 15).length, 1);
  },
);

t.test(
  'series rules cover every component and device; a device rule only its own; components do not mix',
  async (t) => {
    const rules = defaultRules(defaultLimits()).filter(({ id }) => id === 'high_equipment_temperature');
    const engine = createRuleEngine({ rules, devices: ['a', 'b'], context: noFigures });
    const sample = (deviceId: string, metric: string, second: number, value: number) =>
      engine.onSeriesSample({ deviceId, metric, timeMs: start + second * 1000, value }).map((one) => one.subject);
    t.same(sample('a', 'equipment_temp_c.inverter', 0, 75), ['series:a/equipment_temp_c.inverter']);
    t.same(sample('a', 'equipment_temp_c', 1, 75), ['series:a/equipment_temp_c']);
    t.same(sample('b', 'equipment_temp_c.inverter', 2, 40), []);
    t.same(sample('b', 'ambient_temp_c', 3, 75), []);
    const only = createRuleEngine({
      rules: rules.map((rule) => ({
        ...rule,
        selector: { scope: 'series', metric: 'equipment_temp_c', device_id: 'b' },
      })),
      devices: ['a', 'b'],
      context: noFigures,
    });
    t.same(only.onSeriesSample({ deviceId: 'a', metric: 'equipment_temp_c', timeMs: start, value: 99 }), []);
    t.equal(only.onSeriesSample({ deviceId: 'b', metric: 'equipment_temp_c', timeMs: start, value: 99 }).length, 1);
  },
);

t.test('killed and restored at any points, the engine concludes the same', async (t) => {
  const figures = ['consumption_kw', 'generation_kw', 'irradiance_w_m2', 'battery_soc_pct', 'ac_output_voltage_v'];
  const step = fc.record({
    after: fc.integer({ min: -30, max: 400 }),
    what: fc.oneof(
      fc.record({
        device: fc.constantFrom('a', 'b'),
        metric: fc.constantFrom('equipment_temp_c', 'equipment_temp_c.inverter', 'humidity_pct'),
        value: fc.constantFrom(40, 56, 59, 61, 80),
      }),
      fc.record({ figure: fc.constantFrom(...figures), value: fc.constantFrom(0, 5, 15, 23, 29, 97, 230, 260, 800) }),
      fc.constant('tick' as const),
    ),
    kill: fc.boolean(),
  });
  const rules = defaultRules(defaultLimits());
  const run = (steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[], killing: boolean) => {
    const newest = new Map<string, [number, number]>();
    const context: RuleContext = {
      figure: (metric, timeMs, maxAgeMs) => {
        const found = newest.get(metric);
        return found && timeMs - found[0] <= maxAgeMs ? found[1] : undefined;
      },
    };
    const make = (saved?: string) => createRuleEngine({ rules, devices: ['a', 'b'], context, saved });
    let engine = make();
    let now = start;
    const out: string[] = [];
    for (const { after, what, kill } of steps) {
      now += after * 1000;
      if (kill && killing) engine = make(engine.exportState());
      let found;
      if (what === 'tick') found = engine.onTick(now);
      else if ('figure' in what) {
        newest.set(what.figure, [now, what.value]);
        found = engine.onFigure(what.figure, now, what.value);
      } else
        found = engine.onSeriesSample({ deviceId: what.device, metric: what.metric, timeMs: now, value: what.value });
      for (const { rule, subject, transition } of found) out.push(JSON.stringify([rule.id, subject, transition]));
    }
    return out;
  };
  let transitions = 0;
  holds(
    t,
    'restore',
    fc.property(fc.array(step, { minLength: 10, maxLength: 80, size: 'max' }), (steps) => {
      const unhurt = run(steps, false);
      transitions += unhurt.length;
      return same(unhurt, run(steps, true));
    }),
    300,
  );
  t.ok(transitions > 300, `${transitions} transitions seen`);
});

t.test(
  'a device with hundreds of hot series raises a handful of alerts, and one that stands for the rest',
  async (t) => {
    const rules = defaultRules(defaultLimits()).filter(({ id }) => id === 'high_equipment_temperature');
    const make = (saved?: string) => createRuleEngine({ rules, devices: [], context: noFigures, saved });
    let engine = make();
    let nowMs = start;
    const open = new Map<string, string>();
    const round = (value: (place: number) => number, places = 256) => {
      const found: string[] = [];
      nowMs += 90_000;
      for (let place = 1; place <= places; place += 1) {
        const sample = { deviceId: 'odd', metric: `equipment_temp_c.x${place}`, timeMs: nowMs, value: value(place) };
        for (const one of engine.onSeriesSample(sample)) {
          found.push(`${one.transition.type} ${one.metric}`);
          if (one.transition.type === 'clear') open.delete(one.subject);
          else open.set(one.subject, alertSubject(one, 'Odd device').what);
        }
      }
      return found;
    };
    t.equal(round(() => 80).length, 9);
    t.equal(open.size, 9);
    t.equal(
      open.get('series:odd/equipment_temp_c._others'),
      'Odd device (x9) has 80 °C; the limit is 60 °C. Further places of it are beyond it too.',
    );
    engine = make(engine.exportState());
    t.same(
      round(() => 81),
      [],
      'nothing anew after a restart',
    );
    round((place) => (place <= 3 || place >= 200 ? 20 : 80));
    t.same(
      round((place) => (place <= 3 || place >= 200 ? 20 : 80)),
      ['clear equipment_temp_c.x1', 'clear equipment_temp_c.x2', 'clear equipment_temp_c.x3'],
    );
    t.same(
      round((place) => (place === 1 || place === 200 ? 80 : place < 200 ? 81 : 20)),
      ['raise equipment_temp_c.x1', 'raise equipment_temp_c.x2', 'raise equipment_temp_c.x3'],
    );
    round(() => 20);
    t.equal(round(() => 20).length, 9);
    t.equal(open.size, 0);
    round(() => 80);
    const gone = (JSON.parse(engine.exportState()) as [string, object][]).map(([key, state]) =>
      key.endsWith('_others') ? [key, { raised: true, own: [], folded: [] }] : [key, { ...state, raised: false }],
    );
    engine = make(JSON.stringify(gone));
    const later = Array.from({ length: 8 }, () => round(() => 20, 3)).flat();
    t.same(later, ['clear equipment_temp_c._others'], 'an alert with nobody behind it any more ends');
  },
);

t.test('saved state that is damaged, or of rules and devices that are gone, does not stop the engine', async (t) => {
  const rules = defaultRules(defaultLimits());
  for (const saved of [
    '',
    'nonsense',
    '5',
    'null',
    '{}',
    '[5]',
    '[null]',
    '[["a"]]',
    '[["device_silent|device:a",5]]',
    '[["high_consumption|figure:consumption_kw",{"raised":"x"}]]',
  ]) {
    const engine = createRuleEngine({ rules, devices: ['a'], context: noFigures, saved });
    engine.onTick(start);
    engine.onFigure('consumption_kw', start, 15);
    t.equal(engine.onFigure('consumption_kw', start + 60_000, 15).length, 1, saved);
    t.equal(engine.onTick(start + 600_000).length, 1, saved);
  }
  const first = createRuleEngine({ rules, devices: ['a', 'b'], context: noFigures });
  t.notOk(first.dirty);
  first.onTick(start);
  first.onSeriesSample({ deviceId: 'b', metric: 'equipment_temp_c', timeMs: start, value: 70 });
  t.ok(first.dirty);
  const saved = first.exportState();
  t.notOk(first.dirty);
  t.notMatch(createRuleEngine({ rules, devices: ['a'], context: noFigures, saved }).exportState(), /device:b/);
  t.match(
    createRuleEngine({ rules, devices: ['a'], context: noFigures, saved }).exportState(),
    /series:b\/equipment_temp_c/,
  );
  const fewer = rules.filter((rule) => rule.selector.scope !== 'series');
  t.notMatch(createRuleEngine({ rules: fewer, devices: ['a'], context: noFigures, saved }).exportState(), /series:/);
});

t.test('rate of change: raises when it changed by more than so much within the window, however soon', async (t) => {
  const fast = { falls_by: 15, window_ms: 900_000, deadband: 10, on_delay_ms: 60_000, off_delay_ms: 0 };
  const line = (perMinute: number, to: number) =>
    Array.from({ length: to + 1 }, (_, minute) => [minute * 60, 80 + perMinute * minute] as const);
  t.match(
    play('rate_of_change', fast, line(-2, 12)),
    [/^540 raise 18 15$/],
    'at the eighth minute, and a minute later',
  );
  t.same(play('rate_of_change', fast, line(-0.9, 60)), [], 'slowly it may fall by any amount');
  t.same(play('rate_of_change', fast, line(2, 20)), [], 'rising is another matter');
  t.same(
    play('rate_of_change', { ...fast, rises_by: 10, on_delay_ms: 0 }, [
      [0, 1],
      [60, 12],
      [120, 12],
      [2000, 12],
    ]),
    ['60 raise 11 10', '2000 clear 0'],
    'until it leaves the window',
  );
});

t.test('state: values that are trouble, values that are not, and bits of flags, held for so long', async (t) => {
  const held = { on_delay_ms: 10_000, off_delay_ms: 0 };
  const steps = [
    [0, 4],
    [9, 4],
    [10, 4],
    [11, 3],
  ] as const;
  t.same(play('state', { is: [4, 5], ...held }, steps), ['10 raise 4 ', '11 clear 3']);
  t.same(play('state', { is_not: [3], ...held }, steps), ['10 raise 4 ', '11 clear 3']);
  t.same(play('state', { bits: [2], ...held }, steps), ['10 raise 4 ', '11 clear 3']);
  t.same(play('state', { bits: [40], on_delay_ms: 0, off_delay_ms: 0 }, [[0, 2 ** 40 + 1]]), [
    `0 raise ${2 ** 40 + 1} `,
  ]);
});

t.test('deviation: far from what is usual here at this time of day, and over when it is usual again', async (t) => {
  const p = { side: 'both', times: 2, least: 0.5, min_days: 7, on_delay_ms: 0, off_delay_ms: 0 };
  const usual = { low: 4, middle: 5, high: 7, days: 10 };
  const run = (values: readonly number[], range: RuleContext['usual'], parameters: object = p) =>
    play(
      'deviation',
      parameters,
      values.map((value, i) => [i, value] as const),
      { figure: () => undefined, ...(range ? { usual: range } : {}) },
    );
  t.same(
    run([8.9, 9.1, 7.1, 7], () => usual),
    ['1 raise 9.1 7', '3 clear 7'],
  );
  t.same(
    run([3.1, 2.9, 3.9, 4], () => usual),
    ['1 raise 2.9 4', '3 clear 4'],
  );
  t.same(
    run([100], () => ({ ...usual, days: 6 })),
    [],
    'not known well enough',
  );
  t.same(run([100], undefined), [], 'not known at all');
  t.same(
    run([1], () => usual, { ...p, side: 'above' }),
    [],
  );
});

t.test('expression: several values and windows together; one that is not known concludes nothing', async (t) => {
  const rule: Rule = {
    ...(defaultRules(defaultLimits())[0] as Rule),
    id: 'heavy_evening',
    kind: 'expression',
    selector: { scope: 'figure', metric: 'consumption_kw' },
    parameters: {
      when: 'consumption_kw > 1.5 * usual && charge < 50',
      inputs: {
        usual: { metric: 'consumption_kw', window_ms: 3_600_000, fold: 'mean' },
        charge: { metric: 'battery_soc_pct' },
      },
      max_age_ms: 120_000,
    },
  };
  let engine = createRuleEngine({ rules: [rule], devices: [], context: noFigures });
  const say = (minute: number, load: number, charge: number | null) => {
    const timeMs = start + minute * 60_000;
    engine = createRuleEngine({ rules: [rule], devices: [], context: noFigures, saved: engine.exportState() });
    return engine
      .onFigures([
        { metric: 'consumption_kw', timeMs, value: load },
        { metric: 'battery_soc_pct', timeMs, value: charge },
      ])
      .map(({ transition }) => `${transition.type} ${transition.value}`);
  };
  for (let minute = 0; minute < 50; minute += 1) t.same(say(minute, 4, 40), []);
  t.same(say(50, 7, 40), ['raise 7'], 'also when the state went through text each time');
  t.same(say(51, 7, null), [], 'a charge that is not known neither raises nor clears');
  t.same(say(52, 7, 60), ['clear 7']);
  t.same(say(60, 4, 40), []);

  const inverter = defaultRules(defaultLimits()).filter(({ id }) => id === 'inverter_stopped');
  const inventory = ['inv-1', 'inv-2'].map((device_id) => ({ device_id, kind: 'inverter' }));
  const sunny = createRuleEngine({
    rules: inverter,
    devices: ['inv-1', 'inv-2', 'meter-1'],
    inventory: [...inventory, { device_id: 'meter-1', kind: 'meter' }],
    context: noFigures,
  });
  const found: string[] = [];
  for (let second = 0; second <= 900; second += 10) {
    const timeMs = start + second * 1000;
    sunny.onFigure('irradiance_w_m2', timeMs, 800);
    for (const [deviceId, value] of [
      ['inv-1', 12],
      ['inv-2', second < 600 ? 0 : 12],
      ['meter-1', 0],
    ] as const)
      for (const one of sunny.onSeriesSample({ deviceId, metric: 'generation_kw', timeMs, value }))
        found.push(`${second} ${one.transition.type} ${one.deviceId}`);
  }
  t.same(found, ['300 raise inv-2', '720 clear inv-2'], 'each device of the class by itself, with the sun of the grid');
});

t.test(
  'a tripped inverter is one alert with its own words, whatever the charge; one that is off in the sun is one too',
  (t) => {
    const rules = defaultRules(defaultLimits()).filter(({ id }) => ['inverter_fault', 'inverter_stopped'].includes(id));
    /** What is raised and cleared in 40 minutes; each lists [from minute, kW, own state] with the sun and the charge. */
    const run = (
      charge: number,
      sun: number,
      ...parts: ReadonlyArray<readonly [number, number, number | undefined]>
    ) => {
      const inventory = [{ device_id: 'inv-1', kind: 'inverter' }];
      const engine = createRuleEngine({ rules, devices: ['inv-1'], inventory, context: noFigures });
      const found: string[] = [];
      for (let second = 0; second <= 2400; second += 10) {
        const timeMs = start + second * 1000;
        engine.onFigures([
          { metric: 'irradiance_w_m2', timeMs, value: sun },
          { metric: 'battery_soc_pct', timeMs, value: charge },
        ]);
        const [, power = 0, own] = parts.findLast(([minute]) => second >= minute * 60) ?? [];
        for (const [metric, value] of [
          ['generation_kw', power],
          ['fault_state', own],
        ] as const) {
          if (value === undefined) continue;
          for (const { transition, rule } of engine.onSeriesSample({ deviceId: 'inv-1', metric, timeMs, value }))
            found.push(`${second} ${transition.type} ${rule.id}`);
        }
      }
      return found;
    };
    t.same(run(98, 800, [0, 12, 0], [10, 0, 2], [30, 12, 0]), [
      '660 raise inverter_fault',
      '1920 clear inverter_fault',
    ]);
    t.same(run(60, 800, [0, 12, 0], [10, 0, 2]), ['660 raise inverter_fault'], 'one cause, one alert');
    t.same(run(60, 0, [0, 0, 0], [10, 0, 2]), ['660 raise inverter_fault'], 'at night too');
    t.same(run(98, 800, [0, 12, 0], [10, 0, 1]), ['900 raise inverter_stopped'], 'off in the sun, the battery full');
    t.same(run(98, 800, [0, 12, 0], [10, 0, 0]), [], 'held back by a full battery');
    t.same(run(98, 0, [0, 0, 1]), [], 'off at night');
    t.same(
      run(60, 800, [0, 12, undefined], [10, 0, undefined]),
      ['900 raise inverter_stopped'],
      'it tells nothing of itself',
    );
    t.same(
      run(60, 800, [0, 12, 0], [10, 0, 0], [20, 0, 2]),
      ['900 raise inverter_stopped', '1260 raise inverter_fault', '1320 clear inverter_stopped'],
      'the better explanation takes over',
    );
    const rule = rules[0] as Rule;
    const transition: Transition = { type: 'raise', atMs: start, value: 2, limit: null };
    const found = { rule, subject: 's', deviceId: 'inv-1', metric: 'fault_state', transition };
    const subject = alertSubject(found, 'Inverter 1', 'over temp, cabinet open');
    t.match(subject, {
      severity: 'high',
      what: 'Inverter 1 has stopped with a fault. It says: over temp, cabinet open.',
      said: 'over temp, cabinet open',
    });
    t.equal(
      alertWords(subject, 'fr')?.what,
      'Inverter 1 s’est arrêté sur un défaut. Il indique : over temp, cabinet open.',
    );
    const wordless = alertSubject(found, 'Inverter 1');
    t.equal(wordless.what, 'Inverter 1 has stopped with a fault. It says: fault.');
    t.notOk('said' in wordless);
    t.match(alertWords(wordless, 'sw')?.what, /Inaonyesha: hitilafu\.$/);
    t.notOk(
      'said' in alertSubject({ ...found, rule: rules[1] as Rule }, 'Inverter 1', 'x'),
      'others do not ask for it',
    );
    t.end();
  },
);

t.test('a formula that loops, explodes or means nothing is refused with its place and the reason', async (t) => {
  const nested = (depth: number) => `${'('.repeat(depth)}a${')'.repeat(depth)} > 1`;
  for (const [text, reason] of [
    ['[1, 2].all(x, x > 1)', /line 1, column \d+: .*(list|"all")/],
    ['a > 1 &&\n  [1, 2, 3].map(x, x * 2) == [1]', /line 2, column \d+: .*(list|"map")/],
    ['a.matches("(x+)+y")', /column \d+: "matches" cannot be called/],
    ['matches("aaaa", "(a+)+b")', /column 1: there is no function "matches"/],
    ['size("aaa") > 1', /no function "size"/],
    ['"aaa" + "aaa" == "b"', /no texts/],
    ['a > 1 && "x" == "x"', /column 10: .*no texts/],
    ['a[0] > 1', /no parts/],
    ['a in [1, 2]', /lists are not allowed/],
    ['{1: 2}[1] > a', /no parts|lists/],
    ['0xFF > a', /decimals/],
    ['a > ', /column \d+: it cannot be read/],
    ['a +* 2 > 1', /cannot be read/],
    ['a + 1', /holds or not/],
    ['a > 1 ? 1 : 0', /holds or not/],
    ['(a > 10) + 5 > 1', /column 2/],
    ['abs(a, 1) > 1', /abs takes 1 number/],
    ['a > 1; b', /./],
    [nested(400), /too large|cannot be read/],
    [
      Array.from({ length: 150 }, () => 'a')
        .join('+')
        .concat(' > 1'),
      /too large/,
    ],
    [`a > 1${' '.repeat(2000)}`, /at most 1000/],
    ['constructor > 1', /not known; there are a/],
    ['__proto__ > 1', /Reserved/],
  ] as const) {
    const result = compileFormula(text, new Set(['a']));
    t.equal(result.ok, false, text.slice(0, 40));
    if (!result.ok) t.match(result.reason, reason, result.reason);
  }
  for (const [text, values, expected] of [
    ['a > 10', { a: 10.5 }, true],
    ['a * 2 + b / 4 >= 21', { a: 10, b: 4 }, true],
    ['abs(a - b) > 3 || min(a, b) < 0', { a: 1, b: 3 }, false],
    ['!(a > 1) && a == 1', { a: 1 }, true],
    ['-a < -1 && (a > 2 ? b > 1 : b > 5)', { a: 3, b: 2 }, true],
    ['a / 0 > 5', { a: 1 }, true],
    ['true && a != 2', { a: 1 }, true],
  ] as const) {
    const result = compileFormula(text);
    t.equal(result.ok && result.formula.holds(values as unknown as Record<string, number>), expected, text);
  }
  const rule = defaultRules(defaultLimits())[0] as Rule;
  const parameters = { when: 'consumption_kw > 1 && [1].all(x, x > 0)' };
  t.throws(() => checkRule({ ...rule, kind: 'expression', parameters }), {
    code: 'E_CONFIG_INVALID',
    detail: /high_consumption: parameters.when: line 1, column \d+/,
  });
  for (const [parameters2, why] of [
    [{ when: 'load > 1' }, /neither an input nor a metric/],
    [{ when: 'consumption_kw > 1', inputs: { x: { metric: 'a', fold: 'min' } } }, /no window_ms/],
    [{ when: 'x > 1', inputs: { x: { metric: 'consumption_kw', of: 'grid' } } }, /wake/],
  ] as const)
    t.throws(() => checkRule({ ...rule, kind: 'expression', parameters: parameters2 }), {
      code: 'E_CONFIG_INVALID',
      detail: why,
    });
});

t.test('selectors choose by component, class and tags; hours and seasons are those of the village', async (t) => {
  const hot = defaultRules(defaultLimits()).find(({ id }) => id === 'high_equipment_temperature') as Rule;
  const inventory = [
    { device_id: 'inv-1', kind: 'inverter', tags: ['clinic', 'roof'] },
    { device_id: 'box-1', kind: 'sensor', tags: ['clinic'] },
  ];
  const heard = (selector: object, change: object = {}, timeMs = start) => {
    const rule = { ...hot, selector: { scope: 'series', metric: 'equipment_temp_c', ...selector }, ...change } as Rule;
    const engine = createRuleEngine({
      rules: [rule],
      devices: [],
      context: noFigures,
      inventory,
      zone: 'Africa/Nairobi',
    });
    return ['inv-1', 'box-1', 'new-1'].flatMap((deviceId) =>
      ['equipment_temp_c', 'equipment_temp_c.cabinet'].flatMap((metric) =>
        engine.onSeriesSample({ deviceId, metric, timeMs, value: 99 }).map((one) => `${deviceId} ${one.metric}`),
      ),
    );
  };
  t.equal(heard({}).length, 6);
  t.same(heard({ device_class: 'inverter', component: 'cabinet' }), ['inv-1 equipment_temp_c.cabinet']);
  t.equal(heard({ tags: ['clinic'] }).length, 4);
  t.equal(heard({ tags: ['clinic', 'roof'] }).length, 2);
  t.equal(heard({ tags: ['nowhere'] }).length, 0);
  // 21:30 of a Saturday in Nairobi is 18:30 UTC.
  const saturdayMs = Date.UTC(2026, 6, 4, 18, 30);
  const hour = 3_600_000;
  const night = { schedule: { hours: [{ from: '21:00', to: '05:00' }], days: ['sat'] } };
  t.equal(heard({}, night, saturdayMs).length, 6);
  t.equal(heard({}, night, saturdayMs + 7 * hour).length, 6, 'past midnight it is still the night of Saturday');
  t.equal(heard({}, night, saturdayMs + 8 * hour).length, 0, 'not at half past five');
  t.equal(heard({}, night, saturdayMs - 17 * hour).length, 0, 'the night before is that of Friday');
  t.equal(heard({}, { schedule: { months: [11, 12] } }, saturdayMs).length, 0, 'another season');
  t.equal(heard({}, { schedule: { months: [7] } }, saturdayMs).length, 6);

  const scheduled = createRuleEngine({
    rules: [{ ...hot, schedule: { hours: [{ from: '21:00', to: '22:00' }] } }],
    devices: [],
    context: noFigures,
    zone: 'Africa/Nairobi',
  });
  const at = (minutes: number, value: number) =>
    scheduled
      .onSeriesSample({ deviceId: 'd', metric: 'equipment_temp_c', timeMs: saturdayMs + minutes * 60_000, value })
      .map(({ transition }) => transition.type);
  t.same([at(0, 70), at(40, 70), at(50, 40), at(52, 40)].flat(), ['raise', 'clear'], 'what is raised ends after hours');
});

t.test('keep firing: what comes back in time is the same alert, also over a restart', async (t) => {
  const hot = defaultRules(defaultLimits()).find(({ id }) => id === 'high_consumption') as Rule;
  const rule = { ...hot, keep_firing_ms: 600_000, parameters: { above: 14, on_delay_ms: 0, off_delay_ms: 0 } };
  const make = (saved?: string) => createRuleEngine({ rules: [rule], devices: [], context: noFigures, saved });
  let engine = make();
  const play2 = (steps: readonly (readonly [number, number?])[], restarting: boolean) => {
    engine = make();
    return steps.flatMap(([second, value]) => {
      const timeMs = start + second * 1000;
      const found = value === undefined ? engine.onTick(timeMs) : engine.onFigure('consumption_kw', timeMs, value);
      if (restarting) engine = make(engine.exportState());
      return found.map(({ transition }) => `${transition.type} ${(transition.atMs - start) / 1000}`);
    });
  };
  for (const restarting of [false, true]) {
    t.same(
      play2([[0, 15], [10, 5], [300, 15], [310, 5], [600], [900, 6], [909], [910], [911, 15]], restarting),
      ['raise 0', 'clear 910', 'raise 911'],
      'one alert while it comes and goes',
    );
    t.same(
      play2(
        [
          [0, 15],
          [10, 5],
          [2000, 15],
        ],
        restarting,
      ),
      ['raise 0', 'clear 610', 'raise 2000'],
      'too late is anew',
    );
  }
});

t.test('an alert that came and went three times in ten minutes is one row with its count', async (t) => {
  const alert = (id: string, minute: number, over: object = {}) => ({
    alert_id: id,
    rule_id: 'device_silent',
    device_id: 'd',
    metric: null,
    raised_at_ms: start + minute * 60_000,
    ...over,
  });
  const rows = (alerts: readonly ReturnType<typeof alert>[]) =>
    flappingRows(alerts).map((row) => `${row.newest.alert_id} ${row.occurrences.map((one) => one.alert_id).join('')}`);
  t.same(rows([alert('a', 0), alert('b', 4), alert('c', 9)]), ['c cba']);
  t.same(rows([alert('a', 0), alert('b', 4), alert('c', 10.1)]), ['c c', 'b b', 'a a'], 'not within ten minutes');
  t.same(
    rows([alert('a', 0), alert('b', 4), alert('c', 8), alert('d', 17)]),
    ['d dcba'],
    'it goes on as long as it comes back',
  );
  t.same(
    rows([alert('a', 0), alert('b', 4), alert('c', 8, { device_id: 'e' })]),
    ['c c', 'b b', 'a a'],
    'of one thing',
  );
});

t.test('every default rule is worded in every language, with the same figures and steps', async (t) => {
  const places = (text: string) =>
    (text.match(/\{\w+\}/g) ?? [])
      .filter((one) => one !== '{floor}')
      .sort()
      .join();
  const rules = defaultRules(defaultLimits(), { wiring: { 'ac_output_voltage_v.feeder-2': {} } });
  for (const { id } of rules) t.ok(wordedAs(id), id);
  for (const language of ruleLanguages) {
    const { rules: texts } = ruleTexts[language];
    for (const id of wordedRules) {
      const [one, english] = [texts[id], ruleTexts.en.rules[id]];
      t.equal(one.steps.length, english.steps.length, `${language} ${id}`);
      const own = places(one.what).replace('{unit},{unit}', '{unit}');
      t.equal(own, places(english.what).replace('{unit},{unit}', '{unit}'), `${language} ${id}`);
      for (const text of [one.message, one.what, one.why, one.how_long, ...one.steps])
        t.ok(text.trim() === text && text !== '' && !/\s\s/.test(text), text);
      if (language === 'ar') t.match(one.message, /^[\u0600-\u06FF{]/);
    }
  }
  const alert = {
    rule_id: 'high_equipment_temperature',
    device_id: 'inv-1',
    device_name: 'Powerhouse',
    metric: 'equipment_temp_c.inverter',
    value: 75.25,
    limit: 60,
    unit: '°C',
  };
  t.equal(
    alertWords(alert, 'fr')?.what,
    'Powerhouse (inverter) est à 75,3 °C ; la limite est de 60 °C.',
    'with the numbers of the language',
  );
  t.match(alertWords({ ...alert, metric: 'equipment_temp_c._others' }, 'sw')?.what, /Sehemu nyingine/);
  t.equal(
    alertWords({ ...alert, rule_id: 'no_power_feeder_2', metric: 'ac_output_voltage_v.feeder-2' }, 'sw')?.message,
    'feeder-2 haina umeme',
  );
  t.equal(alertWords({ ...alert, rule_id: 'our_own' }, 'fr'), undefined);
  t.equal(alertWords({ ...alert, rule_id: 'no_power_at_the_pump', metric: 'ac_output_voltage_v' }, 'fr'), undefined);
  for (const id of wordedRules)
    for (const language of ruleLanguages) {
      const words = alertWords({ ...alert, rule_id: id }, language);
      if (words) t.notMatch(JSON.stringify(words), /\{\w+\}|undefined|null/);
    }
});
