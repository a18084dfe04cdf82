/**
 * The uplink's broker: runtime's guarded one with client certificates. Who a gateway is, is its certificate's common name;
 * what it may say is its own topics of its own grid.
 */
import { readFileSync } from 'node:fs';
import { messageOf, lanes, parseTopic, topics, VillagridError, type Clock } from '@villagrid/contracts';
import {
  createGuardedBroker,
  type BrokerIdentity,
  type BrokerPublish,
  type GuardedBroker,
  type Logger,
} from '@villagrid/runtime';
import type { CloudConfig } from '../config/load.js';
import type { GatewayEntry } from '../config/schema.js';
import type { Directory } from '../directory/directory.js';
import type { Presence } from './presence.js';

/** Largest packet, bytes: what AWS IoT Core takes too. */
export const maxPacketBytes = 128 * 1024;

interface GatewayIdentity extends BrokerIdentity {
  readonly gateway: GatewayEntry;
}

export interface UplinkBrokerOptions {
  readonly config: CloudConfig['mqtts'];
  readonly directory: Directory;
  readonly presence: Presence;
  readonly realClock: Clock;
  readonly log: Logger;
  /** Takes a publish of a lane; the acknowledgement waits for it. */
  readonly onPublish: (gateway: GatewayEntry, lane: (typeof lanes)[number], payload: Uint8Array) => Promise<void>;
}

/** Makes it. Throws E_CERTIFICATE when a PEM file cannot be read. */
export function createUplinkBroker(options: UplinkBrokerOptions): GuardedBroker {
  const { config, directory, presence, log } = options;
  const connected = new Map<string, GatewayEntry>();

  /** The topics of a gateway as publish rule; the directory may have changed since it connected. */
  const current = (identity: GatewayIdentity): GatewayEntry | undefined => {
    const now = directory.gateway(identity.id);
    return now?.grid_id === identity.gateway.grid_id ? now : undefined;
  };
  const own = (gateway: GatewayEntry, topic: string): boolean =>
    topic === topics.gatewayStatus(gateway.grid_id, gateway.gateway_id) ||
    lanes.some((lane) => topic === topics.up(gateway.grid_id, gateway.gateway_id, lane));

  const broker = createGuardedBroker<GatewayIdentity>({
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
      const gateway = directory.gateway(certificateCommonName);
      if (!gateway)
        return {
          refused: `E_GATEWAY_UNKNOWN: gateway ${certificateCommonName} is not registered; villagrid cloud grid add`,
        };
      return { identity: { id: certificateCommonName, gateway } };
    },
    mayPublish(identity, topic) {
      const gateway = current(identity);
      if (gateway && own(gateway, topic)) return true;
      const parsed = parseTopic(topic);
      if ((parsed?.kind === 'up' || parsed?.kind === 'gatewayStatus') && parsed.gatewayId === identity.id)
        log.warn('a gateway speaks for a grid it is not registered for', {
          code: 'E_GATEWAY_UNKNOWN',
          gateway_id: identity.id,
          grid_id: parsed.gridId,
        });
      return false;
    },
    maySubscribe(identity, filter) {
      const gateway = current(identity);
      return gateway !== undefined && filter === topics.down(gateway.grid_id, gateway.gateway_id);
    },
    async onPublish({ gateway }, publish) {
      const parsed = parseTopic(publish.topic);
      if (parsed?.kind === 'gatewayStatus') return noteStatus(gateway, publish);
      if (parsed?.kind === 'up') return options.onPublish(gateway, parsed.lane, publish.payload);
    },
    onConnect({ identity }) {
      connected.set(identity.id, identity.gateway);
      presence.connected(identity.gateway);
    },
    onDisconnect: ({ identity }) => presence.disconnected(identity.gateway),
  });

  const noteStatus = (gateway: GatewayEntry, { payload, will, superseded }: BrokerPublish): void => {
    if (superseded) return;
    if (will || Buffer.from(payload).toString().startsWith('offline')) presence.unreachable(gateway, 'will');
  };

  directory.onChange(() => {
    for (const [gatewayId, gateway] of connected) {
      if (directory.gateway(gatewayId)?.grid_id === gateway.grid_id) continue;
      connected.delete(gatewayId);
      if (broker.disconnect(gatewayId))
        log.warn('a gateway is no longer registered and was disconnected', {
          code: 'E_GATEWAY_UNKNOWN',
          gateway_id: gatewayId,
          grid_id: gateway.grid_id,
        });
    }
  });
  return broker;
}

/** Reads a PEM file; throws E_CERTIFICATE naming the setting. */
export function readPem(path: string, setting: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new VillagridError('E_CERTIFICATE', `${setting}: ${path}: ${messageOf(error)}.`, { cause: error });
  }
}
