/** Grid figures: what the wiring makes of the newest samples. */
import { staleAfterMs } from '../devices/freshness.js';
import { metricDefinition, parseMetricId, quantise, metricPrecision } from '../metrics/catalogue.js';
import { qualityClass, qualityCodes, type QualityCode } from '../quality/quality.js';
import type { Wire, WireTerm } from './site.js';

/** The newest sample of a series. */
export interface SnapshotSample {
  readonly timeMs: number;
  readonly value: number | null;
  readonly quality: QualityCode;
}

/** Looks up the newest sample of a series. */
export type SnapshotLookup = (deviceId: string, metric: string) => SnapshotSample | undefined;

/** A grid figure with its time, quality and where it came from. */
export interface Figure {
  /** Null when unknown: never heard, or its newest samples are bad. */
  readonly value: number | null;
  /** Time of the oldest contributing sample, Unix ms; null when never heard. */
  readonly timeMs: number | null;
  readonly quality: QualityCode;
  readonly sources: ReadonlyArray<{ readonly deviceId: string; readonly metric: string }>;
  readonly usedFallback: boolean;
}

/**
 * Resolves a wire. Terms are added; a missing or bad term makes the sum unknown, unless the fallback is whole. A
 * primary older than `oldestMs` also yields to a fresher fallback. Where both name the same devices (one that tells a
 * quantity under two names), the newest word counts.
 */
export function resolveFigure(
  metric: string,
  wire: Wire,
  lookup: SnapshotLookup,
  nowMs: number,
  oldestMs = staleAfterMs,
): Figure {
  const primary = addTerms(metric, wire.terms, lookup);
  const usable = primary.value !== null && primary.timeMs !== null && nowMs - primary.timeMs <= oldestMs;
  if (wire.fallback === undefined || (usable && !sameDevices(wire.terms, wire.fallback))) return primary;
  const fallback = addTerms(metric, wire.fallback, lookup);
  if (fallback.value === null) return primary;
  if (primary.value !== null && (primary.timeMs ?? 0) >= (fallback.timeMs ?? 0)) return primary;
  return { ...fallback, usedFallback: true };
}

/**
 * Whether a figure is worked out from other quantities because the site has no meter for it: consumption as generation less
 * battery power. It is shown as derived, and proves nothing about the meters it is made of.
 */
export function isDerived(figure: string, terms: readonly WireTerm[]): boolean {
  const { base } = parseMetricId(figure);
  return terms.some((term) => parseMetricId(term.metric).base !== base);
}

function sameDevices(a: readonly WireTerm[], b: readonly WireTerm[]): boolean {
  const within = (some: readonly WireTerm[], others: readonly WireTerm[]) =>
    some.every((one) => others.some((other) => other.device_id === one.device_id));
  return within(a, b) && within(b, a);
}

function addTerms(metric: string, terms: readonly WireTerm[], lookup: SnapshotLookup): Figure {
  const sources = terms.map(({ device_id, metric: source }) => ({ deviceId: device_id, metric: source }));
  let sum = 0;
  let timeMs: number | null = null;
  let quality: QualityCode = qualityCodes.good;
  let missing = false;
  for (const term of terms) {
    const sample = lookup(term.device_id, term.metric);
    if (sample === undefined) {
      missing = true;
      continue;
    }
    timeMs = timeMs === null ? sample.timeMs : Math.min(timeMs, sample.timeMs);
    if (sample.quality > quality) quality = sample.quality;
    if (sample.value === null || qualityClass(sample.quality) === 'bad') missing = true;
    else sum += sample.value * term.factor;
  }
  if (!missing && quality < qualityCodes.uncertain_derived && isDerived(metric, terms))
    quality = qualityCodes.uncertain_derived;
  return {
    value: missing ? null : quantise(sum, metricPrecision(metric)),
    timeMs,
    quality,
    sources,
    usedFallback: false,
  };
}

/** Figures that depend on a series: which to recompute when it changes. */
export function figuresBySource(wiring: Readonly<Record<string, Wire>>): Map<string, string[]> {
  const map = new Map<string, string[]>();
  for (const [figure, wire] of Object.entries(wiring)) {
    for (const term of [...wire.terms, ...(wire.fallback ?? [])]) {
      const key = `${term.device_id} ${term.metric}`;
      const list = map.get(key);
      if (list) {
        if (!list.includes(figure)) list.push(figure);
      } else map.set(key, [figure]);
    }
  }
  return map;
}

/** The hottest equipment among figures `equipment_temp_c.*` with usable values; undefined when none. */
export function hottestEquipment(
  figures: Readonly<Record<string, Figure>>,
): { readonly metric: string; readonly figure: Figure } | undefined {
  let best: { metric: string; figure: Figure } | undefined;
  for (const [metric, figure] of Object.entries(figures)) {
    if (parseMetricId(metric).base !== 'equipment_temp_c' || figure.value === null) continue;
    if (best === undefined || figure.value > (best.figure.value ?? Number.NEGATIVE_INFINITY)) best = { metric, figure };
  }
  return best;
}

/** Unit of a figure as printed; empty for unknown metrics. */
export const figureUnit = (metric: string): string => metricDefinition(metric)?.unit ?? '';
