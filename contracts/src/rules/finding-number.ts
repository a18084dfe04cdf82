/** Numbers what the gateway found out, for the figure that rules of kind `balance` and `finding` watch. */

/** A number for a text, from 1 to 2^28: the same for the same text, never 0, which stands for nothing found. */
export function findingNumber(text: string): number {
  let hash = 7;
  for (let i = 0; i < text.length; i += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) & 0xfffffff;
  return hash + 1;
}
