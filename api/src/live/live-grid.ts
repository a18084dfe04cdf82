/** The live channel of one grid: what changed is gathered once and sent to everybody who watches. */
import {
  figuresBySource,
  liveCoalesceMs,
  liveSlowCoalesceMs,
  parseMetricId,
  type Clock,
  type DeviceView,
  type LiveDevices,
  type LiveSnapshot,
  type LiveValues,
  type Site,
  type Timer,
} from '@villagrid/contracts';
import { unrefTimer, type Logger } from '@villagrid/runtime';
import type { GridBoard } from '../board.js';
import type { GridChange, GridPort } from '../ports.js';
import { alertView } from '../views/alerts.js';
import { deviceViews } from '../views/devices.js';
import { figureViews, gridFigures, hottestMetric } from '../views/figures.js';
import { verdictOf } from '../views/summary.js';

/** How often ages are looked at: a link state or freshness may change because nothing came. Real milliseconds. */
const ageingMs = 2000;

/** A frame without its sequence, which each reader counts for itself. */
export type FrameBody =
  | Omit<LiveSnapshot, 'sequence'>
  | Omit<LiveValues, 'sequence'>
  | { readonly type: 'alert'; readonly alert: ReturnType<typeof alertView> }
  | Omit<LiveDevices, 'sequence'>;

/** Somebody who watches. */
export interface LiveReader {
  /** Takes a frame's JSON text without its opening `{"type":…` part changed; the reader adds its sequence. */
  take(body: FrameBody, text: string): void;
  /** Whether what was sent still waits to be read: then frames are to come more seldom. */
  readonly behind: boolean;
}

export interface LiveGridOptions {
  readonly board: GridBoard;
  readonly realClock: Clock;
  readonly log: Logger;
}

/** Watches one grid while somebody reads. */
export class LiveGrid {
  readonly grid: GridPort;
  readonly #board: GridBoard;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #readers = new Set<LiveReader>();
  readonly #linkStates = new Map<string, string>();
  readonly #freshness = new Map<string, string>();
  #unsubscribe: (() => void) | undefined;
  #ageing: Timer | undefined;
  #dirty = new Set<string>();
  #pending: Timer | undefined;
  #flushing = false;
  #again = false;
  #lastFlushMs = Number.NEGATIVE_INFINITY;
  #wiring: { readonly site: Site; readonly map: Map<string, string[]> } | undefined;

  constructor({ board, realClock, log }: LiveGridOptions) {
    this.grid = board.grid;
    this.#board = board;
    this.#clock = realClock;
    this.#log = log;
  }

  get watched(): boolean {
    return this.#readers.size > 0;
  }

  /** Adds a reader; it gets the frames from now on. Ask `snapshot` for the start. */
  join(reader: LiveReader): void {
    this.#readers.add(reader);
    if (this.#unsubscribe !== undefined) return;
    this.#unsubscribe = this.grid.subscribe((change) => this.#note(change));
    this.grid.watched?.(true);
    this.#ageing = unrefTimer(this.#clock.every(ageingMs, () => this.#age()));
    this.#rememberStates(deviceViews(this.grid, this.#board.nowMs()));
  }

  /** Takes a reader out; the last one stops the watching. */
  leave(reader: LiveReader): void {
    this.#readers.delete(reader);
    if (this.#readers.size > 0) return;
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.grid.watched?.(false);
    this.#ageing?.cancel();
    this.#pending?.cancel();
    this.#pending = undefined;
    this.#dirty.clear();
    this.#freshness.clear();
    this.#linkStates.clear();
  }

  /** Everything as of now. */
  async snapshot(): Promise<Omit<LiveSnapshot, 'sequence'>> {
    const [summary, active] = await Promise.all([this.#board.summary(), this.#board.active()]);
    const nowMs = this.#board.nowMs();
    return {
      type: 'snapshot',
      summary,
      alerts: active.map((alert) => alertView(alert, nowMs)),
      devices: deviceViews(this.grid, nowMs),
    };
  }

  #note(change: GridChange): void {
    switch (change.type) {
      case 'samples': {
        const before = this.#dirty.size;
        for (const { deviceId, metric } of change.series) this.#mark(deviceId, metric);
        if (this.#dirty.size > before) this.#schedule();
        break;
      }
      case 'alert':
        this.#run('alert', () => this.#sendAlert(change.alertId));
        // The verdict counts alerts.
        this.#schedule();
        break;
      case 'device':
        this.#sendChangedDevices(deviceViews(this.grid, this.#board.nowMs()));
        break;
      case 'site':
        this.#run('site', async () => this.#send(await this.snapshot()));
        break;
    }
  }

  #mark(deviceId: string, metric: string): void {
    const site = this.grid.site();
    if (this.#wiring?.site !== site) this.#wiring = { site, map: figuresBySource(site.wiring) };
    for (const figure of this.#wiring.map.get(`${deviceId} ${metric}`) ?? []) {
      this.#dirty.add(figure);
      if (parseMetricId(figure).base === hottestMetric) this.#dirty.add(hottestMetric);
    }
  }

  /** The first change at once, further ones gathered: shortly, so that a value is seen when it comes. */
  #schedule(): void {
    if (this.#flushing) {
      this.#again = true;
      return;
    }
    if (this.#pending !== undefined) return;
    const slow = [...this.#readers].some(({ behind }) => behind);
    const waitMs = this.#lastFlushMs + (slow ? liveSlowCoalesceMs : liveCoalesceMs) - this.#clock.monotonicMs();
    if (waitMs <= 0) {
      this.#run('values', () => this.#flush());
      return;
    }
    this.#pending = unrefTimer(
      this.#clock.after(waitMs, () => {
        this.#pending = undefined;
        this.#run('values', () => this.#flush());
      }),
    );
  }

  async #flush(): Promise<void> {
    this.#flushing = true;
    this.#lastFlushMs = this.#clock.monotonicMs();
    try {
      const [active, { batteryPowerKw }] = await Promise.all([this.#board.active(), this.#board.slowParts()]);
      const only = this.#dirty;
      this.#dirty = new Set();
      const nowMs = this.#board.nowMs();
      const resolved = gridFigures(this.grid, nowMs);
      const figures = figureViews(this.grid, nowMs, resolved, only);
      for (const [metric, view] of Object.entries(figures)) this.#freshness.set(metric, view.freshness);
      this.#send({
        type: 'values',
        now_ms: nowMs,
        figures,
        verdict: verdictOf(this.grid, resolved, active, batteryPowerKw, nowMs),
        last_reported_ms: this.grid.lastReportedMs(),
      });
    } finally {
      this.#flushing = false;
      if (this.#again || this.#dirty.size > 0) {
        this.#again = false;
        if (this.watched) this.#schedule();
      }
    }
  }

  async #sendAlert(alertId: string): Promise<void> {
    const alert = await this.grid.alert(alertId);
    if (alert !== undefined) this.#send({ type: 'alert', alert: alertView(alert, this.#board.nowMs()) });
  }

  #age(): void {
    const nowMs = this.#board.nowMs();
    this.#sendChangedDevices(deviceViews(this.grid, nowMs));
    for (const [metric, view] of Object.entries(figureViews(this.grid, nowMs, gridFigures(this.grid, nowMs)))) {
      const known = this.#freshness.get(metric);
      this.#freshness.set(metric, view.freshness);
      if (known !== undefined && known !== view.freshness) this.#dirty.add(metric);
    }
    if (this.#dirty.size > 0) this.#schedule();
  }

  #sendChangedDevices(devices: readonly DeviceView[]): void {
    const changed = devices.filter((device) => this.#linkStates.get(device.device_id) !== device.link_state);
    this.#rememberStates(changed);
    if (changed.length > 0) this.#send({ type: 'devices', devices: changed });
  }

  #rememberStates(devices: readonly DeviceView[]): void {
    for (const { device_id, link_state } of devices) this.#linkStates.set(device_id, link_state);
  }

  #send(body: FrameBody): void {
    const text = JSON.stringify(body);
    for (const reader of this.#readers) reader.take(body, text);
  }

  #run(what: string, work: () => Promise<void>): void {
    work().catch((error: unknown) =>
      this.#log.error('a live frame could not be made', { grid: this.grid.gridId, what, error }),
    );
  }
}
