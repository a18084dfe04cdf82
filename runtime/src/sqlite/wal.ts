/**
 * Reading SQLite's write-ahead log without SQLite (https://www.sqlite.org/fileformat2.html#walformat): which pages it
 * holds, and whether what was once synced is damaged. SQLite itself ends silently at the first frame that is wrong.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';

/** A page in a write-ahead log. */
export interface WalPage {
  /** Number of the page in the database, from 1. */
  readonly page: number;
  /** Where its content begins in the log, bytes. */
  readonly at: number;
}

/** What a write-ahead log holds. */
export interface Wal {
  readonly pageBytes: number;
  /** Pages of the present generation of the log in the order of writing; those that SQLite would use come first. */
  readonly pages: readonly WalPage[];
  /** How many of them SQLite uses: up to the last commit whose checksums are right. */
  readonly usable: number;
  /** Why it is damaged; undefined when it ends as a power cut may leave it. */
  readonly damage: string | undefined;
}

const headBytes = 32;
const frameHeadBytes = 24;
/** Where the salts of a frame's head end. */
const saltsEnd = 16;
/** Smallest unit a disk writes whole, bytes. */
const sectorBytes = 512;
const usualPageBytes = 4096;
const magic = 0x377f0682;

/** Reads a write-ahead log; undefined when there is none. */
export function readWal(path: string): Wal | undefined {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size < headBytes) return undefined;
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(headBytes);
    readSync(file, head, 0, headBytes, 0);
    const sum = new Checksum((head.readUInt32BE(0) & 1) === 1);
    sum.add(head, 0, 24);
    const pageBytes = head.readUInt32BE(8);
    if ((head.readUInt32BE(0) & ~1) >>> 0 === magic && sum.is(head, 24))
      return walk(file, size, head, pageBytes, sum, true);
    // The head is synced before the first page is written. Its first page tells which generation it was.
    if (size < headBytes + frameHeadBytes + usualPageBytes) return undefined;
    readSync(file, head, 16, 8, headBytes + 8);
    const { pages } = walk(file, size, head, usualPageBytes, sum, false);
    return { pageBytes: usualPageBytes, pages, usable: 0, damage: 'its head is wrong' };
  } finally {
    closeSync(file);
  }
}

function walk(file: number, size: number, head: Buffer, pageBytes: number, sum: Checksum, headIsRight: boolean): Wal {
  const pages: WalPage[] = [];
  const frame = Buffer.alloc(frameHeadBytes + pageBytes);
  let usable = 0;
  let right = headIsRight;
  /** Number of the frame that ends the first transaction after the first wrong frame. */
  let tornUntil: number | undefined;
  let damage: string | undefined;
  for (let at = headBytes; at + frame.length <= size; at += frame.length) {
    readSync(file, frame, 0, frame.length, at);
    // Salts of an earlier generation: the rest was written before the log began anew.
    if (frame.compare(head, 16, 24, 8, 16) !== 0) {
      // A flipped bit in a salt looks the same; what follows tells.
      if (!right || !sameGenerationFollows(file, size, head, at + frame.length, frame.length)) break;
      right = false;
      continue;
    }
    pages.push({ page: frame.readUInt32BE(0), at: at + frameHeadBytes });
    let commits = frame.readUInt32BE(4) > 0;
    if (right) {
      sum.add(frame, 0, 8);
      sum.add(frame, frameHeadBytes, frame.length);
      right = sum.is(frame, 16);
    }
    if (right) {
      if (commits) usable = pages.length;
      continue;
    }
    // A head torn between its mark of a commit and its salts may bear the mark of the frame that was there before.
    if (Math.floor(at / sectorBytes) !== Math.floor((at + saltsEnd - 1) / sectorBytes)) commits = false;
    // Each commit is synced before the next one is written: only the last transaction may be torn.
    if (tornUntil !== undefined)
      damage ??= `it is wrong after ${usable} pages, and goes on after the transaction there`;
    else if (commits) tornUntil = pages.length;
  }
  return { pageBytes, pages, usable, damage };
}

function sameGenerationFollows(file: number, size: number, head: Buffer, at: number, frameBytes: number): boolean {
  if (at + frameBytes > size) return false;
  const next = Buffer.alloc(frameHeadBytes);
  readSync(file, next, 0, next.length, at);
  return next.compare(head, 16, 24, 8, 16) === 0;
}

/** SQLite's running checksum over pairs of 32-bit words. */
class Checksum {
  readonly #bigEndian: boolean;
  #a = 0;
  #b = 0;

  constructor(bigEndian: boolean) {
    this.#bigEndian = bigEndian;
  }

  add(bytes: Buffer, from: number, to: number): void {
    let [a, b] = [this.#a, this.#b];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const little = !this.#bigEndian;
    for (let at = from; at < to; at += 8) {
      a = (a + view.getUint32(at, little) + b) >>> 0;
      b = (b + view.getUint32(at + 4, little) + a) >>> 0;
    }
    this.#a = a;
    this.#b = b;
  }

  is(bytes: Buffer, at: number): boolean {
    return bytes.readUInt32BE(at) === this.#a && bytes.readUInt32BE(at + 4) === this.#b;
  }
}
