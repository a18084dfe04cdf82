/** A device played from the vectors of its profile, for whoever writes one and has none at hand. Pure. */
import { RegisterImage } from './decode.js';
import type { Profile } from './profile-schema.js';
import type { VectorCase } from './vectors.js';

/** Modbus exceptions that a played device answers with. */
export const playedExceptions = { functionUnknown: 1, addressUnmapped: 2, tooMany: 3 } as const;

/** The words of a read, or the number of the exception it is refused with. */
export type PlayedRead = (functionCode: number, address: number, count: number) => readonly number[] | number;

/**
 * Answers as the profile says the device does: registers of the case, zeros in the holes that `limits.max_gap` allows to read
 * along, and a refusal for every other register and for what the limits forbid. Only for profiles with fixed addresses.
 */
export function playVectors(profile: Profile, { read }: VectorCase): PlayedRead {
  const { address_step: step, function: usual, limits } = profile;
  const image = new RegisterImage();
  const known = new Map<number, number[]>();
  for (const { function: functionCode = usual, address = 0, words } of read) {
    image.add(functionCode as 3 | 4, address, words, step);
    known.set(functionCode, [...(known.get(functionCode) ?? []), ...words.map((_, i) => address + i * step)]);
  }
  const inSmallHole = (addresses: readonly number[], address: number): boolean => {
    const below = Math.max(...addresses.filter((one) => one < address));
    const above = Math.min(...addresses.filter((one) => one > address));
    return (above - below) / step - 1 <= limits.max_gap;
  };
  return (functionCode, address, count) => {
    const addresses = known.get(functionCode);
    if ((functionCode !== 3 && functionCode !== 4) || !addresses) return playedExceptions.functionUnknown;
    if (count < 1 || count > limits.max_registers) return playedExceptions.tooMany;
    const last = address + (count - 1) * step;
    const crosses =
      limits.window !== undefined && Math.floor(address / limits.window) !== Math.floor(last / limits.window);
    if (crosses || limits.forbidden.some(([from, to]) => address <= to && last >= from))
      return playedExceptions.addressUnmapped;
    const words: number[] = [];
    for (let at = address; at <= last; at += step) {
      const word = image.get(functionCode, at, 1)?.[0];
      if (word === undefined && !inSmallHole(addresses, at)) return playedExceptions.addressUnmapped;
      words.push(word ?? 0);
    }
    return words;
  };
}
