/** Vectors of a profile: registers, and the values they mean by the maker's rule. What differs, and what none of them covers. */
import { readFileSync } from 'node:fs';
import { messageOf, VillagridError } from '@villagrid/contracts';
import { loadConfig } from '@villagrid/runtime';
import Type, { type Static } from 'typebox';
import { decodePoints, metricValues, RegisterImage } from './decode.js';
import { fixedLayout, type FoundModel, sunspecLayout } from './layout.js';
import type { ModelPoint, Profile, ProfilePoint } from './profile-schema.js';

const closed = { additionalProperties: false } as const;
const value = Type.Union([Type.Number(), Type.String(), Type.Null()]);
const word = Type.Integer({ minimum: 0, maximum: 0xffff });

const caseSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, description: 'what is special about these values' }),
    chain: Type.Optional(
      Type.Array(Type.Object({ id: Type.Integer(), length: Type.Integer() }, closed), {
        description: 'models of a SunSpec device, one behind the other',
      }),
    ),
    read: Type.Array(
      Type.Object(
        {
          function: Type.Optional(Type.Union([Type.Literal(3), Type.Literal(4)])),
          address: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 })),
          model: Type.Optional(Type.Integer({ description: 'SunSpec model, instead of address' })),
          offset: Type.Optional(Type.Integer({ description: "registers from the model's id register" })),
          words: Type.Array(word, { minItems: 1, description: 'registers as the device sends them' }),
        },
        closed,
      ),
      { minItems: 1 },
    ),
    points: Type.Record(Type.String(), value, { description: 'value of each point; null where the device has none' }),
    metrics: Type.Optional(Type.Record(Type.String(), Type.Union([Type.Number(), Type.Null()]))),
  },
  closed,
);
const vectorsSchema = Type.Object({ cases: Type.Array(caseSchema, { minItems: 1 }) }, closed);

/** One case of a file of vectors. */
export type VectorCase = Static<typeof caseSchema>;

/** Reads a file of vectors. Throws E_PROFILE_INVALID with file and line. */
export function loadVectors(path: string): readonly VectorCase[] {
  try {
    return loadConfig(vectorsSchema, { path, text: readFileSync(path, 'utf8') }).cases;
  } catch (error) {
    const detail = error instanceof VillagridError ? error.detail : `${path}: cannot be read: ${messageOf(error)}.`;
    throw new VillagridError('E_PROFILE_INVALID', detail, { cause: error });
  }
}

/** The models of a chain as they lie behind the marker at 40000. */
function placed(chain: NonNullable<VectorCase['chain']>): FoundModel[] {
  let address = 40_002;
  return chain.map(({ id, length }) => {
    const model = { id, address, length };
    address += length + 2;
    return model;
  });
}

/** Equal up to the twelve digits that the decoder gives. */
const same = (a: unknown, b: unknown): boolean =>
  typeof a === 'number' && typeof b === 'number' ? Math.abs(a - b) <= 1e-10 * Math.max(1, Math.abs(b)) : a === b;

/** What is seen of a point in the cases. */
interface Seen {
  readonly value: Set<string>;
  readonly negative: Set<string>;
  readonly none: Set<string>;
  readonly metrics: Set<string>;
}

function* differences(profile: Profile, one: VectorCase, seen: Seen): Generator<string> {
  const models = placed(one.chain ?? []);
  const layout = one.chain ? sunspecLayout(profile, models) : fixedLayout(profile);
  const image = new RegisterImage();
  for (const { function: functionCode = profile.function, address, model, offset = 0, words } of one.read) {
    const start = models.find(({ id }) => id === model)?.address ?? 0;
    image.add(functionCode as 3 | 4, address ?? start + offset, words, profile.address_step);
  }
  const points = decodePoints(layout, image);
  const metrics = metricValues(layout, points, profile.combine);
  const known = new Set([...layout.points, ...(layout.computed ?? [])].map(({ key }) => key));
  for (const [key, wanted] of Object.entries(one.points)) {
    const got = points.get(key);
    if (!known.has(key)) yield `case "${one.name}": the profile has no point ${key}`;
    else if (got === undefined) yield `case "${one.name}": ${key} has no registers under read, by function and address`;
    else if (!same(got, wanted)) yield `case "${one.name}": ${key} is ${String(got)}, it should be ${String(wanted)}`;
    // Points of a SunSpec device carry their model, and a number where they are there several times.
    const bare = one.chain ? key.replace(/^\d+\./, '').replace(/_\d+$/, '') : key;
    if (wanted === null) seen.none.add(bare);
    else seen.value.add(bare);
    if (typeof wanted === 'number' && wanted < 0) seen.negative.add(bare);
  }
  for (const [metric, wanted] of Object.entries(one.metrics ?? {})) {
    const got = metrics[metric];
    if (got === undefined) yield `case "${one.name}": nothing feeds the metric ${metric} from what is under read`;
    else if (!same(got, wanted))
      yield `case "${one.name}": metric ${metric} is ${String(got)}, it should be ${String(wanted)}`;
    seen.metrics.add(metric);
  }
}

/**
 * What is wrong with a profile by its vectors, in sentences without a full stop: values that differ, points in no case,
 * signed points never negative, points with a code of no value never without one, metrics never compared.
 */
export function vectorProblems(profile: Profile, cases: readonly VectorCase[]): string[] {
  const seen: Seen = { value: new Set(), negative: new Set(), none: new Set(), metrics: new Set() };
  const problems = cases.flatMap((one) => [...differences(profile, one, seen)]);
  const written: Array<ProfilePoint | ModelPoint> = [
    ...(profile.points ?? []),
    ...(profile.sunspec?.models ?? []).flatMap(({ points }) => points),
  ];
  const keyOf = ({ key, repeat }: ProfilePoint | ModelPoint) => (repeat && !profile.sunspec ? `${key}_1` : key);
  const lacking = (set: ReadonlySet<string>, what: string, wants: (point: ProfilePoint | ModelPoint) => boolean) => {
    const keys = new Set(written.filter((one) => wants(one) && !set.has(keyOf(one))).map(({ key }) => key));
    if (keys.size > 0) problems.push(`no case ${what}: ${[...keys].join(', ')}`);
  };
  lacking(seen.value, 'has a value of', () => true);
  lacking(
    seen.negative,
    'has a negative value of the signed',
    ({ type, mask, values }) => /^s(16|32|64)$/.test(type) && mask === undefined && !values,
  );
  const byType: Readonly<Record<string, unknown>> = profile.missing ?? {};
  lacking(
    seen.none,
    'shows the code of no value of',
    ({ missing, type }) => missing !== undefined || (!profile.sunspec && byType[type] !== undefined),
  );
  const feeds = new Set([...written, ...(profile.computed ?? [])].flatMap(({ metric }) => metric ?? []));
  const uncompared = [...feeds].filter((metric) => !seen.metrics.has(metric));
  if (uncompared.length > 0) problems.push(`no case compares the metrics ${uncompared.join(', ')}`);
  return problems;
}
