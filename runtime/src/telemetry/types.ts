/** The telemetry store: what both servers project from frames and read history from. */
import type { Frame, QualityCode, Resolution, Sample, WindowColumns } from '@villagrid/contracts';

/** Gives frames back; the store itself keeps none. */
export interface FrameReader {
  /**
   * Every applied frame that holds a sample with fromMs <= time < toMs, each once; frames beyond that do no harm. `gridId`
   * comes last so that a server of one grid may leave it out.
   */
  framesOverlapping(fromMs: number, toMs: number, gridId: string): Iterable<Frame>;
}

/** A frame with its number in its log. */
export interface NumberedFrame {
  readonly number: number;
  readonly frame: Frame;
}

/** A series of a grid. */
export interface SeriesKey {
  readonly deviceId: string;
  readonly metric: string;
}

/** The newest sample of a series by its time, of any quality. */
export interface LatestSample extends SeriesKey {
  readonly timeMs: number;
  readonly value: number | null;
  readonly quality: QualityCode;
}

/** Samples of one series as they were measured, in order of time. */
export interface RawSamples {
  readonly t: number[];
  readonly value: (number | null)[];
  readonly quality: number[];
}

/** Count and hash (16 hexadecimal digits) of a series' samples, of every quality. */
export interface SeriesCompleteness extends SeriesKey {
  readonly count: number;
  readonly hash: string;
}

/** What became of frames that were to be applied. */
export interface Applied {
  readonly applied: number;
  /** Frames that were applied before: a repeat. */
  readonly skipped: number;
  /** Number up to which none is missing. */
  readonly upTo: number;
}

/**
 * Rollups, newest values and completeness of grids, all in one transaction per call. Idempotent by (source, epoch,
 * number): frames may come twice, late and in any order. Bad samples and missing numbers count for completeness and as
 * newest value, but never for minimum, maximum and mean.
 */
export interface TelemetryStore {
  /** Projects frames of one log; `source` is the gateway's id. All or none: throws when the database does. */
  applyFrames(gridId: string, source: string, epoch: string, frames: readonly NumberedFrame[]): Applied;
  /**
   * Takes samples of applied frames away and puts others in their place (times were put right): windows, newest values and
   * digests are from then on as if only the new ones had come. The frames given back must be the new ones already. All or
   * none: throws when the database does.
   */
  replaceSamples(gridId: string, removed: readonly Sample[], added: readonly Sample[]): void;
  /** Counts numbers as applied that will never come (given up, refused), so that they hold nothing up. */
  skipNumbers(source: string, epoch: string, first: number, last: number): void;
  /** The number up to which, from 1 on, none of this log is missing here. */
  cursor(source: string, epoch: string): number;
  /** Numbers of this log that are here, as ranges. */
  appliedRanges(source: string, epoch: string): ReadonlyArray<readonly [first: number, last: number]>;
  /** Series of a grid that ever had a sample, by device and metric. */
  series(gridId: string): SeriesKey[];
  latest(gridId: string): LatestSample[];
  /** Windows that begin in [start of fromMs's window, toMs), in order; days are local days of the grid's zone. */
  windows(
    gridId: string,
    deviceId: string,
    metric: string,
    resolution: Resolution,
    fromMs: number,
    toMs: number,
  ): WindowColumns;
  raw(gridId: string, deviceId: string, metric: string, fromMs: number, toMs: number): RawSamples;
  /** Per series, the samples measured before a time; series without any are left out. Cheap at whole UTC hours. */
  completeness(gridId: string, untilMs: number): SeriesCompleteness[];
  /** Deletes windows of a resolution that begin before a time; returns how many. */
  pruneWindows(resolution: Exclude<Resolution, '1d'>, beforeMs: number): number;
}
