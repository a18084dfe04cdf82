/**
 * How a commit lies in the journal: a record of whole blocks that proves itself by a checksum. Pure: bytes in, bytes out.
 *
 * A record says which log it belongs to, its number, the attempt it was written with and up to which number all was
 * durable by then. From these alone it follows, in any order of blocks, what was committed and what is left over.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { CodecError, crc32 } from '@villagrid/contracts';

/** What is written whole or torn by itself, bytes: a record begins on one, so a torn write harms no other record. */
export const blockBytes = 4096;
const magic = 0x314a4756;
const headMagic = 0x304a4756;
const fixedBytes = 72;
const epochBytes = 26;
/** Far above what a commit ever holds; a damaged length must not fill the memory. */
const mostExtraBytes = 64 * 1024 * 1024;

/** A state that a commit keeps. */
export interface StateWrite {
  readonly name: string;
  readonly number: number;
  readonly value: string;
}

/** A reader's cursor that goes with a commit. */
export interface CursorMove {
  readonly reader: string;
  readonly number: number;
}

/** One commit as the journal holds it. */
export interface JournalRecord {
  readonly epoch: string;
  readonly number: number;
  /** Rises with each write: of two records of one number, the later one counts. */
  readonly attempt: number;
  /** Up to here all was durable when this was written. */
  readonly durable: number;
  /** The frame as it lies in the log. */
  readonly frame: Uint8Array;
  readonly states: readonly StateWrite[];
  readonly cursors: readonly CursorMove[];
}

/** A record's bytes, padded with zeros to whole blocks. */
export function encodeRecord({ epoch, number, attempt, durable, frame, states, cursors }: JournalRecord): Buffer {
  const extra =
    states.length + cursors.length === 0
      ? Buffer.alloc(0)
      : deflateRawSync(JSON.stringify({ states, cursors }), { chunkSize: blockBytes });
  const used = fixedBytes + frame.length + extra.length;
  const bytes = Buffer.alloc(Math.ceil(used / blockBytes) * blockBytes);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeBigUInt64LE(BigInt(attempt), 8);
  bytes.writeBigUInt64LE(BigInt(number), 16);
  bytes.writeBigUInt64LE(BigInt(durable), 24);
  bytes.writeUInt32LE(frame.length, 32);
  bytes.writeUInt32LE(extra.length, 36);
  bytes.write(epoch, 40, epochBytes, 'latin1');
  bytes.set(frame, fixedBytes);
  bytes.set(extra, fixedBytes + frame.length);
  bytes.writeUInt32LE(crc32(bytes.subarray(8, used)), 4);
  return bytes;
}

/** The record that begins at a place and how many bytes it takes; undefined when none does, or not all of it is right. */
export function decodeRecord(
  file: Buffer,
  at: number,
): { readonly record: JournalRecord; readonly bytes: number } | undefined {
  if (at + fixedBytes > file.length || file.readUInt32LE(at) !== magic) return undefined;
  const frameBytes = file.readUInt32LE(at + 32);
  const extraBytes = file.readUInt32LE(at + 36);
  const used = fixedBytes + frameBytes + extraBytes;
  if (at + used > file.length || crc32(file.subarray(at + 8, at + used)) !== file.readUInt32LE(at + 4))
    return undefined;
  const extraAt = at + fixedBytes + frameBytes;
  const { states = [], cursors = [] } = extraOf(file.subarray(extraAt, extraAt + extraBytes));
  return {
    bytes: Math.ceil(used / blockBytes) * blockBytes,
    record: {
      attempt: Number(file.readBigUInt64LE(at + 8)),
      number: Number(file.readBigUInt64LE(at + 16)),
      durable: Number(file.readBigUInt64LE(at + 24)),
      epoch: textAt(file, at + 40),
      frame: Buffer.from(file.subarray(at + fixedBytes, extraAt)),
      states,
      cursors,
    },
  };
}

const extraOf = (bytes: Buffer): Partial<Pick<JournalRecord, 'states' | 'cursors'>> =>
  bytes.length === 0
    ? {}
    : (JSON.parse(inflateRawSync(bytes, { maxOutputLength: mostExtraBytes }).toString()) as Pick<
        JournalRecord,
        'states' | 'cursors'
      >);

/** The first block of a journal: whose it is, and how many blocks it has with this one. */
export interface JournalHead {
  readonly epoch: string;
  readonly blocks: number;
}

/** The first block's bytes. */
export function encodeHead({ epoch, blocks }: JournalHead): Buffer {
  const bytes = Buffer.alloc(blockBytes);
  bytes.writeUInt32LE(headMagic, 0);
  bytes.writeUInt32LE(blocks, 8);
  bytes.write(epoch, 16, epochBytes, 'latin1');
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

/** What the first block says. Throws CodecError when it is not what was written. */
export function decodeHead(file: Buffer): JournalHead {
  if (file.length < blockBytes || file.readUInt32LE(0) !== headMagic) throw new CodecError('it is no journal of a log');
  if (crc32(file.subarray(8, blockBytes)) !== file.readUInt32LE(4)) throw new CodecError('its first block was changed');
  return { blocks: file.readUInt32LE(8), epoch: textAt(file, 16) };
}

const textAt = (bytes: Buffer, at: number): string => bytes.toString('latin1', at, at + epochBytes).replace(/\0+$/, '');

/** Every whole record of a journal's bytes, wherever it lies. */
export function recordsIn(file: Buffer): JournalRecord[] {
  const records: JournalRecord[] = [];
  for (let at = blockBytes; at < file.length; at += blockBytes) {
    // Block by block: what looks like a long record may be left over, with newer ones inside.
    const found = decodeRecord(file, at);
    if (found) records.push(found.record);
  }
  return records;
}

/**
 * What a journal adds to a log that ends at `newest`: its frames in order, undefined in place of one that was changed; a
 * copy made while it was written ends there.
 */
export function committedAfter(
  records: readonly JournalRecord[],
  { epoch, newest, fromCopy = false }: { readonly epoch: string; readonly newest: number; readonly fromCopy?: boolean },
): (JournalRecord | undefined)[] {
  const latest = new Map<number, JournalRecord>();
  let durable = newest;
  for (const one of records) {
    if (one.epoch !== epoch) continue;
    durable = Math.max(durable, one.durable);
    if (one.number > newest && one.attempt > (latest.get(one.number)?.attempt ?? -1)) latest.set(one.number, one);
  }
  const found: (JournalRecord | undefined)[] = [];
  let attempt = 0;
  for (let number = newest + 1; ; number += 1) {
    const one = latest.get(number);
    // An earlier attempt behind a later one failed, and what it held was given up.
    if (one && one.attempt >= attempt) {
      attempt = one.attempt;
      found.push(one);
    } else if (number <= durable && !fromCopy) found.push(undefined);
    else return found;
  }
}
