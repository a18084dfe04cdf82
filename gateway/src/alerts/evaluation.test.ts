/** The gateway's rules with a real log, killed at any moment: what rang is the same, one for one. */
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { siteSchema, type Rule, type Sample, type Site } from '@villagrid/contracts';
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
];

const ruleIds = new Set(rules.map(({ id }) => id));

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
  kill: fc.constantFrom('no', 'no', 'no', 'at once', 'later'),
});
type Steps = readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[];

t.test('killed and started again at any moment, the same alerts come and go as without, one for one', async (t) => {
  let seen = 0;
  let kills = 0;
  const run = async (steps: Steps, killing: boolean): Promise<string[]> => {
    const clock = testClock(startMs);
    const random = seededRandom(steps.length);
    const path = join(tempDir(t), 'log.db');
    const open = () => {
      const logStore = openLogStore({
        path,
        clock,
        realClock: clock,
        random,
        log: silentLogger(),
        trust: () => 'ntp',
        holdMs: 86_400_000,
        maxSamples: 100_000,
        maxBytes: 1e9,
      });
      const { log, alertStore } = logStore;
      const live = new Live({ site, clock, logger: silentLogger() });
      const durable = log.read(1, { maxFrames: 10_000, maxBytes: 1e9 }).flatMap(({ frame }) => frame.samples);
      live.restore(durable);
      const alerts = createAlerts({
        site,
        limits: {},
        rules,
        log,
        corrected: (frame) => frame,
        store: alertStore,
        live,
        lines: new Lines(),
        clock,
        realClock: clock,
        random,
        logger: silentLogger(),
        usual: () => ({ low: 4, middle: 5, high: 15, days: 9 }),
        // No grace after a start: nobody was unheard for long.
        speed: 0,
        tell: () => {},
      });
      alerts.start();
      return { logStore, log, alertStore, live, alerts, durable };
    };
    let house = open();
    const sent: Sample[][] = [];
    const feed = (samples: readonly Sample[]) => {
      house.alerts.onSamples(samples, house.live.apply(samples));
      house.log.append({ samples }).catch(() => {});
    };
    const kill = () => {
      kills += 1;
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
    for (const [index, { after, from, values, quality, commit, kill: how }] of steps.entries()) {
      await clock.advance(after * 1000);
      // A millisecond of its own for each, by which a device's reading is known.
      const timeMs = clock.nowMs() - 1000 + index;
      const samples = readings[from].map(
        (metric, i) => ({ deviceId: from, metric, timeMs, value: values[i] ?? 0, quality }) as Sample,
      );
      sent.push(samples);
      feed(samples);
      if (killing && how === 'at once') kill();
      await clock.advance(0);
      if (commit) await house.log.flush();
      if (killing && how === 'later') kill();
    }
    await clock.advance(0);
    await house.log.flush();
    const told = house.alertStore.list(gridId, {}).flatMap((alert) =>
      house.alertStore
        .events(alert.alert_id)
        // What a rule concluded. How alerts are grouped for people is another matter.
        .filter(({ kind }) => (kind === 'raised' || kind === 'cleared') && ruleIds.has(alert.rule_id))
        .map((event) =>
          [
            event.at_ms - startMs,
            event.kind,
            alert.rule_id,
            alert.device_id,
            alert.metric,
            event.kind === 'raised' ? event.subject.value : 'value' in event ? event.value : '',
          ].join(' '),
        ),
    );
    house.alerts.stop();
    await house.logStore.close();
    return told.sort();
  };
  const result = await fc.check(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }), async (steps) => {
      const whole = await run(steps, false);
      seen += whole.length;
      const killed = await run(steps, true);
      if (JSON.stringify(whole) !== JSON.stringify(killed))
        throw new Error(
          JSON.stringify({
            missing: whole.filter((one) => !killed.includes(one)),
            more: killed.filter((one) => !whole.includes(one)),
            counts: [whole.length, killed.length],
          }),
        );
    }),
    {
      numRuns: Number(process.env.RUNS ?? 6),
      interruptAfterTimeLimit: 120_000,
      endOnFailure: true,
      ...(process.env.SEED === undefined ? {} : { seed: Number(process.env.SEED) }),
    },
  );
  t.comment(`SEED=${result.seed}, ${result.numRuns} runs, ${kills} kills, ${seen} events`);
  if (result.failed) t.fail(`${String(result.errorInstance)}\n${fc.defaultReportMessage(result)}`);
  t.ok(seen > 20 && kills > 20, `${seen} events seen, ${kills} kills`);
});

t.test(
  'a device that is taken out of the site takes its alerts with it at the next start, and they say why',
  async (t) => {
    const clock = testClock(startMs);
    const random = seededRandom(7);
    const path = join(tempDir(t), 'log.db');
    const open = (of: Site) => {
      const logStore = openLogStore({
        path,
        clock,
        realClock: clock,
        random,
        log: silentLogger(),
        trust: () => 'ntp',
        holdMs: 5000,
        maxSamples: 100_000,
        maxBytes: 1e9,
      });
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
    path: join(tempDir(t), 'log.db'),
    clock,
    realClock: clock,
    random,
    log: silentLogger(),
    trust: () => 'ntp',
    holdMs: 5000,
    maxSamples: 100_000,
    maxBytes: 1e9,
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
