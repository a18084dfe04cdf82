/** The folder a village keeps everything in: made, and errors of the file system told in plain words. */
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';

/** What stops a start and what to do, in words for people; no stack is shown. */
export class PlainError extends Error {}

/** Makes the folder unless it is there; gives whether it was made. Throws PlainError when it cannot be used. */
export function openDataFolder(path: string): boolean {
  try {
    const made = mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined;
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return made;
  } catch (error) {
    throw inPlainWords(error, path) ?? error;
  }
}

/** The error in plain words when it is one of disk, owner or path; undefined for any other. `data` is the village's folder. */
export function inPlainWords(error: unknown, data: string): PlainError | undefined {
  const { code, path = data } = (error ?? {}) as { code?: unknown; path?: string };
  const other = 'or choose another folder with --data DIR';
  switch (code) {
    case 'EEXIST':
    case 'ENOTDIR':
      return new PlainError(
        `${data} is a file or lies below one, and must be a folder: choose another with --data DIR.`,
      );
    case 'EACCES':
    case 'EPERM':
      return new PlainError(
        existsSync(data)
          ? `${path} cannot be written: it belongs to somebody else or is read-only. Give it to yourself (sudo chown -R "$USER" ${data}), ${other}.`
          : `${data} cannot be made: the folder it would lie in belongs to somebody else or is read-only. Make it yourself (sudo install -d -o "$USER" ${data}), ${other}.`,
      );
    case 'EROFS':
      return new PlainError(`${path} lies on a disk that is read-only: mount it writable, ${other}.`);
    case 'ENOSPC':
    case 'EDQUOT':
      return new PlainError(`The disk of ${path} is full: make room, ${other}.`);
    case 'ENAMETOOLONG':
      return new PlainError(`The name ${data} is too long: choose another folder with --data DIR.`);
    default:
      return undefined;
  }
}
