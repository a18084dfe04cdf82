/** Sums of frames' hashes, by which gateway and cloud compare what was received (contracts, Receipt.sum). */
import { createHash } from 'node:crypto';

const modulo = 1n << 64n;

/** First 8 bytes, big endian, of a frame's SHA-256. */
export function frameHash(bytes: Uint8Array): bigint {
  return createHash('sha256').update(bytes).digest().readBigUInt64BE(0);
}

/** Adds a frame to a sum, modulo 2^64. */
export const addToSum = (sum: bigint, bytes: Uint8Array): bigint => (sum + frameHash(bytes)) % modulo;

/** A sum as 16 hexadecimal digits. */
export const sumHex = (sum: bigint): string => sum.toString(16).padStart(16, '0');
