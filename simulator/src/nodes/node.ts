/** A virtual ESP32 node: samples, keeps, publishes one message at a time, and resends what was not acknowledged. */
import { type Clock, type RandomSource, type Timer, topics } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { Values } from '../reference/signals.js';
import { createMqttLink, type MqttEndpoint } from './mqtt-link.js';
import { createReadingStore, telemetryPayload } from './store.js';

/** What a node is made from. */
export interface NodeOptions {
  readonly gridId: string;
  readonly deviceId: string;
  readonly endpoint: MqttEndpoint;
  /** Village ms between samples. */
  readonly periodMs: number;
  /** Whether the node has a clock and sends `ts`. */
  readonly hasClock: boolean;
  readonly sample: () => Values;
  /** A new id for each boot of the node. */
  readonly newBootId: () => string;
  readonly villageClock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly capacity?: number;
  /** Real ms without acknowledgement after which a message is sent again. */
  readonly ackTimeoutMs?: number;
}

/** A running node. */
export interface VirtualNode {
  readonly deviceId: string;
  start(): void;
  stop(): Promise<void>;
  /** Power off without a word: what it kept is gone. On again is a new boot. */
  setDead(dead: boolean): void;
  /** Sends its newest reading again and again, as fast as a broken loop does. */
  setFlooding(on: boolean): void;
  status(): NodeStatus;
}

/** What a node can say about itself. */
export interface NodeStatus {
  readonly connected: boolean;
  readonly dead: boolean;
  readonly boot: string;
  readonly seq: number;
  readonly waiting: number;
  readonly acknowledged: number;
  readonly givenUp: number;
}

const batchSize = 50;
const floodPeriodMs = 5;
const resendsBeforeReconnect = 2;

const decimals = (value: number): number => Math.round(value * 1000) / 1000;

/** Makes a node; it does nothing before `start`. */
export function createNode(options: NodeOptions): VirtualNode {
  const { deviceId, villageClock, realClock } = options;
  const ackTimeoutMs = options.ackTimeoutMs ?? 15_000;
  const telemetryTopic = topics.telemetry(options.gridId, deviceId);
  const store = createReadingStore(options.capacity);
  let boot = '';
  let bootMonotonicMs = 0;
  let seq = 0;
  let acknowledged = 0;
  let dead = false;
  let running = false;
  let sampling: Timer | undefined;
  let flood: Timer | undefined;
  /** The message in flight: its last sequence number, how often it was sent, and its deadline. */
  let flight:
    | { readonly lastSeq: number; readonly count: number; readonly payload: string; tries: number; deadline: Timer }
    | undefined;

  const link = createMqttLink({
    endpoint: options.endpoint,
    clientId: deviceId,
    statusTopic: topics.status(options.gridId, deviceId),
    clock: realClock,
    random: options.random,
    log: options.log,
    onUp: () => send(),
    onDown: () => land(),
  });

  /** Forgets the message in flight; its readings are still in the store. */
  function land(): void {
    flight?.deadline.cancel();
    flight = undefined;
  }

  function transmit(message: NonNullable<typeof flight>): void {
    message.tries += 1;
    message.deadline = realClock.after(ackTimeoutMs, () => {
      if (flight !== message) return;
      if (message.tries > resendsBeforeReconnect) link.drop();
      else transmit(message);
    });
    const sentBoot = boot;
    link.publish(telemetryTopic, message.payload, (error) => {
      if (error !== undefined || flight !== message || sentBoot !== boot) return;
      land();
      store.removeThrough(message.lastSeq);
      acknowledged += message.count;
      send();
    });
  }

  function send(): void {
    if (flight !== undefined || !link.connected || dead) return;
    const readings = store.oldest(batchSize);
    const last = readings.at(-1);
    if (last === undefined) return;
    const deadline: Timer = { cancel: () => undefined };
    flight = {
      lastSeq: last.seq,
      count: readings.length,
      payload: telemetryPayload(boot, readings),
      tries: 0,
      deadline,
    };
    transmit(flight);
  }

  function sample(): void {
    const metrics = Object.fromEntries(
      Object.entries(options.sample()).map(([metric, value]) => [metric, decimals(value)]),
    );
    seq += 1;
    const up = Math.round(villageClock.monotonicMs() - bootMonotonicMs);
    store.add({ seq, up, ...(options.hasClock ? { ts: Math.round(villageClock.nowMs()) } : {}), metrics });
    send();
  }

  function powerOn(): void {
    boot = options.newBootId();
    bootMonotonicMs = villageClock.monotonicMs();
    seq = 0;
    store.clear();
    link.start();
    sample();
    sampling = villageClock.every(options.periodMs, sample);
  }

  function powerOff(): void {
    sampling?.cancel();
    sampling = undefined;
    land();
  }

  return {
    deviceId,
    start() {
      if (running) return;
      running = true;
      if (!dead) powerOn();
    },
    async stop() {
      running = false;
      flood?.cancel();
      powerOff();
      await link.close();
    },
    setDead(next) {
      if (next === dead) return;
      dead = next;
      if (!running) return;
      if (dead) {
        powerOff();
        link.vanish();
      } else powerOn();
    },
    setFlooding(on) {
      flood?.cancel();
      flood = undefined;
      if (!on) return;
      flood = realClock.every(floodPeriodMs, () => {
        const newest = store.oldest(batchSize).at(-1);
        const metrics = newest?.metrics ?? options.sample();
        const again = newest ?? { seq, up: Math.round(villageClock.monotonicMs() - bootMonotonicMs), metrics };
        if (!dead) link.publish(telemetryTopic, telemetryPayload(boot, [again]), () => undefined);
      });
    },
    status: () => ({
      connected: link.connected,
      dead,
      boot,
      seq,
      waiting: store.size,
      acknowledged,
      givenUp: store.givenUp,
    }),
  };
}
