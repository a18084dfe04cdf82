/** Files a box cannot live without: written whole or not at all, secrets readable by their owner only. */
import {
  closeSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { messageOf, VillagridError } from '@villagrid/contracts';
import { type Document, parseDocument } from 'yaml';

/** A file to be written: readable by its owner only when it is a secret, else by anybody. */
export interface FileToWrite {
  readonly path: string;
  readonly text: string;
  readonly secret: boolean;
}

/**
 * Writes files that belong together: all are complete on the disk before the first takes its place, so that what goes
 * wrong before (no room, no right) changes none of them.
 */
export function writeTogether(files: readonly FileToWrite[]): void {
  const staged: { readonly temporary: string; readonly path: string }[] = [];
  try {
    for (const { path, text, secret } of files) {
      mkdirSync(dirname(path), { recursive: true });
      const temporary = join(dirname(path), `.${basename(path)}.new`);
      staged.push({ temporary, path });
      const file = openSync(temporary, 'w', secret ? 0o600 : 0o644);
      try {
        writeSync(file, text);
        keepOwner(file, path);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
    }
  } catch (error) {
    for (const { temporary } of staged) rmSync(temporary, { force: true });
    throw error;
  }
  for (const { temporary, path } of staged) renameSync(temporary, path);
  for (const path of new Set(staged.map((one) => dirname(one.path)))) {
    const folder = openSync(path, 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }
}

/** What root changes stays the daemon's when it was so before; else the daemon could not read it any more. */
function keepOwner(file: number, path: string): void {
  if (process.getuid?.() !== 0) return;
  const before = statSync(path, { throwIfNoEntry: false });
  if (before !== undefined) fchownSync(file, before.uid, before.gid);
}

/** Writes a secret (mode 0600): complete on the disk when it returns. */
export function writeSecret(path: string, text: string): void {
  writeTogether([{ path, text, secret: true }]);
}

/** Writes a file that anybody may read (mode 0644): complete on the disk when it returns. */
export function writePublic(path: string, text: string): void {
  writeTogether([{ path, text, secret: false }]);
}

/** Reads a text file; VillagridError E_CONFIG_READ names the path when it cannot. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new VillagridError('E_CONFIG_READ', `${path}: ${messageOf(error)}`);
  }
}

/** Reads a YAML file so that it can be changed without losing its comments. */
export function readYaml(path: string): Document {
  const document = parseDocument(readText(path));
  const first = document.errors[0];
  if (first) throw new VillagridError('E_CONFIG_SYNTAX', `${path}: ${first.message}`);
  return document;
}
