/**
 * What is kept of one grid between requests: active alerts, the mean battery power, today's figures and the serialised
 * summary, each until something changes or it is too old. One board per grid, made when first asked for.
 */
import { compareAlerts, type Alert, type AlertEvent, type Clock, type Summary } from '@villagrid/contracts';
import type { GridChange, GridPort, ServerIdentity } from './ports.js';
import { recentBatteryPowerKw, summaryView } from './views/summary.js';
import { todayView } from './views/today.js';

/** How long slow parts of the summary are fresh, and how long they are shown while newer ones are made, real milliseconds. */
const slowPartsMs = 15_000;
const slowPartsShownMs = 60_000;

export interface BoardOptions {
  readonly grid: GridPort;
  readonly identity: ServerIdentity;
  /** The village's clock. */
  readonly clock: Clock;
  readonly realClock: Clock;
}

interface SlowParts {
  readonly batteryPowerKw: number | null;
  readonly today: Summary['today'];
}

interface MadeSummary {
  readonly key: string;
  readonly text: Promise<string>;
  bytes?: Buffer;
}

/** The cached facts of one grid. */
export class GridBoard {
  readonly grid: GridPort;
  readonly #options: BoardOptions;
  readonly #unsubscribe: () => void;
  #version = 0;
  #alertVersion = 0;
  #active: { readonly version: number; readonly alerts: Promise<readonly Alert[]> } | undefined;
  #records: Promise<readonly AlertEvent[]> | undefined;
  #slow: { readonly madeMs: number; readonly parts: Promise<SlowParts> } | undefined;
  #lastSlow: { readonly madeMs: number; readonly parts: SlowParts } | undefined;
  #summary: MadeSummary | undefined;

  constructor(options: BoardOptions) {
    this.#options = options;
    this.grid = options.grid;
    this.#unsubscribe = options.grid.subscribe((change) => this.#note(change));
  }

  /** Stops listening to the grid. */
  close(): void {
    this.#unsubscribe();
  }

  #note(change: GridChange): void {
    this.#version += 1;
    if (change.type === 'alert') this.#alertVersion += 1;
    if (change.type === 'site') {
      this.#records = undefined;
      this.#slow = undefined;
      this.#lastSlow = undefined;
    }
  }

  /** The village's time, whole Unix milliseconds. */
  nowMs(): number {
    return Math.floor(this.#options.clock.nowMs());
  }

  /** Active alerts in the order of a list. */
  active(): Promise<readonly Alert[]> {
    const version = this.#alertVersion;
    if (this.#active?.version === version) return this.#active.alerts;
    const alerts = this.grid
      .alerts({ status: 'active' })
      .then((all) => all.filter((alert) => alert.status === 'active').sort(compareAlerts));
    const entry = { version, alerts };
    this.#active = entry;
    alerts.catch(() => {
      if (this.#active === entry) this.#active = undefined;
    });
    return alerts;
  }

  /** What people said of the grid as a whole. */
  records(): Promise<readonly AlertEvent[]> {
    if (this.#records !== undefined) return this.#records;
    const records = this.grid.records();
    this.#records = records;
    records.catch(() => {
      if (this.#records === records) this.#records = undefined;
    });
    return records;
  }

  /** Mean battery power and today: at most 15 real seconds old, or up to a minute while newer ones are being made. */
  async slowParts(): Promise<SlowParts> {
    const realMs = this.#options.realClock.monotonicMs();
    if (this.#slow === undefined || realMs - this.#slow.madeMs >= slowPartsMs) this.#makeSlow(realMs);
    const last = this.#lastSlow;
    if (last !== undefined && realMs - last.madeMs < slowPartsShownMs) return last.parts;
    return (this.#slow as { parts: Promise<SlowParts> }).parts;
  }

  #makeSlow(realMs: number): void {
    const nowMs = this.nowMs();
    const parts = Promise.all([recentBatteryPowerKw(this.grid, nowMs), todayView(this.grid, nowMs)]).then(
      ([batteryPowerKw, today]) => ({ batteryPowerKw, today }),
    );
    const entry = { madeMs: realMs, parts };
    this.#slow = entry;
    parts.then(
      (made) => {
        this.#lastSlow = { madeMs: realMs, parts: made };
      },
      () => {
        if (this.#slow === entry) this.#slow = undefined;
      },
    );
  }

  /** The summary as of now. */
  async summary(): Promise<Summary> {
    const [active, records, slow] = await Promise.all([this.active(), this.records(), this.slowParts()]);
    const { identity } = this.#options;
    return summaryView({ grid: this.grid, identity, active, records, ...slow, nowMs: this.nowMs() });
  }

  /** The summary as JSON text, made once per change and village second. */
  summaryText(): Promise<string> {
    const key = this.#summaryKey();
    if (this.#summary?.key === key) return this.#summary.text;
    const text = this.summary().then((summary) => JSON.stringify(summary));
    const entry: MadeSummary = { key, text };
    this.#summary = entry;
    text.then(
      (made) => {
        entry.bytes = Buffer.from(made);
      },
      () => {
        if (this.#summary === entry) this.#summary = undefined;
      },
    );
    return text;
  }

  /** The bytes of that text, where it is made already: whoever asks again need not wait. */
  summaryBytes(): Buffer | undefined {
    const made = this.#summary;
    return made?.key === this.#summaryKey() ? made.bytes : undefined;
  }

  #summaryKey(): string {
    return `${this.#version} ${Math.floor(this.nowMs() / 1000)}`;
  }
}
