/** Export of series as CSV, slice by slice: what is sent is never in memory as a whole. */
import {
  expectedSamples,
  metricDefinition,
  metricPrecision,
  quantise,
  resolutionMs,
  VillagridError,
  type Granularity,
  type Resolution,
  type WindowColumns,
} from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { GridPort } from '../ports.js';
import { csvLine, isoUtc, numberCell, plainForm, spreadsheetForm, textCell, ZoneTimes, type CsvForm } from './csv.js';
import { alignedRange, parseMetrics, type HistoryQuery, type HistoryRange } from './history-request.js';
import { askedSeries, rawOf } from './history.js';
import type { RawValues } from './raw-series.js';
import { slicedWindows, sliceMs, slices } from './slices.js';
import { windowsOfFigure } from './windows.js';

/** The query as the route's schema checked it. */
export interface ExportQuery extends Omit<HistoryQuery, 'granularity' | 'points'> {
  readonly metric: string;
  readonly device?: string | undefined;
  readonly granularity?: Granularity | undefined;
  readonly format?: 'csv' | 'spreadsheet' | undefined;
  readonly decimal?: 'point' | 'comma' | undefined;
}

/** A file that is made while it is sent. */
export interface CsvFile {
  readonly parts: AsyncIterable<string>;
  readonly contentType: string;
  readonly fileName: string;
}

/** Stretch of raw samples that is read at once, ms. */
const rawSliceMs = 3_600_000;

/** Stretch of windows that is read and written at once: lines cost more than windows. */
const textSliceMs = (resolution: Resolution): number =>
  resolution === '1d' ? sliceMs['1d'] : Math.ceil(sliceMs[resolution] / 6 / 3_600_000) * 3_600_000;

/** Checks the question and prepares the file. Throws E_REQUEST_INVALID, E_METRIC_UNKNOWN and E_DEVICE_NOT_FOUND. */
export function exportCsv(grid: GridPort, query: ExportQuery, nowMs: number): CsvFile {
  const site = grid.site();
  const asked = askedSeries(grid, parseMetrics(query.metric), query.device);
  const range = alignedRange(query, query.granularity ?? '15m', site.zone, nowMs, grid.kept?.());
  const spreadsheet = query.format === 'spreadsheet';
  if (query.decimal !== undefined && !spreadsheet)
    throw new VillagridError('E_REQUEST_INVALID', 'query.decimal goes with format=spreadsheet; CSV has a point.');
  const form = spreadsheet ? spreadsheetForm(query.decimal === 'point' ? '.' : ',') : plainForm;
  const series = asked.map(({ metric, periodsS }) => ({ metric, periodMs: Math.max(...periodsS) * 1000 }));
  const times = new ZoneTimes(site.zone);
  const row = (timeMs: number): string[] =>
    spreadsheet ? [times.plain(timeMs), isoUtc(timeMs)] : [times.iso(timeMs), isoUtc(timeMs)];
  const day = (timeMs: number) => times.iso(timeMs).slice(0, 10);
  const name = [
    'villagrid',
    site.grid_id,
    query.device ?? '',
    asked.length === 1 ? (asked[0]?.metric ?? '') : '',
    range.granularity,
    day(range.fromMs),
    day(range.toMs - 1),
  ];
  return {
    contentType: form.contentType,
    fileName: `${name
      .filter((part) => part !== '')
      .join('_')
      .replaceAll(/[^A-Za-z0-9_.-]/g, '-')}.csv`,
    parts: write(grid, query.device, series, range, form, row),
  };
}

interface Series {
  readonly metric: string;
  readonly periodMs: number;
}

async function* write(
  grid: GridPort,
  device: string | undefined,
  series: readonly Series[],
  range: HistoryRange,
  form: CsvForm,
  row: (timeMs: number) => string[],
): AsyncGenerator<string> {
  const { zone } = grid.site();
  const heads = series.flatMap(({ metric }) => columnsOf(metric, range.granularity).map(({ head }) => head));
  yield form.mark +
    csvLine(
      [`time ${zone}`, 'time UTC', ...heads].map((head) => textCell(head, form)),
      form,
    );
  if (range.granularity === 'raw') {
    for (let fromMs = range.fromMs; fromMs < range.toMs; fromMs += rawSliceMs) {
      await nextTurn();
      const slice = { fromMs, toMs: Math.min(range.toMs, fromMs + rawSliceMs) };
      const columns: RawValues[] = [];
      for (const one of series) columns.push(await rawSlice(grid, device, one, slice));
      const text = rawLines(series, columns, form, row);
      if (text !== '') yield text;
    }
    return;
  }
  /** Samples a whole window holds, by metric, as far as it was seen. */
  const expects = new Map<string, number>();
  for (const slice of slices(zone, range.granularity, range.fromMs, range.toMs, textSliceMs(range.granularity))) {
    await nextTurn();
    const columns: WindowColumns[] = [];
    for (const { metric } of series)
      columns.push(
        device === undefined
          ? await windowsOfFigure(grid, metric, range.granularity, slice.fromMs, slice.toMs)
          : await slicedWindows(grid, device, metric, range.granularity, slice.fromMs, slice.toMs),
      );
    const text = windowLines(series, columns, range.granularity, form, row, expects);
    if (text !== '') yield text;
  }
}

interface Column {
  readonly head: string;
  cell(columns: WindowColumns, at: number, expected: number): number;
}

/** Columns of a metric: a state and a counter have a last value, everything else mean, least and most. */
function columnsOf(metric: string, granularity: Granularity): Column[] {
  const definition = metricDefinition(metric);
  const unit = definition === undefined || definition.unit === '' ? '' : ` [${definition.unit}]`;
  if (granularity === 'raw') return [{ head: `${metric}${unit}`, cell: () => Number.NaN }];
  const digits = metricPrecision(metric);
  const finer = Math.min(digits + 1, 6);
  const value = (key: 'min' | 'mean' | 'max' | 'last', places: number) => (columns: WindowColumns, at: number) =>
    quantise(columns[key][at] as number, places);
  const share: Column = {
    head: `${metric} completeness [%]`,
    cell: ({ count }, at, expected) => Math.min(100, Math.round(((count[at] as number) / expected) * 1000) / 10),
  };
  const aggregation = definition?.aggregation ?? 'mean';
  if (aggregation !== 'mean') return [{ head: `${metric} last${unit}`, cell: value('last', digits) }, share];
  return [
    { head: `${metric} mean${unit}`, cell: value('mean', finer) },
    { head: `${metric} min${unit}`, cell: value('min', digits) },
    { head: `${metric} max${unit}`, cell: value('max', digits) },
    share,
  ];
}

function windowLines(
  series: readonly Series[],
  columns: readonly WindowColumns[],
  resolution: Resolution,
  form: CsvForm,
  row: (timeMs: number) => string[],
  expects: Map<string, number>,
): string {
  const shown = series.map(({ metric, periodMs }, index) => {
    const seen = expectedSamples(columns[index]?.count ?? [], resolutionMs[resolution] / periodMs);
    // Earlier slices count too: one with a long gap must not think little of itself.
    const expected = columns[index]?.t.length === 0 ? seen : Math.max(seen, expects.get(metric) ?? 0);
    if (columns[index]?.t.length !== 0) expects.set(metric, expected);
    return { columns: columnsOf(metric, resolution), expected };
  });
  return merged(
    columns.map(({ t }) => t),
    (timeMs, places) => {
      const cells = row(timeMs);
      for (const [index, at] of places.entries()) {
        const { columns: wanted, expected } = shown[index] as (typeof shown)[number];
        for (const { cell } of wanted)
          cells.push(at === undefined ? '' : numberCell(cell(columns[index] as WindowColumns, at, expected), form));
      }
      return csvLine(cells, form);
    },
  );
}

function rawLines(
  series: readonly Series[],
  columns: readonly RawValues[],
  form: CsvForm,
  row: (timeMs: number) => string[],
): string {
  const digits = series.map(({ metric }) => metricPrecision(metric));
  return merged(
    columns.map(({ t }) => t),
    (timeMs, places) => {
      const cells = places.map((at, index) => {
        const value = at === undefined ? null : (columns[index]?.value[at] ?? null);
        return numberCell(value === null ? null : quantise(value, digits[index] as number), form);
      });
      return csvLine([...row(timeMs), ...cells], form);
    },
  );
}

/** Goes through the times of all series in order; each line is told where in each series its time is, if at all. */
function merged(
  times: readonly (readonly number[])[],
  line: (timeMs: number, places: readonly (number | undefined)[]) => string,
): string {
  const next = times.map(() => 0);
  const lines: string[] = [];
  for (;;) {
    let timeMs = Number.POSITIVE_INFINITY;
    for (const [index, t] of times.entries()) timeMs = Math.min(timeMs, t[next[index] as number] ?? timeMs);
    if (timeMs === Number.POSITIVE_INFINITY) return lines.join('');
    const places = times.map((t, index) => {
      const at = next[index] as number;
      if (t[at] !== timeMs) return undefined;
      next[index] = at + 1;
      return at;
    });
    lines.push(line(timeMs, places));
  }
}

/** Samples of a slice. A sum needs what its other terms said just before the slice began. */
async function rawSlice(
  grid: GridPort,
  device: string | undefined,
  { metric, periodMs }: Series,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): Promise<RawValues> {
  const { t, value } = await rawOf(grid, device, metric, { fromMs: Math.max(0, fromMs - 3 * periodMs), toMs });
  const first = t.findIndex((timeMs) => timeMs >= fromMs);
  return first < 0 ? { t: [], value: [] } : { t: t.slice(first), value: value.slice(first) };
}
