/**
 * Another broker, mosquitto for example, read as a client with the cloud's own certificate. That broker checks
 * certificates and topics; which grid somebody belongs to is checked here. What must not get lost is acknowledged to it
 * only when it is durable, and comes again otherwise; frames of gateways are proven by receipts and need no such wait.
 */
import { messageOf, type Clock } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { MqttClient } from 'mqtt';
import type { CloudConfig } from '../config/load.js';
import type { Directory } from '../directory/directory.js';
import { namedIn, saidBy, saysOffline, speakerOf, type Said, type UplinkLine, type UplinkReceiver } from './port.js';
import { readPem } from './uplink-broker.js';

export interface BrokerClientOptions {
  readonly config: NonNullable<CloudConfig['broker']>;
  readonly directory: Directory;
  readonly realClock: Clock;
  readonly log: Logger;
  readonly receiver: UplinkReceiver;
}

/** What one connection reads, and whether an acknowledgement waits for what is done with a message. */
const readers = [
  {
    name: 'messages',
    waits: true,
    filters: [
      'microgrid/+/gateway/+/up/session',
      'microgrid/+/gateway/+/up/alerts',
      'microgrid/+/gateway/+/status',
      'microgrid/+/device/+/telemetry',
      'microgrid/+/device/+/status',
      'microgrid/+/alerts',
    ],
  },
  { name: 'frames', waits: false, filters: ['microgrid/+/gateway/+/up/live', 'microgrid/+/gateway/+/up/backfill'] },
] as const;
/** Messages taken at a time where no acknowledgement waits; beyond it the broker is read more slowly. */
const mostAtOnce = 200;
const reconnectMs = 1000;
const mostTold = 1000;

/** Makes it; it connects with `start` and again by itself. Throws E_CERTIFICATE when a PEM file cannot be read. */
export function createBrokerClient(options: BrokerClientOptions): UplinkLine {
  const { config, directory, realClock, log, receiver } = options;
  const pem = {
    ca: readPem(config.ca_file, 'broker.ca_file'),
    cert: readPem(config.certificate_file, 'broker.certificate_file'),
    key: readPem(config.key_file, 'broker.key_file'),
  };
  const clients: MqttClient[] = [];
  const here = new Set<string>();
  const told = new Set<string>();
  const counts = { published: 0, failed: 0, forbidden: 0 };
  let stopped = false;

  const refuse = (topic: string): undefined => {
    counts.forbidden += 1;
    if (told.has(topic) || told.size >= mostTold) return undefined;
    told.add(topic);
    log.warn('a message came from somebody who is not registered for its topic', { code: 'E_GATEWAY_UNKNOWN', topic });
    return undefined;
  };
  /** What a message is; the broker has seen to it that a topic with a name comes from that certificate. */
  const sort = (topic: string, payload: Uint8Array): Said | undefined => {
    const name = namedIn(topic) ?? deviceOf(payload);
    const speaker = name === undefined ? undefined : speakerOf(name, directory);
    const said = speaker && saidBy(speaker, topic);
    if (said === undefined || speaker === undefined || name === undefined) return refuse(topic);
    // Connections are the broker's; here somebody is there from the first word to the last will.
    const isOff = said.what === 'status' && saysOffline(payload);
    if (!isOff && !here.has(name)) {
      here.add(name);
      receiver.connected(speaker);
    } else if (isOff && here.delete(name)) receiver.disconnected(speaker);
    return said;
  };

  const open = (
    mqtt: typeof import('mqtt').default,
    { name, waits, filters }: (typeof readers)[number],
  ): MqttClient => {
    const client = mqtt.connect(config.url, {
      ...pem,
      clientId: `${config.client_id}-${name}`,
      protocolVersion: 4,
      // The broker keeps what comes while this cloud is away, as far as it does.
      clean: false,
      keepalive: 60,
      reconnectPeriod: reconnectMs,
      queueQoSZero: false,
      resubscribe: false,
    });
    let taken = 0;
    let goOn: (() => void) | undefined;
    client.handleMessage = ({ topic, payload }, done) => {
      counts.published += 1;
      const bytes = Buffer.from(payload as Uint8Array);
      const said = sort(topic, bytes);
      if (said === undefined) return done();
      const settled = receiver.take(said, bytes).then(
        () => true,
        (error: unknown) => {
          counts.failed += 1;
          log.error('a message could not be taken', { topic, error });
          return false;
        },
      );
      if (waits)
        return void settled.then((isTaken) => {
          if (isTaken) done();
          // Not acknowledged: the broker sends it again on a new connection.
          else client.stream.destroy();
        });
      taken += 1;
      void settled.then(() => {
        taken -= 1;
        const next = goOn;
        goOn = undefined;
        next?.();
      });
      if (taken < mostAtOnce) done();
      else goOn = done;
    };
    client.on('connect', () => {
      client.subscribe([...filters], { qos: 1 }, (error, granted) => {
        const refused = granted?.filter(({ qos }) => qos === 128).map(({ topic }) => topic) ?? [];
        if (error || refused.length > 0)
          log.error('the broker does not let this cloud hear', { filters: refused, reason: error && messageOf(error) });
        else log.info('linked to the broker', { url: config.url, reads: name });
      });
    });
    let reason = '';
    client.on('error', (error) => {
      if (error.message !== reason) log.warn('no link to the broker', { url: config.url, reason: error.message });
      reason = error.message;
    });
    client.on('close', () => {
      if (!stopped) log.debug('the link to the broker is gone', { reads: name });
    });
    return client;
  };

  return {
    async start() {
      // Only who reads from another broker needs the library.
      const { default: mqtt } = await import('mqtt');
      for (const reader of readers) clients.push(open(mqtt, reader));
    },
    async stop() {
      stopped = true;
      await Promise.all(
        clients.map((client) =>
          Promise.race([client.endAsync(false), realClock.sleep(700)])
            .catch(() => undefined)
            .then(() => client.end(true)),
        ),
      );
    },
    async publish(topic, payload) {
      const [client] = clients;
      // Never kept for later: what goes down is told again at the next HELLO.
      if (client?.connected !== true) throw new Error('no link to the broker');
      await client.publishAsync(topic, Buffer.from(payload), { qos: 1 });
    },
    stats: () => ({
      ...counts,
      clients: here.size,
      loginsRefused: 0,
      oversized: 0,
      isUp: clients.length > 0 && clients.every(({ connected }) => connected),
    }),
    address: () => (clients.length > 0 ? config.url : undefined),
  };
}

/** The device that a payload on a grid's alerts topic names; that topic names none. */
function deviceOf(payload: Uint8Array): string | undefined {
  try {
    const said = JSON.parse(Buffer.from(payload).toString('utf8')) as { readonly device_id?: unknown } | null;
    return typeof said?.device_id === 'string' ? said.device_id : undefined;
  } catch {
    return undefined;
  }
}
