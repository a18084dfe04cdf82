/** What the guarded broker is given and what it offers. */
import type { Clock } from '@villagrid/contracts';
import type { Logger } from '../log/logger.js';
import type { TakeBytes } from './publish-gate.js';

/** Who a client is, as the owner's `authenticate` found; `id` tells two identities apart. */
export interface BrokerIdentity {
  readonly id: string;
}

/** One address to listen on. */
export interface BrokerListener {
  /** Name in logs, in `ports` and in the hooks, e.g. `mqtts`. */
  readonly name: string;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly tls?: BrokerTls;
}

/** PEM texts of a TLS listener. */
export interface BrokerTls {
  readonly key: string;
  readonly cert: string;
  /** The authority whose client certificates are accepted. */
  readonly ca?: string;
  /** `required` refuses a client without a certificate of `ca` in the handshake; `optional` lets it come without a name. */
  readonly clientCertificate?: 'none' | 'optional' | 'required';
}

/** What a client shows at CONNECT. */
export interface BrokerLogin {
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: Uint8Array | undefined;
  /** Common name of the verified client certificate. */
  readonly certificateCommonName: string | undefined;
  readonly listenerName: string;
  /** Address of the socket's other end. */
  readonly address: string;
}

/** Answer to a login. `refused` is for the log; the client only learns that it may not. */
export type LoginAnswer<I extends BrokerIdentity> = { readonly identity: I } | { readonly refused: string };

/** A publish of a client. */
export interface BrokerPublish {
  readonly clientId: string;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  /** The number the client gave it, 1 to 65535; 0 with QoS 0 and for a last will. */
  readonly packetId: number;
  /** As the client sent it; unless `retainFromClients`, the broker itself does not keep it. */
  readonly retain: boolean;
  /** The DUP flag: a hint only, a resend after a new connection comes without it. */
  readonly duplicate: boolean;
  /** Whether this is the client's last will, published because its connection ended without a goodbye. */
  readonly will: boolean;
  /** With `will`: the same client is already back on a new connection, so the will speaks of the old one. */
  readonly superseded: boolean;
}

/** A client that is connected, or was. */
export interface BrokerClient<I extends BrokerIdentity> {
  readonly clientId: string;
  readonly identity: I;
  readonly listenerName: string;
  readonly address: string;
}

export interface GuardedBrokerOptions<I extends BrokerIdentity> {
  readonly listeners: readonly BrokerListener[];
  readonly log: Logger;
  /** The real clock: deadlines of the wire do not run faster with the village. */
  readonly clock: Clock;
  authenticate(login: BrokerLogin): Promise<LoginAnswer<I>>;
  mayPublish(identity: I, topic: string): boolean;
  maySubscribe(identity: I, filter: string): boolean;
  /**
   * Takes a publish. Called at once for each publish in order of arrival, so that a group commit can gather them; the
   * client's PUBACKs leave in that order, each only after its promise resolved. A rejection (or a throw, or no end within
   * `publishDeadlineMs`) closes that connection without acknowledgement: the client reconnects and sends again. Publishes
   * that wait for the same commit should return the same promise: then they cost little to hold.
   */
  onPublish(identity: I, publish: BrokerPublish): Promise<unknown>;
  /**
   * Where publishes to a topic go that end with the owner: `maySubscribe` refuses everybody every filter that matches it.
   * Those of QoS 1 then take a shorter way, to the function given instead of `onPublish`, under the same rules; undefined
   * for all others. Asked once per client and topic in a row, like `mayPublish` for such topics.
   */
  endsHere?(identity: I, topic: string, clientId: string): TakeBytes | undefined;
  onConnect?(client: BrokerClient<I>): void;
  onDisconnect?(client: BrokerClient<I>): void;
  readonly limits?: Partial<BrokerLimits>;
  /** Lets clients keep sessions over connections; default false: every session is clean. */
  readonly persistentSessions?: boolean;
  /** Keeps retained messages of clients; default false, they are passed on but not kept. */
  readonly retainFromClients?: boolean;
}

/** Bounds of a broker; the defaults are `defaultBrokerLimits`. */
export interface BrokerLimits {
  /** Largest packet, bytes. */
  readonly maxPacketBytes: number;
  /** Largest CONNECT, bytes. */
  readonly maxConnectBytes: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  /** Packets a second that a client may send over time before its socket is read more slowly; 0 is no limit. */
  readonly maxPacketsPerSecond: number;
  readonly maxSubscriptionsPerClient: number;
  /** Longest keepalive a client may ask for, seconds; longer ones, and none at all, are refused with CONNACK 6. */
  readonly maxKeepaliveS: number;
  /** Time from the connection to CONNECT, and for the TLS handshake, milliseconds. */
  readonly connectTimeoutMs: number;
  /** Time for `authenticate`, milliseconds. */
  readonly loginDeadlineMs: number;
  /** How long a refused login waits for its answer, milliseconds: guessing is slow. */
  readonly refusalDelayMs: number;
  /** Time for `onPublish`, milliseconds. */
  readonly publishDeadlineMs: number;
}

export const defaultBrokerLimits: BrokerLimits = {
  maxPacketBytes: 16 * 1024,
  maxConnectBytes: 1024,
  maxConnections: 500,
  maxConnectionsPerAddress: 100,
  maxPacketsPerSecond: 2000,
  maxSubscriptionsPerClient: 32,
  maxKeepaliveS: 600,
  connectTimeoutMs: 10_000,
  loginDeadlineMs: 10_000,
  refusalDelayMs: 250,
  publishDeadlineMs: 10_000,
};

/** Counters since the start, and what is now. */
export interface BrokerStats {
  /** Sockets now, clients logged in now, publishes now waiting for their promise. */
  connections: number;
  clients: number;
  held: number;
  published: number;
  accepted: number;
  failed: number;
  forbidden: number;
  loginsRefused: number;
  oversized: number;
  notMqtt: number;
  connectionsRefused: number;
  throttled: number;
}

/** A running (or not yet running) broker. */
export interface GuardedBroker {
  /** Listens on all addresses; throws E_PORT_IN_USE or E_CERTIFICATE naming the listener, with nothing left open. */
  start(): Promise<void>;
  /** Stops listening, gives held publishes up to a second to be acknowledged, then closes all. */
  stop(): Promise<void>;
  /** Sends to subscribers; resolves when it was handed to those connected now. */
  publish(
    topic: string,
    payload: string | Uint8Array,
    options?: { readonly qos?: 0 | 1; readonly retain?: boolean },
  ): Promise<void>;
  /** Closes a client's connection; false when there is none. */
  disconnect(clientId: string): boolean;
  stats(): BrokerStats;
  /** The port of each listener by its name, once started. */
  readonly ports: Readonly<Record<string, number>>;
}
