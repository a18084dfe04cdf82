/** Settings of the cloud's single process (`cloud.yaml`) and of its directory of gateways (`directory.yaml`). */
import { deviceKinds, identifierPattern, plantSchema, siteSchema, staleAfterMs } from '@villagrid/contracts';
import { logLevels } from '@villagrid/runtime';
import { Type, type Static } from 'typebox';

const port = (value: number, what: string) =>
  Type.Integer({ minimum: 0, maximum: 65535, default: value, description: `port of ${what}; 0 takes a free one` });
const host = (value: string) => Type.String({ default: value, minLength: 1, description: 'address to listen on' });
const file = (description: string) =>
  Type.String({ minLength: 1, description: `${description}; relative to the folder of this file` });

/** One gateway that may speak here, and the grid it speaks for. */
export const gatewayEntrySchema = Type.Object(
  {
    gateway_id: Type.String({
      pattern: identifierPattern,
      description: 'id of the gateway: common name of its certificate and its MQTT client id',
    }),
    grid_id: Type.String({ pattern: identifierPattern, description: 'the one grid this gateway speaks for' }),
    organisation_id: Type.Optional(
      Type.String({ pattern: identifierPattern, description: 'whose grid it is; roles may be given per organisation' }),
    ),
    name: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 80,
        description: 'name shown until the gateway has told its own site document',
      }),
    ),
  },
  { additionalProperties: false },
);
/** One gateway that may speak here. */
export type GatewayEntry = Static<typeof gatewayEntrySchema>;

const gateways = Type.Array(gatewayEntrySchema, {
  default: [],
  description: 'gateways that may speak here, one per grid',
});

/** A device with a connection of its own, which publishes here without a gateway. */
export const directDeviceSchema = Type.Object(
  {
    device_id: Type.String({
      pattern: identifierPattern,
      description: 'id of the device: common name of its certificate, its MQTT client id, and its name in topics',
    }),
    grid_id: Type.String({ pattern: identifierPattern, description: 'the one grid this device belongs to' }),
    name: Type.Optional(
      Type.String({ minLength: 1, maxLength: 80, description: 'name people read; left out: its id' }),
    ),
    kind: Type.Enum([...deviceKinds] as const, { default: 'other', description: 'what it is' }),
    location: Type.Optional(Type.String({ maxLength: 200, description: 'where it is, in words' })),
    period_s: Type.Number({
      default: 60,
      minimum: 0.1,
      description: 'how often it reports, seconds; ages are judged by it',
    }),
    tags: Type.Optional(
      Type.Array(Type.String({ pattern: identifierPattern }), {
        maxItems: 20,
        description: 'words by which rules choose devices',
      }),
    ),
    expected: Type.Boolean({ default: true, description: 'false for a device that is not watched for silence' }),
    figures: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description:
          'figures of the grid that come from this device, each with the metric it is; several devices are added',
      }),
    ),
  },
  { additionalProperties: false },
);
/** A device with a connection of its own. */
export type DirectDevice = Static<typeof directDeviceSchema>;

/** A grid that has no gateway, only devices that publish here themselves. */
export const directGridSchema = Type.Object(
  {
    grid_id: Type.String({ pattern: identifierPattern, description: 'id of a grid without a gateway' }),
    organisation_id: Type.Optional(Type.String({ pattern: identifierPattern, description: 'whose grid it is' })),
    name: Type.String({ minLength: 1, maxLength: 80, description: 'name people read' }),
    zone: Type.String({ default: 'UTC', description: 'IANA time zone of the village' }),
    location: siteSchema.properties.location,
    plant: Type.Optional(plantSchema),
  },
  { additionalProperties: false },
);
/** A grid that has no gateway. */
export type DirectGrid = Static<typeof directGridSchema>;

const devices = Type.Array(directDeviceSchema, {
  default: [],
  description: 'devices that publish here themselves, without a gateway',
});
const grids = Type.Array(directGridSchema, { default: [], description: 'grids that have no gateway' });

/** `directory.yaml`, written by `villagrid cloud grid add` and `cloud device add`; read at the start, when it changes and at SIGHUP. */
export const directorySchema = Type.Object({ gateways, grids, devices }, { additionalProperties: false });

const days = (least: number, description: string) => Type.Number({ minimum: least, maximum: 36_500, description });
const keptDays = {
  raw_days: days(
    3,
    'days that frames of the log, and with them samples as they were measured, are kept after they came',
  ),
  minute_days: days(
    3,
    'days that minutes are kept; those of AC voltage and frequency, which outages are told by, as long as quarter hours',
  ),
  quarter_days: days(3, 'days that quarter hours are kept; hours and days are kept for ever'),
};

/** How long things are kept, days. */
export const retentionSchema = Type.Object(
  {
    raw_days: { ...keptDays.raw_days, default: 30 },
    minute_days: { ...keptDays.minute_days, default: 30 },
    quarter_days: { ...keptDays.quarter_days, default: 730 },
    organisations: Type.Record(
      Type.String({ pattern: identifierPattern }),
      Type.Object(
        {
          raw_days: Type.Optional(keptDays.raw_days),
          minute_days: Type.Optional(keptDays.minute_days),
          quarter_days: Type.Optional(keptDays.quarter_days),
        },
        { additionalProperties: false },
      ),
      { default: {}, description: 'what is otherwise for the grids of an organisation, by its id' },
    ),
  },
  { additionalProperties: false, description: 'how long things are kept' },
);
/** How long things are kept, days. */
export type RetentionSettings = Static<typeof retentionSchema>;

/** `cloud.yaml`. */
export const cloudConfigSchema = Type.Object(
  {
    cloud_id: Type.String({
      pattern: identifierPattern,
      default: 'cloud',
      description: 'id of this server, as events born here carry it',
    }),
    data_dir: Type.String({
      default: 'data',
      minLength: 1,
      description: 'folder of the databases; relative to the folder of this file',
    }),
    http: Type.Object(
      { host: host('127.0.0.1'), port: port(9080, 'app and API without TLS') },
      { additionalProperties: false, description: 'app and API without TLS, for this machine or behind a proxy' },
    ),
    https: Type.Optional(
      Type.Object(
        {
          host: host('0.0.0.0'),
          port: port(9443, 'app and API'),
          certificate_file: file('certificate of the server, PEM'),
          key_file: file('its private key, PEM'),
        },
        { additionalProperties: false, description: 'app and API with TLS; left out: only http' },
      ),
    ),
    mqtts: Type.Optional(
      Type.Object(
        {
          host: host('0.0.0.0'),
          port: port(9883, 'the uplink of gateways'),
          certificate_file: file('certificate of the server, PEM'),
          key_file: file('its private key, PEM'),
          client_ca_file: file('authority whose gateway certificates are accepted, PEM'),
        },
        {
          additionalProperties: false,
          description: 'where gateways and devices connect, each with its certificate; left out with broker',
        },
      ),
    ),
    broker: Type.Optional(
      Type.Object(
        {
          url: Type.String({ pattern: '^mqtts://[^\\s/?#]+$', description: 'its address: mqtts://host:port' }),
          ca_file: file('authority of the broker’s certificate, PEM'),
          certificate_file: file('certificate of this cloud, PEM'),
          key_file: file('its private key, PEM'),
          client_id: Type.String({
            pattern: identifierPattern,
            default: 'villagrid-cloud',
            description: 'begin of its MQTT client ids: one per connection',
          }),
        },
        {
          additionalProperties: false,
          description: 'another broker, mosquitto for example, that gateways and devices connect to, in place of mqtts',
        },
      ),
    ),
    gateways,
    grids,
    devices,
    directory_file: Type.String({
      default: 'directory.yaml',
      minLength: 1,
      description:
        'more gateways, grids and devices, written by `villagrid cloud grid add` and `cloud device add`; may be missing; relative to this file',
    }),
    app_dir: Type.Optional(
      Type.String({ minLength: 1, description: 'folder of the built app; relative to the folder of this file' }),
    ),
    logging: Type.Object(
      { level: Type.Enum([...logLevels] as const, { default: 'info', description: 'least level that is written' }) },
      { additionalProperties: false },
    ),
    clock: Type.Object(
      {
        real_epoch_ms: Type.Number({
          default: 0,
          description: 'real time at which the village’s was village_epoch_ms',
        }),
        village_epoch_ms: Type.Number({ default: 0, description: 'the village’s time then, Unix milliseconds' }),
        speed: Type.Number({
          default: 1,
          exclusiveMinimum: 0,
          maximum: 10_000,
          description: 'how fast the village’s time runs: 1 except in a demonstration',
        }),
      },
      { additionalProperties: false, description: 'the village’s time beside real time; as on its gateway' },
    ),
    retention: retentionSchema,
    telemetry: Type.Object(
      {
        kind: Type.Enum(['sqlite', 'influxdb'] as const, {
          default: 'sqlite',
          description: 'where history is kept: in this process’s own database, or in InfluxDB',
        }),
        url: Type.Optional(
          Type.String({ pattern: '^https?://[^\\s?#]+$', description: 'InfluxDB’s address, without /api/v2' }),
        ),
        org: Type.String({ default: '', description: 'its organisation; InfluxDB 3 Core and Enterprise have none' }),
        bucket: Type.Optional(Type.String({ minLength: 1, description: 'bucket (InfluxDB 3: database) to write to' })),
        database: Type.Optional(
          Type.String({
            minLength: 1,
            description: 'database that InfluxQL reads the bucket by; left out: named as the bucket',
          }),
        ),
        token_file: Type.Optional(file('file that holds the token alone')),
        token_environment: Type.Optional(
          Type.String({
            pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
            description: 'environment variable that holds the token',
          }),
        ),
        keep_here_days: Type.Integer({
          default: 35,
          minimum: 1,
          maximum: 3650,
          description:
            'days that history sent to InfluxDB is also kept here, for reading without it and for times put right later',
        }),
      },
      { additionalProperties: false, description: 'where history of measured values is kept' },
    ),
    silent_after_s: Type.Number({
      default: staleAfterMs / 1000,
      minimum: 1,
      description:
        'a gateway that says nothing for longer is silent: told by health, and its grid is shown as not reached; seconds of the village’s time',
    }),
  },
  { additionalProperties: false },
);
/** The settings as the file has them, defaults filled in, paths not yet resolved. */
export type CloudConfigFile = Static<typeof cloudConfigSchema>;
