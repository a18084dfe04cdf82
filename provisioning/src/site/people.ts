/** Accounts of people in the settings database of a gateway or a cloud. Works while the server runs. */
import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Clock, RandomSource } from '@villagrid/contracts';
import { type Accounts, createAccounts, type Logger, openDatabase } from '@villagrid/runtime';
import { readYaml } from './files.js';

/** Name of the settings database in a server's data folder, kept apart from telemetry. */
export const settingsDatabase = 'settings.db';

/** Opens the accounts of the server whose configuration file is given, runs `work` and closes them. */
export async function withAccounts<T>(
  configFile: string,
  ports: { readonly realClock: Clock; readonly random: RandomSource; readonly log: Logger },
  work: (accounts: Accounts) => Promise<T>,
): Promise<T> {
  const config = readYaml(configFile).toJS() as { data_dir?: string };
  const folder = resolve(dirname(configFile), config.data_dir ?? 'data');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const database = openDatabase({ path: join(folder, settingsDatabase), migrations: [] });
  try {
    return await work(createAccounts({ database, ...ports }));
  } finally {
    database.close();
  }
}
