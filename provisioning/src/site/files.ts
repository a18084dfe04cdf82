/** Files a box cannot live without: written whole or not at all, secrets readable by their owner only. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { VillagridError } from '@villagrid/contracts';
import { type Document, parseDocument } from 'yaml';

function writeWhole(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.${basename(path)}.new`);
  const file = openSync(temporary, 'w', mode);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Writes a secret (mode 0600): complete on the disk when it returns. */
export function writeSecret(path: string, text: string): void {
  writeWhole(path, text, 0o600);
}

/** Writes a file that anybody may read (mode 0644): complete on the disk when it returns. */
export function writePublic(path: string, text: string): void {
  writeWhole(path, text, 0o644);
}

/** Reads a text file; VillagridError E_CONFIG_READ names the path when it cannot. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new VillagridError('E_CONFIG_READ', `${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Reads a YAML file so that it can be changed without losing its comments. */
export function readYaml(path: string): Document {
  const document = parseDocument(readText(path));
  const first = document.errors[0];
  if (first) throw new VillagridError('E_CONFIG_SYNTAX', `${path}: ${first.message}`);
  return document;
}
