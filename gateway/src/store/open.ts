/** What the store holds in memory: series with their open hours, and which numbers of which logs are in. Pure. */
import {
  emptyDigest,
  metricPrecision,
  seriesHasher,
  spanOfFrame,
  type ChunkColumns,
  type Frame,
  type ReadingBlock,
  type Sample,
  type SeriesDigest,
} from '@villagrid/contracts';
import { NumberRanges, type NumberRange } from '@villagrid/runtime';
import { noColumns, OpenHour, type Hasher } from './columns.js';
import { hourMs } from './schema.js';

/** The newest sample of a series; `value` scaled, NaN for none. */
export interface Latest {
  readonly timeMs: number;
  readonly value: number;
  readonly quality: number;
}

/** A series of a grid. */
export class SeriesState {
  /** Row id; undefined until it is first sealed. */
  id: number | undefined;
  readonly gridId: string;
  readonly deviceId: string;
  readonly metric: string;
  readonly precision: number;
  readonly factor: number;
  readonly hash: Hasher;
  /** Digest of everything that is sealed. */
  sealed: SeriesDigest = emptyDigest();
  latest: Latest | undefined;
  open: OpenHour[] = [];

  constructor(gridId: string, deviceId: string, metric: string, precision = metricPrecision(metric)) {
    this.gridId = gridId;
    this.deviceId = deviceId;
    this.metric = metric;
    this.precision = precision;
    this.factor = 10 ** precision;
    this.hash = seriesHasher(deviceId, metric);
  }

  /** Adds a sample to its hour, unless it is sealed already, and to the newest. */
  add(sample: Sample, sealedBeforeMs: number): boolean {
    const value = sample.value === null ? Number.NaN : Math.round(sample.value * this.factor) + 0;
    // Frames keep whole milliseconds; a frame that was not packed yet may still hold fractions.
    return this.addScaled(Math.round(sample.timeMs), value, sample.quality, sealedBeforeMs);
  }

  /** The same for a whole time and a scaled value, NaN for none. */
  addScaled(timeMs: number, value: number, quality: number, sealedBeforeMs: number): boolean {
    if (this.latest === undefined || timeMs >= this.latest.timeMs) this.latest = { timeMs, value, quality };
    if (timeMs < sealedBeforeMs) return false;
    this.#hourOf(timeMs).add(timeMs, value, quality);
    return true;
  }

  /** Adds the readings of a block, all of one hour that is not sealed; the one at `newest` is the newest of them. */
  addColumn(block: ReadingBlock, index: number, newest: number): void {
    const timeMs = block.times[newest] as number;
    if (this.latest === undefined || timeMs >= this.latest.timeMs) {
      const value = block.values[(block.places[newest] as number) + index] as number;
      this.latest = { timeMs, value, quality: block.qualities[newest] as number };
    }
    this.#hourOf(timeMs).addColumn(block, index);
  }

  #hourOf(timeMs: number): OpenHour {
    const hour = Math.floor(timeMs / hourMs);
    const last = this.open.at(-1);
    // Nearly always the hour that is going on.
    let part =
      last?.hour === hour && !last.frozen ? last : this.open.findLast((one) => one.hour === hour && !one.frozen);
    if (!part) this.open.push((part = new OpenHour(hour)));
    return part;
  }

  /** Open samples of hours that touch [fromMs, toMs), in the order in which they came. */
  openColumns(fromMs: number, toMs: number): ChunkColumns[] {
    const touched = this.open.filter(({ hour }) => (hour + 1) * hourMs > fromMs && hour * hourMs < toMs);
    return touched.length === 0 ? [noColumns] : touched.map((part) => part.columns());
  }
}

/** The numbers of one log: those whose samples are all sealed, those of which only hours before a time are, those open. */
export class LogState {
  readonly source: string;
  readonly epoch: string;
  /** Every number that is in, sealed or open. */
  readonly applied: NumberRanges;
  /** Numbers whose samples are all sealed. */
  done: NumberRanges;
  /** Numbers whose samples before a time are sealed. */
  part: NumberRanges;
  partBeforeMs: number;
  /** Frames that are in and not done, with their newest sample's time. */
  #open: Array<{ readonly number: number; readonly newestMs: number }> = [];
  /** The lowest number that was open when last sealed; sealed whole when it still is at the next time. */
  waiting = Number.NaN;

  constructor(
    source: string,
    epoch: string,
    done: readonly NumberRange[] = [],
    part: readonly NumberRange[] = [],
    partBeforeMs = 0,
  ) {
    this.source = source;
    this.epoch = epoch;
    this.applied = new NumberRanges(done);
    this.done = new NumberRanges(done);
    this.part = new NumberRanges(part);
    this.partBeforeMs = partBeforeMs;
  }

  /** Notes a frame; gives the time before which its samples are sealed already, or undefined when it is in. */
  take(number: number, frame: Frame): number | undefined {
    if (this.applied.has(number)) return undefined;
    this.applied.add(number);
    const newestMs = Math.round(spanOfFrame(frame)?.[1] ?? Number.NEGATIVE_INFINITY);
    this.#open.push({ number, newestMs });
    return this.part.has(number) ? this.partBeforeMs : Number.NEGATIVE_INFINITY;
  }

  /** Numbers that count as in although they never will be. */
  skip(first: number, last: number): void {
    this.applied.add(first, last);
    this.done.add(first, last);
  }

  /** Whether a frame that was open when last sealed still would be: a sample of it lies in the future. */
  isStuck(beforeMs: number): boolean {
    return this.#open.some(({ number, newestMs }) => number === this.waiting && newestMs >= beforeMs);
  }

  /** Whether some frames are sealed in part. */
  get hasPart(): boolean {
    return this.part.ranges.length > 0;
  }

  /** What will be true once every open sample before a time is sealed; taken over by `seal`. */
  sealing(beforeMs: number): Sealing {
    const done = new NumberRanges(this.done.ranges);
    const open = this.#open.filter(({ newestMs }) => newestMs >= beforeMs);
    const part = new NumberRanges(open.map(({ number }) => [number, number] as const));
    for (const { number, newestMs } of this.#open) if (newestMs < beforeMs) done.add(number);
    return { done, part, open, beforeMs, through: this.#open.length };
  }

  /** Takes over what was sealed. */
  seal({ done, part, open, beforeMs, through }: Sealing): void {
    this.done = done;
    this.part = part;
    this.partBeforeMs = beforeMs;
    this.#open = [...open, ...this.#open.slice(through)];
    this.waiting = open[0]?.number ?? Number.NaN;
  }
}

/** What a log's numbers will be when a seal is durable. */
export interface Sealing {
  readonly done: NumberRanges;
  readonly part: NumberRanges;
  readonly beforeMs: number;
  readonly open: ReadonlyArray<{ readonly number: number; readonly newestMs: number }>;
  /** Frames that were open when the seal began. */
  readonly through: number;
}
