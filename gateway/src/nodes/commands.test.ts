/** Commands to nodes and the time for them, over a whole gateway: API on one side, nodes on the other. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AddressInfo, Server } from 'node:net';
import { ServerTCP } from 'modbus-serial';
import type { MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { ask, logIn } from '@villagrid/api/testing';
import {
  topics,
  type CommandDown,
  type CommandOutcome,
  type CommandReady,
  type NodeCommand,
  type NodeTime,
} from '@villagrid/contracts';
import {
  createCommandStore,
  cryptoRandom,
  hashSecret,
  openDatabase,
  realClock,
  silentLogger,
} from '@villagrid/runtime';
import { tempDir, testClock } from '@villagrid/runtime/testing';
import type { Gateway } from '../index.js';
import { NodeCommands } from './commands.js';
import { RemoteCommands } from './remote-commands.js';
import { devicePassword, gatewayFolder, gridId, startHouse, until } from '../testing/house.js';

const ids = ['pump', 'shop', 'bystander'];
const polled = ['relays', 'meter'];
const clock = realClock();

/** A gateway with a pump that speaks our form, a Tasmota plug, and a device without commands. */
async function folder(t: Test, commands: object, modbusPort?: number): Promise<string> {
  const path = await gatewayFolder(t, {
    site: {
      grid_id: gridId,
      gateway_id: 'gw-kisima',
      name: 'Kisima',
      plant: {},
      devices: [
        ...ids.map((device_id) => ({ device_id, name: `The ${device_id}`, protocol: 'mqtt' })),
        ...polled.map((device_id) => ({ device_id, name: `The ${device_id}`, protocol: 'modbus' })),
      ],
      wiring: {},
    },
    commands,
    ...(modbusPort === undefined
      ? {}
      : {
          modbus: {
            profiles_dir: 'profiles',
            connections: [
              {
                name: 'box',
                host: '127.0.0.1',
                port: modbusPort,
                devices: [
                  { device_id: 'relays', profile: 'relays', unit: 1, period_s: 0.5, commands: ['siren', 'limit'] },
                  { device_id: 'meter', profile: 'relays', unit: 2, period_s: 0.5 },
                ],
              },
            ],
          },
        }),
    mqtt_devices: {
      mappings_dir: 'mappings',
      devices: [
        { device_id: 'pump', mapping: 'pump', commands: ['run', 'speed'] },
        { device_id: 'shop', mapping: 'tasmota', node: 'plug', commands: ['power'] },
      ],
    },
  });
  const secret = await hashSecret(devicePassword, cryptoRandom(), { logN: 10 });
  writeFileSync(
    join(dirname(path), 'device-credentials.json'),
    JSON.stringify({ devices: Object.fromEntries(ids.map((id) => [id, { secret }])) }),
    { mode: 0o600 },
  );
  mkdirSync(join(dirname(path), 'profiles'));
  writeFileSync(join(dirname(path), 'profiles', 'relays.yaml'), relaysProfile);
  mkdirSync(join(dirname(path), 'mappings'));
  writeFileSync(
    join(dirname(path), 'mappings', 'pump.yaml'),
    stringify({
      mapping: 1,
      id: 'pump',
      title: 'Pump',
      own: true,
      commands: [
        {
          name: 'run',
          label: 'Let it run',
          role: 'operator',
          choices: { yes: { send: true }, no: { send: false } },
          safe: 'no',
        },
        { name: 'speed', label: 'Speed', number: { min: 0, max: 50, unit: 'Hz' } },
        { name: 'secret', label: 'Not allowed by the settings', choices: { x: { send: 1 } } },
      ],
      command_examples: [{ command: 'run', value: 'yes', sends: 'true', answer: 'true' }],
      sources: {},
    }),
  );
  return path;
}

const relaysProfile = `
profile: 1
id: relays
vendor: Test
models: [relays]
kind: other
transport: { tcp: { port: 502, unit: 1 } }
limits: { timeout_ms: 300 }
points:
  - { key: siren_is, address: 0, type: enum16 }
  - { key: limit_is, address: 1, type: u16, scale: 0.1, unit: V }
  - { key: volts, address: 2, type: u16, scale: 0.1, unit: V, metric: dc_bus_voltage_v }
write_points:
  - { key: siren, label: Siren, role: operator, choices: { off: 0, on: 1 }, address: 0, function: 6, type: u16, min: 0, max: 1, safe: 0, reads_back: siren_is }
  - { key: limit, label: Charge limit, address: 1, function: 16, type: u16, scale: 0.1, unit: V, min: 48, max: 56, safe: 50, reads_back: limit_is }
sources: { test: test }
`;

/** Registers 0 to 2 of a box at units 1 and 2, on a real socket. */
async function relayBox(t: Test) {
  const words = [0, 500, 521];
  const writes: string[] = [];
  const self = { port: 0, words, writes, way: 'good' as 'good' | 'refuse' | 'ignore' | 'silent' };
  type Reply = (error: Error | null, value: never) => void;
  const take = (address: number, values: readonly number[], unit: number, reply: Reply): void => {
    writes.push(`${unit} ${address} ${values}`);
    if (self.way === 'silent') return;
    if (self.way === 'refuse') return reply(Object.assign(new Error('no'), { modbusErrorCode: 4 }), undefined as never);
    if (self.way === 'good') values.forEach((value, i) => (words[address + i] = value));
    reply(null, undefined as never);
  };
  const server = new ServerTCP(
    {
      getHoldingRegister: (address: number, _unit: number, reply: Reply) => reply(null, words[address] as never),
      getMultipleHoldingRegisters: (address: number, count: number, _unit: number, reply: Reply) =>
        reply(null, words.slice(address, address + count) as never),
      setRegister: (address: number, value: number, unit: number, reply: Reply) => take(address, [value], unit, reply),
      setRegisterArray: (address: number, values: number[], unit: number, reply: Reply) =>
        take(address, values, unit, reply),
    } as never,
    { host: '127.0.0.1', port: '0' as unknown as number },
  );
  server.on('socketError', () => undefined);
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.on('initialized', () => resolve()));
  t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())));
  self.port = ((server as unknown as { _server: Server })._server.address() as AddressInfo).port;
  return self;
}

async function village(t: Test, modbusPort?: number) {
  const path = await folder(t, { enabled: true }, modbusPort);
  const house = await startHouse(t, path);
  const { gateway, addresses } = house;
  const url = addresses.http ?? '';
  const tokenOf = async (username: string, role: 'operator' | 'installer') => {
    await gateway.accounts.addUser({
      username,
      displayName: username,
      password: 'correct horse battery',
      grants: [{ role, scope: { kind: 'grid', grid_id: gridId } }],
    });
    return logIn(url, { username, password: 'correct horse battery' });
  };
  const [operator, installer] = [await tokenOf('asha', 'operator'), await tokenOf('juma', 'installer')];
  const post = (device: string, command: string, value: string | number, more: object = {}, token = installer) =>
    ask(url, `/api/device/${device}/command`, {
      method: 'POST',
      token,
      body: { grid_id: gridId, command, value, ...more },
    });
  /** Asks, says yes, and gives the end. */
  const tell = async (
    device: string,
    command: string,
    value: string | number,
    more: object = {},
    token = installer,
  ) => {
    const question = await post(device, command, value, more, token);
    if (question.json.state !== 'needs_confirmation') throw new Error(question.text);
    return post(device, command, value, { confirmation: question.json.confirmation, ...more }, token);
  };
  const audit = async () => (await ask(url, `/api/device/${gridId}/commands`, { token: installer })).json;
  return { ...house, path, url, operator, installer, post, tell, audit };
}

/** A node of ours: what it is told, and how it answers. */
async function node(client: MqttClient, deviceId: string, answer?: (command: NodeCommand) => object[]) {
  const heard: (NodeCommand | NodeTime)[] = [];
  client.on('message', (_topic, payload) => {
    const message = JSON.parse(String(payload)) as NodeCommand | NodeTime;
    heard.push(message);
    if (message.type !== 'command') return;
    for (const one of answer?.(message) ?? [])
      client.publish(topics.ack(gridId, deviceId), JSON.stringify(one), { qos: 1 });
  });
  await client.subscribeAsync(topics.command(gridId, deviceId), { qos: 1 });
  return heard;
}

/** One gateway with commands for the tests that leave it as it was. */
let usual: ReturnType<typeof village> | undefined;
const usualVillage = () => (usual ??= village(t));

const states = (gateway: Gateway) =>
  gateway.log
    .read(1, { maxFrames: 10_000, maxBytes: 1e8 })
    .flatMap(({ frame }) => frame.entries.flatMap((one) => (one.type === 'command' ? [one] : [])));

t.test('a command is asked, confirmed, sent once, acknowledged by the node, and found in the audit', async (t) => {
  const { gateway, connect, post, tell, operator, audit } = await usualVillage();
  const heard = await node(await connect('pump'), 'pump', ({ id, value }) => [
    { id: 'another', ok: true },
    { id, ok: true, value },
    { id, ok: true, value },
    { id, ok: false, reason: 'changed my mind' },
  ]);
  const question = await post('pump', 'run', 'yes', {}, operator);
  t.match(question.json, { state: 'needs_confirmation', question: 'The pump (pump): Let it run: yes?' });
  t.same(heard, [], 'nothing before the yes');
  const { confirmation } = question.json;
  for (const [value, token] of [
    ['no', operator],
    ['yes', undefined],
  ] as const)
    t.equal(
      (await post('pump', 'run', value, { confirmation }, token)).json.code,
      'E_CONFLICT',
      'a yes to something else, or by somebody else',
    );
  const done = await tell('pump', 'run', 'yes', {}, operator);
  t.match(done.json, {
    state: 'finished',
    record: {
      state: 'acknowledged',
      read_back: 'true',
      reason: null,
      actor: { name: 'asha' },
      device_id: 'pump',
      value: 'yes',
    },
  });
  t.equal(heard.length, 1);
  t.match(heard[0], { type: 'command', command: 'run', value: true, id: done.json.record.command_id });
  t.ok((heard[0] as NodeCommand).ttl_ms <= 10_000 && (heard[0] as NodeCommand).ttl_ms > 0);
  t.equal((await post('pump', 'run', 'yes', { confirmation }, operator)).json.code, 'E_CONFLICT', 'a yes holds once');
  t.match((await tell('pump', 'speed', 32.5)).json, { record: { state: 'acknowledged', read_back: '32.5' } });
  t.match(await audit(), {
    enabled: true,
    records: [
      { command: 'speed', state: 'acknowledged', actor: { name: 'juma' } },
      { command: 'run', state: 'acknowledged', actor: { name: 'asha' }, late_answer: false },
    ],
  });
  t.ok(await until(() => states(gateway).length === 4));
  t.same(
    states(gateway).map(({ command, state }) => `${command} ${state}`),
    ['run sent', 'run acknowledged', 'speed sent', 'speed acknowledged'],
    'several answers count once, in the log too',
  );
});

t.test('what the role, the profile, the limits or the settings do not allow is not sent', async (t) => {
  const { connect, post, operator, audit } = await usualVillage();
  const heard = await node(await connect('pump'), 'pump');
  for (const [device, command, value, token, code] of [
    ['pump', 'speed', 10, operator, 'E_FORBIDDEN'],
    ['pump', 'speed', 50.5, undefined, 'E_REQUEST_INVALID'],
    ['pump', 'speed', '10', undefined, 'E_REQUEST_INVALID'],
    ['pump', 'run', 'perhaps', undefined, 'E_REQUEST_INVALID'],
    ['pump', 'secret', 'x', undefined, 'E_COMMAND_UNKNOWN'],
    ['bystander', 'run', 'yes', undefined, 'E_COMMAND_UNKNOWN'],
    ['nobody', 'run', 'yes', undefined, 'E_DEVICE_NOT_FOUND'],
  ] as const) {
    const answer = await post(device, command, value, {}, token);
    t.equal(answer.json.code, code, `${device} ${command} ${value}: ${answer.text}`);
  }
  t.equal((await post('pump', 'speed', 10, { expires_in_s: 61 })).status, 400, 'nothing lives longer than a minute');
  t.same(heard, []);
  const { offers } = await audit();
  t.same(
    offers.map(
      (one: { device_id: string; command: string; role: string }) => `${one.device_id} ${one.command} ${one.role}`,
    ),
    ['pump run operator', 'pump speed installer', 'shop power installer'],
  );
});

t.test(
  'no answer, a late one, a refusal and a node that is away are failures, and nothing is ever sent again',
  async (t) => {
    const { gateway, connect, post, tell, audit, path } = await village(t);
    const away = await tell('pump', 'run', 'no');
    t.match(away.json, { record: { state: 'failed', reason: /not connected; nothing was sent/ } });
    const client = await connect('pump');
    let answers: (command: NodeCommand) => object[] = () => [];
    const heard = await node(client, 'pump', (command) => answers(command));
    const begunMs = clock.monotonicMs();
    const silent = await tell('pump', 'run', 'yes', { expires_in_s: 1 });
    t.ok(clock.monotonicMs() - begunMs < 8000);
    t.match(silent.json, {
      record: { state: 'failed', reason: /no answer within 1 s; whether it was done is not known/ },
    });
    await client.publishAsync(
      topics.ack(gridId, 'pump'),
      JSON.stringify({ id: silent.json.record.command_id, ok: true }),
      { qos: 1 },
    );
    await (await connect('bystander')).publishAsync(
      topics.ack(gridId, 'bystander'),
      JSON.stringify({ id: silent.json.record.command_id, ok: true }),
      { qos: 1 },
    );
    t.match(
      (await audit()).records[0],
      { state: 'failed', late_answer: true },
      'it stays failed, and is known to have answered late',
    );
    answers = ({ id }) => [{ id, ok: false, reason: 'the tank is empty' }];
    t.match((await tell('pump', 'run', 'yes')).json, { record: { state: 'refused', reason: 'the tank is empty' } });
    answers = ({ id }) => [{ id, ok: true, value: 12 }];
    t.match(
      (await tell('pump', 'speed', 40)).json,
      { record: { state: 'refused', reason: /it has 12 now/ } },
      'the read-back decides',
    );
    // A second one while the first is under way, and a node that comes back meanwhile.
    answers = () => [];
    const first = tell('pump', 'run', 'yes', { expires_in_s: 2 });
    t.ok(await until(() => heard.length === 4));
    t.match((await tell('pump', 'run', 'yes')).json, { code: 'E_CONFLICT' });
    client.stream.destroy();
    const again = await node(await connect('pump'), 'pump');
    t.match((await first).json, { record: { state: 'failed' } });
    t.same(again, [], 'it was not sent to the new connection');
    const cut = tell('pump', 'run', 'yes', { expires_in_s: 60 }).catch(() => undefined);
    t.ok(await until(() => again.length === 1));
    await gateway.stop();
    await cut;
    const { gateway: second } = await startHouse(t, path);
    const [newest] = second.api.grids.list()[0]?.commands?.list().records ?? [];
    t.match(newest, { state: 'failed', reason: 'the gateway stopped before the device answered' });
    t.equal((await post('pump', 'run', 'yes').catch(() => ({ status: 0 }))).status, 0);
  },
);

t.test(
  'a relay with its own firmware is switched on its own topic, and acknowledges by what it says it is',
  async (t) => {
    const { connect, tell } = await usualVillage();
    const plug = await connect('shop');
    const heard: string[] = [];
    plug.on('message', (topic, payload) => {
      heard.push(`${topic} ${payload}`);
      for (const state of ['OFF', String(payload)])
        plug.publish('stat/plug/RESULT', JSON.stringify({ POWER: state }), { qos: 0 });
    });
    await plug.subscribeAsync('cmnd/plug/#');
    t.match((await tell('shop', 'power', 'on')).json, { record: { state: 'acknowledged', read_back: 'ON' } });
    t.same(heard, ['cmnd/plug/POWER ON']);
  },
);

t.test(
  'a node that asks is told the time, and how far it is trusted; while the village does not know it, none',
  async (t) => {
    const path = await gatewayFolder(t, { clock_trust: 'ntp' });
    const { connect } = await startHouse(t, path, { clock: testClock(1_795_341_600_000) });
    const client = await connect('meter-1');
    const heard = await node(client, 'meter-1');
    await client.publishAsync(topics.time(gridId, 'meter-1'), '{"up":5213340}', { qos: 1 });
    t.ok(await until(() => heard.length === 1));
    t.same(heard[0], { v: 1, type: 'time', trusted: true, trust: 'ntp', now_ms: 1_795_341_600_000, up: 5_213_340 });
    await client.publishAsync(topics.time(gridId, 'meter-1'), '', { qos: 0 });
    t.ok(await until(() => heard.length === 2));
    t.match(heard[1], { trusted: true, now_ms: 1_795_341_600_000 });

    const lost = await startHouse(t, await gatewayFolder(t, { clock_trust: 'floor' }));
    const other = await lost.connect('meter-1');
    const told = await node(other, 'meter-1');
    await other.publishAsync(topics.time(gridId, 'meter-1'), '{}', { qos: 1 });
    t.ok(await until(() => told.length === 1));
    t.same(told[0], { v: 1, type: 'time', trusted: false, trust: 'floor' });
  },
);

t.test(
  'a register is written once, after role, limits and a yes, and only where the site named it; what is read back decides',
  async (t) => {
    const box = await relayBox(t);
    const { gateway, post, tell, operator, audit } = await village(t, box.port);
    await until(() => gateway.api.grids.list()[0]?.link('relays') === 'up');
    t.match(
      (await audit()).offers.filter((one: { device_id: string }) => polled.includes(one.device_id)),
      [
        { device_id: 'relays', command: 'siren', role: 'operator', choices: ['off', 'on'], number: null, safe: 'off' },
        { device_id: 'relays', command: 'limit', role: 'installer', number: { min: 48, max: 56, unit: 'V' }, safe: 50 },
      ],
    );
    t.equal((await post('meter', 'siren', 'on')).json.code, 'E_COMMAND_UNKNOWN', 'not named for this one');
    t.equal((await post('relays', 'limit', 52, {}, operator)).json.code, 'E_FORBIDDEN');
    for (const value of [47.9, 56.1, 'much'])
      t.equal((await post('relays', 'limit', value)).json.code, 'E_REQUEST_INVALID', `${value}`);
    t.equal((await post('relays', 'siren', 'loud')).json.code, 'E_REQUEST_INVALID');
    t.match((await post('relays', 'limit', 52.4)).json.question, 'The relays (relays): Charge limit: 52.4 V?');
    t.same(box.writes, [], 'nothing was written yet');
    t.match((await tell('relays', 'siren', 'on', {}, operator)).json.record, {
      state: 'acknowledged',
      read_back: 'on',
    });
    t.match((await tell('relays', 'limit', 52.4)).json.record, { state: 'acknowledged', read_back: '52.4' });
    t.same(box.writes, ['1 0 1', '1 1 524']);
    box.way = 'refuse';
    t.match((await tell('relays', 'siren', 'off')).json.record, { state: 'refused', reason: /exception 4/ });
    box.way = 'ignore';
    t.match((await tell('relays', 'siren', 'off', { expires_in_s: 2 })).json.record, {
      state: 'refused',
      reason: 'the device took it, but says it has on now',
      read_back: 'on',
    });
    box.way = 'silent';
    t.match((await tell('relays', 'limit', 50)).json.record, {
      state: 'failed',
      reason: /did not answer.*whether it was done is not known/,
    });
    t.equal(box.writes.length, 5, 'each was sent once');
    await until(() => states(gateway).length >= 10);
    t.same(
      states(gateway).map((one) => `${one.command} ${one.state}`),
      [
        'siren sent',
        'siren acknowledged',
        'limit sent',
        'limit acknowledged',
        'siren sent',
        'siren refused',
        'siren sent',
        'siren refused',
        'limit sent',
        'limit failed',
      ],
      'all is in the log',
    );
    await until(() => gateway.api.grids.list()[0]?.latest('relays', 'dc_bus_voltage_v')?.value === 52.1);
    t.equal(gateway.api.grids.list()[0]?.latest('relays', 'dc_bus_voltage_v')?.value, 52.1, 'it is read all the while');
  },
);

t.test('a command from afar is done at the second word alone, once, and never after its time', async (t) => {
  const clock = testClock();
  const done: string[] = [];
  const audited: string[] = [];
  const said: (CommandReady | CommandOutcome)[] = [];
  const database = openDatabase({ path: join(tempDir(t), 'settings.db') });
  t.teardown(() => database.close());
  const pump = {
    spec: { name: 'run', label: 'Let it run', role: 'installer' as const, choices: { yes: { send: 1 } } },
    prepare: () => ({ send: 1, payload: '1', isDone: () => true }),
    async perform() {
      done.push('run');
      return { state: 'acknowledged' as const, reason: null, said: 1 };
    },
  };
  const make = () => {
    const commands = new NodeCommands({
      enabled: true,
      expiresInS: 10,
      gridId,
      devices: [{ deviceId: 'pump', name: 'Pump', commands: [pump as never] }],
      isDevice: (deviceId) => deviceId === 'pump',
      records: createCommandStore(database),
      isConnected: () => true,
      publish: async () => {},
      audit: async ({ command_id, state }) => void audited.push(`${command_id} ${state}`),
      clock,
      realClock: clock,
      random: cryptoRandom(),
      logger: silentLogger(),
    });
    return new RemoteCommands({
      gatewayId: 'gw-kisima',
      commands,
      diagnose: async () => 'all is well',
      audit: async ({ command_id, state }) => void audited.push(`${command_id} ${state}`),
      say: (message) => void said.push(message),
      realClock: clock,
      logger: silentLogger(),
    });
  };
  let remote = make();
  const message = (id: string, more: Partial<CommandDown> = {}): CommandDown => ({
    ...{ y: 'command', id, device_id: 'pump', command: 'run', value: 'yes', role: 'installer' },
    actor: { user_id: 'u1', name: 'Asha' },
    ...more,
  });
  const outcomes = () => said.flatMap((one) => (one.y === 'command_outcome' ? [[one.id, one.state, one.reason]] : []));
  const go = (id: string, ttl_ms = 5000) => remote.go({ y: 'command_go', id, ttl_ms });

  await go('c1');
  t.same(done, [], 'what was never announced is not done');
  remote.announced(message('c1'));
  t.same([done, said], [[], [{ y: 'command_ready', gateway_id: 'gw-kisima', id: 'c1' }]]);
  await Promise.all([go('c1'), go('c1')]);
  remote.announced(message('c1'));
  await go('c1');
  t.same(done, ['run'], 'whatever is said again, it is done once');
  t.same(audited, ['c1 sent', 'c1 acknowledged']);

  remote.announced(message('c2'));
  await clock.advance(5000);
  await go('c2', 5000);
  t.match(outcomes().at(-1), ['c2', 'failed', /time was over/]);
  // Another life of the gateway: the line brings the same once more.
  remote = make();
  remote.announced(message('c1'));
  await go('c1');
  t.match(outcomes().at(-1), ['c1', 'acknowledged', null], 'it gives what became of it');
  remote.announced(message('c3', { role: 'operator' }));
  await go('c3');
  remote.announced(message('c4', { device_id: 'nothing' }));
  await go('c4');
  t.match(outcomes().slice(-2), [
    ['c3', 'refused', /needs the role installer/],
    ['c4', 'refused', /no device "nothing"/],
  ]);
  t.same(done, ['run']);
  t.ok(audited.includes('c3 refused'), 'what was refused is written down too');
  remote.announced(message('c5', { device_id: 'gw-kisima', command: 'diagnose', value: 'now' }));
  await go('c5');
  t.match(said.at(-1), { id: 'c5', state: 'acknowledged', read_back: 'all is well' });
});
