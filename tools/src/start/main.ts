/** `npm start`: prepares the data folder, runs cloud, simulator and gateways, shows where everything is. */
import { mkdirSync, readFileSync, existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSecretJson } from '@villagrid/provisioning';
import { createLogger, cryptoRandom, realClock } from '@villagrid/runtime';
import { controlSocketPath } from '@villagrid/simulator';
import { type Child, makeChild } from './child.js';
import { askLine, serveLines } from './line-socket.js';
import { villageFiles } from './layout.js';
import { help, readOptions, type StartOptions } from './options.js';
import { prepareVillage } from './prepare.js';
import { continueTime, keepTime } from './village-time.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const clock = realClock();
const say = (text: string) => process.stderr.write(`${text}\n`);

let start: StartOptions;
try {
  start = readOptions(process.argv.slice(2), join(root, '.village'));
} catch (error) {
  say(`${error instanceof Error ? error.message : String(error)}\n\n${help}`);
  process.exit(2);
}
if (start.help) {
  process.stdout.write(help);
  process.exit(0);
}
start = { ...start, data: resolve(start.data) };
const files = villageFiles(start.data);
mkdirSync(start.data, { recursive: true, mode: 0o700 });

const startSocket = controlSocketPath(files.startSocket);
const already = await askLine(startSocket, { command: 'ensure' });
if (already !== undefined) {
  say('This village runs already; what had ended was started again.');
  process.stdout.write(`${JSON.stringify(already)}\n`);
  process.exit(0);
}
endLeftovers();

const time = continueTime(files.clock, start.speed, clock.nowMs());
keepTime(files.clock, time, clock.nowMs());
const log = createLogger({ name: 'start', level: 'warn', clock });
say(`Preparing the village in ${start.data}`);
const prepared = await prepareVillage({
  root,
  start,
  time,
  realClock: clock,
  random: cryptoRandom(),
  log,
  progress: (text) => say(`  ${text}`),
});

const child = (name: string, file: string, config: string, readyKey: string, keepRunning: boolean): Child =>
  makeChild({
    name,
    file: join(root, file),
    args: ['--config', config],
    readyKey,
    logFile: join(files.logs, `${name}.log`),
    clock,
    keepRunning,
    onChange: changed,
  });
// The cloud is far away: when it is killed it stays away until it is started again, as an outage would. A box restarts its gateway.
const cloud = child('cloud', 'cloud/dist/main-local.js', prepared.cloudConfig, 'cloud', false);
const simulator = child('simulator', 'simulator/dist/main.js', prepared.simulatorConfig, 'simulator', true);
const gateways = prepared.grids.map((grid, index) =>
  child(index === 0 ? 'gateway' : `gateway-${grid.gridId}`, 'gateway/dist/main.js', grid.configFile, 'gateway', true),
);
const everybody = [cloud, simulator, ...gateways];

function changed(what: string): void {
  say(what);
  writeRunning();
}

/** Remembers who runs, so that a later start can end what a killed one left behind. */
function writeRunning(): void {
  writeSecretJson(files.running, {
    start: process.pid,
    parts: everybody.map((one) => ({ name: one.name, pid: one.pid() })),
  });
}

/** Ends parts of a former start that was killed without being able to stop them. */
function endLeftovers(): void {
  if (!existsSync(files.running)) return;
  const { parts } = JSON.parse(readFileSync(files.running, 'utf8')) as { parts: { name: string; pid?: number }[] };
  for (const { name, pid } of parts) {
    if (pid === undefined) continue;
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(start.data)) continue;
      say(`Ending ${name} (pid ${pid}), left over from a start that was killed.`);
      process.kill(pid, 'SIGKILL');
    } catch {
      // It is gone, or it is not ours.
    }
  }
}

let stopping: Promise<void> | undefined;
const heartbeat = clock.every(5000, () => keepTime(files.clock, time, clock.nowMs()));
async function stop(code: number): Promise<void> {
  stopping ??= (async () => {
    say('Stopping …');
    heartbeat.cancel();
    control?.close();
    // Gateways first: they say goodbye to the cloud over the simulator's link.
    await Promise.all(gateways.map((one) => one.stop()));
    await Promise.all([simulator.stop(), cloud.stop()]);
    keepTime(files.clock, time, clock.nowMs());
    say('Stopped. The data is kept; `npm start` goes on with it.');
    process.exit(code);
  })();
  return stopping;
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(0));

const addresses = new Map<string, Record<string, unknown>>();
async function begin(one: Child): Promise<void> {
  addresses.set(one.name, await one.start());
}

/** The ready line: addresses, pids, where the credentials are. */
function readyLine(): Record<string, unknown> {
  const of = (name: string) => {
    const { gateway, cloud: ofCloud, villagrid, pid, ...rest } = addresses.get(name) ?? {};
    void [gateway, ofCloud, villagrid, pid];
    return rest;
  };
  return {
    villagrid: 'ready',
    gateway: of('gateway'),
    cloud: of('cloud'),
    pids: { gateway: gateways[0]?.pid(), cloud: cloud.pid(), simulator: simulator.pid() },
    credentials: files.credentials,
    data: start.data,
    gateways: prepared.grids.map((grid, index) => ({
      grid_id: grid.gridId,
      ...of(gateways[index]?.name ?? ''),
      pid: gateways[index]?.pid(),
    })),
  };
}

const control = await serveLines(startSocket, async ({ command, part }) => {
  if (command === 'ensure') {
    for (const one of everybody) if (!one.running()) await begin(one);
    writeRunning();
    return readyLine();
  }
  if (command === 'status')
    return everybody.map((one) => ({ part: one.name, running: one.running(), pid: one.pid() ?? null }));
  const chosen = everybody.find((one) => one.name === part);
  if (chosen === undefined)
    throw new Error(`there is no part "${String(part)}"; parts are ${everybody.map((one) => one.name).join(', ')}`);
  if (command === 'stop') await chosen.stop();
  else if (command === 'start') await begin(chosen);
  else throw new Error(`"${String(command)}" is not understood`);
  writeRunning();
  return { part: chosen.name, running: chosen.running(), pid: chosen.pid() ?? null };
});

try {
  say('Starting the cloud');
  await begin(cloud);
  say('Starting the virtual devices');
  await begin(simulator);
  for (const [index, one] of gateways.entries()) {
    say(`Starting the gateway of ${prepared.grids[index]?.name ?? ''}`);
    await begin(one);
  }
  writeRunning();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  await stop(1);
}

const line = readyLine();
const rows: [string, string][] = [];
for (const [index, grid] of prepared.grids.entries()) {
  const at = addresses.get(gateways[index]?.name ?? '') ?? {};
  rows.push(
    [`${grid.name}: app and API`, String(at.http ?? '')],
    ['  the same with TLS', String(at.https ?? '')],
    ['  MQTT, this machine only', String(at.mqtt ?? '')],
    ['  MQTT over TLS for nodes', String(at.mqtts ?? '')],
  );
}
const atCloud = addresses.get('cloud') ?? {};
rows.push(
  ['Cloud: app and API', String(atCloud.http ?? '')],
  ['  the same with TLS', String(atCloud.https ?? '')],
  ['  uplink of gateways', String(atCloud.mqtts ?? '')],
);
rows.push(
  ['Names and passwords', files.credentials],
  ['Logs', files.logs],
  ['Faults and parts', 'npm run village -- --help'],
);
const width = Math.max(...rows.map(([name]) => name.length));
process.stdout.write(
  `\n${rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n')}\n\n  Ctrl-C stops everything.\n\n${JSON.stringify(line)}\n`,
);
