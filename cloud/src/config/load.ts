/** Reads `cloud.yaml`: defaults, checks, and every path made absolute beside the file. */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { VillagridError } from '@villagrid/contracts';
import { loadConfig } from '@villagrid/runtime';
import { cloudConfigSchema, directorySchema, type CloudConfigFile, type GatewayEntry } from './schema.js';

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
  requireOneToOne(config.gateways, options.path);
  const { telemetry } = config;
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
    mqtts: {
      ...config.mqtts,
      certificate_file: beside(config.mqtts.certificate_file),
      key_file: beside(config.mqtts.key_file),
      client_ca_file: beside(config.mqtts.client_ca_file),
    },
  };
}

/** All gateways of settings and directory file. A missing file is an empty one. Throws as `loadCloudConfig` does. */
export function loadDirectory(config: Pick<CloudConfig, 'gateways' | 'directory_file'>): readonly GatewayEntry[] {
  if (!existsSync(config.directory_file)) return config.gateways;
  const { gateways } = loadConfig(directorySchema, { path: config.directory_file });
  const all = [...config.gateways, ...gateways];
  requireOneToOne(all, config.directory_file);
  return all;
}

/** One gateway per grid and one grid per gateway. Throws E_CONFIG_INVALID. */
function requireOneToOne(gateways: readonly GatewayEntry[], path: string): void {
  for (const key of ['gateway_id', 'grid_id'] as const) {
    const seen = new Set<string>();
    for (const entry of gateways) {
      if (seen.has(entry[key]))
        throw new VillagridError(
          'E_CONFIG_INVALID',
          `${path}: gateways: ${key} ${entry[key]} is there twice; each gateway speaks for one grid, each grid has one gateway.`,
        );
      seen.add(entry[key]);
    }
  }
}
