/** The two sources of randomness: the machine's unpredictable one, and a seeded one for simulations and tests. */
import { randomBytes, randomFillSync } from 'node:crypto';
import type { RandomSource } from '@villagrid/contracts';

/** Short answers are cut from a pool of this size, because asking the system costs as much as a small request to the API. */
const poolBytes = 4096;
const longestFromPool = 64;

/** Unpredictable randomness, for ids, passwords and back-off in production. */
export function cryptoRandom(): RandomSource {
  const pool = new Uint8Array(poolBytes);
  let at = poolBytes;
  const take = (length: number): Uint8Array => {
    if (at + length > poolBytes) {
      randomFillSync(pool);
      at = 0;
    }
    const bytes = pool.slice(at, at + length);
    // What was given out is nowhere else.
    pool.fill(0, at, at + length);
    at += length;
    return bytes;
  };
  return {
    float: () => {
      const bytes = randomBytes(7);
      // 53 bits: the low 5 of the first byte, then 48.
      return ((bytes[0] as number) % 32) * 2 ** -5 + bytes.readUIntBE(1, 6) * 2 ** -53;
    },
    bytes: (length) => (length <= longestFromPool ? take(length) : new Uint8Array(randomBytes(length))),
  };
}

/** Repeatable randomness (generator sfc32): the same seed gives the same numbers on every machine. Not for secrets. */
export function seededRandom(seed: number | string): RandomSource {
  let [a, b, c] = seedWords(String(seed));
  let counter = 1;
  const word = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  for (let i = 0; i < 15; i += 1) word();
  return {
    float: () => (word() >>> 5) * 2 ** -27 + (word() >>> 6) * 2 ** -53,
    bytes: (length) => {
      const bytes = new Uint8Array(length);
      let rest = 0;
      for (let i = 0; i < length; i += 1) {
        if (i % 4 === 0) rest = word();
        bytes[i] = rest & 255;
        rest >>>= 8;
      }
      return bytes;
    },
  };
}

/** Three 32-bit words from a text, by FNV-1a with three offsets and Murmur3's finaliser. */
function seedWords(text: string): [number, number, number] {
  const hash = (offset: number): number => {
    let h = offset | 0;
    for (const character of text) h = Math.imul(h ^ (character.codePointAt(0) ?? 0), 0x01000193);
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return (h ^ (h >>> 16)) | 0;
  };
  return [hash(0x811c9dc5), hash(0x2f0b4c47), hash(0x6d2b79f5)];
}
