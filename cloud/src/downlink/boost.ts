/**
 * While somebody watches a grid's live values, its gateway is asked to send more of them. It ends by itself: the gateway
 * goes back to its plan when the asking stops, whatever became of this process.
 */
import type { Clock, Plan } from '@villagrid/contracts';
import type { LifecyclePart } from '@villagrid/runtime';
import type { GatewayEntry } from '../config/schema.js';
import type { Directory } from '../directory/directory.js';
import type { Presence } from '../uplink/presence.js';
import type { Downlink } from './downlink.js';

/** Asked anew this often, real milliseconds; each asking lasts for so long, seconds. */
const askEveryMs = 60_000;
const askForS = 120;

export interface Boost extends LifecyclePart {
  /** A gateway said what it sends; one that sends every sample is never asked for more. */
  plan(gateway: GatewayEntry, plan: Plan): void;
  /** Somebody begins to watch a grid, or the last one stopped. */
  watched(gridId: string, on: boolean): void;
}

export interface BoostOptions {
  readonly directory: Directory;
  readonly presence: Presence;
  readonly downlink: Downlink;
  readonly realClock: Clock;
}

/** Makes it. */
export function createBoost({ directory, presence, downlink, realClock }: BoostOptions): Boost {
  const plans = new Map<string, Plan>();
  const watched = new Set<string>();
  let timer: { cancel(): void } | undefined;

  const ask = (gateway: GatewayEntry): void => {
    const plan = plans.get(gateway.gateway_id);
    if (plan === undefined || plan === 'raw' || presence.state(gateway) !== 'up') return;
    if (watched.has(gateway.grid_id)) downlink.send(gateway, { y: 'boost', for_s: askForS });
  };

  return {
    name: 'boost',
    plan(gateway, plan) {
      plans.set(gateway.gateway_id, plan);
      ask(gateway);
    },
    watched(gridId, on) {
      if (!on) return void watched.delete(gridId);
      watched.add(gridId);
      const gateway = directory.ofGrid(gridId);
      if (gateway && gateway.own === undefined) ask(gateway);
    },
    start() {
      timer = realClock.every(askEveryMs, () => {
        for (const gateway of directory.all()) ask(gateway);
      });
    },
    stop: () => timer?.cancel(),
  };
}
