import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { ask, logIn } from '@villagrid/api/testing';
import { testClock } from '@villagrid/runtime/testing';
import { gatewayFolder, gridId, startHouse, until } from '../testing/house.js';

t.setTimeout(300_000);

const minute = 60_000;
const hour = 3_600_000;

/** Noise of -1 to 1 that is the same in every run. */
const wobble = (n: number): number => ((Math.imul(n ^ 0x5bd1e995, 0x85ebca6b) >>> 8) % 2001) / 1000 - 1;

/** A plant of two inverters over the day: sun with clouds, an evening load. */
function plant(timeMs: number) {
  const at = Math.floor(timeMs / (7.5 * minute));
  const ofDay = ((timeMs / hour + 3) % 24) / 24;
  const sun = Math.max(0, Math.sin((ofDay - 0.25) * 2 * Math.PI)) * 900 * (0.8 + 0.15 * wobble(at));
  const load = (3 + 2 * Math.exp(-(((ofDay - 0.82) * 12) ** 2))) * (1 + 0.05 * wobble(at * 7));
  return { sun, load, made: (sun / 1000) * 9.5, volts: 231 - 0.4 * load + 0.1 * wobble(at * 3) };
}

/** Rules of the site's own on what is usual, of a figure and of a device's series. */
const usualRules = [
  { id: 'village_uses_more', selector: { scope: 'figure', metric: 'consumption_kw' } },
  { id: 'meter_shows_more', selector: { scope: 'series', metric: 'consumption_kw' } },
].map((rule) => ({
  ...rule,
  kind: 'deviation',
  parameters: { side: 'above', least: 1, min_days: 5, on_delay_ms: 0, off_delay_ms: 0 },
  severity: 'low',
  message: 'm',
  what: '{value} {unit}, usual is {limit} at most',
  why: 'y',
  steps: ['s'],
}));

t.test('an inverter that stops in the sun is one alert that explains itself, also after a restart', async (t) => {
  const wire = (...terms: [device_id: string, metric: string][]) => ({
    terms: terms.map(([device_id, metric]) => ({ device_id, metric })),
  });
  const path = await gatewayFolder(t, {
    site: {
      grid_id: gridId,
      gateway_id: 'gw-kisima',
      name: 'Kisima',
      zone: 'Africa/Nairobi',
      plant: { pv_kwp: 20 },
      devices: ['sun-1', 'pv-1', 'pv-2', 'meter-1'].map((device_id) => ({
        device_id,
        name: `Device ${device_id}`,
        protocol: 'mqtt',
        period_s: 450,
      })),
      wiring: {
        irradiance_w_m2: wire(['sun-1', 'irradiance_w_m2']),
        generation_kw: wire(['pv-1', 'generation_kw'], ['pv-2', 'generation_kw']),
        consumption_kw: wire(['meter-1', 'consumption_kw']),
        ac_output_voltage_v: wire(['meter-1', 'ac_output_voltage_v']),
      },
    },
  });
  mkdirSync(join(dirname(path), 'rules'));
  for (const rule of usualRules) writeFileSync(join(dirname(path), 'rules', `${rule.id}.yaml`), stringify(rule));
  // Half past eleven in the village.
  const startMs = Date.UTC(2026, 10, 28, 8, 30);
  const clock = testClock(startMs - minute);
  const { gateway, addresses } = await startHouse(t, path, { clock });
  await gateway.accounts.addUser({
    username: 'asha',
    displayName: 'Asha',
    password: 'correct horse battery',
    grants: [{ role: 'viewer', scope: { kind: 'grid', grid_id: gridId } }],
  });
  const login = { username: 'asha', password: 'correct horse battery' };
  const token = await logIn(addresses.http ?? '', login);
  const insight = async () => (await ask(addresses.http ?? '', `/api/insight/${gridId}`, { token })).json;
  const measure = (running: typeof gateway, fromMs: number, toMs: number, pv1: number, used = 1) => {
    for (let timeMs = fromMs; timeMs < toMs; timeMs += 7.5 * minute) {
      const { sun, load, made, volts } = plant(timeMs);
      running.sink.reading({ deviceId: 'sun-1', timeMs, values: { irradiance_w_m2: sun } });
      running.sink.reading({ deviceId: 'pv-1', timeMs, values: { generation_kw: made * pv1 } });
      running.sink.reading({ deviceId: 'pv-2', timeMs, values: { generation_kw: made } });
      running.sink.reading({
        deviceId: 'meter-1',
        timeMs,
        values: { consumption_kw: load * used, ac_output_voltage_v: volts },
      });
    }
    running.log.flush();
  };

  measure(gateway, startMs - 6 * 24 * hour, startMs, 1);
  await until(async () => {
    const { until_ms, behind } = await insight();
    return !behind && until_ms >= startMs - hour;
  }, 120_000);
  t.match(await insight(), { anomaly: null, learnt_days: 6, recent: [] }, 'six ordinary days are learnt');

  const grid = gateway.api.grids.list()[0]!;
  const told = async () => (await grid.alerts({})).filter((one) => one.rule_id === 'out_of_the_ordinary');
  const unusual = async (running: typeof gateway) =>
    (await running.api.grids.list()[0]!.alerts({}))
      .filter(({ rule_id }) => usualRules.some(({ id }) => id === rule_id))
      .map(({ rule_id, status }) => `${rule_id} ${status}`)
      .sort();
  // A minute after the start it looks by itself, and keeps what was learnt with the next commits.
  await clock.advance(minute);
  let ordinaryMs = startMs - 5 * minute;
  const saysAsUsual = () => {
    measure(gateway, ordinaryMs, ordinaryMs + 1, 1);
    ordinaryMs += 1000;
    return gateway.log.flush();
  };
  const isKept = await until(async () => {
    await saysAsUsual();
    return gateway.log.state('insight_usual_day') !== undefined;
  }, 60_000);
  t.ok(isKept, 'it is kept, although who looked at the page had it learnt before');
  await saysAsUsual();
  t.same(await unusual(gateway), [], 'what is as usual is told by no rule');
  for (let i = 0; i < 8 && (await told()).length === 0; i += 1) {
    const nowMs = clock.nowMs();
    measure(gateway, nowMs, nowMs + 15 * minute, 0);
    await clock.advance(15 * minute);
    await insight();
    await clock.advance(0);
    await until(async () => (await told()).length > 0, 100);
  }
  t.match(await told(), [
    {
      status: 'active',
      severity: 'medium',
      device_id: 'pv-1',
      metric: 'generation_kw',
      what: /^Generation of Device pv-1 is 0 kW; .* kW would be ordinary\.$/,
      why: /What makes the alarm|It alone makes the alarm/,
    },
  ]);
  const found = await insight();
  t.match(found.anomaly, {
    until_ms: null,
    inputs: [{ device_id: 'pv-1', metric: 'generation_kw', kind: 'off' }],
    silenced_by: { from: 0 },
  });

  const bothAre = (status: string) => usualRules.map(({ id }) => `${id} ${status}`).sort();
  const laterMs = clock.nowMs();
  t.same(await unusual(gateway), [], 'still all use is as usual');
  measure(gateway, laterMs, laterMs + 1, 0, 2);
  await until(async () => (await unusual(gateway)).length > 1, 60_000);
  t.same(await unusual(gateway), bothAre('active'), 'twice of what is usual is told by the rules of this site');

  await gateway.stop();
  const again = await startHouse(t, path, { clock });
  const tokenAgain = await logIn(again.addresses.http ?? '', login);
  const isBack = await until(async () => {
    const { json } = await ask(again.addresses.http ?? '', `/api/insight/${gridId}`, { token: tokenAgain });
    return json.anomaly?.since_ms === found.anomaly.since_ms;
  }, 60_000);
  t.ok(isBack, 'what was found is found again');
  const alerts = await again.gateway.api.grids.list()[0]!.alerts({});
  t.equal(alerts.filter((one) => one.rule_id === 'out_of_the_ordinary').length, 1, 'it is still the same one');

  t.same(await unusual(again.gateway), bothAre('active'), 'and so are those of what is not usual');
  measure(again.gateway, laterMs + 1, laterMs + 2, 0);
  await until(async () => (await unusual(again.gateway)).join() === bothAre('resolved').join(), 60_000);
  t.same(await unusual(again.gateway), bothAre('resolved'), 'what was learnt before the restart tells what is usual');
});
