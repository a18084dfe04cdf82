/**
 * Until when the battery lasts: the site's own days are played again from the present charge on, each as one way it may
 * go, put right by how today differs so far. The spread of their ends is the interval. Pure; its state is JSON.
 */
import {
  learnQuarter,
  localQuarter,
  newUsualDay,
  quartersPerDay,
  rememberedDay,
  usualDayFrom,
  usualDayState,
  usualRange,
  type UsualDay,
} from '../anomaly/baseline.js';
import { anomalyWindowMs, type SiteWindow } from '../anomaly/detect.js';
import { expectedOf, fitFrom, fitState, learn, newFit, type LearntFit } from '../anomaly/fit.js';
import { deadVoltageV, villageVoltage } from '../dashboard/verdict.js';
import { isRecord } from '../json/record.js';
import type { Site } from '../site/site.js';
import {
  newTrackRecord,
  scoreForecast,
  trackFigures,
  trackRecordFrom,
  type TrackFigures,
  type TrackRecord,
} from './track-record.js';

/** When the battery is empty, and how low it gets. Times Unix ms. */
export interface BatteryForecast {
  readonly madeAtMs: number;
  readonly socPct: number;
  readonly floorPct: number;
  /** Null where that does not happen within the horizon: of the middle course, of the worst tenth, of the best tenth. */
  readonly emptyAtMs: number | null;
  readonly earliestMs: number | null;
  readonly latestMs: number | null;
  /** Share of the courses that get empty within a day. */
  readonly chance: number;
  /** Charge at the next 6 o'clock, the end of the night: middle and interval, %. */
  readonly morning: { readonly atMs: number; readonly middle: number; readonly low: number; readonly high: number };
  /** Days that it was made from. */
  readonly days: number;
  /** What the battery gives from full to its floor, kWh, as learnt; null while it is not. */
  readonly usableKwh: number | null;
}

/** How good the forecasts were. Hours, and points of charge. */
export interface BatteryTrack {
  readonly emptyHours: TrackFigures;
  readonly morningPct: TrackFigures;
}

/** How far it looks. */
const horizonQuarters = 192;
const dayQuarters = 96;
/** Fewest days to build on. */
const leastDays = 4;
/** How today differs so far is judged by so many quarter hours. */
const lookBack = 8;
/** Bounds of how much of a difference is left after that time: how long it lasts is learnt. */
const [leastLeft, mostLeft] = [0.02, 0.95];
/** Above this charge generation tells less than the sun could give, %. */
const nearlyFullPct = 92;
const morningQuarter = 24;
/** A forecast an hour is kept to be scored. */
const forecastEvery = 4;
/** Longest that an end is waited for, and what an end that does not come counts as. */
const scoredWithinMs = 24 * 3_600_000;
const capacityFrom = 100;
/** Efficiency of a way that is not learnt yet. */
const oneWay = 0.96;

/** A forecast that waits for its time. */
interface Pending {
  readonly madeMs: number;
  readonly emptyAtMs: number | null;
  readonly earliestMs: number | null;
  readonly latestMs: number | null;
  readonly plainMs: number | null;
  readonly morningMs: number;
  readonly middle: number;
  readonly low: number;
  readonly high: number;
  readonly plainPct: number;
  /** Which of its two questions is answered. */
  readonly emptyDone: boolean;
  readonly morningDone: boolean;
}

/** The forecaster of one site's battery. */
export interface BatteryForecaster {
  /** Takes in the next window; one that is not newer changes nothing. */
  look(window: SiteWindow): void;
  /** The newest forecast; undefined while too little is known, or the charge is. */
  forecast(): BatteryForecast | undefined;
  track(): BatteryTrack;
  state(): unknown;
}

/** Makes the forecaster, with its saved state where that is one. */
export function createBatteryForecaster(site: Site, saved?: unknown): BatteryForecaster {
  const given = isRecord(saved) ? saved : {};
  const { zone, plant, wiring } = site;
  const floorPct = plant.battery_floor_pct;
  const ratedKw = plant.pv_kwp ?? 10;
  const days: UsualDay = usualDayFrom(given.days, zone) ?? newUsualDay(zone);
  const flow: LearntFit = fitFrom(given.flow, 3) ?? newFit(3);
  const charge: LearntFit = fitFrom(given.charge, 3) ?? newFit(3);
  const sun: LearntFit = fitFrom(given.sun, 2) ?? newFit(2);
  const loadLeft: LearntFit = fitFrom(given.load_left, 1) ?? newFit(1);
  const skyLeft: LearntFit = fitFrom(given.sky_left, 1) ?? newFit(1);
  const emptyRecord: TrackRecord = trackRecordFrom(given.empty_record ?? newTrackRecord());
  const morningRecord: TrackRecord = trackRecordFrom(given.morning_record);
  let pending: Pending[] = Array.isArray(given.pending) ? (given.pending.filter(isRecord) as unknown as Pending[]) : [];
  let newestMs = typeof given.newest_ms === 'number' ? given.newest_ms : 0;
  let lastSoc = typeof given.last_soc === 'number' ? given.last_soc : Number.NaN;
  let lastPowerKw = typeof given.last_power === 'number' ? given.last_power : Number.NaN;
  let lastMorningPct = typeof given.last_morning === 'number' ? given.last_morning : Number.NaN;
  let made: { readonly forecast: BatteryForecast | undefined } | undefined;

  const figure = (window: SiteWindow, name: string, part: 'mean' | 'min' | 'last' = 'mean'): number => {
    const wire = wiring[name];
    if (wire === undefined) return Number.NaN;
    const sum = (terms: typeof wire.terms): number =>
      terms.reduce(
        (total, term) =>
          total + term.factor * (window.series.get(`${term.device_id}/${term.metric}`)?.[part] ?? Number.NaN),
        0,
      );
    const first = sum(wire.terms);
    return Number.isNaN(first) && wire.fallback !== undefined ? sum(wire.fallback) : first;
  };
  const flowFeatures = (netKw: number): number[] => [1, Math.max(0, netKw) / ratedKw, Math.min(0, netKw) / ratedKw];
  const chargeFeatures = (kw: number): number[] => [1, Math.max(0, kw) / ratedKw, Math.min(0, kw) / ratedKw];

  /** A remembered value; quarters before and after the day are those of the days beside it. */
  const value = (name: string, date: number, quarter: number): number =>
    rememberedDay(days, name, date + Math.floor(quarter / 96))?.[((quarter % 96) + 96) % 96] ?? Number.NaN;

  /** Load of a day over the last hours before a quarter hour, against what is usual then; 1 where unknown. */
  function level(date: number, quarter: number): number {
    let [own, all] = [0, 0];
    for (let back = 1; back <= lookBack; back += 1) {
      const [is, was] = [value('load', date, quarter - back), usualAt('load', quarter - back)?.middle];
      if (Number.isNaN(is) || was === undefined) continue;
      own += is;
      all += was;
    }
    return all > 0 ? Math.min(2, Math.max(0.5, own / all)) : 1;
  }

  /** Share of a clear sky over the last hours before a quarter hour of a day; undefined in the dark. */
  function sky(date: number, quarter: number): number | undefined {
    let [own, clear] = [0, 0];
    for (let back = 1; back <= lookBack; back += 1) {
      const [is, could] = [value('generation', date, quarter - back), usualAt('generation', quarter - back)?.high];
      if (Number.isNaN(is) || could === undefined) continue;
      own += is;
      clear += could;
    }
    return clear > 0.04 * ratedKw * lookBack ? Math.min(1.3, own / clear) : undefined;
  }

  const usualAt = (name: string, quarter: number) => usualRange(days, name, ((quarter % 96) + 96) % 96);

  /** The usual share of a clear sky over the same hours; undefined in the dark. */
  function usualSky(quarter: number): number | undefined {
    let [usual, clear] = [0, 0];
    for (let back = 1; back <= lookBack; back += 1) {
      const range = usualAt('generation', quarter - back);
      usual += range?.middle ?? 0;
      clear += range?.high ?? 0;
    }
    return clear > 0.04 * ratedKw * lookBack ? usual / clear : undefined;
  }

  /** How long a difference lasts, quarter hours: until a third of it is left. */
  const lasts = (left: LearntFit): number => {
    const share = left.learnt >= capacityFrom ? (coefficients(left)[0] ?? 0) : 0.3;
    return -lookBack / Math.log(Math.min(mostLeft, Math.max(leastLeft, share)));
  };

  /** Learns a fit from what it does not hold for a fault. */
  const teach = (fit: LearntFit, features: number[], target: number, floor: number): void => {
    if (!features.every(Number.isFinite) || !Number.isFinite(target)) return;
    const expected = expectedOf(fit, features, floor);
    if (fit.learnt > capacityFrom && Math.abs(target - expected.value) > 6 * expected.spread) return;
    learn(fit, features, target, floor, expected);
  };

  /** Coefficients of a fit. */
  const coefficients = (fit: LearntFit): readonly number[] =>
    expectedOf(fit, new Array<number>(fit.right.length).fill(0), 1).coefficients;

  function look(window: SiteWindow): void {
    if (window.startMs <= newestMs) return;
    const follows = window.startMs - newestMs === anomalyWindowMs;
    newestMs = window.startMs;
    const { date, quarter } = localQuarter(zone, window.startMs);
    const [load, generation, powerKw] = ['consumption_kw', 'generation_kw', 'battery_power_kw'].map((name) =>
      figure(window, name),
    ) as [number, number, number];
    const [soc, socLast] = [figure(window, 'battery_soc_pct'), figure(window, 'battery_soc_pct', 'last')];
    const irradiance = figure(window, 'irradiance_w_m2') / 1000;
    // A village in the dark would use more than nothing.
    const isDark = figure(window, villageVoltage, 'min') < deadVoltageV() || (load < 0.02 && soc < floorPct + 10);
    if (!isDark) learnQuarter(days, 'load', date, quarter, load);

    const isFull = soc >= nearlyFullPct;
    if (!isFull && irradiance > 0.05) teach(sun, [irradiance, irradiance ** 2], generation, 0.02 * ratedKw);
    let could = generation;
    if (isFull && Number.isFinite(irradiance) && sun.learnt > capacityFrom / 2)
      could = Math.max(generation, expectedOf(sun, [irradiance, irradiance ** 2], 1).value);
    else if (isFull && generation > 0)
      could = Math.max(generation, usualRange(days, 'generation', quarter)?.middle ?? generation);
    learnQuarter(days, 'generation', date, quarter, could);

    // How much of a difference two hours ago there still is.
    if ((usualAt('load', quarter)?.days ?? 0) >= leastDays) {
      teach(loadLeft, [level(date, quarter + 1 - lookBack) - 1], level(date, quarter + 1) - 1, 0.02);
      const [was, is] = [sky(date, quarter + 1 - lookBack), sky(date, quarter + 1)];
      const [then, now] = [usualSky(quarter + 1 - lookBack), usualSky(quarter + 1)];
      if (was !== undefined && is !== undefined && then !== undefined && now !== undefined)
        teach(skyLeft, [was - then], is - now, 0.05);
    }

    if (!isDark) teach(flow, flowFeatures(generation - load), powerKw, 0.1);
    if (follows && soc < 96) teach(charge, chargeFeatures(powerKw), socLast - lastSoc, 0.2);
    lastSoc = socLast;
    lastPowerKw = powerKw;
    score(window.startMs + anomalyWindowMs, socLast);
    if (quarter === morningQuarter - 1) lastMorningPct = Math.max(floorPct, socLast);
    made = undefined;
    if (quarter % forecastEvery === forecastEvery - 1) {
      const one = forecast();
      if (one !== undefined) remember(one);
    }
  }

  /** Made when it is asked for: most quarter hours nobody does. */
  function forecast(): BatteryForecast | undefined {
    made ??= { forecast: Number.isFinite(lastSoc) ? predict(newestMs + anomalyWindowMs, lastSoc) : undefined };
    return made.forecast;
  }

  /** Change of charge over a quarter hour at a power, points. */
  function rates(): { readonly into: number; readonly out: number; readonly rest: number } | undefined {
    if (charge.learnt >= capacityFrom) {
      const [rest, into, out] = coefficients(charge) as [number, number, number];
      if (into > 0 && out > 0)
        return { into: into / ratedKw, out: out / ratedKw, rest: Math.min(0.02, Math.max(-0.05, rest)) };
    }
    if (plant.battery_kwh === undefined) return undefined;
    const perKw = 25 / plant.battery_kwh;
    return { into: perKw * oneWay, out: perKw / oneWay, rest: 0 };
  }

  /** Plays the remembered days from the present charge on. */
  function predict(nowMs: number, socPct: number): BatteryForecast | undefined {
    const rate = rates();
    const now = localQuarter(zone, nowMs);
    const known = [...(days.metrics.get('load')?.days.keys() ?? [])]
      .filter((date) => date < now.date && known80(date))
      .sort((a, b) => a - b);
    if (rate === undefined || known.length < leastDays) return undefined;
    const flows =
      flow.learnt >= capacityFrom ? coefficients(flow) : [-0.01 * ratedKw * 0.1, ratedKw * 0.97, ratedKw * 1.03];
    const [standing, surplus, shortage] = flows as [number, number, number];
    const table = (name: string) =>
      Array.from({ length: quartersPerDay }, (_, quarter) => usualRange(days, name, quarter));
    const usualOf = { load: table('load'), generation: table('generation') };
    const usual = (name: 'load' | 'generation', quarter: number) => usualOf[name][((quarter % 96) + 96) % 96];
    const isKnown = new Set(known);
    const [levelNow, skyNow] = [level(now.date, now.quarter), sky(now.date, now.quarter)];
    const [loadLasts, skyLasts] = [lasts(loadLeft), lasts(skyLeft)];
    const morningStep = (morningQuarter - now.quarter + 96) % 96 || 96;

    const ends: { step: number; weight: number }[] = [];
    const mornings: { value: number; weight: number }[] = [];
    let [emptied, total] = [0, 0];
    for (const [at, date] of known.entries()) {
      const weight = 0.5 ** ((now.date - date) / 12);
      const [levelThen, skyThen] = [level(date, now.quarter), sky(date, now.quarter)];
      let soc = socPct;
      let end = Number.POSITIVE_INFINITY;
      let lastLoad: number | undefined;
      for (let step = 0; step < horizonQuarters; step += 1) {
        const quarter = now.quarter + step;
        const ahead = Math.floor(quarter / 96);
        // The day after the newest remembered one is any other day.
        const from = isKnown.has(date + ahead) ? date : (known[(at + 7 * ahead) % known.length] as number) - ahead;
        let load = value('load', from, quarter);
        // Where the village was dark, what it used last goes on: those nights on which it was not used less.
        if (Number.isNaN(load)) load = lastLoad ?? usual('load', quarter)?.middle ?? 0;
        lastLoad = load;
        load *= 1 + (levelNow / levelThen - 1) * Math.exp(-step / loadLasts);
        const clear = usual('generation', quarter)?.high ?? 0;
        let sunny = value('generation', from, quarter);
        if (Number.isNaN(sunny)) sunny = usual('generation', quarter)?.middle ?? 0;
        if (skyNow !== undefined && skyThen !== undefined)
          sunny = Math.min(1.15 * clear, Math.max(0, sunny + (skyNow - skyThen) * clear * Math.exp(-step / skyLasts)));
        const net = (sunny - load) / ratedKw;
        const kw = standing + (net > 0 ? surplus * net : shortage * net);
        const before = soc;
        soc = Math.min(100, soc + rate.rest + (kw > 0 ? rate.into * kw : rate.out * kw));
        if (step + 1 === morningStep) mornings.push({ value: Math.max(floorPct, soc), weight });
        if (soc <= floorPct && end === Number.POSITIVE_INFINITY) {
          end = step + (before > soc ? Math.max(0, before - floorPct) / (before - soc) : 0);
          // An empty battery switches the village off, and fills again in the morning.
          soc = floorPct;
        }
        soc = Math.max(floorPct, soc);
        if (end !== Number.POSITIVE_INFINITY && step >= morningStep) break;
      }
      ends.push({ step: end, weight });
      total += weight;
      if (end <= dayQuarters) emptied += weight;
    }
    if (mornings.length === 0) return undefined;
    const when = (share: number): number | null => {
      const step = quantile(
        ends.map(({ step: one, weight }) => ({ value: one, weight })),
        share,
      );
      return Number.isFinite(step) ? step : null;
    };
    const [middle, early, late] = [when(0.5), when(0.1), when(0.9)];
    const at = (step: number | null): number | null =>
      step === null ? null : Math.round(nowMs + step * anomalyWindowMs);
    // Widened as the past forecasts of this site ask for.
    const wide = emptyRecord.width;
    const earliest =
      early === null ? null : middle === null ? early : Math.max(0, middle - (middle - early) * wide - 1);
    const latest = middle === null || late === null ? late : middle + (late - middle) * wide + 1;
    const [low, mid, high] = [0.1, 0.5, 0.9].map((share) => quantile(mornings, share)) as [number, number, number];
    const bound = (value: number): number => Math.min(100, Math.max(floorPct, value));
    return {
      madeAtMs: nowMs,
      socPct,
      floorPct,
      emptyAtMs: at(middle),
      earliestMs: at(earliest),
      latestMs: at(latest),
      chance: emptied / total,
      morning: {
        atMs: nowMs + morningStep * anomalyWindowMs,
        middle: mid,
        low: bound(mid - (mid - low) * morningRecord.width - 0.5),
        high: bound(mid + (high - mid) * morningRecord.width + 0.5),
      },
      days: known.length,
      usableKwh: charge.learnt >= capacityFrom ? (100 - floorPct) / (rate.out * 4) : null,
    };

    function known80(date: number): boolean {
      const values = rememberedDay(days, 'load', date);
      return values !== undefined && values.filter((one) => !Number.isNaN(one)).length >= 0.8 * quartersPerDay;
    }
  }

  /** Puts a forecast aside until its time comes, with what going on as now would say. */
  function remember(one: BatteryForecast): void {
    const rate = rates();
    if (rate === undefined || !Number.isFinite(lastPowerKw) || !Number.isFinite(lastMorningPct)) return;
    const perQuarter = lastPowerKw > 0 ? rate.into * lastPowerKw : rate.out * lastPowerKw;
    const plain = perQuarter < -1e-3 ? (one.socPct - one.floorPct) / -perQuarter : Number.POSITIVE_INFINITY;
    pending.push({
      madeMs: one.madeAtMs,
      emptyAtMs: one.emptyAtMs,
      earliestMs: one.earliestMs,
      latestMs: one.latestMs,
      plainMs: plain <= horizonQuarters ? one.madeAtMs + Math.max(0, plain) * anomalyWindowMs : null,
      morningMs: one.morning.atMs,
      middle: one.morning.middle,
      low: one.morning.low,
      high: one.morning.high,
      plainPct: lastMorningPct,
      // An empty battery cannot become empty.
      emptyDone: one.socPct <= one.floorPct + 1,
      morningDone: false,
    });
  }

  /** Scores what can be: the battery is at its floor, a day has passed, or it is morning. */
  function score(nowMs: number, soc: number): void {
    const isEmpty = soc <= floorPct + 0.5;
    pending = pending.flatMap((one) => {
      let { emptyDone } = one;
      const endMs = one.madeMs + scoredWithinMs;
      if (!emptyDone && (isEmpty || nowMs >= endMs)) {
        emptyDone = true;
        const said = (ms: number | null): number => Math.min(endMs, ms ?? endMs);
        const truthMs = isEmpty ? Math.min(nowMs, endMs) : endMs;
        // What was never near is no success: only days on which the battery ended, or was said to, count.
        if (isEmpty || said(one.emptyAtMs) < endMs) {
          const from = one.earliestMs ?? Number.POSITIVE_INFINITY;
          const to = one.latestMs ?? Number.POSITIVE_INFINITY;
          const hit = isEmpty ? from <= truthMs && truthMs - anomalyWindowMs <= to : to >= endMs;
          const hours = (ms: number): number => Math.abs(ms - truthMs) / 3_600_000;
          scoreForecast(emptyRecord, { hit, error: hours(said(one.emptyAtMs)), plainError: hours(said(one.plainMs)) });
        }
      }
      const morningDone = one.morningDone || nowMs >= one.morningMs;
      if (!one.morningDone && nowMs === one.morningMs && Number.isFinite(soc)) {
        const truth = Math.max(floorPct, soc);
        scoreForecast(morningRecord, {
          hit: one.low <= truth && truth <= one.high,
          error: Math.abs(one.middle - truth),
          plainError: Math.abs(one.plainPct - truth),
        });
      }
      return emptyDone && morningDone ? [] : [{ ...one, emptyDone, morningDone }];
    });
  }

  return {
    look,
    forecast,
    track: () => ({ emptyHours: trackFigures(emptyRecord), morningPct: trackFigures(morningRecord) }),
    state: () => ({
      newest_ms: newestMs,
      last_soc: Number.isFinite(lastSoc) ? lastSoc : null,
      last_morning: Number.isFinite(lastMorningPct) ? lastMorningPct : null,
      last_power: Number.isFinite(lastPowerKw) ? lastPowerKw : null,
      days: usualDayState(days),
      flow: fitState(flow),
      charge: fitState(charge),
      sun: fitState(sun),
      load_left: fitState(loadLeft),
      sky_left: fitState(skyLeft),
      empty_record: emptyRecord,
      morning_record: morningRecord,
      pending,
    }),
  };
}

/** A weighted quantile; infinite values count as later than all others. */
function quantile(values: readonly { readonly value: number; readonly weight: number }[], share: number): number {
  const sorted = [...values].sort((a, b) => a.value - b.value);
  const total = sorted.reduce((sum, one) => sum + one.weight, 0);
  let before = 0;
  let last: { value: number; centre: number } | undefined;
  for (const { value, weight } of sorted) {
    const centre = (before + weight / 2) / total;
    if (centre >= share) {
      if (last === undefined || !Number.isFinite(value)) return value;
      return last.value + ((value - last.value) * (share - last.centre)) / (centre - last.centre);
    }
    last = { value, centre };
    before += weight;
  }
  return last?.value ?? Number.NaN;
}
