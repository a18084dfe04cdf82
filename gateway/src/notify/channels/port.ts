/** What a channel is: one way of reaching people who have no app open. Adding one is its file and its line in channels/make.ts. */
import type { NotifyChannelName, NotifyText, Severity } from '@villagrid/contracts';

/** A message handed to a channel. */
export interface ChannelMessage {
  /** Number or address; empty for a relay. */
  readonly to: string;
  readonly severity: Severity;
  readonly text: NotifyText;
}

/** How a channel is, for people. Times in Unix milliseconds. */
export interface ChannelStatus {
  readonly state: 'ok' | 'failing' | 'unknown';
  /** One sentence: what works or what is wrong, and what to do. */
  readonly detail: string;
  /** Strength of the mobile network, dBm, where there is one. */
  readonly signal_dbm?: number | null;
  /** What the operator says of the credit, in its own words, and the first number in it. */
  readonly balance?: { readonly text: string; readonly amount: number | null; readonly at_ms: number } | null;
}

/** A message that did not arrive at the far side, in plain words. */
export class ChannelError extends Error {
  /** True when it is this receiver's number or address: the channel itself is well. */
  readonly receiver: boolean;

  constructor(message: string, { receiver = false, cause }: { receiver?: boolean; cause?: unknown } = {}) {
    super(message, cause === undefined ? {} : { cause });
    this.name = 'ChannelError';
    this.receiver = receiver;
  }
}

/** One channel. It owns its line; calls may overlap, it puts them in turn. */
export interface NotifyChannel {
  readonly name: NotifyChannelName;
  /** Resolves when the far side has taken it. Rejects with ChannelError. */
  send(message: ChannelMessage): Promise<void>;
  /** Looks whether it works without telling anybody anything. Rejects with ChannelError; gives its status. */
  check(): Promise<ChannelStatus>;
  /** Who is told what the channel finds out of itself between two looks; left out where it finds nothing. */
  watch?(listener: (status: ChannelStatus) => void): void;
  /** Ends a sound that goes on; nothing elsewhere. */
  hush(): Promise<void>;
  /** Lets go of its line. */
  close(): Promise<void>;
}
