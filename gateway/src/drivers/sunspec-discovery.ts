/** Walks the chain of models of a SunSpec device. Reads id and length one by one: some devices end with a lone 0xFFFF. */
import type { FoundModel } from '../devices/index.js';
import { LinkError } from '../links/index.js';

/** Reads registers of the device. Rejects with LinkError. */
export type ReadWords = (address: number, count: number) => Promise<readonly number[]>;

/** "SunS" */
const marker = [0x5375, 0x6e53] as const;
const endOfChain = 0xffff;
const maxModels = 100;
const lastAddress = 65_533;

/** Answers that say "not here" rather than "not reachable": the walk may go on or end. */
const isRefusal = (error: unknown): boolean => error instanceof LinkError && error.failure === 'exception';

/**
 * Where "SunS" is, or undefined when none of the bases has it. A base that is refused is passed over; silence ends the
 * search (`silentAt` is told, so that the next try may begin elsewhere), because a dead device must not cost a wait per base.
 */
export async function findBase(
  bases: readonly number[],
  read: ReadWords,
  silentAt: (base: number) => void,
): Promise<number | undefined> {
  for (const base of bases) {
    try {
      const words = await read(base, 2);
      if (words[0] === marker[0] && words[1] === marker[1]) return base;
    } catch (error) {
      if (isRefusal(error)) continue;
      silentAt(base);
      throw error;
    }
  }
  return undefined;
}

/** The models behind the marker. A refused read ends the chain, as some devices do; anything else rejects. */
export async function walkChain(base: number, read: ReadWords): Promise<FoundModel[]> {
  const chain: FoundModel[] = [];
  let address = base + 2;
  while (chain.length < maxModels && address <= lastAddress) {
    try {
      const id = (await read(address, 1))[0] ?? endOfChain;
      if (id === endOfChain || id === 0) break;
      const length = (await read(address + 1, 1))[0] ?? 0;
      chain.push({ id, address, length });
      address += 2 + length;
    } catch (error) {
      if (isRefusal(error)) break;
      throw error;
    }
  }
  return chain;
}
