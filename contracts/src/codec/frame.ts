/**
 * Frames: what one commit of a gateway's log holds, packed. First form (version byte 1): a JSON head, then per series
 * the times and scaled values as differences in variable-length integers, at the end a CRC-32 of everything before it
 * (big endian), so that a worn card cannot change a value unnoticed. The head carries each series' precision, so a
 * frame decodes without the catalogue it was written with.
 */
import type { CommandState } from '../api/command-schema.js';
import { isUnknownAlertEvent } from '../alerts/check-event.js';
import type { AlertEvent, UnknownAlertEvent } from '../alerts/events.js';
import type { DocumentEntry } from '../downsync/documents.js';
import { metricPrecision } from '../metrics/catalogue.js';
import type { ClockTrust } from '../ports/clock.js';
import type { QualityCode } from '../quality/quality.js';
import { ByteReader, ByteWriter, CodecError } from './bytes.js';
import { crc32 } from './crc32.js';
import { largestTimeMs, parseFrameHead, type FrameHead } from './frame-head.js';
import { blocksOf, type ReadingBlock } from './reading-block.js';

/** A normalised reading of one series. `value` is in the metric's unit, quantised; null means no usable number. */
export interface Sample {
  readonly deviceId: string;
  readonly metric: string;
  /** Unix milliseconds. */
  readonly timeMs: number;
  readonly value: number | null;
  readonly quality: QualityCode;
}

/** What other things a log holds beside samples and alert events. */
export type FrameEntry =
  | {
      /** The clock of a boot was wrong: see restamp.ts. Numbers tell which frames of this log the boot wrote. */
      readonly type: 'clock';
      readonly boot: string;
      readonly correction_ms: number;
      readonly trust: ClockTrust;
      /** By this it is known when it was written twice. */
      readonly id?: string;
      /** Monotonic time of the boot when its clock moved; left out for all of a boot. */
      readonly until_ms?: number;
      readonly first_number?: number;
      readonly last_number?: number;
    }
  | {
      readonly type: 'link_state';
      readonly device_id: string;
      readonly state: 'online' | 'offline';
      readonly time_ms: number;
    }
  /** A remote command, when it was sent and again when it ended: the audit of who told a device what. */
  | {
      readonly type: 'command';
      readonly id: string;
      readonly device_id: string;
      readonly command: string;
      readonly value: string | number;
      readonly state: CommandState;
      readonly reason: string | null;
      readonly actor: { readonly user_id: string; readonly name: string };
      readonly time_ms: number;
    }
  | {
      readonly type: 'epoch';
      readonly epoch: string;
      readonly previous_epoch: string | null;
      readonly previous_last_number: number | null;
      readonly reason: 'created' | 'restored' | 'salvaged';
    }
  /** Frames that had to go before the cloud had them; times are those of their samples. */
  | {
      readonly type: 'tombstone';
      readonly first: number;
      readonly last: number;
      readonly samples: number;
      readonly from_ms: number;
      readonly to_ms: number;
      readonly reason: 'disk';
    }
  | DayManifest
  | DocumentEntry;

/**
 * What the gateway holds of a local day (in whole UTC hours), counting frames up to a number: the cloud compares it with
 * its own. When samples of that day come later, another one follows and counts instead.
 */
export interface DayManifest {
  readonly type: 'manifest';
  readonly from_ms: number;
  readonly to_ms: number;
  readonly up_to: number;
  readonly series: ReadonlyArray<readonly [deviceId: string, metric: string, count: number, hash: string]>;
}

/** Sequence numbers of a node's boot that a frame holds, so that a repeat is recognised after a restart. */
export interface ReceivedSequence {
  readonly deviceId: string;
  readonly boot: string;
  readonly seqs: readonly number[];
}

/** One commit of the log. */
export interface Frame {
  /** Identity of the gateway's boot. */
  readonly boot: string;
  /** Milliseconds since that boot, when the frame was closed. */
  readonly monotonicMs: number;
  /** The wall clock then, Unix milliseconds, and how far it was trusted. */
  readonly wallMs: number;
  readonly trust: ClockTrust;
  readonly samples: readonly Sample[];
  readonly events: readonly AlertEvent[];
  /** Events of kinds that only a newer program knows, as they came; absent when there are none. */
  readonly unknownEvents?: readonly UnknownAlertEvent[];
  readonly entries: readonly FrameEntry[];
  readonly received: readonly ReceivedSequence[];
}

const version = 1;

const checksumBytes = 4;
/** Used for every frame: packing ends before the next one begins. */
const scratch = new ByteWriter();
const sharedScratch = new ByteWriter();

/**
 * Packs a frame. Samples keep their order within a series; the order between series is not kept, nor that between events
 * of known and unknown kinds. Throws CodecError for
 * a value, time or quality that cannot be packed (not finite, or a value whose step to the one before is 2^51 times its resolution or more).
 */
export function encodeFrame(frame: Frame): Uint8Array {
  const writer = scratch;
  writer.clear();
  writer.byte(version);
  const wallMs = Math.round(frame.wallMs);
  const blocks = blocksOf(frame);
  if (blocks === undefined) {
    const groups = bySeries(frame.samples);
    const heads = groups.map(([first]) => {
      const { deviceId, metric } = first as Sample;
      return [deviceId, metric, metricPrecision(metric)] as const;
    });
    writeHead(writer, frame, heads);
    for (const [index, group] of groups.entries())
      writeSeries(writer, group, wallMs, 10 ** (heads[index] as (typeof heads)[number])[2]);
  } else {
    writeHead(writer, frame, [], blocks.map(({ series }) => series.headText).join());
    for (const block of blocks) writeBlock(writer, block, wallMs);
  }
  const checksum = crc32(writer.written());
  for (let shift = 24; shift >= 0; shift -= 8) writer.byte(checksum >>> shift);
  return writer.finish();
}

/** Writes the head; `seriesText` is the inside of its list of series when that is at hand as text. */
function writeHead(writer: ByteWriter, frame: Frame, series: FrameHead['s'], seriesText?: string): void {
  const events = [...frame.events, ...(frame.unknownEvents ?? [])];
  const head: FrameHead = {
    b: frame.boot,
    m: Math.round(frame.monotonicMs),
    w: Math.round(frame.wallMs),
    t: frame.trust,
    s: series,
    ...(events.length > 0 ? { e: events } : {}),
    ...(frame.entries.length > 0 ? { n: frame.entries } : {}),
    ...(frame.received.length > 0
      ? { r: frame.received.map((one) => [one.deviceId, one.boot, one.seqs] as const) }
      : {}),
  };
  const text = JSON.stringify(head);
  // The first such place is the list itself: only the boot's own text is before it, where quotes are escaped.
  writer.text(seriesText === undefined ? text : text.replace('"s":[]', () => `"s":[${seriesText}]`));
}

/** Bit 0 tells a missing number; the difference to the last number follows otherwise. */
const differenceCode = (difference: number): number => (difference < 0 ? (-difference * 2 - 1) * 2 : difference * 4);

function writeSeries(writer: ByteWriter, group: readonly Sample[], wallMs: number, factor: number): void {
  writer.unsigned(group.length);
  let time = wallMs;
  for (const sample of group) {
    writer.signed(Math.round(sample.timeMs) - time);
    time = Math.round(sample.timeMs);
  }
  let value = 0;
  for (const sample of group) {
    if (sample.value === null) {
      writer.unsigned(1);
      continue;
    }
    const scaled = Math.round(sample.value * factor);
    writer.unsigned(differenceCode(scaled - value));
    value = scaled;
  }
  const mixed = group.some((sample) => sample.quality !== 0);
  writer.byte(mixed ? 1 : 0);
  if (mixed) {
    for (const { quality } of group) {
      if (!Number.isInteger(quality) || quality < 0 || quality > 255) throw new CodecError(`quality is ${quality}`);
      writer.byte(quality);
    }
  }
}

/** The same for all series of a block: they share times and qualities, which are written once and copied. */
function writeBlock(writer: ByteWriter, block: ReadingBlock, wallMs: number): void {
  const { series, count, times, places, values, qualities } = block;
  const width = series.metrics.length;
  const shared = sharedScratch;
  shared.clear();
  let time = wallMs;
  for (let at = 0; at < count; at += 1) {
    const next = times[at] as number;
    shared.signed(next - time);
    time = next;
  }
  const mixed = qualities.some((quality) => quality !== 0);
  for (let index = 0; index < width; index += 1) {
    writer.unsigned(count);
    writer.raw(shared.written());
    let value = 0;
    for (let at = 0; at < count; at += 1) {
      const scaled = values[(places[at] as number) + index] as number;
      if (scaled === scaled) {
        writer.unsigned(differenceCode(scaled - value));
        value = scaled;
      } else writer.unsigned(1);
    }
    writer.byte(mixed ? 1 : 0);
    if (mixed) for (const quality of qualities) writer.byte(quality);
  }
}

/** Samples of each series, in the order in which series first come. */
function bySeries(samples: readonly Sample[]): Sample[][] {
  const groups: Sample[][] = [];
  const devices = new Map<string, Map<string, Sample[]>>();
  // Samples of a device come in a row.
  let deviceId: string | undefined;
  let metrics = new Map<string, Sample[]>();
  for (const sample of samples) {
    if (sample.deviceId !== deviceId) {
      deviceId = sample.deviceId;
      metrics = devices.get(deviceId) ?? new Map<string, Sample[]>();
      devices.set(deviceId, metrics);
    }
    const group = metrics.get(sample.metric);
    if (group) group.push(sample);
    else {
      const made = [sample];
      metrics.set(sample.metric, made);
      groups.push(made);
    }
  }
  return groups;
}

/** Unpacks a frame; throws CodecError with the reason when the bytes are not one. */
export function decodeFrame(bytes: Uint8Array): Frame {
  const found = bytes[0];
  if (found === undefined) throw new CodecError('a frame of no bytes');
  if (found !== version) throw new CodecError(`frame version ${found} is not known here`);
  const reader = new ByteReader(checkedBody(bytes));
  reader.byte();
  const head = parseFrameHead(reader.text());
  const samples: Sample[] = [];
  for (const [deviceId, metric, precision] of head.s) {
    const factor = 10 ** precision;
    const count = reader.unsigned();
    if (count > bytes.length) throw new CodecError(`series ${metric} claims ${count} samples`);
    const times: number[] = [];
    let time = head.w;
    for (let i = 0; i < count; i += 1) {
      time += reader.signed();
      if (Math.abs(time) > largestTimeMs) throw new CodecError(`series ${metric} has a time beyond all dates`);
      times.push(time);
    }
    const values: (number | null)[] = [];
    let scaled = 0;
    for (let i = 0; i < count; i += 1) {
      const code = reader.unsigned();
      if (code % 2 === 1) {
        values.push(null);
        continue;
      }
      const zigzag = code / 2;
      scaled += zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
      if (!Number.isSafeInteger(scaled)) throw new CodecError(`series ${metric} has a value beyond 2^53`);
      values.push(scaled / factor);
    }
    const mixed = reader.byte() === 1;
    for (let i = 0; i < count; i += 1) {
      samples.push({
        deviceId,
        metric,
        timeMs: times[i] as number,
        value: values[i] as number | null,
        quality: mixed ? reader.byte() : 0,
      });
    }
  }
  if (!reader.atEnd) throw new CodecError('bytes left over after the last series');
  const events: AlertEvent[] = [];
  const unknownEvents: UnknownAlertEvent[] = [];
  for (const event of head.e ?? []) {
    if (isUnknownAlertEvent(event)) unknownEvents.push(event);
    else events.push(event);
  }
  return {
    boot: head.b,
    monotonicMs: head.m,
    wallMs: head.w,
    trust: head.t,
    samples,
    events,
    ...(unknownEvents.length > 0 ? { unknownEvents } : {}),
    entries: head.n ?? [],
    received: (head.r ?? []).map(([deviceId, boot, seqs]) => ({ deviceId, boot, seqs })),
  };
}

/** The bytes without their checksum, once that is right. */
function checkedBody(bytes: Uint8Array): Uint8Array {
  const end = bytes.length - checksumBytes;
  if (end < 1) throw new CodecError(`a frame of ${bytes.length} bytes`);
  const stated = new DataView(bytes.buffer, bytes.byteOffset + end, checksumBytes).getUint32(0);
  const body = bytes.subarray(0, end);
  if (crc32(body) !== stated) throw new CodecError('checksum is wrong: bytes were changed or cut short');
  return body;
}
