/** The group that gathers for the next commit, with an estimate of its size. */
import {
  frameOfPieces,
  ReadingBlock,
  ValueRoom,
  type AlertEvent,
  type DeviceSeries,
  type Frame,
  type FrameEntry,
  type ReceivedSequence,
  type Sample,
  type SamplePiece,
} from '@villagrid/contracts';
import type { LogBatch, NodeReading } from './port.js';

/** Estimated bytes of one sample within its series, and of a series' head beside its names. */
const sampleBytes = 6;
const seriesBytes = 12;

/** Values of the last group: the next one will be about as large. Bounded, so that a flood's last group costs little. */
let lastLength = 0;
const mostRoom = 16_384;

/** A block that goes on, and where the sequence numbers of its last boot go. */
interface OpenBlock {
  readonly block: ReadingBlock;
  boot: string | undefined;
  seqs: number[];
}

/** What is written together. Made for thousands of small batches: what is looked up for each is found without making a name. */
export class Group {
  readonly events: AlertEvent[] = [];
  readonly entries: FrameEntry[] = [];
  /** One for all that wait: resolves with the frame's number, or rejects. */
  readonly committed: Promise<number>;
  /** Batches that wait. */
  waiting = 0;
  bytes = 0;
  sampleCount = 0;
  /** Samples in order of arrival, as far as those of one series are concerned. */
  readonly #pieces: SamplePiece[] = [];
  /** Blocks that go on, by device and series. */
  readonly #blocks = new Map<DeviceSeries, OpenBlock>();
  readonly #blocksOfDevice = new Map<string, DeviceSeries[]>();
  readonly #room = new ValueRoom(lastLength);
  resolve!: (number: number) => void;
  reject!: (error: Error) => void;
  /** Metrics by device. */
  readonly #series = new Map<string, Set<string>>();
  /** Sequence numbers by device and boot. */
  readonly #received = new Map<string, Map<string, number[]>>();

  constructor() {
    this.committed = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Nobody may be waiting (a driver does not): the failure was logged.
    this.committed.catch(() => {});
  }

  get empty(): boolean {
    return this.waiting === 0;
  }

  /** What is gathered, as a frame; samples are made one by one only when they are asked for. */
  toFrame(facts: Pick<Frame, 'boot' | 'monotonicMs' | 'wallMs' | 'trust'>): Frame {
    const { events, entries, received } = this;
    lastLength = Math.min(this.#room.length, mostRoom);
    return frameOfPieces({ ...facts, events, entries, received }, this.#pieces);
  }

  /** Sequence numbers by device and boot, each list ascending. */
  get received(): ReceivedSequence[] {
    const all: ReceivedSequence[] = [];
    for (const [deviceId, boots] of this.#received)
      for (const [boot, seqs] of boots) all.push({ deviceId, boot, seqs: ascending(seqs) });
    return all;
  }

  add(batch: LogBatch): Promise<number> {
    this.waiting += 1;
    if (batch.reading) this.#addReading(batch.reading);
    if (batch.samples) this.#addSamples(batch.samples);
    for (const event of batch.events ?? nothing) {
      this.events.push(event);
      this.bytes += JSON.stringify(event).length;
    }
    for (const entry of batch.entries ?? nothing) {
      this.entries.push(entry);
      this.bytes += JSON.stringify(entry).length;
    }
    for (const { deviceId, boot, seqs } of batch.received ?? nothing) {
      const known = this.#seqsOf(deviceId, boot);
      for (const seq of seqs) known.push(seq);
      this.bytes += seqs.length * 8;
    }
    return this.committed;
  }

  #seqsOf(deviceId: string, boot: string): number[] {
    let boots = this.#received.get(deviceId);
    if (!boots) this.#received.set(deviceId, (boots = new Map()));
    let seqs = boots.get(boot);
    if (!seqs) boots.set(boot, (seqs = []));
    return seqs;
  }

  #addReading({ series, timeMs, values, quality, boot, seq }: NodeReading): void {
    const open = this.#blocks.get(series) ?? this.#begin(series);
    open.block.add(timeMs, values, quality);
    this.sampleCount += series.metrics.length;
    this.bytes += series.metrics.length * sampleBytes;
    if (boot === undefined || seq === undefined) return;
    if (open.boot !== boot) {
      open.boot = boot;
      open.seqs = this.#seqsOf(series.deviceId, boot);
    }
    open.seqs.push(seq);
    this.bytes += 8;
  }

  /** Begins a block. One of the same device that has a series of it goes on no more: their samples stay in order. */
  #begin(series: DeviceSeries): OpenBlock {
    const { deviceId, metrics } = series;
    const others = (this.#blocksOfDevice.get(deviceId) ?? []).filter((other) => {
      const isApart = !other.metrics.some((metric) => metrics.includes(metric));
      if (!isApart) this.#blocks.delete(other);
      return isApart;
    });
    this.#blocksOfDevice.set(deviceId, [...others, series]);
    const open: OpenBlock = { block: new ReadingBlock(series, this.#room), boot: undefined, seqs: [] };
    this.#blocks.set(series, open);
    this.#pieces.push(open.block);
    for (const metric of metrics) this.bytes += deviceId.length + metric.length + 1 + seriesBytes;
    return open;
  }

  #addSamples(samples: readonly Sample[]): void {
    const last = this.#pieces.at(-1);
    const piece = Array.isArray(last) ? last : [];
    if (piece !== last) this.#pieces.push(piece);
    this.sampleCount += samples.length;
    // Samples of a device come in a row.
    let ofDevice: string | undefined;
    let metrics = new Set<string>();
    for (const sample of samples) {
      const { deviceId, metric } = sample;
      piece.push(sample);
      this.bytes += sampleBytes;
      if (deviceId !== ofDevice) {
        ofDevice = deviceId;
        metrics = this.#series.get(deviceId) ?? new Set<string>();
        this.#series.set(deviceId, metrics);
        for (const series of this.#blocksOfDevice.get(deviceId) ?? nothing) this.#blocks.delete(series);
        this.#blocksOfDevice.delete(deviceId);
      }
      if (metrics.has(metric)) continue;
      metrics.add(metric);
      this.bytes += deviceId.length + metric.length + 1 + seriesBytes;
    }
  }
}

const nothing: readonly never[] = [];

/** The list itself, which nearly always is in order already. */
function ascending(numbers: number[]): number[] {
  for (let i = 1; i < numbers.length; i += 1)
    if ((numbers[i] as number) < (numbers[i - 1] as number)) return numbers.sort((a, b) => a - b);
  return numbers;
}
