/** What rang in the village and what a back-test over its stored history gives are the same, one for one. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import type { RuleTest } from '@villagrid/contracts';
import { testClock } from '@villagrid/runtime/testing';
import { ask, logIn } from '@villagrid/api/testing';
import { gatewayFolder, gridId, startHouse, until } from '../testing/house.js';

const given = process.env.SEED;
const startMs = Date.UTC(2026, 10, 27, 18);
const stepMs = 30_000;
const steps = 110;
const wire = (device_id: string, metric: string) => ({ terms: [{ device_id, metric }] });
const ids = ['cabinet-1', 'meter-1', 'battery-1'] as const;
const site = {
  grid_id: gridId,
  gateway_id: 'gw-kisima',
  name: 'Kisima',
  zone: 'Africa/Nairobi',
  plant: { pv_kwp: 20 },
  devices: ids.map((device_id) => ({ device_id, name: `Device ${device_id}`, protocol: 'mqtt' })),
  wiring: {
    'equipment_temp_c.cabinet': wire('cabinet-1', 'equipment_temp_c'),
    irradiance_w_m2: wire('cabinet-1', 'irradiance_w_m2'),
    consumption_kw: wire('meter-1', 'consumption_kw'),
    generation_kw: wire('meter-1', 'generation_kw'),
    battery_soc_pct: wire('battery-1', 'battery_soc_pct'),
  },
};

/** Rules of the site's own, of the kinds that no default rule has; with a schedule and with an alert that goes on. */
const words = { severity: 'low', message: 'm', what: 'w', why: 'y', steps: ['s'] };
const siteRules = [
  {
    ...words,
    id: 'evening_load',
    kind: 'expression',
    selector: { scope: 'figure', metric: 'consumption_kw' },
    parameters: {
      when: 'consumption_kw > 1.2 * usual && charge < 65',
      inputs: {
        usual: { metric: 'consumption_kw', window_ms: 300_000, fold: 'mean' },
        charge: { metric: 'battery_soc_pct' },
      },
      on_delay_ms: 0,
      off_delay_ms: 60_000,
    },
    keep_firing_ms: 120_000,
  },
  {
    ...words,
    id: 'sun_jump',
    kind: 'rate_of_change',
    selector: { scope: 'series', metric: 'irradiance_w_m2', device_id: 'cabinet-1' },
    parameters: { rises_by: 100, window_ms: 60_000 },
  },
  {
    ...words,
    id: 'sun_is_up',
    kind: 'state',
    selector: { scope: 'series', metric: 'irradiance_w_m2' },
    parameters: { is: [200, 201, 202, 203, 204], off_delay_ms: 60_000 },
    schedule: { hours: [{ from: '21:00', to: '21:30' }] },
  },
];

/** A stretch of the village's life: levels, and who says nothing. */
const stretch = fc.record({
  steps: fc.integer({ min: 1, max: 16 }),
  hot: fc.constantFrom(40, 59, 66, 66),
  sun: fc.constantFrom(200, 700, 800),
  load: fc.constantFrom(5, 13.5, 17, 17),
  made: fc.constantFrom(2, 3, 9),
  charge: fc.constantFrom(60, 28, 20),
  silent: fc.constantFrom(undefined, undefined, ...ids),
  /** A value that is none, now and then. */
  odd: fc.constantFrom(false, false, true),
});

const sunny = { steps: 1, hot: 40, sun: 800, load: 5, made: 2, charge: 60, silent: undefined, odd: false } as const;

async function liveAndTested(t: Test, seed: number): Promise<void> {
  t.comment(`SEED=${seed}`);
  const life = fc
    .sample(fc.array(stretch, { minLength: 60, maxLength: 60 }), { seed, numRuns: 1 })
    .flat()
    .flatMap((one) => Array.from({ length: one.steps }, () => one))
    .slice(0, steps);
  // A sunny stretch that is long enough for the slowest of the rules.
  life.splice(10, 24, ...Array.from({ length: 24 }, () => sunny));
  const path = await gatewayFolder(t, { site, limits: { device_silent_min: 2 }, log: { hold_ms: 1 } });
  mkdirSync(join(dirname(path), 'rules'));
  for (const rule of siteRules) writeFileSync(join(dirname(path), 'rules', `${rule.id}.yaml`), stringify(rule));
  const clock = testClock(startMs);
  const { gateway, addresses } = await startHouse(t, path, { clock });
  const { sink } = gateway;
  for (const [step, one] of life.entries()) {
    if (step > 0) await clock.advance(stepMs);
    const timeMs = clock.nowMs();
    const ripple = (step * 7) % 10;
    const say = (deviceId: (typeof ids)[number], values: Record<string, number>) =>
      one.silent === deviceId && step > 0 ? undefined : sink.reading({ deviceId, timeMs, values });
    say('cabinet-1', { equipment_temp_c: one.hot + ripple / 10, irradiance_w_m2: one.sun + ripple });
    say('meter-1', {
      consumption_kw: one.odd ? -1e9 : one.load + ripple / 100,
      generation_kw: one.made + ripple / 100,
    });
    say('battery-1', { battery_soc_pct: one.charge + ripple / 10 });
  }
  await gateway.log.flush();
  const grants = [{ role: 'operator' as const, scope: { kind: 'grid' as const, grid_id: gridId } }];
  const person = { username: 'asha', password: 'long enough for asha' };
  await gateway.accounts.addUser({ ...person, displayName: 'Asha', grants });
  const url = addresses.http ?? '';
  const token = await logIn(url, person);
  const { json: list } = await ask(url, `/api/rules/${gridId}`, { token });
  for (const { id } of siteRules)
    t.ok(
      list.rules.some((one: { rule_id: string }) => one.rule_id === id),
      `${id} is in force`,
    );
  let raised = 0;
  const kinds = new Set<string>();
  for (const { rule_id, kind, testable } of list.rules) {
    if (!testable) continue;
    const tests = `/api/rules/${gridId}/tests`;
    const body = { rule_id, from: String(startMs), to: String(clock.nowMs()) };
    const begun = await ask(url, tests, { method: 'POST', token, body });
    let test: RuleTest = begun.json;
    await until(async () => {
      test = (await ask(url, `${tests}/${test.test_id}`, { token })).json;
      return test.state !== 'running' && test.state !== 'waiting';
    }, 60_000);
    const { live, variants } = test.result ?? {};
    const events = variants?.[0]?.occurrences ?? [];
    t.same(events, live?.occurrences, `${rule_id}: ${events.length} times`);
    raised += events.length;
    if (events.length > 0) kinds.add(kind);
  }
  await gateway.stop();
  // Another seed's village may be a quiet one.
  if (given !== undefined) return;
  t.ok(raised >= 5, `${raised} alerts were compared`);
  for (const kind of ['comparison', 'expression', 'no_data', 'rate_of_change', 'state', 'threshold'])
    t.ok(kinds.has(kind), `${kind} was raised`);
}

const seeds = given === undefined ? [1, 2] : [Number(given)];
for (const seed of seeds)
  t.test('the same samples live and in a back-test give the same events', (t) => liveAndTested(t, seed));
