/**
 * Where what gateways and devices say comes from, as a port: the broker that is built in, or another one that this cloud
 * reads as a client. Adapters know topics and certificates; what is done with a message is the receiver's affair.
 */
import { lanes, parseTopic, topics, type Lane } from '@villagrid/contracts';
import type { DirectDevice, GatewayEntry } from '../config/schema.js';
import type { Directory } from '../directory/directory.js';

/** Who speaks: a gateway or a device without one, as the directory has them. */
export type Speaker =
  | { readonly kind: 'gateway'; readonly gateway: GatewayEntry }
  | { readonly kind: 'device'; readonly device: DirectDevice };

/** A message that its speaker may send, sorted. */
export type Said =
  | { readonly what: 'lane'; readonly gateway: GatewayEntry; readonly lane: Lane }
  | { readonly what: 'status'; readonly speaker: Speaker }
  | { readonly what: 'telemetry' | 'alert'; readonly device: DirectDevice };

/** What an adapter tells. */
export interface UplinkReceiver {
  /** Takes a message; resolves when it may be acknowledged, rejects when it must come again. */
  take(said: Said, payload: Uint8Array): Promise<void>;
  connected(speaker: Speaker): void;
  disconnected(speaker: Speaker): void;
  /** Its last will speaks, or it says that it is offline. */
  gone(speaker: Speaker): void;
}

/** Numbers since the start, and what is now. */
export interface UplinkLineStats {
  readonly clients: number;
  readonly published: number;
  readonly failed: number;
  readonly forbidden: number;
  readonly loginsRefused: number;
  readonly oversized: number;
  /** Whether messages can come. */
  readonly isUp: boolean;
}

/** The way to gateways and devices. */
export interface UplinkLine {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Sends to who subscribed; rejects while it cannot. */
  publish(topic: string, payload: string | Uint8Array): Promise<void>;
  stats(): UplinkLineStats;
  /** Address that gateways connect to, once started. */
  address(): string | undefined;
}

/** A line without a wire, for simulations: who stands at its other end tells the receiver itself. */
export function inProcessLine({ publish }: Pick<UplinkLine, 'publish'>): UplinkLine {
  const nothing = { clients: 0, published: 0, failed: 0, forbidden: 0, loginsRefused: 0, oversized: 0 };
  return {
    start: async () => undefined,
    stop: async () => undefined,
    publish,
    stats: () => ({ ...nothing, isUp: true }),
    address: () => undefined,
  };
}

/** Who a certificate's name is; undefined when the directory does not know it. */
export function speakerOf(identity: string, directory: Pick<Directory, 'gateway' | 'device'>): Speaker | undefined {
  const gateway = directory.gateway(identity);
  if (gateway) return { kind: 'gateway', gateway };
  const device = directory.device(identity);
  return device && { kind: 'device', device };
}

export const identityOf = (speaker: Speaker): string =>
  speaker.kind === 'gateway' ? speaker.gateway.gateway_id : speaker.device.device_id;
export const gridOf = (speaker: Speaker): string =>
  speaker.kind === 'gateway' ? speaker.gateway.grid_id : speaker.device.grid_id;

/** What a message of a speaker is; undefined when the topic is none of its own. */
export function saidBy(speaker: Speaker, topic: string): Said | undefined {
  const gridId = gridOf(speaker);
  if (speaker.kind === 'gateway') {
    const { gateway } = speaker;
    if (topic === topics.gatewayStatus(gridId, gateway.gateway_id)) return { what: 'status', speaker };
    const lane = lanes.find((one) => topic === topics.up(gridId, gateway.gateway_id, one));
    return lane && { what: 'lane', gateway, lane };
  }
  const { device } = speaker;
  if (topic === topics.telemetry(gridId, device.device_id)) return { what: 'telemetry', device };
  if (topic === topics.alerts(gridId)) return { what: 'alert', device };
  return topic === topics.status(gridId, device.device_id) ? { what: 'status', speaker } : undefined;
}

/** Whose name a topic carries; undefined for one that carries none, or is none of ours. */
export function namedIn(topic: string): string | undefined {
  const parsed = parseTopic(topic);
  switch (parsed?.kind) {
    case 'up':
    case 'gatewayStatus':
      return parsed.gatewayId;
    case 'telemetry':
    case 'status':
      return parsed.deviceId;
    default:
      return undefined;
  }
}

/** Whether a status says that who sent it is not there. */
export const saysOffline = (payload: Uint8Array): boolean =>
  Buffer.from(payload).toString().trim().startsWith('offline');
