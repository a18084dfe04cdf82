/** What drivers deliver to intake: readings of a device, normalised names and units, not yet judged. */
import type { DeviceLink } from '@villagrid/contracts';
import type { Link } from '../links/index.js';

/** One reading of a device. */
export interface DriverReading {
  readonly deviceId: string;
  /** Unix milliseconds by the gateway's clock when it was read. */
  readonly timeMs: number;
  /** Metric id to value in the metric's unit and sign; null where the device says it has no value. */
  readonly values: Readonly<Record<string, number | null>>;
}

/** Where drivers put what they learn. Must not throw. */
export interface DriverSink {
  reading(reading: DriverReading): void;
  /** The link to a device came up or went down, with the reason in plain words. */
  link(deviceId: string, state: 'up' | 'down', reason: string): void;
  /** The line that these devices share is there, or is not, with the reason in plain words. */
  line?(line: string, state: 'up' | 'down', deviceIds: readonly string[], reason: string): void;
}

/** What a device says it has after a write. */
export interface WriteOutcome {
  readonly said: number | undefined;
  readonly isDone: boolean;
}

/** A driver that runs: polls its devices until stopped. */
export interface Driver {
  readonly name: string;
  /** How one of its devices answers; undefined for devices of others, and before the start. */
  quality(deviceId: string): DeviceLink | undefined;
  /** What one of its devices says of its own fault, in its maker's words; undefined for devices of others, and without a fault. */
  faultWords?(deviceId: string): string | undefined;
  /** The line it reads over, for who may borrow it; undefined for a line of another name, and while it is stopped. */
  line?(endpoint: string): Pick<Link, 'read'> | undefined;
  /**
   * Writes to a point that the profile of one of its devices names, once; gives what the device then says it has (a number
   * where it says one). Undefined for devices of others. Rejects with LinkError.
   */
  write?(deviceId: string, key: string, value: number, withinMs: number): Promise<WriteOutcome> | undefined;
  start(): Promise<void>;
  stop(): Promise<void>;
}
