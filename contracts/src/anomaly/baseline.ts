/**
 * A site's usual day: what each metric is at each quarter hour of the local day. Kept are the values of the last weeks;
 * quantiles of them, younger days counting more, make the range. Values that were found odd are not taken in, so that a
 * fault does not become usual. Pure; state is compact JSON.
 */
import { zoneOffsetMs } from '../history/resolution.js';
import type { WindowColumns } from '../history/window.js';
import { quarterMs } from '../metrics/raster.js';
import type { Wire, WireTerm } from '../site/site.js';

/** Quarter hours of a local day by the clock on the wall; a repeated hour is taken together, a skipped one left out. */
export const quartersPerDay = 96;
/** Local days that are remembered. */
export const rememberedDays = 21;
/** After so many days a value counts half. */
const halfLifeDays = 10;
/** How much the quarter hours before and after count. */
const neighbourWeight = 0.5;
/** Share of the past below `low`, and above `high`. */
const tailShare = 0.1;

/** What is usual at a quarter hour: eight values in ten lie from `low` to `high`. In the metric's unit; `days` that know it. */
export interface UsualRange {
  readonly low: number;
  readonly middle: number;
  readonly high: number;
  readonly days: number;
}

/** One metric's remembered values. */
interface MetricDays {
  /** Local dates (days since 1970) to 96 means; NaN where nothing was measured. */
  readonly days: Map<number, Float64Array>;
  readonly ranges: (UsualRange | null | undefined)[];
  /** Days as they are in the state, for the range they were written with: only what changed is written anew. */
  written: { least: number; width: number; readonly texts: Map<number, string> } | undefined;
}

const newDays = (): MetricDays => ({
  days: new Map(),
  ranges: new Array<undefined>(quartersPerDay).fill(undefined),
  written: undefined,
});

/** The usual day of a site, by metric (or any other name of a series). */
export interface UsualDay {
  readonly zone: string;
  readonly metrics: Map<string, MetricDays>;
  newestDate: number;
}

/** A usual day that knows nothing yet. */
export const newUsualDay = (zone: string): UsualDay => ({ zone, metrics: new Map(), newestDate: 0 });

/** Local date (days since 1970) and quarter hour (0 to 95) of a time in a zone. */
export function localQuarter(zone: string, timeMs: number): { readonly date: number; readonly quarter: number } {
  const local = timeMs + zoneOffsetMs(zone, timeMs);
  const date = Math.floor(local / 86_400_000);
  return { date, quarter: Math.floor((local - date * 86_400_000) / quarterMs) };
}

/** Takes in the mean of a quarter hour, by local date and quarter hour. What is older than what is remembered is left out. */
export function learnQuarter(profile: UsualDay, metric: string, date: number, quarter: number, mean: number): void {
  if (!Number.isFinite(mean) || date <= profile.newestDate - rememberedDays) return;
  let known = profile.metrics.get(metric);
  if (known === undefined) {
    known = newDays();
    profile.metrics.set(metric, known);
  }
  if (date > profile.newestDate) {
    profile.newestDate = date;
    for (const { days, ranges } of profile.metrics.values()) {
      for (const old of days.keys()) if (old <= date - rememberedDays) days.delete(old);
      ranges.fill(undefined);
    }
  }
  let day = known.days.get(date);
  if (day === undefined) known.days.set(date, (day = new Float64Array(quartersPerDay).fill(Number.NaN)));
  day[quarter] = mean;
  known.written?.texts.delete(date);
  for (const near of [quarter - 1, quarter, quarter + 1])
    known.ranges[(near + quartersPerDay) % quartersPerDay] = undefined;
}

/**
 * Takes in a figure of the grid, from the remembered days of the series it is wired from (`device/metric`). A quarter hour
 * counts where every term knows it, or else every term of the fallback: what is usual for a sum is no sum of what is usual.
 */
export function learnFigure(profile: UsualDay, figure: string, wire: Wire): void {
  const dayOf = (term: WireTerm, date: number) => rememberedDay(profile, `${term.device_id}/${term.metric}`, date);
  const sum = (terms: readonly WireTerm[], date: number, quarter: number): number =>
    terms.reduce((total, term) => total + term.factor * (dayOf(term, date)?.[quarter] ?? Number.NaN), 0);
  const dates = new Set(
    [...wire.terms, ...(wire.fallback ?? [])].flatMap((term) => [
      ...(profile.metrics.get(`${term.device_id}/${term.metric}`)?.days.keys() ?? []),
    ]),
  );
  for (const date of dates)
    for (let quarter = 0; quarter < quartersPerDay; quarter += 1) {
      const first = sum(wire.terms, date, quarter);
      const value = Number.isNaN(first) && wire.fallback !== undefined ? sum(wire.fallback, date, quarter) : first;
      learnQuarter(profile, figure, date, quarter, value);
    }
}

/** The usual day of stored windows of 15 minutes, by metric; for a look back at a site's history. */
export function usualDayOf(zone: string, windows: ReadonlyMap<string, WindowColumns>): UsualDay {
  const profile = newUsualDay(zone);
  for (const [metric, { t, mean }] of windows)
    for (const [row, timeMs] of t.entries()) {
      const { date, quarter } = localQuarter(zone, timeMs);
      learnQuarter(profile, metric, date, quarter, mean[row] as number);
    }
  return profile;
}

/**
 * What is usual for a metric at a quarter hour of the local day (0 to 95): undefined where no day knows it. The ranges of
 * few days are narrow by chance: `days` tells, and three are the least to build on.
 */
export function usualRange(profile: UsualDay, metric: string, localQuarterHour: number): UsualRange | undefined {
  const known = profile.metrics.get(metric);
  if (known === undefined) return undefined;
  let range = known.ranges[localQuarterHour];
  if (range === undefined) {
    range = rangeOf(known, localQuarterHour, profile.newestDate) ?? null;
    known.ranges[localQuarterHour] = range;
  }
  return range ?? undefined;
}

function rangeOf({ days }: MetricDays, quarter: number, newestDate: number): UsualRange | undefined {
  const found: { readonly value: number; readonly weight: number }[] = [];
  let knowing = 0;
  let total = 0;
  for (const [date, values] of days) {
    const weight = 0.5 ** ((newestDate - date) / halfLifeDays);
    if (!Number.isNaN(values[quarter] as number)) knowing += 1;
    for (const near of [quarter - 1, quarter, quarter + 1]) {
      // Before midnight is the end of the day before: the same hour of the clock, one day off, is near enough.
      const value = values[(near + quartersPerDay) % quartersPerDay] as number;
      if (Number.isNaN(value)) continue;
      const own = near === quarter ? weight : weight * neighbourWeight;
      found.push({ value, weight: own });
      total += own;
    }
  }
  if (knowing === 0) return undefined;
  found.sort((a, b) => a.value - b.value);
  /** Weighted quantile, running from one value's centre of weight to the next. */
  const quantile = (share: number): number => {
    const wanted = share * total;
    let before = 0;
    let last: { readonly value: number; readonly centre: number } | undefined;
    for (const { value, weight } of found) {
      const centre = before + weight / 2;
      if (centre >= wanted)
        return last === undefined
          ? value
          : last.value + ((value - last.value) * (wanted - last.centre)) / (centre - last.centre);
      last = { value, centre };
      before += weight;
    }
    return last?.value ?? Number.NaN;
  };
  return { low: quantile(tailShare), middle: quantile(0.5), high: quantile(1 - tailShare), days: knowing };
}

/** The values of a remembered local date, 96 means (NaN where nothing was measured); undefined for a date that is not. */
export const rememberedDay = (profile: UsualDay, metric: string, date: number): Float64Array | undefined =>
  profile.metrics.get(metric)?.days.get(date);

/** Digits of a value in the state, and what stands for nothing measured. */
const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const nothing = '..';
const steps = 64 ** 2 - 1;

/** The state as a document for JSON: about 200 bytes for a metric's day. Values keep one part in 4,000 of their range. */
export function usualDayState(profile: UsualDay): unknown {
  const metrics = [...profile.metrics].map(([metric, known]) => {
    const { days } = known;
    let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const day of days.values())
      for (const value of day) {
        if (value < least) least = value;
        if (value > most) most = value;
      }
    const width = most > least ? most - least : 1;
    const scale = steps / width;
    const text = (values: Float64Array): string => {
      let out = '';
      for (let at = 0; at < values.length; at += 1) {
        const value = values[at] as number;
        if (Number.isNaN(value)) out += nothing;
        else {
          const step = Math.round((value - least) * scale);
          out += (digits[step >> 6] as string) + (digits[step & 63] as string);
        }
      }
      return out;
    };
    if (!Number.isFinite(least)) least = 0;
    if (known.written?.least !== least || known.written.width !== width)
      known.written = { least, width, texts: new Map() };
    const { texts } = known.written;
    for (const date of texts.keys()) if (!days.has(date)) texts.delete(date);
    for (const [date, values] of days) if (!texts.has(date)) texts.set(date, text(values));
    return { metric, least, width, days: [...texts] };
  });
  return { zone: profile.zone, newest: profile.newestDate, metrics };
}

/** Reads a state back; undefined when it is none of ours, or of another zone. */
export function usualDayFrom(saved: unknown, zone: string): UsualDay | undefined {
  const { zone: savedZone, newest, metrics } = (saved ?? {}) as Partial<Record<string, unknown>>;
  if (savedZone !== zone || typeof newest !== 'number' || !Array.isArray(metrics)) return undefined;
  const profile = newUsualDay(zone);
  profile.newestDate = newest;
  for (const one of metrics as readonly unknown[]) {
    const { metric, least, width, days } = (one ?? {}) as Partial<Record<string, unknown>>;
    if (typeof metric !== 'string' || typeof least !== 'number' || typeof width !== 'number' || !Array.isArray(days))
      return undefined;
    const known = newDays();
    for (const entry of days as readonly unknown[]) {
      const [date, text] = Array.isArray(entry) ? (entry as readonly unknown[]) : [];
      if (typeof date !== 'number' || typeof text !== 'string' || text.length !== 2 * quartersPerDay) return undefined;
      const values = Float64Array.from({ length: quartersPerDay }, (_, quarter) => {
        const [a, b] = [0, 1].map((at) => digits.indexOf(text.charAt(2 * quarter + at))) as [number, number];
        return a < 0 || b < 0 ? Number.NaN : least + (((a << 6) | b) / steps) * width;
      });
      known.days.set(date, values);
    }
    profile.metrics.set(metric, known);
  }
  return profile;
}
