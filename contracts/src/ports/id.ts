/** Ids that sort by time and are unique in the world. */
import type { RandomSource } from './clock.js';

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** Pattern of an id made by `newId`: 26 characters of Crockford's base 32 (the ULID layout: 48 bits time, 80 random). */
export const idPattern = '^[0-9A-HJKMNP-TV-Z]{26}$';

/** A new id from a time in Unix milliseconds and 80 random bits. */
export function newId(nowMs: number, random: RandomSource): string {
  // A time that is no number gives 0, so that an id always has its form.
  let time = Math.max(0, Math.min(Math.floor(nowMs) || 0, 2 ** 48 - 1));
  let text = '';
  for (let i = 0; i < 10; i += 1) {
    text = alphabet[time % 32] + text;
    time = Math.floor(time / 32);
  }
  const bytes = random.bytes(16);
  for (let i = 0; i < 16; i += 1) text += alphabet[(bytes[i] ?? 0) & 31];
  return text;
}

/** The time in Unix milliseconds that an id was made at, for ordering and display only. */
export function idTimeMs(id: string): number {
  let time = 0;
  for (const character of id.slice(0, 10)) time = time * 32 + Math.max(0, alphabet.indexOf(character));
  return time;
}
