/**
 * What a device with its own internet says on `microgrid/{grid_id}/alerts`: that something of its own began or ended.
 * The topic names no device, so the payload does. Parsing never throws.
 */
import { severities, type Severity } from '../alerts/events.js';
import { largestTimeMs } from '../codec/frame-head.js';
import type { ErrorCode } from '../errors/catalogue.js';
import { isRecord } from '../json/record.js';
import { metricFacts } from '../metrics/catalogue.js';
import { isBoot } from './telemetry.js';
import { isIdentifier } from './topics.js';

/** One word of a device about itself. */
export interface DeviceAlert {
  readonly deviceId: string;
  /** Identity of the boot; with seq it makes the word recognisable when it comes again. */
  readonly boot: string | undefined;
  readonly seq: number | undefined;
  readonly upMs: number | undefined;
  /** Unix milliseconds, only from a device with a clock. */
  readonly timeMs: number | undefined;
  /** The device's own name of the trouble, the same when it ends: `door_open`. */
  readonly alert: string;
  readonly state: 'raised' | 'cleared';
  readonly severity: Severity;
  readonly message: string;
  readonly metric: string | null;
  readonly value: number | null;
}

/** A parsed word, or the error that refuses it. */
export type ParsedDeviceAlert =
  | { readonly ok: true; readonly alert: DeviceAlert }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

const longestMessage = 200;
const isWord = (value: unknown): value is string =>
  typeof value === 'string' && /^[a-z0-9][a-z0-9_.-]{0,62}$/.test(value);
const isCount = (value: unknown): boolean =>
  value === undefined || (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0);
const textOf = (value: string): string =>
  value
    .replace(/[\p{Cc}\p{Cf}\uFFFD]+/gu, ' ')
    .trim()
    .slice(0, longestMessage)
    .trim();

/** Parses the text of a publish. */
export function parseDeviceAlert(text: string): ParsedDeviceAlert {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch (error) {
    return { ok: false, code: 'E_PAYLOAD_NOT_JSON', detail: error instanceof Error ? error.message : 'not JSON' };
  }
  const refuse = (detail: string): ParsedDeviceAlert => ({ ok: false, code: 'E_PAYLOAD_SCHEMA', detail });
  if (!isRecord(said)) return refuse('The payload must be a JSON object.');
  const { v, device_id, boot, seq, up, ts, alert, state, severity, message, metric, value } = said;
  if (v !== undefined && v !== 1) return refuse('v must be 1.');
  if (typeof device_id !== 'string' || !isIdentifier(device_id)) return refuse('device_id must name the device.');
  if (boot !== undefined && !isBoot(boot)) return refuse('boot must be a text of 1 to 32 characters.');
  for (const [name, count] of Object.entries({ seq, up, ts }))
    if (!isCount(count)) return refuse(`${name} must be a whole number of 0 or more.`);
  if (typeof ts === 'number' && ts > largestTimeMs) return refuse('ts must be Unix milliseconds.');
  if (!isWord(alert)) return refuse('alert must be one word of a-z, 0-9, _, . and -: what the trouble is called.');
  if (state !== undefined && state !== 'raised' && state !== 'cleared')
    return refuse('state must be raised or cleared.');
  const known = severities.find((one) => one === severity);
  if (severity !== undefined && known === undefined) return refuse(`severity must be one of ${severities.join(', ')}.`);
  if (message !== undefined && typeof message !== 'string') return refuse('message must be a text.');
  if (metric !== undefined && (typeof metric !== 'string' || metricFacts(metric) === undefined))
    return refuse('metric must be a metric id.');
  if (value !== undefined && value !== null && (typeof value !== 'number' || !Number.isFinite(value)))
    return refuse('value must be a number.');
  return {
    ok: true,
    alert: {
      deviceId: device_id,
      boot,
      seq: seq as number | undefined,
      upMs: up as number | undefined,
      timeMs: ts as number | undefined,
      alert,
      state: state ?? 'raised',
      severity: known ?? 'high',
      message: textOf(message ?? '') || alert.replaceAll(/[_.-]+/g, ' '),
      metric: metric ?? null,
      value: (value as number | null | undefined) ?? null,
    },
  };
}
