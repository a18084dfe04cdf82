/** Raw deflate for packed columns. */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Compressor } from '@villagrid/contracts';

/** The compressor of everything the store keeps. */
export const zip: Compressor = {
  compress: (bytes) => deflateRawSync(bytes, { level: 9, memLevel: 9, chunkSize: Math.max(64, bytes.length) }),
  // The length is known, so one piece of exactly that size is enough, and a bomb goes no further.
  decompress: (bytes, length) =>
    inflateRawSync(bytes, { maxOutputLength: Math.max(1, length), chunkSize: Math.max(64, length) }),
};
