/** `villagrid scan`: who is on a line, and the settings that read them. */
import { resolve } from 'node:path';
import { deviceKinds, type SiteDevice, VillagridError } from '@villagrid/contracts';
import { loadGatewayConfig } from '@villagrid/gateway/config';
import {
  endpointOf,
  type FoundDevice,
  LinkError,
  loadProfiles,
  type ModbusConnectionConfig,
  openLink,
  type Profile,
  scan,
  serialLine,
  type ScanResult,
  type LineSettings,
  usualSettings,
  usualUnits,
} from '@villagrid/gateway/field';
import { type Command, Option } from 'commander';
import { GivenValueError } from '../site/check-gateway.js';
import { writePublic } from '../site/files.js';
import { changedGateway, gatewayFiles } from '../site/gateway-site.js';
import type { CommandPorts } from './command.js';
import { wholeNumber } from './init.js';
import { lenderOf, type Place, settingsText } from './lent-line.js';

type GatewayConfig = ReturnType<typeof loadGatewayConfig>;

interface ScanCommandOptions {
  folder?: string;
  write?: boolean;
  units?: string;
  baud?: number;
  parity?: 'none' | 'even' | 'odd';
  stopBits?: string;
  framing: 'tcp' | 'rtu';
  everySpeed?: boolean;
  timeout: number;
  gap: number;
  period: number;
  json?: boolean;
}

export function addScan(program: Command, { realClock, random, log, print, exitCode }: CommandPorts): void {
  program
    .command('scan')
    .description('look who is on a serial line or behind a network address; reads only, and gently')
    .argument('<where>', 'a serial port (/dev/serial/by-id/...) or host[:port]')
    .option('--folder <folder>', "the gateway's folder: for its own profiles, and for --write")
    .option('--write', 'write what was found into gateway.yaml, after showing it')
    .option('--units <list>', 'addresses to look at, e.g. 1-10,100 (or all); the usual ones when left out')
    .option('--baud <speed>', 'speed of the line; the usual ones are tried when left out', wholeNumber)
    .addOption(new Option('--parity <parity>', 'parity of the line').choices(['none', 'even', 'odd']))
    .addOption(new Option('--stop-bits <bits>', 'stop bits of the line').choices(['1', '2']))
    .addOption(
      new Option('--framing <framing>', 'rtu for a converter that passes serial frames on')
        .choices(['tcp', 'rtu'])
        .default('tcp'),
    )
    .option('--every-speed', 'go on to other speeds although somebody was found')
    .option('--timeout <ms>', 'longest wait for an answer', wholeNumber, 300)
    .option('--gap <ms>', 'pause before each question', wholeNumber, 50)
    .option('--period <seconds>', 'how often what was found is to be read', wholeNumber, 15)
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  villagrid scan /dev/serial/by-id/usb-FTDI_USB-RS485-if00-port0\n  villagrid scan 192.168.1.50 --units 1,100 --folder /etc/villagrid --write\n',
    )
    .action(async (where: string, options: ScanCommandOptions) => {
      const folder = options.folder === undefined ? undefined : resolve(options.folder);
      if (options.write && folder === undefined)
        throw new GivenValueError("--write: give the gateway's folder too, with --folder.");
      const config = folder === undefined ? undefined : loadGatewayConfig({ path: gatewayFiles(folder).config });
      const place = placeOf(where, options);
      const lender = config ? await lenderOf(config, place, options, realClock) : undefined;
      if (lender) {
        if (!options.json)
          print(
            `The gateway reads this line and goes on; the scan asks in between${lender.only ? ', at its speed' : ''}.`,
          );
      } else if (place.path !== undefined) await mustOpen(place.path);
      const own = config?.modbus?.profiles_dir;
      const profiles = new Map([...loadProfiles(), ...(own === undefined ? [] : loadProfiles(own))]);
      const serial = where.startsWith('/');
      const units = options.units === undefined ? usualUnits(profiles.values(), serial) : unitList(options.units);
      const settings = lender ? [lender.only] : serial ? settingsOf(options, profiles) : [undefined];
      let told = '';
      const result = await scan({
        open: (setting) =>
          lender?.link ??
          openLink(
            { ...place, name: where, devices: [], ...(setting ? { serial: { path: where, ...setting } } : {}) },
            { clock: realClock, random, log },
          ),
        settings,
        units,
        profiles,
        everySetting: options.everySpeed ?? false,
        gapMs: options.gap,
        timeoutMs: options.timeout,
        clock: realClock,
        progress: ({ settings: at }) => {
          const line = `Looking at ${units.length} addresses${at ? ` at ${settingsText(at)}` : ''} …`;
          if (!options.json && line !== told) print(line);
          told = line;
        },
      }).catch((error: unknown) => {
        if (error instanceof LinkError) throw new VillagridError('E_LINK_UNREACHABLE', `${error.message}.`);
        throw error;
      });
      const entries = entriesFor(place, result, profiles, options.period, config);
      if (options.json) print(JSON.stringify({ where, ...result, ...(entries ? { entries } : {}) }));
      else for (const line of sheet(result, profiles)) print(line);
      if (result.found.length === 0) return exitCode(1);
      const say = (text: string): void => {
        if (!options.json) print(text);
      };
      if (!entries || entries.devices.length === 0) {
        if (options.write)
          say('Nothing was written: what was found is in gateway.yaml already, or no profile knows it.');
        return;
      }
      say('\nFor gateway.yaml:');
      for (const connection of entries.connections) say(`  modbus.connections: ${JSON.stringify(connection)}`);
      for (const device of entries.devices) say(`  site.devices: ${JSON.stringify(device)}`);
      if (!options.write || folder === undefined)
        return say(
          `Nothing was written. To write this into gateway.yaml, give ${folder === undefined ? "--folder with the gateway's folder, and --write" : '--write'}.`,
        );
      write(folder, entries);
      say(`Written into ${gatewayFiles(folder).config}. Restart the gateway so that it takes the change.`);
    });
}

function placeOf(where: string, { framing }: ScanCommandOptions): Place {
  if (where.startsWith('/')) return { path: where };
  const [, host, port] = /^(\[[0-9a-fA-F:]+\]|[^:]+)(?::(\d{1,5}))?$/.exec(where) ?? [];
  if (host === undefined) throw new GivenValueError(`${where}: give a serial port (/dev/...) or host[:port].`);
  return { host: host.replaceAll(/[[\]]/g, ''), port: port === undefined ? 502 : Number(port), framing };
}

function unitList(text: string): number[] {
  if (text === 'all') return Array.from({ length: 247 }, (_, i) => i + 1);
  const units = text.split(',').flatMap((part) => {
    const [, from = '', to = from] = /^(\d+)(?:-(\d+))?$/.exec(part.trim()) ?? [];
    const [first, last] = [Number(from), Number(to)];
    if (from === '' || first < 1 || last > 247 || last < first)
      throw new GivenValueError(`--units ${text}: give addresses from 1 to 247, such as 1-10,100.`);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  return [...new Set(units)];
}

function settingsOf(options: ScanCommandOptions, profiles: ReadonlyMap<string, Profile>): LineSettings[] {
  const { baud, parity, stopBits } = options;
  const usual = usualSettings(profiles.values()).filter(
    (one) =>
      (baud === undefined || one.baud === baud) &&
      (parity === undefined || one.parity === parity) &&
      (stopBits === undefined || one.stop_bits === Number(stopBits)),
  );
  if (usual.length > 0) return usual;
  return [{ baud: baud ?? 9600, parity: parity ?? 'none', stop_bits: stopBits === '2' ? 2 : 1 }];
}

/** Says at once when a port is not there or somebody else's. */
async function mustOpen(path: string): Promise<void> {
  const open = serialLine({ path, baud: 9600, parity: 'none', stopBits: 1 });
  const line = await open({ bytes: () => undefined, lost: () => undefined }).catch((error: Error) => {
    throw new VillagridError('E_LINK_UNREACHABLE', `${error.message}.`);
  });
  await line.close();
}

interface Entries {
  readonly devices: readonly SiteDevice[];
  readonly connections: readonly ModbusConnectionConfig[];
}

const kindOf: Readonly<Record<string, SiteDevice['kind']>> = {
  charger: 'inverter',
  system: 'gateway',
  genset: 'generator',
};

/** What gateway.yaml needs for those that a profile reads, without those it has already. */
function entriesFor(
  place: Place,
  result: ScanResult,
  profiles: ReadonlyMap<string, Profile>,
  periodS: number,
  config: GatewayConfig | undefined,
): Entries | undefined {
  const taken = new Set((config?.site.devices ?? []).map((one) => one.device_id));
  const names = new Set((config?.modbus?.connections ?? []).map((one) => one.name));
  const devices: SiteDevice[] = [];
  const connections: ModbusConnectionConfig[] = [];
  const groups = new Map<string, FoundDevice[]>();
  for (const one of result.found) {
    const key = JSON.stringify(one.settings ?? null);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  for (const group of groups.values()) {
    const settings = group[0]?.settings;
    const serial = place.path !== undefined && settings ? { path: place.path, ...settings } : undefined;
    const target = serial
      ? { serial }
      : { host: place.host, port: place.port ?? 502, ...(place.framing === 'rtu' ? { framing: place.framing } : {}) };
    const key = endpointOf({ name: '', devices: [], ...target });
    const known = (config?.modbus?.connections ?? []).filter((one) => endpointOf(one) === key);
    const members = group.flatMap(({ unit, candidates: [likely], sunspec }) => {
      const profile = likely && profiles.get(likely.profile);
      if (!profile || known.some(({ devices: there }) => there.some((one) => one.unit === unit))) return [];
      const id = free(`${profile.kind}-${unit}`, taken);
      const given = kindOf[profile.kind] ?? profile.kind;
      devices.push({
        device_id: id,
        name:
          sunspec && sunspec.model !== ''
            ? `${sunspec.manufacturer} ${sunspec.model}`.trim().slice(0, 80)
            : `${profile.vendor} ${profile.models[0] ?? ''}`.trim().slice(0, 80),
        kind: deviceKinds.find((one) => one === given) ?? 'other',
        protocol: 'modbus',
        period_s: periodS,
        expected: true,
      });
      return [{ device_id: id, profile: profile.id, unit, period_s: periodS }];
    });
    if (members.length > 0)
      connections.push({
        name: free(serial ? 'line-1' : (place.host ?? 'tcp').slice(0, 50), names),
        ...target,
        devices: members,
      });
  }
  return { devices, connections };
}

/** The id, with a number behind it when it is taken; it is taken from then on. */
function free(wanted: string, taken: Set<string>): string {
  let id = wanted;
  for (let n = 2; taken.has(id); n += 1) id = `${wanted}-${n}`;
  taken.add(id);
  return id;
}

function write(folder: string, { devices, connections }: Entries): void {
  const text = changedGateway(folder, (document) => {
    for (const device of devices) document.addIn(['site', 'devices'], document.createNode(device));
    if (!document.hasIn(['modbus', 'connections'])) document.setIn(['modbus', 'connections'], document.createNode([]));
    for (const connection of connections) document.addIn(['modbus', 'connections'], document.createNode(connection));
  });
  writePublic(gatewayFiles(folder).config, text);
}

function* sheet({ found, clashes, requests }: ScanResult, profiles: ReadonlyMap<string, Profile>): Generator<string> {
  for (const { unit, settings, candidates, sunspec, notes } of found) {
    const [likely] = candidates;
    const profile = likely && profiles.get(likely.profile);
    const who = sunspec
      ? [sunspec.manufacturer, sunspec.model, sunspec.serial && `serial ${sunspec.serial}`].filter(Boolean).join(' ')
      : profile
        ? `${profile.vendor} ${profile.models.join(', ')}`
        : 'unknown';
    yield `unit ${unit}${settings ? ` at ${settingsText(settings)}` : ''}: ${who}`;
    for (const { profile: id, confidence } of candidates.slice(0, 3))
      yield `  ${id}: ${Math.round(100 * confidence)} % sure`;
    for (const note of notes) yield `  ${note}`;
  }
  for (const { unit, settings, reason } of clashes)
    yield `unit ${unit}${settings ? ` at ${settingsText(settings)}` : ''}: somebody answers, but garbled (${reason}). Two devices with this address, or another speed?`;
  if (found.length === 0 && clashes.length === 0)
    yield 'Nobody answered. Check the wires (A and B swapped?), power, termination, and --baud and --units.';
  yield `${found.length} found, ${requests} questions asked.`;
}
