/**
 * Publishes that a node sends again because it waited too little for its acknowledgement. Readings with `boot` and
 * `seq` are recognised by intake; what has no number of its own is recognised here, by what MQTT gives: the DUP flag and
 * the packet id, together with the same bytes. A publish without DUP is always a new one.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '@villagrid/contracts';
import type { BrokerPublish } from '@villagrid/runtime';

/** Publishes remembered of one device, and devices remembered. */
const mostPublishes = 128;
const mostDevices = 1000;
/** A node that is away longer than this starts with new packet ids, real milliseconds. */
const rememberMs = 600_000;

interface Known {
  readonly digest: string;
  readonly atMs: number;
  readonly taken: Promise<unknown>;
}

/** The parts of a publish that tell whether it came before. */
export type Resendable = Pick<BrokerPublish, 'topic' | 'payload' | 'qos' | 'packetId' | 'duplicate'>;

/** See the head of this file. Memory is bounded by devices and publishes, not by time. */
export class Resends {
  readonly #clock: Clock;
  readonly #devices = new Map<string, Map<number, Known>>();
  /** Copies that were recognised. */
  recognised = 0;

  constructor(realClock: Clock) {
    this.#clock = realClock;
  }

  /** Runs `take` for a new publish; a copy of an earlier one gets the promise of the first. */
  once(deviceId: string, publish: Resendable, take: () => Promise<unknown>): Promise<unknown> {
    const { packetId, qos, duplicate } = publish;
    if (qos === 0 || packetId === 0) return take();
    const digest = createHash('sha1').update(publish.topic).update('\0').update(publish.payload).digest('base64');
    const nowMs = this.#clock.monotonicMs();
    const publishes = this.#of(deviceId);
    const known = publishes.get(packetId);
    if (duplicate && known && known.digest === digest && nowMs - known.atMs <= rememberMs) {
      this.recognised += 1;
      return known.taken;
    }
    const taken = take();
    const mine: Known = { digest, atMs: nowMs, taken };
    publishes.delete(packetId);
    publishes.set(packetId, mine);
    for (const oldest of publishes.keys()) if (publishes.size > mostPublishes) publishes.delete(oldest);
    // What could not be stored is new when it comes again.
    taken.catch(() => {
      if (publishes.get(packetId) === mine) publishes.delete(packetId);
    });
    return taken;
  }

  #of(deviceId: string): Map<number, Known> {
    const publishes = this.#devices.get(deviceId) ?? new Map<number, Known>();
    this.#devices.delete(deviceId);
    this.#devices.set(deviceId, publishes);
    for (const oldest of this.#devices.keys()) if (this.#devices.size > mostDevices) this.#devices.delete(oldest);
    return publishes;
  }
}
