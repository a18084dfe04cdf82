/** The report of a grid: gathers its columns through the port, and lets the formulas of contracts speak. */
import {
  countedQuarters,
  denseQuarters,
  integratedQuarters,
  interruptionCause,
  interruptionLimits,
  reportInSteps,
  measuredStretch,
  preferCounted,
  quarterAt,
  quarterMs,
  quarterRaster,
  reduceMaintenance,
  reportColumns,
  runningQuarters,
  supplyOf,
  type CounterTerm,
  type DenseQuarters,
  type InterruptionCause,
  type QuarterAmounts,
  type QuarterRaster,
  type Report,
  type ReportAmount,
  type ReportColumn,
  type Site,
  type Supply,
  type TimeSpan,
} from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { GridPort } from '../ports.js';
import { readAlertLoad } from './alert-load.js';
import { devicePeriodS, hottestMetric } from './figures.js';
import { reportRange, type ReportQuery } from './report-request.js';
import { slicedWindows } from './slices.js';
import { nominal, supplySpans } from './supply-spans.js';
import { figureSource, sourceDevices, windowsOfFigure } from './windows.js';

/** How far before the period other days are asked what a gap may have held, ms. */
const contextMs = 28 * 86_400_000;
/** Most a plant without nameplate can gain in an hour, kWh: the most the catalogue believes. */
const mostKw = 2000;

/** Makes a report. Throws E_REQUEST_INVALID. */
export async function reportView(grid: GridPort, query: ReportQuery, nowMs: number): Promise<Report> {
  const site = grid.site();
  const { plant, zone } = site;
  const range = reportRange(query, zone, nowMs);
  const untilMs = Math.min(range.toMs, nowMs);
  const raster = quarterRaster(zone, Math.max(0, range.fromMs - contextMs), Math.max(untilMs, range.fromMs + 1));
  const reader = new Reader(grid, raster, untilMs);

  const columns: Partial<Record<ReportColumn, DenseQuarters>> = {};
  const irradianceInPlane = wired(site, 'irradiance_poa_w_m2');
  for (const [name, metric] of Object.entries(reportColumns) as [ReportColumn, string][]) {
    if ((name === 'mains' && !plant.has_mains) || (name === 'genset' && !plant.has_genset)) continue;
    const source = name === 'irradiance' && irradianceInPlane ? 'irradiance_poa_w_m2' : metric;
    const found = await reader.column(source);
    if (found !== undefined) columns[name] = found;
  }
  const array = await reader.column('generation_kw.dc');
  const amounts: Partial<Record<ReportAmount, QuarterAmounts>> = {};
  const energy = async (
    name: ReportAmount,
    counter: string | undefined,
    power: DenseQuarters | undefined,
    part: 'all' | 'positive' | 'negative' = 'all',
  ) => {
    // The rate a counter may have comes from the power beside it, or from the plate: half as much again.
    const counted =
      counter === undefined ? undefined : await reader.counter(counter, 1.5 * peakKw(power, plant.pv_kwp));
    await nextTurn();
    const made = preferCounted(counted, power === undefined ? undefined : integratedQuarters(raster, power, part));
    if (made !== undefined) amounts[name] = made;
  };
  await energy('generation', 'generation_energy_kwh', columns.generation);
  await energy('consumption', 'consumption_energy_kwh', columns.consumption);
  await energy('charge', 'battery_charge_energy_kwh', columns.battery, 'positive');
  await energy('discharge', 'battery_discharge_energy_kwh', columns.battery, 'negative');
  await energy('array', 'generation_energy_kwh.dc', array);
  if (plant.has_mains) {
    await energy('mainsImport', 'mains_import_energy_kwh', columns.mains, 'positive');
    await energy('mainsExport', undefined, columns.mains, 'negative');
  }
  if (plant.has_genset) {
    await energy('genset', undefined, columns.genset, 'positive');
    const hours = await reader.counter('genset_hours', 1.05, 0.1);
    const running = columns.genset === undefined ? undefined : runningQuarters(raster, columns.genset, 0.2);
    const made = preferCounted(hours, running);
    if (made !== undefined) amounts.gensetHours = made;
  }
  if (columns.irradiance !== undefined) {
    // Sensors show a few W/m² below zero at night: no sun is no sun.
    await nextTurn();
    const perKilowatt = scaled(columns.irradiance, 1 / 1000);
    amounts.irradiation = integratedQuarters(raster, perKilowatt, 'positive');
  }

  const { nominalV, nominalHz } = nominal(grid);
  await nextTurn();
  const stretch = measuredStretch(raster, amounts, range.fromMs, range.toMs, nowMs);
  // Windows are asked for by their start, and a plant may begin within one.
  const spans = await supplySpans(grid, Math.floor(stretch.sinceMs / quarterMs) * quarterMs, stretch.untilMs);
  let causes: readonly InterruptionCause[] = [];
  if (spans !== undefined) {
    await nextTurn();
    const supply = supplyOf(spans, interruptionLimits(nominalV, nominalHz), stretch.sinceMs, stretch.untilMs);
    causes = await causesOf(grid, reader, raster, columns, supply);
  }
  const steps = reportInSteps({
    grid: { gridId: site.grid_id, name: site.name, plant },
    raster,
    period: range.period,
    fromMs: range.fromMs,
    toMs: range.toMs,
    nowMs,
    by: range.by,
    amounts,
    columns,
    irradianceInPlane,
    spans,
    nominalV,
    nominalHz,
    causes,
  });
  for (;;) {
    await nextTurn();
    const step = steps.next();
    if (step.done === true) return { ...step.value, alert_load: await loadOf(grid, range, nowMs) };
  }
}

/** What the alerts of the period asked of people. */
async function loadOf(grid: GridPort, span: TimeSpan, nowMs: number): Promise<Report['alert_load']> {
  const load = await readAlertLoad(grid, span, nowMs);
  return { ...load, worst_rules: [...load.worst_rules], chattering: [...load.chattering] };
}

const wired = (site: Site, metric: string): boolean => figureSource(site, metric).kind !== 'none';

/** The most a power reached, kW; the plate where there is no power figure. */
function peakKw(power: DenseQuarters | undefined, plateKw: number | undefined): number {
  let peak = 0;
  for (const [at, max] of power?.max.entries() ?? [])
    if (max > peak || -(power?.min[at] as number) > peak) peak = Math.max(max, -(power?.min[at] as number));
  if (peak > 0) return Math.max(peak, 1);
  return plateKw === undefined || plateKw === 0 ? mostKw : plateKw;
}

function scaled(columns: DenseQuarters, factor: number): DenseQuarters {
  const by = (values: Float64Array) => values.map((value) => value * factor);
  return { ...columns, mean: by(columns.mean), min: by(columns.min), max: by(columns.max), last: by(columns.last) };
}

/** Reads figures of a grid onto a raster, slice by slice. */
class Reader {
  readonly #grid: GridPort;
  readonly #raster: QuarterRaster;
  readonly #untilMs: number;

  constructor(grid: GridPort, raster: QuarterRaster, untilMs: number) {
    this.#grid = grid;
    this.#raster = raster;
    this.#untilMs = untilMs;
  }

  /** A figure's columns; undefined when it is not wired or never measured. */
  async column(metric: string): Promise<DenseQuarters | undefined> {
    const site = this.#grid.site();
    const source = figureSource(site, metric);
    if (source.kind === 'none') return undefined;
    await nextTurn();
    const found = await windowsOfFigure(this.#grid, metric, '15m', this.#raster.fromMs, this.#untilMs);
    if (found.t.length === 0) return undefined;
    await nextTurn();
    const periodS = Math.max(...sourceDevices(site, source).map((one) => devicePeriodS(site, one)));
    return denseQuarters(this.#raster, found, periodS);
  }

  /** What the counters of a figure counted; undefined when it is not wired or never measured. */
  async counter(metric: string, maxPerHour: number, resolution = 0.01): Promise<QuarterAmounts | undefined> {
    const site = this.#grid.site();
    const source = figureSource(site, metric);
    if (source.kind !== 'wire') return undefined;
    const terms: CounterTerm[] = [];
    for (const { device_id, metric: series, factor } of source.wire.terms) {
      await nextTurn();
      const columns = await slicedWindows(this.#grid, device_id, series, '15m', this.#raster.fromMs, this.#untilMs);
      if (columns.t.length === 0) return undefined;
      terms.push({ columns, factor });
    }
    await nextTurn();
    return countedQuarters(this.#raster, terms, { maxPerHour, resolution });
  }
}

/** The likeliest cause of each interruption, by the quarter hour it began in and the one before. */
async function causesOf(
  grid: GridPort,
  reader: Reader,
  raster: QuarterRaster,
  columns: Readonly<Partial<Record<ReportColumn, DenseQuarters>>>,
  { interruptions }: Supply,
): Promise<InterruptionCause[]> {
  if (interruptions.length === 0) return [];
  const { plant } = grid.site();
  const limits = grid.limits();
  // Work on single devices does not switch a village off.
  const works = reduceMaintenance(await grid.records()).filter(({ device_ids }) => device_ids === null);
  const temperature = await reader.column(hottestMetric);
  const connected = plant.has_mains ? await reader.column('grid_tie_connected') : undefined;
  return interruptions.map(({ fromMs }) => {
    const at = quarterAt(raster, fromMs);
    const around = (values: Float64Array | undefined, pick: (...values: number[]) => number): number | null => {
      const known = [values?.[at - 1], values?.[at]].filter(
        (one) => one !== undefined && !Number.isNaN(one),
      ) as number[];
      return known.length === 0 ? null : pick(...known);
    };
    const before = connected?.last[at - 1];
    return interruptionCause({
      planned: works.some((work) => fromMs >= work.from_ms && fromMs < work.until_ms),
      socPct: around(columns.soc?.min, Math.min),
      floorPct: plant.battery_floor_pct,
      loadKw: around(columns.consumption?.max, Math.max),
      overloadKw: limits.consumption_kw?.high ?? null,
      equipmentC: around(temperature?.max, Math.max),
      equipmentLimitC: limits.equipment_temp_c?.high ?? null,
      mainsLost: before !== undefined && before > 0.5 && (connected?.min[at] ?? 1) < 0.5,
    });
  });
}
