/** What to ask a device for: adjacent points in one request, within its limits. Pure. */
import { endOf, type Layout, type ResolvedPoint, startOf } from './layout.js';
import { type PollingClass, pollingClasses, type Profile } from './profile-schema.js';

/** Limits of a device that decide what one request may ask for. */
export interface ReadLimits {
  readonly maxRegisters: number;
  /** Registers of which nothing is known that may be read along. */
  readonly maxGap: number;
  /** Ranges [first, last] that no request may touch. */
  readonly forbidden: ReadonlyArray<readonly [number, number]>;
  /** No request may cross a multiple of this address. */
  readonly window?: number | undefined;
}

/** The limits a profile declares. */
export function readLimits({ limits }: Profile): ReadLimits {
  return {
    maxRegisters: limits.max_registers,
    maxGap: limits.max_gap,
    forbidden: limits.forbidden as Array<[number, number]>,
    window: limits.window,
  };
}

/** Registers that belong together and are never split: a value with its scale factor, a model's header. */
export interface ReadItem {
  readonly function: 3 | 4;
  readonly start: number;
  /** First address after it. */
  readonly end: number;
  /** Never in one request with others. */
  readonly alone?: boolean;
  /** Addresses from one register to the next; 1 when left out. */
  readonly step?: number;
}

/** One request. */
export interface ReadBlock {
  readonly function: 3 | 4;
  readonly address: number;
  readonly count: number;
  /** Addresses from one register of the answer to the next. */
  readonly step: number;
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
    layout.points.filter(
      ({ polling, metric, trouble }) => classes.has(polling) && (metric !== undefined || trouble || polling === 'once'),
    ),
  );
  for (const { metric, multiply } of layout.computed ?? [])
    if (metric !== undefined)
      for (const key of multiply) {
        const point = byKey.get(key);
        if (point && classes.has(point.polling)) wanted.add(point);
      }
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
  const withValue = new Set<ResolvedPoint>();
  for (const point of wanted) {
    const factor = point.scaleFactor === undefined ? undefined : byKey.get(point.scaleFactor);
    if (!factor || factor.function !== point.function) continue;
    const both = {
      ...itemOf(point),
      start: Math.min(startOf(point), startOf(factor)),
      end: Math.max(endOf(point), endOf(factor)),
    };
    if (!allowed(both, limits)) continue;
    items.push(both);
    withValue.add(point).add(factor);
  }
  // A scale factor that came with its value is not asked for again.
  for (const point of wanted) if (!withValue.has(point)) items.push(itemOf(point));
  return toBlocks(items, limits, known(layout));
}

/** Registers of points that no request needs but every device of this model has: reading a few of them along saves requests. */
const mostReadAlong = 10;

/** What is known of a register: that it is there, or that it answers only when asked alone. */
type Known = (functionCode: 3 | 4, address: number) => 'there' | 'alone' | undefined;

function known(layout: Layout): Known {
  const addresses = new Map<number, 'there' | 'alone'>();
  for (const point of layout.points) {
    if (point.highAddress !== undefined) continue;
    for (let address = startOf(point); address < endOf(point); address += point.step ?? 1)
      addresses.set(point.function * 65_536 + address, point.alone ? 'alone' : 'there');
  }
  return (functionCode, address) => addresses.get(functionCode * 65_536 + address);
}

function itemOf(point: ResolvedPoint): ReadItem {
  return {
    function: point.function,
    start: startOf(point),
    end: endOf(point),
    alone: point.alone ?? false,
    step: point.step ?? 1,
  };
}

/** Two smaller requests for a block that the device refused; undefined when it holds one item only. */
export function splitBlock(block: ReadBlock): readonly [ReadBlock, ReadBlock] | undefined {
  if (block.items.length < 2) return undefined;
  const middle = Math.ceil(block.items.length / 2);
  return [blockOf(block.items.slice(0, middle)), blockOf(block.items.slice(middle))];
}

/** Milliseconds that requests take on a serial line: 11 bits a byte, silence of 3.5 bytes before each frame and the device's own gap. */
export function busTimeMs(blocks: readonly ReadBlock[], baud: number, gapMs: number): number {
  const byteMs = 11_000 / baud;
  const silenceMs = Math.max(1.75, 3.5 * byteMs);
  return blocks.reduce(
    (total, { count }) => total + 2 * silenceMs + Math.max(0, gapMs - silenceMs) + (8 + 5 + 2 * count) * byteMs,
    0,
  );
}

function allowed({ start, end, step = 1 }: ReadItem, { maxRegisters, forbidden, window }: ReadLimits): boolean {
  return (
    (end - start) / step <= maxRegisters &&
    (window === undefined || Math.floor(start / window) === Math.floor((end - 1) / window)) &&
    forbidden.every(([first, last]) => end <= first || start > last)
  );
}

function toBlocks(items: readonly ReadItem[], limits: ReadLimits, knownAt: Known): ReadBlock[] {
  /** Whether the registers between may be read along: few enough unknown ones, or a few known ones. */
  const bridged = (functionCode: 3 | 4, from: number, to: number, step: number): boolean => {
    if ((to - from) / step > Math.max(limits.maxGap, mostReadAlong)) return false;
    let unknown = 0;
    for (let address = from; address < to; address += step) {
      const what = knownAt(functionCode, address);
      if (what === 'alone') return false;
      if (what === undefined) unknown += 1;
    }
    return unknown <= limits.maxGap;
  };
  const sorted = [...items].sort((a, b) => a.function - b.function || a.start - b.start || b.end - a.end);
  const blocks: ReadBlock[] = [];
  let current: ReadItem[] = [];
  let end = 0;
  for (const item of sorted) {
    const first = current[0];
    if (item.alone) {
      blocks.push(blockOf([item]));
      continue;
    }
    if (first && item.function === first.function) {
      const { step = 1 } = first;
      const joined: ReadItem = { function: first.function, start: first.start, end: Math.max(end, item.end), step };
      if (bridged(first.function, end, item.start, step) && allowed(joined, limits)) {
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
  return blocks.sort((a, b) => a.function - b.function || a.address - b.address);
}

function blockOf(items: readonly ReadItem[]): ReadBlock {
  const address = Math.min(...items.map((item) => item.start));
  const end = Math.max(...items.map((item) => item.end));
  const step = items[0]?.step ?? 1;
  return { function: items[0]?.function ?? 3, address, count: Math.ceil((end - address) / step), step, items };
}
