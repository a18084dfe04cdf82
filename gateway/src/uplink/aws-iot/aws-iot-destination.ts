/**
 * The destination `aws-iot`: AWS IoT Core (or a broker like it) by aws-iot-device-sdk-v2, in a process of its own that is
 * started with the first connection and anew with each. The library is installed only on boxes that use it.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Clock, RandomSource, Timer } from '@villagrid/contracts';
import { backoffDelayMs, type Logger } from '@villagrid/runtime';
import type { DestinationEvents, UplinkDestination } from '../destination.js';
import { connectionBytes, headersOf } from '../line-bytes.js';
import { awsIotLimits, createPacer, keepaliveWithin, whyTooMuch } from './limits.js';
import type { FromChild, ToChild } from './messages.js';

export interface AwsIotDestinationOptions {
  /** mqtts://endpoint:port; the port is 8883, or 443 where a firewall leaves only that. */
  readonly url: string;
  readonly caFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Client id and thing name: the gateway's id. */
  readonly clientId: string;
  /** Name of the IoT rule that takes what is published; topics then begin with `$aws/rules/<rule>/` (Basic Ingest). */
  readonly rule?: string;
  readonly will?: { readonly topic: string; readonly payload: string };
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly keepaliveS?: number;
  readonly backoff?: { readonly minMs: number; readonly maxMs: number };
  /** Starting the process and its connection, and waiting for an acknowledgement; milliseconds of the real clock. */
  readonly within?: { readonly connectMs: number; readonly acknowledgeMs: number };
}

const endWithinMs = 700;
/** What TLS adds to a message, and its handshake with certificates each way, as reckoned: the library does not count. */
const recordBytes = 29;
const handshakeBytes = { sentBytes: 2600, receivedBytes: 3600 };
const packetBytes = 7;
/** Environment that the process needs; it gets nothing else of ours. */
const inherited = ['PATH', 'HOME', 'TMPDIR', 'NODE_PATH', 'LANG', 'TZ'];

interface Waiting {
  done(): void;
  failed(error: Error): void;
}

/** Makes the destination; nothing is started and nothing of the library loaded before `open`. */
export function createAwsIotDestination(options: AwsIotDestinationOptions): UplinkDestination {
  const { realClock, random, log, keepaliveS = 120, backoff = { minMs: 500, maxMs: 30_000 }, rule } = options;
  const { connectMs, acknowledgeMs } = options.within ?? { connectMs: 60_000, acknowledgeMs: 20_000 };
  const { hostname, port } = new URL(options.url);
  const pacer = createPacer(realClock);
  const traffic = { sentBytes: 0, receivedBytes: 0 };
  const waiting = new Map<number, Waiting>();
  let child: ChildProcess | undefined;
  let ready = false;
  let closed = false;
  let attempt = 0;
  let nextId = 1;
  let retry: Timer | undefined;
  let told: string | undefined;

  type Way = 'sentBytes' | 'receivedBytes';
  const count = (bytes: number, along: Way, back: Way): void => {
    const headers = headersOf(bytes);
    traffic[along] += bytes + packetBytes + recordBytes + headers.along;
    // The acknowledgement, 4 bytes in a record of its own.
    traffic[back] += 4 + recordBytes + headers.back;
  };

  const connect = (subscription: string, events: DestinationEvents): void => {
    if (closed) return;
    let reason = 'the process of the library ended';
    let isOver = false;
    const made = fork(childPath(), [], {
      serialization: 'advanced',
      env: Object.fromEntries(inherited.map((name) => [name, process.env[name]])),
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    child = made;
    const late = realClock.after(connectMs, () => {
      reason = 'no connection in time';
      made.kill('SIGKILL');
    });
    const again = (): void => {
      if (isOver) return;
      isOver = true;
      late.cancel();
      const was = ready && child === made;
      if (child === made) {
        child = undefined;
        ready = false;
      }
      for (const one of [...waiting.values()]) one.failed(new Error('the link went down'));
      made.kill('SIGKILL');
      if (closed) return;
      const delay = backoffDelayMs(attempt, { ...backoff, random });
      attempt += 1;
      if (was || told !== reason) log.warn('no link to the cloud', { reason, again_in_ms: Math.round(delay) });
      told = reason;
      if (was) events.down(reason);
      retry?.cancel();
      retry = realClock.after(delay, () => connect(subscription, events));
    };
    made.on('error', (error) => {
      reason = error.message;
      again();
    });
    made.on('exit', (_code, signal) => {
      if (signal !== null && signal !== 'SIGKILL') reason = `the library ended its process with ${signal}`;
      again();
    });
    made.on('message', (message: FromChild) => {
      if (child !== made) return;
      switch (message.type) {
        case 'up':
          late.cancel();
          ready = true;
          attempt = 0;
          told = undefined;
          traffic.sentBytes += handshakeBytes.sentBytes + connectionBytes;
          traffic.receivedBytes += handshakeBytes.receivedBytes + connectionBytes;
          log.info('linked to the cloud', { url: options.url });
          events.up();
          break;
        case 'done':
          waiting.get(message.id)?.done();
          break;
        case 'failed':
          waiting.get(message.id)?.failed(new Error(message.reason));
          break;
        case 'message':
          count(message.bytes.length + message.topic.length, 'receivedBytes', 'sentBytes');
          events.message(message.topic, message.bytes);
          break;
        case 'down':
          reason = message.reason;
          if (message.missing === true && told !== reason)
            log.error('the library of the destination aws-iot is not installed', {
              next: 'npm install --no-save aws-iot-device-sdk-v2@1.28.0, or destination: mqtt, which reaches AWS IoT Core too',
            });
          again();
      }
    });
    send(made, {
      type: 'connect',
      settings: {
        host: hostname.replace(/^\[|\]$/g, ''),
        port: Number(port),
        clientId: options.clientId,
        caFile: options.caFile,
        certificateFile: options.certificateFile,
        keyFile: options.keyFile,
        keepaliveS: keepaliveWithin(keepaliveS),
        subscription,
        will: options.will,
      },
    });
  };

  const send = (to: ChildProcess, message: ToChild): void => {
    // A process that just ended tells so by its exit.
    if (to.connected) to.send(message, () => undefined);
  };

  return {
    open: connect,
    traffic: () => ({ ...traffic }),
    get connected() {
      return ready;
    },
    publish(topic, bytes) {
      const current = child;
      const tooMuch = whyTooMuch(topic, bytes.length);
      if (tooMuch !== undefined) return Promise.reject(new Error(tooMuch));
      if (!ready || current === undefined) return Promise.reject(new Error('no link'));
      if (waiting.size >= awsIotLimits.unacknowledged)
        return Promise.reject(new Error('too many publishes wait for their acknowledgement'));
      const id = nextId++;
      return new Promise((resolve, reject) => {
        let late: Timer | undefined;
        let pause: Timer | undefined;
        const finish = (): void => {
          waiting.delete(id);
          late?.cancel();
          pause?.cancel();
        };
        waiting.set(id, {
          done() {
            finish();
            resolve();
          },
          failed(error) {
            finish();
            reject(error);
          },
        });
        const go = (): void => {
          const full = rule === undefined ? topic : `$aws/rules/${rule}/${topic}`;
          count(bytes.length + full.length, 'sentBytes', 'receivedBytes');
          send(current, { type: 'publish', id, topic: full, bytes });
          late = realClock.after(acknowledgeMs, () => {
            waiting.get(id)?.failed(new Error('not acknowledged in time'));
            current.kill('SIGKILL');
          });
        };
        const waitMs = pacer.waitMs(bytes.length);
        if (waitMs > 0) pause = realClock.after(waitMs, go);
        else go();
      });
    },
    async close() {
      closed = true;
      retry?.cancel();
      ready = false;
      const current = child;
      child = undefined;
      if (current === undefined || current.exitCode !== null || current.signalCode !== null) return;
      const ended = new Promise<void>((resolve) => current.once('exit', () => resolve()));
      send(current, { type: 'end' });
      await Promise.race([ended, realClock.sleep(endWithinMs)]);
      current.kill('SIGKILL');
      await ended;
    },
  };
}

/** The program of the process, beside this file: as source, compiled, or in the bundle. */
function childPath(): string {
  const found = ['.js', '.ts'].map((end) => fileURLToPath(new URL(`./aws-iot-child${end}`, import.meta.url)));
  return found.find((path) => existsSync(path)) ?? (found[0] as string);
}
