/** The group that gathers for the next commit, with an estimate of its size. */
import type { AlertEvent, FrameEntry, ReceivedSequence, Sample } from '@villagrid/contracts';
import type { LogBatch } from './port.js';

/** Estimated bytes of one sample within its series, and of a series' head beside its names. */
const sampleBytes = 6;
const seriesBytes = 12;

/** What is written together. Made for thousands of small batches: what is looked up for each is found without making a name. */
export class Group {
  readonly samples: Sample[] = [];
  readonly events: AlertEvent[] = [];
  readonly entries: FrameEntry[] = [];
  /** One for all that wait: resolves with the frame's number, or rejects. */
  readonly committed: Promise<number>;
  /** Batches that wait. */
  waiting = 0;
  bytes = 0;
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

  /** Sequence numbers by device and boot, each list ascending. */
  get received(): ReceivedSequence[] {
    const all: ReceivedSequence[] = [];
    for (const [deviceId, boots] of this.#received)
      for (const [boot, seqs] of boots) all.push({ deviceId, boot, seqs: seqs.sort((a, b) => a - b) });
    return all;
  }

  add(batch: LogBatch): Promise<number> {
    this.waiting += 1;
    if (batch.samples) this.#addSamples(batch.samples);
    for (const event of batch.events ?? []) {
      this.events.push(event);
      this.bytes += JSON.stringify(event).length;
    }
    for (const entry of batch.entries ?? []) {
      this.entries.push(entry);
      this.bytes += JSON.stringify(entry).length;
    }
    for (const { deviceId, boot, seqs } of batch.received ?? []) {
      let boots = this.#received.get(deviceId);
      if (!boots) this.#received.set(deviceId, (boots = new Map()));
      const known = boots.get(boot);
      if (known) known.push(...seqs);
      else boots.set(boot, [...seqs]);
      this.bytes += seqs.length * 8;
    }
    return this.committed;
  }

  #addSamples(samples: readonly Sample[]): void {
    // Samples of a device come in a row.
    let ofDevice: string | undefined;
    let metrics = new Set<string>();
    for (const sample of samples) {
      const { deviceId, metric } = sample;
      this.samples.push(sample);
      this.bytes += sampleBytes;
      if (deviceId !== ofDevice) {
        ofDevice = deviceId;
        metrics = this.#series.get(deviceId) ?? new Set<string>();
        this.#series.set(deviceId, metrics);
      }
      if (metrics.has(metric)) continue;
      metrics.add(metric);
      this.bytes += deviceId.length + metric.length + 1 + seriesBytes;
    }
  }
}
