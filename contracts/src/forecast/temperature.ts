/**
 * Where equipment temperatures head within two hours: from the usual course of the day, how far today is off it and how it
 * has changed lately; what each of them is worth is learnt per series. Pure; its state is JSON.
 */
import {
  learnQuarter,
  localQuarter,
  newUsualDay,
  quartersPerDay,
  usualDayFrom,
  usualDayState,
  usualRange,
  type UsualDay,
} from '../anomaly/baseline.js';
import { seriesWords, watchedSeries, type WatchedSeries } from '../anomaly/checks.js';
import { anomalyWindowMs, type SiteWindow } from '../anomaly/detect.js';
import { expectedOf, fitFrom, fitState, learn, newFit, usualDeviation, type LearntFit } from '../anomaly/fit.js';
import { isRecord } from '../json/record.js';
import { parseMetricId } from '../metrics/catalogue.js';
import type { Site } from '../site/site.js';
import {
  newTrackRecord,
  scoreForecast,
  trackFigures,
  trackRecordFrom,
  type TrackFigures,
  type TrackRecord,
} from './track-record.js';

/** Where one temperature heads. Times Unix ms, temperatures °C. */
export interface TemperatureForecast {
  readonly series: WatchedSeries;
  readonly madeAtMs: number;
  readonly nowC: number;
  readonly limitC: number;
  /** What is expected at each look ahead, with its interval. */
  readonly course: readonly {
    readonly atMs: number;
    readonly middle: number;
    readonly low: number;
    readonly high: number;
  }[];
  /** When it is over the limit: of the middle course, and at the earliest; null where not within the course. */
  readonly overAtMs: number | null;
  readonly earliestMs: number | null;
}

/** Looks ahead, in windows: half an hour, one hour, two hours. */
const aheads = [2, 4, 8] as const;
const featureCount = 4;
const floorC = 0.3;
const learntFrom = 200;
const leastDays = 3;
/** Usual deviations on either side that hold eight in ten. */
const intervalDeviations = 1.28;
/** Beyond so many usual deviations it is a fault, and nothing to learn from. */
const oddDeviations = 8;

interface SeriesMemory {
  readonly series: WatchedSeries;
  readonly fits: LearntFit[];
  readonly records: TrackRecord[];
  /** The newest means, oldest first; NaN for a window without. */
  recent: number[];
  /** Forecasts that wait: made at, look ahead, features, from, and what was said. */
  waiting: Waiting[];
}

interface Waiting {
  readonly atMs: number;
  readonly which: number;
  readonly features: readonly number[];
  readonly from: number;
  readonly middle: number | null;
  readonly low: number;
  readonly high: number;
}

/** The forecaster of a site's equipment temperatures. */
export interface TemperatureForecaster {
  /** Takes in the next window; one that is not newer changes nothing. */
  look(window: SiteWindow): void;
  /** The newest forecasts; a series that is not known well enough, or not heard, has none. */
  forecasts(): readonly TemperatureForecast[];
  /** How good those an hour ahead were, all series together, K. */
  track(): TrackFigures;
  state(): unknown;
}

/** Makes the forecaster for temperatures with a limit, °C. */
export function createTemperatureForecaster(
  site: Site,
  seriesOfSite: readonly { readonly deviceId: string; readonly metric: string }[],
  limitC: number,
  saved?: unknown,
): TemperatureForecaster {
  const given = isRecord(saved) ? saved : {};
  const days: UsualDay = usualDayFrom(given.days, site.zone) ?? newUsualDay(site.zone);
  const savedSeries = new Map(
    (Array.isArray(given.series) ? given.series.filter(isRecord) : []).map((one) => [one.id, one]),
  );
  const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
  const all: SeriesMemory[] = watchedSeries(site, seriesOfSite)
    .filter((one) => parseMetricId(one.metric).base === 'equipment_temp_c')
    .map((series) => {
      const one = savedSeries.get(series.id) ?? {};
      return {
        series,
        fits: aheads.map((_, at) => fitFrom(listOf(one.fits)[at], featureCount) ?? newFit(featureCount)),
        records: aheads.map((_, at) => {
          const record = listOf(one.records)[at];
          return record === undefined ? newTrackRecord() : trackRecordFrom(record);
        }),
        recent: listOf(one.recent).map((value) => (typeof value === 'number' ? value : Number.NaN)),
        waiting: listOf(one.waiting).filter(isRecord) as unknown as Waiting[],
      };
    });
  let newestMs = typeof given.newest_ms === 'number' ? given.newest_ms : 0;
  let forecasts: TemperatureForecast[] = [];

  function look(window: SiteWindow): void {
    if (window.startMs <= newestMs) return;
    if (window.startMs - newestMs !== anomalyWindowMs) for (const one of all) one.recent = [];
    newestMs = window.startMs;
    forecasts = [];
    const { date, quarter } = localQuarter(site.zone, window.startMs);
    for (const one of all) {
      const { id } = one.series;
      const now = window.series.get(id)?.mean ?? Number.NaN;
      one.recent = [...one.recent.slice(-2), now];
      settle(one, window.startMs, now);
      if (Number.isNaN(now)) continue;
      const usual = (ahead: number) => usualRange(days, id, (quarter + ahead) % quartersPerDay);
      const here = usual(0);
      learnQuarter(days, id, date, quarter, now);
      const before = one.recent.at(-3) ?? Number.NaN;
      if (here === undefined || here.days < leastDays || Number.isNaN(before)) continue;
      const course: { atMs: number; middle: number; low: number; high: number }[] = [];
      for (const [which, ahead] of aheads.entries()) {
        const there = usual(ahead);
        if (there === undefined) continue;
        const features = [1, (there.middle - here.middle) / 10, (now - here.middle) / 10, (now - before) / 10];
        const fit = one.fits[which] as LearntFit;
        const atMs = window.startMs + ahead * anomalyWindowMs;
        const isKnown = fit.learnt >= learntFrom;
        const { value } = expectedOf(fit, features, floorC);
        const width = intervalDeviations * floorC * usualDeviation(fit) * (one.records[which] as TrackRecord).width;
        const middle = now + value;
        one.waiting.push({
          atMs,
          which,
          features,
          from: now,
          middle: isKnown ? middle : null,
          low: middle - width,
          high: middle + width,
        });
        if (isKnown) course.push({ atMs: atMs + anomalyWindowMs, middle, low: middle - width, high: middle + width });
      }
      if (course.length < aheads.length) continue;
      const madeAtMs = window.startMs + anomalyWindowMs;
      const when = (of: 'middle' | 'high'): number | null => {
        if (now >= limitC) return null;
        let [fromMs, from] = [madeAtMs, now];
        for (const step of course) {
          const to = step[of];
          if (to >= limitC)
            return Math.round(fromMs + ((limitC - from) / Math.max(1e-6, to - from)) * (step.atMs - fromMs));
          [fromMs, from] = [step.atMs, to];
        }
        return null;
      };
      forecasts.push({
        series: one.series,
        madeAtMs,
        nowC: now,
        limitC,
        course,
        overAtMs: when('middle'),
        earliestMs: when('high'),
      });
    }
  }

  /** Scores and learns from the forecasts whose time has come. */
  function settle(one: SeriesMemory, startMs: number, now: number): void {
    const due = one.waiting.filter(({ atMs }) => atMs === startMs);
    one.waiting = one.waiting.filter(({ atMs }) => atMs > startMs);
    if (Number.isNaN(now)) return;
    for (const { which, features, from, middle, low, high } of due) {
      const fit = one.fits[which] as LearntFit;
      const target = now - from;
      const expected = expectedOf(fit, features, floorC);
      if (middle !== null)
        scoreForecast(one.records[which] as TrackRecord, {
          hit: low <= now && now <= high,
          error: Math.abs(middle - now),
          plainError: Math.abs(from - now),
        });
      const isOdd = fit.learnt >= learntFrom && Math.abs(target - expected.value) > oddDeviations * expected.spread;
      if (!isOdd) learn(fit, features, target, floorC, expected);
    }
  }

  return {
    look,
    forecasts: () => forecasts,
    track() {
      const sum = newTrackRecord();
      for (const { records } of all) {
        const record = records[1] as TrackRecord;
        for (const name of ['scored', 'weight', 'hits', 'error', 'plainError'] as const) sum[name] += record[name];
      }
      return trackFigures(sum);
    },
    state: () => ({
      newest_ms: newestMs,
      days: usualDayState(days),
      series: all.map(({ series, fits, records, recent, waiting }) => ({
        id: series.id,
        fits: fits.map(fitState),
        records,
        recent: recent.map((value) => (Number.isNaN(value) ? null : value)),
        waiting,
      })),
    }),
  };
}

/** "Equipment temperature of Solar inverter 1 heads over 60 °C." */
export const headingWords = ({ series, limitC, nowC }: TemperatureForecast): string => {
  const name = seriesWords(series);
  return `${name.charAt(0).toUpperCase()}${name.slice(1)} is ${nowC.toFixed(1)} °C and heads over ${limitC} °C.`;
};
