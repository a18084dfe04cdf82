/** Durable intake: what the gateway acknowledges a second, each message only after the fsynced commit that holds it. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import type { Bench, Contestant, Lap } from '@villagrid/tools/bench';
import { freePort, untilListening } from '@villagrid/tools/bench';
import { noShim } from '../src/testing/disk/shim.js';
import { makeCertificates, makeGatewayFolder } from './gateway-folder.js';
import { startGateway } from './gateway-process.js';
import type { LoadReport, LoadSettings } from './load.js';
import { connectPacket, publishPacket } from './packets.js';
import { checkStored } from './stored.js';

const connections = 50;
const inFlight = 20;
const warmUpMs = 2000;
const windowMs = 5000;
/** A commit is closed by count, when half of what can be in flight has come: the other half arrives meanwhile. */
const commitSamples = 6000;
const commitBytes = 262_144;

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const mosquitto = ['/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto', '/opt/homebrew/sbin/mosquitto'].find((path) =>
  existsSync(path),
);

/** Runs the load against a port of the loopback; gives its report. */
async function load(
  { folder, processes }: Lap,
  to: Pick<LoadSettings, 'port' | 'clients' | 'most'> & { authorityFile?: string | undefined },
): Promise<LoadReport> {
  const { port, clients, authorityFile, most } = to;
  const settings: LoadSettings = {
    port,
    clients,
    ...(authorityFile === undefined ? {} : { ca: readFileSync(authorityFile, 'utf8') }),
    inFlight,
    warmUpMs: most === undefined ? warmUpMs : 0,
    windowMs,
    ...(most === undefined ? {} : { most }),
  };
  const file = join(folder, 'load.json');
  writeFileSync(file, JSON.stringify(settings), { mode: 0o600 });
  const running = processes.start({
    name: 'load',
    command: process.execPath,
    args: ['--import=tsx', at('load.ts'), file],
  });
  return (await running.next('load', warmUpMs + windowMs + 60_000)) as unknown as LoadReport;
}

/** Clients without a login, for brokers that ask for none. */
const strangers = Array.from({ length: connections }, (_, index) => ({
  clientId: `node-${index}`,
  topic: `microgrid/bench/device/node-${String(index + 1).padStart(2, '0')}/telemetry`,
  boot: `b${index}`,
}));

const slowSyncMs = 10;

const villagrid = (secure: boolean, slow = false): Contestant => ({
  what: `the gateway as villagrid init makes it, default rules on${slow ? `, each sync of its disk ${slowSyncMs} ms longer` : ''}`,
  missing: () => (slow ? noShim() : undefined),
  async run(lap) {
    const gateway = await makeGatewayFolder(join(lap.folder, 'gateway'), {
      devices: connections,
      commitSamples,
      commitBytes,
    });
    const running = await startGateway(lap, gateway, { bare: true, ...(slow ? { slowSyncMs } : {}) });
    const report = await load(lap, {
      port: secure ? running.mqtts : running.mqtt,
      authorityFile: secure ? gateway.authorityFile : undefined,
      clients: gateway.devices.map(({ deviceId, username, password, topic }) => ({
        clientId: deviceId,
        username,
        password,
        topic,
        boot: `b-${deviceId}`,
      })),
    });
    // Killed: only what is really on the disk counts. A profile is written at an orderly end only.
    await running.running.end(lap.profile === undefined ? 'SIGKILL' : 'SIGTERM');
    await checkStored(
      gateway.dataDirectory,
      gateway.devices.map(({ deviceId }, index) => ({
        deviceId,
        boot: `b-${deviceId}`,
        count: report.sent[index] ?? 0,
      })),
    );
    return report.perSecond;
  },
});

const alone = (secure: boolean, program: string, what: string): Contestant => ({
  what,
  async run(lap) {
    const files = secure ? await makeCertificates(lap.folder) : undefined;
    const running = lap.processes.start({
      name: 'limit',
      command: process.execPath,
      args: ['--import=tsx', at(program), ...(files ? [files.certificate, files.key] : [])],
    });
    const { port } = (await running.next('ready', 20_000)) as { port: number };
    return (await load(lap, { port, clients: strangers, authorityFile: files?.authority })).perSecond;
  },
});

const bareAedes = (secure: boolean): Contestant =>
  alone(secure, 'bare-aedes.ts', 'the broker library alone: no storage, no login, no rules');

const bareSocket = (secure: boolean): Contestant =>
  alone(secure, 'bare-socket.ts', 'sockets alone, in one thread of Node: acknowledged and not looked at');

/** Starts mosquitto on a free port; gives the port. */
async function startMosquitto(
  { folder, processes }: Lap,
  more: readonly string[] = [],
  files?: { readonly certificate: string; readonly key: string },
): Promise<number> {
  const port = await freePort();
  const config = join(folder, 'mosquitto.conf');
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'persistence false',
    'set_tcp_nodelay true',
    'log_type error',
    // Otherwise it becomes another user, who may not read the certificates here.
    ...(process.getuid?.() === 0 ? ['user root'] : []),
    ...(files ? [`certfile ${files.certificate}`, `keyfile ${files.key}`] : []),
    ...more,
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  processes.start({ name: 'mosquitto', command: mosquitto ?? '', args: ['-c', config] });
  await untilListening(port);
  return port;
}

const noMosquitto = () => (mosquitto === undefined ? 'It is not installed: sudo apt-get install mosquitto' : undefined);

const mosquittoInMemory = (secure: boolean): Contestant => ({
  what: 'mosquitto without persistence',
  missing: noMosquitto,
  async run(lap) {
    const files = secure ? await makeCertificates(lap.folder) : undefined;
    const port = await startMosquitto(lap, [], files);
    return (await load(lap, { port, clients: strangers, authorityFile: files?.authority })).perSecond;
  },
});

/** Messages of each connection that the storing peers get: a burst, until the last one is stored. */
const burstPerClient = 100;

/** A peer that stores: messages a second from the first publish until all of a burst are rows of its database. */
const storing = (
  what: string,
  missing: Contestant['missing'],
  startStoring: (lap: Lap, port: number, database: string) => void,
): Contestant => ({
  what,
  missing: (around) => noMosquitto() ?? missing?.(around),
  async run(lap) {
    // What it queues for a subscriber is a thousand messages otherwise, and the rest is lost silently.
    const port = await startMosquitto(lap, ['max_queued_messages 0', 'max_inflight_messages 0']);
    const path = join(lap.folder, 'stored.db');
    const database = new Database(path);
    database.exec('CREATE TABLE message (id INTEGER PRIMARY KEY, topic TEXT, body TEXT)');
    const count = database.prepare<[], number>('SELECT count(*) FROM message').pluck();
    startStoring(lap, port, path);
    const until = async (wanted: number, withinMs: number, ask: () => void = () => {}) => {
      const late = performance.now() + withinMs;
      while ((count.get() ?? 0) < wanted) {
        if (performance.now() > late) throw new Error(`${count.get()} of ${wanted} messages were stored`);
        ask();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    try {
      await until(1, 60_000, () => publishOnce(port, 'microgrid/probe', '{}'));
      await new Promise((resolve) => setTimeout(resolve, 500));
      const before = count.get() ?? 0;
      const total = burstPerClient * strangers.length;
      const beganMs = performance.now();
      await load(lap, { port, clients: strangers, most: burstPerClient });
      await until(before + total, 120_000);
      return (total / (performance.now() - beganMs)) * 1000;
    } finally {
      database.close();
    }
  },
});

const subscriberScript = storing(
  'mosquitto and a small program that stores in SQLite',
  undefined,
  (lap, port, path) => {
    lap.processes.start({
      name: 'subscriber',
      command: process.execPath,
      args: [at('peer-subscriber.mjs'), String(port), path],
    });
  },
);

const nodeRed = storing(
  'mosquitto and Node-RED with an MQTT-to-SQLite flow',
  ({ peers }) =>
    peers !== undefined && existsSync(join(peers, 'node_modules/node-red/red.js'))
      ? undefined
      : 'Node-RED is not installed: npm install --prefix DIR node-red node-red-node-sqlite, then --peers DIR',
  (lap, port, path) => {
    const folder = join(lap.folder, 'node-red');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'flows.json'), JSON.stringify(nodeRedFlow(port, path)));
    // Its nodes are looked for below its own folder.
    symlinkSync(join(lap.peers ?? '', 'node_modules'), join(folder, 'node_modules'));
    symlinkSync(join(lap.peers ?? '', 'package.json'), join(folder, 'package.json'));
    writeFileSync(
      join(folder, 'settings.js'),
      `module.exports = { flowFile: 'flows.json', uiHost: '127.0.0.1', uiPort: 0, httpAdminRoot: false, httpNodeRoot: false, logging: { console: { level: 'warn' } } };\n`,
    );
    lap.processes.start({
      name: 'node-red',
      command: process.execPath,
      args: [
        join(lap.peers ?? '', 'node_modules/node-red/red.js'),
        '--userDir',
        folder,
        '--settings',
        join(folder, 'settings.js'),
      ],
    });
  },
);

function nodeRedFlow(port: number, db: string) {
  return [
    { id: 'tab', type: 'tab', label: 'store' },
    {
      id: 'broker',
      type: 'mqtt-broker',
      broker: '127.0.0.1',
      port: String(port),
      clientid: '',
      autoConnect: true,
      usetls: false,
      protocolVersion: '4',
      keepalive: '60',
      cleansession: true,
    },
    {
      id: 'in',
      type: 'mqtt in',
      z: 'tab',
      topic: 'microgrid/#',
      qos: '1',
      datatype: 'utf8',
      broker: 'broker',
      inputs: 0,
      wires: [['fields']],
    },
    {
      id: 'fields',
      type: 'function',
      z: 'tab',
      func: 'msg.params = { $topic: msg.topic, $body: msg.payload }; return msg;',
      outputs: 1,
      wires: [['store']],
    },
    {
      id: 'store',
      type: 'sqlite',
      z: 'tab',
      mydb: 'db',
      sqlquery: 'prepared',
      sql: 'INSERT INTO message (topic, body) VALUES ($topic, $body)',
      wires: [[]],
    },
    { id: 'db', type: 'sqlitedb', db, mode: 'RWC' },
  ];
}

function publishOnce(port: number, topic: string, body: string): void {
  const socket = net.connect({ port, host: '127.0.0.1' }, () => socket.write(connectPacket({ clientId: 'probe' })));
  socket.once('data', () => {
    socket.once('data', () => socket.destroy());
    socket.write(publishPacket(topic, 1, body));
  });
  socket.on('error', () => {});
}

const messages = `${connections} connections, ${inFlight} in flight`;
const bench = (id: string, how: string, secure: boolean): Bench => ({
  id,
  unit: 'msg/s',
  what: `QoS 1 messages acknowledged a second, each after the fsynced commit that holds it: ${messages}, ${how}.`,
  own: villagrid(secure),
  limit: bareAedes(secure),
  peers: {
    mosquitto: mosquittoInMemory(secure),
    'bare socket': bareSocket(secure),
    ...(secure ? {} : { 'mosquitto + script': subscriberScript, 'mosquitto + node-red': nodeRed }),
  },
});

export const benches: readonly Bench[] = [
  bench('gateway.intake.durable_qos1', 'without TLS', false),
  bench('gateway.intake.durable_qos1_tls', 'with TLS', true),
  {
    id: 'gateway.intake.durable_qos1_slow_disk',
    unit: 'msg/s',
    what: `The same without TLS, each sync of the disk ${slowSyncMs} ms longer: ${messages}.`,
    own: villagrid(false, true),
  },
];
