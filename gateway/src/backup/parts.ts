/** What a backup of a gateway holds: the files of its two folders, and which of them are secret. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import {
  accountMigrations,
  alertStoreMigrations,
  clockLedgerMigrations,
  commandMigrations,
  desiredMigrations,
  notifyMigrations,
  telemetryMigrations,
  type Migration,
} from '@villagrid/runtime';
import type { GatewayConfig } from '../config/schema.js';
import { logMigrations } from '../log/schema.js';
import { sealMigrations } from '../log/seal-store.js';
import { storeMigrations } from '../store/schema.js';

/** Says of which program and form a backup is. */
export const backupKind = 'villagrid-gateway';

/** What the head of a backup says of it. */
export interface BackupInfo {
  readonly kind: typeof backupKind;
  readonly product_version: string;
  readonly grid_id: string;
  readonly gateway_id: string;
  /** Life of the log, and its newest frame. */
  readonly epoch: string;
  readonly newest_number: number;
  readonly made_at_ms: number;
  /** Versions of the modules of each database. */
  readonly schemas: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Files that the settings name and that are not in it, with the reason. */
  readonly left_out: ReadonlyArray<readonly [file: string, why: string]>;
}

/** The modules whose tables a gateway has. */
export const gatewayModules: Readonly<Record<string, readonly Migration[]>> = {
  log: logMigrations,
  alert_store: alertStoreMigrations,
  store: storeMigrations,
  clock_correction: clockLedgerMigrations,
  accounts: accountMigrations,
  commands: commandMigrations,
  notify: notifyMigrations,
  desired: desiredMigrations,
  uplink: sealMigrations,
  // Version 0.1 kept history so; its tables are made anew from the log.
  telemetry: telemetryMigrations,
};

/** A database of the data folder, in the order in which they are copied. */
export interface DatabaseFile {
  readonly name: string;
  /** Names and passwords of people. */
  readonly secret: boolean;
}

/**
 * History before the log: what history has of a frame, the log has too, whenever each of them is copied. So the backup's
 * instant is the log's, and history catches up with it at the start as after any stop.
 */
export const databasesBeforeLog: readonly DatabaseFile[] = [
  { name: 'settings.db', secret: true },
  { name: 'telemetry.db', secret: false },
];
export const logDatabase: DatabaseFile = { name: 'log.db', secret: false };

/** Files in the data folder that stand before the log's database; copied between history and the log. */
export function filesBeforeLog(dataDir: string): readonly string[] {
  return readdirSync(dataDir).filter((name) => /^log\.(?!db-)[\w.]*journal$/.test(name));
}

/** A file of the settings' folder. */
export interface SettingsFile {
  /** Relative to the folder. */
  readonly name: string;
  readonly path: string;
}

/** The settings, credentials and certificates; and what of them is elsewhere and left out. */
export function settingsFiles(
  folder: string,
  configFile: string,
  config: GatewayConfig,
): { readonly files: readonly SettingsFile[]; readonly leftOut: ReadonlyArray<readonly [file: string, why: string]> } {
  const names = new Set<string>();
  const leftOut: Array<readonly [string, string]> = [];
  const pki = join(folder, 'pki');
  const inPki = existsSync(pki) ? readdirSync(pki).map((name) => join(pki, name)) : [];
  const named = [config.https, config.mqtts, config.uplink].flatMap((one) =>
    one ? [one.certificate_file, one.key_file] : [],
  );
  if (config.uplink) named.push(config.uplink.ca_file);
  // Without its own mappings and profiles a restored gateway would not start; without its rules it would not warn.
  const ownData = [config.mqtt_devices.mappings_dir, config.modbus?.profiles_dir, config.rules_dir].flatMap((one) =>
    one !== undefined && existsSync(one)
      ? readdirSync(one)
          .filter((name) => name.endsWith('.yaml'))
          .map((name) => join(one, name))
      : [],
  );
  const secrets = config.notify && existsSync(config.notify.secrets_file) ? [config.notify.secrets_file] : [];
  for (const path of [configFile, config.device_credentials_file, ...secrets, ...inPki, ...named, ...ownData]) {
    const name = relative(folder, path);
    if (name.startsWith('..') || name.startsWith('/')) leftOut.push([path, 'it is outside the folder of the settings']);
    else if (!existsSync(path)) leftOut.push([path, 'it is not there']);
    else if (statSync(path).isFile()) names.add(name);
  }
  return { files: [...names].map((name) => ({ name, path: join(folder, name) })), leftOut };
}
