/** The forms of one node's payloads: nearly always one, which its next message has too. */
import { DeviceSeries, TelemetryForm, type ParsedTelemetry, type QualityCode } from '@villagrid/contracts';
import type { ReadingArrived } from './intake.js';

/** Forms that are tried, newest first, and kinds of readings that are remembered. */
const mostForms = 3;
const mostSeries = 16;
/** A node whose messages never look alike is not learned from again and again: what may be learned without a use. */
const mostUnused = 24;

/** Series that a node's readings have, and who takes them. */
export interface NodeSeries {
  readonly series: DeviceSeries;
  readonly arrived: ReadingArrived;
}

/** A form, and what is made once of it. The batch is used for every reading. */
export interface KnownForm {
  readonly form: TelemetryForm;
  readonly of: NodeSeries;
  readonly batch: {
    readonly reading: {
      readonly series: DeviceSeries;
      readonly values: Float64Array;
      readonly boot: string | undefined;
      timeMs: number;
      quality: QualityCode;
      seq: number | undefined;
    };
  };
  readonly seqs: [number];
}

/** See the head of this file. */
export class NodeForms {
  readonly #deviceId: string;
  readonly #arrivals: (series: DeviceSeries) => ReadingArrived;
  #forms: KnownForm[] = [];
  readonly #series = new Map<string, NodeSeries>();
  #unused = 0;

  constructor(deviceId: string, arrivals: (series: DeviceSeries) => ReadingArrived) {
    this.#deviceId = deviceId;
    this.#arrivals = arrivals;
  }

  /** The form by which a payload could be read. */
  read(bytes: Uint8Array, from: number, to: number): KnownForm | undefined {
    for (const known of this.#forms) {
      if (!known.form.read(bytes, from, to)) continue;
      if (this.#unused > 0) this.#unused -= 1;
      return known;
    }
    return undefined;
  }

  /** Remembers the form of a payload that was parsed in full. */
  learn(bytes: Uint8Array, from: number, to: number, parsed: ParsedTelemetry): void {
    // Without a boot a copy is recognised by its packet id, which the quick way does not see.
    if (this.#unused >= mostUnused || !parsed.ok || parsed.readings[0]?.boot === undefined) return;
    const form = TelemetryForm.of(bytes, from, to, parsed);
    if (form === undefined) return;
    this.#unused += 1;
    const { boot, values } = form;
    const of = this.#seriesOf(form.metrics);
    const reading = { series: of.series, values, boot, timeMs: 0, quality: 0, seq: undefined };
    this.#forms = [{ form, of, batch: { reading }, seqs: [0] }, ...this.#forms.slice(0, mostForms - 1)];
  }

  #seriesOf(metrics: readonly string[]): NodeSeries {
    const name = metrics.join();
    const known = this.#series.get(name);
    if (known) return known;
    const series = new DeviceSeries(this.#deviceId, metrics);
    const made = { series, arrived: this.#arrivals(series) };
    if (this.#series.size >= mostSeries) this.#series.clear();
    this.#series.set(name, made);
    return made;
  }
}
