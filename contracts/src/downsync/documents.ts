/** Which documents a cloud keeps for a grid, what they hold and who may change them; and their form on the wire. Pure. */
import { Type, type Static, type TSchema } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { roles, type Role } from '../auth/roles.js';
import { ruleChangeSchema } from '../rules/site-rule.js';
import { isRecord } from '../json/record.js';
import { type DocumentBody, type DocumentItem, type MergeKind } from './items.js';

/** Documents in the order in which they are listed. */
export const documentNames = ['rules', 'limits', 'grid', 'users'] as const;
export type DocumentName = (typeof documentNames)[number];

/** Largest document, bytes of its items as JSON, and most items. */
export const maxDocumentBytes = 64 * 1024;
export const maxDocumentItems = 500;
/** Bytes of a document that one message down carries. */
export const documentPartBytes = 4800;

const limit = (description: string) => Type.Optional(Type.Number({ description }));

/** Limits of rules that differ from their defaults. */
export const limitsSchema = Type.Object(
  {
    consumption_high_kw: limit('kW above which the load counts as unusual; 14 when left out'),
    equipment_temp_high_c: limit('°C above which equipment counts as hot; 60 when left out'),
    battery_low_pct: limit('% below which the battery is low; 30 when left out'),
    battery_critical_pct: limit('% below which the battery is almost empty; 22 when left out'),
    ac_voltage_nominal_v: limit('nominal AC voltage, V; 230 when left out'),
    ac_frequency_nominal_hz: limit('nominal AC frequency, Hz; 50 when left out'),
    device_silent_min: limit('minutes without a sample after which a device is silent; 10 when left out'),
    generation_low_kw: limit('kW below which generation is low in strong sun; from the plant when left out'),
    irradiance_strong_w_m2: limit('W/m² above which the sun is strong; 500 when left out'),
  },
  { additionalProperties: false, description: 'limits of the default rules that differ from their defaults' },
);

/** What the cloud says of a grid; what it does not say stays as the gateway's settings have it. */
export const gridDocumentSchema = Type.Object(
  {
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 80 })),
    location: Type.Optional(
      Type.Object(
        {
          latitude: Type.Number({ minimum: -90, maximum: 90 }),
          longitude: Type.Number({ minimum: -180, maximum: 180 }),
        },
        { additionalProperties: false },
      ),
    ),
    pv_kwp: Type.Optional(Type.Number({ minimum: 0, description: 'peak power of the panels, kWp' })),
    battery_kwh: Type.Optional(Type.Number({ minimum: 0, description: 'energy of the battery, kWh' })),
  },
  { additionalProperties: false },
);
export type GridDocument = Static<typeof gridDocumentSchema>;

const usernamePattern = '^[a-z0-9][a-z0-9._@+-]{0,63}$';
const userSchema = Type.Object(
  {
    display_name: Type.String({ minLength: 1, maxLength: 100 }),
    role: Type.Union(roles.map((one) => Type.Literal(one))),
    disabled: Type.Boolean(),
    password_hash: Type.Optional(Type.String({ minLength: 1, maxLength: 400 })),
  },
  { additionalProperties: false },
);

interface DocumentKind {
  readonly what: string;
  /** Who may change it. */
  readonly role: Role;
  readonly merge: MergeKind;
  readonly schema: TSchema;
}

/** What each document is. */
export const documentKinds: Readonly<Record<DocumentName, DocumentKind>> = {
  rules: {
    what: 'rules by id: what is changed of a default, or a rule of its own',
    role: 'installer',
    merge: 'cloud_wins',
    schema: Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,62}$' }), ruleChangeSchema, {
      additionalProperties: false,
    }),
  },
  limits: { what: 'limits of the default rules', role: 'installer', merge: 'cloud_wins', schema: limitsSchema },
  grid: {
    what: 'name, place and size of the grid',
    role: 'admin',
    merge: 'cloud_wins',
    schema: gridDocumentSchema,
  },
  users: {
    what: 'people of the village by username',
    role: 'admin',
    merge: 'deny_wins',
    schema: Type.Record(Type.String({ pattern: usernamePattern }), userSchema, { additionalProperties: false }),
  },
};

/** What is wrong with a body as a whole, one sentence without a full stop; undefined when nothing is. */
export function bodyProblem(name: DocumentName, body: unknown): string | undefined {
  if (!isRecord(body)) return 'it is no JSON object';
  if (Object.keys(body).length > maxDocumentItems) return `it has more than ${maxDocumentItems} entries`;
  const { schema } = documentKinds[name];
  if (!Check(schema, body)) {
    const first = Errors(schema, body)[0];
    // What the schema has no place for is told by it as one that nothing fits.
    const what = first?.keyword === 'boolean' ? 'is not known here' : (first?.message ?? 'is wrong');
    return `${first?.instancePath || '(document)'} ${what}`;
  }
  if (name !== 'rules') return undefined;
  for (const [id, rule] of Object.entries(body as DocumentBody))
    if ((rule as { id: unknown }).id !== id) return `/${id}/id must be "${id}" too`;
  return undefined;
}

/** Items of a message, checked for their form; undefined when they have none. */
export function itemsOf(value: unknown): readonly DocumentItem[] | undefined {
  if (!Array.isArray(value) || value.length > 2 * maxDocumentItems) return undefined;
  const isCount = (one: unknown) => Number.isSafeInteger(one) && (one as number) >= 0;
  const good = value.every(
    (one) =>
      isRecord(one) &&
      typeof one.id === 'string' &&
      one.id.length <= 64 &&
      Array.isArray(one.ver) &&
      one.ver.length === 2 &&
      one.ver.every(isCount) &&
      one.value !== undefined,
  );
  return good ? (value as unknown as readonly DocumentItem[]) : undefined;
}

/** Down, JSON: a part of a document that the gateway is to have. The parts' texts together are the items as canonical JSON. */
export interface DocumentDown {
  readonly y: 'document';
  readonly name: DocumentName;
  readonly rev: number;
  /** SHA-256 of the whole text as UTF-8, hexadecimal. */
  readonly sha256: string;
  /** From 0. */
  readonly part: number;
  readonly parts: number;
  readonly text: string;
}

/** What a gateway says in HELLO of each document that it has heard of. */
export interface DocumentTold {
  /** Newest revision that it decided on. */
  readonly rev: number;
  readonly sha256: string;
  readonly state: 'applied' | 'refused' | 'rolled_back';
}

/** A log entry: what became of a document at the gateway, or what was changed there. */
export interface DocumentEntry {
  readonly type: 'document';
  /** By this it is known when it was written twice. */
  readonly id: string;
  readonly name: DocumentName;
  readonly rev: number;
  readonly sha256: string;
  readonly state: 'applied' | 'refused' | 'rolled_back' | 'edited';
  /** Why it was refused or rolled back, in plain words. */
  readonly reason: string | null;
  /** Of an edit: the items that were changed. */
  readonly items?: readonly DocumentItem[];
  readonly time_ms: number;
}

/** Whether a log entry that says it is one of a document is one. */
export function isDocumentEntry(value: unknown): value is DocumentEntry {
  return (
    isRecord(value) &&
    value.type === 'document' &&
    typeof value.id === 'string' &&
    documentNames.includes(value.name as DocumentName) &&
    Number.isSafeInteger(value.rev) &&
    typeof value.sha256 === 'string' &&
    ['applied', 'refused', 'rolled_back', 'edited'].includes(value.state as string) &&
    (value.reason === null || typeof value.reason === 'string') &&
    (value.items === undefined || itemsOf(value.items) !== undefined) &&
    Number.isSafeInteger(value.time_ms)
  );
}
