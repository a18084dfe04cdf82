/** JSON messages of the session and alerts lanes, checked by schema. Pure. */
import {
  messageOf,
  clockTrusts,
  commandStates,
  plans,
  siteSchema,
  zoneOffsetMs,
  type DocumentName,
  type Site,
} from '@villagrid/contracts';
import { Type, type Static, type TSchema } from 'typebox';
import { Check, Clean, Clone, Default, Errors } from 'typebox/value';

const text = Type.String({ minLength: 1, maxLength: 128 });
const logNumber = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

const documentTold = Type.Object({
  rev: logNumber,
  sha256: text,
  state: Type.Enum(['applied', 'refused', 'rolled_back'] as const),
});

/** HELLO; the site is checked apart, so that a wrong one does not keep telemetry from flowing. */
export const helloSchema = Type.Object({
  y: Type.Literal('hello'),
  gateway_id: text,
  boot: text,
  version: text,
  epoch: Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' }),
  newest_number: logNumber,
  oldest_number: logNumber,
  receipted_number: logNumber,
  clock_ms: Type.Number(),
  clock_trust: Type.Enum([...clockTrusts] as const),
  plan: Type.Enum([...plans] as const),
  disk_used_pct: Type.Optional(Type.Number({ minimum: 0, maximum: 100 })),
  card_life_used_pct: Type.Optional(Type.Number({ minimum: 0, maximum: 110 })),
  documents: Type.Optional(
    Type.Partial(
      Type.Object({
        rules: documentTold,
        limits: documentTold,
        grid: documentTold,
        users: documentTold,
      } satisfies Record<DocumentName, TSchema>),
    ),
  ),
  commands: Type.Optional(Type.Boolean()),
  site: Type.Unknown(),
});
export const goodbyeSchema = Type.Object({ y: Type.Literal('goodbye'), gateway_id: text, clock_ms: Type.Number() });
export const commandReadySchema = Type.Object({ y: Type.Literal('command_ready'), gateway_id: text, id: text });
export const commandOutcomeSchema = Type.Object({
  y: Type.Literal('command_outcome'),
  gateway_id: text,
  id: text,
  state: Type.Enum([...commandStates] as const),
  reason: Type.Union([Type.String({ maxLength: 500 }), Type.Null()]),
  read_back: Type.Union([Type.String({ maxLength: 4000 }), Type.Null()]),
});
export const alertsUpSchema = Type.Object({
  y: Type.Literal('alerts'),
  events: Type.Array(Type.Unknown(), { maxItems: 1000 }),
});

/** A message that fits, or why not. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

/** What a message nests at most: none of ours comes near, and what copies or writes a value goes down by calls. */
const deepest = 64;
const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((one) => isDeeper(one, levels - 1)));

/** Parses bytes as JSON, nested at most 64 deep; never throws for what is in them. */
export function parseJson(payload: Uint8Array): Parsed<unknown> {
  try {
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload)) as unknown;
    return isDeeper(value, deepest) ? { ok: false, reason: `nested more than ${deepest} deep` } : { ok: true, value };
  } catch (error) {
    return { ok: false, reason: messageOf(error) };
  }
}

/** Checks a value against a schema. */
export function checkMessage<T extends TSchema>(schema: T, value: unknown): Parsed<Static<T>> {
  if (Check(schema, value)) return { ok: true, value: value as Static<T> };
  const first = Errors(schema, value)[0];
  return { ok: false, reason: `${first?.instancePath || '(message)'}: ${first?.message ?? 'invalid'}` };
}

/** Checks a site document of this gateway and grid. What a newer gateway says beyond the schema is left out. */
export function checkSite(value: unknown, gatewayId: string, gridId: string): Parsed<Site> {
  const known = Default(siteSchema, Clean(siteSchema, Clone(value)));
  const checked = checkMessage(siteSchema, known);
  if (!checked.ok) return { ok: false, reason: `site${checked.reason}` };
  const site = checked.value as Site;
  if (site.grid_id !== gridId || site.gateway_id !== gatewayId)
    return { ok: false, reason: `site of grid ${site.grid_id} and gateway ${site.gateway_id}` };
  try {
    zoneOffsetMs(site.zone, 0);
  } catch {
    return { ok: false, reason: `site/zone: ${site.zone} is no time zone known here` };
  }
  return { ok: true, value: site };
}
