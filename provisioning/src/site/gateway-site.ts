/** A gateway's folder: configuration, credentials, certificates. Everything `villagrid init` and `device add` write. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type RandomSource, type Site, type SiteDevice, VillagridError, isIdentifier } from '@villagrid/contracts';
import { hashSecret } from '@villagrid/runtime';
import { stringify } from 'yaml';
import { folderAuthority, issueServer } from './authority.js';
import { readText, readYaml, writePublic, writeSecret } from './files.js';
import { makePassword } from './password.js';

/** Where things are in a gateway's folder. */
export const gatewayFiles = (folder: string) => ({
  config: join(folder, 'gateway.yaml'),
  credentials: join(folder, 'device-credentials.json'),
  pki: join(folder, 'pki'),
  authority: join(folder, 'pki', 'authority.crt'),
  data: join(folder, 'data'),
});

/** Where a gateway listens. */
export interface GatewayPorts {
  readonly http: number;
  readonly https: number;
  readonly mqtt: number;
  readonly mqtts: number;
}

/** Ports of a gateway by the book. */
export const defaultGatewayPorts: GatewayPorts = { http: 8080, https: 8443, mqtt: 1883, mqtts: 8883 };

/** A Modbus TCP connection and the devices behind it, as gateway.yaml has them. */
export interface ModbusConnection {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly devices: ReadonlyArray<{
    readonly device_id: string;
    readonly profile: string;
    readonly unit: number;
    readonly period_s: number;
  }>;
}

export interface InitGatewayOptions {
  readonly folder: string;
  readonly site: Site;
  readonly ports?: GatewayPorts;
  /** Address to listen on for the app and nodes; loopback in a demonstration, 0.0.0.0 on a box. */
  readonly host?: string;
  readonly modbus?: readonly ModbusConnection[];
  readonly appDirectory?: string;
  /** Further names and addresses the server certificate is for. */
  readonly names?: readonly string[];
  readonly clock?: { readonly real_epoch_ms: number; readonly village_epoch_ms: number; readonly speed: number };
  readonly clockTrust?: string;
  readonly realNowMs: number;
}

/** Makes a gateway's folder: authority, server certificate, `gateway.yaml`, empty credentials. Refuses to overwrite one. */
export async function initGateway(options: InitGatewayOptions): Promise<ReturnType<typeof gatewayFiles>> {
  const files = gatewayFiles(options.folder);
  if (existsSync(files.config)) {
    throw new VillagridError(
      'E_CONFIG_INVALID',
      `${files.config} is there already; choose another folder or change it with the other commands.`,
    );
  }
  const { site, ports = defaultGatewayPorts, host = '0.0.0.0' } = options;
  const authority = await folderAuthority(files.pki, `Villagrid ${site.grid_id}`, options.realNowMs);
  await issueServer(
    files.pki,
    'gateway',
    authority,
    ['localhost', '127.0.0.1', '10.77.0.1', `${site.gateway_id}.local`, ...(options.names ?? [])],
    options.realNowMs,
  );
  const certificate = { certificate_file: 'pki/gateway.crt', key_file: 'pki/gateway.key' };
  const config = {
    site,
    data_dir: 'data',
    http: { host, port: ports.http },
    https: { host, port: ports.https, ...certificate },
    mqtt_plain: { host: '127.0.0.1', port: ports.mqtt },
    mqtts: { host, port: ports.mqtts, ...certificate },
    device_credentials_file: 'device-credentials.json',
    ...(options.modbus === undefined ? {} : { modbus: { connections: options.modbus } }),
    ...(options.appDirectory === undefined ? {} : { app_dir: options.appDirectory }),
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    ...(options.clockTrust === undefined ? {} : { clock_trust: options.clockTrust }),
  };
  const head = `# Settings of the gateway of ${site.name}. All settings and their defaults: docs/reference/configuration.md\n`;
  writeSecret(files.credentials, `${JSON.stringify({ devices: {} }, null, 2)}\n`);
  writePublic(files.config, head + stringify(config, { lineWidth: 120 }));
  return files;
}

/** Gives a device a new credential (replacing a former one) and returns the password, which is kept nowhere else. */
export async function issueDeviceCredential(
  folder: string,
  deviceId: string,
  random: RandomSource,
): Promise<{ username: string; password: string }> {
  const files = gatewayFiles(folder);
  const content = JSON.parse(readText(files.credentials)) as { devices: Record<string, { secret: string }> };
  const password = makePassword(random);
  content.devices[deviceId] = { secret: await hashSecret(password, random, { logN: 12 }) };
  writeSecret(files.credentials, `${JSON.stringify(content, null, 2)}\n`);
  return { username: deviceId, password };
}

/** Adds a device to the site (and optional wires: figure to metric of this device), keeping the file's comments. */
export function addDevice(folder: string, device: SiteDevice, wires: Readonly<Record<string, string>> = {}): void {
  const files = gatewayFiles(folder);
  if (!isIdentifier(device.device_id)) {
    throw new VillagridError(
      'E_CONFIG_INVALID',
      `device id "${device.device_id}": use lower-case letters, digits, - and _, at most 63.`,
    );
  }
  const document = readYaml(files.config);
  const site = document.toJS() as { site: Site };
  if (site.site.devices.some((one) => one.device_id === device.device_id)) {
    throw new VillagridError('E_CONFIG_INVALID', `device "${device.device_id}" is there already in ${files.config}.`);
  }
  document.addIn(['site', 'devices'], device);
  for (const [figure, metric] of Object.entries(wires)) {
    document.setIn(['site', 'wiring', figure], { terms: [{ device_id: device.device_id, metric }] });
  }
  writePublic(files.config, document.toString({ lineWidth: 120 }));
}

/** Puts the uplink into a gateway's configuration. Paths are relative to its folder. */
export function setUplink(
  folder: string,
  uplink: { url: string; ca_file: string; certificate_file: string; key_file: string; plan: string },
): void {
  const files = gatewayFiles(folder);
  const document = readYaml(files.config);
  document.set('uplink', uplink);
  writePublic(files.config, document.toString({ lineWidth: 120 }));
}

/** Puts one setting into a configuration file, by its path. */
export function setSetting(file: string, path: readonly string[], value: unknown): void {
  const document = readYaml(file);
  document.setIn(path, value);
  writePublic(file, document.toString({ lineWidth: 120 }));
}
