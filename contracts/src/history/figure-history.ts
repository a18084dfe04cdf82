/** History of a grid figure from the histories of its series: the wiring applied window by window. */
import { metricDefinition, metricPrecision, quantise } from '../metrics/catalogue.js';
import type { Wire, WireTerm } from '../site/site.js';
import { emptyColumns, type WindowColumns } from './window.js';

/** Gives the windows of one series. */
export type SeriesWindows = (deviceId: string, metric: string) => WindowColumns;

/**
 * Adds the terms of a wire window by window; a window counts only where every term has data, otherwise the fallback's
 * window is taken. The minimum of a sum is the sum of minima (a bound, exact for one term), likewise the maximum.
 */
export function figureWindows(metric: string, wire: Wire, series: SeriesWindows): WindowColumns {
  const primary = addColumns(metric, wire.terms, series);
  if (wire.fallback === undefined) return primary;
  return fillFrom(primary, addColumns(metric, wire.fallback, series));
}

function addColumns(metric: string, terms: readonly WireTerm[], series: SeriesWindows): WindowColumns {
  const first = terms[0];
  if (first === undefined) return emptyColumns();
  const parts = terms.map((term) => ({ term, columns: series(term.device_id, term.metric) }));
  if (parts.length === 1 && first.factor === 1)
    return rounded(metric, (parts[0] as { columns: WindowColumns }).columns);
  const out = emptyColumns();
  const indexes = parts.map(() => 0);
  for (const time of (parts[0] as { columns: WindowColumns }).columns.t) {
    let whole = true;
    let [min, mean, max, last, count] = [0, 0, 0, 0, Number.POSITIVE_INFINITY];
    for (const [p, { term, columns }] of parts.entries()) {
      let at = indexes[p] as number;
      while (at < columns.t.length && (columns.t[at] as number) < time) at += 1;
      indexes[p] = at;
      if (columns.t[at] !== time) {
        whole = false;
        continue;
      }
      const low = (columns.min[at] as number) * term.factor;
      const high = (columns.max[at] as number) * term.factor;
      min += Math.min(low, high);
      max += Math.max(low, high);
      mean += (columns.mean[at] as number) * term.factor;
      last += (columns.last[at] as number) * term.factor;
      count = Math.min(count, columns.count[at] as number);
    }
    if (!whole) continue;
    out.t.push(time);
    out.min.push(min);
    out.mean.push(mean);
    out.max.push(max);
    out.last.push(last);
    out.count.push(count);
  }
  return rounded(metric, out);
}

/** Rounds means to one digit more than the metric is kept with, so that answers do not carry noise digits. */
function rounded(metric: string, columns: WindowColumns): WindowColumns {
  const precision = metricPrecision(metric);
  const finer = metricDefinition(metric)?.aggregation === 'last' ? precision : Math.min(precision + 1, 6);
  const round = (values: number[], digits: number) => values.map((value) => quantise(value, digits));
  return {
    t: columns.t,
    min: round(columns.min, precision),
    mean: round(columns.mean, finer),
    max: round(columns.max, precision),
    last: round(columns.last, precision),
    count: columns.count,
  };
}

function fillFrom(primary: WindowColumns, fallback: WindowColumns): WindowColumns {
  const have = new Set(primary.t);
  const rows = primary.t.map((t, i) => ({ t, columns: primary, i }));
  for (const [i, t] of fallback.t.entries()) if (!have.has(t)) rows.push({ t, columns: fallback, i });
  rows.sort((a, b) => a.t - b.t);
  const pick = (key: keyof WindowColumns) => rows.map(({ columns, i }) => columns[key][i] as number);
  return {
    t: pick('t'),
    min: pick('min'),
    mean: pick('mean'),
    max: pick('max'),
    last: pick('last'),
    count: pick('count'),
  };
}

/** How windows stand in time: their width, how often their source reports, since when they count, and now; all ms. */
export interface WindowTiming {
  readonly widthMs: number;
  readonly periodMs: number;
  /** Windows before it only tell whether the first one goes on from them. */
  readonly fromMs: number;
  readonly nowMs: number;
}

/**
 * Measured time of each window, ms: its width when it is over and the one before it has data too, else what its samples
 * stand for. So a window that has only begun, or begins after a gap, does not count as whole. 0 before `fromMs`.
 */
export function measuredTimesMs(
  { t, count }: Pick<WindowColumns, 't' | 'count'>,
  { widthMs, periodMs, fromMs, nowMs }: WindowTiming,
): number[] {
  return t.map((timeMs, at) => {
    if (timeMs < fromMs) return 0;
    return at > 0 && t[at - 1] === timeMs - widthMs && timeMs + widthMs <= nowMs
      ? widthMs
      : Math.min((count[at] as number) * periodMs, Math.max(widthMs, periodMs));
  });
}

/** Energy in kWh of a power figure's windows of one width: mean kW times measured hours, also of either sign. */
export function energyKwh(
  columns: WindowColumns,
  timing: WindowTiming,
): { readonly kwh: number; readonly positiveKwh: number; readonly negativeKwh: number } {
  const times = measuredTimesMs(columns, timing);
  let positive = 0;
  let negative = 0;
  for (const [at, mean] of columns.mean.entries()) {
    const kwh = (mean * (times[at] as number)) / 3_600_000;
    if (kwh >= 0) positive += kwh;
    else negative -= kwh;
  }
  return { kwh: positive - negative, positiveKwh: positive, negativeKwh: negative };
}
