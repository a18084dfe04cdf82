/**
 * Plays stored samples to the rule engine that runs live, in event time: readings as they were, the figures they changed,
 * ticks in between. Pure; works in small steps, so that whoever plays may let others have their turn.
 */
import { DeviceSeries } from '../codec/reading-block.js';
import { qualityClass } from '../quality/quality.js';
import { createRuleEngine, type RuleEngine, type RuleTransition } from '../rules/engine.js';
import type { RuleContext } from '../rules/kind.js';
import type { Rule } from '../rules/rule.js';
import { alertSubject } from '../rules/subject.js';
import type { Site } from '../site/site.js';
import { FigureBoard, type Newest } from './figure-board.js';
import { MeasuredTime, type Measured } from './measured.js';
import { watchedDevices } from '../rules/unwatched.js';
import { backtestNeeds, type BacktestNeeds, type SeriesName } from './needs.js';
import type { SeriesSamples } from './samples.js';
import { Tally, type Occurrence, type OccurrenceCounts, type Stretch } from './tally.js';

/** How often the gateway looks at the time, milliseconds: silence and delays without a sample are noticed then. */
export const backtestTickMs = 5000;
/** Work of one step, in samples and looks at the time: well below a millisecond here, a few on a small box. */
const workPerStep = 2000;
/** Occurrences of a variant that are kept one by one; all are counted. */
export const mostListed = 1000;

/** Silence up to which time counts as measured, milliseconds; of slow devices three of their periods. */
const measuredGapMs = 5 * 60_000;

const isBad = Uint8Array.from({ length: 256 }, (_, code) => (qualityClass(code) === 'bad' ? 1 : 0));

/** One form of a rule that is tried. */
export interface BacktestVariant {
  readonly name: string;
  readonly rule: Rule;
}

/** What a variant would have done. */
export interface VariantResult {
  readonly name: string;
  readonly rule: Rule;
  readonly counts: OccurrenceCounts;
  /** In order of their beginning; the first ones when there are more than are kept. */
  readonly occurrences: readonly Occurrence[];
}

export interface BacktestOptions {
  readonly variants: readonly BacktestVariant[];
  readonly site: Site;
  /** Metrics of a device that were ever heard. */
  readonly metricsOf: (deviceId: string) => readonly string[];
  /** The stretch that is counted. */
  readonly fromMs: number;
  readonly toMs: number;
  /** How long before it samples are played, so that what stood at its beginning is known, milliseconds. */
  readonly leadMs: number;
  /** What else kinds may ask about the moment that is played. */
  readonly context?: Omit<RuleContext, 'figure'>;
}

/** Series of a device that have the same times. */
interface Block {
  readonly deviceId: string;
  readonly times: Float64Array;
  readonly columns: ReadonlyArray<{
    readonly values: Float64Array;
    readonly qualities: Uint8Array;
    readonly factor: number;
  }>;
  readonly form: BlockForm;
  /** Whether every sample has a usable value. */
  readonly allUsable: boolean;
  at: number;
}

/** What is known of the same series in every slice. */
interface BlockForm {
  readonly series: DeviceSeries;
  readonly row: Float64Array;
  readonly newest: ReadonlyArray<Newest | undefined>;
  readonly isWired: boolean;
  readonly figures: readonly string[];
  readonly take: ReadonlyArray<(timeMs: number, values: Float64Array) => readonly RuleTransition[]>;
}

class Playing {
  readonly engine: RuleEngine;
  readonly variant: BacktestVariant;
  readonly tally: Tally;
  readonly occurrences: Occurrence[] = [];
  readonly #open = new Map<string, Occurrence>();

  constructor(variant: BacktestVariant, engine: RuleEngine, stretch: Stretch) {
    this.variant = variant;
    this.engine = engine;
    this.tally = new Tally(stretch);
  }

  /** As live: what is raised is not raised again, what is not cannot be cleared. */
  take(found: readonly RuleTransition[]): void {
    for (const one of found) {
      const { deviceId, metric, transition } = one;
      const key = `${deviceId ?? ''} ${metric ?? ''}`;
      const known = this.#open.get(key);
      if (transition.type === 'raise') {
        if (known !== undefined) continue;
        // As the alert would say it: of silence its limit in minutes.
        const { value, limit } = alertSubject(one, null);
        this.#open.set(key, { deviceId, metric, raisedMs: Math.round(transition.atMs), clearedMs: null, value, limit });
      } else if (known !== undefined) {
        this.#open.delete(key);
        this.#count({ ...known, clearedMs: Math.round(transition.atMs) });
      }
    }
  }

  #count(one: Occurrence): void {
    if (this.tally.add(one) && this.occurrences.length < mostListed) this.occurrences.push(one);
  }

  end(): VariantResult {
    for (const one of this.#open.values()) this.#count(one);
    this.#open.clear();
    const { name, rule } = this.variant;
    const occurrences = [...this.occurrences].sort((a, b) => a.raisedMs - b.raisedMs);
    return { name, rule, counts: this.tally.counts(), occurrences };
  }
}

/** A back-test of some variants of a rule, played in one pass. Slices are given in order of time. */
export class Backtest {
  readonly needs: BacktestNeeds;
  /** From where on samples are played, Unix ms. */
  readonly playFromMs: number;
  #samples = 0;
  readonly #toMs: number;
  readonly #board: FigureBoard;
  readonly #playing: readonly Playing[];
  readonly #forms = new Map<string, BlockForm>();
  readonly #tickWork: number;
  readonly #measured: MeasuredTime;
  readonly #gapOf: ReadonlyMap<string, number>;
  /** Nobody watched before anything was heard: the time is looked at from the first sample on. */
  #nextTickMs = Number.POSITIVE_INFINITY;

  /** Throws E_CONFIG_INVALID for a variant that cannot work. */
  constructor(options: BacktestOptions) {
    const { site, fromMs, toMs, variants } = options;
    const rules = variants.map(({ rule }) => ({ ...rule, enabled: true }));
    this.needs = backtestNeeds(rules, site, options.metricsOf);
    this.playFromMs = fromMs - options.leadMs;
    this.#toMs = toMs;
    this.#measured = new MeasuredTime(fromMs, toMs);
    this.#gapOf = new Map(
      site.devices.map((one) => [one.device_id, Math.max(measuredGapMs, 3 * (one.period_s ?? 0) * 1000)]),
    );
    this.#board = new FigureBoard(site, this.needs.figures);
    // The engine remembers the figures it is told, as live; of others nothing is known.
    const context: RuleContext = { ...options.context, figure: () => undefined };
    const devices = watchedDevices(site);
    const engineOf = (rule: Rule) => ({ rules: [rule], devices, context, inventory: site.devices, zone: site.zone });
    this.#playing = variants.map(
      (variant, index) =>
        new Playing(variant, createRuleEngine(engineOf(rules[index] as Rule)), {
          fromMs,
          toMs,
          zone: site.zone,
        }),
    );
    this.#tickWork = 1 + Math.ceil(((devices.length + this.needs.series.length) * variants.length) / 8);
  }

  /** Samples that were played so far. */
  get samples(): number {
    return this.#samples;
  }

  /** How much of the stretch was measured in what was played: usable values of any series that is looked at. */
  get measured(): Measured {
    return this.#measured.measured();
  }

  /** Plays samples of a slice that ends before `untilMs`; yields where others may have their turn. */
  *play(slice: readonly SeriesSamples[], untilMs: number): Generator<void, void> {
    const blocks = yield* this.#blocksOf(slice);
    let work = 0;
    for (;;) {
      let [first, timeMs] = [-1, Number.POSITIVE_INFINITY];
      for (let i = 0; i < blocks.length; i += 1) {
        const { times, at } = blocks[i] as Block;
        if (at < times.length && (times[at] as number) < timeMs) [first, timeMs] = [i, times[at] as number];
      }
      if (first >= 0 && this.#nextTickMs === Number.POSITIVE_INFINITY)
        this.#nextTickMs = Math.ceil(timeMs / backtestTickMs) * backtestTickMs;
      while (this.#nextTickMs <= timeMs && this.#nextTickMs < untilMs) {
        this.#tick();
        work += this.#tickWork;
        if (work >= workPerStep) {
          work = 0;
          yield;
        }
      }
      if (first < 0 || timeMs >= untilMs) return;
      work += this.#read(blocks, first, timeMs);
      if (work >= workPerStep) {
        work = 0;
        yield;
      }
    }
  }

  /** What the variants would have done, once all slices were played. */
  results(): VariantResult[] {
    while (this.#nextTickMs <= this.#toMs) this.#tick();
    return this.#playing.map((one) => one.end());
  }

  #tick(): void {
    for (const one of this.#playing) {
      const found = one.engine.onTick(this.#nextTickMs);
      if (found.length > 0) one.take(found);
    }
    this.#nextTickMs += backtestTickMs;
  }

  /** Plays what a device said at a time, beginning with one of its blocks: all of it, then the figures it changed. */
  #read(blocks: readonly Block[], first: number, timeMs: number): number {
    const block = blocks[first] as Block;
    let count = this.#put(block, timeMs);
    let others: Block[] | undefined;
    for (let i = first + 1; i < blocks.length; i += 1) {
      const other = blocks[i] as Block;
      if (other.deviceId !== block.deviceId) break;
      if (other.times[other.at] !== timeMs) continue;
      count += this.#put(other, timeMs);
      (others ??= []).push(other);
    }
    let figures = block.form.figures;
    if (others !== undefined) figures = [...new Set([block, ...others].flatMap(({ form }) => form.figures))];
    const told = figures.length === 0 ? undefined : this.#board.resolve(figures, timeMs);
    this.#judge(block, timeMs);
    for (const other of others ?? []) this.#judge(other, timeMs);
    if (told === undefined || told.length === 0) return count;
    for (const one of this.#playing) {
      const found = one.engine.onFigures(told);
      if (found.length > 0) one.take(found);
    }
    return count + figures.length;
  }

  /** Makes a row of a block what is newest. */
  #put({ columns, form, at }: Block, timeMs: number): number {
    if (form.isWired) {
      for (const [index, newest] of form.newest.entries()) {
        if (newest === undefined) continue;
        const { values, qualities, factor } = columns[index] as Block['columns'][number];
        newest.timeMs = timeMs;
        newest.value = (values[at] as number) / factor || 0;
        if (values[at] !== values[at]) newest.value = Number.NaN;
        newest.quality = qualities[at] as number;
      }
    }
    return columns.length;
  }

  /** Shows a row of a block to the rules, and goes on to the next one. */
  #judge(block: Block, timeMs: number): void {
    const { columns, form, at } = block;
    block.at += 1;
    this.#samples += columns.length;
    const { row, series } = form;
    let usable = true;
    for (let i = 0; i < columns.length; i += 1) {
      const { values, qualities, factor } = columns[i] as Block['columns'][number];
      const value = values[at] as number;
      const own = series.factors[i] as number;
      row[i] = factor === own ? value : Math.round((value / factor) * own);
      if (!block.allUsable && (value !== value || isBad[qualities[at] as number] === 1)) usable = false;
    }
    if (usable) {
      for (let i = 0; i < form.take.length; i += 1) {
        const found = (form.take[i] as BlockForm['take'][number])(timeMs, row);
        if (found.length > 0) (this.#playing[i] as Playing).take(found);
      }
      return;
    }
    for (const [i, { values, qualities, factor }] of columns.entries()) {
      const value = values[at] as number;
      if (value !== value || isBad[qualities[at] as number] === 1) continue;
      const sample = {
        deviceId: block.deviceId,
        metric: series.metrics[i] as string,
        timeMs,
        value: value / factor || 0,
      };
      for (const one of this.#playing) one.take(one.engine.onSeriesSample(sample));
    }
  }

  /** Puts series of a device with the same times together: they are its readings. */
  *#blocksOf(slice: readonly SeriesSamples[]): Generator<void, Block[]> {
    const groups: SeriesSamples[][] = [];
    let ofDevice: SeriesSamples[][] = [];
    let deviceId: string | undefined;
    for (const one of slice) {
      if (one.times.length === 0) continue;
      if (one.deviceId !== deviceId) {
        deviceId = one.deviceId;
        ofDevice = [];
      }
      yield;
      const known = ofDevice.find(([first]) => sameTimes((first as SeriesSamples).times, one.times));
      if (known) known.push(one);
      else {
        const made = [one];
        ofDevice.push(made);
        groups.push(made);
      }
    }
    const blocks: Block[] = [];
    for (const group of groups) {
      const [{ deviceId: device, times, windowMs = 0 }] = group as [SeriesSamples];
      let allUsable = true;
      for (const { values, qualities } of group) {
        allUsable &&= isUsable(values, qualities);
        yield;
      }
      const gapMs = Math.max(windowMs, this.#gapOf.get(device) ?? measuredGapMs);
      const known = allUsable ? times : times.filter((_, at) => group.some((one) => isUsableAt(one, at)));
      this.#measured.add(`${device} ${group[0]?.metric ?? ''}`, known, gapMs);
      yield;
      blocks.push({ deviceId: device, times, columns: group, form: this.#formOf(group), allUsable, at: 0 });
    }
    this.#measured.endSlice();
    return blocks;
  }

  #formOf(group: readonly SeriesName[]): BlockForm {
    const [{ deviceId }] = group as [SeriesName];
    const metrics = group.map(({ metric }) => metric);
    const key = `${deviceId} ${metrics.join(' ')}`;
    const known = this.#forms.get(key);
    if (known) return known;
    const series = new DeviceSeries(deviceId, metrics);
    const newest = metrics.map((metric) => this.#board.newest(deviceId, metric));
    const form: BlockForm = {
      series,
      row: new Float64Array(metrics.length),
      newest,
      isWired: newest.some((one) => one !== undefined),
      figures: [...new Set(newest.flatMap((one) => one?.figures ?? []))],
      take: this.#playing.map(({ engine }) => engine.onReadings(series)),
    };
    this.#forms.set(key, form);
    return form;
  }
}

function sameTimes(a: Float64Array, b: Float64Array): boolean {
  if (a.length !== b.length) return false;
  if (a.buffer === b.buffer && a.byteOffset === b.byteOffset) return true;
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false;
  return true;
}

const isUsableAt = ({ values, qualities }: SeriesSamples, at: number): boolean =>
  values[at] === values[at] && isBad[qualities[at] as number] !== 1;

function isUsable(values: Float64Array, qualities: Uint8Array): boolean {
  for (let i = 0; i < values.length; i += 1)
    if (values[i] !== values[i] || isBad[qualities[i] as number] === 1) return false;
  return true;
}
