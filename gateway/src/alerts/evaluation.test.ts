/** The gateway's rules with a real log: live, in a back-test and killed at any moment, what rang is the same, one for one. */
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import {
  Backtest,
  sampleColumns,
  siteSchema,
  type AlertEvent,
  type Frame,
  type Rule,
  type RuleContext,
  type Sample,
  type Site,
} from '@villagrid/contracts';
import { seededRandom, silentLogger } from '@villagrid/runtime';
import { tempDir, testClock } from '@villagrid/runtime/testing';
import { Default, Parse } from 'typebox/value';
import { Lines } from '../live/lines.js';
import { Live } from '../live/live.js';
import { openLogStore } from '../log/log-store.js';
import { siteDefaults } from '../rules/index.js';
import { createAlerts } from './alerts.js';

const startMs = 1_795_600_000_000;
const gridId = 'kisima';
/** A log that commits by its hold alone, under a right clock. */
const sizes = { log: silentLogger(), trust: () => 'ntp' as const, maxSamples: 100_000, maxBytes: 1e9 };
const device = (device_id: string, kind: string) => ({ device_id, name: device_id, kind, protocol: 'mqtt' });
const wire = (device_id: string, metric: string) => ({ terms: [{ device_id, metric, factor: 1 }] });
const site: Site = Parse(
  siteSchema,
  Default(siteSchema, {
    grid_id: gridId,
    gateway_id: 'gw',
    name: 'Kisima',
    zone: 'Africa/Nairobi',
    plant: { pv_kwp: 20 },
    devices: [device('meter-1', 'meter'), device('bat-1', 'battery'), device('inv-1', 'inverter')],
    wiring: {
      consumption_kw: wire('meter-1', 'consumption_kw'),
      battery_soc_pct: wire('bat-1', 'battery_soc_pct'),
      generation_kw: wire('inv-1', 'generation_kw'),
      irradiance_w_m2: wire('meter-1', 'irradiance_w_m2'),
    },
  }),
);
const defaults = siteDefaults(site, { device_silent_min: 2 });
const words = { enabled: true, severity: 'low' as const, message: 'm', what: 'w', why: 'y', steps: ['s'] };
const rules: Rule[] = [
  ...defaults.map((rule) => (rule.id === 'high_consumption' ? { ...rule, keep_firing_ms: 120_000 } : rule)),
  {
    ...words,
    id: 'evening',
    kind: 'expression',
    selector: { scope: 'figure', metric: 'consumption_kw' },
    parameters: {
      when: 'consumption_kw > 1.2 * usual && charge < 60',
      inputs: {
        usual: { metric: 'consumption_kw', window_ms: 120_000, fold: 'mean' },
        charge: { metric: 'battery_soc_pct' },
      },
      on_delay_ms: 10_000,
      off_delay_ms: 20_000,
    },
  },
  {
    ...words,
    id: 'unusual',
    kind: 'deviation',
    selector: { scope: 'figure', metric: 'consumption_kw' },
    parameters: { side: 'both', times: 2, least: 1, min_days: 7, on_delay_ms: 10_000, off_delay_ms: 20_000 },
  },
  {
    ...words,
    id: 'heats_up',
    kind: 'rate_of_change',
    selector: { scope: 'series', metric: 'equipment_temp_c' },
    parameters: { rises_by: 15, window_ms: 120_000, deadband: 5, on_delay_ms: 0, off_delay_ms: 20_000 },
  },
  // Many at once, so that there is a flood.
  ...Array.from(
    { length: 12 },
    (_, index): Rule => ({
      ...words,
      id: `bright_${index}`,
      kind: 'state',
      selector: { scope: 'series', metric: 'irradiance_w_m2' },
      parameters: { is: [700], on_delay_ms: index * 1000, off_delay_ms: 15_000 },
    }),
  ),
];

const usual: NonNullable<RuleContext['usual']> = () => ({ low: 4, middle: 5, high: 15, days: 9 });

/** What a device says at once. */
const readings = {
  'meter-1': ['consumption_kw', 'irradiance_w_m2'],
  'bat-1': ['battery_soc_pct'],
  'inv-1': ['generation_kw', 'equipment_temp_c'],
} as const;
const step = fc.record({
  after: fc.constantFrom(0, 5, 5, 10, 30, 65),
  from: fc.constantFrom('meter-1', 'bat-1', 'inv-1'),
  values: fc.tuple(fc.constantFrom(2, 5, 14.5, 40, 58, 97), fc.constantFrom(5, 40, 61, 700)),
  quality: fc.constantFrom(0, 0, 0, 0, 64),
  commit: fc.boolean(),
  line: fc.constantFrom('as it is', 'as it is', 'as it is', 'as it is', 'as it is', 'cut', 'mended'),
  // Seldom, so that the rules' state is mostly some commits old.
  kill: fc.constantFrom(...Array.from({ length: 16 }, () => 'no'), 'at once', 'later'),
});
type Steps = readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[];

/** Events with numbers in place of ids, in the order in which they were committed. */
function told(frames: readonly Frame[]): string[] {
  const numbers = new Map<string, number>();
  const number = (id: string) => {
    if (!numbers.has(id)) numbers.set(id, numbers.size);
    return numbers.get(id);
  };
  const ids = new Set(['id', 'alert_id', 'parent_id', 'suppress_event_id', 'mark_event_id']);
  return frames.flatMap(({ events }) =>
    events.map((event) =>
      JSON.stringify(event, (key, value: unknown) => (ids.has(key) ? number(String(value)) : value)),
    ),
  );
}

/** When each rule was raised and cleared. */
function occurrences(events: readonly AlertEvent[]): Map<string, string[]> {
  const open = new Map<string, readonly [ruleId: string, raised: string]>();
  const found = new Map<string, string[]>();
  const add = (alertId: string, clearedMs: number | null) => {
    const [ruleId, raised] = open.get(alertId) ?? ['', ''];
    open.delete(alertId);
    found.set(ruleId, [...(found.get(ruleId) ?? []), `${raised} to ${clearedMs}`].sort());
  };
  for (const event of events) {
    if (event.kind === 'raised') {
      const { rule_id, device_id, metric } = event.subject;
      open.set(event.alert_id, [rule_id, `${device_id} ${metric} from ${event.at_ms}`]);
    } else if (event.kind === 'cleared') add(event.alert_id, event.at_ms);
  }
  for (const alertId of open.keys()) add(alertId, null);
  return found;
}

/** What a back-test of a rule over these frames gives. */
function backtested(rule: Rule, frames: readonly Frame[], toMs: number): string[] {
  const series = new Map<string, Sample[]>();
  for (const sample of frames.flatMap(({ samples }) => samples)) {
    const key = `${sample.deviceId} ${sample.metric}`;
    series.set(key, [...(series.get(key) ?? []), sample]);
  }
  const test = new Backtest({
    variants: [{ name: 'as it is', rule }],
    site,
    metricsOf: (deviceId) => readings[deviceId as keyof typeof readings],
    fromMs: startMs,
    toMs: toMs + 1,
    leadMs: 0,
    context: { usual },
  });
  const slice = test.needs.series.flatMap(({ deviceId, metric }) => {
    const samples = series.get(`${deviceId} ${metric}`) ?? [];
    const columns = sampleColumns(
      samples.map(({ timeMs }) => timeMs),
      samples.map(({ value }) => value),
      samples.map(({ quality }) => quality),
    );
    return [{ deviceId, metric, ...columns }];
  });
  for (const _ of test.play(slice, toMs + 1));
  return (test.results()[0]?.occurrences ?? [])
    .map(({ deviceId, metric, raisedMs, clearedMs }) => `${deviceId} ${metric} from ${raisedMs} to ${clearedMs}`)
    .sort();
}

t.test(
  'live, in a back-test, and killed and started again at any moment, the same alerts come and go, one for one',
  async (t) => {
    const kinds = new Set<string>();
    const counts = { events: 0, kills: 0, replayed: 0, guessed: 0, tested: 0 };
    const run = async (steps: Steps, { cuts, kills }: { readonly cuts: boolean; readonly kills: boolean }) => {
      const clock = testClock(startMs);
      // A machine on which everything takes long: nothing that is concluded depends on how quick it is.
      let looks = 0;
      const realClock = { ...clock, monotonicMs: () => clock.monotonicMs() + 1_000_000 * (looks += 1) };
      const random = seededRandom(steps.length);
      const path = join(tempDir(t), 'log.db');
      const lines = new Lines();
      const logger = {
        ...silentLogger(),
        info(_message: string, facts: Readonly<Record<string, unknown>> = {}) {
          counts.replayed += Number(facts.frames ?? 0);
          counts.guessed += Number(facts.guessed ?? 0);
        },
      };
      const open = () => {
        const logStore = openLogStore({ ...sizes, path, clock, realClock, random, holdMs: 86_400_000 });
        const { log, alertStore } = logStore;
        const live = new Live({ site, clock, logger: silentLogger() });
        const frames = () => log.read(1, { maxFrames: 10_000, maxBytes: 1e9 }).map(({ frame }) => frame);
        const durable = frames().flatMap(({ samples }) => samples);
        live.restore(durable);
        const alerts = createAlerts({
          site,
          limits: {},
          rules,
          log,
          corrected: (frame) => frame,
          store: alertStore,
          live,
          lines,
          clock,
          realClock,
          random,
          logger,
          usual,
          // No grace after a start: nobody was unheard for long.
          speed: 0,
          tell: () => {},
        });
        alerts.start();
        return { logStore, log, live, alerts, durable, frames };
      };
      let house = open();
      // What the gateway knows of itself nobody sends again: that a line is down is committed with the links of its devices.
      const commitLinks = () => {
        const state = lines.downCount > 0 ? 'offline' : 'online';
        const link = { type: 'link_state', device_id: 'meter-1', state, time_ms: clock.nowMs() } as const;
        house.log.append({ entries: [link] }, { urgent: true }).catch(() => {});
      };
      let down = 0;
      const feeding = clock.after(2500, () =>
        clock.every(5000, () => {
          house.alerts.onInternalFigure('gateway_lines_down', lines.downCount);
          if (down !== lines.downCount) commitLinks();
          down = lines.downCount;
        }),
      );
      const sent: Sample[][] = [];
      const feed = (samples: readonly Sample[]) => {
        house.alerts.onSamples(samples, house.live.apply(samples));
        house.log.append({ samples }).catch(() => {});
      };
      const kill = () => {
        counts.kills += 1;
        house.alerts.stop();
        house.logStore.database().close();
        house = open();
        // Devices send again what was not acknowledged.
        const kept = new Set(house.durable.map((one) => `${one.deviceId} ${one.metric} ${one.timeMs}`));
        for (const samples of sent)
          if (!samples.some((one) => kept.has(`${one.deviceId} ${one.metric} ${one.timeMs}`))) feed(samples);
      };
      for (const deviceId of Object.keys(readings) as (keyof typeof readings)[]) {
        const samples = readings[deviceId].map(
          (metric) => ({ deviceId, metric, timeMs: startMs, value: 5, quality: 0 }) as Sample,
        );
        sent.push(samples);
        feed(samples);
      }
      await house.log.flush();
      for (const [index, { after, from, values, quality, commit, line, kill: how }] of steps.entries()) {
        // A millisecond of its own for each, by which a device's reading is known.
        await clock.advance(after * 1000 + 1);
        if (cuts && line !== 'as it is') {
          lines.set('bus', line === 'cut' ? 'down' : 'up', ['meter-1', 'inv-1']);
          commitLinks();
          await clock.advance(0);
        }
        // Nor for how long devices were excused.
        if (kills && how !== 'no' && lines.downCount > 0) {
          commitLinks();
          await clock.advance(0);
        }
        const samples = readings[from].map(
          (metric, i) => ({ deviceId: from, metric, timeMs: clock.nowMs(), value: values[i] ?? 0, quality }) as Sample,
        );
        sent.push(samples);
        feed(samples);
        if (kills && how === 'at once') kill();
        await clock.advance(0);
        if (commit || index % 4 === 3) await house.log.flush();
        if (kills && how === 'later') kill();
      }
      await clock.advance(0);
      await house.log.flush();
      feeding.cancel();
      const frames = house.frames();
      house.alerts.stop();
      await house.logStore.close();
      return { frames, toMs: clock.nowMs() };
    };
    const result = await fc.check(
      fc.asyncProperty(
        fc.array(step, { minLength: 50, maxLength: 70, size: 'max' }),
        fc.boolean(),
        async (steps, cuts) => {
          const whole = await run(steps, { cuts, kills: false });
          const events = told(whole.frames);
          counts.events += events.length;
          const killed = told((await run(steps, { cuts, kills: true })).frames);
          const at = events.findIndex((one, index) => one !== killed[index]);
          if (events.length !== killed.length || at >= 0)
            throw new Error(
              `event ${at} of ${events.length} and ${killed.length}:\n${events.at(at)}\n${killed.at(at)}`,
            );
          const live = occurrences(whole.frames.flatMap((frame) => frame.events));
          for (const rule of rules) {
            const { id, kind, selector, enabled } = rule;
            if (selector.scope === 'figure' && site.wiring[selector.metric] === undefined) continue;
            // A back-test does not know of lines that were cut.
            if (!enabled || (kind === 'no_data' && cuts)) continue;
            const rang = live.get(id) ?? [];
            const tested = backtested(rule, whole.frames, whole.toMs);
            if (rang.length > 0) kinds.add(kind);
            counts.tested += rang.length;
            if (JSON.stringify(tested) !== JSON.stringify(rang))
              throw new Error(`${id}, in a back-test and live:\n${tested.join(', ')}\n${rang.join(', ')}`);
          }
          for (const { kind } of whole.frames.flatMap((frame) => frame.events)) kinds.add(kind);
        },
      ),
      {
        numRuns: Number(process.env.RUNS ?? 5),
        interruptAfterTimeLimit: 120_000,
        endOnFailure: true,
        seed: Number(process.env.SEED ?? 7),
      },
    );
    t.comment(`SEED=${result.seed}, ${result.numRuns} runs, ${JSON.stringify(counts)}`);
    if (result.failed) t.fail(`${String(result.errorInstance)}\n${fc.defaultReportMessage(result)}`);
    t.ok(counts.events > 100 && counts.tested > 40 && counts.kills > 10, 'enough was seen');
    t.ok(counts.replayed > 20, 'the state was some commits old');
    t.equal(counts.guessed, 0, 'and what was heard since was known');
    t.comment([...kinds].sort().join(' '));
  },
);

t.test(
  'a device that is taken out of the site takes its alerts with it at the next start, and they say why',
  async (t) => {
    const clock = testClock(startMs);
    const random = seededRandom(7);
    const path = join(tempDir(t), 'log.db');
    const open = (of: Site) => {
      const logStore = openLogStore({ ...sizes, path, clock, realClock: clock, random, holdMs: 5000 });
      const alerts = createAlerts({
        site: of,
        limits: {},
        rules: defaults,
        log: logStore.log,
        corrected: (frame) => frame,
        store: logStore.alertStore,
        live: new Live({ site: of, clock, logger: silentLogger() }),
        lines: new Lines(),
        clock,
        realClock: clock,
        random,
        logger: silentLogger(),
        tell: () => {},
      });
      alerts.start();
      const silent = () =>
        logStore.alertStore.list(gridId, { status: 'active' }).flatMap(({ device_id }) => device_id ?? []);
      const over = () =>
        logStore.alertStore.list(gridId, { status: 'resolved' }).map((one) => [one.rule_id, one.timeline.at(-1)?.note]);
      const heat = (value: number) =>
        alerts.onSamples(
          ['inv-1', 'stranger'].map((deviceId) => ({
            deviceId,
            metric: 'equipment_temp_c',
            timeMs: clock.nowMs(),
            value,
            quality: 0,
          })),
          [],
        );
      const close = async () => {
        alerts.stop();
        await logStore.log.flush();
        await logStore.close();
      };
      return { alerts, silent, over, heat, close };
    };
    const before = open(site);
    before.heat(75);
    await clock.advance(300_000);
    t.same(before.silent().sort(), ['bat-1', 'inv-1', 'inv-1', 'meter-1', 'stranger']);
    await before.close();
    const after = open({ ...site, devices: site.devices.filter(({ device_id }) => device_id !== 'inv-1') });
    await clock.advance(10_000);
    t.same(after.silent().sort(), ['bat-1', 'meter-1', 'stranger'], 'who never was in the settings may come back');
    t.same(after.over().sort(), [
      ['device_silent', 'The device is no longer in the settings.'],
      ['high_equipment_temperature', 'The device is no longer in the settings.'],
    ]);
    after.heat(76);
    await clock.advance(10_000);
    t.same(
      after.silent().sort(),
      ['bat-1', 'inv-1', 'meter-1', 'stranger'],
      'and is told anew while it still measures',
    );
    await after.close();
  },
);

t.test('what just happened is told as over also while the card takes nothing', async (t) => {
  const clock = testClock(startMs);
  const random = seededRandom(8);
  const logStore = openLogStore({
    ...sizes,
    path: join(tempDir(t), 'log.db'),
    clock,
    realClock: clock,
    random,
    holdMs: 5000,
  });
  const told: string[] = [];
  const alerts = createAlerts({
    site,
    limits: {},
    rules: [],
    log: { ...logStore.log, append: () => Promise.reject(new Error('the card is full')) },
    corrected: (frame) => frame,
    store: logStore.alertStore,
    live: new Live({ site, clock, logger: silentLogger() }),
    lines: new Lines(),
    clock,
    realClock: clock,
    random,
    logger: silentLogger(),
    tell: (event, alert) => told.push(`${event.kind} ${alert?.status}`),
  });
  const { enabled: _, ...said } = words;
  alerts.happened({
    ...said,
    rule_id: 'late_data',
    type: 'late_data',
    device_id: null,
    device_name: null,
    metric: null,
    value: null,
    limit: null,
    unit: null,
  });
  await clock.advance(5000);
  t.same(told, ['raised resolved', 'cleared resolved']);
  alerts.stop();
  await clock.advance(5000);
  await logStore.close();
});

t.test(
  'rules change while it runs: what stays goes on, what nothing watches is over, rules that fail give way',
  async (t) => {
    const clock = testClock(startMs);
    const random = seededRandom(9);
    const path = join(tempDir(t), 'log.db');
    const logStore = openLogStore({ ...sizes, path, clock, realClock: clock, random, holdMs: 5000 });
    const above = (id: string, limit: number): Rule => ({
      ...words,
      id,
      kind: 'threshold',
      selector: { scope: 'series', metric: 'equipment_temp_c' },
      parameters: { above: limit, on_delay_ms: 0, off_delay_ms: 0 },
    });
    const odd: Rule = {
      ...words,
      id: 'odd',
      kind: 'deviation',
      selector: { scope: 'series', metric: 'consumption_kw' },
      parameters: {},
    };
    const good = [above('warm', 40), above('hot', 60)];
    let broken = 0;
    const alerts = createAlerts({
      site,
      limits: {},
      rules: good,
      log: logStore.log,
      corrected: (frame) => frame,
      store: logStore.alertStore,
      live: new Live({ site, clock, logger: silentLogger() }),
      lines: new Lines(),
      clock,
      realClock: clock,
      random,
      logger: silentLogger(),
      usual() {
        throw new Error('what is usual cannot be told');
      },
      broken() {
        broken += 1;
        if (broken > 1) return false;
        alerts.setRules([above('warm', 40)], {});
        return true;
      },
      tell: () => {},
    });
    alerts.start();
    const series = (metric: string) => ({ deviceId: 'inv-1', metrics: [metric], factors: [1], headText: '' });
    // Made once for a device, as intake does.
    const heat = alerts.onReadings(series('equipment_temp_c') as never);
    const load = alerts.onReadings(series('consumption_kw') as never);
    const say = async (to: typeof heat, value: number) => {
      to(clock.nowMs(), Float64Array.of(value), [], clock.nowMs());
      await clock.advance(10_000);
    };
    const all = (status: 'active' | 'resolved') =>
      logStore.alertStore.list(gridId, { status }).map(({ rule_id, alert_id }) => `${rule_id} ${alert_id}`);
    await say(heat, 70);
    const [hot, warm] = all('active').sort();
    t.match([hot, warm], [/^hot /, /^warm /]);
    t.throws(() => alerts.setRules([above('warm', 40), { ...odd, kind: 'nothing' }], {}), { code: 'E_CONFIG_INVALID' });
    alerts.setRules([above('warm', 45), above('mild', 20), odd], { battery_low_pct: 37 });
    await say(heat, 71);
    t.equal(alerts.limits.battery_low_pct, 37);
    t.same(all('resolved'), [hot], 'nothing watches it any more');
    t.ok(all('active').includes(warm as string), 'the same alert, not told anew');
    t.match(
      all('active').filter((one) => one !== warm),
      [/^mild /],
      'the new rule rings',
    );
    await say(load, 5);
    t.equal(broken, 1);
    t.same(all('active'), [warm], 'the former rules are in force');
    await say(heat, 30);
    t.same(all('active'), []);
    alerts.stop();
    await logStore.log.flush();
    await logStore.close();
  },
);
