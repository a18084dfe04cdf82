/**
 * The gateway's own MQTT broker: nodes over TLS, each with its credential and its own topics; programs on the box and
 * the first prototype over the plain loopback listener.
 */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
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
} from '@villagrid/runtime';
import type { GatewayConfig } from '../config/schema.js';
import type { DeviceLogin } from './device-login.js';

/** A client: a device by its credential, or a program on the box that speaks as the prototype did. */
export interface Who extends BrokerIdentity {
  readonly kind: 'device' | 'local';
}

/** The one identity of clients without a credential on the loopback listener. */
const localIdentity: Who = { kind: 'local', id: 'local-legacy' };

/** How long a device may be without a connection before its link is down, real milliseconds. */
const goneAfterMs = 1000;
const mostTopics = 1000;

/** What the broker's clients say, sorted. Each promise resolves when the publish may be acknowledged. */
export interface BrokerIntake {
  telemetry(deviceId: string, payload: Uint8Array): Promise<unknown>;
  /** The same for one device, whose payloads are bytes `from` to `to`. */
  telemetryOf(deviceId: string): (bytes: Uint8Array, from: number, to: number) => Promise<unknown>;
  legacyData(payload: Uint8Array): Promise<unknown>;
  legacyAlert(payload: Uint8Array): Promise<unknown>;
  link(deviceId: string, state: 'up' | 'down'): Promise<unknown>;
}

export interface IngestBrokerOptions {
  readonly config: Pick<GatewayConfig, 'mqtt_plain' | 'mqtts' | 'mqtt_limits' | 'site'>;
  readonly login: DeviceLogin;
  readonly intake: BrokerIntake;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Bounds that win over the settings'. */
  readonly limits?: Partial<BrokerLimits>;
}

/** Makes the broker; nothing is opened before `start`. Throws E_CERTIFICATE when a certificate cannot be read. */
export function createIngestBroker({
  config,
  login,
  intake,
  clock,
  logger,
  limits,
}: IngestBrokerOptions): GuardedBroker {
  const gridId = config.site.grid_id;
  /** Connections a device has now: the link is down when the last one is gone. */
  const connections = new Map<string, number>();

  const authenticate = async ({ listenerName, username, password, address }: BrokerLogin) => {
    if (username === undefined || username === '') {
      if (listenerName === 'mqtt' && isLoopback(address)) return { identity: localIdentity };
      return { refused: 'no username; a device logs in with its id and the password it was issued' };
    }
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
    return (
      (parsed?.kind === 'telemetry' || parsed?.kind === 'status') &&
      parsed.gridId === gridId &&
      parsed.deviceId === who.id
    );
  };
  const localFilters = new Set<string>([topics.legacyData, topics.legacyAlerts, topics.alerts(gridId)]);
  const maySubscribe = (who: Who, filter: string): boolean =>
    who.kind === 'local' ? localFilters.has(filter) : filter === topics.command(gridId, who.id);

  const onPublish = (who: Who, publish: BrokerPublish): Promise<unknown> => {
    const parsed = topicOf(publish.topic);
    switch (parsed?.kind) {
      case 'telemetry':
        return intake.telemetry(who.id, publish.payload);
      case 'status': {
        // The last will of a connection that was taken over says nothing of the new one.
        if (publish.will && publish.superseded) return Promise.resolve();
        const offline = publish.will || Buffer.from(publish.payload).toString('utf8').includes('offline');
        return intake.link(who.id, offline ? 'down' : 'up');
      }
      case 'legacyData':
        return intake.legacyData(publish.payload);
      case 'legacyAlerts':
        return intake.legacyAlert(publish.payload);
      default:
        return Promise.resolve();
    }
  };

  const count = ({ identity }: BrokerClient<Who>, change: 1 | -1): void => {
    if (identity.kind !== 'device') return;
    const now = Math.max(0, (connections.get(identity.id) ?? 0) + change);
    connections.set(identity.id, now);
    // Nobody is acknowledged for this: a failure was logged by the log.
    if (now > 0) return void intake.link(identity.id, 'up').catch(() => {});
    // A take-over ends the old connection first: only one that stays away is down. A last will does not wait.
    unrefTimer(
      clock.after(goneAfterMs, () => {
        if (!stopped && connections.get(identity.id) === 0) intake.link(identity.id, 'down').catch(() => {});
      }),
    );
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
    // Nobody may subscribe to what devices measure.
    endsHere: (who, topic) =>
      who.kind === 'device' && parseTopic(topic)?.kind === 'telemetry' ? intake.telemetryOf(who.id) : undefined,
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

function listeners(config: IngestBrokerOptions['config'], logger: Logger): BrokerListener[] {
  const { mqtt_plain: plain, mqtts } = config;
  if (!isLoopback(plain.host))
    logger.warn('MQTT without TLS listens beyond this box; passwords and readings travel in the clear', {
      host: plain.host,
    });
  const made: BrokerListener[] = [{ name: 'mqtt', host: plain.host, port: plain.port }];
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

function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/, '');
  return plain === 'localhost' || plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}
