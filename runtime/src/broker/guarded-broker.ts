/**
 * The MQTT 3.1.1 broker that gateway and cloud share: aedes behind guards. Its library acknowledges before any
 * subscriber runs, so the owner gets each publish inside authorizePublish, the one hook that can hold a PUBACK.
 *
 * A publish to a forbidden topic closes the connection: MQTT 3.1.1 has no negative acknowledgement, and acknowledging
 * what was dropped, as other brokers do, would tell the node that its data is safe. It is counted, and logged as
 * E_TOPIC_FORBIDDEN once per client and minute. A forbidden subscription is refused by SUBACK 128 and nothing more.
 * QoS 2 is taken but bounded to 16 open handshakes per client; its repeats reach `onPublish` again.
 */
import type { AuthenticateError, Client } from 'aedes';
import { Aedes } from 'aedes';
import mqttPacket from 'mqtt-packet';
import { Listeners, type ConnectionFacts } from './listeners.js';
import type { PacketGuard } from './packet-guard.js';
import { PublishGate, type TakeBytes } from './publish-gate.js';
import { QuickLane } from './quick-lane.js';
import {
  defaultBrokerLimits,
  type BrokerClient,
  type BrokerIdentity,
  type BrokerStats,
  type GuardedBroker,
  type GuardedBrokerOptions,
  type LoginAnswer,
} from './types.js';

// Else the library keeps every packet id that there is as a buffer of its own from the first packet on: 10 MB.
mqttPacket.writeToStream.cacheNumbers = false;

/** What is kept beside each connection. */
interface Session<I> extends ConnectionFacts {
  identity?: I;
  clientId?: string;
  /** Those of the quick lane are held as their packet ids: nothing of them needs to be kept. */
  gate: PublishGate<HeldPublish | number>;
  lane: QuickLane;
  /** Logged in and told so. */
  ready: boolean;
  subscriptions: number;
  /** Another connection with the same client id has taken over. */
  superseded: boolean;
}

/** A publish that the library waits to acknowledge. */
interface HeldPublish {
  readonly topic: string;
  readonly callback: (error?: Error | null) => void;
}

/** CONNACK codes of MQTT 3.1.1. */
const connack = { identifierRejected: 2, unavailable: 3, notAuthorised: 5 } as const;
const identifierRejectedPacket = Buffer.from([0x20, 2, 0, connack.identifierRejected]);
/** Heartbeats are for clusters; their clean-up of wills trusts the wall clock and could publish wills of live clients. */
const noHeartbeatMs = 500_000_000;
const forbiddenLogMs = 60_000;
const stopGraceMs = 1000;
const flushMs = 20;
const maxOpenQos2 = 16;
const maxClientIdLength = 128;

/** Makes a broker; nothing is opened before `start`. */
export function createGuardedBroker<I extends BrokerIdentity>(options: GuardedBrokerOptions<I>): GuardedBroker {
  const { log, clock } = options;
  const limits = { ...defaultBrokerLimits, ...options.limits };
  const stats: BrokerStats = {
    connections: 0,
    clients: 0,
    held: 0,
    published: 0,
    accepted: 0,
    failed: 0,
    forbidden: 0,
    loginsRefused: 0,
    oversized: 0,
    notMqtt: 0,
    connectionsRefused: 0,
    throttled: 0,
  };
  const sessions = new WeakMap<Client, Session<I>>();
  const connected = new Map<string, Client>();
  /** Called when nothing is held any more. */
  let onNoneHeld: (() => void) | undefined;
  const forbiddenLoggedMs = new Map<string, number>();
  let aedes: Aedes | undefined;
  let stopping = false;

  /** Acknowledges, or refuses, a publish that was held. */
  const answer = (
    { clientId, lane }: Session<I>,
    publish: HeldPublish | number,
    failure: Error | undefined,
    own: boolean,
  ): void => {
    stats.held -= 1;
    if (failure) stats.failed += 1;
    else stats.accepted += 1;
    if (failure && own)
      log.error('a publish could not be taken; the client is disconnected and will send again', {
        code: 'E_NOT_DURABLE',
        client_id: clientId,
        topic: typeof publish === 'number' ? lane.topic : publish.topic,
        error: failure,
      });
    if (typeof publish === 'number') lane.answer(publish, failure);
    else {
      lane.flush();
      publish.callback(failure ?? null);
    }
    if (stats.held === 0) onNoneHeld?.();
  };

  const describe = (client: Client): BrokerClient<I> | undefined => {
    const session = sessions.get(client);
    if (session?.identity === undefined || session.clientId === undefined) return undefined;
    return {
      clientId: session.clientId,
      identity: session.identity,
      listenerName: session.listenerName,
      address: session.address,
    };
  };

  const forbid = (client: BrokerClient<I>, what: string, topic: string): void => {
    stats.forbidden += 1;
    const nowMs = clock.monotonicMs();
    if (nowMs - (forbiddenLoggedMs.get(client.clientId) ?? Number.NEGATIVE_INFINITY) < forbiddenLogMs) return;
    if (forbiddenLoggedMs.size > 1000) forbiddenLoggedMs.clear();
    forbiddenLoggedMs.set(client.clientId, nowMs);
    log.warn(`a client may not ${what} this topic`, {
      code: 'E_TOPIC_FORBIDDEN',
      client_id: client.clientId,
      identity: client.identity.id,
      address: client.address,
      topic: topic.slice(0, 200),
    });
  };

  /** The owner's rule, and ours before it; a rule that throws is a no. */
  const allowed = (rule: () => boolean, topic: string): boolean => {
    if (topic.startsWith('$SYS/') || topic.startsWith('$share/') || topic.includes('\0')) return false;
    try {
      return rule();
    } catch (error) {
      log.error('a topic rule failed', { error });
      return false;
    }
  };

  const login = async (
    client: Client,
    session: Session<I>,
    username: string | undefined,
    password: Uint8Array | undefined,
  ): Promise<LoginAnswer<I>> => {
    const late = new AbortController();
    try {
      return await Promise.race([
        options.authenticate({
          clientId: client.id,
          username,
          password,
          certificateCommonName: session.certificateCommonName,
          listenerName: session.listenerName,
          address: session.address,
        }),
        clock.sleep(limits.loginDeadlineMs, late.signal).then(() => {
          throw new Error(`no answer within ${limits.loginDeadlineMs} ms`);
        }),
      ]);
    } finally {
      late.abort();
    }
  };

  const refuse = (returnCode: number, message: string): AuthenticateError =>
    Object.assign(new Error(message), { returnCode }) as AuthenticateError;

  const createAedes = () =>
    Aedes.createBroker({
      heartbeatInterval: noHeartbeatMs,
      connectTimeout: limits.connectTimeoutMs,
      keepaliveLimit: limits.maxKeepaliveS,
      maxInflightInbound: maxOpenQos2,

      preConnect(client, packet, callback) {
        const longId = packet.clientId.length > maxClientIdLength || packet.clientId.includes('\0');
        if (longId || (packet.clientId === '' && !packet.clean)) {
          stats.loginsRefused += 1;
          client.conn.write(identifierRejectedPacket);
          return callback(new Error(longId ? 'client id too long' : 'an empty client id needs a clean session'), false);
        }
        if (options.persistentSessions !== true) packet.clean = true;
        callback(null, !stopping);
      },

      authenticate(client, username, password, done) {
        const session = sessions.get(client);
        if (!session) return done(refuse(connack.notAuthorised, 'unknown connection'), null);
        const deny = (returnCode: number, reason: string, error?: unknown) => {
          stats.loginsRefused += 1;
          log.warn('a client was refused', {
            client_id: client.id,
            username,
            address: session.address,
            listener: session.listenerName,
            reason,
            ...(error === undefined ? {} : { error }),
          });
          clock.after(limits.refusalDelayMs, () => done(refuse(returnCode, reason), null));
        };
        login(client, session, username, password).then(
          (answer) => {
            if ('refused' in answer) return deny(connack.notAuthorised, answer.refused);
            const present = connected.get(client.id);
            const owner = present === undefined ? undefined : sessions.get(present);
            const foreign = owner?.identity !== undefined && owner.identity.id !== answer.identity.id;
            // Whoever bears the name has the first right to it: another client that took it cannot shut it out.
            if (foreign && client.id !== answer.identity.id) {
              return deny(connack.identifierRejected, `client id is in use by ${owner?.identity?.id}`);
            }
            if (owner) owner.superseded = true;
            session.identity = answer.identity;
            session.clientId = client.id;
            done(null, true);
          },
          (error: unknown) => deny(connack.unavailable, 'the login could not be checked', error),
        );
      },

      authorizePublish(client, packet, callback) {
        const session = client ? sessions.get(client) : undefined;
        const who = client ? describe(client) : undefined;
        if (!client || !session || !who) return callback(new Error('a publish without a client'));
        session.lane.cameOut();
        const will = (client as unknown as { will: unknown }).will === packet;
        if (will && stopping) return callback(new Error('the broker is stopping'));
        if (!allowed(() => options.mayPublish(who.identity, packet.topic), packet.topic)) {
          forbid(who, 'publish to', packet.topic);
          return callback(new Error('topic forbidden'));
        }
        stats.published += 1;
        stats.held += 1;
        const publish = {
          clientId: who.clientId,
          topic: packet.topic,
          payload: typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload,
          qos: packet.qos,
          packetId: will || packet.qos === 0 ? 0 : (packet.messageId ?? 0),
          retain: packet.retain === true,
          duplicate: packet.dup === true,
          will,
          superseded: session.superseded,
        };
        if (options.retainFromClients !== true) packet.retain = false;
        const { topic } = packet;
        session.gate.pass({ topic, callback }, () => options.onPublish(who.identity, publish));
      },

      authorizeSubscribe(client, subscription, callback) {
        const session = sessions.get(client);
        const who = describe(client);
        const within = session !== undefined && session.subscriptions < limits.maxSubscriptionsPerClient;
        if (
          session &&
          who &&
          within &&
          allowed(() => options.maySubscribe(who.identity, subscription.topic), subscription.topic)
        ) {
          session.subscriptions += 1;
          return callback(null, subscription);
        }
        if (who) forbid(who, 'subscribe to', subscription.topic);
        callback(null, null);
      },
    });

  const quickLane = (guard: PacketGuard, client: Client): QuickLane => {
    let session: Session<I> | undefined;
    return new QuickLane({
      guard,
      endsHere(topic) {
        session ??= sessions.get(client);
        const identity = session?.identity;
        const clientId = session?.clientId;
        if (!session?.ready || !identity || clientId === undefined) return undefined;
        let taker: TakeBytes | undefined;
        const isAllowed = allowed(() => {
          taker = options.mayPublish(identity, topic) ? options.endsHere?.(identity, topic, clientId) : undefined;
          return taker !== undefined;
        }, topic);
        return isAllowed ? taker : undefined;
      },
      take(packetId, taker, bytes, from, to, duplicate) {
        stats.published += 1;
        stats.held += 1;
        (session ??= sessions.get(client) as Session<I>).gate.passBytes(packetId, taker, bytes, from, to, duplicate);
      },
      // The library ends a client that it does not hear from; it has no other way to be told.
      heard: () => (client as unknown as { _keepaliveTimer: NodeJS.Timeout | null })._keepaliveTimer?.refresh(),
    });
  };

  /** Runs an owner's event hook; its failure is logged, not spread. */
  const tell = (hook: ((client: BrokerClient<I>) => void) | undefined, client: BrokerClient<I>) => {
    try {
      hook?.(client);
    } catch (error) {
      log.error('a connection hook failed', { error });
    }
  };

  const watch = (broker: Aedes): void => {
    broker.on('client', (client) => {
      const who = describe(client);
      if (!who) return;
      connected.set(who.clientId, client);
      stats.clients = connected.size;
      log.debug('client connected', { client_id: who.clientId, identity: who.identity.id, address: who.address });
    });
    broker.on('clientReady', (client) => {
      const session = sessions.get(client);
      if (session) session.ready = true;
      const who = describe(client);
      if (who) tell(options.onConnect?.bind(options), who);
    });
    broker.on('clientDisconnect', (client) => {
      const who = describe(client);
      if (!who) return;
      if (connected.get(who.clientId) === client) connected.delete(who.clientId);
      stats.clients = connected.size;
      tell(options.onDisconnect?.bind(options), who);
    });
    broker.on('clientError', (client, error) =>
      log.debug('client closed', { client_id: client.id, reason: error.message }),
    );
    broker.on('connectionError', (_client, error) =>
      log.debug('connection closed before login', { reason: error.message }),
    );
    // An 'error' nobody listens to would end the process.
    (broker as unknown as NodeJS.EventEmitter).on('error', (error: unknown) =>
      log.error('the broker reports an error', { error }),
    );
  };

  const listeners = new Listeners({
    listeners: options.listeners,
    limits,
    clock,
    log,
    stats,
    onConnection(guard, facts) {
      if (!aedes || stopping) return void guard.destroy();
      const client = aedes.handle(guard);
      const session: Session<I> = {
        ...facts,
        gate: new PublishGate<HeldPublish | number>(clock, limits.publishDeadlineMs, {
          answer: (publish, failure, own) => answer(session, publish, failure, own),
          answered: () => session.lane.flush(),
        }),
        lane: quickLane(guard, client),
        ready: false,
        subscriptions: 0,
        superseded: false,
      };
      sessions.set(client, session);
      if (options.endsHere) guard.bypass = session.lane;
    },
  });

  return {
    async start() {
      aedes = await createAedes();
      watch(aedes);
      try {
        await listeners.open();
      } catch (error) {
        aedes.close();
        throw error;
      }
      log.info('broker listens', { ports: { ...listeners.ports } });
    },
    async stop() {
      if (!aedes || stopping) return;
      stopping = true;
      await listeners.closeListening();
      if (stats.held > 0) {
        await Promise.race([new Promise<void>((resolve) => (onNoneHeld = resolve)), clock.sleep(stopGraceMs)]);
        // The acknowledgements are written in the next turns of the event loop.
        await clock.sleep(flushMs);
      }
      const broker = aedes;
      await Promise.race([new Promise<void>((resolve) => broker.close(() => resolve())), clock.sleep(stopGraceMs)]);
      listeners.destroyConnections();
    },
    publish(topic, payload, { qos = 0, retain = false } = {}) {
      return new Promise((resolve, reject) => {
        if (!aedes || stopping) return reject(new Error('the broker is not running'));
        const bytes =
          typeof payload === 'string'
            ? Buffer.from(payload)
            : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
        aedes.publish({ cmd: 'publish', topic, payload: bytes, qos, retain, dup: false }, (error) =>
          error ? reject(error) : resolve(),
        );
      });
    },
    disconnect(clientId) {
      const client = connected.get(clientId);
      client?.close();
      return client !== undefined;
    },
    stats: () => ({ ...stats }),
    ports: listeners.ports,
  };
}
