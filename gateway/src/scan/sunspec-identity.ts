/** Who a SunSpec device says it is: its common model, and the profile that reads most of its models. */
import { metricDefinition } from '@villagrid/contracts';
import { type Profile, sunspecLayout } from '../devices/index.js';
import { findBase, type ReadWords, walkChain } from '../drivers/index.js';

/** What a SunSpec device told. */
export interface SunspecIdentity {
  readonly base: number;
  readonly models: readonly number[];
  readonly manufacturer: string;
  readonly model: string;
  readonly version: string;
  readonly serial: string;
  /** The profile that gets most metrics out of it. */
  readonly profile: string | undefined;
}

/** Where SunSpec devices keep their marker, most usual first. */
export const sunspecBases = [40_000, 0, 50_000] as const;

const text = (words: readonly number[]): string =>
  String.fromCharCode(...words.flatMap((word) => [word >> 8, word & 0xff]))
    .replace(/\0.*$/s, '')
    .replaceAll(/[^\x20-\x7e]/g, '')
    .trim();

/** Looks for "SunS" and reads the common model. Undefined when the device has none; rejects with LinkError when it is silent. */
export async function sunspecIdentity(
  read: ReadWords,
  profiles: ReadonlyMap<string, Profile>,
  bases: readonly number[] = sunspecBases,
): Promise<SunspecIdentity | undefined> {
  const base = await findBase(bases, read, () => undefined);
  if (base === undefined) return undefined;
  const chain = await walkChain(base, read);
  const common = chain.find(({ id }) => id === 1);
  const part = async (offset: number, count: number) =>
    common && offset + count <= common.length + 2 ? text(await read(common.address + offset, count)) : '';
  const metricsOf = (profile: Profile) =>
    new Set(
      sunspecLayout(profile, chain).points.flatMap(({ metric }) =>
        metric !== undefined && metricDefinition(metric) ? [metric] : [],
      ),
    ).size;
  const [best] = [...profiles.values()]
    .filter((profile) => profile.sunspec !== undefined)
    .map((profile) => ({ id: profile.id, metrics: metricsOf(profile) }))
    .filter(({ metrics }) => metrics > 0)
    .sort((a, b) => b.metrics - a.metrics);
  return {
    base,
    models: chain.map(({ id }) => id),
    manufacturer: await part(2, 16),
    model: await part(18, 16),
    version: await part(42, 8),
    serial: await part(50, 16),
    profile: best?.id,
  };
}
