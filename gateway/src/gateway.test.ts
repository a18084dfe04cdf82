import { rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import type { MqttClient } from 'mqtt';
import { addConformancePeople, apiConformanceSuite, ask, logIn } from '@villagrid/api/testing';
import {
  createRuleEngine,
  defaultLimits,
  defaultRules,
  legacyDeviceId,
  linkState,
  newId,
  topics,
  type AlertEvent,
  type Clock,
  type ClockTrust,
  type Sample,
} from '@villagrid/contracts';
import { acceleratedClock, cryptoRandom, realClock } from '@villagrid/runtime';
import { stoppedHardSubject } from './health/power-cut.js';
import type { Gateway } from './index.js';
import { Lines } from './live/lines.js';
import { devicePassword, gatewayFolder, gridId, startHouse, until } from './testing/house.js';

// All of it, with real password hashes, on a busy machine.
t.setTimeout(300_000);

const everything = { maxFrames: 100_000, maxBytes: 1e9 };
const frames = (gateway: Gateway) => gateway.log.read(1, everything);
const samplesOf = (gateway: Gateway, deviceId: string): Sample[] =>
  frames(gateway).flatMap(({ frame }) => frame.samples.filter((one) => one.deviceId === deviceId));
const eventsOf = (gateway: Gateway): AlertEvent[] => frames(gateway).flatMap(({ frame }) => [...frame.events]);
const gridOf = (gateway: Gateway) => gateway.api.grids.list()[0]!;
const reading = (seq: number, metrics: object, more: object = {}) =>
  JSON.stringify({ v: 1, boot: 'k3f9', seq, up: seq * 1000, metrics, ...more });
const send = (client: MqttClient, deviceId: string, payload: string) =>
  client.publishAsync(topics.telemetry(gridId, deviceId), payload, { qos: 1 });
/** A temperature measured some seconds ago, told with the node's own clock. */
const temperature = (client: MqttClient, seq: number, value: number, agoS = 0) =>
  send(
    client,
    'cabinet-1',
    reading(seq, { equipment_temp_c: value }, { ts: Math.round(realClock().nowMs() - agoS * 1000) }),
  );
/** The real clock, so many milliseconds ahead. */
const laterClock = (byMs: number): Clock => ({ ...realClock(), nowMs: () => realClock().nowMs() + byMs });
const closing = (client: MqttClient) => new Promise<void>((resolve) => client.once('close', () => resolve()));
const actor = { user_id: 'u1', name: 'Asha' };
const acknowledge = (gateway: Gateway, alertId: string): AlertEvent => ({
  kind: 'acknowledged',
  id: newId(realClock().nowMs(), cryptoRandom()),
  alert_id: alertId,
  grid_id: gridId,
  at_ms: realClock().nowMs(),
  origin: gridOf(gateway).origin,
  actor,
  note: 'the fan was blocked',
});

t.test(
  'a publish is acknowledged after its commit, shows in the summary within a second, and its repeat counts once',
  async (t) => {
    const { gateway, addresses, connect } = await startHouse(t, await gatewayFolder(t));
    const client = await connect('meter-1');
    await send(client, 'meter-1', reading(1, { consumption_kw: 3.4567 }));
    t.match(
      samplesOf(gateway, 'meter-1'),
      [{ metric: 'consumption_kw', value: 3.457, quality: 0 }],
      'it is in the log by then',
    );
    await Promise.all([2, 2, 3, 1].map((seq) => send(client, 'meter-1', reading(seq, { consumption_kw: seq }))));
    await send(
      client,
      'meter-1',
      JSON.stringify({
        v: 1,
        boot: 'k3f9',
        readings: [2, 3, 4].map((seq) => ({ seq, up: seq * 1000, metrics: { consumption_kw: seq } })),
      }),
    );
    t.same(
      samplesOf(gateway, 'meter-1').map((one) => one.value),
      [3.457, 2, 3, 4],
    );
    const other = await connect('cabinet-1');
    for (const value of [31, 32])
      await send(other, 'cabinet-1', JSON.stringify({ v: 1, seq: 1, metrics: { equipment_temp_c: value } }));
    t.same(
      samplesOf(gateway, 'cabinet-1').map((one) => one.value),
      [31, 32],
      'a number without its boot is no identity: a node that started again loses nothing',
    );

    await gateway.accounts.addUser({
      username: 'asha',
      displayName: 'Asha',
      password: 'correct horse battery',
      grants: [{ role: 'operator', scope: { kind: 'grid', grid_id: gridId } }],
    });
    const token = await logIn(addresses.http ?? '', { username: 'asha', password: 'correct horse battery' });
    const summary = await ask(addresses.http ?? '', `/api/dashboard/summary/${gridId}`, { token });
    t.equal(summary.status, 200);
    t.match(summary.json, { figures: { consumption_kw: { value: 4, unit: 'kW' } } });
    const completeness = await ask(addresses.http ?? '', `/api/completeness/${gridId}`, { token });
    t.equal(completeness.status, 200, JSON.stringify(completeness.json).slice(0, 200));
    t.equal((await ask(addresses.http ?? '', '/health')).status, 200);
    t.match(gateway.api.health.prometheus(), /villagrid_gateway_repeats_total 4\n/);
  },
);

t.test(
  'when the log cannot be written nothing is acknowledged; the node sends again and it is there once',
  async (t) => {
    const { gateway, connect } = await startHouse(t, await gatewayFolder(t));
    let broken = true;
    gateway.log.join(() => {
      if (broken) throw new Error('disk full');
    });
    const client = await connect('meter-1');
    let acknowledged = false;
    const closed = closing(client);
    client.publish(
      topics.telemetry(gridId, 'meter-1'),
      reading(1, { consumption_kw: 2 }),
      { qos: 1 },
      (error) => (acknowledged = !error),
    );
    await closed;
    t.equal(acknowledged, false);
    t.equal((await gateway.api.health.check()).status, 'down');
    broken = false;
    await send(await connect('meter-1'), 'meter-1', reading(1, { consumption_kw: 2 }));
    t.equal(samplesOf(gateway, 'meter-1').length, 1);
    t.equal((await gateway.api.health.check()).status, 'ok');
  },
);

t.test('a stop commits and acknowledges what waits for its hold', async (t) => {
  const { gateway, connect } = await startHouse(t, await gatewayFolder(t, { log: { hold_ms: 8000 } }));
  const client = await connect('meter-1');
  const taken = send(client, 'meter-1', reading(1, { consumption_kw: 2 }));
  t.ok(await until(() => gateway.broker.stats().held === 1));
  const stopped = gateway.stop();
  await taken;
  await stopped;
});

t.test(
  '75.25 degrees raise "high temperature on equipment" within two seconds, told on the broker, and it clears',
  async (t) => {
    const { gateway, connect } = await startHouse(t, await gatewayFolder(t));
    const local = await connect();
    const heard: Array<{ event: string; alert: { message: string } }> = [];
    local.on('message', (_topic, payload) => heard.push(JSON.parse(String(payload))));
    await local.subscribeAsync(topics.alerts(gridId));
    const changes: string[] = [];
    gridOf(gateway).subscribe((change) => changes.push(change.type));
    const client = await connect('cabinet-1');
    const clock = realClock();
    const begunMs = clock.monotonicMs();
    await temperature(client, 1, 75.25, 100);
    t.ok(await until(() => heard.length > 0, 2000));
    t.ok(clock.monotonicMs() - begunMs < 2000);
    t.match(heard, [
      {
        event: 'raised',
        alert: {
          message: 'high temperature on equipment',
          severity: 'high',
          device_id: 'cabinet-1',
          value: 75.25,
          limit: 60,
        },
      },
    ]);
    t.match(await gridOf(gateway).alerts({ status: 'active' }), [
      { type: 'high_equipment_temperature', device_name: 'Device cabinet-1', status: 'active' },
    ]);
    t.ok(changes.includes('alert') && changes.includes('samples'));
    const cause = frames(gateway).find(({ frame }) => frame.events.length > 0);
    t.match(cause?.frame.samples, [{ value: 75.25 }], 'alert and cause are one frame');
    for (const [seq, value] of [
      [2, 76],
      [3, 150.5],
      [4, 160],
    ] as const)
      await temperature(client, seq, value, 99);
    t.equal(eventsOf(gateway).length, 1, 'not raised again, and a value out of range changes nothing');
    await temperature(client, 5, 40, 62);
    await temperature(client, 6, 40);
    t.ok(await until(() => heard.some((one) => one.event === 'cleared')));
    t.match(await gridOf(gateway).alerts({}), [{ status: 'resolved' }]);
    await temperature(client, 7, 99, 3600);
    t.equal(eventsOf(gateway).length, 2, 'an hour old: history, not an alarm');
  },
);

t.test('an open alert, its acknowledgement and what is now survive a restart; nothing is raised twice', async (t) => {
  const path = await gatewayFolder(t);
  const first = await startHouse(t, path);
  await temperature(await first.connect('cabinet-1'), 1, 75.25, 100);
  const [alert] = await gridOf(first.gateway).alerts({ status: 'active' });
  const act = acknowledge(first.gateway, alert?.alert_id ?? '');
  await Promise.all([gridOf(first.gateway).append(act), gridOf(first.gateway).append(act)]);
  await gridOf(first.gateway).append(act);
  t.equal(
    eventsOf(first.gateway).filter((one) => one.kind === 'acknowledged').length,
    1,
    'once, however often it comes',
  );
  await t.rejects(gridOf(first.gateway).append({ ...act, id: 'x', grid_id: 'other' }), { code: 'E_GRID_NOT_FOUND' });
  await t.rejects(gridOf(first.gateway).append({ ...act, id: 'y', kind: 'cleared', value: null } as AlertEvent), {
    code: 'E_REQUEST_INVALID',
  });
  for (const foreign of [{ ...act, id: 'z', kind: 'escalated' }, { ...act, id: 'z', actor: null }, null])
    await t.rejects(gridOf(first.gateway).append(foreign as unknown as AlertEvent), { code: 'E_REQUEST_INVALID' });
  await first.gateway.stop();

  const { gateway, connect } = await startHouse(t, path);
  t.match(await gridOf(gateway).alerts({ status: 'active' }), [
    { acknowledged: true, acknowledged_by: actor, notes: [{ text: 'the fan was blocked' }] },
  ]);
  t.match(gridOf(gateway).latest('cabinet-1', 'equipment_temp_c'), { value: 75.25 });
  const client = await connect('cabinet-1');
  await temperature(client, 1, 75.25);
  await temperature(client, 2, 77, 99);
  t.equal(samplesOf(gateway, 'cabinet-1').length, 2, 'the repeat is recognised after the restart');
  t.equal(eventsOf(gateway).filter((one) => one.kind === 'raised').length, 1);
  await temperature(client, 3, 40, 62);
  await temperature(client, 4, 40);
  t.match(await gridOf(gateway).alerts({}), [{ status: 'resolved', acknowledged: true }], 'and it still clears');
});

t.test(
  'a gateway that had lost its power says so when it is back, with how long it was off; an orderly stop is no news',
  async (t) => {
    const path = await gatewayFolder(t);
    const first = await startHouse(t, path, { clock: laterClock(0) });
    await temperature(await first.connect('cabinet-1'), 1, 40);
    await first.gateway.stop();
    const second = await startHouse(t, path, { clock: laterClock(3_600_000) });
    t.same(await gridOf(second.gateway).alerts({}), []);
    await second.gateway.stop();
    // What a power cut leaves: no mark of an orderly end.
    rmSync(join(dirname(path), 'data', 'log.db.clean'));
    const { gateway } = await startHouse(t, path, { clock: laterClock(2 * 3_600_000 + 60_000) });
    await until(async () => (await gridOf(gateway).alerts({})).length > 0);
    t.match(await gridOf(gateway).alerts({}), [
      { type: 'gateway_stopped_hard', status: 'resolved', severity: 'medium', what: /was off for 2 hours/ },
    ]);
  },
);

t.test('how long the gateway was off is told only where its clock was right, and seconds are no news', (t) => {
  const at = (offMs: number, trust: ClockTrust = 'ntp') =>
    stoppedHardSubject({ wallMs: 1_795_000_000_000, trust }, 1_795_000_000_000 + offMs, 'Africa/Nairobi');
  t.equal(at(10_000), undefined);
  t.match(at(60_000), { severity: 'low', what: /14:06 and was off for 1 minute/ });
  t.match(at(10_000, 'none'), { severity: 'medium', what: /how long is not known/ });
  t.match(at(-5000), { what: /how long is not known/ });
  t.end();
});

t.test(
  'a line of which no device answers is one alert that names it, whoever is alone is silent by himself',
  async (t) => {
    const sockets = new Set<Socket>();
    // It takes every question and answers none: a converter whose cable is cut.
    const mute = await Promise.all(
      [0, 1].map(async () => {
        const server = createServer((socket) => void sockets.add(socket.on('error', () => {})));
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        t.teardown(() => server.close());
        return (server.address() as AddressInfo).port;
      }),
    );
    t.teardown(() => sockets.forEach((socket) => socket.destroy()));
    const modbus = ['feeder-a', 'feeder-b', 'lone'];
    const device = (device_id: string, protocol: string) => ({ device_id, name: `Meter ${device_id}`, protocol });
    const polled = (device_id: string, unit: number) => ({ device_id, profile: 'quick', unit, period_s: 5 });
    const path = await gatewayFolder(t, {
      site: {
        grid_id: gridId,
        gateway_id: 'gw-kisima',
        name: 'Kisima',
        devices: [device('node', 'mqtt'), ...modbus.map((id) => device(id, 'modbus'))],
        wiring: {},
      },
      limits: { device_silent_min: 4 },
      modbus: {
        profiles_dir: '.',
        connections: [
          {
            name: 'cabinet',
            host: '127.0.0.1',
            port: mute[0],
            devices: [polled('feeder-a', 1), polled('feeder-b', 2)],
          },
          { name: 'far', host: '127.0.0.1', port: mute[1], devices: [polled('lone', 1)] },
        ],
      },
    });
    writeFileSync(
      join(dirname(path), 'quick.yaml'),
      `
profile: 1
id: quick
vendor: Test
models: [quick]
kind: meter
transport: { tcp: { port: 502, unit: 1 } }
limits: { timeout_ms: 100 }
points: [{ key: v, address: 0, type: u16, unit: V, metric: ac_output_voltage_v }]
sources: { test: test }
`,
    );
    const nowMs = realClock().nowMs();
    const clock = acceleratedClock({ realEpochMs: nowMs, villageEpochMs: nowMs, speed: 60 });
    const { gateway } = await startHouse(t, path, { clock });
    const told = async () =>
      (await gridOf(gateway).alerts({})).map((one) => `${one.type} ${one.device_id ?? ''}`.trim());
    await until(async () => (await told()).length >= 3, 30_000);
    t.same((await told()).sort(), ['device_silent lone', 'device_silent node', 'line_down']);
    const [line] = (await gridOf(gateway).alerts({})).filter((one) => one.type === 'line_down');
    t.match(line, {
      message: 'a line to devices is broken',
      what: `None of the 2 devices on 127.0.0.1:${mute[0]} answers: Meter feeder-a and Meter feeder-b.`,
    });
  },
);

t.test('what an alert says of broken lines: which, whom they carry, and what was seen', (t) => {
  const lines = new Lines();
  const words = () => lines.words((id) => `Meter ${id}`);
  const ids = ['1', '2', '3', '4', '5', '6'];
  lines.set('/dev/rs485', 'up', ids, 'it is open');
  for (const id of ids.slice(1)) lines.setDevice(id, 'down');
  t.same([lines.downCount, lines.keepsBack('2'), words()], [0, false, undefined], 'one of them was not heard of yet');
  lines.setDevice('1', 'down');
  t.same([lines.downCount, lines.keepsBack('2'), lines.keepsBack('9')], [1, true, false]);
  t.equal(
    words()?.what,
    'None of the 6 devices on /dev/rs485 answers: Meter 1, Meter 2, Meter 3, Meter 4 and 2 more devices.',
  );
  lines.set('/dev/rs485', 'down', ids.slice(0, 2), 'the adapter is gone');
  lines.set('10.0.0.7:502', 'down', ['9'], '');
  t.match(words(), {
    message: '2 lines to devices are broken',
    what: '/dev/rs485 cannot be reached, and with it Meter 1 and Meter 2. The adapter is gone. 10.0.0.7:502 cannot be reached, and with it Meter 9.',
  });
  const again = new Lines(lines.state());
  t.same([again.downCount, again.words((id) => `Meter ${id}`)], [2, words()], 'it is broken also after a restart');
  again.set('10.0.0.7:502', 'up', ['9'], 'it is connected');
  t.equal(again.downCount, 1, 'until it is heard of');
  t.equal(new Lines(lines.state(), (line) => line === '10.0.0.7:502').downCount, 1, 'a line that is no more is not');
  t.same([new Lines('{').downCount, new Lines('[[1]]').downCount], [0, 0]);
  lines.set('10.0.0.7:502', 'up', ['9']);
  lines.set('/dev/rs485', 'up', ids);
  lines.setDevice('3', 'up');
  t.equal(lines.downCount, 0);
  t.end();
});

t.test('foreign topic, wrong password, broken JSON, 1e999 and a megabyte harm nobody', async (t) => {
  const { gateway, lines, connect } = await startHouse(t, await gatewayFolder(t));
  const good = await connect('meter-1');
  let seq = 0;
  const goodGoesOn = async (t: Test, after: string) => {
    seq += 1;
    await send(good, 'meter-1', reading(seq, { consumption_kw: seq }));
    t.equal(samplesOf(gateway, 'meter-1').length, seq, `after ${after}`);
  };
  await t.rejects(connect('cabinet-1', { password: 'canary-wrong' }), { code: 5 });
  await t.rejects(connect('cabinet-1', { username: 'othergrid/cabinet-1' }), { code: 5 });
  await t.rejects(connect('nobody'), { code: 5 });
  await connect('cabinet-1', { username: `${gridId}/cabinet-1` });
  await goodGoesOn(t, 'wrong passwords');
  for (const topic of [
    topics.telemetry(gridId, 'meter-1'),
    topics.telemetry('other', 'cabinet-1'),
    topics.command(gridId, 'cabinet-1'),
    topics.legacyData,
    topics.alerts(gridId),
    'anything',
  ]) {
    const client = await connect('cabinet-1');
    const closed = closing(client);
    client.publish(topic, reading(1, { consumption_kw: 9 }), { qos: 1 }, () => {});
    await closed;
  }
  t.ok(lines.some((line) => line.code === 'E_TOPIC_FORBIDDEN'));
  const spy = await connect('cabinet-1');
  for (const filter of ['#', topics.command(gridId, 'meter-1'), topics.alerts(gridId)])
    await t.rejects(spy.subscribeAsync(filter));
  await spy.subscribeAsync(topics.command(gridId, 'cabinet-1'));
  await goodGoesOn(t, 'foreign topics');
  for (const poison of [
    '{"v":1,',
    '[]',
    'null',
    '{"v":2,"metrics":{}}',
    '{"v":1,"metrics":[1]}',
    '{"seq":-1,"metrics":{}}',
    '\uFFFD',
  ])
    await send(spy, 'cabinet-1', poison);
  await send(
    spy,
    'cabinet-1',
    '{"v":1,"boot":"b","seq":1,"up":1,"metrics":{"equipment_temp_c":1e999,"humidity_pct":51,"strange":1,"Bad Name":2,"ambient_temp_c":"x"}}',
  );
  t.match(
    samplesOf(gateway, 'cabinet-1')
      .map(({ metric, value, quality }) => [metric, value, quality])
      .sort(),
    [
      ['ambient_temp_c', null, 69],
      ['equipment_temp_c', null, 65],
      ['humidity_pct', 51, 0],
      ['strange', 1, 2],
    ],
  );
  const refusals = lines.filter((line) => line.msg.startsWith('a payload was refused'));
  t.same(refusals.map((line) => line.code).sort(), ['E_PAYLOAD_NOT_JSON', 'E_PAYLOAD_SCHEMA'], 'one line per reason');
  t.match(gateway.api.health.prometheus(), /refused_total\{reason="E_PAYLOAD_SCHEMA"\} 5\n/);
  await goodGoesOn(t, 'poison');
  const invented = (from: number) =>
    Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`invented_${from + index}`, 1]));
  const other = await connect('battery-1');
  for (let from = 0; from < 320; from += 64)
    await send(other, 'battery-1', JSON.stringify({ metrics: invented(from) }));
  await send(other, 'battery-1', '{"metrics":{"battery_soc_pct":55}}');
  t.match(gateway.api.health.prometheus(), /findings_total\{finding="too_many_series"\} 64\n/);
  t.match(gridOf(gateway).latest('battery-1', 'battery_soc_pct'), { value: 55 }, 'a wired series is always taken');
  const closed = closing(spy);
  spy.publish(topics.telemetry(gridId, 'cabinet-1'), 'x'.repeat(1_000_000), { qos: 1 }, () => {});
  await closed;
  await goodGoesOn(t, 'a megabyte');
  t.notMatch(JSON.stringify(lines), new RegExp(`canary|${devicePassword}`));
});

t.test(
  "the prototype's message and alert texts are taken from a program on the box, and only its two topics",
  async (t) => {
    const { gateway, connect } = await startHouse(t, await gatewayFolder(t));
    const node = await connect();
    const clock = realClock();
    const message = {
      timestamp: Math.floor(clock.nowMs() / 1000),
      live_power_consumption: 12.5,
      live_generation: 8.2,
      battery_soc: 76,
      temp_equipment: 41.5,
      solar_irradiance: 65,
    };
    await node.publishAsync(topics.legacyData, JSON.stringify(message), { qos: 1 });
    t.match(
      samplesOf(gateway, legacyDeviceId).map(({ metric, value, timeMs }) => [metric, value, timeMs]),
      [
        ['consumption_kw', 12.5, message.timestamp * 1000],
        ['generation_kw', 8.2],
        ['battery_soc_pct', 76],
        ['equipment_temp_c', 41.5],
        ['irradiance_w_m2', 650],
      ],
    );
    const say = (text: string) => node.publishAsync(topics.legacyAlerts, text, { qos: 1 });
    for (const text of [
      'Warning: unusual load increase',
      'Warning: unusual load increase',
      'Warning: high temperature on equipment',
      '  ',
    ])
      await say(text);
    const active = await gridOf(gateway).alerts({ status: 'active' });
    t.same(active.map((one) => [one.type, one.severity, one.message]).sort(), [
      ['legacy', 'high', 'Warning: high temperature on equipment'],
      ['legacy', 'high', 'Warning: unusual load increase'],
    ]);
    const closed = closing(node);
    node.publish(topics.telemetry(gridId, 'meter-1'), reading(1, { consumption_kw: 1 }), { qos: 1 }, () => {});
    await closed;
    t.equal(samplesOf(gateway, 'meter-1').length, 0);
  },
);

t.test('settings say how fast a client may send, 0 is no limit, and how many connections there may be', async (t) => {
  const flood = async (settings: object): Promise<number> => {
    const { gateway, connect } = await startHouse(t, await gatewayFolder(t, { mqtt_limits: settings }));
    const client = await connect('meter-1');
    const sent = Array.from({ length: 300 }, (_, i) => send(client, 'meter-1', reading(i + 1, { consumption_kw: i })));
    let all = false;
    Promise.all(sent).then(
      () => (all = true),
      () => {},
    );
    await until(() => all || gateway.broker.stats().throttled > 0);
    return gateway.broker.stats().throttled;
  };
  t.ok((await flood({ packets_per_second: 100 })) > 0, 'held back');
  t.equal(await flood({ packets_per_second: 0 }), 0, 'not held back');
  const { connect } = await startHouse(t, await gatewayFolder(t, { mqtt_limits: { max_connections: 1 } }));
  await connect('meter-1');
  await t.rejects(connect('cabinet-1'));
});

t.test('last will and status tell the link, a take-over does not, and the change is in the log', async (t) => {
  const { gateway, connect } = await startHouse(t, await gatewayFolder(t));
  const will = {
    topic: topics.status(gridId, 'meter-1'),
    payload: Buffer.from('offline'),
    qos: 1 as const,
    retain: false,
  };
  const link = () => gridOf(gateway).link('meter-1');
  t.equal(link(), undefined);
  const first = await connect('meter-1', { will, clientId: 'meter-1' });
  t.ok(await until(() => link() === 'up'));
  const closed = closing(first);
  const second = await connect('meter-1', { will, clientId: 'meter-1' });
  await closed;
  await realClock().sleep(50);
  t.equal(link(), 'up');
  second.stream.destroy();
  t.ok(await until(() => link() === 'down'));
  const states = () => frames(gateway).flatMap(({ frame }) => frame.entries.filter((one) => one.type === 'link_state'));
  t.ok(await until(() => states().length === 2));
  t.match(states(), [{ state: 'online' }, { state: 'offline' }]);
  await connect('meter-1');
  t.ok(await until(() => link() === 'up'));
});

t.test(
  'a device whose link was down before a restart is offline after it, whatever its age, until it is heard',
  async (t) => {
    const path = await gatewayFolder(t);
    const first = await startHouse(t, path);
    const dead = await first.connect('cabinet-1', {
      will: { topic: topics.status(gridId, 'cabinet-1'), payload: Buffer.from('offline'), qos: 1, retain: false },
    });
    await temperature(dead, 1, 40);
    dead.stream.destroy();
    const offline = () =>
      frames(first.gateway).some(({ frame }) =>
        frame.entries.some((one) => one.type === 'link_state' && one.state === 'offline'),
      );
    t.ok(await until(offline));
    await first.gateway.stop();

    const { gateway, connect } = await startHouse(t, path);
    const stateAfter = (ageMs: number) => {
      const grid = gridOf(gateway);
      const { timeMs = 0 } = grid.latest('cabinet-1', 'equipment_temp_c') ?? {};
      return linkState(timeMs, timeMs + ageMs, 10_000, grid.link('cabinet-1'));
    };
    t.equal(stateAfter(4 * 60_000), 'offline', 'not late');
    await temperature(await connect('cabinet-1'), 2, 41);
    t.ok(await until(() => gridOf(gateway).link('cabinet-1') === 'up'));
    t.equal(stateAfter(1000), 'connected');
  },
);

t.test('drivers’ readings go the same way: judged, kept, shown', async (t) => {
  const { gateway } = await startHouse(t, await gatewayFolder(t));
  const nowMs = realClock().nowMs();
  gateway.sink.reading({
    deviceId: 'battery-1',
    timeMs: nowMs,
    values: { battery_soc_pct: 64.26, dc_bus_voltage_v: 9999, dc_bus_current_a: null },
  });
  gateway.sink.link('battery-1', 'down', 'no answer');
  t.ok(await until(() => samplesOf(gateway, 'battery-1').length === 3));
  t.match(
    samplesOf(gateway, 'battery-1').map(({ metric, value, quality }) => [metric, value, quality]),
    [
      ['battery_soc_pct', 64.3, 0],
      ['dc_bus_voltage_v', 9999, 64],
      ['dc_bus_current_a', null, 66],
    ],
  );
  t.equal(gridOf(gateway).link('battery-1'), 'down');
  for (const [ahead, value] of [
    [3_600_000, 70],
    [0, 71],
    [-60_000, 72],
  ] as const)
    gateway.sink.reading({ deviceId: 'battery-1', timeMs: nowMs + ahead, values: { battery_soc_pct: value } });
  t.match(
    gridOf(gateway).latest('battery-1', 'battery_soc_pct'),
    { value: 71 },
    'what was dated before the clock was set back by an hour does not stay the newest, what is late does not become it',
  );
  for (const [i, value] of [21, 69, 22].entries())
    gateway.sink.reading({ deviceId: 'battery-1', timeMs: nowMs + i * 1000, values: { ambient_temp_c: value } });
  const air = () => samplesOf(gateway, 'battery-1').filter(({ metric }) => metric === 'ambient_temp_c');
  t.ok(await until(() => air().length === 3));
  t.match(
    air().map(({ value, quality }) => [value, quality]),
    [
      [21, 0],
      [69, 68],
      [22, 0],
    ],
    'a jump that cannot be is kept, and marked bad',
  );
});

t.test(
  'a node’s reading with a jump is kept whole: the odd value bad, the others good, by whatever way it is read',
  async (t) => {
    const { gateway, connect } = await startHouse(t, await gatewayFolder(t));
    const meter = await connect('meter-1');
    const charges = [95, 94, 94.5, 3, 94];
    for (const [seq, charge] of charges.entries())
      await send(meter, 'meter-1', reading(seq + 1, { battery_soc_pct: charge, consumption_kw: 4 + seq / 10 }));
    const of = (wanted: string) => samplesOf(gateway, 'meter-1').filter(({ metric }) => metric === wanted);
    t.ok(await until(() => of('consumption_kw').length === charges.length));
    const bad = (samples: ReturnType<typeof of>) =>
      samples.filter(({ quality }) => quality >= 64).map(({ value }) => value);
    t.same(bad(of('battery_soc_pct')), [3]);
    t.same(bad(of('consumption_kw')), []);
    t.equal(of('battery_soc_pct').length, charges.length);
  },
);

t.test('a gateway answers as the API says', (t) =>
  apiConformanceSuite(t, async () => {
    const { gateway, addresses, connect } = await startHouse(t, await gatewayFolder(t));
    const meter = await connect('meter-1');
    const program = await connect();
    let seq = 0;
    let alerts = 0;
    return {
      url: addresses.http ?? '',
      gridId,
      people: await addConformancePeople(gateway.accounts, gridId),
      figure: 'consumption_kw',
      values: [4.25, 5.5],
      feed: (value) => send(meter, 'meter-1', reading((seq += 1), { consumption_kw: value })).then(() => {}),
      async raiseAlert() {
        // Each text of the prototype is an alert of its own; figures in it do not make it another one.
        const text = `Warning: trouble ${'x'.repeat((alerts += 1))}`;
        await program.publishAsync(topics.legacyAlerts, text, { qos: 1 });
        const raised = (await gridOf(gateway).alerts({ status: 'active' })).find(({ message }) => message === text);
        return raised?.alert_id ?? '';
      },
      stop: () => gateway.stop(),
    };
  }),
);

t.test(
  'a silent device is told ten minutes after its last word, also when the gateway starts again meanwhile',
  async (t) => {
    const rules = defaultRules(defaultLimits());
    const minute = 60_000;
    const heardMs = 1_795_600_000_000;
    const options = { rules, devices: ['cabinet-1', 'never-1'], context: { figure: () => undefined } };
    const first = createRuleEngine(options);
    first.onTick(heardMs);
    first.onSeriesSample({ deviceId: 'cabinet-1', metric: 'equipment_temp_c', timeMs: heardMs, value: 30 });
    /** Minutes after the last word at which each device is told, when the gateway is off until a minute. */
    const told = (startMin: number) => {
      const sinceMs = heardMs + startMin * minute;
      const engine = createRuleEngine({ ...options, saved: first.exportState() });
      engine.restarted(new Set(), { sinceMs, graceMs: minute });
      const found: Record<string, number> = {};
      for (let nowMs = sinceMs; nowMs < sinceMs + 30 * minute; nowMs += 5000)
        for (const { deviceId, transition } of engine.onTick(nowMs))
          if (transition.type === 'raise') found[deviceId ?? ''] = (nowMs - heardMs) / minute;
      return found;
    };
    t.same(told(0.25), { 'cabinet-1': 10, 'never-1': 10 });
    t.same(told(7), { 'cabinet-1': 10, 'never-1': 10 });
    t.same(told(90), { 'cabinet-1': 91, 'never-1': 91 }, 'who was not listened to has a minute to speak');
  },
);
