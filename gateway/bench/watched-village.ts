/**
 * The reference village watched by the gateway's own parts, in virtual time: readings go through the watch of values, the
 * figures, the rules with all defaults, grouping, the balance and the insight, in the order and at the times of a gateway.
 * Left out are wires, the frames of samples and the history on disk: windows of 15 minutes are kept in memory.
 */
import { join } from 'node:path';
import {
  anomalyWindowMs,
  appendWindow,
  DeviceSeries,
  DeviceWatch,
  emptyColumns,
  foldSample,
  lineDownRuleId,
  meterDisagreesRuleId,
  qualityClass,
  qualityCodes,
  rings,
  windowOf,
  type Alert,
  type AlertSubject,
  type Clock,
  type RollupWindow,
  type RuleLimits,
  type Sample,
  type Site,
  type Timer,
  type WindowColumns,
} from '@villagrid/contracts';
import { insightStateNames } from '@villagrid/api';
import { createLogger, realClock, seededRandom } from '@villagrid/runtime';
import {
  createStickingSensors,
  createVillage,
  defaultPlant,
  hashNumbers,
  hashText,
  loadMeasured,
  villageDevices,
  villageSignals,
  villageSite,
  type MeasuredData,
  type StickingSensors,
  type Values,
  type Village,
  type VillageFaults,
  type VillageState,
} from '@villagrid/simulator';
import { createAlerts } from '../src/alerts/alerts.js';
import { createBalanceCheck } from '../src/balance/balance-check.js';
import { figureBands } from '../src/grid/grid-port.js';
import { createInsight } from '../src/insight/insight.js';
import { Lines } from '../src/live/lines.js';
import { Live } from '../src/live/live.js';
import { openLogStore } from '../src/log/log-store.js';
import { siteDefaults } from '../src/rules/index.js';

/** The gateway's own figures are fed so often, ms; and how often it looks for what is out of the ordinary, and at its meters. */
const figuresEveryMs = 30_000;
const lookEveryMs = 300_000;
const balanceEveryMs = 3_600_000;
/** A device that is asked and does not answer counts as down after its second poll. */
const pollsUntilDown = 2;
const dayMs = 86_400_000;
/** Windows are kept so long: what balance and insight read. */
const keptMs = 2 * dayMs;

/** What can be done to a village. */
export interface Hands {
  readonly plant: VillageFaults;
  readonly sensors: StickingSensors;
  /** What a device would say now, and what is true. */
  read(deviceId: string): Values;
  truth(deviceId: string): Values;
  /** Devices that say nothing. */
  readonly silent: Set<string>;
  /** The shared line's adapter is gone. */
  adapter(isThere: boolean): void;
  /** Changes what a device shows. */
  shows: ((deviceId: string, metric: string, value: number) => number) | undefined;
}

/** An alert as people were told of it. */
export interface Told {
  readonly atMs: number;
  readonly alertId: string;
  readonly ruleId: string;
  readonly severity: Alert['severity'];
  readonly deviceId: string | null;
  readonly metric: string | null;
  /** Devices it is about: its own, or those that its figure is made of. */
  readonly devices: readonly string[];
  readonly what: string;
}

/** Where an earlier life of the same village ended. */
export interface Ended {
  readonly village: VillageState;
  /** What the gateway had kept of what it learnt, by name. */
  readonly kept: Readonly<Record<string, string>>;
  readonly atMs: number;
}

export interface WatchedOptions {
  /** An empty folder for the log of alerts. */
  readonly folder: string;
  readonly seed: number;
  readonly startMs: number;
  readonly from?: Ended;
  readonly limits?: Partial<RuleLimits>;
  readonly measured?: MeasuredData;
  /** Devices on one serial line; as in the reference village when left out. */
  readonly line?: readonly string[];
}

/** A village that is watched. */
export interface WatchedVillage {
  /** Lives on until a time, in steps of so many ms; readings no older than a step. */
  live(untilMs: number, stepMs: number): Promise<void>;
  readonly hands: Hands;
  /** What people were told, in order. */
  readonly told: readonly Told[];
  /** All alerts of this life, those too that something else explains. */
  alerts(): readonly Alert[];
  readonly site: Site;
  /** Samples that were judged. */
  readonly samples: number;
  end(): Promise<Ended>;
}

interface Due {
  dueMs: number;
  run: () => void;
}

/** Time that moves by hand. */
class HandClock implements Clock {
  #nowMs: number;
  #waiting: Due[] = [];
  constructor(startMs: number) {
    this.#nowMs = startMs;
  }
  nowMs = (): number => this.#nowMs;
  monotonicMs = (): number => this.#nowMs;
  after(delayMs: number, run: () => void): Timer {
    const entry = { dueMs: this.#nowMs + delayMs, run };
    this.#waiting.push(entry);
    return { cancel: () => void (this.#waiting = this.#waiting.filter((one) => one !== entry)) };
  }
  every(periodMs: number, run: () => void): Timer {
    const entry = { dueMs: this.#nowMs + periodMs, run: () => {} };
    entry.run = () => {
      entry.dueMs = this.#nowMs + periodMs;
      this.#waiting.push(entry);
      run();
    };
    this.#waiting.push(entry);
    return { cancel: () => void (this.#waiting = this.#waiting.filter((one) => one !== entry)) };
  }
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve));
  }
  /** Goes on to a time. Between steps nothing happens, so what is due more than once by then runs once. */
  to(timeMs: number): void {
    this.#nowMs = timeMs;
    const due = this.#waiting.filter((one) => one.dueMs <= timeMs).sort((a, b) => a.dueMs - b.dueMs);
    if (due.length === 0) return;
    this.#waiting = this.#waiting.filter((one) => one.dueMs > timeMs);
    for (const one of due) one.run();
  }
}

/** Windows of all series, made as samples arrive. */
class Windows {
  readonly #open = new Map<string, RollupWindow>();
  readonly #done = new Map<string, RollupWindow[]>();

  add(id: string, timeMs: number, value: number): void {
    const startMs = Math.floor(timeMs / anomalyWindowMs) * anomalyWindowMs;
    const open = this.#open.get(id);
    if (open !== undefined && open.startMs === startMs) return foldSample(open, timeMs, value);
    if (open !== undefined) {
      const done = this.#done.get(id) ?? [];
      done.push(open);
      if (done.length > 2 * (keptMs / anomalyWindowMs)) done.splice(0, keptMs / anomalyWindowMs);
      this.#done.set(id, done);
    }
    this.#open.set(id, windowOf(startMs, timeMs, value));
  }

  read(id: string, fromMs: number, toMs: number): WindowColumns {
    const columns = emptyColumns();
    const open = this.#open.get(id);
    const done = this.#done.get(id) ?? [];
    let at = done.length;
    while (at > 0 && (done[at - 1] as RollupWindow).startMs >= fromMs) at -= 1;
    for (; at < done.length; at += 1) {
      const one = done[at] as RollupWindow;
      if (one.startMs < toMs) appendWindow(columns, one);
    }
    if (open !== undefined && open.startMs >= fromMs && open.startMs < toMs) appendWindow(columns, open);
    return columns;
  }
}

/** Half a thousandth of noise on what analog sensors show. */
function meterNoise(seed: number, id: number, timeMs: number): number {
  return (hashNumbers(seed, id, timeMs / 1000) / 2 ** 32 - 0.5) * 0.001;
}
const isExact = (metric: string): boolean => /energy|soc|grid_tie|fault/.test(metric);

const lineName = 'rs485-1';
const nothing: Values = {};
/** Operating state of a SunSpec inverter that has a fault. */
const sunSpecFault = 7;

/** Makes the village and the parts that watch it. */
export function watchVillage(options: WatchedOptions): WatchedVillage {
  const { seed, startMs, from } = options;
  const site = villageSite(0, 'gw-kisima');
  const clock = new HandClock(startMs);
  const random = seededRandom(`watched ${seed}`);
  const logger = createLogger({
    name: 'watched',
    level: 'error',
    clock: realClock(),
    destination: process.stderr,
  });
  const store = openLogStore({
    path: join(options.folder, 'log.db'),
    clock,
    realClock: realClock(),
    random,
    log: logger,
    trust: () => 'ntp',
    holdMs: 0,
    maxSamples: 1000,
    maxBytes: 1_000_000,
  });
  const told: Told[] = [];
  let isCommitting = false;
  const log = Object.assign(Object.create(store.log) as typeof store.log, {
    append(...args: Parameters<typeof store.log.append>) {
      isCommitting = true;
      return store.log.append(...args);
    },
  });
  const live = new Live({ site, clock, logger });
  const lines = new Lines();
  const onLine = options.line ?? villageDevices().flatMap((one) => (one.onLine === true ? [one.device_id] : []));
  lines.set(lineName, 'up', onLine);
  const limits = { ...options.limits };
  const sourcesOf = ({ device_id, metric }: Pick<AlertSubject, 'device_id' | 'metric'>): readonly string[] =>
    device_id !== null ? [device_id] : (site.wiring[metric ?? '']?.terms ?? []).map((one) => one.device_id);
  const alerts = createAlerts({
    lines,
    site,
    limits,
    rules: siteDefaults(site, limits),
    log,
    corrected: (frame) => frame,
    store: store.alertStore,
    live,
    clock,
    realClock: realClock(),
    random,
    logger,
    ownWords(ruleId) {
      if (ruleId === meterDisagreesRuleId) return balance.words();
      if (ruleId === lineDownRuleId)
        return lines.words((id) => site.devices.find((one) => one.device_id === id)?.name ?? id);
      return insight.words(ruleId);
    },
    tell(event, alert) {
      if (alert === undefined || !rings(event, alert, clock.nowMs())) return;
      const { alert_id: alertId, rule_id: ruleId, severity, device_id: deviceId, metric, what } = alert;
      const devices = ruleId === lineDownRuleId ? onLine : sourcesOf(alert);
      told.push({ atMs: event.at_ms, alertId, ruleId, severity, deviceId, metric, devices, what });
    },
  });
  const windows = new Windows();
  const reads = {
    gridId: site.grid_id,
    site: () => site,
    metricsOf: (deviceId: string) => live.metricsOf(deviceId),
    windows: async (deviceId: string, metric: string, _resolution: string, fromMs: number, toMs: number) =>
      windows.read(`${deviceId}/${metric}`, fromMs, toMs),
    raw: async () => ({ t: [], value: [], quality: [] }),
    limits: () => figureBands(alerts.limits),
    // Mostly there is none: the store need not be asked then.
    alerts: async (query: Parameters<typeof alerts.shown.list>[1]) =>
      query?.status === 'active' && alerts.openCount() === 0 ? [] : alerts.shown.list(site.grid_id, query),
  };
  const kept: Record<string, string> = { ...from?.kept };
  // What was learnt is kept with a commit; here it is kept when the life ends.
  const keeps = {
    join: () => {},
    state: (name: string) => (kept[name] === undefined ? undefined : { number: 0, value: kept[name] }),
    putState: (name: string, _number: number, value: string) => void (kept[name] = value),
  };
  const ports = {
    grid: reads,
    log: keeps,
    figure: (metric: string, value: number) => alerts.onInternalFigure(metric, value),
    timesAreRight: () => true,
    clock,
    logger,
  };
  const balance = createBalanceCheck(ports);
  const insight = createInsight({ ...ports, usual: { keptWith() {} } });
  void alerts.start();

  const measured = options.measured ?? loadMeasured();
  const sensors = createStickingSensors();
  const signals = villageSignals(defaultPlant);
  let village: Village | undefined;
  let madeWithMs = 0;
  let state = from?.village;
  let samples = 0;
  /** Steps of the village are fixed: another length is the same village made anew from its state. */
  const villageFor = (stepMs: number): Village => {
    if (village !== undefined && madeWithMs === stepMs) return village;
    const faults = village?.faults;
    state = village?.state() ?? state;
    village = createVillage({
      name: site.name,
      seed,
      measured,
      startMs: clock.nowMs(),
      stepMs,
      ...(state === undefined ? {} : { state }),
    });
    madeWithMs = stepMs;
    for (const id of faults?.overheating ?? []) village.faults.overheating.add(id);
    for (const id of faults?.tripped ?? []) village.faults.tripped.add(id);
    village.faults.batteryCollapsed = faults?.batteryCollapsed ?? false;
    return village;
  };
  const truthOf = (deviceId: string): Values => {
    const values = signals.get(deviceId)?.((village as Village).snapshot()) ?? {};
    // As the profile of these inverters reads their state.
    return values.state === undefined ? values : { ...values, fault_state: values.state === sunSpecFault ? 2 : 0 };
  };

  const devices = villageDevices()
    .filter((one) => one.simulated)
    .map(({ device_id: deviceId, kind, metrics: listed, period_s, protocol }) => {
      const metrics = kind === 'inverter' ? [...listed, 'fault_state'] : listed;
      const series = new DeviceSeries(deviceId, metrics);
      const watch = new DeviceWatch();
      return {
        deviceId,
        metrics,
        isAsked: protocol === 'modbus',
        periodMs: period_s * 1000,
        series,
        oddities: watch.row(metrics, series.factors),
        show: live.onReadings(series),
        judge: alerts.onReadings(series),
        row: new Float64Array(metrics.length),
        ids: metrics.map((metric) => `${deviceId}/${metric}`),
        hashes: metrics.map((metric) => (isExact(metric) ? undefined : hashText(`${deviceId}/${metric}`))),
        failures: 0,
        isDown: false,
        dueMs: 0,
      };
    });
  let isAdapterThere = true;
  const hands: Hands = {
    get plant() {
      return villageFor(madeWithMs === 0 ? 60_000 : madeWithMs).faults;
    },
    sensors,
    read: (deviceId) => sensors.apply(deviceId, truthOf(deviceId)),
    truth: truthOf,
    silent: new Set(),
    adapter(isThere) {
      isAdapterThere = isThere;
      lines.set(lineName, isThere ? 'up' : 'down', onLine, isThere ? '' : 'there is no such device');
    },
    shows: undefined,
  };

  const readDevice = (one: (typeof devices)[number], timeMs: number): void => {
    const { deviceId, metrics, series, row } = one;
    if (hands.silent.has(deviceId) || (!isAdapterThere && onLine.includes(deviceId))) {
      if (!one.isAsked) return;
      one.failures += 1;
      if (one.failures >= pollsUntilDown && !one.isDown) {
        one.isDown = true;
        lines.setDevice(deviceId, 'down');
      }
      return;
    }
    if (one.isDown || one.failures > 0) {
      one.failures = 0;
      one.isDown = false;
      lines.setDevice(deviceId, 'up');
    }
    const raw = truthOf(deviceId);
    const noisy = (index: number): number => {
      const hash = one.hashes[index];
      const real = raw[metrics[index] as string] ?? Number.NaN;
      return hash === undefined ? real : real * (1 + meterNoise(seed, hash, timeMs));
    };
    // What sticks is what was shown, noise and all.
    const stuck = sensors.apply(deviceId, nothing);
    for (let index = 0; index < metrics.length; index += 1) {
      const metric = metrics[index] as string;
      const value = stuck[metric] ?? noisy(index);
      row[index] = Math.round((hands.shows?.(deviceId, metric, value) ?? value) * (series.factors[index] as number));
    }
    samples += metrics.length;
    const odd = one.oddities(row, timeMs);
    for (let index = 0; index < metrics.length; index += 1)
      if (odd === undefined || qualityClass(odd[index] as number) !== 'bad')
        windows.add(one.ids[index] as string, timeMs, (row[index] as number) / (series.factors[index] as number));
    if (odd === undefined) {
      one.judge(timeMs, row, one.show(timeMs, row, qualityCodes.good, timeMs), timeMs);
      return;
    }
    const arrived: Sample[] = metrics.map((metric, index) => ({
      deviceId,
      metric,
      timeMs,
      value: series.value(index, row[index] as number),
      quality: odd[index] as number,
    }));
    alerts.onSamples(arrived, live.apply(arrived, timeMs));
  };

  const feed = (): void => {
    alerts.onInternalFigure('gateway_lines_down', lines.downCount);
    alerts.onInternalFigure('gateway_clock_trust', 1);
  };
  const settle = async (): Promise<void> => {
    while (isCommitting) {
      isCommitting = false;
      await store.log.flush();
    }
  };
  let lookedAt = Number.NaN;
  let [figuresMs, lookMs, balanceMs] = [startMs, startMs + 60_000, startMs + lookEveryMs];

  return {
    site,
    hands,
    told,
    alerts: () => store.alertStore.list(site.grid_id, {}),
    get samples() {
      return samples;
    },
    async live(untilMs, stepMs) {
      const physics = villageFor(stepMs);
      for (let timeMs = clock.nowMs() + stepMs; timeMs <= untilMs; timeMs += stepMs) {
        physics.advanceTo(timeMs);
        clock.to(timeMs);
        for (const one of devices) {
          if (timeMs < one.dueMs) continue;
          one.dueMs = timeMs + Math.max(stepMs, one.periodMs);
          readDevice(one, timeMs);
        }
        if (timeMs >= figuresMs) {
          figuresMs = timeMs + figuresEveryMs;
          feed();
        }
        if (isCommitting) await settle();
        if (timeMs >= lookMs) {
          lookMs = timeMs + lookEveryMs;
          // A look finds something new once a window has settled.
          const settled = Math.floor((timeMs - 120_000) / anomalyWindowMs);
          if (settled !== lookedAt) await insight.look();
          lookedAt = settled;
        }
        if (timeMs >= balanceMs) {
          balanceMs = timeMs + balanceEveryMs;
          await balance.look();
        }
        if (isCommitting) await settle();
      }
    },
    async end() {
      for (const name of insightStateNames) kept[`insight_${name}`] = insight.site.state(name);
      await insight.stop();
      void alerts.stop();
      await store.close();
      return { village: (village as Village).state(), kept, atMs: clock.nowMs() };
    },
  };
}
