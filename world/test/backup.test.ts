/** A backup of a running gateway, restored to another box while a real cloud watches. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createCloud, loadCloudConfig, type Cloud } from '@villagrid/cloud';
import { createGateway, loadGatewayConfig, unpackFrame, type Gateway } from '@villagrid/gateway';
import { decodeFrame } from '@villagrid/contracts';
import {
  addDevice,
  addGatewayToCloud,
  initCloud,
  initGateway,
  issueDeviceCredential,
  setSetting,
  withAccounts,
} from '@villagrid/provisioning';
import { cryptoRandom, describeArchive, openDatabase, realClock, silentLogger } from '@villagrid/runtime';
import { memoryLog, tempDir } from '@villagrid/runtime/testing';
import mqtt, { type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { cli, until } from './installer.js';
import { freePortBase } from './port-base.js';

t.setTimeout(120_000);
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const [clock, random] = [realClock(), cryptoRandom()];
const [gridId, gatewayId, passphrase] = ['kisima', 'gw-kisima', 'canary stick of Kisima'];
const run = promisify(execFile);

/** A box with one device and one person, and its cloud. */
async function site(t: Test) {
  const folder = tempDir(t);
  const [cloudFolder, box, base] = [join(folder, 'cloud'), join(folder, 'box'), await freePortBase(1)];
  const realNowMs = clock.nowMs();
  const ports = { http: base + 10, https: base + 11, mqtts: base + 13 };
  const cloudFiles = await initCloud({ folder: cloudFolder, ports, realNowMs });
  const zero = { http: 0, https: 0, mqtt: 0, mqtts: 0 };
  const place = { grid_id: gridId, gateway_id: gatewayId, name: 'Kisima', zone: 'UTC', devices: [], wiring: {} };
  const plant = { battery_floor_pct: 20, has_genset: false, has_mains: false };
  const files = await initGateway({
    folder: box,
    site: { ...place, plant },
    ports: zero,
    host: '127.0.0.1',
    realNowMs,
  });
  setSetting(files.config, ['log', 'hold_ms'], 5);
  setSetting(files.config, ['log', 'ballast_mb'], 0);
  addDevice(box, { device_id: 'inv-1', name: 'Inverter', protocol: 'mqtt', kind: 'inverter', period_s: 5 } as never);
  const { password } = await issueDeviceCredential(box, 'inv-1', random);
  const url = `mqtts://127.0.0.1:${ports.mqtts}`;
  await addGatewayToCloud({ cloudFolder, gatewayFolder: box, url, realNowMs });
  await withAccounts(files.config, { realClock: clock, random, log: silentLogger() }, async (accounts) => {
    const grants = [{ role: 'admin' as const, scope: { kind: 'everything' as const } }];
    await accounts.addUser({ username: 'juma', displayName: 'Juma', password: 'canary of Juma 1', grants });
  });
  writeFileSync(join(folder, 'passphrase'), `${passphrase}\n`, { mode: 0o600 });
  const cloudLines = memoryLog({ level: 'info', foldAfter: 10_000 });
  const startCloud = async (): Promise<Cloud> => {
    const cloud = createCloud(loadCloudConfig({ path: cloudFiles.config }), {
      clock,
      realClock: clock,
      random,
      log: cloudLines.log,
    });
    await cloud.start();
    t.teardown(() => cloud.stop());
    return cloud;
  };
  return { folder, box, password, startCloud, cloudLines: cloudLines.lines };
}

/** A gateway on a folder, and its one device. */
async function start(t: Test, folder: string, password: string) {
  const { log, lines } = memoryLog({ level: 'info', foldAfter: 10_000 });
  const gateway = createGateway(loadGatewayConfig({ path: join(folder, 'gateway.yaml') }), {
    clock,
    realClock: clock,
    random,
    log,
  });
  t.teardown(() => gateway.stop());
  const { mqtt: url } = await gateway.start();
  const client: MqttClient = mqtt.connect(url, { username: 'inv-1', password, clientId: 'inv-1', reconnectPeriod: 0 });
  t.teardown(() => void client.end(true));
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve());
    client.once('error', reject);
  });
  return { gateway, client, lines };
}

let seq = 0;
/** Publishes readings one after the other and gives how long each took to be acknowledged, milliseconds. */
async function publish(client: MqttClient, count: number): Promise<number[]> {
  const tookMs: number[] = [];
  for (let i = 0; i < count; i += 1) {
    seq += 1;
    const begunMs = clock.monotonicMs();
    const ts = Math.round(clock.nowMs());
    const payload = { v: 1, boot: 'n1', seq, ts, metrics: { generation_kw: (seq % 90) / 10, dc_bus_voltage_v: 300 } };
    await client.publishAsync(`microgrid/${gridId}/device/inv-1/telemetry`, JSON.stringify(payload), { qos: 1 });
    tookMs.push(clock.monotonicMs() - begunMs);
  }
  return tookMs;
}
const p99 = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0;

const receipted = (gateway: Gateway) => () => gateway.log.cursor('uplink') === gateway.log.newestNumber();
const counted = async (side: Gateway | Cloud): Promise<Record<string, number>> => {
  const grids = 'api' in side ? side.api.grids : side.grids;
  const series = (await grids.get(gridId)?.completeness(clock.nowMs() + 60_000))?.series ?? [];
  return Object.fromEntries(series.map((one) => [one.metric, one.count]));
};
const framesOf = (path: string, upTo: number) => {
  const database = openDatabase({ path, readonly: true });
  try {
    return database.prepare('SELECT * FROM frame WHERE number <= ? ORDER BY number').all(upTo) as {
      number: number;
      bytes: Buffer;
    }[];
  } finally {
    database.close();
  }
};

t.test(
  'a backup of a gateway under load is restored row by row, and the cloud counts nothing twice and misses nothing',
  async (t) => {
    const { folder, box, password, startCloud, cloudLines } = await site(t);
    let cloud = await startCloud();
    const first = await start(t, box, password);
    const before = await publish(first.client, 25);
    await until('the first frames are receipted', receipted(first.gateway));
    // What the backup holds and the cloud has not got yet.
    await cloud.stop();
    await publish(first.client, 10);

    const stick = join(folder, 'stick');
    mkdirSync(stick);
    const words = ['backup', stick, '--folder', box, '--passphrase-file', join(folder, 'passphrase'), '--json'];
    const atLeast = first.gateway.log.newestNumber();
    let ended = false;
    const command = ['--conditions=villagrid', '--import=tsx', join(root, 'provisioning/src/main.ts'), ...words];
    const backup = run(process.execPath, command, { cwd: root }).finally(() => (ended = true));
    const during: number[] = [];
    while (!ended) during.push(...(await publish(first.client, 5)));
    const made = JSON.parse((await backup).stdout) as { file: string; newest_number: number };
    t.comment(
      `p99 of an acknowledgement: ${p99(before).toFixed(0)} ms before, ${p99(during).toFixed(0)} ms during the backup`,
    );
    const atMost = first.gateway.log.newestNumber();
    t.same(readdirSync(stick), [made.file.slice(stick.length + 1)], 'one file, and nothing left over');
    t.equal(statSync(made.file).mode & 0o777, 0o600);
    const held = (await describeArchive(made.file)).parts.map(({ name }) => name);
    t.ok(held.includes('data/log.journal'), 'what was committed and is not in the tables yet is in it too');
    const bytes = readFileSync(made.file);
    for (const secret of [password, 'canary', 'PRIVATE KEY', 'scrypt$'])
      t.notOk(bytes.includes(secret), `no ${secret} in it`);

    // The box goes on, the cloud comes back and takes all; then the box is lost.
    cloud = await startCloud();
    await publish(first.client, 15);
    await until('all of the first life is receipted', receipted(first.gateway));
    const firstLife = seq;
    await first.gateway.stop();

    const other = join(folder, 'other');
    const restored = await cli(
      ['restore', made.file, '--to', other, '--passphrase-stdin', '--json'],
      `${passphrase}\n`,
    );
    t.equal(restored.code, 0, restored.err);
    const told = JSON.parse(restored.out) as { previous_last_number: number; epoch: string; previous_epoch: string };
    const last = told.previous_last_number;
    t.ok(
      last >= atLeast && last <= atMost,
      `the backup is of an instant while it ran: ${atLeast} <= ${last} <= ${atMost}`,
    );
    const rows = framesOf(join(other, 'data/log.db'), last);
    t.same(rows, framesOf(join(box, 'data/log.db'), last), 'every frame up to that instant is there as it was');
    for (const name of ['device-credentials.json', 'pki/gateway.key', 'pki/uplink.key']) {
      t.same(readFileSync(join(other, name)), readFileSync(join(box, name)), name);
      t.equal(statSync(join(other, name)).mode & 0o777, 0o600, name);
    }
    t.equal(statSync(join(other, 'data/log.db')).mode & 0o777, 0o600);
    const inBackup = rows.reduce((sum, row) => sum + decodeFrame(unpackFrame(row.bytes)).samples.length, 0) / 2;

    const second = await start(t, other, password);
    t.equal(second.gateway.log.epoch, told.epoch);
    t.not(told.epoch, told.previous_epoch);
    t.same(second.gateway.log.read(last + 1, { maxFrames: 1, maxBytes: 1e6 })[0]?.frame.entries, [
      {
        type: 'epoch',
        epoch: told.epoch,
        previous_epoch: told.previous_epoch,
        previous_last_number: last,
        reason: 'restored',
      },
    ]);
    t.ok(await second.gateway.accounts.login('juma', 'canary of Juma 1', '127.0.0.1'), 'people log in as before');
    const secondLife = 10;
    await publish(second.client, secondLife);
    await until('all of the second life is receipted', receipted(second.gateway));
    const all = { dc_bus_voltage_v: firstLife + secondLife, generation_kw: firstLife + secondLife };
    await until('the cloud has counted', async () => (await counted(cloud)).generation_kw === all.generation_kw);
    t.same(await counted(cloud), all, 'the cloud has each reading once, also those that the backup came too early for');
    const own = { dc_bus_voltage_v: inBackup + secondLife, generation_kw: inBackup + secondLife };
    t.same(await counted(second.gateway), own, 'the box has those of the backup and its own, each once');
    const { up_to: upTo, also, bad } = cloud.store.receipt(gatewayId, told.epoch);
    t.same({ upTo, also, bad }, { upTo: second.gateway.log.newestNumber() - last, also: [], bad: [] });
    t.same(cloud.store.receipt(gatewayId, told.previous_epoch).also, []);
    const warning = /lost|conflict|differs|refused|less than/;
    const wrong = [...cloudLines, ...first.lines, ...second.lines].filter((line) => warning.test(String(line.msg)));
    t.same(wrong, [], 'neither side speaks of loss or conflict');

    // And the backup of a restored box.
    await second.gateway.stop();
    await publish3(t);

    async function publish3(t: Test) {
      const again = await cli(
        ['backup', join(folder, 'second.vgbackup'), '--folder', other, '--passphrase-stdin'],
        passphrase,
      );
      t.equal(again.code, 0, again.err);
      const third = join(folder, 'third');
      const back = await cli(
        [
          'restore',
          join(folder, 'second.vgbackup'),
          '--to',
          third,
          '--data',
          join(folder, 'elsewhere'),
          '--passphrase-stdin',
        ],
        passphrase,
      );
      t.equal(back.code, 0, back.err);
      t.equal(loadGatewayConfig({ path: join(third, 'gateway.yaml') }).data_dir, join(folder, 'elsewhere'));
      const { gateway, client } = await start(t, third, password);
      await publish(client, 5);
      await until('all of the third life is receipted', receipted(gateway));
      const sum = firstLife + secondLife + 5;
      await until('the cloud has counted', async () => (await counted(cloud)).generation_kw === sum);
      t.equal((await counted(cloud)).generation_kw, sum, 'a restore of a restore counts nothing twice either');
      t.equal((await counted(gateway)).generation_kw, inBackup + secondLife + 5);
      await gateway.stop();
    }
  },
);

t.test(
  'what the cloud had not got when the box was lost comes from the restored one, under its old name',
  async (t) => {
    const { folder, box, password, startCloud } = await site(t);
    const first = await start(t, box, password);
    await publish(first.client, 20);
    const file = join(folder, 'a.vgbackup');
    t.equal((await cli(['backup', file, '--folder', box, '--passphrase-stdin'], passphrase)).code, 0);
    const { epoch } = first.gateway.log;
    await first.gateway.stop();
    const other = join(folder, 'other');
    t.equal((await cli(['restore', file, '--to', other, '--passphrase-stdin'], passphrase)).code, 0);
    const second = await start(t, other, password);
    const cloud = await startCloud();
    await publish(second.client, 10);
    await until('all is receipted', receipted(second.gateway));
    await until('the cloud has counted', async () => (await counted(cloud)).generation_kw === 30);
    t.same(await counted(cloud), { dc_bus_voltage_v: 30, generation_kw: 30 });
    t.ok(cloud.store.receipt(gatewayId, epoch).up_to >= 1, 'the former epoch is in the ledger');
  },
);

t.test('a restore is refused with a sentence and changes nothing, unless all is right', async (t) => {
  const { folder, box, password } = await site(t);
  const run1 = await start(t, box, password);
  await publish(run1.client, 3);
  await run1.gateway.stop();
  const file = join(folder, 'a.vgbackup');
  const backup = (...more: string[]) =>
    cli(['backup', file, '--folder', box, '--passphrase-stdin', ...more], passphrase);
  t.match(await cli(['backup', file, '--folder', box]), { code: 2, err: /passphrase-file/ }, 'nobody to ask');
  t.match(await cli(['backup', file, '--folder', box, '--passphrase-stdin'], 'short'), {
    code: 1,
    err: /10 characters/,
  });
  t.match(await cli(['backup', join(folder, 'no', 'b'), '--folder', box, '--passphrase-stdin'], passphrase), {
    code: 1,
    err: /not a folder/,
  });
  t.match(await cli(['doctor', '--folder', box]), { out: /no backup was ever made/ });
  t.match(await backup(), { code: 0 });
  t.match(await cli(['doctor', '--folder', box]), { out: /made within the last day: .*a\.vgbackup/ });
  t.match(await backup(), { code: 1, err: /there already/ });
  const stick = join(folder, 'stick');
  mkdirSync(stick);
  const others = [
    'kisima-20250101-000000.vgbackup',
    'kisima-20250102-000000.vgbackup',
    'molo-20240101-000000.vgbackup',
  ];
  for (const name of others) writeFileSync(join(stick, name), '');
  t.match(await cli(['backup', stick, '--folder', box, '--keep', '2', '--passphrase-stdin'], passphrase), { code: 0 });
  t.match(
    readdirSync(stick).sort(),
    [others[1], /^kisima-20\d{6}-\d{6}\.vgbackup$/, others[2]],
    'two of this grid stay',
  );

  const other = join(folder, 'other');
  const restore = (from: string, words: string[] = [], with_ = passphrase) =>
    cli(['restore', from, '--to', other, '--passphrase-stdin', ...words], with_);
  t.match(await restore(file, [], 'another passphrase'), { code: 1, err: /E_BACKUP_PASSPHRASE/ });
  t.match(await restore(file, ['--grid', 'molo']), { code: 1, err: /of the grid "kisima", not of "molo"/ });
  const bytes = readFileSync(file);
  const cut = join(folder, 'cut');
  writeFileSync(cut, bytes.subarray(0, bytes.length - 1000));
  t.match(await restore(cut), { code: 1, err: /E_BACKUP_DAMAGED/ });
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 300) ^ 1, bytes.length - 300);
  writeFileSync(cut, bytes);
  t.match(await restore(cut), { code: 1, err: /E_BACKUP_DAMAGED/ });
  t.notOk(existsSync(other), 'nothing was left behind');
  t.match(await cli(['restore', file, '--to', box, '--passphrase-stdin'], passphrase), {
    code: 1,
    err: /not empty \(a gateway of the same grid\)/,
  });
  const log = openDatabase({ path: join(box, 'data/log.db') });
  log.prepare("UPDATE schema_module SET version = 99 WHERE name = 'log'").run();
  log.close();
  const newer = join(folder, 'newer');
  t.equal((await cli(['backup', newer, '--folder', box, '--passphrase-stdin'], passphrase)).code, 0);
  t.match(await restore(newer), { code: 1, err: /version 99 of "log".*newer program/s });
  t.match(await restore(file), { code: 0, out: /Restored kisima/ });
});
