/** Reads `gateway.yaml`: schema, paths made absolute, and what a schema cannot say. */
import { dirname, resolve } from 'node:path';
import { VillagridError, isMetricIdForm, legacyDeviceId, zoneOffsetMs, type Site } from '@villagrid/contracts';
import { loadConfig } from '@villagrid/runtime';
import { isLoopback } from './loopback.js';
import { notifyProblems } from './notify-problems.js';
import { gatewayConfigSchema, type GatewayConfig } from './schema.js';

export interface LoadGatewayConfigOptions {
  readonly path: string;
  /** The file's text, when it was read already. */
  readonly text?: string;
  /** Settings that win over the file, by dotted path. */
  readonly overrides?: Readonly<Record<string, unknown>>;
}

/** Reads and checks a gateway's settings; every path in the result is absolute. Throws E_CONFIG_*. */
export function loadGatewayConfig(options: LoadGatewayConfigOptions): GatewayConfig {
  const config = loadConfig(gatewayConfigSchema, options);
  const problems = crossCheck(config);
  if (problems.length > 0) {
    throw new VillagridError('E_CONFIG_INVALID', problems.map((one) => `${options.path}: ${one}.`).join('\n'));
  }
  return absolutePaths(config, dirname(resolve(options.path)));
}

function absolutePaths(config: GatewayConfig, folder: string): GatewayConfig {
  const at = (path: string) => resolve(folder, path);
  const tls = <T extends { certificate_file: string; key_file: string }>(one: T): T => ({
    ...one,
    certificate_file: at(one.certificate_file),
    key_file: at(one.key_file),
  });
  return {
    ...config,
    data_dir: at(config.data_dir),
    rules_dir: at(config.rules_dir),
    mqtt_devices: {
      ...config.mqtt_devices,
      ...(config.mqtt_devices.mappings_dir === undefined ? {} : { mappings_dir: at(config.mqtt_devices.mappings_dir) }),
    },
    device_credentials_file: at(config.device_credentials_file),
    ...(config.https ? { https: tls(config.https) } : {}),
    ...(config.mqtts ? { mqtts: tls(config.mqtts) } : {}),
    ...(config.uplink ? { uplink: { ...tls(config.uplink), ca_file: at(config.uplink.ca_file) } } : {}),
    ...(config.modbus?.profiles_dir === undefined
      ? {}
      : { modbus: { ...config.modbus, profiles_dir: at(config.modbus.profiles_dir) } }),
    ...(config.notify ? { notify: { ...config.notify, secrets_file: at(config.notify.secrets_file) } } : {}),
    ...(config.app_dir === undefined ? {} : { app_dir: at(config.app_dir) }),
  };
}

/** What is wrong between settings that are each right; sentences without a full stop. */
export function crossCheck(config: GatewayConfig): string[] {
  return [...siteProblems(config.site), ...modbusProblems(config), ...mqttProblems(config), ...notifyProblems(config)];
}

function* siteProblems(site: Site): Generator<string> {
  try {
    zoneOffsetMs(site.zone, 0);
  } catch {
    yield `site.zone: "${site.zone}" is not a time zone; give an IANA name such as Africa/Nairobi`;
  }
  const ids = site.devices.map((device) => device.device_id);
  for (const id of doubles(ids)) yield `site.devices: device id "${id}" is there more than once`;
  // The prototype's device needs no entry: it exists on every gateway.
  const known = new Set([...ids, legacyDeviceId]);
  for (const [figure, wire] of Object.entries(site.wiring)) {
    if (!isMetricIdForm(figure)) yield `site.wiring.${figure}: not a metric id`;
    for (const [part, terms] of Object.entries({ terms: wire.terms, fallback: wire.fallback ?? [] })) {
      for (const [index, term] of terms.entries()) {
        const where = `site.wiring.${figure}.${part}[${index}]`;
        if (!known.has(term.device_id))
          yield `${where}: device "${term.device_id}" is not among site.devices (${ids.join(', ') || 'none'})`;
        if (!isMetricIdForm(term.metric)) yield `${where}: "${term.metric}" is not a metric id`;
      }
    }
  }
}

function* modbusProblems(config: GatewayConfig): Generator<string> {
  const connections = config.modbus?.connections ?? [];
  const protocols = new Map(config.site.devices.map((device) => [device.device_id, device.protocol]));
  for (const name of doubles(connections.map((one) => one.name)))
    yield `modbus.connections: name "${name}" is there more than once`;
  for (const [c, { host, serial }] of connections.entries())
    if ((host === undefined) === (serial === undefined))
      yield `modbus.connections[${c}]: give either host (and port) or serial, and exactly one of them`;
  const lines = new Map<string, string>();
  for (const [c, { serial }] of connections.entries()) {
    if (!serial) continue;
    const { path, ...set } = serial;
    const told = JSON.stringify(set);
    if ((lines.get(path) ?? told) !== told)
      yield `modbus.connections[${c}].serial: ${path} is there with other settings too; a line has one speed and parity`;
    lines.set(path, told);
  }
  const polled = connections.flatMap((connection, c) =>
    connection.devices.map((device, d) => ({ device, where: `modbus.connections[${c}].devices[${d}]` })),
  );
  for (const { device, where } of polled) {
    const protocol = protocols.get(device.device_id);
    if (protocol === undefined) yield `${where}: device "${device.device_id}" is not among site.devices`;
    else if (protocol !== 'modbus')
      yield `${where}: device "${device.device_id}" has protocol ${protocol} in site.devices; it must be modbus`;
  }
  for (const id of doubles(polled.map(({ device }) => device.device_id)))
    yield `modbus.connections: device "${id}" is there more than once`;
}

function* mqttProblems(config: GatewayConfig): Generator<string> {
  const { devices } = config.mqtt_devices;
  const protocols = new Map(config.site.devices.map((device) => [device.device_id, device.protocol]));
  for (const [index, { device_id, login }] of devices.entries()) {
    for (const [field, id] of Object.entries({ device_id, login })) {
      if (id === undefined) continue;
      const where = `mqtt_devices.devices[${index}].${field}`;
      const protocol = protocols.get(id);
      if (protocol === undefined) yield `${where}: device "${id}" is not among site.devices`;
      else if (protocol !== 'mqtt')
        yield `${where}: device "${id}" has protocol ${protocol} in site.devices; it must be mqtt`;
    }
  }
  const { host, lan, lan_devices } = config.mqtt_plain;
  if (!lan && !isLoopback(host))
    yield `mqtt_plain.host: ${host} is not this machine alone; MQTT without TLS leaves it only with mqtt_plain.lan: true (docs/how-to/connect-a-node.md says what that means)`;
  for (const [index, id] of lan_devices.entries())
    if (protocols.get(id) !== 'mqtt')
      yield `mqtt_plain.lan_devices[${index}]: "${id}" is not among the MQTT devices of site.devices`;
  for (const id of doubles(devices.map((one) => one.device_id)))
    yield `mqtt_devices.devices: device "${id}" is there more than once`;
}

function doubles(values: readonly string[]): string[] {
  return [...new Set(values.filter((value, index) => values.indexOf(value) !== index))];
}
