/** What RTU frames travel on: a serial port or a socket to a converter. A line only carries bytes; the link above owns it. */

/** What the owner of a line is told. */
export interface ByteLineEvents {
  bytes(data: Uint8Array): void;
  /** The line is gone, told once; nothing comes any more. */
  lost(reason: string): void;
}

/** An open line. */
export interface ByteLine {
  write(data: Uint8Array): void;
  /** Lets go of it; `lost` is not told. */
  close(): Promise<void>;
}

/** Opens the line. Rejects with LinkError `unreachable`. */
export type OpenLine = (events: ByteLineEvents) => Promise<ByteLine>;
