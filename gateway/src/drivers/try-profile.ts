/** Reads every point of a profile once and tells each, with why not. For whoever writes a profile or looks at a device; never writes. */
import {
  decodePoints,
  fixedLayout,
  flagsOf,
  type Layout,
  metricValues,
  planReads,
  type PointValue,
  type Profile,
  type ReadBlock,
  readLimits,
  RegisterImage,
  splitBlock,
  sunspecLayout,
} from '../devices/index.js';
import { type Link, LinkError } from '../links/index.js';
import { findBase, walkChain } from './sunspec-discovery.js';

/** One point as it was read. */
export interface TriedPoint {
  readonly key: string;
  readonly printed: string | undefined;
  readonly address: number;
  /** As sent; undefined when it was not read. */
  readonly words: readonly number[] | undefined;
  /** Null: the device says it has none. Undefined: not read. */
  readonly value: PointValue;
  readonly unit: string | undefined;
  /** Meaning of the number of a state, or of the bits that are set. */
  readonly meaning: string | undefined;
  readonly metric: string | undefined;
}

/** What a device answered to all of a profile. */
export interface TriedProfile {
  readonly points: readonly TriedPoint[];
  readonly metrics: Readonly<Record<string, number | null>>;
  /** SunSpec models the device has. */
  readonly models: ReadonlyArray<{ readonly id: number; readonly length: number }>;
  readonly requests: number;
  /** What was refused or not answered, in plain words. */
  readonly failures: readonly string[];
}

/** What a gateway says when its unit does not answer: no smaller request would change that. */
const gatewayExceptions: ReadonlySet<number> = new Set([10, 11]);

/** Reads all of it, documentation too. Rejects with LinkError when nothing answers. */
export async function tryProfile(profile: Profile, unit: number, link: Link): Promise<TriedProfile> {
  const { timeout_ms: timeoutMs, min_gap_ms: gapMs } = profile.limits;
  let requests = 0;
  const ask = (functionCode: 3 | 4, address: number, count: number) => {
    requests += 1;
    return link.read({ unit, function: functionCode, address, count, timeoutMs, gapMs });
  };
  const { layout, models } = await locate(profile, (address, count) => ask(profile.function as 3 | 4, address, count));
  const image = new RegisterImage();
  const failures: string[] = [];
  // What is asked for at first contact is asked for whether a metric needs it or not.
  const all = { ...layout, points: layout.points.map((point) => ({ ...point, polling: 'once' as const })) };
  const waiting: ReadBlock[] = planReads(all, readLimits(profile));
  for (let block = waiting.shift(); block; block = waiting.shift()) {
    try {
      image.add(block.function, block.address, await ask(block.function, block.address, block.count), block.step);
    } catch (error) {
      if (!(error instanceof LinkError) || error.failure !== 'exception') throw error;
      if (gatewayExceptions.has(error.exception ?? 0)) throw error;
      const halves = splitBlock(block);
      if (halves) waiting.unshift(...halves);
      else failures.push(`registers ${block.address} to ${block.address + block.count - 1}: ${error.message}`);
    }
  }
  const values = decodePoints(layout, image);
  const points = layout.points.map((point): TriedPoint => {
    const value = values.get(point.key);
    return {
      key: point.key,
      printed: point.written?.printed,
      address: point.address,
      words: image.get(point.function, point.address, point.count, point.step),
      value,
      unit: point.written?.unit,
      meaning: meaningOf(point.written, value),
      metric: point.metric,
    };
  });
  return { points, metrics: metricValues(layout, values, profile.combine), models, requests, failures };
}

function meaningOf(written: Layout['points'][number]['written'], value: PointValue): string | undefined {
  if (typeof value !== 'number') return undefined;
  if (written?.values) return written.values[String(value)];
  if (written?.flags) return flagsOf(written.flags, value).join(', ') || undefined;
  return undefined;
}

async function locate(
  profile: Profile,
  read: (address: number, count: number) => Promise<readonly number[]>,
): Promise<{ layout: Layout; models: TriedProfile['models'] }> {
  if (!profile.sunspec) return { layout: fixedLayout(profile), models: [] };
  const base = await findBase(profile.sunspec.bases, read, () => undefined);
  if (base === undefined)
    throw new LinkError('exception', `it is no SunSpec device: no "SunS" at ${profile.sunspec.bases.join(', ')}`);
  const chain = await walkChain(base, read);
  return { layout: sunspecLayout(profile, chain), models: chain.map(({ id, length }) => ({ id, length })) };
}
