/** The group that gathers for the next commit, with an estimate of its size. */
import type { AlertEvent, FrameEntry, ReceivedSequence, Sample } from '@villagrid/contracts';
import type { LogBatch } from './port.js';

/** Somebody who waits for the commit. */
interface Waiting {
  resolve(number: number): void;
  reject(error: Error): void;
}

/** Estimated bytes of one sample within its series, and of a series' head beside its names. */
const sampleBytes = 6;
const seriesBytes = 12;

/** What is written together. */
export class Group {
  readonly samples: Sample[] = [];
  readonly events: AlertEvent[] = [];
  readonly entries: FrameEntry[] = [];
  readonly waiting: Waiting[] = [];
  bytes = 0;
  readonly #series = new Set<string>();
  readonly #received = new Map<string, { deviceId: string; boot: string; seqs: number[] }>();

  get empty(): boolean {
    return this.waiting.length === 0;
  }

  /** Sequence numbers by device and boot, each list ascending. */
  get received(): ReceivedSequence[] {
    for (const one of this.#received.values()) one.seqs.sort((a, b) => a - b);
    return [...this.#received.values()];
  }

  add(batch: LogBatch): Promise<number> {
    for (const sample of batch.samples ?? []) {
      this.samples.push(sample);
      const series = `${sample.deviceId} ${sample.metric}`;
      if (!this.#series.has(series)) {
        this.#series.add(series);
        this.bytes += series.length + seriesBytes;
      }
      this.bytes += sampleBytes;
    }
    for (const event of batch.events ?? []) {
      this.events.push(event);
      this.bytes += JSON.stringify(event).length;
    }
    for (const entry of batch.entries ?? []) {
      this.entries.push(entry);
      this.bytes += JSON.stringify(entry).length;
    }
    for (const { deviceId, boot, seqs } of batch.received ?? []) {
      const key = `${deviceId} ${boot}`;
      const known = this.#received.get(key);
      if (known) known.seqs.push(...seqs);
      else this.#received.set(key, { deviceId, boot, seqs: [...seqs] });
      this.bytes += seqs.length * 8;
    }
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }
}
