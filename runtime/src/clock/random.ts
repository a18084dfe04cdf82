/** The two sources of randomness: the machine's unpredictable one, and a seeded one for simulations and tests. */
import { randomBytes } from 'node:crypto';
import type { RandomSource } from '@villagrid/contracts';

/** Unpredictable randomness, for ids, passwords and back-off in production. */
export function cryptoRandom(): RandomSource {
  return {
    float: () => {
      const bytes = randomBytes(7);
      // 53 bits: the low 5 of the first byte, then 48.
      return ((bytes[0] as number) % 32) * 2 ** -5 + bytes.readUIntBE(1, 6) * 2 ** -53;
    },
    bytes: (length) => new Uint8Array(randomBytes(length)),
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
