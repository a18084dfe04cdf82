/**
 * Settings of a gateway: `gateway.yaml`. This schema is the only source of defaults, help and the reference page.
 * Paths are relative to the folder of the file.
 */
import {
  clockTrusts,
  identifierPattern,
  limitsSchema,
  longestCommandS,
  settablePlans,
  siteSchema,
} from '@villagrid/contracts';
import { defaultBrokerLimits, logLevels } from '@villagrid/runtime';
import { Type, type Static } from 'typebox';
import { notifySchema } from './notify-schema.js';

const port = (standard: number) =>
  Type.Integer({ minimum: 0, maximum: 65535, default: standard, description: 'port; 0 takes a free one' });
const file = (what: string) => Type.String({ minLength: 1, description: `${what}; relative to this file's folder` });

const tls = {
  certificate_file: file('PEM file of the server certificate'),
  key_file: file('PEM file of its private key'),
};

/** One listening address of HTTPS or MQTT over TLS. */
const tlsListener = (standard: number, description: string) =>
  Type.Object(
    { host: Type.String({ default: '0.0.0.0', description: 'address to listen on' }), port: port(standard), ...tls },
    { additionalProperties: false, description },
  );

/** A device behind a Modbus connection. */
export const modbusDeviceSchema = Type.Object(
  {
    device_id: Type.String({ pattern: identifierPattern, description: 'a device of the site' }),
    profile: Type.String({
      minLength: 1,
      description: 'device model: a file of gateway/profiles or of modbus.profiles_dir without .yaml',
    }),
    unit: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 255,
        description: "Modbus unit (slave) number; the profile's usual one when left out",
      }),
    ),
    points: Type.Optional(
      Type.Array(Type.Record(Type.String(), Type.Unknown()), {
        minItems: 1,
        description:
          'points this site gives itself, in the form of a profile; one with the key of a profile’s point replaces it',
      }),
    ),
    period_s: Type.Number({ minimum: 0.2, maximum: 3600, default: 5, description: 'how often it is read, seconds' }),
    commands: Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
      default: [],
      maxItems: 16,
      description: 'write points of the profile that may be written, where commands.enabled',
    }),
  },
  { additionalProperties: false },
);

/** An RS-485 or RS-232 port. */
export const serialLineSchema = Type.Object(
  {
    path: Type.String({
      pattern: '^/',
      description: 'the port, best by a name that stays: /dev/serial/by-id/… or /dev/serial/by-path/…',
    }),
    baud: Type.Integer({ minimum: 300, maximum: 1_000_000, default: 9600, description: 'speed, bits a second' }),
    parity: Type.Union([Type.Literal('none'), Type.Literal('even'), Type.Literal('odd')], { default: 'none' }),
    stop_bits: Type.Union([Type.Literal(1), Type.Literal(2)], { default: 1 }),
  },
  { additionalProperties: false, description: 'a serial line instead of host and port' },
);

/** A Modbus connection: one serial line or socket, one queue. */
export const modbusConnectionSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 63, description: 'name in logs' }),
    host: Type.Optional(Type.String({ minLength: 1, description: 'name or address of the device or converter' })),
    port: Type.Integer({ minimum: 1, maximum: 65535, default: 502 }),
    framing: Type.Union([Type.Literal('tcp'), Type.Literal('rtu')], {
      default: 'tcp',
      description: 'rtu for a converter that passes serial frames on as they are (RTU over TCP)',
    }),
    serial: Type.Optional(serialLineSchema),
    devices: Type.Array(modbusDeviceSchema, { minItems: 1 }),
  },
  { additionalProperties: false },
);

/** A device that keeps the topics and messages of its own firmware. */
export const mqttDeviceSchema = Type.Object(
  {
    device_id: Type.String({ pattern: identifierPattern, description: 'a device of the site' }),
    mapping: Type.String({
      pattern: '^[a-z0-9][a-z0-9-]{0,62}$',
      description: 'payload mapping: a file of mqtt_devices.mappings_dir or of gateway/profiles/mqtt, without .yaml',
    }),
    node: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 100,
        description: 'how the node calls itself in its topics; the device id when left out',
      }),
    ),
    parameters: Type.Record(Type.String(), Type.String({ minLength: 1, maxLength: 100 }), {
      default: {},
      description: 'further parameters of the mapping',
    }),
    login: Type.Optional(
      Type.String({
        pattern: identifierPattern,
        description: 'the device whose credential it logs in with, for several behind one node; its own when left out',
      }),
    ),
    sleeps: Type.Boolean({
      default: false,
      description:
        'a node that wakes only to report: that it is not connected says nothing, its silence is judged by period_s alone',
    }),
    metrics: Type.Record(
      Type.String(),
      Type.Union([
        Type.Object(
          { metric: Type.String({ minLength: 1 }), negate: Type.Optional(Type.Boolean()) },
          { additionalProperties: false },
        ),
        Type.Null(),
      ]),
      {
        default: {},
        description:
          'what the mapping calls one metric is another here, with the other sign if need be: a meter of the panels gives generation_kw; null leaves it out',
      },
    ),
    commands: Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
      default: [],
      description: 'commands of the mapping that may be sent to this device, where commands.enabled',
    }),
  },
  { additionalProperties: false },
);

export { limitsSchema };

/** The whole file. */
export const gatewayConfigSchema = Type.Object(
  {
    site: siteSchema,
    data_dir: Type.String({ default: 'data', description: "folder of the databases; relative to this file's folder" }),
    http: Type.Object(
      {
        host: Type.String({ default: '0.0.0.0', description: 'address to listen on' }),
        port: port(8080),
      },
      { additionalProperties: false, description: 'plain HTTP for the village Wi-Fi' },
    ),
    https: Type.Optional(tlsListener(8443, 'HTTPS, for the installable app')),
    mqtt_plain: Type.Object(
      {
        host: Type.String({
          default: '127.0.0.1',
          description: 'address to listen on; with lan the address on that network, all of them when left out',
        }),
        port: port(1883),
        lan: Type.Boolean({
          default: false,
          description:
            'whether devices on the network may connect without TLS, each with its password: for those that cannot do TLS (Shelly Gen1, Tasmota). Whoever is on that network can read passwords and readings',
        }),
        lan_devices: Type.Array(Type.String({ pattern: identifierPattern }), {
          default: [],
          description: 'devices that may do so beside those of mqtt_devices; all others must use TLS',
        }),
      },
      { additionalProperties: false, description: 'MQTT without TLS, for programs on the box and the first prototype' },
    ),
    mqtts: Type.Optional(tlsListener(8883, 'MQTT over TLS for the nodes')),
    mqtt_limits: Type.Object(
      {
        packets_per_second: Type.Integer({
          default: defaultBrokerLimits.maxPacketsPerSecond,
          minimum: 0,
          maximum: 1_000_000,
          description:
            'packets a client may send a second over time (twice as many at once) before it is read more slowly, so that a flooding node harms no other; 0 is no limit',
        }),
        max_connections: Type.Integer({
          default: defaultBrokerLimits.maxConnections,
          minimum: 1,
          maximum: 10_000,
          description: 'connections of all clients together; a further one is refused',
        }),
        max_connections_per_address: Type.Integer({
          default: defaultBrokerLimits.maxConnectionsPerAddress,
          minimum: 1,
          maximum: 10_000,
          description: 'connections from one address; a further one is refused',
        }),
      },
      { additionalProperties: false, description: 'what MQTT clients may do at most, on both listeners' },
    ),
    mqtt_devices: Type.Object(
      {
        mappings_dir: Type.Optional(file("folder of the site's own payload mappings")),
        devices: Type.Array(mqttDeviceSchema, { default: [] }),
      },
      {
        additionalProperties: false,
        default: {},
        description: 'nodes that keep the topics and messages of their own firmware (Tasmota, ESPHome, Shelly)',
      },
    ),
    commands: Type.Object(
      {
        enabled: Type.Boolean({ default: false, description: 'whether devices can be told to do something at all' }),
        expires_in_s: Type.Integer({
          default: 10,
          minimum: 1,
          maximum: longestCommandS,
          description:
            'how long a device may take to acknowledge, seconds; after that the command has failed and is not sent again',
        }),
      },
      {
        additionalProperties: false,
        description: 'remote commands to devices; each must also be named for its device in mqtt_devices or modbus',
      },
    ),
    device_credentials_file: Type.String({
      default: 'device-credentials.json',
      description: "device id to scrypt hash, written by `villagrid device`; mode 0600; relative to this file's folder",
    }),
    log: Type.Object(
      {
        hold_ms: Type.Integer({
          default: 5000,
          minimum: 0,
          maximum: 8000,
          description:
            'longest wait for further samples before a commit, real milliseconds; longer spares the card. A publish is acknowledged after its commit; screens, rules and alerts do not wait',
        }),
        max_batch: Type.Integer({
          default: 2000,
          minimum: 1,
          maximum: 20_000,
          description: 'samples after which a commit does not wait any longer',
        }),
        max_batch_bytes: Type.Integer({
          default: 65_536,
          minimum: 1024,
          maximum: 1_048_576,
          description: 'estimated bytes after which a commit does not wait any longer',
        }),
        journal_mb: Type.Integer({
          default: 4,
          minimum: 0,
          maximum: 256,
          description:
            'size of the journal, MB: a file made once that commits are written to round and round, before they go into the database many at a time, which wears the card a quarter as much; 0 commits to the database itself',
        }),
        ballast_mb: Type.Integer({
          default: 8,
          minimum: 0,
          maximum: 1024,
          description:
            'size of a file that only takes space, MB: given up when the disk is full, so that the gateway can go on and tidy up; 0 keeps none',
        }),
      },
      { additionalProperties: false, description: 'the group commit' },
    ),
    retention: Type.Object(
      {
        raw_days: Type.Number({
          default: 90,
          minimum: 2,
          maximum: 36_500,
          description: 'days that samples are kept as they were measured',
        }),
        minute_days: Type.Number({
          default: 730,
          minimum: 2,
          maximum: 36_500,
          description: 'days that minutes are kept; quarter hours, hours and days are kept for ever',
        }),
        frame_hours: Type.Number({
          default: 1,
          minimum: 0,
          maximum: 87_600,
          description:
            'hours that frames of the log are kept at least once history, and the cloud if there is one, have them',
        }),
        restamp_hours: Type.Number({
          default: 24,
          minimum: 0,
          maximum: 87_600,
          description: 'the same for frames whose clock was not set by NTP: so long may their times still be put right',
        }),
        max_disk_mb: Type.Optional(
          Type.Number({ minimum: 20, description: 'megabytes the databases may take; the disk itself when left out' }),
        ),
        max_disk_pct: Type.Number({
          default: 85,
          minimum: 10,
          maximum: 99,
          description: 'per cent of the disk in use beyond which the oldest data goes before its time',
        }),
      },
      { additionalProperties: false, description: 'how long things are kept' },
    ),
    limits: limitsSchema,
    rules_dir: Type.String({
      default: 'rules',
      description:
        "folder of the site's own alert rules, one YAML file each; it need not be there; relative to this file's folder",
    }),
    modbus: Type.Optional(
      Type.Object(
        {
          profiles_dir: Type.Optional(
            Type.String({
              minLength: 1,
              description:
                "folder with this site's own device profiles; one with the id of a shipped one takes its place; relative to this file's folder",
            }),
          ),
          connections: Type.Array(modbusConnectionSchema, { default: [] }),
        },
        { additionalProperties: false, description: 'Modbus devices, over TCP or on serial lines' },
      ),
    ),
    uplink: Type.Optional(
      Type.Object(
        {
          url: Type.String({
            pattern: '^mqtts://[^\\s/]+:[0-9]+/?$',
            description: 'address of the cloud, mqtts://host:port',
          }),
          destination: Type.Enum(['mqtt', 'aws-iot'] as const, {
            default: 'mqtt',
            description:
              'library that speaks to it: mqtt reaches any broker with client certificates, AWS IoT Core too; aws-iot is Amazon’s own, to be installed beside (not on 32-bit systems)',
          }),
          aws_rule: Type.Optional(
            Type.String({
              pattern: '^[A-Za-z0-9_]{1,128}$',
              description: 'IoT rule that takes what is sent (Basic Ingest), with destination aws-iot',
            }),
          ),
          ca_file: file('PEM file of the authority that signed the cloud’s certificate'),
          certificate_file: file('PEM file of this gateway’s client certificate'),
          key_file: file('PEM file of its private key'),
          plan: Type.Union(
            settablePlans.map((one) => Type.Literal(one)),
            {
              default: 'raw',
              description:
                'how much is sent: metered (one value a minute, every 15 min), standard (one a minute, every 5 min), full (one in 10 s, every 5 min), raw (every sample at once)',
            },
          ),
          gather_s: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: 3600,
              description:
                'seconds that are sent together, in place of what the plan says; raw sends each commit by itself with 0, and about a byte a sample with 60',
            }),
          ),
          daily_mb: Type.Optional(
            Type.Number({
              exclusiveMinimum: 0,
              maximum: 1_000_000,
              description:
                'most megabytes (of a million bytes) a local day on the line, both ways, all overhead included; alerts go beyond it; no limit when left out',
            }),
          ),
        },
        {
          additionalProperties: false,
          description: 'link to the cloud; without it the gateway keeps everything itself',
        },
      ),
    ),
    notify: Type.Optional(notifySchema),
    app_dir: Type.Optional(file('folder of the built app, served at /')),
    logging: Type.Object(
      {
        level: Type.Union(
          logLevels.map((one) => Type.Literal(one)),
          { default: 'info', description: 'least severe lines that are written' },
        ),
      },
      { additionalProperties: false },
    ),
    clock: Type.Optional(
      Type.Object(
        {
          real_epoch_ms: Type.Number({
            description: 'real Unix milliseconds at which village time was village_epoch_ms',
          }),
          village_epoch_ms: Type.Number(),
          speed: Type.Number({ exclusiveMinimum: 0, maximum: 1000, default: 1 }),
        },
        { additionalProperties: false, description: 'for demonstrations only: village time that runs faster' },
      ),
    ),
    clock_trust: Type.Union([Type.Literal('auto'), ...clockTrusts.map((one) => Type.Literal(one))], {
      default: 'auto',
      description:
        'how far the clock is trusted; auto finds out (NTP, hardware clock, cloud, phone, last known time), anything else is believed',
    }),
  },
  {
    additionalProperties: false,
    description: 'Settings of a gateway, in `gateway.yaml`. Paths are relative to its folder.',
  },
);

/** A gateway's settings as the file has them, with defaults filled in. */
export type GatewayConfig = Static<typeof gatewayConfigSchema>;
export type ModbusConnectionConfig = Static<typeof modbusConnectionSchema>;
export type ModbusDeviceConfig = Static<typeof modbusDeviceSchema>;
export type MqttDeviceConfig = GatewayConfig['mqtt_devices']['devices'][number];
export type UplinkConfig = NonNullable<GatewayConfig['uplink']>;
