/** What a history question means: range, granularity, metrics. Pure. */
import {
  chooseResolution,
  granularities,
  foldingOf,
  maxPoints,
  periodsMs,
  resolutionMs,
  VillagridError,
  windowStartMs,
  localDayStartMs,
  zoneOffsetMs,
  type Granularity,
  type Period,
} from '@villagrid/contracts';

/** Most metrics of one question. */
const maxMetrics = 20;
const longestRangeMs = 20 * 366 * 86_400_000;

/** The query as the route's schema checked it. */
export interface HistoryQuery {
  readonly period?: Period | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly granularity?: Granularity | 'auto' | undefined;
  readonly points?: number | undefined;
}

/** The question, times in Unix ms; `fromMs` lies on the start of a window unless raw. */
export interface HistoryRange {
  readonly fromMs: number;
  readonly toMs: number;
  readonly granularity: Granularity;
  /** Windows of the granularity that are folded into one. */
  readonly by: number;
  /** What was wanted, when it is not kept back to the start and a coarser one answers. */
  readonly notKept?: { readonly granularity: Granularity; readonly since_ms: number };
}

const refuse = (detail: string): never => {
  throw new VillagridError('E_REQUEST_INVALID', detail);
};

/**
 * A time of a query: Unix milliseconds, ISO 8601 with offset, or a local date (and time) of the grid's zone. Throws
 * E_REQUEST_INVALID with the field's name.
 */
export function parseTime(text: string, field: string, zone: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const local = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?$/.test(text);
  const withOffset = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[ +-]\d{2}:?\d{2})$/.test(text);
  if (!local && !withOffset) return refuse(`query.${field} must be ISO 8601 or Unix milliseconds.`);
  // A bare + in a query arrives as a space.
  const timeMs = Date.parse(local ? `${text.includes('T') ? text : `${text}T00:00`}Z` : text.replace(' ', '+'));
  if (!Number.isFinite(timeMs)) return refuse(`query.${field} is not a date that exists.`);
  if (!local) return timeMs;
  const guess = timeMs - zoneOffsetMs(zone, timeMs);
  return timeMs - zoneOffsetMs(zone, guess);
}

/** Splits the metrics of the path. Throws E_REQUEST_INVALID for none or too many. */
export function parseMetrics(text: string): string[] {
  const metrics = [...new Set(text.split(',').map((part) => part.trim()))];
  if (metrics.some((metric) => metric === '')) return refuse('path.metric holds an empty name.');
  if (metrics.length > maxMetrics) return refuse(`path.metric names more than ${maxMetrics} metrics.`);
  return metrics;
}

/** How long each granularity is kept, milliseconds; what is not named is kept for ever. */
export type KeptFor = Readonly<Partial<Record<Granularity, number>>>;

/** The finest that is kept from the start of a stretch on and not finer than what is wanted. */
function finestKept(wanted: Granularity, fromMs: number, nowMs: number, kept: KeptFor) {
  const since = (granularity: Granularity) => nowMs - (kept[granularity] ?? Number.POSITIVE_INFINITY);
  const coarser = granularities.slice(granularities.indexOf(wanted));
  const granularity = coarser.find((one) => since(one) <= fromMs) ?? '1d';
  return granularity === wanted
    ? { granularity }
    : { granularity, notKept: { granularity: wanted, since_ms: since(wanted) } };
}

/**
 * Range and granularity of a question. `periodS` is the fastest period of the sources, seconds: it bounds raw. What is no
 * longer kept is answered from the finest that is. Throws E_REQUEST_INVALID for contradictions and for more than 12,000
 * points of a series.
 */
export function historyRange(
  query: HistoryQuery,
  zone: string,
  nowMs: number,
  periodS: number,
  kept: KeptFor = {},
): HistoryRange {
  const { fromMs, toMs } = stretch(query, zone, nowMs);
  const fits = (granularity: Granularity) => (toMs - fromMs) / stepMs(granularity, periodS) <= maxPoints;
  if (query.granularity !== undefined && query.granularity !== 'auto') {
    const { granularity, ...told } = finestKept(query.granularity, fromMs, nowMs, kept);
    if (!fits(granularity))
      return refuse(
        `${granularity} over this range makes more than ${maxPoints} points; ask a shorter range or a coarser granularity.`,
      );
    return { ...aligned(fromMs, toMs, granularity, zone, query.points), ...told };
  }
  const auto = chooseResolution(fromMs, toMs, query.points);
  const wanted = auto === 'raw' && !fits('raw') ? '1m' : auto;
  const { granularity, ...told } = finestKept(wanted, fromMs, nowMs, kept);
  return { ...aligned(fromMs, toMs, granularity, zone, query.points), ...told };
}

/** The stretch of a question. Throws E_REQUEST_INVALID for contradictions and for more than 20 years. */
function stretch(query: HistoryQuery, zone: string, nowMs: number): { readonly fromMs: number; readonly toMs: number } {
  if (query.period !== undefined && query.from !== undefined)
    return refuse('query.period and query.from contradict each other; give one of them.');
  const toMs = query.to === undefined ? nowMs : parseTime(query.to, 'to', zone);
  const fromMs =
    query.from === undefined ? toMs - periodsMs[query.period ?? '24h'] : parseTime(query.from, 'from', zone);
  if (fromMs >= toMs) return refuse('query.from must lie before query.to.');
  if (fromMs < 0) return refuse('query.from must not lie before 1970.');
  if (toMs - fromMs > longestRangeMs) return refuse('The range is longer than 20 years.');
  return { fromMs, toMs };
}

/** Range of a question with this granularity (or the finest that is kept), however many points it makes. Throws E_REQUEST_INVALID. */
export function alignedRange(
  query: HistoryQuery,
  wanted: Granularity,
  zone: string,
  nowMs: number,
  kept: KeptFor = {},
): HistoryRange {
  const { fromMs, toMs } = stretch(query, zone, nowMs);
  return aligned(fromMs, toMs, finestKept(wanted, fromMs, nowMs, kept).granularity, zone);
}

const stepMs = (granularity: Granularity, periodS: number): number =>
  granularity === 'raw' ? periodS * 1000 : resolutionMs[granularity];

/** With `points` neighbouring windows are folded until there are no more than that; raw stays as it is. */
function aligned(
  fromMs: number,
  toMs: number,
  granularity: Granularity,
  zone: string,
  points = Number.POSITIVE_INFINITY,
): HistoryRange {
  if (granularity === 'raw') return { fromMs, toMs, granularity, by: 1 };
  const { folding, fromMs: start } = foldingOf({ fromMs, toMs }, granularity, zone, points);
  return { fromMs: start, toMs, granularity, by: folding.by };
}

/** Windows of the granularity in a range that are closed at `nowMs`, before they are folded: how many there could be. */
export function closedWindows(
  { fromMs, toMs, granularity }: HistoryRange,
  zone: string,
  nowMs: number,
): { readonly expected: number; readonly endMs: number } {
  const untilMs = Math.min(toMs, nowMs);
  if (granularity === 'raw') return { expected: 0, endMs: untilMs };
  if (granularity === '1d') {
    let count = 0;
    let start = fromMs;
    // A day has 23 to 25 hours: half a day past the next midnight is in the next day.
    for (;;) {
      const next = localDayStartMs(zone, start + 36 * 3_600_000);
      if (next > untilMs) return { expected: count, endMs: start };
      count += 1;
      start = next;
    }
  }
  const endMs = windowStartMs(untilMs, granularity);
  return { expected: Math.max(0, (endMs - fromMs) / resolutionMs[granularity]), endMs };
}
