/** What is now: the newest sample of each series, the grid's figures, the links. Fed on arrival, not at the commit. */
import {
  figuresBySource,
  qualityClass,
  qualityCodes,
  resolveFigure,
  type Clock,
  type Figure,
  type Sample,
  type Site,
  type SnapshotSample,
} from '@villagrid/contracts';
import type { GridChange } from '@villagrid/api';
import type { Logger } from '@villagrid/runtime';

/** Samples are never dated after their arrival: one further ahead than this was dated before the clock was set back. */
const aheadMs = 1000;

/** A figure that changed with what arrived. */
export interface ChangedFigure {
  readonly metric: string;
  readonly figure: Figure;
}

export interface LiveOptions {
  readonly site: Site;
  readonly clock: Clock;
  readonly logger: Logger;
}

const nothing: readonly string[] = [];

/** The present state of one grid. */
export class Live {
  readonly #site: Site;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #samples = new Map<string, Map<string, SnapshotSample>>();
  /** Figures that depend on a series, by device and metric. */
  readonly #figuresBySource = new Map<string, Map<string, readonly string[]>>();
  readonly #figures = new Map<string, Figure>();
  readonly #links = new Map<string, 'up' | 'down'>();
  readonly #listeners = new Set<(change: GridChange) => void>();
  #lastReportedMs: number | null = null;

  constructor({ site, clock, logger }: LiveOptions) {
    this.#site = site;
    this.#clock = clock;
    this.#logger = logger;
    for (const [source, figures] of figuresBySource(site.wiring)) {
      const [deviceId = '', metric = ''] = source.split(' ');
      const ofDevice = this.#figuresBySource.get(deviceId) ?? new Map<string, readonly string[]>();
      this.#figuresBySource.set(deviceId, ofDevice.set(metric, figures));
    }
  }

  /** Takes samples that arrived; gives the figures they changed. A sample older than its series' newest changes nothing. */
  apply(samples: readonly Sample[], arrivalMs = this.#clock.nowMs()): ChangedFigure[] {
    const changed = this.#put(samples);
    const reportedMs = this.#lastReportedMs ?? 0;
    this.#lastReportedMs = Math.max(this.#isAhead(reportedMs) ? 0 : reportedMs, Math.round(arrivalMs));
    if (changed.length === 0) return [];
    const metrics = new Set<string>();
    for (const { deviceId, metric } of changed)
      for (const figure of this.#figuresBySource.get(deviceId)?.get(metric) ?? nothing) metrics.add(figure);
    const figures: ChangedFigure[] = [];
    for (const metric of metrics) {
      const wire = this.#site.wiring[metric];
      if (!wire) continue;
      const figure = resolveFigure(metric, wire, this.latest, arrivalMs);
      this.#figures.set(metric, figure);
      figures.push({ metric, figure });
    }
    if (this.#listeners.size > 0) this.tell({ type: 'samples', series: changed });
    return figures;
  }

  /** Puts back what was known before a restart; nobody is told. */
  restore(samples: readonly Sample[]): void {
    this.#put(samples);
    for (const [metric, wire] of Object.entries(this.#site.wiring))
      this.#figures.set(metric, resolveFigure(metric, wire, this.latest, this.#clock.nowMs()));
    for (const { timeMs } of samples) this.#lastReportedMs = Math.max(this.#lastReportedMs ?? 0, timeMs);
  }

  /** The clock that dates samples was moved: what it dated moves too, and nothing stays in the future. */
  clockMoved(byMs: number, trusted: boolean): void {
    const nowMs = Math.round(this.#clock.nowMs());
    for (const series of this.#samples.values()) {
      for (const [metric, sample] of series) {
        const marked = sample.quality === qualityCodes.uncertain_clock;
        const timeMs = Math.min(marked ? sample.timeMs + byMs : sample.timeMs, nowMs);
        const quality = marked && trusted ? qualityCodes.good : sample.quality;
        if (timeMs !== sample.timeMs || quality !== sample.quality)
          series.set(metric, { timeMs, value: sample.value, quality });
      }
    }
    if (this.#lastReportedMs !== null) this.#lastReportedMs = Math.min(this.#lastReportedMs + byMs, nowMs);
    for (const [metric, wire] of Object.entries(this.#site.wiring))
      this.#figures.set(metric, resolveFigure(metric, wire, this.latest, nowMs));
    this.tell({ type: 'site' });
  }

  /** The newest sample of a series. */
  readonly latest = (deviceId: string, metric: string): SnapshotSample | undefined =>
    this.#samples.get(deviceId)?.get(metric);

  /** Whether a figure of the grid is wired to this series. */
  isWired(deviceId: string, metric: string): boolean {
    return this.#figuresBySource.get(deviceId)?.has(metric) === true;
  }

  metricsOf(deviceId: string): readonly string[] {
    return [...(this.#samples.get(deviceId)?.keys() ?? [])];
  }

  lastReportedMs(): number | null {
    return this.#lastReportedMs;
  }

  /** A figure's usable value that is not older than `maxAgeMs` before a time; undefined otherwise. */
  figureValue(metric: string, timeMs: number, maxAgeMs: number): number | undefined {
    const figure = this.#figures.get(metric);
    if (!figure || figure.value === null || figure.timeMs === null || qualityClass(figure.quality) === 'bad')
      return undefined;
    return timeMs - figure.timeMs > maxAgeMs ? undefined : figure.value;
  }

  link(deviceId: string): 'up' | 'down' | undefined {
    return this.#links.get(deviceId);
  }

  /** Notes what a link says of itself; true when that is new. */
  setLink(deviceId: string, state: 'up' | 'down'): boolean {
    if (this.#links.get(deviceId) === state) return false;
    this.#links.set(deviceId, state);
    this.tell({ type: 'device', deviceId });
    return true;
  }

  subscribe(listener: (change: GridChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells subscribers; one that fails harms no other. */
  tell(change: GridChange): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(change);
      } catch (error) {
        this.#logger.error('a subscriber of live changes failed', { error });
      }
    }
  }

  /** Whether a time lies ahead of the clock, which was set back then. */
  #isAhead(timeMs: number): boolean {
    return timeMs > this.#clock.nowMs() + aheadMs;
  }

  #put(samples: readonly Sample[]): Sample[] {
    const changed: Sample[] = [];
    // Samples of a device come in a row.
    let ofDevice: string | undefined;
    let series = new Map<string, SnapshotSample>();
    for (const sample of samples) {
      const { deviceId, metric, timeMs } = sample;
      if (deviceId !== ofDevice) {
        ofDevice = deviceId;
        series = this.#samples.get(deviceId) ?? new Map<string, SnapshotSample>();
        this.#samples.set(deviceId, series);
      }
      const known = series.get(metric);
      if (known && known.timeMs > timeMs && !this.#isAhead(known.timeMs)) continue;
      series.set(metric, sample);
      changed.push(sample);
    }
    return changed;
  }
}
