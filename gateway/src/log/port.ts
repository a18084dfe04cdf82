/** The log as the other rooms of the gateway see it: one durable, ever-numbered sequence of frames; readers keep cursors. */
import type {
  AlertEvent,
  DeviceSeries,
  Frame,
  FrameEntry,
  QualityCode,
  ReceivedSequence,
  Sample,
} from '@villagrid/contracts';

/** One reading of a node as columns: everything of it is copied when it is appended. */
export interface NodeReading {
  readonly series: DeviceSeries;
  /** Whole Unix milliseconds. */
  readonly timeMs: number;
  /** Scaled whole numbers in the order of the series. */
  readonly values: Float64Array;
  readonly quality: QualityCode;
  /** By both it is recognised when it comes again. */
  readonly boot: string | undefined;
  readonly seq: number | undefined;
}

/** What is to be written together. */
export interface LogBatch {
  readonly samples?: readonly Sample[];
  readonly reading?: NodeReading;
  readonly events?: readonly AlertEvent[];
  readonly entries?: readonly FrameEntry[];
  readonly received?: readonly ReceivedSequence[];
}

/** A frame that was committed. */
export interface CommittedFrame {
  readonly number: number;
  readonly frame: Frame;
  readonly bytes: Uint8Array;
}

/** The log of one gateway. */
export interface Log {
  /** Identity of this life of the log. */
  readonly epoch: string;
  /** Identity of this boot of the gateway. */
  readonly boot: string;
  /** Last committed number; 0 for an empty log. Numbers start at 1 and have no holes. */
  newestNumber(): number;
  oldestNumber(): number;
  /**
   * Adds to the next group commit and resolves with the frame's number once it is durable. `urgent` closes the group at
   * once (an alert, a person's act). Rejects with VillagridError E_NOT_DURABLE when the commit failed: nothing was kept.
   * All that share a commit get the same promise.
   */
  append(batch: LogBatch, options?: { readonly urgent?: boolean }): Promise<number>;
  /** Frames from a number on, as stored, without holes; fewer than asked at the end of the log. */
  read(
    fromNumber: number,
    limits: { readonly maxFrames: number; readonly maxBytes: number },
  ): readonly CommittedFrame[];
  /** Called after each commit, in order. Returns the unsubscribe function. */
  onCommit(listener: (committed: CommittedFrame) => void): () => void;
  /** A named reader's cursor: the last number it has done; 0 at first. Durable. */
  cursor(reader: string): number;
  setCursor(reader: string, number: number): void;
}
