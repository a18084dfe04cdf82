/** What goes down to gateways: receipts, the answer to HELLO, and people's acts until the gateway has them in its log. */
import { topics, type AlertEvent, type Clock, type DownMessage, type Receipt } from '@villagrid/contracts';
import type { LifecyclePart, Logger } from '@villagrid/runtime';
import type { GatewayEntry } from '../config/schema.js';
import type { Directory } from '../directory/directory.js';
import type { Counters } from '../observe/counters.js';
import type { ActStore } from '../stores/act-store.js';
import type { Presence } from '../uplink/presence.js';

export interface Downlink extends LifecyclePart {
  send(gateway: GatewayEntry, message: DownMessage): void;
  sendReceipt(gateway: GatewayEntry, receipt: Receipt): void;
  sendActs(gateway: GatewayEntry, events: readonly AlertEvent[]): void;
  /** All acts that wait for this gateway. */
  sendWaiting(gateway: GatewayEntry): void;
}

export interface DownlinkOptions {
  readonly publish: (topic: string, payload: string) => Promise<void>;
  readonly acts: ActStore;
  readonly directory: Directory;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly log: Logger;
  readonly counters: Counters;
}

/** Bounds of one ActsDown message. */
const mostEvents = 50;
const mostBytes = 60_000;
/** Acts older than this (village time) that are not confirmed go again to connected gateways, looked at this often (real). */
const repeatMs = 60_000;

/** Makes it. */
export function createDownlink(options: DownlinkOptions): Downlink {
  const { acts, directory, presence, clock, realClock, log, counters } = options;
  let timer: { cancel(): void } | undefined;

  const send = (gateway: GatewayEntry, message: DownMessage): void => {
    options.publish(topics.down(gateway.grid_id, gateway.gateway_id), JSON.stringify(message)).catch((error: unknown) =>
      // Nothing is lost: receipts and acts are told again at the next HELLO.
      log.warn('a message could not be sent down', { gateway_id: gateway.gateway_id, message: message.y, error }),
    );
  };
  const sendActs = (gateway: GatewayEntry, events: readonly AlertEvent[]): void => {
    let part: AlertEvent[] = [];
    let bytes = 0;
    const flush = () => {
      if (part.length === 0) return;
      counters.actsSent += part.length;
      send(gateway, { y: 'acts', events: part });
      part = [];
      bytes = 0;
    };
    for (const event of events) {
      const size = Buffer.byteLength(JSON.stringify(event));
      if (part.length >= mostEvents || bytes + size > mostBytes) flush();
      part.push(event);
      bytes += size;
    }
    flush();
  };

  return {
    name: 'downlink',
    send,
    sendReceipt: send,
    sendActs,
    sendWaiting: (gateway) => sendActs(gateway, acts.waiting(gateway.grid_id)),
    start() {
      timer = realClock.every(repeatMs, () => {
        for (const gateway of directory.all()) {
          if (presence.state(gateway) !== 'up') continue;
          sendActs(gateway, acts.waiting(gateway.grid_id, clock.nowMs() - repeatMs));
        }
      });
    },
    stop: () => timer?.cancel(),
  };
}
