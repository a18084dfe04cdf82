/** Passwords made for people and devices: long enough, and without characters that are mistaken for each other. */
import type { RandomSource } from '@villagrid/contracts';

const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789';

/** A password of groups of five characters: four are about 98 bits. */
export function makePassword(random: RandomSource, groupCount = 4): string {
  const groups: string[] = [];
  for (let g = 0; g < groupCount; g += 1) {
    let group = '';
    while (group.length < 5) {
      for (const byte of random.bytes(16)) {
        // Bytes at or above the largest multiple of the alphabet would favour its first letters.
        if (byte < 256 - (256 % alphabet.length) && group.length < 5) group += alphabet[byte % alphabet.length];
      }
    }
    groups.push(group);
  }
  return groups.join('-');
}
