/**
 * The wrapping of packed columns: a version byte, whether a compressor was worth it, the plain length, the bytes, and a
 * CRC-32 (big endian) of everything before it, so that a worn card cannot change a value unnoticed.
 */
import { ByteReader, ByteWriter, CodecError } from './bytes.js';
import { crc32 } from './crc32.js';
import { messageOf } from '../errors/message-of.js';

/**
 * Raw deflate (RFC 1951), given by whoever packs or unpacks, because contracts does no I/O: node:zlib on a server,
 * DecompressionStream in a browser.
 */
export interface Compressor {
  compress(bytes: Uint8Array): Uint8Array;
  /** Gives exactly `length` bytes or throws anything. */
  decompress(bytes: Uint8Array, length: number): Uint8Array;
}

const version = 1;
const plain = version * 2;
const deflated = plain + 1;
const checksumBytes = 4;
/** More is no honest pack: a day of samples at 10 Hz is below it. */
const longestPlain = 64 * 1024 * 1024;

/** Wraps bytes, compressed when that makes them shorter. */
export function wrapPacked(bytes: Uint8Array, { compress }: Pick<Compressor, 'compress'>): Uint8Array {
  const smaller = bytes.length > 16 ? compress(bytes) : bytes;
  const writer = new ByteWriter();
  if (smaller.length < bytes.length) {
    writer.byte(deflated);
    writer.unsigned(bytes.length);
    writer.raw(smaller);
  } else {
    writer.byte(plain);
    writer.raw(bytes);
  }
  const checksum = crc32(writer.written());
  for (let shift = 24; shift >= 0; shift -= 8) writer.byte(checksum >>> shift);
  return writer.finish();
}

/** Unwraps; throws CodecError for anything that is not a whole, unchanged pack of a version known here. */
export function unwrapPacked(bytes: Uint8Array, { decompress }: Pick<Compressor, 'decompress'>): Uint8Array {
  const end = bytes.length - checksumBytes;
  if (end < 1) throw new CodecError(`a pack of ${bytes.length} bytes`);
  const stated = new DataView(bytes.buffer, bytes.byteOffset + end, checksumBytes).getUint32(0);
  const body = bytes.subarray(0, end);
  if (crc32(body) !== stated) throw new CodecError('checksum is wrong: bytes were changed or cut short');
  if (body[0] === plain) return body.subarray(1);
  if (body[0] !== deflated) throw new CodecError(`pack version ${(body[0] as number) >> 1} is not known here`);
  const reader = new ByteReader(body);
  reader.byte();
  const length = reader.unsigned();
  if (length > longestPlain) throw new CodecError(`a pack claims ${length} bytes`);
  let unpacked: Uint8Array;
  try {
    unpacked = decompress(reader.rest(), length);
  } catch (error) {
    throw new CodecError(`a pack cannot be inflated: ${messageOf(error)}`);
  }
  if (unpacked.length !== length) throw new CodecError(`a pack claims ${length} bytes and has ${unpacked.length}`);
  return unpacked;
}
