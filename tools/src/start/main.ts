/** `npm start`: prepares the data folder, runs cloud, simulator and gateways, shows where everything is. */
import { existsSync, readFileSync, rmdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf, VillagridError } from '@villagrid/contracts';
import { writeSecretJson } from '@villagrid/provisioning';
import { createLogger, cryptoRandom, realClock } from '@villagrid/runtime';
import { canOpenPty, controlSocketPath } from '@villagrid/simulator';
import { takeLock } from '../../lock.mjs';
import { quoted } from '../words.js';
import { type Child, makeChild } from './child.js';
import { inPlainWords, openDataFolder, PlainError } from './data-folder.js';
import { askLine, serveLines } from './line-socket.js';
import { villageFiles } from './layout.js';
import { help, readOptions, type SettingName, settingOf, settings, type StartOptions } from './options.js';
import { neededPorts, portsInWords, takenPorts } from './ports.js';
import { type Prepared, prepareVillage } from './prepare.js';
import { continueTime, keepTime } from './village-time.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const clock = realClock();
const say = (text: string) => process.stderr.write(`${text}\n`);
/** A whole stop takes at most 5 s even when parts hang; the gateways leave the others so much of it. Milliseconds. */
const stopWithinMs = 4300;
const othersStopWithinMs = 1900;
let lock: { readonly release: () => void } | undefined;

const usualData = join(root, '.village');
let start: StartOptions;
try {
  start = readOptions(process.argv.slice(2), usualData);
} catch (error) {
  say(`${messageOf(error)}\n\n${help}`);
  process.exit(2);
}
if (start.help) {
  process.stdout.write(help);
  process.exit(0);
}
start = { ...start, data: resolve(start.data) };
const files = villageFiles(start.data);
const dataWords = start.data === usualData ? '' : ` --data ${quoted(start.data)}`;
const villageCommand = `npm run village --${dataWords}`;
const startSocket = controlSocketPath(files.startSocket);

/** Ends with what is wrong in words; an error nobody foresaw keeps its stack. */
function fail(error: unknown): never {
  const plain = error instanceof PlainError ? error : inPlainWords(error, start.data);
  if (plain !== undefined) say(plain.message);
  else if (error instanceof VillagridError) say(`${error.message}\n${error.next}`);
  else throw error;
  process.exit(1);
}

let made: boolean;
try {
  made = openDataFolder(start.data);
  await beTheOnlyOne();
} catch (error) {
  fail(error);
}
const endedSome = endLeftovers();

const needed = neededPorts(start.grids, start.portBase);
let taken = await takenPorts(needed);
// What was just ended may hold its ports for a moment, and so may a program that only looked whether they are free.
for (let tries = 0; taken.length > 0 && tries < (endedSome ? 20 : 5); tries += 1) {
  await clock.sleep(100);
  taken = await takenPorts(needed);
}
if (taken.length > 0) {
  say(await portsInWords(taken, start.grids, commandLine()));
  lock?.release();
  if (made) rmdirSync(start.data);
  process.exit(1);
}

const time = continueTime(files.clock, start.speed, clock.nowMs());
const log = createLogger({ name: 'start', level: 'warn', clock });
let prepared: Prepared;
try {
  keepTime(files.clock, time, clock.nowMs());
  say(`Preparing the village in ${start.data}`);
  prepared = await prepareVillage({
    root,
    start,
    time,
    realClock: clock,
    random: cryptoRandom(),
    log,
    progress: (text) => say(`  ${text}`),
    canMakeLine: canOpenPty(),
  });
} catch (error) {
  fail(error);
}

const child = (name: string, file: string, config: string, readyKey: string, keepRunning: boolean): Child =>
  makeChild({
    name,
    file: join(root, file),
    args: ['--config', config],
    readyKey,
    logFile: join(files.logs, `${name}.log`),
    clock,
    keepRunning,
    startAgain: `${villageCommand} start ${name}`,
    onChange: changed,
  });
// The cloud is far away: when it is killed it stays away until it is started again, as an outage would. A box restarts its gateway.
const cloud = child('cloud', 'cloud/dist/main-local.js', prepared.cloudConfig, 'cloud', false);
const simulator = child('simulator', 'simulator/dist/main.js', prepared.simulatorConfig, 'simulator', true);
const gateways = prepared.grids.map((grid, index) =>
  child(index === 0 ? 'gateway' : `gateway-${grid.gridId}`, 'gateway/bundle/main.js', grid.configFile, 'gateway', true),
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

/** Ends parts of a former start that was killed without being able to stop them; gives whether there were any. */
function endLeftovers(): boolean {
  let ended = false;
  if (!existsSync(files.running)) return ended;
  const { parts } = JSON.parse(readFileSync(files.running, 'utf8')) as { parts: { name: string; pid?: number }[] };
  for (const { name, pid } of parts) {
    if (pid === undefined) continue;
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(start.data)) continue;
      say(`Ending ${name} (pid ${pid}), left over from a start that was killed.`);
      process.kill(pid, 'SIGKILL');
      ended = true;
    } catch {
      // It is gone, or it is not ours.
    }
  }
  return ended;
}

/** Becomes the one start of this data folder; a village that runs there is shown instead, and one being started is waited for. */
async function beTheOnlyOne(): Promise<void> {
  for (let told = false; ; told = true) {
    const theirs = await askLine(startSocket, { command: 'settings' });
    if (theirs !== undefined) await attach(theirs as Partial<Record<SettingName, number>>);
    const taken = takeLock(files.lock);
    if (taken.pid === undefined) {
      lock = taken;
      process.on('exit', () => taken.release());
      return;
    }
    if (!told) say(`Another start (pid ${taken.pid}) is preparing this village; waiting for it.`);
    await clock.sleep(200);
  }
}

/** Shows the village that runs already, after what had ended of it was started again. */
async function attach(theirs: Partial<Record<SettingName, number>>): Promise<never> {
  let ready: unknown;
  try {
    ready = await askLine(startSocket, { command: 'ensure' });
  } catch (error) {
    throw new PlainError(`This village is run by another start, and: ${error instanceof Error ? error.message : ''}`);
  }
  say('This village runs already; what had ended was started again.');
  const other = start.given.filter((name) => settingOf(start, name) !== theirs[name]);
  for (const name of other)
    say(`--${name} ${settingOf(start, name)} is ignored: it runs with ${theirs[name] ?? 'the usual ones'}.`);
  if (other.length > 0) say('To change that, stop the village (Ctrl-C where it was started) and start it again.');
  process.stdout.write(`${JSON.stringify(ready)}\n`);
  process.exit(0);
}

/** This command line without its ports, to be pasted into a shell. */
function commandLine(): string {
  const others = start.given.filter((name) => name !== 'port-base');
  const words = others.map((name) => ` --${name} ${settingOf(start, name)}`).join('');
  return `npm start --${dataWords}${words}`;
}

let stopping: Promise<void> | undefined;
const heartbeat = clock.every(5000, () => keepTime(files.clock, time, clock.nowMs()));
async function stop(code: number): Promise<void> {
  stopping ??= (async () => {
    say('Stopping …');
    heartbeat.cancel();
    control?.close();
    const endMs = clock.monotonicMs() + stopWithinMs;
    // Gateways first: they say goodbye to the cloud over the simulator's link.
    await Promise.all(gateways.map((one) => one.stop(stopWithinMs - othersStopWithinMs)));
    await Promise.all([simulator, cloud].map((one) => one.stop(endMs - clock.monotonicMs())));
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
    // Also those that run: one that is being started right now has no addresses yet.
    for (const one of everybody) await begin(one);
    writeRunning();
    return readyLine();
  }
  if (command === 'settings') return Object.fromEntries(settings.map((name) => [name, settingOf(start, name)]));
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
  say(messageOf(error));
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
if (prepared.line !== undefined) rows.push(['RS-485 line (pseudo-terminal)', prepared.line]);
rows.push(
  ['Names and passwords', files.credentials],
  ['Logs', files.logs],
  ['Faults and parts', `${villageCommand} --help`],
);
const width = Math.max(...rows.map(([name]) => name.length));
process.stdout.write(
  `\n${rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n')}\n\n  Ctrl-C stops everything.\n\n${JSON.stringify(line)}\n`,
);
