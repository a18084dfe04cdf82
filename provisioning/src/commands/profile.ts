/** `villagrid profile list`, `check`, `try` and `play`: device profiles, before a gateway uses them. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { VillagridError } from '@villagrid/contracts';
import {
  busTimeMs,
  fixedLayout,
  type Link,
  LinkError,
  loadProfile,
  loadVectors,
  planReads,
  type Profile,
  profileFiles,
  readLimits,
  rtuLink,
  serialLine,
  socketLine,
  tcpLink,
  type TriedPoint,
  type TriedProfile,
  tryProfile,
  vectorProblems,
} from '@villagrid/gateway/field';
import { type Command, Option } from 'commander';
import { GivenValueError } from '../site/check-gateway.js';
import type { CommandPorts } from './command.js';
import { wholeNumber } from './init.js';
import { addPlay } from './profile-play.js';

export function addProfileCommands(program: Command, ports: CommandPorts): void {
  const profile = program.command('profile').description('device profiles: what a device model has, and where');
  addList(profile, ports);
  addCheck(profile, ports);
  addTry(profile, ports);
  addPlay(profile, profileAt, ports);
}

function addList(profile: Command, { print }: CommandPorts): void {
  profile
    .command('list')
    .description('device models that can be read')
    .option('--profiles-dir <folder>', "folder with the site's own profiles")
    .option('--json', 'answer as JSON')
    .action((options: { profilesDir?: string; json?: boolean }) => {
      const folder = options.profilesDir === undefined ? undefined : resolve(options.profilesDir);
      const all = [...profileFiles(folder).values()].map((path) => ({ path, profile: loadProfile(path) }));
      if (options.json)
        print(
          JSON.stringify(
            all.map(({ path, profile: { id, vendor, models, kind } }) => ({ id, vendor, models, kind, file: path })),
          ),
        );
      else
        for (const { profile: one } of all)
          print(`${one.id.padEnd(26)} ${one.kind.padEnd(9)} ${one.vendor}: ${one.models.join(', ')}`);
    });
}

/** A profile by file, or by id when there is no such file. */
function profileAt(file: string): { path: string; profile: Profile } {
  const path = existsSync(resolve(file)) ? resolve(file) : profileFiles().get(file);
  if (path === undefined)
    throw new GivenValueError(
      `${file}: there is no such file, and no profile of this name; see villagrid profile list.`,
    );
  return { path, profile: loadProfile(path) };
}

const metricsOf = ({ points = [], computed = [], sunspec }: Profile): string[] => [
  ...new Set(
    [...points, ...computed, ...(sunspec?.models ?? []).flatMap((model) => model.points)].flatMap(
      ({ metric }) => metric ?? [],
    ),
  ),
];

/** What a poll costs: requests, registers, and milliseconds on the serial line the maker ships it with. */
function costOf(profile: Profile) {
  if (!profile.points) return undefined;
  const blocks = planReads(fixedLayout(profile), readLimits(profile), new Set(['fast']));
  const { rtu } = profile.transport;
  return {
    requests: blocks.map(({ function: functionCode, address, count }) => ({ function: functionCode, address, count })),
    registers: blocks.reduce((sum, { count }) => sum + count, 0),
    ...(rtu ? { baud: rtu.baud, bus_ms: Math.round(busTimeMs(blocks, rtu.baud, profile.limits.min_gap_ms)) } : {}),
  };
}

function addCheck(profile: Command, { print, exitCode }: CommandPorts): void {
  profile
    .command('check')
    .description('check a profile: its form, its points, and its vectors where there are some')
    .argument('<file>', 'the profile, or the name of a shipped one')
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nVectors are looked for in vectors/ beside the profile: registers, and the values they mean by the maker’s rule.\nExit code: 0 good, 1 something is wrong.\n\nExample:\n  villagrid profile check ./maker-model.yaml\n',
    )
    .action((file: string, options: { json?: boolean }) => {
      const { path, profile: one } = profileAt(file);
      const vectors = join(dirname(path), 'vectors', `${one.id}.yaml`);
      const problems = existsSync(vectors) ? vectorProblems(one, loadVectors(vectors)) : undefined;
      const cost = costOf(one);
      const points =
        one.points?.length ?? one.sunspec?.models.reduce((sum, model) => sum + model.points.length, 0) ?? 0;
      exitCode(problems !== undefined && problems.length > 0 ? 1 : 0);
      if (options.json) {
        print(
          JSON.stringify({ id: one.id, file: path, points, metrics: metricsOf(one), poll: cost, vectors: problems }),
        );
        return;
      }
      print(`${one.id}: the form is right. ${points} points.`);
      print(`Feeds ${metricsOf(one).join(', ') || 'nothing'}.`);
      if (cost) {
        const asked = cost.requests.map(({ address, count }) => `${address}-${address + count - 1}`).join(', ');
        const time = 'bus_ms' in cost ? `, ${cost.bus_ms} ms of the line at ${cost.baud} baud` : '';
        print(
          `A poll asks ${cost.requests.length === 1 ? 'once' : `${cost.requests.length} times`} for ${cost.registers} registers (${asked})${time}.`,
        );
      }
      if (problems === undefined)
        print(`No vectors (${vectors}): write some, or compare with the device's display by villagrid profile try.`);
      else if (problems.length === 0) print('Vectors: every point has the value the maker’s rule gives.');
      else for (const problem of problems) print(`BAD  ${problem}.`);
    });
}

const hex = (words: readonly number[] | undefined): string =>
  words === undefined ? '' : words.map((word) => word.toString(16).padStart(4, '0')).join(' ');

const shownValue = ({ value, unit, meaning }: TriedPoint): string => {
  if (value === undefined) return 'not read';
  if (value === null) return 'no value';
  return [String(value), unit, meaning === undefined ? undefined : `(${meaning})`].filter(Boolean).join(' ');
};

function tell(tried: TriedProfile, print: (text: string) => void): void {
  if (tried.models.length > 0) print(`SunSpec models: ${tried.models.map(({ id }) => id).join(', ')}.`);
  for (const point of tried.points) {
    const words = point.words && point.words.length > 4 ? '' : hex(point.words);
    print(
      `${String(point.printed ?? point.address).padEnd(24)} ${point.key.padEnd(28)} ${words.padEnd(20)} ${shownValue(point)}`.trimEnd(),
    );
  }
  print('');
  for (const [metric, value] of Object.entries(tried.metrics)) print(`${metric.padEnd(32)} ${value ?? 'no value'}`);
  for (const failure of tried.failures) print(`look  ${failure}`);
  print(
    `${tried.requests} requests. Compare with the device's display: voltages near nominal, frequency near 50 or 60, sun on the battery reads positive. Huge or tiny numbers: the order of words. A neighbour's value: the address is off by one.`,
  );
}

interface TryOptions {
  host?: string;
  port?: number;
  rtu?: boolean;
  serial?: string;
  baud?: number;
  parity?: 'none' | 'even' | 'odd';
  unit?: number;
  json?: boolean;
}

/** The line the options name, at the maker's usual settings where they say nothing. */
function openLink(one: Profile, options: TryOptions, { realClock: clock, random, log }: CommandPorts): Link {
  const { tcp, rtu } = one.transport;
  if ((options.host === undefined) === (options.serial === undefined))
    throw new GivenValueError('Say where the device is: --host <address>, or --serial <port>, and not both.');
  const baud = options.baud ?? rtu?.baud ?? 9600;
  if (options.serial !== undefined) {
    const { parity = rtu?.parity ?? 'none' } = options;
    const open = serialLine({ path: options.serial, baud, parity, stopBits: rtu?.stop_bits ?? 1 });
    return rtuLink({ name: options.serial, open, baud, clock, random, log });
  }
  const { host = '', port = tcp?.port ?? 502 } = options;
  if (!options.rtu) return tcpLink({ host, port, clock, random, log });
  const open = socketLine({ host, port, timeoutMs: 3000, clock });
  return rtuLink({ name: `${host}:${port}`, open, baud, clock, random, log });
}

function addTry(profile: Command, ports: CommandPorts): void {
  const { print, exitCode } = ports;
  profile
    .command('try')
    .description('read every point of a profile from a device once; never writes')
    .argument('<file>', 'the profile, or the name of a shipped one')
    .option('--host <host>', 'address of the device or of its Modbus gateway')
    .option('--port <port>', 'TCP port; the profile’s usual one when left out', wholeNumber)
    .option('--rtu', 'the converter at that address passes RTU frames on as they are')
    .option('--serial <port>', 'serial port instead of an address, such as /dev/serial/by-id/usb-...')
    .option('--baud <baud>', 'speed of the line; the maker’s when left out', wholeNumber)
    .addOption(new Option('--parity <parity>', 'the maker’s when left out').choices(['none', 'even', 'odd']))
    .option('--unit <unit>', 'unit (slave) number; the profile’s usual one when left out', wholeNumber)
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nStop the gateway first where it uses the same line: one master at a time.\n\nExamples:\n  villagrid profile try eastron-sdm120 --host 192.168.1.50 --unit 1\n  villagrid profile try eastron-sdm120 --serial /dev/ttyUSB0 --baud 2400\n',
    )
    .action(async (file: string, options: TryOptions) => {
      const { profile: one } = profileAt(file);
      const { tcp, rtu } = one.transport;
      const usual = options.serial === undefined ? (tcp?.unit ?? rtu?.unit) : (rtu?.unit ?? tcp?.unit);
      const unit = options.unit ?? usual ?? 1;
      const link = openLink(one, options, ports);
      try {
        const tried = await tryProfile(one, unit, link);
        if (options.json) print(JSON.stringify({ id: one.id, unit, ...tried }));
        else tell(tried, print);
        exitCode(Object.values(tried.metrics).some((value) => value !== null) ? 0 : 1);
      } catch (error) {
        if (!(error instanceof LinkError)) throw error;
        throw new VillagridError('E_DEVICE_SILENT', `${link.name}, unit ${unit}: ${error.message}.`, { cause: error });
      } finally {
        await link.close();
      }
    });
}
