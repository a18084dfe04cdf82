/** Device profiles: one YAML per model, pure data. Schema, loading, errors that name file and line. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { deviceKinds, isMetricIdForm, metricDefinition, VillagridError } from '@villagrid/contracts';
import { loadConfig } from '@villagrid/runtime';
import { Type, type Static } from 'typebox';

/** Number types of registers; 32 and 64 bits take two and four registers. */
export const registerTypes = ['u16', 's16', 'u32', 's32', 'u64', 's64', 'f32'] as const;
export type RegisterType = (typeof registerTypes)[number];

/** Registers a type takes. */
export const registersOf = (type: RegisterType): number => (type.endsWith('16') ? 1 : type.endsWith('64') ? 4 : 2);

const pointSchema = Type.Object(
  {
    key: Type.String({ minLength: 1, description: 'name of the point' }),
    function: Type.Union([Type.Literal(3), Type.Literal(4)], { description: 'Modbus function it is read with' }),
    address: Type.Integer({
      minimum: 0,
      maximum: 65535,
      description: 'first register on the wire, from 0; with sunspec: offset in the model',
    }),
    type: Type.Enum([...registerTypes] as const),
    word_order: Type.Enum(['high_first', 'low_first'] as const, { default: 'high_first' }),
    scale: Type.Number({ default: 1, description: 'value = raw times scale plus offset' }),
    offset: Type.Number({ default: 0 }),
    scale_factor: Type.Optional(
      Type.Integer({ minimum: 0, description: 'place of the power of ten read with the value (s16)' }),
    ),
    missing: Type.Array(Type.Number(), { default: [], description: 'raw codes (unsigned) that say there is no value' }),
    unit: Type.String({ description: 'unit of the value as the maker gives it' }),
    metric: Type.Optional(Type.String({ description: 'metric it feeds' })),
    metric_factor: Type.Number({ default: 1, description: 'metric = value times this; negative turns a sign' }),
  },
  { additionalProperties: false },
);

/** A profile file. */
export const profileSchema = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z0-9][a-z0-9-]*$', description: 'the same as the file name' }),
    vendor: Type.String(),
    models: Type.Array(Type.String(), { minItems: 1 }),
    kind: Type.Enum([...deviceKinds] as const),
    limits: Type.Object(
      {
        max_registers: Type.Integer({
          default: 125,
          minimum: 1,
          maximum: 125,
          description: 'most registers in one read',
        }),
        timeout_ms: Type.Integer({ default: 1000, minimum: 50, maximum: 30_000 }),
        gap_ms: Type.Integer({ default: 0, minimum: 0, maximum: 10_000, description: 'pause between requests' }),
        forbidden: Type.Array(Type.Array(Type.Integer(), { minItems: 2, maxItems: 2 }), {
          default: [],
          description: 'ranges that no read may touch',
        }),
      },
      { additionalProperties: false },
    ),
    present_when: Type.Optional(
      Type.String({ description: 'key of the point that must be above 0 for the others to count' }),
    ),
    sunspec: Type.Optional(
      Type.Object(
        { models: Type.Array(Type.Integer(), { minItems: 1 }), bases: Type.Array(Type.Integer(), { minItems: 1 }) },
        { additionalProperties: false, description: 'found by discovery: which models, and where to look' },
      ),
    ),
    points: Type.Array(pointSchema, { minItems: 1 }),
  },
  { additionalProperties: false },
);
export type Profile = Static<typeof profileSchema>;
export type Point = Profile['points'][number];

/** Reads one profile; VillagridError E_PROFILE_INVALID says what and where. */
export function loadProfile(path: string, text?: string): Profile {
  let profile: Profile;
  try {
    profile = loadConfig(profileSchema, { path, ...(text === undefined ? {} : { text }) });
  } catch (error) {
    if (error instanceof VillagridError) throw new VillagridError('E_PROFILE_INVALID', error.detail, { cause: error });
    throw error;
  }
  const refuse = (what: string) => new VillagridError('E_PROFILE_INVALID', `${path}: ${what}`);
  if (`${profile.id}.yaml` !== basename(path))
    throw refuse(`id is "${profile.id}", but the file is called ${basename(path)}.`);
  const keys = new Set<string>();
  for (const point of profile.points) {
    if (keys.has(point.key)) throw refuse(`point "${point.key}" is there twice.`);
    keys.add(point.key);
    if (point.metric !== undefined && (!isMetricIdForm(point.metric) || metricDefinition(point.metric) === undefined)) {
      throw refuse(`point "${point.key}": there is no metric "${point.metric}"; docs/reference/metrics.md lists them.`);
    }
  }
  if (profile.present_when !== undefined && !keys.has(profile.present_when))
    throw refuse(`present_when names "${profile.present_when}", which is no point.`);
  return profile;
}

/** Reads every profile of a folder. */
export function loadProfiles(folder: string): Map<string, Profile> {
  const profiles = new Map<string, Profile>();
  for (const file of readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .sort()) {
    const profile = loadProfile(join(folder, file));
    profiles.set(profile.id, profile);
  }
  return profiles;
}
