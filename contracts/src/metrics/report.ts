/** Puts the figures of a period together. Pure: columns on a raster and facts of the plant in, the report out. */
import type { Report, ReportRow } from '../api/report-schema.js';
import type { Plant } from '../site/site.js';
import { balanceResidualKwh, meterFindingsInSteps, type BalanceInputs, type MeterFinding } from './balance.js';
import {
  autonomy,
  depthOfDischarge,
  equivalentCycles,
  roundTripEfficiency,
  throughputKwh,
  usableKwh,
} from './battery.js';
import { fillGaps, totalOf, type FilledAmounts, type Total } from './bounds.js';
import { basisOf, type QuarterAmounts } from './energy.js';
import { plainFigure, ratio, totalFigure, type KeyFigure } from './key-figure.js';
import { baseLoadKw, loadFactor, peakQuarter, renewableFraction } from './load.js';
import { localDate, quarterAt, quarterMs, quarterStartMs, type DenseQuarters, type QuarterRaster } from './raster.js';
import { judge, poorWords, reportFigures, type ReportFigureId } from './report-figures.js';
import { finished, type Steps } from './steps.js';
import { curtailedKwh, solarYields, temperatureWeight } from './solar.js';
import {
  evenings,
  interruptionLimits,
  qualityLimits,
  reliability,
  supplyOf,
  supplyQuality,
  sustainedFromMs,
  type InterruptionCause,
  type Supply,
  type SupplySpan,
} from './supply.js';

/** Amounts a report knows; those that are not wired are left out. kWh, `irradiation` in kWh/m², `gensetHours` in h. */
export const reportAmounts = [
  'generation',
  'consumption',
  'charge',
  'discharge',
  'mainsImport',
  'mainsExport',
  'genset',
  'array',
  'irradiation',
  'gensetHours',
] as const;
export type ReportAmount = (typeof reportAmounts)[number];

/** Columns a report looks at beside the amounts. */
export const reportColumns = {
  consumption: 'consumption_kw',
  generation: 'generation_kw',
  battery: 'battery_power_kw',
  mains: 'mains_power_kw',
  genset: 'genset_power_kw',
  soc: 'battery_soc_pct',
  irradiance: 'irradiance_w_m2',
  air: 'ambient_temp_c',
} as const;
export type ReportColumn = keyof typeof reportColumns;

/** Everything a report is made of. The raster begins some weeks before the period: other days tell what a gap held. */
export interface ReportInputs {
  readonly grid: { readonly gridId: string; readonly name: string; readonly plant: Plant };
  readonly raster: QuarterRaster;
  readonly period: 'day' | 'month' | 'year' | null;
  readonly fromMs: number;
  readonly toMs: number;
  readonly nowMs: number;
  readonly by: 'hour' | 'day' | 'month';
  readonly amounts: Readonly<Partial<Record<ReportAmount, QuarterAmounts>>>;
  readonly columns: Readonly<Partial<Record<ReportColumn, DenseQuarters>>>;
  /** Irradiance measured flat instead of in the plane of the modules makes yields an estimate. */
  readonly irradianceInPlane: boolean;
  /** Undefined when AC voltage is not wired. */
  readonly spans: readonly SupplySpan[] | undefined;
  readonly nominalV: number;
  readonly nominalHz: number;
  /** Cause per interruption of `supplyOf(spans, …)` over the same stretch, in order. */
  readonly causes: readonly InterruptionCause[];
}

/** From when and up to when a report makes figures: from its first measurement to the last closed quarter hour. */
export function measuredStretch(
  raster: QuarterRaster,
  amounts: ReportInputs['amounts'],
  fromMs: number,
  toMs: number,
  nowMs: number,
): { readonly sinceMs: number; readonly untilMs: number } {
  const untilMs = Math.max(fromMs, Math.min(toMs, Math.floor(nowMs / quarterMs) * quarterMs));
  let firstMs = quarterStartMs(raster, raster.length);
  for (const one of Object.values(amounts)) {
    const at = one.known.findIndex((share) => share > 0);
    // Of the quarter hour a plant begins in, the end is measured.
    if (at >= 0)
      firstMs = Math.min(firstMs, Math.round(quarterStartMs(raster, at + 1) - quarterMs * (one.known[at] as number)));
  }
  return { sinceMs: Math.min(untilMs, Math.max(fromMs, firstMs)), untilMs };
}

/** Interruptions listed at most. */
const mostInterruptions = 200;
/** From this many hours on ratios of sun and load mean something: both sides hold a whole day. */
const wholeDayHours = 23;
/** From this many hours on sun and battery are judged: one dark day is no fault. */
const judgedFromHours = 72;
/** Full amount of digits a figure carries. */
const digits = 4;

/** A report without what is not made of measurements: the alerts. */
export type ReportFigures = Omit<Report, 'alert_load'>;

/** Makes the report at once. */
export const makeReport = (inputs: ReportInputs): ReportFigures => finished(reportInSteps(inputs));

/** Makes the report in steps of some milliseconds for a year. */
export function* reportInSteps(inputs: ReportInputs): Steps<ReportFigures> {
  const { grid, raster, amounts, columns, nowMs } = inputs;
  const { plant } = grid;
  const { sinceMs, untilMs } = measuredStretch(raster, amounts, inputs.fromMs, inputs.toMs, nowMs);
  const from = quarterAt(raster, sinceMs);
  const to = quarterAt(raster, untilMs);
  const hours = (untilMs - sinceMs) / 3_600_000;
  const filled: Partial<Record<ReportAmount, FilledAmounts>> = {};
  for (const [name, one] of Object.entries(amounts)) {
    filled[name as ReportAmount] = fillGaps(raster, one, untilMs);
    yield;
  }
  const total = (name: ReportAmount): Total | undefined => {
    const one = filled[name];
    return one === undefined ? undefined : totalOf(one, from, to, (untilMs - sinceMs) / quarterMs);
  };
  const totals = Object.fromEntries(reportAmounts.map((name) => [name, total(name)])) as Record<
    ReportAmount,
    Total | undefined
  >;
  const value = (name: ReportAmount): number | null => totals[name]?.value ?? null;
  const completenessOf = (...names: ReportAmount[]): number => {
    const shares = names.flatMap((name) => totals[name]?.completeness ?? []);
    return shares.length === 0 ? 0 : Math.min(...shares);
  };
  const estimated = (...names: ReportAmount[]): boolean => names.some((name) => totals[name]?.estimate === true);

  const figures = new Map<ReportFigureId, KeyFigure>();
  const put = (id: ReportFigureId, figure: KeyFigure): void => void figures.set(id, figure);
  const putTotal = (id: ReportFigureId, name: ReportAmount): void => {
    const one = amounts[name];
    if (one !== undefined) put(id, totalFigure(totals[name], reportFigures[id].unit, basisOf(one, from, to)));
  };
  const putPlain = (id: ReportFigureId, what: number | null | undefined, share: number, estimate = false): void =>
    put(id, plainFigure(what, reportFigures[id].unit, share, estimate));
  const percent = (share: number | null): number | null => (share === null ? null : share * 100);

  // Energy.
  putTotal('generation_kwh', 'generation');
  putTotal('consumption_kwh', 'consumption');
  putTotal('battery_charge_kwh', 'charge');
  putTotal('battery_discharge_kwh', 'discharge');
  putTotal('mains_import_kwh', 'mainsImport');
  putTotal('mains_export_kwh', 'mainsExport');
  putTotal('genset_kwh', 'genset');
  if (amounts.consumption !== undefined && (amounts.generation !== undefined || amounts.genset !== undefined))
    putPlain(
      'renewable_share',
      percent(renewableFraction(value('consumption'), value('genset'), value('mainsImport'))),
      completenessOf('consumption', 'genset', 'mainsImport'),
      estimated('consumption', 'genset', 'mainsImport'),
    );
  const balance = balanceInputs(inputs);
  if (columns.consumption !== undefined && columns.generation !== undefined) {
    const { residualKwh, quarters } = balanceResidualKwh(balance, from, to);
    putPlain('losses_kwh', quarters === 0 ? null : residualKwh, to > from ? quarters / (to - from) : 0);
  }

  // Supply.
  yield;
  const supply = supplyFigures(inputs, filled.consumption, sinceMs, untilMs, putPlain);

  yield;

  // Sun.
  const rated = plant.pv_kwp ?? null;
  const solarUsed =
    value('consumption') === null
      ? value('generation')
      : Math.max(
          0,
          (value('consumption') ?? 0) -
            (value('genset') ?? 0) -
            (value('mainsImport') ?? 0) +
            (value('mainsExport') ?? 0),
        );
  const weight =
    columns.irradiance === undefined || columns.air === undefined
      ? null
      : temperatureWeight(columns.irradiance, columns.air, from, to);
  const irradiation = value('irradiation');
  // Each amount over its own days: a sensor that came later would be spread over days it did not see. A day that is not
  // over counts as one: its sun so far is not spread over the hours so far.
  const hoursOf = (name: ReportAmount): number => totals[name]?.hours ?? 0;
  const perDay = (sum: number | null, name: ReportAmount): number | null =>
    sum === null ? null : sum / Math.max(1, hoursOf(name) / 24);
  const used = value('consumption') === null ? 'generation' : 'consumption';
  const sunPerDay = perDay(irradiation, 'irradiation');
  const yields = solarYields({
    ratedKwp: rated,
    irradiationKwhM2: sunPerDay,
    arrayKwh: perDay(value('array'), 'array'),
    acKwh: perDay(value('generation'), 'generation'),
    usefulKwh: perDay(solarUsed, used),
    correctedKwhM2: sunPerDay === null || weight === null ? null : sunPerDay * weight,
    hours: Math.min(24, hoursOf('generation')),
  });
  const whole = hoursOf('generation') >= wholeDayHours;
  const wholeRatio = whole && hoursOf('irradiation') >= wholeDayHours && hoursOf(used) >= wholeDayHours;
  if (amounts.generation !== undefined && rated !== null) {
    const flat = !inputs.irradianceInPlane;
    const sunShare = completenessOf('irradiation');
    const usedShare = completenessOf(amounts.consumption === undefined ? 'generation' : 'consumption');
    if (amounts.irradiation !== undefined) {
      putPlain('reference_yield', yields.reference, sunShare, flat || estimated('irradiation'));
      if (amounts.array !== undefined) {
        putPlain('array_yield', yields.array, completenessOf('array'), estimated('array'));
        putPlain('capture_loss', yields.captureLoss, Math.min(sunShare, completenessOf('array')), flat);
        putPlain('system_loss', yields.systemLoss, Math.min(usedShare, completenessOf('array')), false);
      }
      const ratioShare = Math.min(sunShare, usedShare);
      if (wholeRatio) putPlain('performance_ratio', percent(yields.performanceRatio), ratioShare, flat);
      if (wholeRatio && weight !== null)
        putPlain('corrected_performance_ratio', percent(yields.correctedPerformanceRatio), ratioShare, flat);
    }
    putPlain('final_yield', yields.final, usedShare, estimated('consumption'));
    putPlain(
      'specific_yield',
      ratio(value('generation'), rated),
      completenessOf('generation'),
      estimated('generation'),
    );
    if (whole)
      putPlain(
        'capacity_factor',
        percent(yields.capacityFactor),
        completenessOf('generation'),
        estimated('generation'),
      );
    if (amounts.array !== undefined)
      putPlain('array_to_ac', percent(yields.arrayToAc), completenessOf('generation', 'array'));
    const { generation, irradiance, air, soc } = columns;
    if (generation !== undefined && irradiance !== undefined && soc !== undefined) {
      const held = curtailedKwh({ generation, irradiance, air, soc, ratedKwp: rated }, from, to);
      putPlain('curtailed_kwh', held?.kwh, sunShare, true);
      putPlain('curtailed_h', held?.hours, sunShare, true);
    }
  }

  yield;

  // Load.
  const load = columns.consumption;
  if (load !== undefined && amounts.consumption !== undefined) {
    const share = completenessOf('consumption');
    const average = ratio(value('consumption'), totals.consumption?.hours);
    const peak = peakQuarter(load, from, to)?.kw ?? null;
    putPlain('average_load_kw', average, share, estimated('consumption'));
    putPlain('peak_load_kw', peak, share);
    putPlain('load_factor', percent(loadFactor(average, peak)), share, estimated('consumption'));
    putPlain('base_load_kw', baseLoadKw(raster, load, from, to), share);
  }

  yield;

  // Battery.
  const empty = batteryFigures(
    inputs,
    { from, to, charged: value('charge'), discharged: value('discharge') },
    putPlain,
    {
      share: completenessOf('charge', 'discharge'),
      estimate: estimated('charge', 'discharge'),
    },
  );
  putTotal('genset_hours', 'gensetHours');

  yield;
  const rows = yield* makeRows(inputs, filled, supply?.spans, from, to, { sinceMs, untilMs });
  const completeness = completenessOf('generation', 'consumption');
  const views = [...figures].map(([id, figure]) => {
    const { group, label, help } = reportFigures[id];
    return {
      id,
      group,
      label,
      help,
      value: rounded(figure.value),
      unit: figure.unit,
      completeness: Math.round(figure.completeness * 1000) / 1000,
      low: rounded(figure.bounds?.low ?? null),
      high: rounded(figure.bounds?.high ?? null),
      basis: figure.basis,
      estimate: figure.estimate,
      judgement: hours < judgedFromHours && (group === 'sun' || group === 'battery') ? null : judge(id, figure.value),
    };
  });
  const order = Object.keys(reportFigures);
  views.sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
  const faults = yield* meterFindingsInSteps(balance, from, to);
  const findings = findingsOf(views, faults, figures, to > from ? completeness : 1);
  const listed = supply?.supply.interruptions ?? [];
  const byCause: Record<string, number> = {};
  for (const [at, one] of listed.entries()) {
    const cause = inputs.causes[at] ?? 'unknown';
    byCause[cause] = (byCause[cause] ?? 0) + one.offMs / 60_000;
  }
  return {
    grid_id: grid.gridId,
    name: grid.name,
    zone: raster.zone,
    now_ms: nowMs,
    period: inputs.period,
    from_ms: inputs.fromMs,
    to_ms: inputs.toMs,
    since_ms: sinceMs,
    until_ms: untilMs,
    completeness: Math.round(completeness * 1000) / 1000,
    state: stateOf(views, findings),
    findings,
    figures: views,
    rows_by: inputs.by,
    rows,
    interruptions: listed
      .map((one, at) => ({
        from_ms: one.fromMs,
        to_ms: one.toMs,
        minutes: rounded(one.offMs / 60_000) ?? 0,
        sustained: one.toMs - one.fromMs > sustainedFromMs,
        cause: inputs.causes[at] ?? ('unknown' as const),
        starts_in_gap: one.startsInGap,
        ends_in_gap: one.endsInGap,
      }))
      .slice(-mostInterruptions)
      .reverse(),
    minutes_by_cause: Object.fromEntries(Object.entries(byCause).map(([cause, one]) => [cause, rounded(one) ?? 0])),
    battery_empty: empty,
  };
}

const rounded = (value: number | null): number | null =>
  value === null ? null : Math.round(value * 10 ** digits) / 10 ** digits || 0;

type Put = (id: ReportFigureId, value: number | null | undefined, completeness: number, estimate?: boolean) => void;

function balanceInputs({ raster, columns, grid }: ReportInputs): BalanceInputs {
  const channels = {
    ...(columns.generation === undefined ? {} : { generation_kw: columns.generation }),
    ...(columns.consumption === undefined ? {} : { consumption_kw: columns.consumption }),
    ...(columns.battery === undefined ? {} : { battery_power_kw: columns.battery }),
    ...(columns.mains === undefined ? {} : { mains_power_kw: columns.mains }),
    ...(columns.genset === undefined ? {} : { genset_power_kw: columns.genset }),
  };
  return { raster, channels, soc: columns.soc, ratedKwh: grid.plant.battery_kwh };
}

function supplyFigures(
  inputs: ReportInputs,
  load: FilledAmounts | undefined,
  sinceMs: number,
  untilMs: number,
  put: Put,
): { readonly supply: Supply; readonly spans: readonly SupplySpan[] } | undefined {
  const { spans, nominalV, nominalHz, raster } = inputs;
  if (spans === undefined) return undefined;
  const limits = interruptionLimits(nominalV, nominalHz);
  const supply = supplyOf(spans, limits, sinceMs, untilMs);
  const { onMs, offMs, unknownMs } = supply;
  const share = untilMs > sinceMs ? (onMs + offMs) / (untilMs - sinceMs) : 0;
  const known = onMs + offMs > 0;
  const hour = 3_600_000;
  const indices = reliability(supply);
  put('availability', indices.availability === null ? null : indices.availability * 100, share);
  put('without_power_h', known ? offMs / hour : null, share);
  put('unknown_h', unknownMs / hour, share);
  put('saidi_h', known ? indices.saidiHours : null, share);
  put('saifi', known ? indices.saifi : null, share);
  put('maifi', known ? indices.maifi : null, share);
  put('caidi_h', indices.caidiHours, share);
  put('supply_hours_day', indices.availability === null ? null : indices.availability * 24, share);
  let [eveningOn, eveningKnown, eveningAll] = [0, 0, 0];
  let next = 0;
  for (const evening of evenings(raster.zone, raster.days)) {
    const fromMs = Math.max(evening.fromMs, sinceMs);
    const toMs = Math.min(evening.toMs, untilMs);
    if (toMs <= fromMs) continue;
    while (next < spans.length && (spans[next] as SupplySpan).toMs <= fromMs) next += 1;
    let end = next;
    while (end < spans.length && (spans[end] as SupplySpan).fromMs < toMs) end += 1;
    const one = supplyOf(spans.slice(next, end), limits, fromMs, toMs);
    eveningOn += one.onMs;
    eveningKnown += one.onMs + one.offMs;
    eveningAll += toMs - fromMs;
  }
  put(
    'evening_hours_day',
    eveningKnown > 0 ? (4 * eveningOn) / eveningKnown : null,
    eveningAll > 0 ? eveningKnown / eveningAll : 0,
  );
  const quality = supplyQuality(
    spans.filter((one) => one.toMs > sinceMs && one.fromMs < untilMs),
    limits,
    qualityLimits(nominalV, nominalHz),
  );
  put('quality', quality.share === null ? null : quality.share * 100, share);
  put('sags', known ? quality.sags : null, share);
  if (load !== undefined) put('unserved_kwh', known ? unservedKwh(raster, load, supply) : null, share, true);
  return { supply, spans };
}

/** What the same hours without an interruption used, less what was used: an estimate. */
function unservedKwh(raster: QuarterRaster, load: FilledAmounts, supply: Supply): number | null {
  const off = new Float64Array(raster.length);
  for (const one of supply.interruptions) {
    for (let at = quarterAt(raster, one.fromMs); at < raster.length && quarterStartMs(raster, at) < one.toMs; at += 1) {
      const startMs = quarterStartMs(raster, at);
      const overlap = Math.min(one.toMs, startMs + quarterMs) - Math.max(one.fromMs, startMs);
      off[at] = Math.min(1, (off[at] as number) + overlap / quarterMs);
    }
  }
  const sums = new Float64Array(24);
  const counts = new Float64Array(24);
  for (let at = 0; at < raster.length; at += 1) {
    const hour = raster.hour[at] as number;
    if ((off[at] as number) > 0 || (load.source.measured[at] as number) < 0.5) continue;
    sums[hour] = (sums[hour] as number) + (load.source.amount[at] as number) / (load.source.known[at] as number);
    counts[hour] = (counts[hour] as number) + 1;
  }
  let kwh = 0;
  for (let at = 0; at < raster.length; at += 1) {
    const share = off[at] as number;
    const hour = raster.hour[at] as number;
    if (share === 0) continue;
    if ((counts[hour] as number) === 0) return null;
    kwh += share * ((sums[hour] as number) / (counts[hour] as number));
  }
  return kwh;
}

function batteryFigures(
  { raster, columns, grid, nowMs, toMs }: ReportInputs,
  { from, to, charged, discharged }: { from: number; to: number; charged: number | null; discharged: number | null },
  put: Put,
  { share, estimate }: { share: number; estimate: boolean },
): Report['battery_empty'] {
  const rated = grid.plant.battery_kwh ?? null;
  const { soc, consumption, generation } = columns;
  if (charged !== null && discharged !== null) {
    put('throughput_kwh', throughputKwh(charged, discharged), share, estimate);
    if (rated !== null) put('equivalent_cycles', equivalentCycles(discharged, rated), share, estimate);
  }
  if (soc === undefined) return null;
  const socShare = to > from ? soc.coverage.subarray(from, to).reduce((sum, one) => sum + one, 0) / (to - from) : 0;
  const deepest = depthOfDischarge(soc, from, to);
  put('deepest_discharge', deepest === null ? null : deepest * 100, socShare);
  const daily: number[] = [];
  for (let at = from; at < to; ) {
    let end = at + 1;
    while (end < to && raster.day[end] === raster.day[at]) end += 1;
    const one = depthOfDischarge(soc, at, end);
    if (one !== null && end - at >= 48) daily.push(one);
    at = end;
  }
  if (daily.length > 0)
    put('daily_discharge', (100 * daily.reduce((sum, one) => sum + one, 0)) / daily.length, socShare);
  const known = (at: number) => !Number.isNaN(soc.last[at] as number);
  let first = from;
  while (first < to && !known(first)) first += 1;
  let last = to - 1;
  while (last > first && !known(last)) last -= 1;
  if (charged !== null && discharged !== null && rated !== null && last > first) {
    const change = (soc.last[last] as number) - (soc.last[first] as number);
    const efficiency = roundTripEfficiency(charged, discharged, change, rated);
    put('round_trip_efficiency', efficiency === null ? null : efficiency * 100, Math.min(share, socShare), estimate);
  }
  // What is left and until when it lasts is said only of now.
  if (rated === null || toMs < nowMs || last < first || to - last > 4 || consumption === undefined) return null;
  const floorPct = grid.plant.battery_floor_pct;
  const usable = usableKwh({ ratedKwh: rated, socPct: soc.last[last] as number, floorPct });
  put('usable_kwh', usable, 1, true);
  const netLoad = consumption.mean.map((kw, at) => kw - ((generation?.mean[at] as number | undefined) ?? 0));
  const fullKwh = usableKwh({ ratedKwh: rated, socPct: 100, floorPct });
  const when = autonomy({ raster, netLoad, nowMs, usableKwh: usable, fullKwh });
  const whole = (timeMs: number | null) => (timeMs === null ? null : Math.round(timeMs));
  return when === undefined
    ? null
    : { at_ms: whole(when.emptyAtMs), earliest_ms: whole(when.earliestMs), latest_ms: whole(when.latestMs) };
}

/** Ends of rows within [from, to): local hours, days or months. */
function rowEnds(raster: QuarterRaster, by: ReportInputs['by'], from: number, to: number): number[] {
  const ends: number[] = [];
  const monthOf = raster.days.map(({ fromMs }) =>
    by === 'month' ? localDate(raster.zone, fromMs + 43_200_000).month : 0,
  );
  for (let at = from + 1; at <= to; at += 1) {
    const changed =
      at === to ||
      (by === 'hour'
        ? raster.hour[at] !== raster.hour[at - 1]
        : by === 'day'
          ? raster.day[at] !== raster.day[at - 1]
          : monthOf[raster.day[at] as number] !== monthOf[raster.day[at - 1] as number]);
    if (changed) ends.push(at);
  }
  return ends;
}

function* makeRows(
  inputs: ReportInputs,
  filled: Readonly<Partial<Record<ReportAmount, FilledAmounts>>>,
  spans: readonly SupplySpan[] | undefined,
  from: number,
  to: number,
  { sinceMs, untilMs }: ReturnType<typeof measuredStretch>,
): Steps<ReportRow[]> {
  const { raster, columns } = inputs;
  const limits = interruptionLimits(inputs.nominalV, inputs.nominalHz);
  const rows: ReportRow[] = [];
  let start = from;
  let next = 0;
  for (const end of rowEnds(raster, inputs.by, from, to)) {
    const fromMs = Math.max(sinceMs, quarterStartMs(raster, start));
    const toMs = Math.min(untilMs, quarterStartMs(raster, end));
    const sums = (name: ReportAmount) => {
      const one = filled[name];
      return one === undefined ? undefined : totalOf(one, start, end, (toMs - fromMs) / quarterMs);
    };
    const generation = sums('generation');
    const consumption = sums('consumption');
    const deepest = columns.soc === undefined ? null : depthOfDischarge(columns.soc, start, end);
    let supply: Supply | undefined;
    if (spans !== undefined) {
      while (next < spans.length && (spans[next] as SupplySpan).toMs <= fromMs) next += 1;
      let last = next;
      while (last < spans.length && (spans[last] as SupplySpan).fromMs < toMs) last += 1;
      supply = supplyOf(spans.slice(next, last), limits, fromMs, toMs);
    }
    const shares = [generation, consumption].flatMap((one) => one?.completeness ?? []);
    // A row of which nothing was measured has no value, however well other days could guess it.
    const value = (one: Total | undefined, key: 'value' | 'low' | 'high' = 'value') => rounded(one?.[key] ?? null);
    rows.push({
      from_ms: fromMs,
      to_ms: toMs,
      completeness: shares.length === 0 ? 0 : Math.round(Math.min(...shares) * 1000) / 1000,
      generation_kwh: value(generation),
      generation_low_kwh: value(generation, 'low'),
      generation_high_kwh: value(generation, 'high'),
      consumption_kwh: value(consumption),
      consumption_low_kwh: value(consumption, 'low'),
      consumption_high_kwh: value(consumption, 'high'),
      battery_charge_kwh: value(sums('charge')),
      battery_discharge_kwh: value(sums('discharge')),
      mains_import_kwh: value(sums('mainsImport')),
      genset_kwh: value(sums('genset')),
      peak_load_kw:
        columns.consumption === undefined ? null : rounded(peakQuarter(columns.consumption, start, end)?.kw ?? null),
      battery_low_pct: deepest === null ? null : rounded((1 - deepest) * 100),
      without_power_min:
        supply === undefined || supply.onMs + supply.offMs === 0 ? null : rounded(supply.offMs / 60_000),
      unknown_min: supply === undefined ? null : rounded(supply.unknownMs / 60_000),
    });
    start = end;
    if (rows.length % 30 === 0) yield;
  }
  return rows;
}

/** Words for a meter that is probably wrong. */
export function faultWords({ channel, kind, other, amount, days }: MeterFinding): string {
  const since = days === 1 ? 'on 1 day' : `on ${days} days`;
  switch (kind) {
    case 'flipped_sign':
      return `${channel} probably has the wrong sign (${since}): its wires or its profile are turned around.`;
    case 'wrong_factor':
      return `${channel} is probably ${(amount ?? 1) > 1 ? `${amount} times too high` : `${Math.round(1 / (amount ?? 1))} times too low`} (${since}): check the factor of its current transformer or its unit.`;
    case 'swapped':
      return `${channel} and ${other} are probably swapped (${since}).`;
    case 'offset':
      return `${channel} probably reads ${Math.abs(amount ?? 0).toFixed(2)} kW too ${(amount ?? 0) > 0 ? 'much' : 'little'} all the time (${since}).`;
    case 'stuck':
      return `${channel} probably hangs at one value (${since}).`;
    case 'not_following':
      return `${channel} does not follow what flows into and out of the battery (${since}).`;
  }
}

/** Figures that make a plant sick when they are poor. */
const vital: readonly string[] = ['availability', 'corrected_performance_ratio', 'capture_loss', 'evening_hours_day'];

function findingsOf(
  views: readonly Report['figures'][number][],
  faults: readonly MeterFinding[],
  figures: ReadonlyMap<ReportFigureId, KeyFigure>,
  completeness: number,
): Report['findings'] {
  const findings: Report['findings'] = [];
  const made = figures.get('generation_kwh')?.value ?? 0;
  const held = figures.get('curtailed_kwh')?.value ?? 0;
  for (const view of views) {
    if (view.judgement !== 'poor' || view.value === null || view.completeness < 0.2) continue;
    // A full battery lowers the ratios of the sun without any fault.
    const innocent = view.group === 'sun' && view.id !== 'system_loss' && held > 0.15 * made;
    findings.push({
      id: view.id,
      severity: innocent ? 'fair' : 'poor',
      text:
        poorWords(view.id as ReportFigureId, view.value) + (innocent ? ' A full battery held much of it back.' : ''),
    });
  }
  for (const fault of faults) findings.push({ id: fault.channel, severity: 'fair', text: faultWords(fault) });
  if (completeness < 0.8)
    findings.push({
      id: 'completeness',
      severity: 'fair',
      text: `Only ${Math.round(completeness * 100)} % of the time was measured; totals lie between their bounds.`,
    });
  return findings;
}

function stateOf(views: readonly Report['figures'][number][], findings: Report['findings']): Report['state'] {
  // The time nothing is known of is known even where nothing else is, and what nobody measured is no sign of health.
  if (views.every(({ id, value, completeness }) => value === null || id === 'unknown_h' || completeness === 0))
    return 'unknown';
  if (findings.some(({ id, severity }) => severity === 'poor' && vital.includes(id))) return 'sick';
  return findings.length > 0 || views.some(({ judgement }) => judgement === 'fair') ? 'watch' : 'well';
}
