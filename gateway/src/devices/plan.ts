/** Which reads a profile needs: neighbouring points in one request, within the device's limits. Pure. */
import { type Point, type Profile, registersOf } from './profile.js';

/** One request: registers from `address` on. */
export interface ReadRequest {
  readonly function: 3 | 4;
  readonly address: number;
  readonly count: number;
}

/** Longest hole of registers nobody asked for that is read along, rather than asking twice. */
const longestHole = 24;

/** Plans the reads of points; `base` is added to every address (the place of a SunSpec model). */
export function planReads(profile: Pick<Profile, 'limits'>, points: readonly Point[], base = 0): ReadRequest[] {
  const spans = points
    .flatMap((point) => [
      { function: point.function, from: base + point.address, to: base + point.address + registersOf(point.type) },
      ...(point.scale_factor === undefined
        ? []
        : [{ function: point.function, from: base + point.scale_factor, to: base + point.scale_factor + 1 }]),
    ])
    .sort((a, b) => a.function - b.function || a.from - b.from);
  const requests: { function: 3 | 4; address: number; count: number }[] = [];
  for (const span of spans) {
    const last = requests.at(-1);
    if (last !== undefined && last.function === span.function) {
      const end = last.address + last.count;
      const count = Math.max(end, span.to) - last.address;
      const crosses = profile.limits.forbidden.some(([low = 0, high = -1]) => low < span.from && high >= end);
      if (span.from - end <= longestHole && count <= profile.limits.max_registers && !crosses) {
        last.count = count;
        continue;
      }
    }
    requests.push({ function: span.function, address: span.from, count: span.to - span.from });
  }
  return requests;
}
