/**
 * A node's MQTT connection. Every attempt is a new client with an empty store and no queue of its own, so that nothing is sent behind
 * the node's back; what must not be lost is the node's own business.
 */
import type { Clock, RandomSource, Timer } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import mqtt, { type MqttClient } from 'mqtt';

/** Where and as whom a node connects. Without `ca` the connection is plain, for a broker on loopback. */
export interface MqttEndpoint {
  readonly host: string;
  readonly port: number;
  readonly ca?: string;
  readonly username: string;
  readonly password: string;
}

/** A connection that comes back by itself. */
export interface MqttLink {
  readonly connected: boolean;
  start(): void;
  /** Publishes at QoS 1 now, or calls back with an error at once when there is no connection. */
  publish(topic: string, payload: string, done: (error?: Error) => void): void;
  /** Drops the connection without a word, as a crash would; it comes back with the next attempt unless stopped. */
  drop(): void;
  /** Says offline and disconnects; takes at most half a second. */
  close(): Promise<void>;
  /** Stays away, without a word. */
  vanish(): void;
}

/** Back-off between attempts, real ms. */
const firstWaitMs = 500;
const longestWaitMs = 5000;

/** Makes a link; `onUp` is called after each CONNACK. */
export function createMqttLink(options: {
  readonly endpoint: MqttEndpoint;
  readonly clientId: string;
  readonly statusTopic: string;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly onUp: () => void;
  readonly onDown: () => void;
}): MqttLink {
  const { endpoint, clock, random, log, clientId } = options;
  let client: MqttClient | undefined;
  let retry: Timer | undefined;
  let wanted = false;
  let failures = 0;

  const forget = (): void => {
    const old = client;
    client = undefined;
    // Its listeners stay: the library's own ones clear its timers. Ours ask first whether it is still the present client.
    old?.end(true);
  };

  const attempt = (): void => {
    retry = undefined;
    if (!wanted) return;
    const current = mqtt.connect({
      protocol: endpoint.ca === undefined ? 'mqtt' : 'mqtts',
      host: endpoint.host,
      port: endpoint.port,
      ...(endpoint.ca === undefined ? {} : { ca: endpoint.ca }),
      clientId,
      username: endpoint.username,
      password: endpoint.password,
      clean: true,
      keepalive: 30,
      connectTimeout: 10_000,
      reconnectPeriod: 0,
      queueQoSZero: false,
      resubscribe: false,
      protocolVersion: 4,
      will: { topic: options.statusTopic, payload: Buffer.from('offline'), qos: 1, retain: false },
    });
    client = current;
    current.on('connect', () => {
      if (client !== current) return;
      failures = 0;
      current.publish(options.statusTopic, 'online', { qos: 1 }, () => undefined);
      options.onUp();
    });
    current.on('error', (error) => {
      if (client === current && failures === 0)
        log.warn('node cannot connect', { device: clientId, reason: error.message });
    });
    current.on('close', () => {
      if (client !== current) return;
      forget();
      options.onDown();
      again();
    });
  };

  const again = (): void => {
    if (!wanted || retry !== undefined) return;
    const waitMs = Math.min(longestWaitMs, firstWaitMs * 2 ** failures) * (0.5 + random.float());
    failures = Math.min(failures + 1, 10);
    retry = clock.after(waitMs, attempt);
  };

  const vanish = (): void => {
    wanted = false;
    retry?.cancel();
    retry = undefined;
    const stream = client?.stream;
    forget();
    stream?.destroy();
    options.onDown();
  };

  return {
    get connected() {
      return client?.connected ?? false;
    },
    start() {
      if (wanted) return;
      wanted = true;
      failures = 0;
      attempt();
    },
    publish(topic, payload, done) {
      if (client?.connected !== true) return done(new Error('not connected'));
      client.publish(topic, payload, { qos: 1 }, (error) => done(error ?? undefined));
    },
    drop() {
      client?.stream.destroy();
    },
    async close() {
      const last = client;
      wanted = false;
      retry?.cancel();
      retry = undefined;
      if (last?.connected === true) {
        await new Promise<void>((resolve) => {
          const limit = clock.after(500, resolve);
          last.publish(options.statusTopic, 'offline', { qos: 1 }, () => {
            last.end(false, {}, () => {
              limit.cancel();
              resolve();
            });
          });
        });
      }
      vanish();
    },
    vanish,
  };
}
