/** When the last backup of a gateway was made: noted beside its databases, for the doctor. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { readYaml, writePublic } from './files.js';

/** A backup that was made. */
export interface LastBackup {
  /** Real Unix milliseconds. */
  readonly made_at_ms: number;
  readonly file: string;
  readonly bytes: number;
}

const noteName = 'last-backup.json';

const noteOf = (configFile: string): string => {
  const { data_dir: dataDir = 'data' } = readYaml(configFile).toJS() as { data_dir?: string };
  return join(resolve(dirname(configFile), dataDir), noteName);
};

/** Notes a backup. */
export function noteBackup(configFile: string, backup: LastBackup): void {
  writePublic(noteOf(configFile), `${JSON.stringify(backup)}\n`);
}

/** The last backup; undefined when none was noted. */
export function lastBackup(configFile: string): LastBackup | undefined {
  const path = noteOf(configFile);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as LastBackup) : undefined;
}

/** Bytes as people read them. */
export const sizeOf = (bytes: number): string =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
