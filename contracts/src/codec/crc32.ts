/** CRC-32 (IEEE 802.3, as in gzip and PNG): finds changed bytes on a worn card. Not against people who mean harm. */

const table = new Int32Array(256);
for (let n = 0; n < 256; n += 1) {
  let rest = n;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? 0xedb88320 ^ (rest >>> 1) : rest >>> 1;
  table[n] = rest;
}

/** The checksum of bytes, 0 to 2^32 - 1. `123456789` in ASCII gives 0xcbf43926. */
export function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (let at = 0; at < bytes.length; at += 1)
    crc = (table[(crc ^ (bytes[at] as number)) & 255] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}
