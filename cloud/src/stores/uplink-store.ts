/**
 * The port behind which archive, ledger and dead letters lie. What `accept` was given is durable when it resolves, all or
 * nothing. A remote store answers with promises. Every adapter passes testing/uplink-store-suite.ts.
 */
import type { Receipt } from '@villagrid/contracts';

/** A value now or later. */
export type Awaitable<T> = T | Promise<T>;

/** A frame as it is archived: its raw bytes and what examining them gave. */
export interface FrameToArchive {
  readonly number: number;
  /** Last log number it stands for, when it is sealed from several; left out: its own. */
  readonly last?: number;
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes. */
  readonly hash: Uint8Array;
  /** Why it is refused for good; null for a good one. It is archived and explained all the same. */
  readonly bad: string | null;
  /** Times of its oldest and newest sample, Unix ms; null without samples. */
  readonly fromMs: number | null;
  readonly toMs: number | null;
}

/** Frames of one log that came together. */
export interface FramesToAccept {
  readonly gatewayId: string;
  readonly gridId: string;
  readonly epoch: string;
  readonly frames: readonly FrameToArchive[];
}

/** What became of them. */
export interface Accepted {
  readonly added: number;
  /** Repeats with the same content. */
  readonly repeated: number;
  /** Repeats with other content: quarantined, the first content stays. */
  readonly conflicts: readonly number[];
  readonly upTo: number;
  /** A hole was closed, so that `up_to` went over what had come before. */
  readonly gapClosed: boolean;
}

/** Something that was refused and is kept for a person to look at. */
export interface DeadLetter {
  /** Which step refused it. */
  readonly stage:
    | 'envelope'
    | 'frame'
    | 'conflict'
    | 'event'
    | 'entry'
    | 'projection'
    | 'hello'
    | 'alerts'
    | 'acts'
    | 'history'
    | 'telemetry'
    | 'device_alert';
  readonly gatewayId: string;
  readonly gridId: string;
  readonly epoch: string | null;
  readonly number: number | null;
  /** Code of the error catalogue. */
  readonly code: string;
  readonly reason: string;
  readonly bytes: Uint8Array;
}

/** A dead letter as kept: the same content of the same gateway at the same stage is one, counted. */
export interface KeptDeadLetter extends DeadLetter {
  readonly id: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly times: number;
}

/** A good frame of the archive, in its order of arrival. */
export interface ArchivedFrame {
  /** Place in the order of arrival; rises, may have holes. */
  readonly seq: number;
  readonly gatewayId: string;
  readonly gridId: string;
  readonly epoch: string;
  readonly number: number;
  /** Last log number it stands for. */
  readonly last: number;
  readonly bytes: Uint8Array;
}

/** Numbers from first to last, both included. */
export type NumberRange = readonly [first: number, last: number];

/** A number whose frame came but cannot be used. */
export interface RefusedNumber {
  readonly number: number;
  readonly stage: Extract<DeadLetter['stage'], 'frame' | 'conflict' | 'projection'>;
  readonly reason: string;
}

/** What the store knows of one log. */
export interface LogFacts {
  readonly epoch: string;
  /** Newest number the gateway told of, or that came. */
  readonly newestNumber: number;
  readonly explainedUpTo: number;
  /** In order; none touches another. */
  readonly missing: readonly NumberRange[];
  readonly givenUp: readonly NumberRange[];
  /** By number. Of conflicts and projections, what the dead letters still hold. */
  readonly refused: readonly RefusedNumber[];
}

/** Archive, ledger and dead letters. */
export interface UplinkStore {
  /** Archives and notes in the ledger, idempotent by (gateway, epoch, number); keeps the dead letters in the same commit. */
  accept(
    batches: readonly FramesToAccept[],
    deadLetters: readonly DeadLetter[],
    nowMs: number,
  ): Awaitable<readonly Accepted[]>;
  /** Explains what is missing up to `last`: the gateway says that it no longer has it. Gives the numbers given up. */
  giveUp(
    gatewayId: string,
    gridId: string,
    epoch: string,
    last: number,
    nowMs: number,
  ): Awaitable<ReadonlyArray<readonly [first: number, last: number]>>;
  /** Notes which number a gateway says is its newest. */
  noteNewest(gatewayId: string, epoch: string, number: number, nowMs: number): Awaitable<void>;
  /** What is known of each log of a gateway, the one that was heard of first before the others. */
  logs(gatewayId: string): Awaitable<readonly LogFacts[]>;
  /** Times of the samples next to numbers of a log, also in the logs before and after; null where there are none. */
  timesAround(
    gatewayId: string,
    epoch: string,
    range: NumberRange,
  ): Awaitable<{ readonly beforeMs: number | null; readonly afterMs: number | null }>;
  /** Good frames of a grid whose newest sample has fromMs <= time < toMs. */
  frameCount(gridId: string, fromMs: number, toMs: number): Awaitable<number>;
  /** The receipt of a log; of an unknown one it says that nothing is here. */
  receipt(gatewayId: string, epoch: string): Awaitable<Receipt>;
  /** Good frames after a place in the order of arrival. */
  framesAfter(seq: number, limit: number): Awaitable<readonly ArchivedFrame[]>;
  /** Good frames of a grid that may hold samples with fromMs <= time < toMs, up to a place in the order of arrival. */
  framesBetween(gridId: string, fromMs: number, toMs: number, upToSeq: number): Awaitable<Iterable<Uint8Array>>;
  keepDeadLetter(letter: DeadLetter, nowMs: number): Awaitable<void>;
  /** Newest first. */
  deadLetters(limit: number): Awaitable<readonly KeptDeadLetter[]>;
  deadLetterCount(): Awaitable<number>;
}
