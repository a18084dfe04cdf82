/** The JSON head of a packed frame, checked field by field: bytes from a card or a gateway are not believed. */
import { isAlertEvent, isUnknownAlertEvent } from '../alerts/check-event.js';
import type { AlertEvent, UnknownAlertEvent } from '../alerts/events.js';
import { clockTrusts, type ClockTrust } from '../ports/clock.js';
import { CodecError } from './bytes.js';
import type { FrameEntry } from './frame.js';
import { isDocumentEntry } from '../downsync/documents.js';
import { isRecord } from '../json/record.js';

/** Names are short because a small frame is mostly head. */
export interface FrameHead {
  /** Boot, monotonic and wall milliseconds, trust of the wall clock. */
  readonly b: string;
  readonly m: number;
  readonly w: number;
  readonly t: ClockTrust;
  /** Series in the order of their samples. */
  readonly s: ReadonlyArray<readonly [device: string, metric: string, precision: number]>;
  readonly e?: ReadonlyArray<AlertEvent | UnknownAlertEvent>;
  readonly n?: readonly FrameEntry[];
  readonly r?: ReadonlyArray<readonly [device: string, boot: string, seqs: readonly number[]]>;
}

/** Most decimals a series may have; a number has 15 to 17 digits. */
const mostDecimals = 9;
/** Times lie within 2^51 ms either side of 1970 (about 71,000 years), so that any difference of two can be packed. */
export const largestTimeMs = 2 ** 51 - 1;

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string';
const isWhole: Check = (value) => Number.isSafeInteger(value);
const isTime: Check = (value) => isWhole(value) && Math.abs(value as number) <= largestTimeMs;
const isTrust: Check = (value) => (clockTrusts as readonly unknown[]).includes(value);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const tuple =
  (...checks: Check[]): Check =>
  (value) =>
    Array.isArray(value) && value.length === checks.length && checks.every((check, i) => check(value[i]));
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);

const isSeries = tuple(
  isText,
  isText,
  (value) => isWhole(value) && (value as number) >= 0 && (value as number) <= mostDecimals,
);
const isReceived = tuple(isText, isText, list(isWhole));

/** Also an event of a kind from a newer program: it must not make the telemetry beside it unreadable. */
const isEvent: Check = (value) => isAlertEvent(value) || isUnknownAlertEvent(value);

/** Entries of kinds that this program does not know yet are kept as they are. */
function isEntry(value: unknown): boolean {
  if (!isRecord(value) || typeof value.type !== 'string') return false;
  switch (value.type) {
    case 'clock':
      return isText(value.boot) && isWhole(value.correction_ms) && isTrust(value.trust);
    case 'link_state':
      return (
        isText(value.device_id) && (value.state === 'online' || value.state === 'offline') && isTime(value.time_ms)
      );
    case 'command':
      return [value.id, value.device_id, value.command, value.state].every(isText) && isTime(value.time_ms);
    case 'epoch':
      return (
        isText(value.epoch) &&
        orNull(isText)(value.previous_epoch) &&
        orNull(isWhole)(value.previous_last_number) &&
        isText(value.reason)
      );
    case 'tombstone':
      return (
        [value.first, value.last, value.samples].every(isWhole) &&
        isTime(value.from_ms) &&
        isTime(value.to_ms) &&
        isText(value.reason)
      );
    case 'manifest':
      return isTime(value.from_ms) && isTime(value.to_ms) && isWhole(value.up_to) && Array.isArray(value.series);
    case 'document':
      return isDocumentEntry(value);
    default:
      return true;
  }
}

/** Parses and checks a head; throws CodecError that names the field. */
export function parseFrameHead(text: string): FrameHead {
  let head: unknown;
  try {
    head = JSON.parse(text);
  } catch {
    throw new CodecError('frame head is not JSON');
  }
  if (!isRecord(head)) throw new CodecError('frame head is not an object');
  const wrong = (
    [
      ['b (boot)', isText(head.b)],
      ['m (monotonic time)', isWhole(head.m)],
      ['w (wall time)', isTime(head.w)],
      ['t (clock trust)', isTrust(head.t)],
      ['s (series)', list(isSeries)(head.s)],
      ['e (alert events)', head.e === undefined || list(isEvent)(head.e)],
      ['n (entries)', head.n === undefined || list(isEntry)(head.n)],
      ['r (received sequences)', head.r === undefined || list(isReceived)(head.r)],
    ] as const
  ).find(([, right]) => !right);
  if (wrong) throw new CodecError(`frame head: ${wrong[0]} is missing or wrong`);
  return head as unknown as FrameHead;
}
