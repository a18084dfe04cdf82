/**
 * The site document: what a grid is, which devices it has and how its figures are wired. The gateway owns it and tells
 * the cloud in HELLO, so both answer alike.
 */
import { Type, type Static } from 'typebox';
import { identifierPattern } from '../wire/topics.js';

const term = Type.Object(
  {
    device_id: Type.String({ pattern: identifierPattern }),
    metric: Type.String(),
    factor: Type.Number({ default: 1, description: 'multiplies the series: -1 subtracts it' }),
  },
  { additionalProperties: false },
);

/** One wire: the terms are added; the fallback is used where one of them has no usable value. */
export const wireSchema = Type.Object(
  {
    terms: Type.Array(term, { minItems: 1, description: 'series whose values are added' }),
    fallback: Type.Optional(Type.Array(term, { minItems: 1, description: 'used when a term has no fresh value' })),
  },
  { additionalProperties: false },
);
export type Wire = Static<typeof wireSchema>;
export type WireTerm = Static<typeof term>;

/** Kinds of device a person distinguishes. */
export const deviceKinds = [
  'inverter',
  'battery',
  'meter',
  'sensor',
  'weather',
  'switch',
  'generator',
  'gateway',
  'other',
] as const;

export type DeviceKind = (typeof deviceKinds)[number];

/** One device of a grid as its site knows it. */
export const siteDeviceSchema = Type.Object(
  {
    device_id: Type.String({ pattern: identifierPattern }),
    name: Type.String({ minLength: 1, maxLength: 80 }),
    kind: Type.Enum([...deviceKinds] as const, { default: 'other' }),
    protocol: Type.Union([Type.Literal('mqtt'), Type.Literal('modbus'), Type.Literal('internal')]),
    period_s: Type.Number({
      default: 10,
      minimum: 0.1,
      description: 'how often it reports, seconds; ages are judged by it',
    }),
    series_period_s: Type.Optional(
      Type.Record(Type.String(), Type.Number({ minimum: 0.1 }), {
        description:
          'seconds between samples of single series that come at another pace than the device, by metric; of Modbus devices the gateway knows it from the profile',
      }),
    ),
    location: Type.Optional(Type.String({ maxLength: 200 })),
    tags: Type.Optional(
      Type.Array(Type.String({ pattern: identifierPattern }), {
        maxItems: 20,
        description: 'words by which rules choose devices: clinic, feeder-2',
      }),
    ),
    /** False for a device that is not watched for silence (a spare, a hand-held). */
    expected: Type.Boolean({ default: true }),
  },
  { additionalProperties: false },
);
export type SiteDevice = Static<typeof siteDeviceSchema>;

/** What the plant is, for figures and limits. */
export const plantSchema = Type.Object(
  {
    pv_kwp: Type.Optional(Type.Number({ minimum: 0, description: 'peak power of the panels, kWp' })),
    battery_kwh: Type.Optional(
      Type.Number({ minimum: 0, description: 'usable plus reserved energy of the battery, kWh' }),
    ),
    battery_floor_pct: Type.Number({
      default: 20,
      minimum: 0,
      maximum: 100,
      description: 'charge at which the inverters switch off, %',
    }),
    dc_nominal_v: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        description: 'nominal voltage of the battery, V: tells a wrong voltage from a wrong current',
      }),
    ),
    has_genset: Type.Boolean({ default: false }),
    has_mains: Type.Boolean({ default: false }),
  },
  { additionalProperties: false },
);
export type Plant = Static<typeof plantSchema>;

/**
 * Wording of the people of this site: language, key of the app's text, text. Plain text: no markup can be in it, and values in
 * braces stand for what the app fills in.
 */
export const siteWordsSchema = Type.Record(
  Type.String({ pattern: '^[a-z]{2,3}$' }),
  Type.Record(
    Type.String({ pattern: '^[a-zA-Z0-9_.]{1,60}$' }),
    Type.String({ minLength: 1, maxLength: 200, pattern: '^[^<>\\u0000-\\u001f]+$' }),
    { maxProperties: 60, additionalProperties: false },
  ),
  {
    maxProperties: 12,
    additionalProperties: false,
    description:
      "this site's own wording of texts of the app: language, key of the text, text (no markup, at most 200 characters)",
  },
);
export type SiteWords = Static<typeof siteWordsSchema>;

/** The whole document. */
export const siteSchema = Type.Object(
  {
    grid_id: Type.String({ pattern: identifierPattern }),
    gateway_id: Type.String({ pattern: identifierPattern }),
    organisation_id: Type.Optional(Type.String({ pattern: identifierPattern })),
    name: Type.String({ minLength: 1, maxLength: 80 }),
    zone: Type.String({ default: 'UTC', description: 'IANA time zone of the village' }),
    location: Type.Optional(
      Type.Object({
        latitude: Type.Number({ minimum: -90, maximum: 90 }),
        longitude: Type.Number({ minimum: -180, maximum: 180 }),
      }),
    ),
    plant: plantSchema,
    devices: Type.Array(siteDeviceSchema),
    wiring: Type.Record(Type.String(), wireSchema, { description: 'grid figure to its wire' }),
    words: Type.Optional(siteWordsSchema),
  },
  { additionalProperties: false },
);
export type Site = Static<typeof siteSchema>;
