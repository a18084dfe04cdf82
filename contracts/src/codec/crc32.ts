/** CRC-32 (IEEE 802.3, as in gzip and PNG): finds changed bytes on a worn card. Not against people who mean harm. */

/** Eight tables of 256: the n-th tells what a byte does to the checksum n bytes later, so that eight are taken at once. */
const tables = new Int32Array(8 * 256);
for (let n = 0; n < 256; n += 1) {
  let rest = n;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? 0xedb88320 ^ (rest >>> 1) : rest >>> 1;
  tables[n] = rest;
}
for (let n = 256; n < tables.length; n += 1) {
  const before = tables[n - 256] as number;
  tables[n] = (tables[before & 255] as number) ^ (before >>> 8);
}

/** The checksum of bytes, 0 to 2^32 - 1. `123456789` in ASCII gives 0xcbf43926. */
export function crc32(bytes: Uint8Array): number {
  let crc = -1;
  let at = 0;
  const byte = (index: number) => bytes[index] as number;
  for (const end = bytes.length - 7; at < end; at += 8) {
    crc ^= byte(at) | (byte(at + 1) << 8) | (byte(at + 2) << 16) | (byte(at + 3) << 24);
    crc =
      (tables[1792 + (crc & 255)] as number) ^
      (tables[1536 + ((crc >>> 8) & 255)] as number) ^
      (tables[1280 + ((crc >>> 16) & 255)] as number) ^
      (tables[1024 + (crc >>> 24)] as number) ^
      (tables[768 + byte(at + 4)] as number) ^
      (tables[512 + byte(at + 5)] as number) ^
      (tables[256 + byte(at + 6)] as number) ^
      (tables[byte(at + 7)] as number);
  }
  for (; at < bytes.length; at += 1) crc = (tables[(crc ^ byte(at)) & 255] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}
