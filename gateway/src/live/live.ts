/** What is now: the newest sample of each series, the grid's figures, the links. Fed on arrival, not at the commit. */
import {
  figuresBySource,
  qualityClass,
  qualityCodes,
  resolveFigure,
  type Clock,
  type DeviceSeries,
  type Figure,
  type QualityCode,
  type Sample,
  type Site,
  type SnapshotSample,
} from '@villagrid/contracts';
import type { GridChange } from '@villagrid/api';
import type { Logger } from '@villagrid/runtime';

/** Samples are never dated after their arrival: one further ahead than this was dated before the clock was set back. */
const aheadMs = 1000;

/** Time of a sample that did not come yet. */
const never = Number.NEGATIVE_INFINITY;

/** A figure that changed with what arrived. */
export interface ChangedFigure {
  readonly metric: string;
  readonly figure: Figure;
}

/** The newest sample of a series that a figure is made of; JSON. */
export type WiredSample = readonly [
  deviceId: string,
  metric: string,
  timeMs: number | null,
  value: number | null,
  quality: QualityCode,
];

export interface LiveOptions {
  readonly site: Site;
  readonly clock: Clock;
  readonly logger: Logger;
}

const nothing: readonly string[] = [];
const noFigures: readonly ChangedFigure[] = [];

/** The newest sample of a series. One object as long as the series is known; its value is NaN where there is none. */
interface Newest {
  timeMs: number;
  value: number;
  quality: QualityCode;
}

/** The present state of one grid. */
export class Live {
  readonly #site: Site;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #samples = new Map<string, Map<string, Newest>>();
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
  apply(samples: readonly Sample[], arrivalMs = this.#clock.nowMs()): readonly ChangedFigure[] {
    const changed = this.#put(samples);
    this.#reported(arrivalMs);
    if (changed.length === 0) return noFigures;
    const metrics = new Set<string>();
    for (const { deviceId, metric } of changed)
      for (const figure of this.#figuresBySource.get(deviceId)?.get(metric) ?? nothing) metrics.add(figure);
    const figures = this.#resolve([...metrics], arrivalMs);
    if (this.#listeners.size > 0) this.tell({ type: 'samples', series: changed });
    return figures;
  }

  /** The same for whole readings of a device: gives the function that takes them, values scaled as in `DeviceSeries`. */
  onReadings(
    series: DeviceSeries,
  ): (timeMs: number, values: Float64Array, quality: QualityCode, arrivalMs: number) => readonly ChangedFigure[] {
    const { deviceId, metrics, factors } = series;
    const newest = metrics.map((metric) => this.#newestOf(deviceId, metric));
    const figures = metrics.map((metric) => this.#figuresBySource.get(deviceId)?.get(metric) ?? nothing);
    const all = [...new Set(figures.flat())];
    return (timeMs, values, quality, arrivalMs) => {
      const heard = this.#listeners.size > 0 ? ([] as Sample[]) : undefined;
      let older: Set<number> | undefined;
      for (let index = 0; index < newest.length; index += 1) {
        const one = newest[index] as Newest;
        if (this.#isNewer(one, timeMs)) {
          (older ??= new Set()).add(index);
          continue;
        }
        one.timeMs = timeMs;
        one.value = (values[index] as number) / (factors[index] as number) || 0;
        one.quality = quality;
        heard?.push({ deviceId, metric: metrics[index] as string, timeMs, value: one.value, quality });
      }
      this.#reported(arrivalMs);
      const wanted = older === undefined ? all : [...new Set(figures.filter((_, index) => !older.has(index)).flat())];
      const changed = wanted.length === 0 ? noFigures : this.#resolve(wanted, arrivalMs);
      if (heard !== undefined && heard.length > 0) this.tell({ type: 'samples', series: heard });
      return changed;
    };
  }

  #all(): Newest[] {
    return [...this.#samples.values()].flatMap((series) => [...series.values()]);
  }

  #resolveAll(nowMs = this.#clock.nowMs()): void {
    for (const [metric, wire] of Object.entries(this.#site.wiring))
      this.#figures.set(metric, resolveFigure(metric, wire, this.latest, nowMs));
  }

  #reported(arrivalMs: number): void {
    const reportedMs = this.#lastReportedMs ?? 0;
    const known = reportedMs > arrivalMs && this.#isAhead(reportedMs) ? 0 : reportedMs;
    this.#lastReportedMs = Math.max(known, Math.round(arrivalMs));
  }

  #resolve(metrics: readonly string[], arrivalMs: number): ChangedFigure[] {
    const figures: ChangedFigure[] = [];
    for (const metric of metrics) {
      const wire = this.#site.wiring[metric];
      if (!wire) continue;
      const figure = resolveFigure(metric, wire, this.latest, arrivalMs);
      this.#figures.set(metric, figure);
      figures.push({ metric, figure });
    }
    return figures;
  }

  /**
   * Puts back what was known before a restart; nobody is told. While the clock is not trusted (`agesKnown` false) nobody can
   * say how long the gateway was off: such values are the last known, however near their times look.
   */
  restore(samples: readonly Sample[], agesKnown = true): void {
    const silent = ({ deviceId, metric }: Sample): boolean => {
      const known = this.#newestOf(deviceId, metric);
      return known.timeMs === never || known.quality === qualityCodes.uncertain_last_known;
    };
    const old = agesKnown ? samples : samples.filter(silent);
    this.#put(old);
    if (agesKnown) this.#resolveAll();
    else this.markLastKnown(old);
    for (const { timeMs } of samples) this.#lastReportedMs = Math.max(this.#lastReportedMs ?? 0, timeMs);
  }

  /** Says of samples, or of all, that they are from before a stop of unknown length; bad ones stay what they are. */
  markLastKnown(only?: readonly Sample[]): void {
    const all = only ? only.map((one) => this.#newestOf(one.deviceId, one.metric)) : this.#all();
    for (const sample of all)
      if (qualityClass(sample.quality) !== 'bad') sample.quality = qualityCodes.uncertain_last_known;
    this.#resolveAll();
  }

  /** The newest samples of which figures are made, to be put back with `putBack`; a time of null where none came yet. */
  wired(): WiredSample[] {
    const all: WiredSample[] = [];
    for (const [deviceId, metrics] of this.#figuresBySource)
      for (const metric of metrics.keys()) {
        const known = this.latest(deviceId, metric);
        all.push([deviceId, metric, known?.timeMs ?? null, known?.value ?? null, known?.quality ?? qualityCodes.good]);
      }
    return all;
  }

  /** Makes these the newest samples again, also where newer ones are known: what came since is to be applied once more. */
  putBack(samples: readonly WiredSample[]): void {
    for (const [deviceId, metric, timeMs, value, quality] of samples) {
      if (!this.isWired(deviceId, metric)) continue;
      const newest = this.#newestOf(deviceId, metric);
      newest.timeMs = timeMs ?? never;
      newest.value = value ?? Number.NaN;
      newest.quality = quality;
    }
    this.#resolveAll();
  }

  /** The clock that dates samples was moved: what it dated moves too, and nothing stays in the future. */
  clockMoved(byMs: number, trusted: boolean): void {
    const nowMs = Math.round(this.#clock.nowMs());
    for (const series of this.#samples.values()) {
      for (const sample of series.values()) {
        if (sample.timeMs === never) continue;
        const marked = sample.quality === qualityCodes.uncertain_clock;
        sample.timeMs = Math.min(marked ? sample.timeMs + byMs : sample.timeMs, nowMs);
        const isLastKnown = sample.quality === qualityCodes.uncertain_last_known;
        if ((marked || isLastKnown) && trusted) sample.quality = qualityCodes.good;
      }
    }
    if (this.#lastReportedMs !== null) this.#lastReportedMs = Math.min(this.#lastReportedMs + byMs, nowMs);
    this.#resolveAll(nowMs);
    this.tell({ type: 'site' });
  }

  /** The newest sample of a series. */
  readonly latest = (deviceId: string, metric: string): SnapshotSample | undefined => {
    const known = this.#samples.get(deviceId)?.get(metric);
    if (known === undefined || known.timeMs === never) return undefined;
    const { timeMs, value, quality } = known;
    return { timeMs, value: value === value ? value : null, quality };
  };

  /** Whether a figure of the grid is wired to this series. */
  isWired(deviceId: string, metric: string): boolean {
    return this.#figuresBySource.get(deviceId)?.has(metric) === true;
  }

  metricsOf(deviceId: string): readonly string[] {
    const series = [...(this.#samples.get(deviceId) ?? [])];
    return series.filter(([, { timeMs }]) => timeMs !== never).map(([metric]) => metric);
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

  /** Whether what is known is newer than a sample of this time; what is from before a restart of unknown length never is. */
  #isNewer({ timeMs, quality }: Newest, thanMs: number): boolean {
    return timeMs > thanMs && quality !== qualityCodes.uncertain_last_known && !this.#isAhead(timeMs);
  }

  #put(samples: readonly Sample[]): Sample[] {
    const changed: Sample[] = [];
    for (const sample of samples) {
      const { deviceId, metric, timeMs, value, quality } = sample;
      const known = this.#newestOf(deviceId, metric);
      if (this.#isNewer(known, timeMs)) continue;
      known.timeMs = timeMs;
      known.value = value ?? Number.NaN;
      known.quality = quality;
      changed.push(sample);
    }
    return changed;
  }

  #newestOf(deviceId: string, metric: string): Newest {
    let series = this.#samples.get(deviceId);
    if (!series) this.#samples.set(deviceId, (series = new Map()));
    let newest = series.get(metric);
    if (!newest) series.set(metric, (newest = { timeMs: never, value: Number.NaN, quality: qualityCodes.good }));
    return newest;
  }
}
