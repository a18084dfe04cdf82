/** A device's own publish to frames for the archive: one frame per reading. Pure; dating is given. */
import {
  encodeFrame,
  qualityCodes,
  type AlertEvent,
  type Dated,
  type Reading,
  type Sample,
} from '@villagrid/contracts';

/** Name of the log of readings without a boot or number of their own. No boot's log is named so: theirs hold no space. */
export const unnumberedLog = 'by arrival';

/** Name of the log of a boot. */
export const logOfBoot = (boot: string): string => encodeURIComponent(boot);

/** What a reading is known by, and its place. */
export interface ReadingPlace {
  readonly log: string;
  /** Log number; undefined where the device does not count. Log numbers begin with 1, a device may begin with 0. */
  readonly number: number | undefined;
}

/** The place of something a device counted; undefined number without boot and seq. */
export function placeOf({ boot, seq }: Pick<Reading, 'boot' | 'seq'>): ReadingPlace {
  if (boot === undefined || seq === undefined || seq >= Number.MAX_SAFE_INTEGER)
    return { log: unnumberedLog, number: undefined };
  return { log: logOfBoot(boot), number: seq + 1 };
}

/** What a reading says, for telling a repeat from other content: the same whenever it comes. */
export function contentOf({ upMs, timeMs, values }: Reading): string {
  return JSON.stringify([
    upMs ?? null,
    timeMs ?? null,
    values.map(({ metric, value, quality }) => [metric, value, quality]),
  ]);
}

/** The frame of one reading, dated; a value keeps its own mark when it has one. */
export function frameOfReading(
  deviceId: string,
  reading: Reading,
  { timeMs, quality }: Pick<Dated, 'timeMs' | 'quality'>,
  nowMs: number,
): Uint8Array {
  const samples = reading.values.map(
    (one): Sample => ({
      deviceId,
      metric: one.metric,
      timeMs,
      value: one.value,
      quality: one.quality === qualityCodes.good ? quality : one.quality,
    }),
  );
  return frameOf(reading, nowMs, samples, []);
}

/** The frame of what a device said on the alerts topic; without an event it changes nothing and is counted all the same. */
export function frameOfAlert(
  from: Pick<Reading, 'boot' | 'upMs'>,
  nowMs: number,
  events: readonly AlertEvent[],
): Uint8Array {
  return frameOf(from, nowMs, [], events);
}

function frameOf(
  { boot, upMs }: Pick<Reading, 'boot' | 'upMs'>,
  nowMs: number,
  samples: readonly Sample[],
  events: readonly AlertEvent[],
): Uint8Array {
  // The times are of this cloud's clock, or judged by it: nothing puts them right later.
  return encodeFrame({
    boot: boot ?? '',
    monotonicMs: upMs ?? 0,
    wallMs: nowMs,
    trust: 'ntp',
    samples,
    events,
    entries: [],
    received: [],
  });
}
