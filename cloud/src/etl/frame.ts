/** Second step of the ETL: one frame's bytes to checked contents. Pure: no clock, no I/O, same bytes give the same. */
import {
  checkAlertEvent,
  clockTrusts,
  CodecError,
  decodeFrame,
  isDocumentEntry,
  isIdentifier,
  isMetricIdForm,
  type AlertEvent,
  type Frame,
  type FrameEntry,
} from '@villagrid/contracts';

/** Something in a good frame that was left out, and why. */
export interface FrameFinding {
  readonly what: 'event' | 'entry';
  readonly reason: string;
  /** The refused part as JSON text, for the dead letters. */
  readonly text: string;
}

/** A frame that may be projected. */
export interface GoodFrame {
  readonly ok: true;
  /** Samples as they are; events and entries only those that passed. */
  readonly frame: Frame;
  readonly events: readonly AlertEvent[];
  readonly findings: readonly FrameFinding[];
  /** Times of the oldest and newest sample, Unix ms; null without samples. */
  readonly fromMs: number | null;
  readonly toMs: number | null;
}

/** A frame, or why it is refused as a whole. */
export type ExaminedFrame = GoodFrame | { readonly ok: false; readonly reason: string };

/** Latest time a sample may carry: what a Date can hold. */
const latestMs = 8.64e15;

/**
 * Decodes and checks one frame of a grid. A frame is refused as a whole when its bytes or its samples are wrong (counts
 * and hashes of a half-taken frame would prove nothing); a wrong event or entry is left out alone.
 */
export function examineFrame(bytes: Uint8Array, gridId: string): ExaminedFrame {
  const refuse = (reason: string): ExaminedFrame => ({ ok: false, reason: reason.slice(0, 200) });
  let frame: Frame;
  try {
    frame = decodeFrame(bytes);
  } catch (error) {
    // A head that is JSON but not ours may also trip over its own types.
    if (error instanceof CodecError || error instanceof TypeError || error instanceof RangeError)
      return refuse(error.message);
    throw error;
  }
  if (typeof frame.boot !== 'string' || !isTime(frame.wallMs)) return refuse('frame lacks boot or time');
  if (!clockTrusts.includes(frame.trust)) return refuse(`clock trust ${String(frame.trust)} is not known here`);
  let fromMs: number | null = null;
  let toMs: number | null = null;
  for (const { deviceId, metric, timeMs, value } of frame.samples) {
    if (typeof deviceId !== 'string' || !isIdentifier(deviceId)) return refuse('a sample has no proper device id');
    if (typeof metric !== 'string' || !isMetricIdForm(metric))
      return refuse(`a sample of ${deviceId} has no metric id`);
    if (!isTime(timeMs)) return refuse(`a sample of ${deviceId} ${metric} has time ${timeMs}`);
    if (value !== null && !Number.isFinite(value)) return refuse(`a sample of ${deviceId} ${metric} is no number`);
    if (fromMs === null || timeMs < fromMs) fromMs = timeMs;
    if (toMs === null || timeMs > toMs) toMs = timeMs;
  }
  const findings: FrameFinding[] = [];
  const events: AlertEvent[] = [];
  for (const candidate of [...frame.events, ...(frame.unknownEvents ?? [])]) {
    const checked = checkAlertEvent(candidate, gridId);
    if (checked.ok) events.push(checked.event);
    else findings.push({ what: 'event', reason: checked.reason, text: JSON.stringify(candidate) });
  }
  const entries: FrameEntry[] = [];
  for (const candidate of list(frame.entries)) {
    if (isEntry(candidate)) entries.push(candidate);
    else findings.push({ what: 'entry', reason: 'a log entry not known here', text: JSON.stringify(candidate) });
  }
  return { ok: true, frame: { ...frame, events, entries, received: [] }, events, findings, fromMs, toMs };
}

const isTime = (value: unknown): value is number => Number.isInteger(value) && Math.abs(value as number) <= latestMs;
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Most series a manifest may name. */
const mostSeries = 5000;
const isSeriesCount = (one: unknown): boolean =>
  Array.isArray(one) &&
  isText(one[0]) &&
  isText(one[1]) &&
  Number.isSafeInteger(one[2]) &&
  /^[0-9a-f]{16}$/.test(String(one[3]));
const isText = (value: unknown): boolean => typeof value === 'string' && value.length <= 128;

function isEntry(value: unknown): value is FrameEntry {
  if (typeof value !== 'object' || value === null) return false;
  const entry = value as Record<string, unknown>;
  switch (entry.type) {
    case 'link_state':
      return (
        typeof entry.device_id === 'string' &&
        isIdentifier(entry.device_id) &&
        (entry.state === 'online' || entry.state === 'offline') &&
        isTime(entry.time_ms)
      );
    case 'command':
      return typeof entry.id === 'string' && typeof entry.device_id === 'string' && isTime(entry.time_ms);
    case 'clock':
      return typeof entry.boot === 'string' && Number.isFinite(entry.correction_ms);
    case 'epoch':
      return typeof entry.epoch === 'string';
    case 'tombstone':
      return Number.isSafeInteger(entry.first) && Number.isSafeInteger(entry.last);
    case 'manifest':
      return (
        isTime(entry.from_ms) &&
        isTime(entry.to_ms) &&
        Number.isSafeInteger(entry.up_to) &&
        list(entry.series).length <= mostSeries &&
        list(entry.series).every(isSeriesCount)
      );
    case 'document':
      return isDocumentEntry(entry);
    default:
      return false;
  }
}
