/** Windows of figures, fetched from the grid's port and put together by the wiring. */
import {
  emptyColumns,
  figureWindows,
  parseMetricId,
  type Resolution,
  type Site,
  type Wire,
  type WindowColumns,
} from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { GridPort } from '../ports.js';
import { devicePeriodS, hottestMetric } from './figures.js';
import { appendColumns, slices } from './slices.js';

/** What a figure is made of: a wire, the hottest of several, or nothing (not wired). */
export type FigureSource =
  | { readonly kind: 'wire'; readonly wire: Wire }
  | { readonly kind: 'hottest'; readonly components: readonly string[] }
  | { readonly kind: 'none' };

/** How a figure of this site is made. */
export function figureSource(site: Site, metric: string): FigureSource {
  if (metric === hottestMetric) {
    const components = Object.keys(site.wiring).filter((one) => parseMetricId(one).base === hottestMetric);
    if (components.length > 0) return { kind: 'hottest', components };
  }
  const wire = Object.hasOwn(site.wiring, metric) ? site.wiring[metric] : undefined;
  return wire === undefined ? { kind: 'none' } : { kind: 'wire', wire };
}

/** Devices whose series a figure is made of. */
export function sourceDevices(site: Site, source: FigureSource): string[] {
  if (source.kind === 'none') return [];
  const wires = source.kind === 'wire' ? [source.wire] : source.components.map((one) => site.wiring[one] as Wire);
  return [...new Set(wires.flatMap((wire) => [...wire.terms, ...(wire.fallback ?? [])].map((term) => term.device_id)))];
}

/** How often the sources of a figure report, seconds; empty when it is not wired. */
export function sourcePeriodsS(site: Site, source: FigureSource): number[] {
  if (source.kind === 'none') return [];
  const wires = source.kind === 'wire' ? [source.wire] : source.components.map((one) => site.wiring[one] as Wire);
  return wires.flatMap((wire) =>
    [...wire.terms, ...(wire.fallback ?? [])].map((term) => devicePeriodS(site, term.device_id, term.metric)),
  );
}

/** Windows of a figure whose start lies in [fromMs, toMs); empty when it is not wired. */
export async function windowsOfFigure(
  grid: GridPort,
  metric: string,
  resolution: Resolution,
  fromMs: number,
  toMs: number,
): Promise<WindowColumns> {
  const site = grid.site();
  const source = figureSource(site, metric);
  if (source.kind === 'none') return emptyColumns();
  if (source.kind === 'wire') return windowsOfWire(grid, metric, source.wire, resolution, fromMs, toMs);
  const parts: WindowColumns[] = [];
  for (const one of source.components)
    parts.push(await windowsOfWire(grid, one, site.wiring[one] as Wire, resolution, fromMs, toMs));
  return hottestWindows(parts);
}

/** Slice by slice, the terms put together within each: neither reading nor adding a year is one long step. */
async function windowsOfWire(
  grid: GridPort,
  metric: string,
  wire: Wire,
  resolution: Resolution,
  fromMs: number,
  toMs: number,
): Promise<WindowColumns> {
  const all = emptyColumns();
  const terms = new Map(
    [...wire.terms, ...(wire.fallback ?? [])].map((one) => [`${one.device_id} ${one.metric}`, one]),
  );
  let first = true;
  for (const slice of slices(grid.site().zone, resolution, fromMs, toMs)) {
    const fetched = new Map<string, WindowColumns>();
    for (const [key, { device_id, metric: source }] of terms) {
      if (!first) await nextTurn();
      first = false;
      fetched.set(key, await grid.windows(device_id, source, resolution, slice.fromMs, slice.toMs));
    }
    appendColumns(
      all,
      figureWindows(metric, wire, (deviceId, source) => fetched.get(`${deviceId} ${source}`) ?? emptyColumns()),
    );
  }
  return all;
}

/** Window by window the component with the highest mean. */
export function hottestWindows(parts: readonly WindowColumns[]): WindowColumns {
  if (parts.length === 1) return parts[0] as WindowColumns;
  const best = new Map<number, { part: WindowColumns; at: number }>();
  for (const part of parts) {
    for (const [at, time] of part.t.entries()) {
      const known = best.get(time);
      if (known === undefined || (part.mean[at] as number) > (known.part.mean[known.at] as number))
        best.set(time, { part, at });
    }
  }
  const rows = [...best].sort(([a], [b]) => a - b).map(([, row]) => row);
  const pick = (key: keyof WindowColumns) => rows.map(({ part, at }) => part[key][at] as number);
  return {
    t: pick('t'),
    min: pick('min'),
    mean: pick('mean'),
    max: pick('max'),
    last: pick('last'),
    count: pick('count'),
  };
}

/** Joins windows of one series in order of time. */
export function joinWindows(a: WindowColumns, b: WindowColumns): WindowColumns {
  return {
    t: [...a.t, ...b.t],
    min: [...a.min, ...b.min],
    mean: [...a.mean, ...b.mean],
    max: [...a.max, ...b.max],
    last: [...a.last, ...b.last],
    count: [...a.count, ...b.count],
  };
}
