/**
 * Devices without a gateway: what they publish is judged as a gateway would, put into the archive as frames of a log of
 * their own (one per boot, numbered by the device), and acknowledged when that is durable. From there it goes the way of
 * all frames. A payload that cannot be understood is kept as a dead letter and acknowledged: it would come again for ever.
 */
import { createHash } from 'node:crypto';
import {
  Dating,
  messageOf,
  newId,
  parseDeviceAlert,
  parseTelemetryText,
  type AlertEvent,
  type Arrival,
  type Clock,
  type DeviceAlert,
  type ErrorCode,
  type Finding,
  type RandomSource,
  type Reading,
} from '@villagrid/contracts';
import type { LifecyclePart, Logger, SqliteDatabase } from '@villagrid/runtime';
import type { DirectDevice } from '../config/schema.js';
import { contentOf, frameOfAlert, frameOfReading, placeOf, unnumberedLog } from '../etl/reading.js';
import { createGroupCommit } from '../ingest/group-commit.js';
import type { Counters } from '../observe/counters.js';
import { isStoreFailure } from '../stores/database.js';
import type { SqliteUplinkStore } from '../stores/sqlite-uplink-store.js';
import type { Accepted, DeadLetter, FrameToArchive } from '../stores/uplink-store.js';
import type { DirectStore } from './store.js';

/** Rule id and type of what devices say themselves. */
export const deviceAlertRuleId = 'device_alert';
/** Series one device may have; more cannot be honest. */
const maxSeriesPerDevice = 256;
/** Alerts one device may have raised at a time. */
const maxOpenAlerts = 50;
const mostPerCommit = 200;
/** What a boot's log may skip before the store is told that what is missing will not come. */
const mostHoles = 200;
/** Between two keepings of when devices booted, real milliseconds. */
const keepDatingEveryMs = 60_000;
const datingState = 'device_boots';

export interface DirectIntakeOptions {
  readonly database: SqliteDatabase;
  readonly store: SqliteUplinkStore;
  readonly direct: DirectStore;
  /** Who says that an alert was raised: this cloud. */
  readonly origin: AlertEvent['origin'];
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly counters: Counters;
  /** Metrics that are known of a device. */
  readonly metricsOf: (device: DirectDevice) => readonly string[];
  /** Called after each commit; for tests that end the process there. */
  readonly afterCommit?: () => void;
  /** Something new lies in the archive. */
  readonly onAccepted: () => void;
}

/** Each promise resolves when the publish may be acknowledged, and rejects when it could not be stored. */
export interface DirectIntake extends LifecyclePart {
  /** `arrivedMs` is given for what came before and is taken only now. */
  telemetry(device: DirectDevice, payload: Uint8Array, arrivedMs?: number): Promise<void>;
  alert(device: DirectDevice, payload: Uint8Array, arrivedMs?: number): Promise<void>;
  connected(deviceId: string): void;
  disconnected(deviceId: string): void;
  /** Its last will speaks. */
  gone(deviceId: string): void;
  link(deviceId: string): 'up' | 'down' | undefined;
  /** When anything came from it last, the village's Unix ms. */
  heardMs(deviceId: string): number | null;
}

interface Item {
  readonly device: DirectDevice;
  readonly topic: 'telemetry' | 'device_alert';
  readonly payload: Uint8Array;
  readonly arrival: Arrival;
}

const hashOf = (content: string): Buffer => createHash('sha256').update(content).digest();

/** Makes it. */
export function createDirectIntake(options: DirectIntakeOptions): DirectIntake {
  const { database, store, direct, clock, realClock, random, log, counters } = options;
  const dating = new Dating();
  const series = new Map<string, Set<string>>();
  const holes = new Map<string, number>();
  const told = new Set<string>();
  const connections = new Map<string, number>();
  const gone = new Set<string>();
  const heard = new Map<string, number | null>();
  let datingKeptMs = realClock.monotonicMs();

  const now = (): Arrival => ({ nowMs: Math.round(clock.nowMs()), monotonicMs: clock.monotonicMs(), trust: 'ntp' });
  const kept = direct.state(datingState);
  if (kept !== undefined) dating.importState(kept, now());

  const letter = (
    { device, topic, payload, arrival }: Item,
    code: ErrorCode,
    reason: string,
    place: Pick<DeadLetter, 'epoch' | 'number'> = { epoch: null, number: null },
  ): void => {
    const { device_id: gatewayId, grid_id: gridId } = device;
    store.keepDeadLetter({ stage: topic, gatewayId, gridId, ...place, code, reason, bytes: payload }, arrival.nowMs);
    counters.deviceRefused += 1;
    log.warn('a message of a device was refused', { code, device_id: gatewayId, grid_id: gridId, reason });
  };

  /** Odd values are kept and marked. What cannot be kept is told once and kept as a dead letter. */
  const tellFindings = (
    item: Item,
    findings: readonly { readonly code: Finding['code'] | 'too_many_series'; readonly metric: string }[],
  ): void => {
    for (const { code, metric } of findings) {
      counters.deviceFindings[code] = (counters.deviceFindings[code] ?? 0) + 1;
      const key = `${item.device.device_id} ${code} ${metric}`;
      if (told.has(key) || told.size >= 10_000) continue;
      told.add(key);
      if (code === 'metric_name' || code === 'too_many_metrics' || code === 'too_many_series')
        letter(item, 'E_PAYLOAD_SCHEMA', `${code}: ${metric} is left out`);
      else log.warn('a device sends odd values', { device_id: item.device.device_id, finding: code, metric });
    }
  };

  const admitted = (item: Item, reading: Reading): Reading => {
    const { device } = item;
    let known = series.get(device.device_id);
    if (!known) series.set(device.device_id, (known = new Set(options.metricsOf(device))));
    const isAdmitted = (metric: string): boolean => {
      if (known.has(metric)) return true;
      if (known.size >= maxSeriesPerDevice) return false;
      known.add(metric);
      return true;
    };
    const values = reading.values.filter(({ metric }) => isAdmitted(metric));
    if (values.length === reading.values.length) return reading;
    const left = reading.values.filter(({ metric }) => !known.has(metric));
    tellFindings(
      item,
      left.map(({ metric }) => ({ code: 'too_many_series', metric })),
    );
    return { ...reading, values };
  };

  /** Archives frames of one log of a device, and counts what came of a boot. */
  const archive = ({ device, arrival }: Item, epoch: string, frames: readonly FrameToArchive[]): Accepted => {
    const { device_id: gatewayId, grid_id: gridId } = device;
    const before = store.progress(gatewayId, epoch);
    // What was before the first that is heard of a boot is not missing: nobody can tell that it was to come here.
    const first = frames.reduce((least, { number }) => Math.min(least, number), Number.MAX_SAFE_INTEGER);
    if (before === undefined && first > 1) store.giveUp(gatewayId, gridId, epoch, first - 1, arrival.nowMs);
    const [outcome] = store.accept([{ gatewayId, gridId, epoch, frames }], [], arrival.nowMs) as [Accepted];
    counters.framesAdded += outcome.added;
    counters.framesRepeated += outcome.repeated;
    counters.conflicts += outcome.conflicts.length;
    return outcome;
  };

  /** Every hole costs at each commit; a device that skips numbers for ever would make this slow. */
  const boundHoles = ({ device, arrival }: Item, epoch: string, first: number, newestBefore: number): void => {
    if (newestBefore === 0 || first <= newestBefore + 1) return;
    const key = `${device.device_id} ${epoch}`;
    const count = (holes.get(key) ?? 0) + 1;
    holes.set(key, count);
    if (count < mostHoles) return;
    holes.delete(key);
    store.giveUp(device.device_id, device.grid_id, epoch, first - 1, arrival.nowMs);
  };

  const takeTelemetry = (item: Item): void => {
    const { device, payload, arrival } = item;
    const parsed = parseTelemetryText(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8'));
    if (!parsed.ok) return letter(item, parsed.code, parsed.detail);
    tellFindings(item, parsed.findings);
    const dated = dating.date(device.device_id, parsed.readings, parsed.resent, arrival);
    const byLog = new Map<string, FrameToArchive[]>();
    let arrivals = 0;
    for (const [index, given] of parsed.readings.entries()) {
      const reading = admitted(item, given);
      const { log: epoch, number } = placeOf(reading);
      const isEmpty = reading.values.length === 0;
      // One of which nothing can be kept is counted all the same: it came.
      if (isEmpty && number === undefined) continue;
      const date = dated[index] as (typeof dated)[number];
      const hash = hashOf(contentOf(reading));
      // Without a number only a reading with a time can be known again.
      if (number === undefined && reading.timeMs !== undefined && direct.isKnown(device.device_id, epoch, hash)) {
        counters.framesRepeated += 1;
        continue;
      }
      const bytes = frameOfReading(device.device_id, reading, date, arrival.nowMs);
      const all = byLog.get(epoch) ?? [];
      byLog.set(epoch, all);
      all.push({
        number: number ?? nextUnnumbered(device.device_id, arrivals++),
        bytes,
        hash,
        bad: null,
        fromMs: isEmpty ? null : date.timeMs,
        toMs: isEmpty ? null : date.timeMs,
      });
    }
    for (const [epoch, frames] of byLog) take(item, epoch, frames);
  };

  const nextUnnumbered = (deviceId: string, index: number): number =>
    (store.progress(deviceId, unnumberedLog)?.newestNumber ?? 0) + 1 + index;

  const take = (item: Item, epoch: string, frames: readonly FrameToArchive[]): number => {
    const { device, arrival } = item;
    const newest = store.progress(device.device_id, epoch)?.newestNumber ?? 0;
    const { added, conflicts } = archive(item, epoch, frames);
    counters.deviceReadings += added;
    if (epoch === unnumberedLog) return added;
    if (conflicts.length > 0)
      log.error('a device sent other content under a number it used; what came first stays', {
        code: 'E_ENVELOPE_CONFLICT',
        device_id: device.device_id,
        numbers: conflicts.slice(0, 20),
      });
    if (added > 0) {
      // Of a publish that holds both new and known readings the bounds are the same either way.
      const numbers = frames.map(({ number }) => number);
      direct.count(
        device.device_id,
        epoch,
        { first: Math.min(...numbers), last: Math.max(...numbers), added },
        arrival.nowMs,
      );
      boundHoles(item, epoch, Math.min(...numbers), newest);
    }
    return added;
  };

  const takeAlert = (item: Item): void => {
    const { device, payload, arrival } = item;
    const parsed = parseDeviceAlert(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8'));
    if (!parsed.ok) return letter(item, parsed.code, parsed.detail);
    const { alert } = parsed;
    if (alert.deviceId !== device.device_id)
      return letter(item, 'E_TOPIC_FORBIDDEN', `says it is ${alert.deviceId.slice(0, 64)}`);
    const open = direct.openAlert(device.device_id, alert.alert);
    const place = placeOf(alert);
    const isBegin = alert.state === 'raised' && open === undefined;
    const isEnd = alert.state === 'cleared' && open !== undefined;
    // A word without a number that changes nothing is a repeat.
    if (place.number === undefined && !isBegin && !isEnd) return;
    if (isBegin && direct.openAlerts(device.device_id) >= maxOpenAlerts)
      return letter(item, 'E_PAYLOAD_SCHEMA', `more than ${maxOpenAlerts} alerts of one device are open`);
    const [date] = dating.date(device.device_id, [{ ...alert, values: [] }], false, arrival);
    const alertId = open ?? newId(arrival.nowMs, random);
    const events = isBegin || isEnd ? [eventOf(item, alert, alertId, date?.timeMs ?? arrival.nowMs)] : [];
    const frame: FrameToArchive = {
      number: place.number ?? nextUnnumbered(device.device_id, 0),
      bytes: frameOfAlert(alert, arrival.nowMs, events),
      hash: hashOf(JSON.stringify([alert.alert, alert.state, alert.timeMs, alert.upMs, alert.message, alert.value])),
      bad: null,
      fromMs: null,
      toMs: null,
    };
    if (take(item, place.log, [frame]) === 0) return;
    counters.deviceAlerts += 1;
    if (isBegin) direct.setOpenAlert(device.device_id, alert.alert, alertId);
    if (isEnd) direct.setOpenAlert(device.device_id, alert.alert, undefined);
  };

  const eventOf = ({ device }: Item, alert: DeviceAlert, alertId: string, atMs: number): AlertEvent => {
    const { device_id, grid_id, name = device_id } = device;
    const base = { id: newId(atMs, random), alert_id: alertId, grid_id, at_ms: atMs, origin: options.origin };
    if (alert.state === 'cleared') return { ...base, kind: 'cleared', value: alert.value };
    return {
      ...base,
      kind: 'raised',
      subject: {
        rule_id: deviceAlertRuleId,
        type: deviceAlertRuleId,
        severity: alert.severity,
        message: alert.message,
        what: `${name} says: ${alert.message}`,
        why: 'The device itself found something wrong.',
        steps: ['Look at the values on the screen.', 'Go to the device and look at it.'],
        device_id,
        device_name: name,
        metric: alert.metric,
        value: alert.value,
        limit: null,
        unit: null,
      },
    };
  };

  const commit = database.transaction((items: readonly Item[]): void => {
    for (const item of items) {
      if (item.topic === 'telemetry') takeTelemetry(item);
      else takeAlert(item);
      direct.heard(item.device.device_id, item.arrival.nowMs);
    }
    if (realClock.monotonicMs() - datingKeptMs < keepDatingEveryMs) return;
    datingKeptMs = realClock.monotonicMs();
    direct.putState(datingState, dating.exportState(now()));
  });
  const commitAll = (items: readonly Item[]): void => {
    try {
      commit.immediate(items);
    } catch (error) {
      store.forget();
      const [item, ...others] = items;
      if (item === undefined || others.length > 0 || !database.open || isStoreFailure(error)) throw error;
      // Not acknowledged, it would come again first of all, and a broker would hold everybody's messages up behind it.
      log.error('a message of a device could not be worked with', { device_id: item.device.device_id, error });
      letter(item, 'E_INTERNAL', messageOf(error));
    }
    counters.commits += 1;
    options.afterCommit?.();
  };

  const group = createGroupCommit<Item>({
    realClock,
    maxItems: mostPerCommit,
    async commit(items, done) {
      try {
        commitAll(items);
      } catch (error) {
        if (items.length === 1) throw error;
        // One of them may be at fault: each alone, so that the others are not held up by it.
        for (const [index, item] of items.entries()) {
          try {
            commitAll([item]);
            done(index);
          } catch (failure) {
            done(index, failure);
          }
        }
      }
      for (let i = 0; i < items.length; i += 1) done(i);
      options.onAccepted();
    },
  });
  const add = (device: DirectDevice, topic: Item['topic'], payload: Uint8Array, arrivedMs?: number): Promise<void> => {
    if (arrivedMs !== undefined) {
      const { nowMs, monotonicMs, trust } = now();
      const arrival = { nowMs: arrivedMs, monotonicMs: monotonicMs - (nowMs - arrivedMs), trust };
      return group.add({ device, topic, payload, arrival });
    }
    const arrival = now();
    heard.set(device.device_id, arrival.nowMs);
    gone.delete(device.device_id);
    counters.devicePublishes += 1;
    return group.add({ device, topic, payload, arrival });
  };

  return {
    name: 'devices without a gateway',
    telemetry: (device, payload, arrivedMs) => add(device, 'telemetry', payload, arrivedMs),
    alert: (device, payload, arrivedMs) => add(device, 'device_alert', payload, arrivedMs),
    connected(deviceId) {
      connections.set(deviceId, (connections.get(deviceId) ?? 0) + 1);
      gone.delete(deviceId);
    },
    disconnected(deviceId) {
      const left = (connections.get(deviceId) ?? 0) - 1;
      if (left > 0) connections.set(deviceId, left);
      else connections.delete(deviceId);
    },
    gone: (deviceId) => void gone.add(deviceId),
    // One that connects only to publish is not down in between: how old its values are tells that.
    link: (deviceId) => (gone.has(deviceId) ? 'down' : connections.has(deviceId) ? 'up' : undefined),
    heardMs(deviceId) {
      let known = heard.get(deviceId);
      if (known === undefined) heard.set(deviceId, (known = direct.heardMs(deviceId)));
      return known;
    },
    start() {},
    async stop() {
      await group.drained();
      direct.putState(datingState, dating.exportState(now()));
    },
  };
}
