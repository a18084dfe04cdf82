/** The destination `mqtt`: any broker with client certificates, by mqtt.js. */
import { readFileSync } from 'node:fs';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { messageOf, type Clock, type RandomSource, type Timer } from '@villagrid/contracts';
import { backoffDelayMs, whyNotPeer, type Logger } from '@villagrid/runtime';
import type { MqttClient } from 'mqtt';
import type { DestinationEvents, UplinkDestination } from './destination.js';
import { connectionBytes, headersOf } from './line-bytes.js';

export interface MqttDestinationOptions {
  /** mqtts://host:port */
  readonly url: string;
  readonly caFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Client id and thing name: the gateway's id. */
  readonly clientId: string;
  readonly will?: { readonly topic: string; readonly payload: string };
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  /**
   * The right time by which certificates are judged when the system's clock is wrong; undefined when nobody knows it.
   * Left out, or while `systemIsRight`, the TLS library judges by the system's clock.
   */
  readonly judge?: { systemIsRight(): boolean; nowMs(): number | undefined };
  /** Keep-alive, seconds: a half-open line without traffic is noticed within one and a half of it. */
  readonly keepaliveS?: number;
  readonly backoff?: { readonly minMs: number; readonly maxMs: number };
}

const connectWithinMs = 15_000;
/** How long a publish may wait for its acknowledgement before the line counts as dead, milliseconds. */
const acknowledgeWithinMs = 20_000;

/** Makes the destination. Certificate files are read at each connection, so that renewed ones are used. */
export function createMqttDestination(options: MqttDestinationOptions): UplinkDestination {
  const { realClock, random, log, keepaliveS = 30, backoff = { minMs: 500, maxMs: 30_000 } } = options;
  const { hostname, port } = new URL(options.url);
  const host = hostname.replace(/^\[|\]$/g, '');
  /** Of connections that are over, and headers of all. */
  const past = { sentBytes: 0, receivedBytes: 0 };
  let line: Socket | undefined;
  let client: MqttClient | undefined;
  let ready = false;
  let closed = false;
  let attempt = 0;
  let retry: Timer | undefined;
  let told: string | undefined;
  let library: typeof import('mqtt') | undefined;

  const connect = (subscription: string, events: DestinationEvents) => {
    if (closed) return;
    if (library === undefined) {
      // Loaded with the first connection, so that nothing at the start waits for it.
      void import('mqtt').then((loaded) => {
        library = loaded;
        connect(subscription, events);
      });
      return;
    }
    const again = (reason: string) => {
      const was = ready;
      ready = false;
      const old = client;
      client = undefined;
      old?.removeAllListeners();
      old?.on('error', () => undefined);
      old?.end(true);
      if (closed) return;
      const delay = backoffDelayMs(attempt, { ...backoff, random });
      attempt += 1;
      if (was || told !== reason) log.warn('no link to the cloud', { reason, again_in_ms: Math.round(delay) });
      told = reason;
      if (was) events.down(reason);
      retry?.cancel();
      retry = realClock.after(delay, () => connect(subscription, events));
    };
    let made: MqttClient;
    const byHand = options.judge !== undefined && !options.judge.systemIsRight() ? options.judge : undefined;
    let reason = 'the connection was closed';
    try {
      const secure = {
        ca: readFileSync(options.caFile),
        cert: readFileSync(options.certificateFile),
        key: readFileSync(options.keyFile),
        rejectUnauthorized: byHand === undefined,
      };
      made = new library.default.MqttClient(() => dial(secure), {
        clientId: options.clientId,
        protocolVersion: 4,
        clean: true,
        keepalive: keepaliveS,
        connectTimeout: connectWithinMs,
        reconnectPeriod: 0,
        queueQoSZero: false,
        ...(options.will === undefined
          ? {}
          : {
              will: {
                topic: options.will.topic,
                payload: Buffer.from(options.will.payload),
                qos: 1 as const,
                retain: false,
              },
            }),
      });
    } catch (error) {
      again(messageOf(error));
      return;
    }
    client = made;
    made.on('packetsend', (packet) => count(packet, 'sentBytes', 'receivedBytes'));
    made.on('packetreceive', (packet) => count(packet, 'receivedBytes', 'sentBytes'));
    if (byHand !== undefined) {
      const socket: unknown = made.stream;
      // Before anything of the other side is read: nothing but CONNECT has left by then.
      const check = () => {
        const why = socket instanceof TLSSocket ? whyNot(socket, byHand.nowMs()) : 'no TLS';
        if (why === undefined) return;
        reason = why;
        made.end(true);
      };
      if (socket instanceof TLSSocket) socket.prependOnceListener('secureConnect', check);
      else check();
    }
    made.on('error', (error) => {
      reason = error.message || String((error as NodeJS.ErrnoException).code ?? 'connection error');
    });
    made.on('close', () => {
      if (client === made) again(reason);
    });
    made.on('message', (topic, payload) => {
      if (client === made) events.message(topic, payload);
    });
    made.on('connect', () => {
      made.subscribe(subscription, { qos: 1 }, (error, granted) => {
        if (client !== made) return;
        if (error || granted?.some((one) => one.qos === 128)) {
          again(`subscribing to ${subscription} was refused`);
          return;
        }
        ready = true;
        attempt = 0;
        told = undefined;
        log.info('linked to the cloud', { url: options.url });
        events.up();
      });
    });
  };

  const whyNot = (socket: TLSSocket, nowMs: number | undefined): string | undefined => {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return 'the other side has no certificate';
    return whyNotPeer({ certificate, caPem: readFileSync(options.caFile, 'utf8'), host, nowMs });
  };

  /** TLS over a socket of ours, whose bytes are those on the line. */
  const dial = (secure: { ca: Buffer; cert: Buffer; key: Buffer; rejectUnauthorized: boolean }): TLSSocket => {
    hangUp();
    const socket = connectTcp({ host, port: Number(port), noDelay: true });
    line = socket;
    return connectTls({ socket, ...(isIP(host) === 0 ? { servername: host } : {}), host, ...secure });
  };
  const hangUp = () => {
    if (line === undefined) return;
    past.sentBytes += line.bytesWritten + connectionBytes;
    past.receivedBytes += line.bytesRead + connectionBytes;
    line = undefined;
  };
  type Way = 'sentBytes' | 'receivedBytes';
  const count = (packet: { cmd: string; payload?: unknown }, along: Way, back: Way) => {
    const bytes = packet.payload instanceof Uint8Array ? packet.payload.length : 0;
    const headers = headersOf(bytes);
    past[along] += headers.along;
    past[back] += headers.back;
  };

  return {
    open: connect,
    traffic: () => ({
      sentBytes: past.sentBytes + (line?.bytesWritten ?? 0),
      receivedBytes: past.receivedBytes + (line?.bytesRead ?? 0),
    }),
    get connected() {
      return ready;
    },
    publish(topic, bytes) {
      const current = client;
      if (!ready || current === undefined) return Promise.reject(new Error('no link'));
      return new Promise((resolve, reject) => {
        let done = false;
        const finish = (error?: Error) => {
          if (done) return;
          done = true;
          late.cancel();
          current.off('close', gone);
          if (error) reject(error);
          else resolve();
        };
        const gone = () => finish(new Error('the link went down'));
        const late = realClock.after(acknowledgeWithinMs, () => {
          finish(new Error('not acknowledged in time'));
          current.end(true);
        });
        current.once('close', gone);
        current.setMaxListeners(64);
        current.publish(topic, Buffer.from(bytes), { qos: 1 }, (error) => finish(error ?? undefined));
      });
    },
    async close() {
      closed = true;
      retry?.cancel();
      ready = false;
      const current = client;
      client = undefined;
      if (current === undefined) return;
      current.removeAllListeners();
      current.on('error', () => undefined);
      await Promise.race([current.endAsync(false), realClock.sleep(700)]).catch(() => undefined);
      current.end(true);
    },
  };
}
