/** A link: one line or socket with one owner and one queue. Drivers read through it and know nothing of sockets. */

import type { UnitHealth } from './reply-times.js';

/** Why a read failed. */
export type LinkFailure =
  /** No connection, or it broke while waiting. */
  | 'unreachable'
  /** Connected, but this unit did not answer in time. */
  | 'timeout'
  /** The device refused: `exception` holds the Modbus code. */
  | 'exception'
  /** The answer was not one to this request: other unit, function or length, or not Modbus at all. */
  | 'mismatch'
  /** The link was closed by us. */
  | 'stopped';

/** A failed read, with the reason in plain words as its message. */
export class LinkError extends Error {
  readonly failure: LinkFailure;
  /** Modbus exception code. */
  readonly exception: number | undefined;

  constructor(failure: LinkFailure, message: string, exception?: number) {
    super(message);
    this.name = 'LinkError';
    this.failure = failure;
    this.exception = exception;
  }
}

/** A read of registers. */
export interface ReadRequest {
  readonly unit: number;
  readonly function: 3 | 4;
  /** 0-based on the wire. */
  readonly address: number;
  readonly count: number;
  /** Longest time the device takes to answer, real milliseconds. A link may wait less once it knows the device. */
  readonly timeoutMs: number;
  /** Silence on the link before the request, real milliseconds. */
  readonly gapMs: number;
  /**
   * A read of another length that this unit is known to answer. On lines whose answers carry no number it is put between
   * two equal questions, so that the answer to the first can never be taken for the answer to the second.
   */
  readonly between?: Pick<ReadRequest, 'address' | 'count' | 'function'> | undefined;
}

/** A write of registers: 6 writes one, 16 several. */
export interface WriteRequest {
  readonly unit: number;
  readonly function: 6 | 16;
  /** 0-based on the wire. */
  readonly address: number;
  readonly words: readonly number[];
  /** Longest time the device takes to answer, real milliseconds. */
  readonly timeoutMs: number;
  /** Silence on the link before the request, real milliseconds. */
  readonly gapMs: number;
}

/** One line or socket. */
export interface Link {
  /** Where it goes, for logs and reasons: `10.0.0.7:502`. */
  readonly name: string;
  /** Reads `count` words, after what waits before it. Rejects with LinkError, and with nothing else. */
  read(request: ReadRequest): Promise<readonly number[]>;
  /**
   * Writes once, after what waits before it; it is never tried again. Resolves when the device says that it took it. Rejects
   * with LinkError: after `exception` nothing was written, after anything else it may have been.
   */
  write(request: WriteRequest): Promise<void>;
  /** What is known of a unit's answers. */
  health(unit: number): UnitHealth | undefined;
  /** Tells each time the line itself (not a device on it) is there, or is not and why. Returns how to stop that. */
  onState(listener: (state: 'up' | 'down', reason: string) => void): () => void;
  /** Ends the connection; whatever waits is rejected as stopped. */
  close(): Promise<void>;
}

const exceptionTexts: Readonly<Record<number, string>> = {
  1: 'it does not know this function',
  2: 'it has no register at this address',
  3: 'it does not allow this many registers',
  4: 'it failed internally',
  5: 'it needs more time',
  6: 'it is busy',
  10: 'the gateway has no path to this unit',
  11: 'the unit behind the gateway does not answer',
};

/** A Modbus exception in plain words. */
export function exceptionText(code: number): string {
  return `the device refused (exception ${code}${exceptionTexts[code] ? `: ${exceptionTexts[code]}` : ''})`;
}
