/** What to ask a device for: adjacent points in one request, within its limits. Pure. */
import type { Layout } from './layout.js';
import { type PollingClass, pollingClasses } from './profile-schema.js';

/** Limits of a device that decide what one request may ask for. */
export interface ReadLimits {
  readonly maxRegisters: number;
  /** Unused registers that may be read along. */
  readonly maxGap: number;
  /** Ranges [first, last] that no request may touch. */
  readonly forbidden: ReadonlyArray<readonly [number, number]>;
}

/** Registers that belong together and are never split: a value with its scale factor, a model's header. */
export interface ReadItem {
  readonly function: 3 | 4;
  readonly start: number;
  /** First address after it. */
  readonly end: number;
}

/** One request. */
export interface ReadBlock {
  readonly function: 3 | 4;
  readonly address: number;
  readonly count: number;
  readonly items: readonly ReadItem[];
}

/** The requests that read the points of these polling classes (and every guard), in order of address. */
export function planReads(
  layout: Layout,
  limits: ReadLimits,
  classes: ReadonlySet<PollingClass> = new Set(pollingClasses),
): ReadBlock[] {
  const byKey = new Map(layout.points.map((point) => [point.key, point]));
  // Points that feed no metric are known, not polled; those read once tell who the device is.
  const wanted = new Set(
    layout.points.filter((one) => classes.has(one.polling) && (one.metric !== undefined || one.polling === 'once')),
  );
  // What a value depends on is read with it, whatever its own class.
  for (const point of wanted) {
    for (const key of [point.scaleFactor, point.validIf?.point]) {
      const partner = key === undefined ? undefined : byKey.get(key);
      if (partner) wanted.add(partner);
    }
  }
  const items: ReadItem[] = layout.guards.map((guard) => ({
    function: guard.function,
    start: guard.address,
    end: guard.address + guard.words.length,
  }));
  for (const point of wanted) {
    const own: ReadItem = { function: point.function, start: point.address, end: point.address + point.count };
    const factor = point.scaleFactor === undefined ? undefined : byKey.get(point.scaleFactor);
    if (factor && factor.function === point.function) {
      const both: ReadItem = {
        function: point.function,
        start: Math.min(own.start, factor.address),
        end: Math.max(own.end, factor.address + factor.count),
      };
      if (allowed(both, limits)) {
        items.push(both);
        continue;
      }
    }
    items.push(own);
  }
  return toBlocks(items, limits);
}

/** Two smaller requests for a block that the device refused; undefined when it holds one item only. */
export function splitBlock(block: ReadBlock): readonly [ReadBlock, ReadBlock] | undefined {
  if (block.items.length < 2) return undefined;
  const middle = Math.ceil(block.items.length / 2);
  return [blockOf(block.items.slice(0, middle)), blockOf(block.items.slice(middle))];
}

function allowed(range: ReadItem, { maxRegisters, forbidden }: ReadLimits): boolean {
  return (
    range.end - range.start <= maxRegisters &&
    forbidden.every(([first, last]) => range.end <= first || range.start > last)
  );
}

function toBlocks(items: readonly ReadItem[], limits: ReadLimits): ReadBlock[] {
  const sorted = [...items].sort((a, b) => a.function - b.function || a.start - b.start || b.end - a.end);
  const blocks: ReadBlock[] = [];
  let current: ReadItem[] = [];
  let end = 0;
  for (const item of sorted) {
    const first = current[0];
    if (first && item.function === first.function) {
      const joined: ReadItem = { function: first.function, start: first.start, end: Math.max(end, item.end) };
      if (item.start - end <= limits.maxGap && allowed(joined, limits)) {
        // An item that lies wholly within the one before adds nothing to split by.
        const last = current[current.length - 1];
        if (!last || item.end > last.end || item.start < last.start) current.push(item);
        end = joined.end;
        continue;
      }
    }
    if (first) blocks.push(blockOf(current));
    current = [item];
    end = item.end;
  }
  if (current.length > 0) blocks.push(blockOf(current));
  return blocks;
}

function blockOf(items: readonly ReadItem[]): ReadBlock {
  const address = Math.min(...items.map((item) => item.start));
  const end = Math.max(...items.map((item) => item.end));
  return { function: items[0]?.function ?? 3, address, count: end - address, items };
}
