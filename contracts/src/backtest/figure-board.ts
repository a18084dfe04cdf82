/** The figures of a grid at a moment of the past: what screens and rules would have had then. */
import { qualityClass } from '../quality/quality.js';
import type { RuleFigure } from '../rules/engine.js';
import { latestSampleMs } from '../rules/kind.js';
import { resolveFigure, type SnapshotSample } from '../site/figures.js';
import type { Site, Wire } from '../site/site.js';

/** The newest sample of a series at the moment that is played; its time is -Infinity before the first one. */
export interface Newest {
  timeMs: number;
  value: number;
  quality: number;
  /** Figures that change with it. */
  readonly figures: readonly string[];
}

/** Newest samples and figures, played forward. */
export class FigureBoard {
  readonly #wires: ReadonlyMap<string, Wire>;
  readonly #newest = new Map<string, Newest>();
  readonly #shown: SnapshotSample & { timeMs: number; value: number | null; quality: number } = {
    timeMs: 0,
    value: null,
    quality: 0,
  };

  /** Works out the named figures only. */
  constructor(site: Site, figures: readonly string[]) {
    this.#wires = new Map(
      figures.flatMap((metric) => (site.wiring[metric] ? [[metric, site.wiring[metric]] as const] : [])),
    );
    const sources = new Map<string, string[]>();
    for (const [metric, wire] of this.#wires)
      for (const term of [...wire.terms, ...(wire.fallback ?? [])]) {
        const key = `${term.device_id} ${term.metric}`;
        const known = sources.get(key) ?? [];
        if (!known.includes(metric)) sources.set(key, [...known, metric]);
      }
    for (const [key, names] of sources)
      this.#newest.set(key, { timeMs: Number.NEGATIVE_INFINITY, value: Number.NaN, quality: 0, figures: names });
  }

  /** Where the newest sample of a series is to be put; undefined when no figure is made of it. */
  newest(deviceId: string, metric: string): Newest | undefined {
    return this.#newest.get(`${deviceId} ${metric}`);
  }

  readonly #lookup = (deviceId: string, metric: string): SnapshotSample | undefined => {
    const known = this.#newest.get(`${deviceId} ${metric}`);
    if (known === undefined || known.timeMs === Number.NEGATIVE_INFINITY) return undefined;
    // One object for all: the figure keeps nothing of it.
    const shown = this.#shown;
    shown.timeMs = known.timeMs;
    shown.value = known.value === known.value ? known.value : null;
    shown.quality = known.quality;
    return shown;
  };

  /** Works figures out anew, as rules are told of them: null where a figure is not usable, none of what is long past. */
  resolve(metrics: readonly string[], nowMs: number): RuleFigure[] {
    const told: RuleFigure[] = [];
    for (const metric of metrics) {
      const wire = this.#wires.get(metric);
      if (wire === undefined) continue;
      const { value, timeMs, quality } = resolveFigure(metric, wire, this.#lookup, nowMs);
      if (timeMs === null || timeMs < nowMs - latestSampleMs) continue;
      told.push({ metric, timeMs, value: qualityClass(quality) === 'bad' ? null : value });
    }
    return told;
  }
}
