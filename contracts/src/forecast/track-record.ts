/**
 * How good forecasts of one kind were: each is scored when its time has come, against what really happened and against
 * what simply going on as now would have said. Intervals learn from it: too many misses make them wider. Pure.
 */
import { isRecord } from '../json/record.js';

/** Share of what happens that an interval should hold. */
export const intervalShare = 0.8;
/** Scored forecasts count half after so many further ones. */
const halfLife = 1000;
const kept = 0.5 ** (1 / halfLife);
/** A miss widens intervals by a tenth; hits narrow them so that both balance at the wanted share. */
const widened = 1.1;
const narrowed = Math.exp((-Math.log(widened) * (1 - intervalShare)) / intervalShare);
const [narrowest, widest] = [0.25, 6];

/** Sums of scored forecasts, with forgetting. */
export interface TrackRecord {
  /** Forecasts ever scored. */
  scored: number;
  weight: number;
  hits: number;
  error: number;
  plainError: number;
  /** Factor on the width of intervals that was learnt from hits and misses. */
  width: number;
}

/** A track record as people see it. */
export interface TrackFigures {
  readonly scored: number;
  /** Share of intervals that held what happened; null before anything was scored. */
  readonly hitShare: number | null;
  /** Mean absolute error, and that of going on as now. */
  readonly error: number | null;
  readonly plainError: number | null;
}

/** Nothing scored yet. */
export const newTrackRecord = (): TrackRecord => ({
  scored: 0,
  weight: 0,
  hits: 0,
  error: 0,
  plainError: 0,
  width: 1,
});

/** Scores one forecast. Errors in the forecast's unit, absolute. */
export function scoreForecast(record: TrackRecord, one: { hit: boolean; error: number; plainError: number }): void {
  record.scored += 1;
  record.weight = record.weight * kept + 1;
  record.hits = record.hits * kept + (one.hit ? 1 : 0);
  record.error = record.error * kept + one.error;
  record.plainError = record.plainError * kept + one.plainError;
  record.width = Math.min(widest, Math.max(narrowest, record.width * (one.hit ? narrowed : widened)));
}

/** The record's figures. */
export function trackFigures({ scored, weight, hits, error, plainError }: TrackRecord): TrackFigures {
  if (weight === 0) return { scored, hitShare: null, error: null, plainError: null };
  return { scored, hitShare: hits / weight, error: error / weight, plainError: plainError / weight };
}

/** Reads a saved record; a new one for anything else. */
export function trackRecordFrom(saved: unknown): TrackRecord {
  const record = newTrackRecord();
  if (!isRecord(saved)) return record;
  for (const name of Object.keys(record) as (keyof TrackRecord)[]) {
    const value = saved[name];
    if (typeof value !== 'number' || !Number.isFinite(value)) return newTrackRecord();
    record[name] = value;
  }
  return record;
}
