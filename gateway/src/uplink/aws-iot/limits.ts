/** What AWS IoT Core takes of one connection, and how we stay below it. Pure but for the clock it is given. */
import type { Clock } from '@villagrid/contracts';

/** Limits of AWS IoT Core per connection. */
export const awsIotLimits = {
  /** Largest payload, bytes. */
  payloadBytes: 128 * 1024,
  publishesPerS: 100,
  bytesPerS: 512 * 1024,
  /** Publishes that may wait for their acknowledgement. */
  unacknowledged: 100,
  subscriptions: 50,
  /** Keep-alive, seconds. */
  keepaliveS: { least: 30, most: 1200 },
  /** Topic, bytes; the Basic Ingest prefix is not counted. */
  topicBytes: 256,
  slashes: 7,
} as const;

/** A keep-alive that the service takes, seconds. */
export const keepaliveWithin = (seconds: number): number =>
  Math.min(awsIotLimits.keepaliveS.most, Math.max(awsIotLimits.keepaliveS.least, Math.round(seconds)));

/** Why a message is never sent; undefined when it may be. `topic` is without the Basic Ingest prefix. */
export function whyTooMuch(topic: string, bytes: number): string | undefined {
  const { payloadBytes, topicBytes, slashes } = awsIotLimits;
  if (bytes > payloadBytes) return `${bytes} bytes; AWS IoT Core takes at most ${payloadBytes}`;
  if (Buffer.byteLength(topic) > topicBytes) return `the topic has more than ${topicBytes} bytes`;
  if (topic.split('/').length - 1 > slashes) return `the topic has more than ${slashes} slashes`;
  return undefined;
}

/** Says how long a message must wait so that no second sees more than the limits. */
export interface Pacer {
  /** Takes a place for a message of so many bytes; milliseconds until it may go. */
  waitMs(bytes: number): number;
}

/** Room for bytes and messages fills again evenly; a burst of a quarter second's worth goes at once. */
export function createPacer(clock: Pick<Clock, 'monotonicMs'>): Pacer {
  const burstMs = 250;
  // When all that was let through would have gone at the steady rate, slower than the limit by that burst.
  const slack = 1000 / (1000 - burstMs);
  const msPerPublish = (1000 / awsIotLimits.publishesPerS) * slack;
  const msPerByte = (1000 / awsIotLimits.bytesPerS) * slack;
  let publishesMs = -Infinity;
  let bytesMs = -Infinity;
  return {
    waitMs(bytes) {
      const nowMs = clock.monotonicMs();
      publishesMs = Math.max(publishesMs, nowMs - burstMs) + msPerPublish;
      bytesMs = Math.max(bytesMs, nowMs - burstMs) + bytes * msPerByte;
      return Math.max(0, publishesMs - nowMs, bytesMs - nowMs);
    },
  };
}
