/** How a virtual device answers a read, whatever it hangs on. */
import type { Values } from '../reference/signals.js';
import { type RegisterMap, renderImage } from './image.js';

const exceptions = { functionUnknown: 1, addressUnmapped: 2, valueBad: 3 } as const;

/** The words of a read, or the Modbus exception it is refused with as a negative number. */
export function serveRead(
  map: RegisterMap,
  values: Values,
  { function: code, address, count }: { readonly function: number; readonly address: number; readonly count: number },
): readonly number[] | number {
  if (code !== 3 && code !== 4) return -exceptions.functionUnknown;
  if (!map.functions.includes(code)) return -exceptions.functionUnknown;
  if (count < 1 || count > map.maxRegisters) return -exceptions.valueBad;
  const image = renderImage(map, values);
  const words: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const word = image.get(address + i);
    if (word === undefined) return -exceptions.addressUnmapped;
    words.push(word);
  }
  return words;
}
