/** A grid's figures as the API shows them, from the newest samples and the wiring. */
import {
  freshness,
  metricDefinition,
  parseMetricId,
  qualityCodes,
  qualityName,
  resolveFigure,
  type Figure,
  type FigureView,
  type Site,
} from '@villagrid/contracts';
import type { GridPort } from '../ports.js';

/** Period assumed for a source that the site does not list, seconds. */
const unknownPeriodS = 10;

/** The figure that shows the hottest component. */
export const hottestMetric = 'equipment_temp_c';

/** Figures with the component a hottest figure was taken from. */
export interface GridFigures {
  readonly figures: Readonly<Record<string, Figure>>;
  /** Wired figure that `equipment_temp_c` was taken from, e.g. `equipment_temp_c.cabinet`; undefined without one. */
  readonly hottest: string | undefined;
}

/** How often a device reports, or one series of it, seconds. */
export function devicePeriodS(site: Site, deviceId: string, metric?: string): number {
  const device = site.devices.find((one) => one.device_id === deviceId);
  const own = metric === undefined ? undefined : device?.series_period_s?.[metric];
  return own ?? device?.period_s ?? unknownPeriodS;
}

/** The slowest period of a figure's sources, seconds. */
export function figurePeriodS(site: Site, figure: Figure): number {
  return figure.sources.length === 0
    ? unknownPeriodS
    : Math.max(...figure.sources.map(({ deviceId, metric }) => devicePeriodS(site, deviceId, metric)));
}

/** Resolves every wired figure, and `equipment_temp_c` as the hottest component (a stale one only when all are stale). */
export function gridFigures(grid: GridPort, nowMs: number): GridFigures {
  const site = grid.site();
  const figures: Record<string, Figure> = {};
  for (const [metric, wire] of Object.entries(site.wiring))
    figures[metric] = resolveFigure(metric, wire, (deviceId, source) => grid.latest(deviceId, source), nowMs);
  const components = Object.entries(figures).filter(([metric]) => parseMetricId(metric).base === hottestMetric);
  let hottest: string | undefined;
  for (const [metric, figure] of components) {
    const best = hottest === undefined ? undefined : figures[hottest];
    if (best === undefined || hotter(site, nowMs, figure, best)) hottest = metric;
  }
  const figure = hottest === undefined ? undefined : figures[hottest];
  return { figures: figure === undefined ? figures : { ...figures, [hottestMetric]: figure }, hottest };
}

function hotter(site: Site, nowMs: number, a: Figure, b: Figure): boolean {
  if (a.value === null || b.value === null) return a.value !== null;
  const stale = (figure: Figure) =>
    freshness(figure.timeMs, nowMs, figurePeriodS(site, figure) * 1000, figure.quality) === 'stale';
  if (stale(a) !== stale(b)) return stale(b);
  return a.value > b.value;
}

/** A figure as the API shows it. */
export function figureView(
  site: Site,
  metric: string,
  figure: Figure,
  hottest: string | undefined,
  nowMs: number,
): FigureView {
  const periodS = figurePeriodS(site, figure);
  const silent = figure.value === null && figure.quality === qualityCodes.good;
  return {
    value: figure.value,
    unit: metricDefinition(metric)?.unit ?? '',
    label: figureLabel(metric === hottestMetric ? (hottest ?? metric) : metric),
    time_ms: figure.timeMs,
    age_s: figure.timeMs === null ? null : Math.max(0, Math.round((nowMs - figure.timeMs) / 100) / 10),
    quality: qualityName(silent ? qualityCodes.bad_no_value : figure.quality),
    freshness: freshness(figure.timeMs, nowMs, periodS * 1000, figure.quality),
    period_s: periodS,
    sources: figure.sources.map((source) => ({
      device_id: source.deviceId,
      // The component lies in the wiring when the device's own series does not name it.
      metric: metric === hottestMetric && !source.metric.includes('.') ? (hottest ?? source.metric) : source.metric,
    })),
    fallback: figure.usedFallback,
  };
}

/** English label of a figure with its component, e.g. "Equipment temperature, cabinet". */
export function figureLabel(metric: string): string {
  const { suffix } = parseMetricId(metric);
  const label = metricDefinition(metric)?.label ?? metric;
  return suffix === undefined || metricDefinition(metric) === undefined ? label : `${label}, ${suffix}`;
}

/** Views of some or all figures. */
export function figureViews(
  grid: GridPort,
  nowMs: number,
  { figures, hottest }: GridFigures,
  only?: ReadonlySet<string>,
): Record<string, FigureView> {
  const site = grid.site();
  const views: Record<string, FigureView> = {};
  for (const [metric, figure] of Object.entries(figures))
    if (only === undefined || only.has(metric)) views[metric] = figureView(site, metric, figure, hottest, nowMs);
  return views;
}
