/** The JSON lanes: session (HELLO, goodbye) and alerts (events that must not wait for telemetry). */
import {
  checkAlertEvent,
  envelopeAbilities,
  gatewayOnlyEvents,
  messageOf,
  VillagridError,
  type AlertEvent,
  type Clock,
  type Hello,
  type Plan,
} from '@villagrid/contracts';
import type { AlertStore, Logger, SqliteDatabase } from '@villagrid/runtime';
import type { GatewayEntry } from '../config/schema.js';
import type { Commands } from '../downlink/commands.js';
import type { Documents } from '../downlink/documents.js';
import type { Downlink } from '../downlink/downlink.js';
import type { Counters } from '../observe/counters.js';
import { isStoreFailure } from '../stores/database.js';
import type { GatewayStore } from '../stores/gateway-store.js';
import type { DeadLetter, UplinkStore } from '../stores/uplink-store.js';
import {
  alertsUpSchema,
  checkMessage,
  checkSite,
  commandOutcomeSchema,
  commandReadySchema,
  goodbyeSchema,
  helloSchema,
  parseJson,
} from './json.js';
import type { Presence } from './presence.js';

export interface LanesOptions {
  readonly database: SqliteDatabase;
  readonly gateways: GatewayStore;
  readonly store: UplinkStore;
  readonly alerts: AlertStore;
  readonly presence: Presence;
  readonly downlink: Downlink;
  readonly documents: Documents;
  readonly commands: Commands;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: Counters;
  /** What a gateway says it sends, at each HELLO, after it was answered. */
  readonly onPlan: (gateway: GatewayEntry, plan: Plan) => void;
  readonly onSite: (gateway: GatewayEntry) => void;
  readonly onAlerts: (gateway: GatewayEntry, alertIds: ReadonlySet<string>) => void;
}

/** The two lanes; both resolve when what they took is durable, and reject when it could not be stored. */
export interface Lanes {
  session(gateway: GatewayEntry, payload: Uint8Array): Promise<void>;
  alerts(gateway: GatewayEntry, payload: Uint8Array): Promise<void>;
}

/** Makes them. */
export function createLanes(options: LanesOptions): Lanes {
  const { database, gateways, store, presence, downlink, clock, log, counters } = options;

  const refuse = async (
    gateway: GatewayEntry,
    stage: DeadLetter['stage'],
    reason: string,
    bytes: Uint8Array,
    code = 'E_PAYLOAD_SCHEMA',
  ): Promise<void> => {
    const { gateway_id: gatewayId, grid_id: gridId } = gateway;
    log.warn('a message of a gateway was refused', { code, gateway_id: gatewayId, stage, reason });
    await store.keepDeadLetter(
      { stage, gatewayId, gridId, epoch: null, number: null, code, reason, bytes },
      clock.nowMs(),
    );
  };

  const hello = async (gateway: GatewayEntry, message: Hello, payload: Uint8Array): Promise<void> => {
    const { gateway_id: gatewayId, grid_id: gridId } = gateway;
    counters.hellos += 1;
    const before = gateways.get(gatewayId, gridId);
    const site = checkSite(message.site, gatewayId, gridId);
    if (!site.ok) await refuse(gateway, 'hello', site.reason, payload);
    gateways.hello(message, gridId, site.ok ? site.value : undefined, clock.nowMs());
    if (before?.epoch !== message.epoch)
      log.info('a gateway has a new log', {
        gateway_id: gatewayId,
        epoch: message.epoch,
        before: before?.epoch ?? null,
      });
    await store.noteNewest(gatewayId, message.epoch, message.newest_number, clock.nowMs());
    const given = await store.giveUp(gatewayId, gridId, message.epoch, goneUpTo(message), clock.nowMs());
    if (given.length > 0)
      log.error('log numbers are lost: the gateway no longer has them and the cloud never got them', {
        gateway_id: gatewayId,
        epoch: message.epoch,
        ranges: given.slice(0, 20),
      });
    const receipt = await store.receipt(gatewayId, message.epoch);
    downlink.send(gateway, { y: 'welcome', server_time_ms: clock.nowMs(), receipt, takes: envelopeAbilities });
    downlink.sendWaiting(gateway);
    options.onPlan(gateway, message.plan);
    options.documents.hello(gateway, message.documents);
    options.commands.hello(gateway, message.commands);
    if (site.ok && JSON.stringify(before?.site) !== JSON.stringify(site.value)) options.onSite(gateway);
  };

  const session = async (gateway: GatewayEntry, payload: Uint8Array): Promise<void> => {
    presence.heard(gateway);
    const parsed = parseJson(payload);
    if (!parsed.ok) return refuse(gateway, 'hello', parsed.reason, payload, 'E_PAYLOAD_NOT_JSON');
    const bye = checkMessage(goodbyeSchema, parsed.value);
    if (bye.ok) {
      presence.save();
      return presence.unreachable(gateway, 'goodbye');
    }
    const ready = checkMessage(commandReadySchema, parsed.value);
    if (ready.ok) return options.commands.ready(gateway, ready.value.id);
    const outcome = checkMessage(commandOutcomeSchema, parsed.value);
    if (outcome.ok) return options.commands.outcome(gateway, outcome.value);
    const message = checkMessage(helloSchema, parsed.value);
    if (!message.ok) return refuse(gateway, 'hello', message.reason, payload);
    if (message.value.gateway_id !== gateway.gateway_id)
      return refuse(gateway, 'hello', `says it is ${message.value.gateway_id}`, payload, 'E_GATEWAY_UNKNOWN');
    return hello(gateway, message.value as Hello, payload);
  };

  const alerts = async (gateway: GatewayEntry, payload: Uint8Array): Promise<void> => {
    presence.heard(gateway);
    const parsed = parseJson(payload);
    if (!parsed.ok) return refuse(gateway, 'alerts', parsed.reason, payload, 'E_PAYLOAD_NOT_JSON');
    const message = checkMessage(alertsUpSchema, parsed.value);
    if (!message.ok) return refuse(gateway, 'alerts', message.reason, payload);
    const good: AlertEvent[] = [];
    const refused: Array<{ value: unknown; reason: string; code: string }> = [];
    for (const value of message.value.events) {
      const checked = checkAlertEvent(value, gateway.grid_id);
      if (!checked.ok) refused.push({ value, reason: checked.reason, code: 'E_PAYLOAD_SCHEMA' });
      else if (gatewayOnlyEvents.includes(checked.event.kind) && checked.event.origin.kind !== 'gateway')
        refused.push({ value, reason: `${checked.event.kind} may only be stated by a gateway`, code: 'E_FORBIDDEN' });
      else good.push(checked.event);
    }
    const changed = new Set<string>();
    database
      .transaction(() => {
        for (const event of good) {
          try {
            if (options.alerts.append(event) === 'added') changed.add(event.alert_id);
          } catch (error) {
            if (!(error instanceof VillagridError)) throw error;
            refused.push({ value: event, reason: error.detail, code: error.code });
          }
        }
      })
      .immediate();
    counters.alertEvents += changed.size;
    if (changed.size > 0) options.onAlerts(gateway, changed);
    for (const { value, reason, code } of refused)
      await refuse(gateway, 'event', reason, Buffer.from(JSON.stringify(value)), code);
  };

  /** What fails for what it says is kept and acknowledged: it would fail again, and hold up all that comes behind it. */
  const kept =
    (stage: DeadLetter['stage'], take: Lanes['session']): Lanes['session'] =>
    async (gateway, payload) => {
      try {
        await take(gateway, payload);
      } catch (error) {
        if (!database.open || isStoreFailure(error)) throw error;
        log.error('a message of a gateway could not be worked with', { gateway_id: gateway.gateway_id, stage, error });
        await refuse(gateway, stage, messageOf(error), payload, 'E_INTERNAL');
      }
    };
  return { session: kept('hello', session), alerts: kept('alerts', alerts) };
}

/** Last number that the gateway no longer has, so that it will never come: all before its oldest. */
function goneUpTo({ oldest_number: oldest, newest_number: newest }: Hello): number {
  return Math.max(0, Math.min(oldest - 1, newest));
}
