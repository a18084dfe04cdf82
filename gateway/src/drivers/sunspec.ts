/** SunSpec discovery: where on a device one of the wanted models begins. */
import type { Link } from '../links/tcp-link.js';
import { ReadError } from '../links/tcp-link.js';

/** A model that was found: its id and the register of that id. */
export interface FoundModel {
  readonly model: number;
  readonly address: number;
}

const marker = [0x5375, 0x6e53];
const endOfModels = 0xffff;
/** Longest chain that is followed. */
const mostModels = 100;

/**
 * Looks for the marker at each base and follows the chain of models by the lengths the device sends. Undefined when
 * there is no marker or none of the models. Throws ReadError when the line fails.
 */
export async function findSunSpecModel(
  link: Link,
  unit: number,
  wanted: readonly number[],
  bases: readonly number[],
  timeoutMs: number,
): Promise<FoundModel | undefined> {
  const read = async (address: number, count: number): Promise<readonly number[] | undefined> => {
    try {
      return await link.read({ unit, function: 3, address, count, timeoutMs, gapMs: 0 });
    } catch (error) {
      if (error instanceof ReadError && error.exception !== undefined) return undefined;
      throw error;
    }
  };
  for (const base of bases) {
    const found = await read(base, 2);
    if (found?.[0] !== marker[0] || found?.[1] !== marker[1]) continue;
    let address = base + 2;
    for (let i = 0; i < mostModels && address < 65_535; i += 1) {
      const model = (await read(address, 1))?.[0];
      if (model === undefined || model === endOfModels) break;
      if (wanted.includes(model)) return { model, address };
      const length = (await read(address + 1, 1))?.[0];
      if (length === undefined || length === endOfModels) break;
      address += 2 + length;
    }
  }
  return undefined;
}
