/** Reads `cloud.yaml`: defaults, checks, and every path made absolute beside the file. */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { VillagridError, zoneOffsetMs } from '@villagrid/contracts';
import { loadConfig } from '@villagrid/runtime';
import {
  cloudConfigSchema,
  directorySchema,
  type CloudConfigFile,
  type DirectDevice,
  type DirectGrid,
  type GatewayEntry,
} from './schema.js';

/** The settings of a cloud with absolute paths. */
export type CloudConfig = CloudConfigFile;

export interface LoadCloudConfigOptions {
  readonly path: string;
  /** Its text, when it was read already. */
  readonly text?: string;
  /** Settings that win over the file, by dotted path. */
  readonly overrides?: Readonly<Record<string, unknown>>;
}

/** Throws E_CONFIG_READ, E_CONFIG_SYNTAX or E_CONFIG_INVALID, saying file, line, setting and what is allowed. */
export function loadCloudConfig(options: LoadCloudConfigOptions): CloudConfig {
  const config = loadConfig(cloudConfigSchema, options);
  const beside = (path: string) => resolve(dirname(options.path), path);
  check(config, options.path);
  if ((config.mqtts === undefined) === (config.broker === undefined))
    throw new VillagridError(
      'E_CONFIG_INVALID',
      `${options.path}: ${config.broker ? 'mqtts and broker are both there' : 'mqtts.certificate_file: missing, and so is broker'}; give mqtts for the broker that is built in, or broker for another one.`,
    );
  const { telemetry, mqtts, broker } = config;
  if (telemetry.kind === 'influxdb') {
    for (const key of ['url', 'bucket'] as const) {
      if (telemetry[key] === undefined)
        throw new VillagridError(
          'E_CONFIG_INVALID',
          `${options.path}: telemetry.${key} is missing; InfluxDB needs it.`,
        );
    }
  }
  return {
    ...config,
    telemetry: {
      ...telemetry,
      ...(telemetry.token_file === undefined ? {} : { token_file: beside(telemetry.token_file) }),
    },
    data_dir: beside(config.data_dir),
    directory_file: beside(config.directory_file),
    ...(config.app_dir === undefined ? {} : { app_dir: beside(config.app_dir) }),
    ...(config.https === undefined
      ? {}
      : {
          https: {
            ...config.https,
            certificate_file: beside(config.https.certificate_file),
            key_file: beside(config.https.key_file),
          },
        }),
    ...(mqtts === undefined
      ? {}
      : {
          mqtts: {
            ...mqtts,
            certificate_file: beside(mqtts.certificate_file),
            key_file: beside(mqtts.key_file),
            client_ca_file: beside(mqtts.client_ca_file),
          },
        }),
    ...(broker === undefined
      ? {}
      : {
          broker: {
            ...broker,
            ca_file: beside(broker.ca_file),
            certificate_file: beside(broker.certificate_file),
            key_file: beside(broker.key_file),
          },
        }),
  };
}

/** Who may speak at a cloud. */
export interface DirectoryEntries {
  readonly gateways: readonly GatewayEntry[];
  /** Grids without a gateway. */
  readonly grids: readonly DirectGrid[];
  /** Devices that publish without a gateway. */
  readonly devices: readonly DirectDevice[];
}

/** All entries of settings and directory file. A missing file is an empty one. Throws as `loadCloudConfig` does. */
export function loadDirectory(
  config: Pick<CloudConfig, 'gateways' | 'grids' | 'devices' | 'directory_file'>,
): DirectoryEntries {
  const { directory_file: path } = config;
  const file = existsSync(path) ? loadConfig(directorySchema, { path }) : { gateways: [], grids: [], devices: [] };
  const all = {
    gateways: [...config.gateways, ...file.gateways],
    grids: [...config.grids, ...file.grids],
    devices: [...config.devices, ...file.devices],
  };
  check(all, path);
  const known = new Set([...all.gateways, ...all.grids].map((one) => one.grid_id));
  for (const { device_id, grid_id } of all.devices)
    if (!known.has(grid_id))
      throw new VillagridError(
        'E_CONFIG_INVALID',
        `${path}: devices: ${device_id}: grid ${grid_id} is in neither gateways nor grids.`,
      );
  return all;
}

/** One gateway per grid, one grid per gateway, one id per certificate. Throws E_CONFIG_INVALID. */
function check({ gateways, grids, devices }: DirectoryEntries, path: string): void {
  const refuse = (what: string): never => {
    throw new VillagridError('E_CONFIG_INVALID', `${path}: ${what}`);
  };
  const once = (values: readonly string[], where: string, why: string): void => {
    const seen = new Set<string>();
    for (const value of values) {
      if (seen.has(value)) refuse(`${where} ${value} is there twice; ${why}.`);
      seen.add(value);
    }
  };
  const oneToOne = 'each gateway speaks for one grid, each grid has one gateway';
  const gridIds = [...gateways, ...grids].map((one) => one.grid_id);
  once(
    gateways.map((one) => one.gateway_id),
    'gateways: gateway_id',
    oneToOne,
  );
  once(gridIds, 'gateways: grid_id', oneToOne);
  const identities = [...gateways.map((one) => one.gateway_id), ...devices.map((one) => one.device_id)];
  once(identities, 'devices: device_id', 'each certificate is one gateway’s or one device’s');
  for (const { zone, grid_id } of grids)
    try {
      zoneOffsetMs(zone, 0);
    } catch {
      refuse(`grids: ${grid_id}: zone ${zone} is no time zone known here.`);
    }
}
