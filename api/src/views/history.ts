/** History of figures and of devices' own series, in columns. */
import {
  expectedSamples,
  foldWindowColumns,
  isMetricIdForm,
  localDayStartMs,
  metricDefinition,
  metricPrecision,
  parseMetricId,
  quantise,
  resolutionMs,
  VillagridError,
  type History,
  type Site,
  type Wire,
  type WindowColumns,
} from '@villagrid/contracts';
import type { GridPort } from '../ports.js';
import { devicePeriodS } from './figures.js';
import { closedWindows, historyRange, parseMetrics, type HistoryQuery, type HistoryRange } from './history-request.js';
import { addRaw, fillRaw, hottestRaw, usableValues, wireTerms, type RawValues } from './raw-series.js';
import { slicedWindows } from './slices.js';
import { figureSource, sourcePeriodsS, windowsOfFigure, type FigureSource } from './windows.js';

type HistorySeries = History['series'][number];

/** Answers a history question. Throws E_METRIC_UNKNOWN, E_DEVICE_NOT_FOUND and E_REQUEST_INVALID. */
export async function historyView(
  grid: GridPort,
  asked: { readonly metric: string; readonly device?: string | undefined } & HistoryQuery,
  nowMs: number,
): Promise<History> {
  const site = grid.site();
  const metrics = parseMetrics(asked.metric);
  const { device } = asked;
  const sources = askedSeries(grid, metrics, device);
  const fastestS = Math.min(...sources.flatMap((source) => source.periodsS));
  const range = historyRange(asked, site.zone, nowMs, fastestS, grid.kept?.());
  const series: HistorySeries[] = [];
  for (const { metric, periodsS } of sources) {
    const slowestMs = Math.max(...periodsS) * 1000;
    if (range.granularity === 'raw') {
      const values = await rawOf(grid, device, metric, range);
      series.push(rawSeries(metric, values, range, nowMs, slowestMs));
      continue;
    }
    const { fromMs, toMs, granularity } = range;
    const columns =
      device === undefined
        ? await windowsOfFigure(grid, metric, granularity, fromMs, toMs)
        : await slicedWindows(grid, device, metric, granularity, fromMs, toMs);
    series.push(windowSeries(metric, columns, range, site.zone, nowMs, slowestMs));
  }
  return {
    grid_id: site.grid_id,
    from_ms: range.fromMs,
    to_ms: range.toMs,
    zone: site.zone,
    granularity: range.granularity,
    step_ms: range.granularity === 'raw' ? null : resolutionMs[range.granularity] * range.by,
    ...(range.notKept === undefined ? {} : { not_kept: range.notKept }),
    metric: asked.metric,
    series,
  };
}

/** Series that were asked for, with the periods of their devices. Throws E_METRIC_UNKNOWN and E_DEVICE_NOT_FOUND. */
export function askedSeries(
  grid: GridPort,
  metrics: readonly string[],
  device: string | undefined,
): { readonly metric: string; readonly periodsS: readonly number[] }[] {
  const site = grid.site();
  if (device !== undefined) requireDevice(grid, device);
  return metrics.map((metric) => {
    const periodsS =
      device === undefined
        ? sourcePeriodsS(site, wiredSource(site, metric))
        : [devicePeriodS(site, deviceSeries(grid, device, metric), metric)];
    return { metric, periodsS };
  });
}

function requireDevice(grid: GridPort, deviceId: string): void {
  const known = grid.site().devices.some((device) => device.device_id === deviceId);
  if (!known && grid.metricsOf(deviceId).length === 0)
    throw new VillagridError('E_DEVICE_NOT_FOUND', 'This grid has no device of the id in query.device.');
}

/** The device itself when it may have this series. */
function deviceSeries(grid: GridPort, deviceId: string, metric: string): string {
  if (!isMetricIdForm(metric) || (metricDefinition(metric) === undefined && !grid.metricsOf(deviceId).includes(metric)))
    throw new VillagridError('E_METRIC_UNKNOWN', `Device ${deviceId} has no series of this metric.`);
  return deviceId;
}

function wiredSource(site: Site, metric: string): FigureSource {
  const source = figureSource(site, metric);
  if (source.kind !== 'none') return source;
  const wired = Object.keys(site.wiring).join(', ');
  throw new VillagridError(
    'E_METRIC_UNKNOWN',
    isMetricIdForm(metric) && metricDefinition(metric) !== undefined
      ? `${metric} is not wired at grid ${site.grid_id}; wired are ${wired}. A device's own series is asked with ?device=.`
      : `No metric has this name; wired at grid ${site.grid_id} are ${wired}.`,
  );
}

/** Usable raw values of a figure, or of a device's own series. */
export async function rawOf(
  grid: GridPort,
  device: string | undefined,
  metric: string,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): Promise<RawValues> {
  if (device !== undefined) return usableValues(await grid.raw(device, metric, fromMs, toMs));
  const site = grid.site();
  const source = figureSource(site, metric);
  if (source.kind === 'none') return { t: [], value: [] };
  if (source.kind === 'wire') return rawOfWire(grid, metric, source.wire, fromMs, toMs);
  return hottestRaw(
    await Promise.all(
      source.components.map(async (one) => {
        const wire = site.wiring[one] as Wire;
        const periodMs =
          Math.max(...wireTerms(wire).map((term) => devicePeriodS(site, term.device_id, term.metric))) * 1000;
        return { values: await rawOfWire(grid, one, wire, fromMs, toMs), periodMs };
      }),
    ),
  );
}

async function rawOfWire(grid: GridPort, metric: string, wire: Wire, fromMs: number, toMs: number): Promise<RawValues> {
  const site = grid.site();
  const fetched = new Map<string, Promise<RawValues>>();
  const fetch = (terms: Wire['terms']) =>
    Promise.all(
      terms.map(async (term) => {
        const key = `${term.device_id} ${term.metric}`;
        const pending = fetched.get(key) ?? grid.raw(term.device_id, term.metric, fromMs, toMs).then(usableValues);
        fetched.set(key, pending);
        return { term, values: await pending, periodMs: devicePeriodS(site, term.device_id, term.metric) * 1000 };
      }),
    );
  const terms = await fetch(wire.terms);
  const primary = addRaw(metric, terms);
  if (wire.fallback === undefined) return primary;
  const periodMs = Math.max(...terms.map((term) => term.periodMs));
  return fillRaw(primary, addRaw(metric, await fetch(wire.fallback)), periodMs);
}

const percent = (part: number, whole: number): number => Math.min(100, Math.round((part / whole) * 1000) / 10);

function rawSeries(
  metric: string,
  { t, value }: RawValues,
  { fromMs, toMs }: HistoryRange,
  nowMs: number,
  periodMs: number,
): HistorySeries {
  const precision = metricPrecision(metric);
  const values = value.map((one) => (one === null ? null : quantise(one, precision)));
  const expected = Math.floor((Math.min(toMs, nowMs) - fromMs) / periodMs);
  const have = values.filter((one) => one !== null).length;
  return {
    metric,
    unit: metricDefinition(metric)?.unit ?? '',
    times_ms: t,
    mean: values,
    min: values,
    max: values,
    last: values,
    count: values.map((one) => (one === null ? 0 : 1)),
    expected: null,
    gaps: rawGaps(t, values, fromMs, Math.min(toMs, nowMs), periodMs),
    completeness_pct: expected <= 0 ? 100 : percent(have, expected),
  };
}

/** Whether means of this metric may carry one digit more than its samples. */
const finerDigits = (metric: string): number => {
  const precision = metricPrecision(metric);
  return metricDefinition(parseMetricId(metric).base)?.aggregation === 'last' ? precision : Math.min(precision + 1, 6);
};

function windowSeries(
  metric: string,
  columns: WindowColumns,
  range: HistoryRange,
  zone: string,
  nowMs: number,
  periodMs: number,
): HistorySeries {
  const digits = finerDigits(metric);
  const { expected, endMs } = closedWindows(range, zone, nowMs);
  const have = columns.t.filter((time) => time < endMs).length;
  // A device slower than the window leaves windows empty without anything missing.
  const width = range.granularity === 'raw' ? periodMs : resolutionMs[range.granularity];
  const wanted = periodMs > width ? Math.floor((endMs - range.fromMs) / periodMs) : expected;
  const { granularity, by } = range;
  // Completeness and gaps are those of the windows as they are kept: folding hides none.
  const { t, mean, min, max, last, count } =
    granularity === 'raw' ? columns : foldWindowColumns(columns, { resolution: granularity, zone, by });
  return {
    metric,
    unit: metricDefinition(metric)?.unit ?? '',
    times_ms: t,
    mean: mean.map((one) => quantise(one, digits)),
    min,
    max,
    last,
    count,
    expected: by * expectedSamples(columns.count, Math.max(1, Math.round(width / periodMs))),
    gaps: windowGaps(columns.t, range, endMs, width, periodMs, zone),
    completeness_pct: wanted <= 0 ? (columns.t.length > 0 || endMs <= range.fromMs ? 100 : 0) : percent(have, wanted),
  };
}

/** Stretches between usable samples that are longer than three periods. */
function rawGaps(
  t: readonly number[],
  values: readonly (number | null)[],
  fromMs: number,
  untilMs: number,
  periodMs: number,
): HistorySeries['gaps'] {
  const gaps: HistorySeries['gaps'] = [];
  let reachedMs = fromMs;
  const look = (timeMs: number) => {
    if (timeMs - reachedMs > 3 * periodMs) gaps.push({ from_ms: reachedMs, to_ms: timeMs });
  };
  for (const [at, timeMs] of t.entries()) {
    if (values[at] === null) continue;
    look(timeMs);
    reachedMs = timeMs;
  }
  look(untilMs);
  return gaps;
}

/** Runs of closed windows without data; a device slower than the window leaves some empty without a gap. */
function windowGaps(
  t: readonly number[],
  { fromMs, granularity }: HistoryRange,
  endMs: number,
  width: number,
  periodMs: number,
  zone: string,
): HistorySeries['gaps'] {
  const gaps: HistorySeries['gaps'] = [];
  const least = periodMs > width ? 2 * periodMs : 0;
  // 36 hours after its start a local day is over, be it 23 or 25 hours long.
  const endOf = (timeMs: number) =>
    granularity === '1d' ? localDayStartMs(zone, timeMs + 36 * 3_600_000) : timeMs + width;
  let reachedMs = fromMs;
  for (const timeMs of [...t.filter((one) => one < endMs), endMs]) {
    if (timeMs - reachedMs > least) gaps.push({ from_ms: reachedMs, to_ms: timeMs });
    reachedMs = endOf(timeMs);
  }
  return gaps;
}
