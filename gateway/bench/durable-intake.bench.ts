/** Durable intake: what the gateway acknowledges a second, each message only after the fsynced commit that holds it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench, Contestant, Lap } from '@villagrid/tools/bench';
import { freePort, untilListening } from '@villagrid/tools/bench';
import { makeCertificates, makeGatewayFolder } from './gateway-folder.js';
import type { LoadReport, LoadSettings } from './load.js';
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
  to: Pick<LoadSettings, 'port' | 'clients'> & { authorityFile?: string | undefined },
): Promise<LoadReport> {
  const { port, clients, authorityFile } = to;
  const settings: LoadSettings = {
    port,
    clients,
    ...(authorityFile === undefined ? {} : { ca: readFileSync(authorityFile, 'utf8') }),
    inFlight,
    warmUpMs,
    windowMs,
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

const villagrid = (secure: boolean): Contestant => ({
  what: 'the gateway as villagrid init makes it, default rules on',
  async run(lap) {
    const gateway = await makeGatewayFolder(join(lap.folder, 'gateway'), {
      devices: connections,
      commitSamples,
      commitBytes,
    });
    const profile = lap.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', lap.profile];
    const running = lap.processes.start({
      name: 'gateway',
      command: process.execPath,
      args: [...profile, at('../dist/main.js'), '--config', gateway.config],
    });
    const addresses = (await running.next('gateway', 20_000)) as { mqtt: string; mqtts: string };
    const report = await load(lap, {
      port: Number(new URL(secure ? addresses.mqtts : addresses.mqtt).port),
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
    await running.end(lap.profile === undefined ? 'SIGKILL' : 'SIGTERM');
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

const bareAedes = (secure: boolean): Contestant => ({
  what: 'the broker library alone: no storage, no login, no rules',
  async run(lap) {
    const files = secure ? await makeCertificates(lap.folder) : undefined;
    const running = lap.processes.start({
      name: 'aedes',
      command: process.execPath,
      args: ['--import=tsx', at('bare-aedes.ts'), ...(files ? [files.certificate, files.key] : [])],
    });
    const { port } = (await running.next('ready', 20_000)) as { port: number };
    return (await load(lap, { port, clients: strangers, authorityFile: files?.authority })).perSecond;
  },
});

const mosquittoInMemory = (secure: boolean): Contestant => ({
  what: 'mosquitto without persistence',
  missing: () => (mosquitto === undefined ? 'It is not installed: sudo apt-get install mosquitto' : undefined),
  async run(lap) {
    const port = await freePort();
    const files = secure ? await makeCertificates(lap.folder) : undefined;
    const config = join(lap.folder, 'mosquitto.conf');
    const lines = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence false',
      'set_tcp_nodelay true',
      'log_type error',
      // Otherwise it becomes another user, who may not read the certificates here.
      ...(process.getuid?.() === 0 ? ['user root'] : []),
      ...(files ? [`certfile ${files.certificate}`, `keyfile ${files.key}`] : []),
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    lap.processes.start({ name: 'mosquitto', command: mosquitto ?? '', args: ['-c', config] });
    await untilListening(port);
    return (await load(lap, { port, clients: strangers, authorityFile: files?.authority })).perSecond;
  },
});

const bench = (id: string, how: string, secure: boolean): Bench => ({
  id,
  unit: 'msg/s',
  what: `QoS 1 messages acknowledged a second, each after the fsynced commit that holds it: ${connections} connections, ${inFlight} in flight, ${how}.`,
  own: villagrid(secure),
  limit: bareAedes(secure),
  // Node-RED with an MQTT-to-SQLite flow belongs here too.
  peers: { mosquitto: mosquittoInMemory(secure) },
});

export const benches: readonly Bench[] = [
  bench('gateway.intake.durable_qos1', 'without TLS', false),
  bench('gateway.intake.durable_qos1_tls', 'with TLS', true),
];
