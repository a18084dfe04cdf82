/**
 * One file of many parts, each deflated; secret parts are encrypted (AES-256-GCM), and the head, which names every part
 * with its size and checksum, is proven by a key from the passphrase. So nothing in it can be changed, left out or cut off
 * unnoticed. Form: 8 bytes of mark; length (4 bytes), JSON and 32 bytes of proof of the head; each part as pieces of a
 * length (4 bytes) and bytes, ended by a length of 0; `END\n`.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  timingSafeEqual,
  type DecipherGCM,
  type Hash,
  type Hmac,
} from 'node:crypto';
import { createReadStream, renameSync, rmSync, statSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { createDeflateRaw, createInflateRaw } from 'node:zlib';
import { messageOf, VillagridError, type RandomSource } from '@villagrid/contracts';
import { syncFolder } from '../sqlite/rescue.js';
import { keysOf, makeKeys, type ArchiveKeys, type KeyRecipe } from './keys.js';

/** A file that goes into an archive. */
export interface PartToWrite {
  /** Its name inside: words of letters, digits, `.`, `-` and `_`, joined by `/`. */
  readonly name: string;
  readonly path: string;
  readonly secret: boolean;
}

/** A part as the head describes it. */
export interface ArchivedPart {
  readonly name: string;
  readonly secret: boolean;
  readonly bytes: number;
  /** SHA-256 of the content; of a secret part keyed, so that it tells nothing of it. */
  readonly sum: string;
}

/** What the head of an archive says. */
export interface ArchiveHead<Info> {
  readonly format: number;
  readonly info: Info;
  readonly key: KeyRecipe;
  readonly parts: readonly ArchivedPart[];
}

/** The form this module writes, and the newest it reads. */
export const archiveFormat = 1;

const mark = Buffer.from('VGARCH1\n');
const end = Buffer.from('END\n');
const proofBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const mostHeadBytes = 1024 * 1024;
const pieceBytes = 256 * 1024;
/** History is compressed already: a quick pass takes what is left. */
const deflateLevel = 3;
const nameForm = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;

/**
 * Writes an archive: whole under its name when it resolves (mode 0600), or not at all. Resolves with its bytes. Rejects
 * with the system's error when a file cannot be read or written.
 */
export async function writeArchive<Info>(
  path: string,
  {
    info,
    parts,
    passphrase,
    random,
    logN,
  }: {
    readonly info: Info;
    readonly parts: readonly PartToWrite[];
    readonly passphrase: string;
    readonly random: RandomSource;
    /** For tests: cheaper keys. */
    readonly logN?: number;
  },
): Promise<number> {
  const { keys, recipe } = await makeKeys(passphrase, random, logN);
  const described: ArchivedPart[] = [];
  for (const { name, path: from, secret } of parts) {
    if (!nameForm.test(name)) throw new Error(`${name} cannot be the name of a part`);
    const hash = sumOf(secret, keys);
    let bytes = 0;
    for await (const piece of createReadStream(from, { highWaterMark: pieceBytes })) {
      hash.update(piece as Buffer);
      bytes += (piece as Buffer).length;
    }
    described.push({ name, secret, bytes, sum: hash.digest('hex') });
  }
  const head: ArchiveHead<Info> = { format: archiveFormat, info, key: recipe, parts: described };
  const headBytes = Buffer.from(JSON.stringify(head));
  const making = `${path}.part`;
  let written = 0;
  try {
    const file = await open(making, 'w', 0o600);
    const put = async (bytes: Uint8Array): Promise<void> => {
      for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
      written += bytes.length;
    };
    try {
      await put(mark);
      await put(length(headBytes.length));
      await put(headBytes);
      await put(proofOf(headBytes, keys));
      for (const part of parts) {
        for await (const piece of packed(part, keys, random)) {
          if (piece.length === 0) continue;
          await put(length(piece.length));
          await put(piece);
        }
        await put(length(0));
      }
      await put(end);
      await file.sync();
    } finally {
      await file.close();
    }
    renameSync(making, path);
    syncFolder(dirname(path));
    return written;
  } catch (error) {
    rmSync(making, { force: true });
    throw error;
  }
}

async function* packed(
  { path, secret, name }: PartToWrite,
  keys: ArchiveKeys,
  random: RandomSource,
): AsyncGenerator<Buffer> {
  const source = createReadStream(path, { highWaterMark: pieceBytes });
  const deflated = pipeline(source, createDeflateRaw({ level: deflateLevel, chunkSize: pieceBytes }), () => {});
  if (!secret) {
    yield* deflated as AsyncIterable<Buffer>;
    return;
  }
  const nonce = Buffer.from(random.bytes(nonceBytes));
  const cipher = createCipheriv('aes-256-gcm', keys.encrypt, nonce);
  cipher.setAAD(Buffer.from(name));
  yield nonce;
  for await (const piece of deflated as AsyncIterable<Buffer>) yield cipher.update(piece);
  yield cipher.final();
  yield cipher.getAuthTag();
}

/** An archive whose head was read and proven. */
export interface OpenArchive<Info> {
  readonly head: ArchiveHead<Info>;
  /**
   * Writes every part to where `place` says (mode 0600), checked to its last byte. Rejects with E_BACKUP_DAMAGED; what was
   * written until then is worth nothing and is the caller's to remove.
   */
  extract(place: (part: ArchivedPart) => string): Promise<void>;
  close(): Promise<void>;
}

/** What an archive says of itself, not proven by anybody: for telling a person which passphrase is asked for. */
export async function describeArchive<Info>(path: string): Promise<ArchiveHead<Info>> {
  const reader = new Reader(await opened(path));
  try {
    return (await readHead<Info>(reader)).head;
  } finally {
    await reader.file.close();
  }
}

/** Opens an archive. Rejects with E_BACKUP_DAMAGED, E_BACKUP_PASSPHRASE or, for a newer form, E_BACKUP_REFUSED. */
export async function openArchive<Info>(path: string, passphrase: string): Promise<OpenArchive<Info>> {
  const reader = new Reader(await opened(path));
  try {
    const { head, headBytes } = await readHead<Info>(reader);
    const proof = await reader.take(proofBytes);
    const keys = await keysOf(passphrase, head.key);
    if (!keys) throw new VillagridError('E_BACKUP_PASSPHRASE', `${path} was made with another passphrase.`);
    if (!timingSafeEqual(proof, proofOf(headBytes, keys))) throw damaged('its head is not what was written');
    return {
      head,
      async extract(place) {
        for (const part of head.parts) await extractPart(reader, part, keys, place(part));
        if (!(await reader.take(end.length)).equals(end) || !(await reader.atEnd()))
          throw damaged('it goes on after its end');
      },
      close: () => reader.file.close(),
    };
  } catch (error) {
    await reader.file.close();
    throw error;
  }
}

async function opened(path: string): Promise<FileHandle> {
  if (!statSync(path).isFile())
    throw new VillagridError('E_BACKUP_REFUSED', `${path} is not a file.`, { next: 'Give the backup file itself.' });
  return open(path, 'r');
}

async function readHead<Info>(reader: Reader): Promise<{ head: ArchiveHead<Info>; headBytes: Buffer }> {
  if (!(await reader.take(mark.length, 'it is too short')).equals(mark)) throw damaged('it is no backup of Villagrid');
  const bytes = (await reader.take(4)).readUInt32BE(0);
  if (bytes > mostHeadBytes) throw damaged('its head is too long');
  const headBytes = await reader.take(bytes);
  let head: ArchiveHead<Info>;
  try {
    head = JSON.parse(headBytes.toString('utf8')) as ArchiveHead<Info>;
  } catch {
    throw damaged('its head cannot be read');
  }
  if (typeof head.format !== 'number') throw damaged('its head says no format');
  if (head.format > archiveFormat)
    throw new VillagridError(
      'E_BACKUP_REFUSED',
      `The backup has form ${head.format}; this program knows forms up to ${archiveFormat}.`,
      { next: 'Install the newer program on this box first.' },
    );
  const names = new Set<string>();
  for (const part of Array.isArray(head.parts) ? head.parts : [undefined]) {
    if (!part || !nameForm.test(part.name) || !Number.isSafeInteger(part.bytes) || typeof part.sum !== 'string')
      throw damaged(`a part has a name or size that cannot be: ${JSON.stringify(part?.name)}`);
    if (names.has(part.name)) throw damaged(`part ${part.name} is there twice`);
    names.add(part.name);
  }
  if (typeof head.key?.salt !== 'string' || typeof head.key.check !== 'string') throw damaged('its head has no key');
  return { head, headBytes };
}

async function extractPart(reader: Reader, part: ArchivedPart, keys: ArchiveKeys, path: string): Promise<void> {
  const hash = sumOf(part.secret, keys);
  const file = await open(path, 'wx', 0o600);
  let bytes = 0;
  try {
    const source = Readable.from(part.secret ? decrypted(reader, part.name, keys) : pieces(reader), {
      objectMode: false,
    });
    const inflated = pipeline(source, createInflateRaw({ chunkSize: pieceBytes }), () => {});
    for await (const piece of inflated as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > part.bytes) throw damaged(`${part.name} is longer than it was`);
      hash.update(piece);
      for (let at = 0; at < piece.length; ) at += (await file.write(piece, at)).bytesWritten;
    }
    // What is left of the pieces belongs to this part.
    await file.sync();
  } catch (error) {
    const { code } = (error ?? {}) as { code?: unknown };
    // What the disk says is about the disk; everything else is about the content.
    if (error instanceof VillagridError || (typeof code === 'string' && /^E[A-Z]+$/.test(code))) throw error;
    throw damaged(`${part.name}: ${messageOf(error)}`);
  } finally {
    await file.close();
  }
  if (bytes !== part.bytes || hash.digest('hex') !== part.sum) throw damaged(`${part.name} is not what was written`);
}

async function* pieces(reader: Reader): AsyncGenerator<Buffer> {
  for (;;) {
    const bytes = (await reader.take(4)).readUInt32BE(0);
    if (bytes === 0) return;
    if (bytes > 4 * pieceBytes) throw damaged('a piece is longer than one can be');
    yield await reader.take(bytes);
  }
}

async function* decrypted(reader: Reader, name: string, keys: ArchiveKeys): AsyncGenerator<Buffer> {
  let decipher: DecipherGCM | undefined;
  let held = Buffer.alloc(0);
  for await (const piece of pieces(reader)) {
    held = Buffer.concat([held, piece]);
    if (!decipher) {
      if (held.length < nonceBytes) continue;
      decipher = createDecipheriv('aes-256-gcm', keys.encrypt, held.subarray(0, nonceBytes), {
        authTagLength: tagBytes,
      });
      decipher.setAAD(Buffer.from(name));
      held = held.subarray(nonceBytes);
    }
    // The last bytes are the tag.
    const ready = held.length - tagBytes;
    if (ready <= 0) continue;
    yield decipher.update(held.subarray(0, ready));
    held = held.subarray(ready);
  }
  if (!decipher || held.length !== tagBytes) throw damaged(`${name} is cut short`);
  decipher.setAuthTag(held);
  let last: Buffer;
  try {
    last = decipher.final();
  } catch {
    throw damaged(`${name} is not what was encrypted`);
  }
  yield last;
}

const damaged = (why: string) => new VillagridError('E_BACKUP_DAMAGED', `${why[0]?.toUpperCase()}${why.slice(1)}.`);
const sumOf = (secret: boolean, { prove }: ArchiveKeys): Hash | Hmac =>
  secret ? createHmac('sha256', prove).update('part ') : createHash('sha256');
const proofOf = (head: Buffer, { prove }: ArchiveKeys): Buffer =>
  createHmac('sha256', prove).update('head ').update(head).digest();

function length(bytes: number): Buffer {
  const four = Buffer.alloc(4);
  four.writeUInt32BE(bytes);
  return four;
}

/** Takes bytes from a file in order. */
class Reader {
  readonly file: FileHandle;
  #at = 0;

  constructor(file: FileHandle) {
    this.file = file;
  }

  async take(bytes: number, why = 'it is cut short'): Promise<Buffer> {
    const into = Buffer.alloc(bytes);
    for (let got = 0; got < bytes; ) {
      const { bytesRead } = await this.file.read(into, got, bytes - got, this.#at + got);
      if (bytesRead === 0) throw damaged(why);
      got += bytesRead;
    }
    this.#at += bytes;
    return into;
  }

  async atEnd(): Promise<boolean> {
    return (await this.file.read(Buffer.alloc(1), 0, 1, this.#at)).bytesRead === 0;
  }
}
