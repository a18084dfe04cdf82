/** Makes what a village runs on, by the same steps an installer takes; what is there already is kept. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, RandomSource } from '@villagrid/contracts';
import {
  addGatewayToCloud,
  cloudFiles,
  gatewayFiles,
  initCloud,
  initGateway,
  issueDeviceCredential,
  makePassword,
  type ModbusConnection,
  readSecretJson,
  readSetting,
  setSetting,
  withAccounts,
  writeSecretJson,
} from '@villagrid/provisioning';
import type { Logger } from '@villagrid/runtime';
import {
  controlSocketPath,
  referenceVillage,
  type VillageDevice,
  villageDevices,
  villageLine,
  villageSite,
} from '@villagrid/simulator';
import { cloudPorts, gridPorts, modbusPort, villageFiles } from './layout.js';
import type { StartOptions } from './options.js';
import type { VillageTime } from './village-time.js';

/** What people need to try a village by hand. */
export interface Credentials {
  readonly operator: { readonly username: string; readonly password: string };
  readonly admin: { readonly username: string; readonly password: string };
  readonly spare_node: {
    readonly grid_id: string;
    readonly device_id: string;
    readonly username: string;
    readonly password: string;
    readonly topic: string;
    readonly ca: string;
  };
}

/** One gateway of the start. */
export interface PreparedGrid {
  readonly gridId: string;
  readonly name: string;
  readonly configFile: string;
}

export interface Prepared {
  readonly cloudConfig: string;
  readonly simulatorConfig: string;
  readonly grids: readonly PreparedGrid[];
  readonly credentials: Credentials;
  /** Name of the virtual serial line, where there is one. */
  readonly line: string | undefined;
}

const spareId = 'spare-1';
const host = '127.0.0.1';

/** Prepares the data folder. `root` is the clone. */
export async function prepareVillage(options: {
  readonly root: string;
  readonly start: StartOptions;
  readonly time: VillageTime;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly progress: (text: string) => void;
  /** Whether this machine can make a serial line out of nothing. */
  readonly canMakeLine: boolean;
}): Promise<Prepared> {
  const { root, start, time, realClock, random, progress } = options;
  const files = villageFiles(start.data);
  mkdirSync(files.logs, { recursive: true, mode: 0o700 });
  const appDirectory = join(root, 'mobile-pwa/dist');
  const realNowMs = realClock.nowMs();

  const cloud = cloudFiles(files.cloud);
  const ofCloud = cloudPorts(start.portBase);
  if (!existsSync(cloud.config)) {
    progress('making the cloud: authority, certificates, configuration');
    await initCloud({ folder: files.cloud, ports: ofCloud, host, appDirectory, realNowMs });
  }
  setSetting(cloud.config, ['http', 'port'], ofCloud.http);
  setSetting(cloud.config, ['https', 'port'], ofCloud.https);
  setSetting(cloud.config, ['mqtts', 'port'], ofCloud.mqtts);
  setSetting(cloud.config, ['app_dir'], appDirectory);
  setSetting(cloud.config, ['clock'], time);

  const passwords = readSecretJson<Record<string, Record<string, string>>>(files.nodes) ?? {};
  const grids: PreparedGrid[] = [];
  let line: string | undefined;
  const simulated = [];
  for (let index = 0; index < start.grids; index += 1) {
    const village = referenceVillage(index);
    const folder = files.gateway(village.grid_id);
    const ports = gridPorts(index, start.portBase);
    const devices = villageDevices(index);
    const gateway = gatewayFiles(folder);
    const known = knownDevices(gateway.config);
    const asked = devices.filter((one) => one.protocol === 'modbus' && (known?.has(one.device_id) ?? true));
    const hasLine = options.canMakeLine && asked.some((one) => one.onLine);
    const linePath = files.line(village.grid_id);
    const onSocket = asked.filter((one) => !(one.onLine && hasLine));
    const onLine = asked.filter((one) => one.onLine && hasLine);
    const polled = (one: (typeof asked)[number]) => ({
      device_id: one.device_id,
      profile: one.profile ?? '',
      unit: one.unit ?? 1,
      period_s: one.period_s,
    });
    const ours: ModbusConnection[] = onSocket.map((one) => ({
      name: one.device_id,
      host,
      port: modbusPort(ports, index, one.portOffset ?? 0),
      devices: [polled(one)],
    }));
    if (hasLine) {
      line = linePath;
      ours.push({
        name: 'rs485',
        serial: { path: linePath, baud: villageLine.baud, parity: 'none', stop_bits: 1 },
        devices: onLine.map(polled),
      });
    }
    const connections = [...ours, ...addedByPeople(gateway.config, devices)];
    if (!existsSync(gateway.config)) {
      progress(`making the gateway of ${village.name}: authority, certificates, configuration, a credential per node`);
      await initGateway({
        folder,
        site: villageSite(index, `gw-${village.grid_id}`),
        ports,
        host,
        modbus: connections,
        appDirectory,
        clockTrust: 'ntp',
        realNowMs,
      });
    }
    const own = (passwords[village.grid_id] ??= {});
    for (const device of devices) {
      if (device.protocol === 'mqtt' && own[device.device_id] === undefined) {
        own[device.device_id] = (await issueDeviceCredential(folder, device.device_id, random)).password;
      }
    }
    writeSecretJson(files.nodes, passwords);
    for (const [section, port] of [
      ['http', ports.http],
      ['https', ports.https],
      ['mqtt_plain', ports.mqtt],
      ['mqtts', ports.mqtts],
    ] as const) {
      setSetting(gateway.config, [section, 'port'], port);
    }
    setSetting(gateway.config, ['modbus', 'connections'], connections);
    setSetting(gateway.config, ['app_dir'], appDirectory);
    setSetting(gateway.config, ['clock'], time);
    // A demonstration is watched, and its disk is no card: the cloud sees each sample sooner, and nodes at many times the
    // speed of time, which send one message after the other, do not wait for the card's sake.
    setSetting(gateway.config, ['log', 'hold_ms'], 250);
    // Through the virtual link, so that it can be cut and slowed.
    const url = `mqtts://${host}:${ports.link}`;
    if (!existsSync(join(gateway.pki, 'uplink.crt'))) {
      await addGatewayToCloud({
        cloudFolder: files.cloud,
        gatewayFolder: folder,
        url,
        organisationId: 'demo',
        realNowMs,
      });
    }
    setSetting(gateway.config, ['uplink', 'url'], url);
    grids.push({ gridId: village.grid_id, name: village.name, configFile: gateway.config });
    simulated.push({
      ...village,
      mqtt: {
        host,
        port: ports.mqtts,
        ca_file: gateway.authority,
        nodes: devices
          .filter((one) => one.protocol === 'mqtt' && one.simulated)
          .map((one) => ({ device_id: one.device_id, username: one.device_id, password: own[one.device_id] ?? '' })),
      },
      modbus: {
        host,
        devices: ours.flatMap(({ port, devices: there }) =>
          port === undefined ? [] : there.map(({ device_id, unit }) => ({ device_id, port, unit })),
        ),
        ...(hasLine
          ? {
              line: {
                path: linePath,
                baud: villageLine.baud,
                devices: [...onLine, ...villageLine.strangers].map(({ device_id, unit = 1 }) => ({ device_id, unit })),
              },
            }
          : {}),
      },
      wan_proxy: { listen_port: ports.link, target_host: host, target_port: ofCloud.mqtts },
    });
  }
  writeSecretJson(files.simulator, {
    seed: start.seed,
    clock: time,
    control_socket: controlSocketPath(files.simulatorSocket),
    state_dir: files.simulatorState,
    grids: simulated,
  });

  const credentials = await people(options, cloud.config, grids, passwords);
  return { cloudConfig: cloud.config, simulatorConfig: files.simulator, grids, credentials, line };
}

/** Devices that a gateway made earlier has; undefined where none was made. A village made by an older version has fewer. */
function knownDevices(config: string): ReadonlySet<string> | undefined {
  if (!existsSync(config)) return undefined;
  const devices = (readSetting(config, ['site', 'devices']) ?? []) as ReadonlyArray<{ readonly device_id: string }>;
  return new Set(devices.map(({ device_id }) => device_id));
}

/** Connections that people put into a gateway's settings, by a scan for example: they stay. */
function addedByPeople(config: string, devices: readonly VillageDevice[]): ModbusConnection[] {
  if (!existsSync(config)) return [];
  const all = (readSetting(config, ['modbus', 'connections']) ?? []) as readonly ModbusConnection[];
  const ours = new Set(devices.map((one) => one.device_id));
  return all.filter((one) => !one.devices.some(({ device_id }) => ours.has(device_id)));
}

/** Makes the accounts at first start, the same on every server, and a later village's as well. */
async function people(
  { start, realClock, random, log, progress }: Parameters<typeof prepareVillage>[0],
  cloudConfig: string,
  grids: readonly PreparedGrid[],
  passwords: Readonly<Record<string, Readonly<Record<string, string>>>>,
): Promise<Credentials> {
  const files = villageFiles(start.data);
  const first = grids[0] as PreparedGrid;
  const known = readSecretJson<Credentials>(files.credentials);
  const credentials: Credentials = known ?? {
    operator: { username: 'operator', password: makePassword(random) },
    admin: { username: 'admin', password: makePassword(random) },
    spare_node: {
      grid_id: first.gridId,
      device_id: spareId,
      username: spareId,
      password: passwords[first.gridId]?.[spareId] ?? '',
      topic: `microgrid/${first.gridId}/device/${spareId}/telemetry`,
      ca: gatewayFiles(files.gateway(first.gridId)).authority,
    },
  };
  const everything = { kind: 'everything' } as const;
  for (const config of [cloudConfig, ...grids.map((one) => one.configFile)]) {
    await withAccounts(config, { realClock, random, log }, async (accounts) => {
      for (const [role, person] of [
        ['operator', credentials.operator],
        ['admin', credentials.admin],
      ] as const) {
        if (accounts.list().some((one) => one.username === person.username)) continue;
        progress(`making the account "${person.username}" in ${config}`);
        await accounts.addUser({
          ...person,
          displayName: role === 'operator' ? 'Village operator' : 'Administrator',
          grants: [{ role, scope: everything }],
        });
      }
    });
  }
  if (known === undefined) writeSecretJson(files.credentials, credentials);
  return credentials;
}
