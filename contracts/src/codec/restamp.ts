/**
 * Putting times right after the fact. A frame says how far its clock was trusted; when a better time comes, a `clock`
 * entry tells by how much the clock was wrong. Frames never change: whoever projects them applies the corrections known
 * by then, with this one function, on both sides of the link, in any order of arrival. Pure.
 */
import type { AlertEvent } from '../alerts/events.js';
import { retimedEvent } from '../alerts/maintenance.js';
import { isTrusted, type ClockTrust } from '../ports/clock.js';
import { qualityClass, qualityCodes } from '../quality/quality.js';
import type { Frame, FrameEntry, Sample } from './frame.js';

/** A correction as frames are restamped by it. */
export interface ClockCorrection {
  /** The gateway's boot whose frames it concerns. */
  readonly boot: string;
  /** Monotonic time at which the clock moved; Infinity when all of the boot is concerned. */
  readonly beforeMonotonicMs: number;
  /** To be added to times of that boot before it, milliseconds. */
  readonly correctionMs: number;
  /** How far the time is trusted by which it was found. */
  readonly trust: ClockTrust;
}

/** A correction beyond a hundred years is not believed, milliseconds. */
export const largestCorrectionMs = 100 * 365.25 * 86_400_000;

type ClockEntry = Extract<FrameEntry, { type: 'clock' }>;
const isClockEntry = (entry: FrameEntry): entry is ClockEntry => entry.type === 'clock';

/** A correction as a frame carries it, and which frames of the log it concerns as far as the gateway told. */
export interface CarriedCorrection extends ClockCorrection {
  /** By this it is known: a copy in another frame is the same correction. */
  readonly key: string;
  readonly firstNumber: number | undefined;
  readonly lastNumber: number | undefined;
}

/** The corrections that a frame of a log carries. */
export function correctionsIn(frame: Frame, number: number): CarriedCorrection[] {
  return frame.entries
    .filter(isClockEntry)
    .map((entry, place) => ({ entry, place }))
    .filter(({ entry }) => Number.isFinite(entry.correction_ms) && Math.abs(entry.correction_ms) <= largestCorrectionMs)
    .map(({ entry: { boot, correction_ms, trust, id, until_ms, first_number, last_number }, place }) => ({
      key: typeof id === 'string' ? id : `${number}.${place}`,
      boot,
      beforeMonotonicMs: Number.isFinite(until_ms) ? Math.round(until_ms as number) : Infinity,
      correctionMs: Math.round(correction_ms),
      trust,
      firstNumber: isNumber(first_number) ? first_number : undefined,
      lastNumber: isNumber(last_number) ? last_number : undefined,
    }));
}

const isSame = ({ boot, correction_ms, until_ms }: ClockEntry, correction: ClockCorrection): boolean =>
  boot === correction.boot &&
  Math.round(correction_ms) === correction.correctionMs &&
  until_ms !== undefined &&
  Math.round(until_ms) === correction.beforeMonotonicMs;
const isNumber = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1;

/** Whether a correction concerns a frame: it was closed before, by the clock that was wrong. */
export function concerns(correction: ClockCorrection, frame: Frame): boolean {
  if (correction.boot !== frame.boot || frame.trust === 'ntp') return false;
  // What carries a correction was closed after it.
  if (frame.entries.some((entry) => isClockEntry(entry) && isSame(entry, correction))) return false;
  if (frame.monotonicMs !== correction.beforeMonotonicMs) return frame.monotonicMs < correction.beforeMonotonicMs;
  // Closed within the same millisecond: frames after the clock moved have the trust it has since.
  return frame.trust !== correction.trust && !frame.entries.some(isClockEntry);
}

/**
 * A frame with its times put right by all corrections known. While the clock was not trusted the gateway dated everything
 * itself, so everything moves; under a time from a phone, a hardware clock or the cloud only what is marked as dated by
 * the gateway (`uncertain_clock`), and bad samples. Marked samples become good as soon as their time is trusted. Gives
 * the same object when nothing changes. Give it frames as the log has them, never one that it made.
 */
export function restamp(frame: Frame, corrections: readonly ClockCorrection[]): Frame {
  if (frame.trust === 'ntp') return frame;
  let shiftMs = 0;
  let trusted = isTrusted(frame.trust);
  for (const correction of corrections) {
    if (!concerns(correction, frame)) continue;
    shiftMs += correction.correctionMs;
    trusted ||= isTrusted(correction.trust);
  }
  const all = !isTrusted(frame.trust);
  if (shiftMs === 0 && !trusted) return frame;
  let changed = shiftMs !== 0;
  const samples = frame.samples.map((sample): Sample => {
    const marked = sample.quality === qualityCodes.uncertain_clock;
    const moves = shiftMs !== 0 && (all || marked || qualityClass(sample.quality) === 'bad');
    const clears = trusted && marked;
    if (!moves && !clears) return sample;
    changed = true;
    return {
      ...sample,
      timeMs: moves ? sample.timeMs + shiftMs : sample.timeMs,
      quality: clears ? qualityCodes.good : sample.quality,
    };
  });
  if (!changed) return frame;
  return {
    ...frame,
    wallMs: frame.wallMs + shiftMs,
    samples,
    events: shiftMs === 0 ? frame.events : frame.events.map((event) => movedEvent(event, shiftMs)),
    entries: shiftMs === 0 ? frame.entries : frame.entries.map((entry) => movedEntry(entry, shiftMs)),
  };
}

/** What a person did at the cloud has the cloud's time already. */
const movedEvent = (event: AlertEvent, byMs: number): AlertEvent =>
  event.origin.kind === 'gateway' ? retimedEvent(event, Math.max(0, event.at_ms + byMs)) : event;

const movedEntry = (entry: FrameEntry, byMs: number): FrameEntry =>
  entry.type === 'link_state' || entry.type === 'command' || entry.type === 'document'
    ? { ...entry, time_ms: entry.time_ms + byMs }
    : entry;
