/** A gateway's folder: configuration, credentials, certificates. Everything `villagrid init` and `device add` write. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  metricDefinition,
  metricIds,
  type RandomSource,
  type Site,
  type SiteDevice,
  VillagridError,
} from '@villagrid/contracts';
import { loadGatewayConfig } from '@villagrid/gateway/config';
import { hashSecret, makePassword } from '@villagrid/runtime';
import { type Document, stringify } from 'yaml';
import { checkCertificateNames, checkGatewayText, GivenValueError } from './check-gateway.js';
import { folderAuthority, issueServer } from './authority.js';
import { readText, readYaml, writePublic, writeSecret } from './files.js';

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
  /** Either a host with a port, or a serial line. */
  readonly host?: string;
  readonly port?: number;
  readonly serial?: {
    readonly path: string;
    readonly baud: number;
    readonly parity: 'none' | 'even' | 'odd';
    readonly stop_bits: 1 | 2;
  };
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

/**
 * Makes a gateway's folder: authority, server certificate, `gateway.yaml`, empty credentials. Refuses to overwrite one,
 * and what the daemon would refuse (GivenValueError), before anything is written.
 */
export async function initGateway(options: InitGatewayOptions): Promise<ReturnType<typeof gatewayFiles>> {
  const files = gatewayFiles(options.folder);
  if (existsSync(files.config)) {
    throw new VillagridError(
      'E_CONFIG_INVALID',
      `${files.config} is there already; choose another folder or change it with the other commands.`,
    );
  }
  const { site, ports = defaultGatewayPorts, host = '0.0.0.0', names = [] } = options;
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
  const text = head.replaceAll(/[\r\n]+(?!$)/g, ' ') + stringify(config, { lineWidth: 120 });
  checkGatewayText(files.config, text);
  checkCertificateNames(names);
  const authority = await folderAuthority(files.pki, `Villagrid ${site.grid_id}`, options.realNowMs);
  await issueServer(
    files.pki,
    'gateway',
    authority,
    ['localhost', '127.0.0.1', '10.77.0.1', `${site.gateway_id}.local`, ...names],
    options.realNowMs,
  );
  writeSecret(files.credentials, `${JSON.stringify({ devices: {} }, null, 2)}\n`);
  writePublic(files.config, text);
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

/**
 * Adds a device to the site (and optional wires: figure to metric of this device), keeping the file's comments. Throws
 * GivenValueError for what the daemon would refuse, and for wires that cannot be meant.
 */
export function addDevice(folder: string, device: SiteDevice, wires: Readonly<Record<string, string>> = {}): void {
  const { config, credentials } = gatewayFiles(folder);
  if (siteOf(folder).devices.some((one) => one.device_id === device.device_id))
    throw new VillagridError('E_CONFIG_INVALID', `device "${device.device_id}" is there already in ${config}.`, {
      next: 'Choose another id, or give it a new credential with `villagrid device credential`.',
    });
  for (const [figure, metric] of Object.entries(wires)) checkWire(figure, metric);
  // Its credential comes next: better no device than one without.
  readText(credentials);
  const text = changedGateway(folder, (document) => {
    document.addIn(['site', 'devices'], device);
    for (const [figure, metric] of Object.entries(wires)) {
      document.setIn(['site', 'wiring', figure], { terms: [{ device_id: device.device_id, metric }] });
    }
  });
  writePublic(config, text);
}

/** The site of a gateway's folder. Throws E_CONFIG_* when the daemon would refuse the file as it is. */
export function siteOf(folder: string): Site {
  return loadGatewayConfig({ path: gatewayFiles(folder).config }).site;
}

/** The text of `gateway.yaml` after a change, checked but not written. Throws GivenValueError. */
export function changedGateway(folder: string, change: (document: Document) => void): string {
  const { config } = gatewayFiles(folder);
  // What was wrong before is nothing that was given now.
  loadGatewayConfig({ path: config });
  const document = readYaml(config);
  change(document);
  const text = document.toString({ lineWidth: 120 });
  checkGatewayText(config, text);
  return text;
}

/** A wire of the command line joins what the catalogue knows; others, with factors and sums, are made in the file. */
function checkWire(figure: string, metric: string): void {
  for (const id of [figure, metric]) {
    if (metricDefinition(id) !== undefined) continue;
    throw new GivenValueError(
      `--wire ${figure}=${metric}: "${id}" is no metric Villagrid knows. Known are ${metricIds.join(', ')}, also with a part such as equipment_temp_c.cabinet. A metric of your own is wired in gateway.yaml.`,
    );
  }
  const [to, from] = [metricDefinition(figure)?.unit, metricDefinition(metric)?.unit];
  if (to !== from)
    throw new GivenValueError(
      `--wire ${figure}=${metric}: the figure is in ${to || 'states'}, the metric in ${from || 'states'}.`,
    );
}

/** Puts one setting into a configuration file, by its path. */
export function setSetting(file: string, path: readonly string[], value: unknown): void {
  const document = readYaml(file);
  document.setIn(path, value);
  writePublic(file, document.toString({ lineWidth: 120 }));
}

/** What a configuration file says at a path, as plain data; undefined where it says nothing. */
export function readSetting(file: string, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? (at as Readonly<Record<string, unknown>>)[key] : undefined),
    readYaml(file).toJSON(),
  );
}
