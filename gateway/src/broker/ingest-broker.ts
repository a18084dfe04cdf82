/**
 * The gateway's own MQTT broker: nodes over TLS, each with its credential and its own topics; programs on the box and
 * the first prototype over the plain loopback listener.
 */
import { readFileSync } from 'node:fs';
import { messageOf, VillagridError, parseTopic, topics, type Clock } from '@villagrid/contracts';
import {
  createGuardedBroker,
  unrefTimer,
  type BrokerClient,
  type BrokerIdentity,
  type BrokerLimits,
  type BrokerListener,
  type BrokerLogin,
  type BrokerPublish,
  type GuardedBroker,
  type Logger,
  type TakeBytes,
} from '@villagrid/runtime';
import { isLoopback } from '../config/loopback.js';
import type { GatewayConfig } from '../config/schema.js';
import type { DeviceLogin } from './device-login.js';
import { Resends } from './resends.js';

/** A client: a device by its credential, or a program on the box that speaks as the prototype did. */
export interface Who extends BrokerIdentity {
  readonly kind: 'device' | 'local';
}

/** The one identity of clients without a credential on the loopback listener. */
const localIdentity: Who = { kind: 'local', id: 'local-legacy' };

/** What a node may write of its own. */
const nodeTopics: ReadonlySet<string> = new Set(['telemetry', 'status', 'ack', 'time']);

/** How long a device may be without a connection before its link is down, real milliseconds. */
const goneAfterMs = 1000;
const mostTopics = 1000;

/** What the broker's clients say, sorted. Each promise resolves when the publish may be acknowledged. */
export interface BrokerIntake {
  telemetry(deviceId: string, payload: Uint8Array): Promise<unknown>;
  /** The quick way of one device's payloads, bytes `from` to `to`; undefined for what it cannot read. */
  telemetryOf(deviceId: string): (bytes: Uint8Array, from: number, to: number) => Promise<unknown> | undefined;
  legacyData(payload: Uint8Array): Promise<unknown>;
  legacyAlert(payload: Uint8Array): Promise<unknown>;
  link(deviceId: string, state: 'up' | 'down'): Promise<unknown>;
  /** A node's answer to a command. */
  ack(deviceId: string, payload: string): void;
  /** A node asks for the time. */
  time(deviceId: string, question: string): Promise<unknown>;
}

/** Topics of nodes that keep those of their own firmware; each call is about a login's device id. */
export interface ForeignTopics {
  mayPublish(login: string, topic: string): boolean;
  maySubscribe(login: string, filter: string): boolean;
  /** Whether what is said there ends at the gateway, so that `maySubscribe` refuses it to everybody. */
  isTaken(login: string, topic: string): boolean;
  publish(login: string, topic: string, payload: Uint8Array): Promise<unknown>;
}

export interface IngestBrokerOptions {
  readonly config: Pick<GatewayConfig, 'mqtt_plain' | 'mqtts' | 'mqtt_limits' | 'mqtt_devices' | 'site'>;
  readonly login: DeviceLogin;
  readonly intake: BrokerIntake;
  readonly foreign: ForeignTopics;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Bounds that win over the settings'. */
  readonly limits?: Partial<BrokerLimits>;
}

const nothing: Promise<unknown> = Promise.resolve();
const bytesOf = (payload: Uint8Array): Buffer =>
  payload instanceof Buffer ? payload : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);

const bootMark = Buffer.from('"boot"');
/** Whether a payload has a field of that name: without it it holds no reading that intake would know again. Most begin with it, so a plain loop is quicker than a search. */
function namesBoot(payload: Uint8Array): boolean {
  const last = payload.length - bootMark.length;
  for (let at = 0; at <= last; at += 1) {
    let same = 0;
    while (same < bootMark.length && payload[at + same] === bootMark[same]) same += 1;
    if (same === bootMark.length) return true;
  }
  return false;
}

/** Makes the broker; nothing is opened before `start`. Throws E_CERTIFICATE when a certificate cannot be read. */
export function createIngestBroker({
  config,
  login,
  intake,
  foreign,
  clock,
  logger,
  limits,
}: IngestBrokerOptions): GuardedBroker {
  const gridId = config.site.grid_id;
  /** Connections a device has now, by its client ids: the link is down when the last one is gone. */
  const connections = new Map<string, Map<string, number>>();
  const connectionsOf = (deviceId: string, besides?: string): number =>
    [...(connections.get(deviceId) ?? [])].reduce((sum, [id, now]) => (id === besides ? sum : sum + now), 0);
  const resends = new Resends(clock);

  /** Who may log in without TLS from beyond this box. */
  const plainLogins = new Set(config.mqtt_plain.lan ? plainDevices(config) : []);

  const authenticate = async ({ listenerName, username, password, address }: BrokerLogin) => {
    if (username === undefined || username === '') {
      if (listenerName === 'mqtt' && isLoopback(address)) return { identity: localIdentity };
      return { refused: 'no username; a device logs in with its id and the password it was issued' };
    }
    // Before the password: whether it is right is not told to who listens on that network.
    const inTheClear = listenerName === 'mqtt' && !isLoopback(address);
    if (inTheClear && !plainLogins.has(username.slice(username.indexOf('/') + 1)))
      return {
        refused:
          'this device must use TLS; its password was sent in the clear, so issue a new one, or list it under mqtt_plain.lan_devices',
      };
    const answer = await login(username, Buffer.from(password ?? []).toString('utf8'));
    return 'refused' in answer ? answer : { identity: { kind: 'device' as const, id: answer.deviceId } };
  };

  /** Topics that were published to: a device sends to the same one again and again. Bounded. */
  const topicsSeen = new Map<string, ReturnType<typeof parseTopic>>();
  const topicOf = (topic: string): ReturnType<typeof parseTopic> => {
    const known = topicsSeen.get(topic);
    if (known) return known;
    const parsed = parseTopic(topic);
    if (topicsSeen.size >= mostTopics) topicsSeen.clear();
    topicsSeen.set(topic, parsed);
    return parsed;
  };

  const mayPublish = (who: Who, topic: string): boolean => {
    const parsed = parseTopic(topic);
    if (who.kind === 'local') return parsed?.kind === 'legacyData' || parsed?.kind === 'legacyAlerts';
    const own =
      parsed !== undefined &&
      nodeTopics.has(parsed.kind) &&
      'deviceId' in parsed &&
      parsed.gridId === gridId &&
      parsed.deviceId === who.id;
    return own || foreign.mayPublish(who.id, topic);
  };
  const localFilters = new Set<string>([topics.legacyData, topics.legacyAlerts, topics.alerts(gridId)]);
  const maySubscribe = (who: Who, filter: string): boolean =>
    who.kind === 'local'
      ? localFilters.has(filter)
      : filter === topics.command(gridId, who.id) || foreign.maySubscribe(who.id, filter);

  const onPublish = (who: Who, publish: BrokerPublish): Promise<unknown> => {
    const parsed = topicOf(publish.topic);
    switch (parsed?.kind) {
      case 'telemetry': {
        const take = () => intake.telemetry(who.id, publish.payload);
        return namesBoot(publish.payload) ? take() : resends.once(who.id, publish, take);
      }
      case 'status': {
        if (isOldWill(who, publish)) return nothing;
        const said = publish.will ? 'offline' : bytesOf(publish.payload).toString('utf8').trim().toLowerCase();
        if (said !== 'offline' && said !== 'online') return nothing;
        return intake.link(who.id, said === 'offline' ? 'down' : 'up');
      }
      case 'ack':
        if (!publish.will) intake.ack(who.id, bytesOf(publish.payload).toString('utf8'));
        return nothing;
      case 'time':
        return publish.will ? nothing : intake.time(who.id, bytesOf(publish.payload).toString('utf8'));
      case 'legacyData':
        return resends.once(who.id, publish, () => intake.legacyData(publish.payload));
      case 'legacyAlerts':
        return resends.once(who.id, publish, () => intake.legacyAlert(publish.payload));
      default: {
        if (who.kind !== 'device' || isOldWill(who, publish)) return nothing;
        return resends.once(who.id, publish, () => foreign.publish(who.id, publish.topic, publish.payload));
      }
    }
  };

  /** A last will of a connection whose device is already back says nothing of the new one, whatever name that goes by. */
  const isOldWill = (who: Who, { will, superseded, clientId }: BrokerPublish): boolean =>
    will && (superseded || connectionsOf(who.id, clientId) > 0);

  const count = ({ identity, clientId }: BrokerClient<Who>, change: 1 | -1): void => {
    if (identity.kind !== 'device') return;
    const clients = connections.get(identity.id) ?? new Map<string, number>();
    const now = Math.max(0, (clients.get(clientId) ?? 0) + change);
    if (now > 0) clients.set(clientId, now);
    else clients.delete(clientId);
    connections.set(identity.id, clients);
    // Nobody is acknowledged for this: a failure was logged by the log.
    if (clients.size > 0) return void intake.link(identity.id, 'up').catch(() => {});
    // A take-over ends the old connection first: only one that stays away is down. A last will does not wait.
    unrefTimer(
      clock.after(goneAfterMs, () => {
        if (!stopped && connectionsOf(identity.id) === 0) intake.link(identity.id, 'down').catch(() => {});
      }),
    );
  };

  /** Nobody may subscribe to what devices measure. Most of it is read where it lies; all else is taken as any publish. */
  const endsHere = (who: Who, topic: string, clientId: string): TakeBytes | undefined => {
    if (who.kind !== 'device') return undefined;
    const isTelemetry = topicOf(topic)?.kind === 'telemetry';
    if (!isTelemetry && !foreign.isTaken(who.id, topic)) return undefined;
    const quick = isTelemetry ? intake.telemetryOf(who.id) : undefined;
    const same = { clientId, topic, qos: 1, retain: false, will: false, superseded: false } as const;
    return (bytes, from, to, packetId, duplicate) =>
      quick?.(bytes, from, to) ?? onPublish(who, { ...same, packetId, duplicate, payload: bytes.subarray(from, to) });
  };

  let stopped = false;
  const broker = createGuardedBroker<Who>({
    listeners: listeners(config, logger),
    log: logger,
    clock,
    authenticate,
    mayPublish,
    maySubscribe,
    onPublish,
    endsHere,
    onConnect: (client) => count(client, 1),
    onDisconnect: (client) => count(client, -1),
    limits: {
      maxPacketsPerSecond: config.mqtt_limits.packets_per_second,
      maxConnections: config.mqtt_limits.max_connections,
      maxConnectionsPerAddress: config.mqtt_limits.max_connections_per_address,
      ...limits,
    },
  });
  return {
    ...broker,
    stop() {
      stopped = true;
      return broker.stop();
    },
  };
}

/** Devices that may log in without TLS where the settings open that to the network. */
export function plainDevices({
  mqtt_plain: { lan_devices },
  mqtt_devices: { devices },
}: Pick<GatewayConfig, 'mqtt_plain' | 'mqtt_devices'>): string[] {
  return [...new Set([...devices.map(({ login, device_id }) => login ?? device_id), ...lan_devices])].sort();
}

function listeners(config: IngestBrokerOptions['config'], logger: Logger): BrokerListener[] {
  const { mqtt_plain: plain, mqtts } = config;
  const host = plain.lan && isLoopback(plain.host) ? '0.0.0.0' : plain.host;
  if (plain.lan)
    logger.warn('MQTT without TLS listens beyond this box; passwords and readings travel in the clear', {
      host,
      devices: plainDevices(config),
      next: 'Keep that network for devices only; give every device that can do TLS the other port.',
    });
  const made: BrokerListener[] = [{ name: 'mqtt', host, port: plain.port }];
  if (mqtts) {
    const tls = { key: readPem(mqtts.key_file), cert: readPem(mqtts.certificate_file) };
    made.push({ name: 'mqtts', host: mqtts.host, port: mqtts.port, tls });
  }
  return made;
}

/** Reads a certificate or key. Throws E_CERTIFICATE naming the file. */
export function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new VillagridError('E_CERTIFICATE', `${path}: ${messageOf(error)}.`);
  }
}
