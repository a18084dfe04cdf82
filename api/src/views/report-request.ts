/** What a question for a report means: its period, its rows. Pure. */
import { localDays, localPeriod, VillagridError } from '@villagrid/contracts';
import { parseTime } from './history-request.js';

/** The query as the route's schema checked it. */
export interface ReportQuery {
  readonly period?: 'day' | 'month' | 'year' | undefined;
  readonly date?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly by?: 'hour' | 'day' | 'month' | undefined;
}

/** The question; the stretch is made of whole local days. */
export interface ReportRange {
  readonly period: 'day' | 'month' | 'year' | null;
  readonly fromMs: number;
  readonly toMs: number;
  readonly by: 'hour' | 'day' | 'month';
}

/** Longest stretch of one report, days: two years and a leap day. */
const longestDays = 732;
/** Most rows of one report. */
const mostRows = 1000;

const refuse = (detail: string): never => {
  throw new VillagridError('E_REQUEST_INVALID', detail);
};

/** Reads the question. Throws E_REQUEST_INVALID for contradictions, a stretch ahead of now, and one that is too long. */
export function reportRange(query: ReportQuery, zone: string, nowMs: number): ReportRange {
  if (query.period !== undefined && (query.from !== undefined || query.to !== undefined))
    return refuse('query.period and query.from contradict each other; give one of them.');
  if (query.date !== undefined && query.from !== undefined)
    return refuse('query.date goes with query.period; query.from stands alone.');
  const asked = query.from === undefined && query.to === undefined ? (query.period ?? 'day') : null;
  const range = asked === null ? between(query, zone, nowMs) : named(asked, query.date, zone, nowMs);
  if (range.fromMs < 0) return refuse('The period must not lie before 1970.');
  if (range.fromMs > nowMs) return refuse('The period lies ahead; nothing is measured of it yet.');
  const days = (range.toMs - range.fromMs) / 86_400_000;
  if (days > longestDays) return refuse(`The period is longer than ${longestDays} days.`);
  const by = query.by ?? (days <= 1.1 ? 'hour' : 'day');
  if (by === 'hour' && days * 24 > mostRows) return refuse('Rows of an hour are for periods up to 41 days.');
  return { ...range, period: asked, by };
}

function named(period: 'day' | 'month' | 'year', date: string | undefined, zone: string, nowMs: number) {
  return localPeriod(zone, period, date === undefined ? nowMs : parseTime(date, 'date', zone));
}

function between({ from, to }: ReportQuery, zone: string, nowMs: number) {
  if (from === undefined) return refuse('query.from is missing.');
  const fromMs = parseTime(from, 'from', zone);
  const toMs = to === undefined ? nowMs : parseTime(to, 'to', zone);
  if (fromMs >= toMs) return refuse('query.from must lie before query.to.');
  if (toMs - fromMs > (longestDays + 1) * 86_400_000) return refuse(`The period is longer than ${longestDays} days.`);
  const days = localDays(zone, fromMs, toMs);
  return { fromMs: days[0]?.fromMs ?? fromMs, toMs: days.at(-1)?.toMs ?? toMs };
}
