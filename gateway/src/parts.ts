/** The parts of a gateway that stand between it and the world around: drivers and the uplink. Adding one is its line here. */
import {
  isTrusted,
  type AlertEvent,
  type Clock,
  type ClockTrust,
  type DeviceLink,
  type Hello,
  type RandomSource,
  topics,
} from '@villagrid/contracts';
import type { LifecyclePart, Logger } from '@villagrid/runtime';
import type { GatewayConfig } from './config/schema.js';
import {
  createModbusDrivers,
  type Driver,
  type DriverSink,
  LinkError,
  type Profile,
  type WriteOutcome,
} from './drivers/index.js';
import type { Log } from './log/port.js';
import {
  createAwsIotDestination,
  createMqttDestination,
  createUplink,
  type SealStore,
  type Uplink,
  type UplinkCommands,
  type UplinkDocuments,
  type UplinkDestination,
  uplinkKeepaliveS,
} from './uplink/index.js';

/** A system's clock that is off by more cannot judge certificates, milliseconds. */
const systemWrongMs = 3_600_000;

/** What the parts are given. */
export interface PartsContext {
  readonly config: GatewayConfig;
  /** Device profiles by id; none are needed without connections. */
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly version: string;
  readonly log: Log;
  /** Where the uplink keeps what it sealed: what is lost of it can be made anew. */
  readonly seals: SealStore;
  readonly formerEpochs: readonly { readonly epoch: string; readonly last: number }[];
  /** Where drivers put what they learn. */
  readonly sink: DriverSink;
  /** Documents that the cloud wants this gateway to have. */
  readonly documents: UplinkDocuments;
  /** Commands of people at the cloud. */
  readonly commands: UplinkCommands;
  /** Stores what people did at the cloud, each by id if absent. */
  readonly onActs: (events: readonly AlertEvent[]) => Promise<void>;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly clockTrust: () => ClockTrust;
  /** For simulations: the line to the cloud in place of the settings'. */
  readonly destination?: UplinkDestination;
  /** Disk and card, as HELLO tells of them. */
  readonly storage: () => Partial<Pick<Hello, 'disk_used_pct' | 'card_life_used_pct'>>;
  /** By how much the village's clock is ahead of the system's. */
  readonly clockOffsetMs: () => number;
  readonly onCloudTime: (nowMs: number, exactToMs: number) => void;
}

/** The parts in the order of their start, and the uplink among them for its numbers. */
export interface GatewayParts {
  readonly parts: readonly LifecyclePart[];
  readonly uplink: Uplink | undefined;
  /** How a device that is asked answers. */
  quality(deviceId: string): DeviceLink | undefined;
  /** What a device says of its own fault, in its maker's words. */
  faultWords(deviceId: string): string | undefined;
  /** The line of that name, for who may borrow it. */
  line(endpoint: string): ReturnType<NonNullable<Driver['line']>>;
  /** Writes to a point of a device, as `Driver.write`. Rejects with LinkError. */
  write(deviceId: string, key: string, value: number, withinMs: number): Promise<WriteOutcome>;
}

/** Makes the parts that the settings ask for. */
export function gatewayParts(context: PartsContext): GatewayParts {
  const { config, profiles, sink, clock, realClock, random, logger } = context;
  const connections = config.modbus?.connections ?? [];
  const drivers =
    connections.length === 0
      ? []
      : createModbusDrivers({
          connections,
          profiles,
          sink,
          clock,
          realClock,
          random,
          log: logger.child('modbus'),
        });
  const uplink = makeUplink(context);
  return {
    // Modbus answers and the cloud are real machines beside the gateway: each part starts without waiting for them.
    parts: [
      ...drivers,
      ...(uplink ? [{ name: 'uplink', start: () => uplink.start(), stop: () => uplink.stop() }] : []),
    ],
    uplink,
    quality(deviceId) {
      for (const driver of drivers) {
        const known = driver.quality(deviceId);
        if (known) return known;
      }
      return undefined;
    },
    faultWords(deviceId) {
      for (const driver of drivers) {
        const words = driver.faultWords?.(deviceId);
        if (words !== undefined) return words;
      }
      return undefined;
    },
    line(endpoint) {
      for (const driver of drivers) {
        const known = driver.line?.(endpoint);
        if (known) return known;
      }
      return undefined;
    },
    write(deviceId, key, value, withinMs) {
      for (const driver of drivers) {
        const writing = driver.write?.(deviceId, key, value, withinMs);
        if (writing) return writing;
      }
      return Promise.reject(new LinkError('stopped', `nothing that runs here can write to ${deviceId}`));
    },
  };
}

function makeUplink(context: PartsContext): Uplink | undefined {
  const { config, clock, realClock, random, log, version, clockTrust, onCloudTime, onActs } = context;
  const { uplink: settings, site } = config;
  if (!settings) return undefined;
  const logger = context.logger.child('uplink');
  const common = {
    url: settings.url,
    caFile: settings.ca_file,
    certificateFile: settings.certificate_file,
    keyFile: settings.key_file,
    clientId: site.gateway_id,
    will: { topic: topics.gatewayStatus(site.grid_id, site.gateway_id), payload: 'offline' },
    keepaliveS: uplinkKeepaliveS(settings.plan, settings.gather_s),
    realClock,
    random,
    log: logger,
  };
  const destination =
    context.destination ??
    (settings.destination === 'aws-iot'
      ? createAwsIotDestination({ ...common, ...(settings.aws_rule === undefined ? {} : { rule: settings.aws_rule }) })
      : createMqttDestination({
          ...common,
          // A certificate is judged by the time the village knows, and while it knows none, only by who signed it.
          judge: {
            systemIsRight: () => isTrusted(clockTrust()) && Math.abs(context.clockOffsetMs()) < systemWrongMs,
            nowMs: () => (isTrusted(clockTrust()) ? clock.nowMs() : undefined),
          },
        }));
  return createUplink({
    destination,
    log,
    formerEpochs: context.formerEpochs,
    gatewayId: site.gateway_id,
    gridId: site.grid_id,
    version,
    plan: settings.plan,
    gatherS: settings.gather_s,
    dailyBytes: settings.daily_mb === undefined ? undefined : settings.daily_mb * 1_000_000,
    seals: context.seals,
    site: () => site,
    clockTrust,
    storage: context.storage,
    onCloudTime,
    clock,
    realClock,
    logger,
    onActs,
    documents: context.documents,
    commands: context.commands,
  });
}
