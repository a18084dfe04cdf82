/** Whether what a device answered to a profile's probe is what that model answers. Pure. */
import { bitsOf, decodeRaw } from './decode.js';
import type { IdentifyProbe, Profile } from './profile-schema.js';

/** Whether the words read for a probe fit it. Codes are compared bit by bit, bounds with the number before scaling. */
export function probeFits(profile: Profile, probe: IdentifyProbe, words: readonly number[]): boolean {
  if (words.length !== probe.registers) return false;
  const lswFirst = (probe.word_order ?? profile.word_order) === 'lsw_first';
  if (probe.one_of) {
    const bits = bitsOf({ lswFirst }, words);
    return probe.one_of.some((code) => BigInt(code) === bits);
  }
  const value = decodeRaw({ type: probe.type, lswFirst, missing: [] }, words);
  if (probe.matches !== undefined) return typeof value === 'string' && new RegExp(probe.matches, 'u').test(value);
  if (!probe.between || typeof value !== 'number') return false;
  return value >= probe.between[0] && value <= probe.between[1];
}
