/**
 * The broker that is built in: runtime's guarded one with client certificates. Who somebody is, is the certificate's
 * common name; what a gateway or device may say is its own topics of its own grid.
 */
import { readFileSync } from 'node:fs';
import { messageOf, parseTopic, topics, VillagridError, type Clock } from '@villagrid/contracts';
import { createGuardedBroker, type BrokerIdentity, type Logger } from '@villagrid/runtime';
import type { CloudConfig } from '../config/load.js';
import type { Directory } from '../directory/directory.js';
import {
  gridOf,
  identityOf,
  namedIn,
  saidBy,
  speakerOf,
  type Speaker,
  type UplinkLine,
  type UplinkReceiver,
} from './port.js';

/** Largest packet, bytes: what AWS IoT Core takes too. */
export const maxPacketBytes = 128 * 1024;

interface Who extends BrokerIdentity {
  readonly speaker: Speaker;
}

export interface UplinkBrokerOptions {
  readonly config: NonNullable<CloudConfig['mqtts']>;
  readonly directory: Directory;
  readonly realClock: Clock;
  readonly log: Logger;
  readonly receiver: UplinkReceiver;
}

/** Makes it. Throws E_CERTIFICATE when a PEM file cannot be read. */
export function createUplinkBroker(options: UplinkBrokerOptions): UplinkLine {
  const { config, directory, log, receiver } = options;
  const connected = new Map<string, Speaker>();

  /** Who somebody is now: the directory may have changed since the connection was made. */
  const current = ({ id, speaker }: Who): Speaker | undefined => {
    const now = speakerOf(id, directory);
    return now?.kind === speaker.kind && gridOf(now) === gridOf(speaker) ? now : undefined;
  };

  const broker = createGuardedBroker<Who>({
    listeners: [
      {
        name: 'mqtts',
        host: config.host,
        port: config.port,
        tls: {
          key: readPem(config.key_file, 'mqtts.key_file'),
          cert: readPem(config.certificate_file, 'mqtts.certificate_file'),
          ca: readPem(config.client_ca_file, 'mqtts.client_ca_file'),
          clientCertificate: 'required',
        },
      },
    ],
    log,
    clock: options.realClock,
    limits: { maxPacketBytes, maxConnections: 2000, maxConnectionsPerAddress: 1000, maxSubscriptionsPerClient: 4 },
    async authenticate({ clientId, certificateCommonName }) {
      if (certificateCommonName === undefined) return { refused: 'no client certificate' };
      if (clientId !== certificateCommonName)
        return { refused: `client id ${clientId} is not the certificate's name ${certificateCommonName}` };
      const speaker = speakerOf(certificateCommonName, directory);
      if (!speaker)
        return {
          refused: `E_GATEWAY_UNKNOWN: ${certificateCommonName} is not registered; villagrid cloud grid add, or cloud device add`,
        };
      return { identity: { id: certificateCommonName, speaker } };
    },
    mayPublish(who, topic) {
      const speaker = current(who);
      if (speaker && saidBy(speaker, topic) !== undefined) return true;
      if (namedIn(topic) === who.id)
        log.warn('a certificate speaks for a grid it is not registered for', {
          code: 'E_GATEWAY_UNKNOWN',
          identity: who.id,
          grid_id: gridIn(topic),
        });
      return false;
    },
    maySubscribe(who, filter) {
      const speaker = current(who);
      return speaker?.kind === 'gateway' && filter === topics.down(gridOf(speaker), who.id);
    },
    async onPublish(who, { topic, payload, will, superseded }) {
      const said = saidBy(current(who) ?? who.speaker, topic);
      if (said === undefined) return;
      if (said.what !== 'status') return receiver.take(said, payload);
      if (superseded) return;
      if (will) receiver.gone(said.speaker);
      else await receiver.take(said, payload);
    },
    onConnect({ identity }) {
      connected.set(identity.id, identity.speaker);
      receiver.connected(identity.speaker);
    },
    onDisconnect: ({ identity }) => receiver.disconnected(identity.speaker),
  });

  directory.onChange(() => {
    for (const [id, speaker] of connected) {
      if (current({ id, speaker }) !== undefined) continue;
      connected.delete(id);
      if (broker.disconnect(id))
        log.warn('who is no longer registered was disconnected', {
          code: 'E_GATEWAY_UNKNOWN',
          identity: identityOf(speaker),
          grid_id: gridOf(speaker),
        });
    }
  });

  return {
    start: () => broker.start(),
    stop: () => broker.stop(),
    publish: (topic, payload) => broker.publish(topic, payload, { qos: 1 }),
    stats: () => ({ ...broker.stats(), isUp: broker.ports.mqtts !== undefined }),
    address() {
      const port = broker.ports.mqtts;
      const { host } = config;
      const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
      return port === undefined ? undefined : `mqtts://${shown}:${port}`;
    },
  };
}

function gridIn(topic: string): string | undefined {
  const parsed = parseTopic(topic);
  return parsed !== undefined && 'gridId' in parsed ? parsed.gridId : undefined;
}

/** Reads a PEM file; throws E_CERTIFICATE naming the setting. */
export function readPem(path: string, setting: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new VillagridError('E_CERTIFICATE', `${setting}: ${path}: ${messageOf(error)}.`, { cause: error });
  }
}
