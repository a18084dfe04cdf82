import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parse } from 'yaml';
import {
  decodePoints,
  fixedLayout,
  type FoundModel,
  type Layout,
  loadProfiles,
  metricValues,
  planReads,
  type Profile,
  readLimits,
  RegisterImage,
  sunspecLayout,
} from './index.js';

interface Read {
  readonly function?: 3 | 4;
  readonly address?: number;
  /** Of a SunSpec device: the model, and registers from its id register. */
  readonly model?: number;
  readonly offset?: number;
  readonly words: readonly number[];
}
interface VectorCase {
  readonly name: string;
  readonly chain?: ReadonlyArray<{ readonly id: number; readonly length: number }>;
  readonly read: readonly Read[];
  readonly points: Readonly<Record<string, number | string | null>>;
  readonly metrics?: Readonly<Record<string, number | null>>;
}

const folder = fileURLToPath(new URL('../../profiles/', import.meta.url));
const profiles = loadProfiles();
const vectorsOf = (id: string): readonly VectorCase[] =>
  (parse(readFileSync(`${folder}vectors/${id}.yaml`, 'utf8')) as { cases: VectorCase[] }).cases;

/** The models of a chain as they lie behind the marker at 40000. */
function placed(chain: NonNullable<VectorCase['chain']>): FoundModel[] {
  let address = 40_002;
  return chain.map(({ id, length }) => {
    const model = { id, address, length };
    address += length + 2;
    return model;
  });
}

function decoded(profile: Profile, one: VectorCase) {
  const models = placed(one.chain ?? []);
  const layout = one.chain ? sunspecLayout(profile, models) : fixedLayout(profile);
  const image = new RegisterImage();
  for (const { function: functionCode = 3, address, model, offset = 0, words } of one.read) {
    const start = models.find(({ id }) => id === model)?.address ?? 0;
    image.add(functionCode, address ?? start + offset, words, profile.address_step);
  }
  const points = decodePoints(layout, image);
  return { layout, points, metrics: metricValues(layout, points, profile.combine) };
}

/** Equal up to the last of twelve digits: the decoder gives no more. */
const same = (a: unknown, b: unknown): boolean =>
  typeof a === 'number' && typeof b === 'number' ? Math.abs(a - b) <= 1e-10 * Math.max(1, Math.abs(b)) : a === b;

t.test(
  'every profile has vectors, decodes them, and every point of it is in one: signs, orders, steps, no-value codes',
  async (t) => {
    const written = readdirSync(`${folder}vectors`).map((name) => name.replace(/\.yaml$/, ''));
    t.same(written.sort(), [...profiles.keys()].sort(), 'vectors/<id>.yaml belongs to <id>.yaml');
    for (const [id, profile] of profiles) {
      const wanted = new Map<
        string,
        { layout: Layout; seen: Set<string>; negative: Set<string>; missing: Set<string> }
      >();
      const seen = new Set<string>();
      const negative = new Set<string>();
      const absent = new Set<string>();
      const metricsSeen = new Set<string>();
      const layouts: Layout[] = [];
      for (const one of vectorsOf(id)) {
        const { layout, points, metrics } = decoded(profile, one);
        layouts.push(layout);
        const bare = (key: string) => (one.chain ? key.replace(/^\d+\./, '').replace(/_\d+$/, '') : key);
        for (const [key, value] of Object.entries(one.points)) {
          const got = points.get(key);
          if (!same(got, value))
            t.fail(`${id}, ${one.name}: ${key} is ${String(got)}, the maker's rule gives ${String(value)}`);
          if (value === null) absent.add(bare(key));
          else seen.add(bare(key));
          if (typeof value === 'number' && value < 0) negative.add(bare(key));
        }
        for (const [metric, value] of Object.entries(one.metrics ?? {})) {
          const got = metrics[metric];
          if (!same(got, value))
            t.fail(`${id}, ${one.name}: metric ${metric} is ${String(got)}, it should be ${String(value)}`);
          metricsSeen.add(metric);
        }
      }
      t.ok(wanted.size === 0, id);
      const written = [...(profile.points ?? []), ...(profile.sunspec?.models ?? []).flatMap(({ points }) => points)];
      const keyOf = (key: string, repeated: boolean) => (repeated && !profile.sunspec ? `${key}_1` : key);
      const lacking = (set: ReadonlySet<string>, wants: (point: (typeof written)[number]) => boolean) =>
        written.filter((one) => wants(one) && !set.has(keyOf(one.key, one.repeat !== undefined))).map(({ key }) => key);
      t.same(
        lacking(seen, () => true),
        [],
        `${id}: points with a value in no vector`,
      );
      t.same(
        lacking(negative, ({ type, mask, values }) => /^s(16|32|64)$/.test(type) && mask === undefined && !values),
        [],
        `${id}: signed points that are negative in no vector`,
      );
      t.same(
        lacking(absent, ({ missing }) => missing !== undefined),
        [],
        `${id}: points with a code of no value that are without one in no vector`,
      );
      const feeds = new Set([...written, ...(profile.computed ?? [])].flatMap(({ metric }) => metric ?? []));
      t.same(
        [...feeds].filter((metric) => !metricsSeen.has(metric)),
        [],
        `${id}: metrics in no vector`,
      );
      for (const layout of layouts) {
        const limits = readLimits(profile);
        for (const { address, count, step } of planReads(layout, limits)) {
          const last = address + (count - 1) * step;
          const within =
            count <= limits.maxRegisters &&
            (limits.window === undefined || Math.floor(address / limits.window) === Math.floor(last / limits.window));
          if (!within) t.fail(`${id} asks for ${count} registers from ${address}`);
        }
      }
    }
  },
);
