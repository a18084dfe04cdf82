/** What a device says of itself beside its measurements: whether it is off or has a fault, and which one in its maker's words. Pure. */
import { flagsOf, type PointValue } from './decode.js';
import type { Layout, ResolvedPoint } from './layout.js';

/** The metric that tells it: 0 neither, 1 switched off, 2 fault. */
export const faultMetric = 'fault_state';

/** What was said. */
export interface Trouble {
  readonly state: 0 | 1 | 2;
  /** What explains it, the most telling first; empty while there is nothing. */
  readonly words: readonly string[];
}

/** What the points of one poll say; undefined where none that decides it was read, or none has a value. */
export function troubleOf(layout: Layout, values: ReadonlyMap<string, PointValue>): Trouble | undefined {
  let state: Trouble['state'] | undefined;
  const telling: string[] = [];
  const named: string[] = [];
  for (const point of layout.points) {
    const { trouble } = point;
    const value = values.get(point.key);
    if (!trouble || typeof value !== 'number') continue;
    const { off, fault, words } = trouble;
    if (off ?? fault) {
      const one = fault?.includes(value) === true ? 2 : off?.includes(value) === true ? 1 : 0;
      const name = point.written?.values?.[String(value)];
      if (one > 0 && words !== true && name !== undefined) named.push(name);
      state = one > (state ?? 0) ? one : (state ?? 0);
    }
    if (words === true) telling.push(...wordsOf(point, value));
  }
  if (state === undefined) return undefined;
  return { state, words: state === 0 ? [] : [...new Set(telling.length > 0 ? telling : named)] };
}

/** A value as the profile words it, or its number; nothing for 0. */
function wordsOf({ type, written }: ResolvedPoint, value: number): string[] {
  if (value === 0) return [];
  if (written?.flags || type.startsWith('bits')) return flagsOf(written?.flags ?? {}, value);
  return [written?.values?.[String(value)] ?? `code ${value}`];
}
