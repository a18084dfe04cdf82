/** Who is connected and when each gateway was last heard. Kept in memory, noted in the store with what comes anyway. */
import type { Clock } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { GatewayEntry } from '../config/schema.js';
import type { GatewayStore } from '../stores/gateway-store.js';

export interface Presence {
  /** Something came from a gateway. */
  heard(gateway: GatewayEntry): void;
  /** When something came last, the village's Unix ms; null when never. */
  heardMs(gateway: GatewayEntry): number | null;
  connected(gateway: GatewayEntry): void;
  /** Its last connection is gone; `farewell` when it said goodbye before. */
  disconnected(gateway: GatewayEntry): void;
  /** It said that it stops, or its last will speaks. */
  unreachable(gateway: GatewayEntry, why: 'goodbye' | 'will'): void;
  /** Whether it is connected now; undefined when it was not since the start and nothing bad is known. */
  state(gateway: GatewayEntry): 'up' | 'down' | undefined;
  connectedCount(): number;
  /** Writes what was heard since the last time. */
  save(): void;
}

export interface PresenceOptions {
  readonly store: GatewayStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** A gateway became connected or unreachable. */
  readonly onChange: (gateway: GatewayEntry) => void;
}

const keyOf = (gateway: GatewayEntry) => `${gateway.gateway_id} ${gateway.grid_id}`;

/** Makes it. */
export function createPresence({ store, clock, log, onChange }: PresenceOptions): Presence {
  const heard = new Map<string, number>();
  const unsaved = new Map<string, GatewayEntry>();
  const connections = new Map<string, number>();
  const down = new Map<string, boolean>();

  const isDown = (gateway: GatewayEntry): boolean => {
    const key = keyOf(gateway);
    let known = down.get(key);
    if (known === undefined) {
      known = (store.get(gateway.gateway_id, gateway.grid_id)?.unreachableMs ?? null) !== null;
      down.set(key, known);
    }
    return known;
  };
  const setDown = (gateway: GatewayEntry, value: boolean): void => {
    if (isDown(gateway) === value) return;
    down.set(keyOf(gateway), value);
    store.setUnreachable(gateway.gateway_id, gateway.grid_id, value ? clock.nowMs() : null);
  };

  return {
    heard(gateway) {
      heard.set(keyOf(gateway), clock.nowMs());
      unsaved.set(keyOf(gateway), gateway);
    },
    heardMs(gateway) {
      const key = keyOf(gateway);
      const known = heard.get(key);
      if (known !== undefined) return known;
      return store.get(gateway.gateway_id, gateway.grid_id)?.receivedMs ?? null;
    },
    connected(gateway) {
      connections.set(keyOf(gateway), (connections.get(keyOf(gateway)) ?? 0) + 1);
      setDown(gateway, false);
      log.info('gateway connected', { gateway_id: gateway.gateway_id, grid_id: gateway.grid_id });
      onChange(gateway);
    },
    disconnected(gateway) {
      const left = Math.max(0, (connections.get(keyOf(gateway)) ?? 0) - 1);
      if (left > 0) return void connections.set(keyOf(gateway), left);
      connections.delete(keyOf(gateway));
      setDown(gateway, true);
      log.info('gateway disconnected', { gateway_id: gateway.gateway_id, grid_id: gateway.grid_id });
      onChange(gateway);
    },
    unreachable(gateway, why) {
      log.warn(why === 'will' ? 'gateway is unreachable: its connection broke' : 'gateway says goodbye', {
        gateway_id: gateway.gateway_id,
        grid_id: gateway.grid_id,
      });
      setDown(gateway, true);
      onChange(gateway);
    },
    state: (gateway) => (isDown(gateway) ? 'down' : connections.has(keyOf(gateway)) ? 'up' : undefined),
    connectedCount: () => connections.size,
    save() {
      for (const [key, gateway] of unsaved)
        store.received(gateway.gateway_id, gateway.grid_id, heard.get(key) as number);
      unsaved.clear();
    },
  };
}
