import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VillagridError } from '@villagrid/contracts';
import { acceleratedClock, realClock, seededRandom, silentLogger } from '@villagrid/runtime';
import ModbusRTU from 'modbus-serial';
import t, { type Test } from 'tap';
import {
  askSimulator,
  type ControlAnswer,
  controlSocketPath,
  loadSimulatorConfig,
  startSimulator,
  canOpenPty,
  villageDevices,
  villageSite,
  villageWiring,
} from '../src/index.js';
import type { VillageSnapshot } from '../src/village/state.js';
import { startBroker, type TestBroker, testCertificates } from './far-side.js';

const seed = Number(process.env.SEED ?? 4711);
t.comment(`SEED=${seed}`);
const clock = realClock();
const noonMs = Date.UTC(2026, 10, 25, 9);

const until = async (what: string, holds: () => boolean | Promise<boolean>, deadlineMs = 20_000): Promise<void> => {
  const endMs = clock.monotonicMs() + deadlineMs;
  while (!(await holds())) {
    if (clock.monotonicMs() > endMs) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await clock.sleep(10);
  }
};

const nodeIds = villageDevices()
  .filter((device) => device.protocol === 'mqtt' && device.simulated)
  .map((device) => device.device_id);
const modbusDevices = villageDevices().filter((device) => device.protocol === 'modbus');

function villageConfig(
  dir: string,
  broker: { readonly port: number },
  more: { speed?: number; caFile?: string; nodes?: readonly string[]; periodFactor?: number } = {},
) {
  return {
    seed,
    clock: { real_epoch_ms: clock.nowMs(), village_epoch_ms: noonMs, speed: more.speed ?? 20 },
    control_socket: join(dir, 'control.sock'),
    state_dir: join(dir, 'state'),
    grids: [
      {
        grid_id: 'kisima',
        name: 'Kisima',
        zone: 'Africa/Nairobi',
        latitude: -3.4,
        longitude: 38,
        plant: { pv_kwp: 45, battery_kwh: 160, battery_floor_pct: 20, inverters: 2 },
        mqtt: {
          host: '127.0.0.1',
          port: broker.port,
          period_factor: more.periodFactor ?? 1,
          ...(more.caFile === undefined ? {} : { ca_file: more.caFile }),
          nodes: (more.nodes ?? nodeIds).map((device_id) => ({
            device_id,
            username: device_id,
            password: `secret-${device_id}`,
          })),
        },
        modbus: {
          host: '127.0.0.1',
          devices: modbusDevices.map(({ device_id, unit }) => ({ device_id, port: 0, unit })),
        },
      },
    ],
  };
}

const load = (file: object) => loadSimulatorConfig({ path: 'simulator.json', text: JSON.stringify(file) });

async function startVillage(t: Test, file: ReturnType<typeof villageConfig>, ackTimeoutMs = 500) {
  const config = load(file);
  const simulator = await startSimulator(config, {
    realClock: clock,
    villageClock: acceleratedClock(config.clock),
    random: seededRandom(seed),
    log: silentLogger(),
    ackTimeoutMs,
  });
  let stopped = false;
  const stop = async () => {
    if (!stopped) await simulator.stop();
    stopped = true;
  };
  t.teardown(stop);
  const ask = async (request: { command: string; [key: string]: unknown }): Promise<ControlAnswer> =>
    askSimulator(simulator.controlSocket, request, clock);
  const fault = async (name: string, on: boolean, target?: string) => {
    const answer = await ask({ command: 'fault', name, on, ...(target === undefined ? {} : { target }) });
    if (!answer.ok) throw new Error(answer.error);
  };
  const status = () =>
    simulator.grids[0]?.status() as {
      village: VillageSnapshot;
      nodes: Record<string, { waiting: number; connected: boolean; boot: string }>;
      [key: string]: unknown;
    };
  return { simulator, stop, ask, fault, status };
}

const tempDir = (t: Test): string => {
  const dir = mkdtempSync(join(tmpdir(), 'villagrid-sim-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

/** A Modbus client with a deadline, closed at the end of the test. */
async function modbusClient(t: Test, port: number | undefined, unit: number) {
  const client = new ModbusRTU.default();
  await client.connectTCP('127.0.0.1', { port: port ?? 0 });
  client.setTimeout(1500);
  client.setID(unit);
  t.teardown(() => client.close(() => undefined));
  return client;
}

/** The exception code a read is refused with; undefined when it is answered. */
const refusal = (read: Promise<unknown>): Promise<number | undefined> =>
  read.then(
    () => undefined,
    (error: { modbusCode?: number }) => error.modbusCode,
  );

const topic = (device: string) => `microgrid/kisima/device/${device}/telemetry`;

/** Every sequence number of the newest boot from 1 on, once or more often, none missing. */
function gaps(
  broker: TestBroker,
  device: string,
): { readonly missing: number[]; readonly last: number; readonly repeats: number } {
  const all = broker.readings(topic(device));
  const boot = all.at(-1)?.boot;
  const seqs = all.filter((reading) => reading.boot === boot).map((reading) => reading.seq ?? 0);
  const seen = new Set(seqs);
  const last = Math.max(0, ...seqs);
  const missing = Array.from({ length: last }, (_, i) => i + 1).filter((seq) => !seen.has(seq));
  return { missing, last, repeats: seqs.length - seen.size };
}

t.test(
  'every node speaks MQTT over TLS with its own name: status, telemetry of the agreed form, one boot, rising numbers',
  async (t) => {
    const dir = tempDir(t);
    const certificates = await testCertificates();
    const caFile = join(dir, 'ca.pem');
    writeFileSync(caFile, certificates.ca);
    const broker = await startBroker(0, certificates);
    t.teardown(() => broker.stop());
    const village = await startVillage(t, villageConfig(dir, broker, { caFile }));
    t.ok(nodeIds.length >= 6);
    await until('three readings of each node', () => nodeIds.every((id) => broker.readings(topic(id)).length >= 3));
    for (const id of nodeIds) {
      const readings = broker.readings(topic(id));
      t.same(gaps(broker, id).missing, [], `${id}: sequence without a gap`);
      t.same(
        readings[0]?.values.map((value) => value.metric),
        villageDevices().find((device) => device.device_id === id)?.metrics,
        `${id}: metrics as described`,
      );
      t.ok(
        readings.every((reading) => reading.values.every((value) => value.quality === 0)),
        `${id}: all values are in range`,
      );
      t.ok((readings[1]?.upMs ?? 0) > (readings[0]?.upMs ?? 0));
      t.equal(
        readings[0]?.timeMs !== undefined,
        id === 'meteo-1' || id === 'bus-meter',
        `${id}: a time only from a node with a clock`,
      );
      t.ok(
        broker.received.some(
          (one) =>
            one.client === id && one.topic === `microgrid/kisima/device/${id}/status` && one.payload === 'online',
        ),
      );
    }
    await village.stop();
    await until('nodes say offline when they are stopped', () =>
      nodeIds.every((id) => broker.received.some((one) => one.client === id && one.payload === 'offline')),
    );
  },
);

t.test(
  'a broker that goes away, comes back empty and sometimes does not acknowledge: nothing is lost, numbers go on',
  async (t) => {
    const dir = tempDir(t);
    let broker = await startBroker();
    t.teardown(() => broker.stop());
    const village = await startVillage(
      t,
      villageConfig(dir, broker, { speed: 60, periodFactor: 0.3, nodes: ['meteo-1', 'bus-meter', 'powerhouse'] }),
    );
    const ids = ['meteo-1', 'bus-meter', 'powerhouse'];
    await until('first readings', () => ids.every((id) => gaps(broker, id).last >= 5));
    const boots = ids.map((id) => village.status().nodes[id]?.boot);
    await broker.stop();
    await until('readings pile up', () => (village.status().nodes['bus-meter']?.waiting ?? 0) > 60);
    broker = await startBroker(broker.port, undefined, broker.received);
    await until('the backlog is through', () =>
      ids.every(
        (id) =>
          (village.status().nodes[id]?.waiting ?? 99) <= 1 && gaps(broker, id).last > 60 / (id === 'meteo-1' ? 2 : 1),
      ),
    );
    const batches = broker.received
      .filter((one) => one.topic === topic('bus-meter'))
      .map((one) => (JSON.parse(one.payload) as { readings?: unknown[] }).readings?.length ?? 1);
    t.equal(Math.max(...batches), 50, 'resent in batches of at most 50');
    broker.holding = true;
    await until('unacknowledged readings are kept', () => (village.status().nodes['bus-meter']?.waiting ?? 0) > 10);
    broker.holding = false;
    await until('and sent again', () => (village.status().nodes['bus-meter']?.waiting ?? 99) <= 1);
    for (const id of ids) {
      const { missing, last } = gaps(broker, id);
      t.same(missing, [], `${id}: none of ${last} missing`);
    }
    t.same(
      ids.map((id) => village.status().nodes[id]?.boot),
      boots,
      'all in one boot',
    );
  },
);

t.test('a SunSpec client finds the inverter by discovery and reads what the village makes', async (t) => {
  const dir = tempDir(t);
  const broker = await startBroker();
  t.teardown(() => broker.stop());
  const { simulator, status, fault } = await startVillage(t, villageConfig(dir, broker, { speed: 4 }));
  const ports = simulator.grids[0]?.ports.modbus ?? {};
  for (const id of ['pv-inverter-1', 'pv-inverter-2']) {
    const client = await modbusClient(t, ports[id], 1);
    const read = async (addr: number, count: number) => (await client.readHoldingRegisters(addr, count)).data;
    t.same(await read(40_000, 2), [0x5375, 0x6e53], 'SunS');
    const models = new Map<number, { addr: number; length: number }>();
    let addr = 40_002;
    for (let i = 0; i < 100; i += 1) {
      const [model = 0xffff] = await read(addr, 1);
      if (model === 0xffff) break;
      const [length = 0] = await read(addr + 1, 1);
      models.set(model, { addr, length });
      addr += 2 + length;
    }
    t.same([...models.keys()], [1, 103, 64_110], 'the chain of models ends with its end marker');
    const identity = await client.readHoldingRegisters(40_004, 64);
    t.match(identity.buffer.toString('latin1'), /^Villagrid\0/);
    const block = models.get(103) ?? { addr: 0, length: 0 };
    const words = await read(block.addr, block.length + 2);
    const s16 = (offset: number) => ((words[offset] ?? 0) << 16) >> 16;
    const scaled = (offset: number, factor: number, signed = false) =>
      (signed ? s16(offset) : (words[offset] ?? 0)) * 10 ** s16(factor);
    const inverter = status().village.inverters.find((one) => one.id === id);
    const near = (actual: number, wanted: number | undefined, within: number, what: string) =>
      t.ok(Math.abs(actual - (wanted ?? Number.NaN)) <= within, `${id} ${what}: ${actual} for ${wanted}`);
    near(scaled(14, 15, true), (inverter?.powerKw ?? 0) * 1000, 60, 'W');
    t.ok(scaled(14, 15, true) > 500, 'it is noon');
    near(scaled(16, 17), status().village.acFrequencyHz, 0.03, 'Hz');
    near(scaled(10, 13), status().village.acVoltageV, 0.8, 'V');
    near(scaled(34, 37, true), inverter?.temperatureC, 0.3, '°C');
    near(((words[24] ?? 0) * 65_536 + (words[25] ?? 0)) * 10 ** s16(26), (inverter?.energyKwh ?? 0) * 1000, 200, 'Wh');
    near(scaled(27, 28) * scaled(29, 30), scaled(31, 32, true), 60, 'DC V x A = W');
    t.ok([4, 5].includes(words[38] ?? 0), 'state MPPT or throttled');
    t.equal(await refusal(read(39_999, 1)), 2, 'an unmapped address is exception 2');
    t.equal(await refusal(read(addr, 3)), 2, 'a read past the end fails whole');
    t.equal(await refusal(client.readInputRegisters(40_000, 2)), 1, 'another function is exception 1');
  }
  await fault('inverter-trips', true, 'pv-inverter-1');
  const client = await modbusClient(t, ports['pv-inverter-1'], 1);
  await until('the inverter says fault', async () => (await client.readHoldingRegisters(40_108, 1)).data[0] === 7);
  t.equal((await client.readHoldingRegisters(40_084, 1)).data[0], 0, 'and makes nothing');
});

t.test(
  "meter and battery monitor answer in their makers' form and agree with the nodes and with each other",
  async (t) => {
    const dir = tempDir(t);
    const broker = await startBroker();
    t.teardown(() => broker.stop());
    const { simulator, status } = await startVillage(t, villageConfig(dir, broker, { speed: 1 }));
    const ports = simulator.grids[0]?.ports.modbus ?? {};
    const meter = await modbusClient(t, ports['village-meter'], 1);
    const first = await meter.readInputRegisters(0, 80);
    const float = (addr: number) => first.buffer.readFloatBE(addr * 2);
    const v = status().village;
    t.ok(Math.abs(float(52) / 1000 - v.consumptionKw) < 0.15, `total ${float(52)} W`);
    t.ok(Math.abs(float(12) + float(14) + float(16) - float(52)) < 0.1, 'phases add up to the total');
    t.ok(Math.abs(float(70) - v.acFrequencyHz) < 0.03 && Math.abs(float(0) - v.acVoltageV) < 2);
    t.ok(Math.abs(float(72) - v.counters.consumptionKwh) < 0.2, 'energy in kWh');
    t.equal(await refusal(meter.readInputRegisters(0, 82)), 3, 'no more than 80 registers');
    t.equal(await refusal(meter.readHoldingRegisters(0, 2)), 1);
    t.equal(await refusal(meter.readInputRegisters(120, 2)), 2);
    const battery = await modbusClient(t, ports['battery-monitor'], 225);
    const block = await battery.readHoldingRegisters(256, 11);
    const watt = block.buffer.readInt32BE(0);
    const volt = block.buffer.readUInt16BE(6) / 100;
    const amp = block.buffer.readInt16BE(10) / 10;
    t.ok(Math.abs(volt * amp - watt) < 15, `${volt} V x ${amp} A = ${watt} W`);
    t.ok(Math.abs(block.buffer.readUInt16BE(20) / 10 - v.batterySocPct) < 0.2, 'state of charge');
    t.ok(Math.abs(watt / 1000 - v.batteryPowerKw) < 1.5);
    battery.setID(100);
    t.equal(await refusal(battery.readHoldingRegisters(256, 2)), 10, 'an absent unit is exception 10');
    await until('the bus meter has spoken', () => broker.readings(topic('bus-meter')).length > 0);
    const bus = broker.readings(topic('bus-meter')).at(-1)?.values ?? [];
    t.ok(Math.abs((bus[0]?.value ?? 0) - volt) < 0.3, 'the node at the bus sees the same voltage');
  },
);

t.test(
  'faults switch on and off while the village runs; the control socket says what is on and what was wrong',
  async (t) => {
    const dir = tempDir(t);
    const broker = await startBroker();
    t.teardown(() => broker.stop());
    const { simulator, status, fault, ask } = await startVillage(t, villageConfig(dir, broker, { speed: 60 }));
    const ports = simulator.grids[0]?.ports.modbus ?? {};

    t.match(await ask({ command: 'faults' }), { ok: true });
    t.match(await ask({ command: 'status' }), { ok: true, grids: [{ grid_id: 'kisima', faults: [] }] });
    t.match(await ask({ command: 'fault', name: 'rain', on: true }), {
      ok: false,
      error: /no fault "rain".*node-dies/,
    });
    t.match(await ask({ command: 'fault', name: 'node-dies', target: 'nobody', on: true }), {
      ok: false,
      error: /Name a node: meteo-1/,
    });
    t.match(await ask({ command: 'fault', name: 'wan-cut', on: true }), { ok: false, error: /wan_proxy/ });
    t.match(await ask({ command: 'fault', name: 'wan-cut', target: 'meteo-1', on: true }), {
      ok: false,
      error: /wan-cut is a fault of the whole village: leave "meteo-1" out/,
    });
    t.match(await ask({ command: 'fault', name: 'node-dies', target: 'meteo-1:irradiance_w_m2', on: true }), {
      ok: false,
      error: /node-dies takes no metric/,
    });
    const told = JSON.stringify(await ask({ command: 'status' }));
    t.notMatch(told, /"[a-z]+[A-Z]\w*":/, 'one spelling of names');
    t.match(told, /"consumption_kw":/);
    t.match(await ask({ command: 'dance' }), { ok: false, error: /status, faults, fault/ });
    const garbage = await new Promise<string>((resolve) => {
      const socket = connect(simulator.controlSocket, () => socket.write('no json\n'));
      socket.once('data', (data) => {
        resolve(data.toString());
        socket.destroy();
      });
    });
    t.match(JSON.parse(garbage), { ok: false });

    await until('the node lives', () => gaps(broker, 'transformer').last > 3);
    await fault('node-dies', true, 'transformer');
    await until('its last will says so', () =>
      broker.received.some((one) => one.topic.endsWith('/transformer/status') && one.payload === 'offline'),
    );
    t.match(status().faults, [{ name: 'node-dies', device_id: 'transformer' }]);
    const before = broker.readings(topic('transformer'));
    await fault('node-dies', false, 'transformer');
    await until('it lives again', () => broker.readings(topic('transformer')).length > before.length + 3);
    t.not(broker.readings(topic('transformer')).at(-1)?.boot, before.at(-1)?.boot, 'a new boot');
    t.same(gaps(broker, 'transformer').missing, [], 'numbered from the start');

    await fault('sensor-sticks', true, 'meteo-1:irradiance_w_m2');
    const raw = () =>
      broker.received
        .filter((one) => one.topic === topic('meteo-1'))
        .map(
          (one) =>
            JSON.parse(one.payload) as {
              readings?: { metrics: Record<string, number> }[];
              metrics: Record<string, number>;
            },
        );
    const seen = () =>
      raw()
        .flatMap((payload) => payload.readings ?? [payload])
        .slice(-4)
        .map((reading) => reading.metrics);
    const already = broker.readings(topic('meteo-1')).length;
    await until('some more readings', () => broker.readings(topic('meteo-1')).length > already + 6);
    t.equal(new Set(seen().map((values) => values.irradiance_w_m2)).size, 1, 'the stuck metric stays');
    t.ok(new Set(seen().map((values) => values.ambient_temp_c)).size > 1, 'the others go on');
    await fault('sensor-sticks', false, 'meteo-1:irradiance_w_m2');

    const calm = broker.received.length;
    await fault('node-floods', true, 'feeder-1');
    await until('a flood', () => broker.received.slice(calm).filter((one) => one.client === 'feeder-1').length > 60);
    await fault('node-floods', false, 'feeder-1');

    const client = await modbusClient(t, ports['village-meter'], 1);
    client.setTimeout(400);
    await fault('device-silent', true, 'village-meter');
    await t.rejects(client.readInputRegisters(52, 2), 'no answer');
    await fault('device-silent', false, 'village-meter');
    t.ok((await client.readInputRegisters(52, 2)).data.length === 2);
    await fault('device-slow', true, 'village-meter');
    await t.rejects(client.readInputRegisters(52, 2), 'too slow for this client');
    await fault('device-slow', false, 'village-meter');

    await fault('inverter-overheats', true, 'pv-inverter-1');
    await until('the powerhouse node tells of the heat', () => {
      const last = broker.readings(topic('powerhouse')).at(-1)?.values[0]?.value ?? 0;
      return last > 60;
    });
    await fault('inverter-overheats', false, 'pv-inverter-1');
    t.same(status().faults, []);
  },
);

t.test(
  'meters on a serial line answer as on a socket, also one that no gateway was told of; one is silent, the adapter is unplugged and put back',
  { skip: canOpenPty() ? false : 'pseudo-terminals need python3' },
  async (t) => {
    const dir = tempDir(t);
    const broker = await startBroker();
    t.teardown(() => broker.stop());
    const file = villageConfig(dir, broker, { speed: 1 });
    const path = join(dir, 'rs485');
    const line = {
      path,
      baud: 19_200,
      devices: [
        { device_id: 'feeder-1-meter', unit: 1 },
        { device_id: 'feeder-2-meter', unit: 2 },
        { device_id: 'mill-meter', unit: 9 },
      ],
    };
    const grids = file.grids.map((grid) => ({ ...grid, modbus: { host: '127.0.0.1', devices: [], line } }));
    const village = await startVillage(t, { ...file, grids } as unknown as typeof file);
    t.equal(village.simulator.grids[0]?.ports.line, path);
    const open = async () => {
      const client = new ModbusRTU.default();
      await client.connectRTUBuffered(path, { baudRate: 19_200 });
      client.setTimeout(2000);
      t.teardown(() => client.close(() => undefined));
      return client;
    };
    let client = await open();
    const read = async (unit: number, address: number) => {
      client.setID(unit);
      return (await client.readInputRegisters(address, 2)).buffer.readFloatBE(0);
    };
    const allKw = village.status().village.consumptionKw;
    const sum = ((await read(1, 52)) + (await read(2, 52))) / 1000;
    t.ok(Math.abs(sum - allKw) < 0.2, `${sum} kW of ${allKw} kW`);
    const mill = (await read(9, 52)) / 1000;
    t.ok(mill > 0 && mill < sum / 5, `the mill uses ${mill} kW of it`);
    client.setID(1);
    t.equal(await refusal(client.readHoldingRegisters(0, 2)), 1, 'a function it does not know');
    await village.fault('device-silent', true, 'feeder-2-meter');
    client.setTimeout(300);
    await t.rejects(read(2, 52), 'no answer');
    t.ok((await read(1, 52)) > 0, 'its neighbour answers');
    await village.fault('device-silent', false, 'feeder-2-meter');
    client.setTimeout(2000);
    await village.fault('line-unplugged', true);
    await until('the port is gone', () => !existsSync(path));
    t.match(village.status().line, { plugged: false, devices: { 'feeder-1-meter': { unit: 1 } } });
    await village.fault('line-unplugged', false);
    await until('the port is there', () => existsSync(path));
    client.close(() => undefined);
    client = await open();
    t.ok((await read(1, 52)) > 0);
    t.match(await village.ask({ command: 'fault', name: 'line-unplugged', target: 'feeder-1-meter', on: true }), {
      ok: false,
      error: /fault of the whole village/,
    });
  },
);

t.test(
  'a second start goes on with the counters of the first and with new boots; a long socket path finds a short one',
  async (t) => {
    const dir = tempDir(t);
    const long = join(dir, 'x'.repeat(90), 'control.sock');
    t.ok(Buffer.byteLength(controlSocketPath(long)) <= 100);
    t.equal(controlSocketPath('/run/a.sock'), '/run/a.sock');
    const broker = await startBroker();
    t.teardown(() => broker.stop());
    const file = { ...villageConfig(dir, broker, { speed: 60 }), control_socket: long };
    const first = await startVillage(t, file);
    await until('alive', () => gaps(broker, 'feeder-1').last > 2);
    await first.stop();
    const saved = JSON.parse(readFileSync(join(dir, 'state', 'village-kisima.json'), 'utf8')) as {
      state: { counters: { consumptionKwh: number } };
    };
    const boot = broker.readings(topic('feeder-1')).at(-1)?.boot;
    const second = await startVillage(t, file);
    t.ok(second.status().village.counters.consumptionKwh >= saved.state.counters.consumptionKwh);
    t.not(second.status().nodes['feeder-1']?.boot, boot);
  },
);

t.test('the description, the wiring and the configuration fit together; a wrong setting is named', async (t) => {
  const series = new Set(
    villageDevices().flatMap((device) => device.metrics.map((metric) => `${device.device_id}/${metric}`)),
  );
  for (const [figure, wire] of Object.entries(villageWiring())) {
    for (const term of [...wire.terms, ...(wire.fallback ?? [])])
      t.ok(series.has(`${term.device_id}/${term.metric}`), `${figure} from ${term.device_id}`);
  }
  t.equal(villageSite(1, 'gw-1').grid_id, 'mlimani');
  const ports = [0, 1, 2].flatMap((grid) => villageDevices(grid).flatMap((device) => device.portOffset ?? []));
  t.equal(new Set(ports).size, ports.length, 'no two devices share a port');
  const good = villageConfig('/run', { port: 1 });
  const [grid] = load({ ...good, grids: [{ grid_id: 'mlimani', plant: { pv_kwp: 90, inverters: 4 } }] }).grids;
  t.match(grid, { name: 'mlimani', zone: 'Africa/Nairobi', plant: { inverterKw: 20, batteryKwh: 160 } });
  const complaint = (change: object): string => {
    try {
      load({ ...good, ...change });
      return 'none';
    } catch (error) {
      return error instanceof VillagridError ? `${error.code} ${error.detail}` : String(error);
    }
  };
  t.equal(complaint({}), 'none');
  t.match(complaint({ seed: 'x' }), /^E_CONFIG_INVALID simulator\.json:1: seed: /);
  t.match(complaint({ color: 1 }), /^E_CONFIG_INVALID .*color: unknown setting/);
  t.match(
    complaint({ grids: [{ ...good.grids[0], zone: 'Mars/Base' }] }),
    /^E_CONFIG_INVALID simulator\.json: grids\[0\]\.zone: "Mars\/Base" is not/,
  );
  t.match(complaint({ grids: [] }), /^E_CONFIG_INVALID .*grids: /);
});

t.test('the process says ready with one line, answers its socket, and ends within 2 s of SIGTERM', async (t) => {
  const dir = tempDir(t);
  const broker = await startBroker();
  t.teardown(() => broker.stop());
  const config = join(dir, 'simulator.json');
  writeFileSync(config, JSON.stringify(villageConfig(dir, broker, { speed: 60 })));
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
  const child = spawn(process.execPath, ['--conditions=villagrid', '--import=tsx', main, '--config', config], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let out = '';
  child.stdout.on('data', (data: Buffer) => (out += data.toString()));
  await until('ready', () => out.includes('\n'));
  const ready = JSON.parse(out) as { simulator: string; control_socket: string };
  t.equal(ready.simulator, 'ready');
  t.match(await askSimulator(ready.control_socket, { command: 'status' }, clock), { ok: true });
  await until('telemetry', () => broker.readings(topic('feeder-1')).length > 2);
  const fromMs = clock.monotonicMs();
  const code = await new Promise((resolve) => {
    child.on('exit', resolve);
    child.kill('SIGTERM');
  });
  t.equal(code, 0);
  t.ok(clock.monotonicMs() - fromMs < 2000);
  t.ok(existsSync(join(dir, 'state', 'village-kisima.json')), 'state saved');
});
