/**
 * What the rules heard, in its order: which reading came when, looks at the clock, figures of the gateway itself. Values of
 * readings are not repeated: the frame of the same commit has them, each series in its order. With both, and a state to
 * begin with, the rules can go through it once more and conclude the same. Some bytes for each; pure.
 */
import { ByteReader, ByteWriter, CodecError, type DeviceSeries } from '@villagrid/contracts';

/** A series by name. */
type SeriesName = readonly [deviceId: string, metric: string];

/** A series as one text. */
export const seriesKey = (deviceId: string, metric: string): string => `${deviceId} ${metric}`;

/** One thing that was heard. */
export type Heard =
  /** A reading: the next sample of each of these series, each named by its `seriesKey`. */
  | { readonly kind: 'reading'; readonly series: readonly string[]; readonly atMs: number }
  /** A look at the clock, and the devices that could not be heard then for a reason that has an alert of its own. */
  | { readonly kind: 'tick'; readonly atMs: number; readonly excused: ReadonlySet<string> }
  /** A figure of the gateway itself. */
  | { readonly kind: 'figure'; readonly metric: string; readonly value: number; readonly atMs: number };

const codes = { tick: 0, excused: 1, series: 2, figure: 3, sameFigure: 4, newFigure: 5, reading: 6 } as const;
/** Forms of readings and figures that are told apart; whoever has more of them is better off with a whole state. */
const mostForms = 4096;
const nobody: ReadonlySet<string> = new Set();
const number64 = new DataView(new ArrayBuffer(8));

/** Notes what is heard, from a state on. Names are written once; numbers stand for them until `begin`. */
export class HeardWriter {
  readonly #writer = new ByteWriter();
  readonly #forms = new Map<DeviceSeries | string, number>();
  readonly #figures = new Map<string, { readonly index: number; value: number }>();
  /** Names as they are written; while much comes a state is kept many times a second, and each begins anew. */
  readonly #names = new WeakMap<DeviceSeries, Uint8Array>();
  #series = 0;
  #lastMs = 0;
  #excused = '';

  /** Whether so much is noted that it cannot go on. */
  get isFull(): boolean {
    return this.#forms.size + this.#figures.size > mostForms;
  }

  /** Bytes noted since the last `cut`. */
  get length(): number {
    return this.#writer.length;
  }

  /** Begins anew: a state was kept that has all of this. */
  begin(): void {
    this.#writer.clear();
    this.#forms.clear();
    this.#figures.clear();
    this.#series = 0;
    this.#lastMs = 0;
    this.#excused = '';
  }

  /** What was noted since the last time. */
  cut(): Uint8Array {
    const bytes = this.#writer.finish();
    this.#writer.clear();
    return bytes;
  }

  /** A whole reading of a device arrived, at whole Unix milliseconds. */
  reading(series: DeviceSeries, atMs: number): void {
    let index = this.#forms.get(series);
    if (index === undefined) {
      let names = this.#names.get(series);
      if (names === undefined) {
        names = written(series.metrics.map((metric) => [series.deviceId, metric]));
        this.#names.set(series, names);
      }
      index = this.#named(names);
      this.#forms.set(series, index);
    }
    this.#note(codes.reading + index, atMs);
  }

  /** Samples arrived together. */
  samples(samples: ReadonlyArray<{ readonly deviceId: string; readonly metric: string }>, atMs: number): void {
    let key = '';
    for (const { deviceId, metric } of samples) key += `${deviceId} ${metric} `;
    let index = this.#forms.get(key);
    if (index === undefined) {
      index = this.#named(written(samples.map(({ deviceId, metric }) => [deviceId, metric])));
      this.#forms.set(key, index);
    }
    this.#note(codes.reading + index, atMs);
  }

  /** The rules looked at the clock. */
  tick(atMs: number, excused: readonly string[]): void {
    const text = excused.length === 0 ? '' : JSON.stringify(excused);
    if (text !== this.#excused) {
      this.#excused = text;
      this.#writer.unsigned(codes.excused);
      this.#writer.text(text);
    }
    this.#note(codes.tick, atMs);
  }

  /** A figure of the gateway itself was told. */
  figure(metric: string, value: number, atMs: number): void {
    const known = this.#figures.get(metric);
    if (known !== undefined && Object.is(known.value, value)) {
      this.#note(codes.sameFigure, atMs);
      this.#writer.unsigned(known.index);
      return;
    }
    if (known === undefined) {
      this.#writer.unsigned(codes.newFigure);
      this.#writer.text(metric);
      this.#figures.set(metric, { index: this.#figures.size, value });
    } else known.value = value;
    this.#note(codes.figure, atMs);
    this.#writer.unsigned(this.#figures.get(metric)?.index ?? 0);
    number64.setFloat64(0, value);
    this.#writer.raw(new Uint8Array(number64.buffer));
  }

  #named(names: Uint8Array): number {
    this.#writer.raw(names);
    return this.#series++;
  }

  #note(code: number, atMs: number): void {
    this.#writer.unsigned(code);
    this.#writer.signed(atMs - this.#lastMs);
    this.#lastMs = atMs;
  }
}

/** The names of a form as they are written. Most readings are of one device: its name is written once. */
function written(names: readonly SeriesName[]): Uint8Array {
  const byDevice: string[][] = [];
  for (const [deviceId, metric] of names) {
    const last = byDevice.at(-1);
    if (last?.[0] === deviceId) last.push(metric);
    else byDevice.push([deviceId, metric]);
  }
  const writer = new ByteWriter();
  writer.unsigned(codes.series);
  writer.text(JSON.stringify(byDevice));
  return writer.finish();
}

/** Reads what a writer noted since `begin`, one piece after the other. */
export class HeardReader {
  readonly #forms: (readonly string[])[] = [];
  readonly #figures: { readonly metric: string; value: number }[] = [];
  #lastMs = 0;
  #excused = nobody;

  /** What is in the next piece. Throws CodecError for bytes that are none, or not the next ones. */
  *read(bytes: Uint8Array): Generator<Heard> {
    const reader = new ByteReader(bytes);
    while (!reader.atEnd) {
      const code = reader.unsigned();
      if (code === codes.series) this.#forms.push(namesFrom(reader.text()));
      else if (code === codes.newFigure) this.#figures.push({ metric: reader.text(), value: Number.NaN });
      else if (code === codes.excused) this.#excused = devicesFrom(reader.text());
      else {
        const atMs = (this.#lastMs += reader.signed());
        if (code === codes.tick) yield { kind: 'tick', atMs, excused: this.#excused };
        else if (code >= codes.reading) {
          const series = this.#forms[code - codes.reading];
          if (series === undefined) throw new CodecError(`a form ${code} that was not named`);
          yield { kind: 'reading', series, atMs };
        } else yield { kind: 'figure', atMs, ...this.#figure(reader, code) };
      }
    }
  }

  #figure(reader: ByteReader, code: number): { readonly metric: string; readonly value: number } {
    const figure = this.#figures[reader.unsigned()];
    if (figure === undefined) throw new CodecError('a figure that was not named');
    if (code === codes.figure) {
      const bytes = reader.raw(8);
      figure.value = new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0);
    }
    return { metric: figure.metric, value: figure.value };
  }
}

function namesFrom(text: string): string[] {
  return listFrom(text).flatMap((one) => {
    const [deviceId = '', ...metrics] = Array.isArray(one) ? one.map(String) : [];
    return metrics.map((metric) => seriesKey(deviceId, metric));
  });
}

const devicesFrom = (text: string): ReadonlySet<string> =>
  text === '' ? nobody : new Set(listFrom(text).filter((one) => typeof one === 'string'));

function listFrom(text: string): unknown[] {
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list)) return list;
  } catch {
    // As below.
  }
  throw new CodecError('no list of names');
}
