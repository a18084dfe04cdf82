/**
 * What gateway and cloud say to each other over MQTT: frames as the log holds them, or sealed ones that stand for several
 * of its numbers; receipts per (gateway, epoch). Topics are in topics.ts. Everything is idempotent by (gateway, epoch, number) or event id.
 */
import type { AlertEvent } from '../alerts/events.js';
import type { CommandState } from '../api/command-schema.js';
import type { Role } from '../auth/roles.js';
import { ByteReader, ByteWriter, CodecError } from '../codec/bytes.js';
import type { ClockTrust } from '../ports/clock.js';
import type { DocumentDown, DocumentName, DocumentTold } from '../downsync/documents.js';
import type { Site } from '../site/site.js';

/** Plans of the uplink (not profiles, which are device models). */
export const plans = ['metered', 'standard', 'full', 'raw', 'boost'] as const;
export type Plan = (typeof plans)[number];
/** Those that settings may name; boost comes and goes by itself. */
export const settablePlans = ['metered', 'standard', 'full', 'raw'] as const satisfies readonly Plan[];

/** First byte of a packed envelope, plain and compressed (deflate-raw over what follows the first byte). */
export const envelopePlain = 0x02;
export const envelopeDeflated = 0x03;
/** The same with brotli; only for a cloud that said in WELCOME that it takes it. */
export const envelopeBrotli = 0x04;

/** What a cloud takes beyond the first form: sealed frames that stand for several log numbers, and brotli. */
export const envelopeAbilities = ['spans', 'brotli'] as const;
export type EnvelopeAbility = (typeof envelopeAbilities)[number];

/** Most bytes of an envelope on the wire, and of its inflated form. */
export const maxEnvelopeBytes = 96 * 1024;
export const maxInflatedBytes = 1024 * 1024;

/** One uplink message of frames: consecutive log numbers from `first`. */
export interface Envelope {
  readonly epoch: string;
  /** Log number of the first frame; the others follow without holes. */
  readonly first: number;
  readonly plan: Plan;
  /** Whether a receipt is asked for. */
  readonly receiptWanted: boolean;
  /** The frames' bytes, exactly as the log keeps them, or sealed. */
  readonly frames: readonly Uint8Array[];
  /** How many log numbers each frame stands for; left out: one each. */
  readonly counts?: readonly number[] | undefined;
}

/** Packs the body of an envelope (without the first byte, which tells whether the rest is compressed). */
export function encodeEnvelopeBody(envelope: Envelope): Uint8Array {
  const writer = new ByteWriter();
  writer.text(
    JSON.stringify({
      v: 1,
      ep: envelope.epoch,
      first: envelope.first,
      plan: envelope.plan,
      rr: envelope.receiptWanted ? 1 : 0,
      ...(envelope.counts?.some((count) => count !== 1) ? { c: envelope.counts } : {}),
    }),
  );
  writer.unsigned(envelope.frames.length);
  for (const frame of envelope.frames) writer.block(frame);
  return writer.finish();
}

/** Unpacks the body of an envelope; throws CodecError. */
export function decodeEnvelopeBody(bytes: Uint8Array): Envelope {
  const reader = new ByteReader(bytes);
  let head: { v?: unknown; ep?: unknown; first?: unknown; plan?: unknown; rr?: unknown; c?: unknown };
  try {
    // An array or a bare number has none of these fields; null would not even let itself be asked.
    head = (JSON.parse(reader.text()) ?? {}) as typeof head;
  } catch (error) {
    throw error instanceof CodecError ? error : new CodecError('envelope head is not JSON');
  }
  if (head.v !== 1) throw new CodecError(`envelope version ${String(head.v)} is not known here`);
  if (typeof head.ep !== 'string' || !Number.isSafeInteger(head.first) || (head.first as number) < 1)
    throw new CodecError('envelope head lacks epoch or first number');
  const count = reader.unsigned();
  const frames: Uint8Array[] = [];
  for (let i = 0; i < count; i += 1) frames.push(reader.block());
  if (!reader.atEnd) throw new CodecError('bytes left over after the last frame');
  const counts = countsOf(head.c, frames.length);
  return {
    epoch: head.ep,
    first: head.first as number,
    plan: plans.includes(head.plan as Plan) ? (head.plan as Plan) : 'raw',
    receiptWanted: head.rr === 1,
    frames,
    ...(counts === undefined ? {} : { counts }),
  };
}

/** Most log numbers that one frame stands for. */
const mostNumbers = 10_000_000;

function countsOf(value: unknown, frames: number): readonly number[] | undefined {
  if (value === undefined) return undefined;
  const good = (count: unknown) =>
    Number.isSafeInteger(count) && (count as number) >= 1 && (count as number) <= mostNumbers;
  if (!Array.isArray(value) || value.length !== frames || !value.every(good))
    throw new CodecError('envelope head has other counts than frames');
  return value as number[];
}

/** On the session lane, JSON: at every connect and when the site changes. */
export interface Hello {
  readonly y: 'hello';
  readonly gateway_id: string;
  readonly boot: string;
  readonly version: string;
  readonly epoch: string;
  readonly newest_number: number;
  readonly oldest_number: number;
  readonly receipted_number: number;
  readonly clock_ms: number;
  readonly clock_trust: ClockTrust;
  readonly plan: Plan;
  /** Part of the gateway's disk in use, and of its card's life that is used up where the card tells, per cent. */
  readonly disk_used_pct?: number;
  readonly card_life_used_pct?: number;
  /** Documents it has decided on; left out by a gateway that knows of none. */
  readonly documents?: Readonly<Partial<Record<DocumentName, DocumentTold>>>;
  /** Whether its devices take commands; left out by a gateway that takes none from afar. */
  readonly commands?: boolean;
  readonly site: Site;
}

/** On the alerts lane, JSON: events that must not wait for telemetry. They also travel in their frames. */
export interface AlertsUp {
  readonly y: 'alerts';
  readonly events: readonly AlertEvent[];
}

/** On the session lane, JSON, at a clean stop. */
export interface Goodbye {
  readonly y: 'goodbye';
  readonly gateway_id: string;
  readonly clock_ms: number;
}

/** Down, JSON: the answer to HELLO. `receipt` tells from which number to send. */
export interface Welcome {
  readonly y: 'welcome';
  readonly server_time_ms: number;
  readonly receipt: Receipt;
  /** What it takes beyond the first form; left out: nothing. */
  readonly takes?: readonly EnvelopeAbility[];
}

/**
 * Down, JSON: what is durably archived and in the ledger. `up_to` is the last number below which none is missing,
 * `also` later ranges already here; `sum` adds the first 8 bytes (big endian) of the SHA-256 of each frame up to
 * `up_to` that was not refused, modulo 2^64, as 16 hexadecimal digits.
 */
export interface Receipt {
  readonly y: 'receipt';
  readonly epoch: string;
  readonly up_to: number;
  readonly sum: string;
  readonly also: ReadonlyArray<readonly [number, number]>;
  /** Numbers refused for good, with reasons; they count as explained. */
  readonly bad: ReadonlyArray<readonly [number, string]>;
  /** The cloud's clock when it was sent, Unix milliseconds: a gateway without a better time takes it. */
  readonly server_time_ms?: number;
}

/** Down, JSON: what people did at the cloud. Repeated until the event comes up in a frame. */
export interface ActsDown {
  readonly y: 'acts';
  readonly events: readonly AlertEvent[];
}

/** Down, JSON: somebody watches from afar, so live values are worth more bytes for so long. Repeated while they watch. */
export interface BoostDown {
  readonly y: 'boost';
  /** Seconds; afterwards it ends by itself. */
  readonly for_s: number;
}

/** Name of the command by which a gateway says how it does; its device is the gateway itself. */
export const diagnoseCommand = 'diagnose';

/** Down, JSON: what a person at the cloud asks for and has confirmed. Only announced: CommandGo lets it be done. */
export interface CommandDown {
  readonly y: 'command';
  readonly id: string;
  readonly device_id: string;
  readonly command: string;
  readonly value: string | number;
  readonly actor: { readonly user_id: string; readonly name: string };
  /** The highest role the person has on this grid. */
  readonly role: Role;
}

/** On the session lane, JSON: the answer to CommandDown. From here the gateway counts, by a clock that cannot be set. */
export interface CommandReady {
  readonly y: 'command_ready';
  readonly gateway_id: string;
  readonly id: string;
}

/** Down, JSON: do it, within `ttl_ms` from when CommandReady was sent. Said once for each command. */
export interface CommandGo {
  readonly y: 'command_go';
  readonly id: string;
  readonly ttl_ms: number;
}

/** On the session lane, JSON: what became of it. The log tells it too. */
export interface CommandOutcome {
  readonly y: 'command_outcome';
  readonly gateway_id: string;
  readonly id: string;
  readonly state: CommandState;
  readonly reason: string | null;
  readonly read_back: string | null;
}

/** Any message on the `down` topic. */
export type DownMessage = Welcome | Receipt | ActsDown | BoostDown | DocumentDown | CommandDown | CommandGo;
/** Any JSON message up. */
export type UpMessage = Hello | Goodbye | AlertsUp | CommandReady | CommandOutcome;
