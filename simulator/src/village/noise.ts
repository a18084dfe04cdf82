/** Noise that is a pure function of seed, stream and place in time, so that any instant can be computed alone. */

/** 32-bit FNV-1a hash of a text. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}

/** Mixes whole numbers into one 32-bit hash. */
export function hashNumbers(...parts: readonly number[]): number {
  let hash = 0x9e3779b9;
  for (const part of parts) {
    hash ^= part | 0;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}

/** A number in [0, 1) for the slot `index` of the stream. */
export function noise(seed: number, stream: string, index: number): number {
  return hashNumbers(seed, hashText(stream), Math.floor(index)) / 2 ** 32;
}

/** Noise in [-1, 1] that runs smoothly from one whole `x` to the next. */
export function smoothNoise(seed: number, stream: string, x: number): number {
  const slot = Math.floor(x);
  const share = x - slot;
  const eased = share * share * (3 - 2 * share);
  const from = noise(seed, stream, slot);
  return 2 * (from + (noise(seed, stream, slot + 1) - from) * eased) - 1;
}
