import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { topics } from '@villagrid/contracts';
import {
  createAuthority,
  cryptoRandom,
  issueClientCertificate,
  issueServerCertificate,
  realClock,
  silentLogger,
} from '@villagrid/runtime';
import { memoryLog, tempDir } from '@villagrid/runtime/testing';
import t from 'tap';
import { createMqttDestination } from './index.js';
import { destinationSuite } from './testing/destination-suite.js';
import { startFarSide } from './testing/far-side.js';

destinationSuite(t, 'mqtt', ({ url, gatewayId, files, clock }) =>
  createMqttDestination({
    url,
    ...files,
    clientId: gatewayId,
    realClock: clock,
    random: cryptoRandom(),
    log: silentLogger(),
    backoff: { minMs: 50, maxMs: 500 },
  }),
);

t.test(
  'a wrong system clock keeps no gateway from its cloud: the authority counts, and the time that is known',
  async (t) => {
    const clock = realClock();
    const day = 86_400_000;
    // To a system whose clock is ten days behind, a certificate of today begins in ten days.
    const far = await startFarSide(t, { serverFromMs: clock.nowMs() + 10 * day });
    const link = async (
      judge: { systemIsRight(): boolean; nowMs(): number | undefined } | undefined,
      caOfStranger = false,
      url = far.url(),
    ) => {
      const files = await far.files('gw-1');
      const { log, lines } = memoryLog();
      const destination = createMqttDestination({
        url,
        ...files,
        ...(caOfStranger ? { caFile: (await far.files('gw-1', true)).certificateFile } : {}),
        clientId: 'gw-1',
        realClock: clock,
        random: cryptoRandom(),
        log,
        backoff: { minMs: 50, maxMs: 500 },
        ...(judge ? { judge } : {}),
      });
      destination.open('down/#', { up() {}, down() {}, message() {} });
      const endMs = clock.monotonicMs() + 8000;
      const said = () =>
        lines.find((line) => typeof line.reason === 'string')?.reason ??
        lines.find((line) => line.msg === 'linked to the cloud')?.msg;
      while (said() === undefined && clock.monotonicMs() < endMs) await clock.sleep(10);
      await destination.close();
      return said();
    };
    const judge = (nowMs: number | undefined, systemIsRight = false) => ({
      systemIsRight: () => systemIsRight,
      nowMs: () => nowMs,
    });
    const refusedDown = /subscribing to .* was refused|linked/;
    t.match(await link(undefined), /not yet valid/);
    t.match(await link(judge(clock.nowMs() + 11 * day, true)), /not yet valid/, 'a system that is right judges itself');
    t.match(await link(judge(undefined)), refusedDown, 'nobody knows the time: who signed it counts');
    t.match(await link(judge(clock.nowMs() + 11 * day)), refusedDown, 'the village knows the time');
    t.match(await link(judge(clock.nowMs())), /not yet valid/);
    t.match(await link(judge(clock.nowMs() + 90 * day)), /expired/);
    t.match(await link(judge(undefined), true), /authority/, 'another authority is refused all the same');
    t.match(await link(judge(undefined), false, far.url().replace('127.0.0.1', 'localhost')), /not for localhost/);
  },
);

const mosquitto = ['/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto', '/opt/homebrew/sbin/mosquitto'].find((path) =>
  existsSync(path),
);

/** A port that is free now, below those the system gives to outgoing connections. */
async function freePort(): Promise<number> {
  for (let port = 30_500 + (process.pid % 2000); ; port += 1) {
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

t.test(
  'mosquitto with the ACL that comes with us: own topics pass, foreign ones go nowhere, a foreign certificate stays out',
  { skip: mosquitto === undefined && 'mosquitto is not installed' },
  async (t) => {
    const clock = realClock();
    const nowMs = clock.nowMs();
    const folder = tempDir(t);
    const [authority, foreign] = await Promise.all(
      ['Ours', 'Foreign'].map((name) => createAuthority({ name, nowMs, days: 2 })),
    );
    if (!authority || !foreign) throw new Error('no authority');
    const server = await issueServerCertificate(authority, { names: ['127.0.0.1'], nowMs, days: 2 });
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text, { mode: 0o644 });
      return join(folder, name);
    };
    const caFile = file('ca.pem', authority.certificatePem);
    const ours = fileURLToPath(new URL('../../../cloud/mosquitto/', import.meta.url));
    const port = await freePort();
    const settings: Record<string, string> = {
      acl_file: file('acl', readFileSync(join(ours, 'villagrid.acl'), 'utf8')),
      listener: `${port} 127.0.0.1`,
      cafile: caFile,
      certfile: file('server.crt', server.certificatePem),
      keyfile: file('server.key', server.privateKeyPem),
    };
    const conf = readFileSync(join(ours, 'villagrid.conf'), 'utf8').replace(
      /^(acl_file|listener|cafile|certfile|keyfile) .*$/gm,
      (_, name: string) => `${name} ${settings[name]}`,
    );
    // Started as root it would give that up, and could not read the files of the test.
    const broker = spawn(mosquitto as string, ['-c', file('conf', `${conf}\nuser root\n`)], { stdio: 'ignore' });
    t.teardown(() => broker.kill('SIGKILL'));
    const until = async (what: string, met: () => boolean) => {
      const endMs = clock.monotonicMs() + 20_000;
      while (!met()) {
        if (clock.monotonicMs() > endMs) throw new Error(`waited in vain for: ${what}`);
        await clock.sleep(10);
      }
    };
    const client = async (commonName: string, subscription: string, by = authority) => {
      const issued = await issueClientCertificate(by, { commonName, nowMs, days: 2 });
      const heard: string[] = [];
      const destination = createMqttDestination({
        url: `mqtts://127.0.0.1:${port}`,
        caFile,
        certificateFile: file(`${commonName}.crt`, issued.certificatePem),
        keyFile: file(`${commonName}.key`, issued.privateKeyPem),
        clientId: commonName,
        realClock: clock,
        random: cryptoRandom(),
        log: silentLogger(),
        backoff: { minMs: 50, maxMs: 300 },
      });
      t.teardown(() => destination.close());
      destination.open(subscription, {
        up() {},
        down() {},
        message: (topic, bytes) => void heard.push(`${topic} ${new TextDecoder().decode(bytes)}`),
      });
      const say = (topic: string, text: string) => destination.publish(topic, new TextEncoder().encode(text));
      return { destination, heard, say };
    };
    const cloud = await client('villagrid-cloud', 'microgrid/+/gateway/+/up/+');
    const first = await client('gw-1', topics.down('g1', 'gw-1'));
    const second = await client('gw-2', topics.down('g1', 'gw-2'));
    // Signed by others in the name of a gateway that is known.
    const stranger = await client('gw-3', topics.down('g1', 'gw-3'), foreign);
    await until('all are in', () => [cloud, first, second].every(({ destination }) => destination.connected));
    await first.say(topics.up('g1', 'gw-2', 'live'), 'in another’s name');
    await first.say(topics.down('g1', 'gw-2'), 'as if from above');
    await first.say(topics.up('g1', 'gw-1', 'live'), 'own');
    await second.say(topics.up('g1', 'gw-2', 'alerts'), 'own too');
    await cloud.say(topics.down('g1', 'gw-1'), 'a receipt');
    await cloud.say(topics.down('g1', 'gw-2'), 'another');
    await until('what is allowed', () => [2, 1, 1].every((n, i) => [cloud, first, second][i]!.heard.length >= n));
    t.same(cloud.heard.sort(), [
      `${topics.up('g1', 'gw-1', 'live')} own`,
      `${topics.up('g1', 'gw-2', 'alerts')} own too`,
    ]);
    t.same(first.heard, [`${topics.down('g1', 'gw-1')} a receipt`]);
    t.same(second.heard, [`${topics.down('g1', 'gw-2')} another`]);
    t.notOk(stranger.destination.connected);
  },
);
