/**
 * Finds what is out of the ordinary at a site, window of 15 minutes by window, and learns the ordinary meanwhile. Evidence
 * adds up over windows, so that a single odd one is forgiven and a lasting small one is not. Pure; its state is JSON.
 */
import { resolutionMs } from '../history/resolution.js';
import { isRecord } from '../json/record.js';
import { metricDefinition, parseMetricId } from '../metrics/catalogue.js';
import type { Site } from '../site/site.js';
import {
  learnQuarter,
  localQuarter,
  newUsualDay,
  usualDayFrom,
  usualDayState,
  usualRange,
  type UsualDay,
} from './baseline.js';
import {
  checksOf,
  smoothedFigures,
  smoothings,
  watchedSeries,
  type Check,
  type WatchedSeries,
  type WindowValues,
} from './checks.js';
import { expectedOf, fitFrom, fitState, learn, newFit, type Expected, type LearntFit } from './fit.js';

/** Width of the windows that are looked at. */
export const anomalyWindowMs = resolutionMs['15m'];

/** One series' window of good samples. */
export interface SeriesWindow {
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  readonly last: number;
}

/** All windows that begin at a time, by series id; a series without good samples is not there. */
export interface SiteWindow {
  readonly startMs: number;
  readonly series: ReadonlyMap<string, SeriesWindow>;
}

/** How a check stands after a window. */
export interface CheckStand {
  readonly check: Check;
  /** Deviation in usual deviations; 0 while the check does not apply or knows too little. */
  readonly score: number;
  readonly expected: Expected;
  readonly target: number;
  /** What has added up. */
  readonly evidence: number;
  readonly fires: boolean;
}

/** A series that says nothing, or always the same. */
export interface StillStand {
  readonly series: WatchedSeries;
  readonly kind: 'silent' | 'stuck';
  readonly evidence: number;
  readonly fires: boolean;
  /** Since when, Unix ms. */
  readonly sinceMs: number;
}

/** What a window showed. */
export interface Findings {
  readonly startMs: number;
  readonly checks: readonly CheckStand[];
  readonly still: readonly StillStand[];
  readonly values: WindowValues;
  /** The same values with one series replaced: what would have been if it had been that. */
  readonly instead: (replaced: ReadonlyMap<string, number>) => WindowValues;
  /** What a check would say of other values. */
  readonly judge: (stand: CheckStand, values: WindowValues) => { readonly score: number; readonly deviation: number };
}

/** A deviation of so many usual ones is the limit of the ordinary. */
export const oddFrom = 4;
/** Deviations count at most this much in one window. */
const mostScore = 12;
/** Evidence that raises, and below which it is over. */
const raisesAt = 6;
const overAt = 1.5;
const mostEvidence = 16;
/** Windows a check must have learnt from, and days the usual day must know. */
const learntFrom = 200;
const daysFrom = 5;
/** While something is found nothing of it is learnt; after so many windows it is the new ordinary. */
const newOrdinaryAfter = 7 * 96;
/** A series that is silent or still where it hardly ever was: how little is "hardly ever", and when it raises. */
const leastChance = 0.02;
const stillRaisesAt = 9;
const hourKept = 0.97;
/** With fewer than this share of the series heard the gateway itself was away. */
const heardShare = 0.3;

/** What is remembered of a check between windows. */
interface CheckMemory {
  fit: LearntFit;
  evidence: number;
  fires: boolean;
  /** Windows in a row that it has fired. */
  firing: number;
}

/** What is remembered of a series: per local hour how often it was silent or still, and how it stands. */
interface SeriesMemory {
  heard: number;
  readonly silentShare: number[];
  readonly stillShare: number[];
  readonly seen: number[];
  silent: number;
  silentFires: boolean;
  silentSinceMs: number;
  stuck: number;
  stuckFires: boolean;
  stuckSinceMs: number;
  last: number;
}

/** The detector of one site. */
export interface AnomalyDetector {
  readonly series: readonly WatchedSeries[];
  readonly usualDay: UsualDay;
  /** Start of the newest window that was looked at, Unix ms; 0 before the first. */
  readonly newestMs: number;
  /** Looks at the next window. Windows come in order of time; one that is not newer is left out (undefined). */
  look(window: SiteWindow): Findings | undefined;
  /** The state as a document for JSON; the usual day is by far its largest part, and may be kept apart. */
  state(): { readonly usual_day: unknown; readonly [name: string]: unknown };
}

/** Makes the detector of a site that has these series, with its saved state where that is one. */
export function createDetector(
  site: Site,
  seriesOfSite: readonly { readonly deviceId: string; readonly metric: string }[],
  saved?: unknown,
): AnomalyDetector {
  const series = watchedSeries(site, seriesOfSite);
  const checks = checksOf(site, series);
  const memory = restored(isRecord(saved) ? saved : {}, site, series, checks);
  const { usualDay } = memory;

  const figureOf = (name: string, mean: (id: string) => number): number => {
    if (name === 'battery_size_kw') return Math.abs(figureOf('battery_power_kw', mean));
    const wire = site.wiring[name];
    if (wire === undefined) return Number.NaN;
    const sum = (terms: typeof wire.terms): number =>
      terms.reduce((total, term) => total + term.factor * mean(`${term.device_id}/${term.metric}`), 0);
    const first = sum(wire.terms);
    return Number.isNaN(first) && wire.fallback !== undefined ? sum(wire.fallback) : first;
  };

  function look({ startMs, series: windows }: SiteWindow): Findings | undefined {
    if (startMs <= memory.newestMs) return undefined;
    const follows = startMs - memory.newestMs === anomalyWindowMs;
    memory.newestMs = startMs;
    const { date, quarter } = localQuarter(site.zone, startMs);
    const hour = quarter >> 2;
    const mean = (id: string): number => windows.get(id)?.mean ?? Number.NaN;
    const before = new Map(memory.smooth);
    const lasts = new Map(
      series.map(({ id }) => [id, follows ? (memory.series.get(id)?.last ?? Number.NaN) : Number.NaN]),
    );
    const view = (read: (id: string) => number): WindowValues => ({
      mean: read,
      change: (id) => (windows.get(id)?.last ?? Number.NaN) + (read(id) - mean(id)) - (lasts.get(id) ?? Number.NaN),
      figure: (name) => figureOf(name, read),
      least: (name) => figureOf(name, (id) => windows.get(id)?.min ?? Number.NaN),
      smooth(name, count) {
        const now = figureOf(name, read);
        const was = before.get(`${name} ${count}`);
        if (was === undefined) return now;
        return Number.isNaN(now) ? was : was + (now - was) / count;
      },
    });
    const values = view(mean);
    const heard = series.filter(({ id }) => windows.has(id)).length;
    const isAway = heard < heardShare * series.filter(({ id }) => (memory.series.get(id)?.heard ?? 0) > 0).length;

    const judgeExpected = (
      check: Check,
      read: WindowValues,
    ): { features: number[]; target: number; floor: number } => ({
      features: check.features(read),
      target: check.target(read),
      floor: check.floor(read),
    });
    const expect = (check: Check, fit: LearntFit, features: readonly number[], floor: number): Expected | undefined => {
      if (check.kind !== 'usual') return expectedOf(fit, features, floor);
      const range = usualRange(usualDay, check.series.id, quarter);
      if (range === undefined || range.days < daysFrom) return undefined;
      const width = Math.max(floor, (range.high - range.low) / 2.56);
      return { ...expectedOf(fit, [], width), value: range.middle };
    };

    const stands: CheckStand[] = [];
    const teach: (() => void)[] = [];
    for (const check of checks) {
      const one = memory.checks.get(check.id) as CheckMemory;
      const { features, target, floor } = judgeExpected(check, values);
      const applies = !isAway && !Number.isNaN(floor) && !Number.isNaN(target) && features.every(Number.isFinite);
      const expected = applies ? expect(check, one.fit, features, floor) : undefined;
      if (expected === undefined) {
        // What cannot be judged ends by and by: its cause may be the reason.
        if (!isAway) one.evidence = Math.max(0, one.evidence - oddFrom / 8);
        if (one.fires && one.evidence <= overAt) one.fires = false;
        one.firing = one.fires ? one.firing + 1 : 0;
        if (one.fires)
          stands.push({
            check,
            score: 0,
            expected: { value: Number.NaN, spread: 1, coefficients: [] },
            target: Number.NaN,
            evidence: one.evidence,
            fires: true,
          });
        continue;
      }
      const isArmed = check.kind === 'usual' ? one.fit.counted >= learntFrom / 2 : one.fit.learnt >= learntFrom;
      const score = isArmed ? Math.abs(target - expected.value) / expected.spread : 0;
      one.evidence = Math.max(0, Math.min(mostEvidence, one.evidence + Math.min(score, mostScore) - oddFrom));
      if (one.evidence > raisesAt) one.fires = true;
      else if (one.evidence <= overAt) one.fires = false;
      one.firing = one.fires ? one.firing + 1 : 0;
      stands.push({ check, score, expected, target, evidence: one.evidence, fires: one.fires });
      const base = check.kind === 'usual' ? usualWidth(check, floor, quarter) : floor;
      if ((score < oddFrom && !one.fires) || one.firing > newOrdinaryAfter)
        teach.push(() => learn(one.fit, features, target, base, expected));
    }

    const still = isAway ? [] : stillStands(startMs, hour, windows);
    const blamed = new Set<string>();
    for (const { check, fires, score } of stands)
      if ((fires || score >= oddFrom) && (memory.checks.get(check.id)?.firing ?? 0) <= newOrdinaryAfter)
        blamed.add(check.series.id);
    for (const one of still) if (one.evidence > leastStill && one.kind === 'stuck') blamed.add(one.series.id);
    for (const step of teach) step();
    for (const { id } of series) {
      const window = windows.get(id);
      const one = memory.series.get(id) as SeriesMemory;
      one.last = window?.last ?? Number.NaN;
      if (window !== undefined && !blamed.has(id)) learnQuarter(usualDay, id, date, quarter, window.mean);
    }
    for (const name of smoothedFigures)
      for (const count of smoothings) {
        const now = values.smooth(name, count);
        if (!Number.isNaN(now)) memory.smooth.set(`${name} ${count}`, now);
      }

    return {
      startMs,
      checks: stands,
      still,
      values,
      instead: (replaced) => view((id) => replaced.get(id) ?? mean(id)),
      judge(stand, read) {
        const { features, target, floor } = judgeExpected(stand.check, read);
        if (Number.isNaN(floor) || Number.isNaN(target) || !features.every(Number.isFinite))
          return { score: 0, deviation: 0 };
        const value =
          stand.check.kind === 'usual'
            ? stand.expected.value
            : features.reduce((sum, one, at) => sum + one * (stand.expected.coefficients[at] ?? 0), 0);
        const deviation = target - value;
        return { score: Math.abs(deviation) / stand.expected.spread, deviation };
      },
    };
  }

  const usualWidth = (check: Check, floor: number, quarter: number): number => {
    const range = usualRange(usualDay, check.series.id, quarter);
    return range === undefined ? floor : Math.max(floor, (range.high - range.low) / 2.56);
  };

  function stillStands(startMs: number, hour: number, windows: ReadonlyMap<string, SeriesWindow>): StillStand[] {
    const out: StillStand[] = [];
    const flows = (site.wiring.battery_power_kw?.terms ?? []).map((term) =>
      windows.get(`${term.device_id}/${term.metric}`),
    );
    const swingKw = Math.max(0, ...flows.map((flow) => (flow === undefined ? 0 : flow.max - flow.min)));
    /** A battery's voltage moves when what flows into it or out of it does. */
    const isPulled = (metric: string): boolean =>
      isBatteryVoltage(metric) && swingKw > pulledShare * (site.plant.battery_kwh ?? Number.POSITIVE_INFINITY);
    for (const one of series) {
      const own = memory.series.get(one.id) as SeriesMemory;
      const window = windows.get(one.id);
      const isSilent = window === undefined;
      const limit = metricDefinition(one.metric)?.stuck;
      const isSame = window !== undefined && window.min === window.max;
      // What rests (nothing flows, night, a full battery) may stay as it is.
      const isStill =
        isSame && limit !== undefined ? Math.abs(window.mean) >= limit.restsBelow : isSame && isPulled(one.metric);
      // A voltage that nothing pulls at tells neither way.
      const tellsNothing = isSame && limit === undefined && !isStill && isBatteryVoltage(one.metric);
      const knows = own.heard >= learntFrom && (own.seen[hour] ?? 0) >= 8;
      const chance = (shares: readonly number[]): number => Math.max(leastChance, shares[hour] ?? 1);

      if (isSilent && knows) {
        if (own.silent === 0) own.silentSinceMs = startMs;
        own.silent = Math.min(2 * stillRaisesAt, own.silent - Math.log(chance(own.silentShare)));
      } else own.silent = 0;
      own.silentFires = own.silent >= stillRaisesAt * 0.75;
      if (isStill && knows) {
        if (own.stuck === 0) own.stuckSinceMs = startMs;
        own.stuck = Math.min(2 * stillRaisesAt, own.stuck - Math.log(chance(own.stillShare)));
      } else if (!isSilent && !tellsNothing) own.stuck = 0;
      own.stuckFires = own.stuck >= stillRaisesAt;
      if (own.silent > 0)
        out.push({
          series: one,
          kind: 'silent',
          evidence: own.silent,
          fires: own.silentFires,
          sinceMs: own.silentSinceMs,
        });
      if (own.stuck > 0)
        out.push({ series: one, kind: 'stuck', evidence: own.stuck, fires: own.stuckFires, sinceMs: own.stuckSinceMs });

      if (window !== undefined) own.heard += 1;
      if (own.heard === 0) continue;
      // What raises is no longer learnt from: else silence would be usual by the time somebody comes.
      if (!own.silentFires)
        own.silentShare[hour] = mixed(own.silentShare[hour] ?? 0, isSilent ? 1 : 0, own.seen[hour] ?? 0);
      if (!isSilent && !own.stuckFires && !tellsNothing)
        own.stillShare[hour] = mixed(own.stillShare[hour] ?? 0, isStill ? 1 : 0, own.seen[hour] ?? 0);
      own.seen[hour] = (own.seen[hour] ?? 0) + 1;
    }
    return out;
  }

  return {
    series,
    usualDay,
    get newestMs() {
      return memory.newestMs;
    },
    look,
    state: () => ({
      newest_ms: memory.newestMs,
      usual_day: usualDayState(usualDay),
      smooth: [...memory.smooth],
      checks: [...memory.checks].map(([id, { fit, evidence, fires, firing }]) => ({
        id,
        fit: fitState(fit),
        evidence,
        fires,
        firing,
      })),
      series: [...memory.series].map(([id, one]) => ({ id, ...one, last: Number.isNaN(one.last) ? null : one.last })),
    }),
  };
}

const isBatteryVoltage = (metric: string): boolean => parseMetricId(metric).base === 'dc_bus_voltage_v';
/** Swing of a battery's power within a window, kW for each kWh it holds, that its voltage cannot but show. */
const pulledShare = 0.008;

/** Evidence of a still series from which it is not learnt from. */
const leastStill = 3.5;

/** A share with forgetting; the first ones count evenly. */
function mixed(share: number, now: number, seen: number): number {
  const kept = Math.min(hourKept, seen / (seen + 1));
  return share * kept + now * (1 - kept);
}

interface Memory {
  newestMs: number;
  readonly usualDay: UsualDay;
  readonly smooth: Map<string, number>;
  readonly checks: Map<string, CheckMemory>;
  readonly series: Map<string, SeriesMemory>;
}

/** What was saved, as far as it belongs to the checks and series there are now. */
function restored(
  saved: Readonly<Record<string, unknown>>,
  site: Site,
  series: readonly WatchedSeries[],
  checks: readonly Check[],
): Memory {
  const list = (value: unknown): Readonly<Record<string, unknown>>[] =>
    Array.isArray(value) ? value.filter(isRecord) : [];
  const byId = (value: unknown) => new Map(list(value).map((one) => [one.id, one]));
  const number = (value: unknown, otherwise = 0): number =>
    typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
  const numbers = (value: unknown, length: number): number[] =>
    Array.from({ length }, (_, at) => number(Array.isArray(value) ? value[at] : undefined));
  const [savedChecks, savedSeries] = [byId(saved.checks), byId(saved.series)];
  const nowhere: WindowValues = { mean: () => 1, change: () => 0, figure: () => 1, least: () => 1, smooth: () => 1 };
  const smooth = new Map<string, number>();
  for (const entry of Array.isArray(saved.smooth) ? (saved.smooth as readonly unknown[]) : []) {
    const [name, value] = Array.isArray(entry) ? (entry as readonly unknown[]) : [];
    if (typeof name === 'string' && typeof value === 'number') smooth.set(name, value);
  }
  return {
    newestMs: number(saved.newest_ms),
    usualDay: usualDayFrom(saved.usual_day, site.zone) ?? newUsualDay(site.zone),
    smooth,
    checks: new Map(
      checks.map((check) => {
        const one = savedChecks.get(check.id);
        const features = check.features(nowhere).length;
        const fit = fitFrom(one?.fit, features);
        return [
          check.id,
          fit === undefined
            ? { fit: newFit(features), evidence: 0, fires: false, firing: 0 }
            : { fit, evidence: number(one?.evidence), fires: one?.fires === true, firing: number(one?.firing) },
        ];
      }),
    ),
    series: new Map(
      series.map(({ id }) => {
        const one = savedSeries.get(id) ?? {};
        return [
          id,
          {
            heard: number(one.heard),
            silentShare: numbers(one.silentShare, 24),
            stillShare: numbers(one.stillShare, 24),
            seen: numbers(one.seen, 24),
            silent: number(one.silent),
            silentFires: one.silentFires === true,
            silentSinceMs: number(one.silentSinceMs),
            stuck: number(one.stuck),
            stuckFires: one.stuckFires === true,
            stuckSinceMs: number(one.stuckSinceMs),
            last: number(one.last, Number.NaN),
          },
        ];
      }),
    ),
  };
}
