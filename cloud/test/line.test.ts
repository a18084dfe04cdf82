/** What gateways and devices without one are promised, whatever broker stands between them and the cloud. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { qualityCodes, topics } from '@villagrid/contracts';
import { aclOf, askControl, cryptoRandom, issueServerCertificate, realClock } from '@villagrid/runtime';
import { memoryLog, tempDir } from '@villagrid/runtime/testing';
import { createCloud, loadCloudConfig, type Cloud } from '../src/index.js';
import { cloudFixture, type CloudFixture } from '../src/testing/cloud-fixture.js';
import { DirectDeviceSide } from '../src/testing/direct-device.js';
import { GatewaySide, testFrame } from '../src/testing/gateway-side.js';

const clock = realClock();
const directory = {
  gateways: [
    { gateway_id: 'gw-1', grid_id: 'alpha' },
    { gateway_id: 'gw-2', grid_id: 'beta' },
  ],
  grids: [{ grid_id: 'gamma', name: 'Gamma', zone: 'Africa/Nairobi', location: { latitude: -1.5, longitude: 36.5 } }],
  devices: [
    {
      device_id: 'meter-7',
      grid_id: 'gamma',
      name: 'Meter of the clinic',
      kind: 'meter',
      location: 'Clinic, back wall',
      period_s: 5,
      figures: { consumption_kw: 'consumption_kw' },
    },
    { device_id: 'cabinet-1', grid_id: 'alpha', name: 'Cabinet', kind: 'sensor' },
  ],
};

interface Running {
  readonly fixture: CloudFixture;
  readonly url: string;
  readonly lines: ReturnType<typeof memoryLog>['lines'];
  cloud: Cloud;
  /** Ends the cloud and starts it again over the same files. */
  again(): Promise<void>;
}

/** Writes what says which broker it is into `cloud.yaml`; gives its address when it is not the cloud's own. */
type Broker = (t: Test, fixture: CloudFixture) => Promise<string | undefined>;

async function run(t: Test, broker: Broker): Promise<Running> {
  const fixture = await cloudFixture(tempDir(t));
  writeFileSync(join(fixture.directory, 'directory.yaml'), JSON.stringify(directory));
  const foreign = await broker(t, fixture);
  const { log, lines } = memoryLog({ foldAfter: 1000 });
  const make = () =>
    createCloud(loadCloudConfig({ path: fixture.configPath }), {
      clock,
      realClock: clock,
      random: cryptoRandom(),
      log,
    });
  const running = { fixture, lines, cloud: make(), url: '' };
  t.teardown(() => running.cloud.stop());
  const start = async () => {
    running.url = (await running.cloud.start()).mqtts;
    await until(t, 'the broker is there', () => running.cloud.line.stats().isUp);
    if (foreign !== undefined)
      await until(t, 'it hears', () => lines.filter(({ msg }) => msg === 'linked to the broker').length % 2 === 0);
  };
  await start();
  return Object.assign(running, {
    async again() {
      await running.cloud.stop();
      running.cloud = make();
      await start();
    },
  });
}

async function until(t: Test, what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1500; i += 1) {
    if (await holds()) return;
    await clock.sleep(20);
  }
  t.fail(`did not come to pass: ${what}`);
}

async function gateway(t: Test, { fixture, url }: Running, gatewayId: string, gridId: string): Promise<GatewaySide> {
  const certificate = await fixture.certificate(gatewayId);
  const side = await GatewaySide.connect({
    url,
    gatewayId,
    gridId,
    certificate,
    caPem: fixture.authority.certificatePem,
  });
  t.teardown(() => side.end());
  return side;
}
async function device(t: Test, { fixture, url }: Running, deviceId: string, gridId: string, name = deviceId) {
  const certificate = await fixture.certificate(name);
  const side = await DirectDeviceSide.connect({
    ...{ url, deviceId, gridId, certificate },
    caPem: fixture.authority.certificatePem,
  });
  t.teardown(() => side.end());
  return side;
}

/** Says something that must come to nothing; some brokers close the line, others acknowledge and drop it. */
const inVain = (saying: Promise<void>): Promise<void> => saying.catch(() => undefined);

function lineSuite(name: string, broker: Broker, skip: string | false = false): void {
  t.test(
    `${name}: a gateway is answered, its frames are receipted; other names and grids come to nothing`,
    { skip },
    async (t) => {
      const running = await run(t, broker);
      const { cloud } = running;
      const first = await gateway(t, running, 'gw-1', 'alpha');
      await first.hello();
      t.match(await first.welcome(), { receipt: { up_to: 0 } });
      await first.sendFrames(1, 3);
      t.match(await first.receipt(3), { up_to: 3, bad: [] });
      await until(t, 'projected', () => cloud.counters.framesProjected === 3);
      t.equal(cloud.grids.get('alpha')?.link('gw-1'), 'up');

      for (const topic of [
        topics.up('beta', 'gw-2', 'live'),
        topics.up('beta', 'gw-1', 'live'),
        topics.alerts('beta'),
      ]) {
        const stray = await gateway(t, running, 'gw-1', 'alpha');
        await inVain(stray.publishTo(topic, stray.envelope(1, [testFrame(1)])));
        await stray.end();
      }
      const stranger = await gateway(t, running, 'gw-9', 'alpha').catch(() => undefined);
      if (stranger)
        await inVain(stranger.publishTo(topics.up('alpha', 'gw-9', 'live'), stranger.envelope(1, [testFrame(1)])));
      const back = await gateway(t, running, 'gw-1', 'alpha');
      const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;
      await back.publish('session', `{"y":"hello","site":${deep}}`);
      await back.publish('alerts', `{"y":"alerts","events":[${deep}]}`);
      await back.sendFrames(4, 4);
      await back.receipt(4);
      t.match(
        cloud.store.deadLetters(9),
        [{ stage: 'alerts' }, { stage: 'hello' }],
        'what cannot be worked with is kept',
      );
      t.same(
        cloud.store.allLogs().map(({ gatewayId }) => gatewayId),
        ['gw-1'],
        'nothing of others came in',
      );
    },
  );

  t.test(
    `${name}: a device without a gateway is judged, told apart from its repeats, counted and shown with what the directory knows`,
    { skip },
    async (t) => {
      const running = await run(t, broker);
      const { cloud } = running;
      const grid = () => cloud.grids.get('gamma');
      const meter = await device(t, running, 'meter-7', 'gamma');
      const nowMs = clock.nowMs();
      const metrics = {
        consumption_kw: 3.21,
        ac_output_voltage_v: null,
        ac_frequency_hz: 'fast',
        humidity_pct: 400,
        my_own: 1,
      };
      const reading = { v: 1, boot: 'b1', seq: 40, up: 1000, ts: nowMs - 3000, metrics };
      await meter.telemetry(reading);
      await until(t, 'the reading is shown', () => grid()?.latest('meter-7', 'my_own') !== undefined);
      const quality = (metric: string) => grid()?.latest('meter-7', metric)?.quality;
      t.match(grid()?.latest('meter-7', 'consumption_kw'), {
        value: 3.21,
        timeMs: nowMs - 3000,
        quality: qualityCodes.good,
      });
      t.equal(quality('ac_output_voltage_v'), qualityCodes.bad_no_value);
      t.equal(quality('ac_frequency_hz'), qualityCodes.bad_type);
      t.equal(quality('humidity_pct'), qualityCodes.bad_range);
      t.equal(quality('my_own'), qualityCodes.uncertain_unknown_metric);
      t.match(cloud.counters.deviceFindings, { wrong_type: 1, out_of_range: 1, unknown_metric: 1 });
      t.match(grid()?.site(), {
        gateway_id: 'cloud',
        zone: 'Africa/Nairobi',
        devices: [{ device_id: 'meter-7', name: 'Meter of the clinic', kind: 'meter', location: 'Clinic, back wall' }],
        wiring: { consumption_kw: { terms: [{ device_id: 'meter-7' }] } },
      });
      t.equal(grid()?.link('meter-7'), 'up');

      // The same again, alone and among what was kept; numbers 41 and 44 never come.
      await meter.telemetry(reading);
      const { v: _v, ...kept } = reading;
      const at = (seq: number) => ({
        seq,
        up: seq * 100,
        ts: nowMs - 2000 + seq,
        metrics: { consumption_kw: seq / 10 },
      });
      await meter.telemetry({ v: 1, boot: 'b1', readings: [at(43), kept, at(42)] });
      await meter.telemetry({ v: 1, boot: 'b1', ...at(45) });
      await meter.telemetry({ v: 1, boot: 'b1', ...at(43), metrics: { consumption_kw: 9 } });
      await until(t, 'all came', () => cloud.counters.conflicts === 1);
      t.match(cloud.counters, { deviceReadings: 4, framesRepeated: 2 });
      t.match(cloud.direct.logsOf('meter-7'), [{ boot: 'b1', first: 41, last: 46, taken: 4 }]);
      t.equal(cloud.direct.missing(), 2);
      t.match(cloud.store.progress('meter-7', 'b1'), { missing: 2 }, 'what was before the first is not missing');
      // A device without a count is known again by its times.
      for (const value of [1, 1, 2]) await meter.telemetry({ ts: nowMs + value, metrics: { humidity_pct: value } });
      await until(t, 'the uncounted came', () => cloud.counters.deviceReadings === 6);
      await until(t, 'its repeat did not', () => cloud.counters.framesRepeated === 3);

      await running.again();
      t.equal(running.cloud.direct.missing(), 2, 'also after a restart');
      const later = await device(t, running, 'meter-7', 'gamma');
      await later.telemetry(reading);
      await until(t, 'known again', () => running.cloud.counters.framesRepeated === 1);
      t.equal(running.cloud.counters.deviceReadings, 0);
    },
  );

  t.test(`${name}: one device's certificate says nothing for another; what is refused is kept`, { skip }, async (t) => {
    const running = await run(t, broker);
    const { cloud, fixture } = running;
    const reading = { boot: 'x', seq: 1, metrics: { equipment_temp_c: 30 } };
    for (const [topic, payload] of [
      [topics.telemetry('gamma', 'meter-7'), { ...reading, seq: 900 }],
      [topics.telemetry('gamma', 'cabinet-1'), { ...reading, seq: 901 }],
      [topics.alerts('gamma'), { device_id: 'cabinet-1', alert: 'door_open' }],
      [topics.up('alpha', 'gw-1', 'live'), 'x'],
      [topics.telemetry('alpha', 'unknown-1'), reading],
    ] as const) {
      const cabinet = await device(t, running, 'cabinet-1', 'alpha');
      await inVain(cabinet.publishTo(topic, payload));
      await cabinet.end();
    }
    const unknown = await device(t, running, 'unknown-1', 'alpha').catch(() => undefined);
    if (unknown) await inVain(unknown.telemetry(reading));
    const cabinet = await device(t, running, 'cabinet-1', 'alpha');
    await cabinet.telemetry('{"boot":');
    await cabinet.telemetry({ boot: 'x', seq: -1, metrics: {} });
    // Half a character: no text that a log could be named after.
    await cabinet.telemetry('{"boot":"\\ud800","seq":1,"metrics":{}}');
    await cabinet.alert('{"device_id":"cabinet-1","boot":"\\ud800","seq":1,"alert":"door_open"}');
    await cabinet.telemetry(reading);
    await until(t, 'the good one', () => cloud.counters.deviceReadings === 1);
    t.same(
      cloud.store.deadLetters(10).map(({ stage, gatewayId, code }) => [stage, gatewayId, code]),
      [
        ['device_alert', 'cabinet-1', 'E_PAYLOAD_SCHEMA'],
        ['telemetry', 'cabinet-1', 'E_PAYLOAD_SCHEMA'],
        ['telemetry', 'cabinet-1', 'E_PAYLOAD_SCHEMA'],
        ['telemetry', 'cabinet-1', 'E_PAYLOAD_NOT_JSON'],
      ],
    );
    t.same(
      cloud.store.allLogs().map(({ gatewayId }) => gatewayId),
      ['cabinet-1'],
    );

    t.match(cloud.direct.logsOf('cabinet-1'), [{ first: 2, last: 2, taken: 1 }], 'nothing of what it said elsewhere');
    // What an older program refused and this one takes.
    const good = {
      gatewayId: 'cabinet-1',
      gridId: 'alpha',
      epoch: null,
      number: null,
      code: 'E_PAYLOAD_SCHEMA',
      reason: 'old',
    };
    const text = JSON.stringify({ boot: 'x', seq: 2, metrics: { humidity_pct: 41 } });
    const atMs = clock.nowMs() - 3_600_000;
    cloud.store.keepDeadLetter({ ...good, stage: 'telemetry', bytes: Buffer.from(text) }, atMs);
    const bytes = testFrame(1);
    const frame = { number: 1, bytes, hash: Buffer.alloc(32, 1), bad: 'old', fromMs: null, toMs: null };
    cloud.store.accept([{ gatewayId: 'gw-1', gridId: 'alpha', epoch: 'E', frames: [frame] }], [], atMs);
    const ids = cloud.store.deadLetters(10).map(({ id }) => id);
    const socket = join(fixture.directory, 'data', 'cloud.sock');
    t.match(await askControl(socket, { command: 'letters' }, clock), { ok: true, count: 6 });
    t.match(await askControl(socket, { command: 'replay', ids }, clock), {
      ok: true,
      replayed: [...Array(4).fill({ outcome: 'refused' }), { outcome: 'taken' }, { outcome: 'taken' }],
    });
    const grid = cloud.grids.get('alpha');
    await until(t, 'both are shown', () => grid?.latest('inv-01', 'generation_kw') !== undefined);
    t.match(grid?.latest('cabinet-1', 'humidity_pct'), { value: 41, timeMs: atMs }, 'it is of the time it came');
    t.equal(cloud.store.deadLetterCount(), 4);
    t.match(cloud.store.receipt('gw-1', 'E'), { up_to: 1, bad: [] });
    t.equal((await cloud.replay(ids)).length, 4, 'what was taken is a letter no longer');
  });

  t.test(
    `${name}: what a device says is wrong is an alert until it says that it is over; rules watch its values and its silence`,
    { skip },
    async (t) => {
      const running = await run(t, broker);
      const { cloud } = running;
      const open = () =>
        cloud.grids
          .get('gamma')
          ?.alerts({ status: 'active' })
          .then((all) => all.map(({ rule_id }) => rule_id).sort()) ?? Promise.resolve([]);
      const meter = await device(t, running, 'meter-7', 'gamma');
      const door = { device_id: 'meter-7', boot: 'b', alert: 'door_open', message: 'The door is open' };
      await meter.alert({ ...door, seq: 1 });
      await meter.alert({ ...door, seq: 1 });
      await meter.alert({ ...door, seq: 2 });
      await meter.telemetry({ boot: 'b', seq: 3, metrics: { equipment_temp_c: 75 } });
      await until(t, 'both are raised', async () => (await open()).length === 2);
      t.same(await open(), ['device_alert', 'high_equipment_temperature']);
      const [alert] = (await cloud.grids.get('gamma')?.alerts({ ruleId: 'device_alert' })) ?? [];
      t.match(alert, { message: 'The door is open', device_name: 'Meter of the clinic', severity: 'high' });

      await running.again();
      const later = await device(t, running, 'meter-7', 'gamma');
      await later.alert({ ...door, seq: 4, state: 'cleared' });
      await until(
        t,
        'the door is closed',
        async () => (await running.cloud.grids.get('gamma')?.alerts({ status: 'active' }))?.length === 1,
      );
      await later.telemetry({ boot: 'b', seq: 5, metrics: { equipment_temp_c: 76 } });
      await until(t, 'taken', () => running.cloud.counters.deviceReadings > 0);
      const all = (await running.cloud.grids.get('gamma')?.alerts({})) ?? [];
      t.equal(all.length, 2, 'nothing is raised twice after a restart');
      t.equal(running.cloud.direct.missing(), 0, 'what it says on both topics is counted together');
      const grid = running.cloud.grids.get('gamma');
      const actor = { user_id: 'U1', name: 'Admin' };
      const body = { equipment_temp_high_c: 90 };
      await grid?.desired?.put('limits', { basedOn: 0, body, password: new Map(), actor });
      const limit = grid?.rules().find(({ id }) => id === 'high_equipment_temperature')?.parameters.above;
      t.equal(limit, 90, 'without a gateway a limit is in force at once');
      t.match(grid?.desired?.get('limits', undefined), { state: 'applied', reason: null });
      for (const [what, wrong] of [
        ['limits', { device_silent_min: 0 }],
        ['rules', { device_silent: { id: 'device_silent', part_of: 'no_such_rule' } }],
      ] as const) {
        const basedOn = what === 'limits' ? 1 : 0;
        const put = async () =>
          void (await grid?.desired?.put(what, { basedOn, body: wrong, password: new Map(), actor }));
        await t.rejects(put, { code: 'E_REQUEST_INVALID' }, 'what a gateway would refuse');
      }
      await later.telemetry({ boot: 'b', seq: 6, metrics: { 'equipment_temp_c.inverter': 80 } });
      await later.telemetry({ boot: 'b', seq: 7, metrics: { 'equipment_temp_c.battery': 95 } });
      await until(t, 'the new limit is watched', async () => (await grid?.alerts({}))?.length === 3);
    },
  );
}

lineSuite('the broker that is built in', async () => undefined);

const mosquitto = ['/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto', '/opt/homebrew/sbin/mosquitto'].find((path) =>
  existsSync(path),
);

/** A port that is free now, below those the system gives to outgoing connections. */
async function freePort(): Promise<number> {
  for (let port = 28_500 + (process.pid % 2000); ; port += 1) {
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

lineSuite(
  'mosquitto',
  async (t, { directory: folder, authority, certificate, configPath }) => {
    const ours = fileURLToPath(new URL('../mosquitto/', import.meta.url));
    const server = await issueServerCertificate(authority, { names: ['127.0.0.1'], nowMs: clock.nowMs(), days: 2 });
    const cloud = await certificate('villagrid-cloud');
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text, { mode: 0o644 });
      return join(folder, name);
    };
    const port = await freePort();
    const settings: Record<string, string> = {
      acl_file: file('acl', `${readFileSync(join(ours, 'villagrid.acl'), 'utf8')}${aclOf(directory.devices)}`),
      listener: `${port} 127.0.0.1`,
      cafile: join(folder, 'ca.pem'),
      certfile: file('mosquitto.crt', server.certificatePem),
      keyfile: file('mosquitto.key', server.privateKeyPem),
    };
    const conf = readFileSync(join(ours, 'villagrid.conf'), 'utf8').replace(
      /^(acl_file|listener|cafile|certfile|keyfile) .*$/gm,
      (_, name: string) => `${name} ${settings[name]}`,
    );
    // Started as root it would give that up, and could not read the files of the test.
    const broker = spawn(mosquitto as string, ['-c', file('conf', `${conf}\nuser root\n`)], { stdio: 'ignore' });
    t.teardown(() => broker.kill('SIGKILL'));
    file('cloud.crt', cloud.certificatePem);
    file('cloud.key', cloud.privateKeyPem);
    const url = `mqtts://127.0.0.1:${port}`;
    const text = readFileSync(configPath, 'utf8').replace(
      /^mqtts: .*$/m,
      `broker: {url: '${url}', ca_file: ca.pem, certificate_file: cloud.crt, key_file: cloud.key}`,
    );
    writeFileSync(configPath, text);
    return url;
  },
  mosquitto === undefined && 'mosquitto is not installed',
);
