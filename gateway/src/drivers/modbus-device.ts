/**
 * One Modbus device: knows where its points are, what of them it refuses, and reads them. A poll either gives values that
 * all belong to it, or says why not; it never gives a number that the device did not send in answer to this very question.
 */
import type { Clock } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import {
  decodePoints,
  encodeWrite,
  fixedLayout,
  guardsHold,
  isWritten,
  type Layout,
  metricValues,
  planReads,
  type PointValue,
  type PollingClass,
  pollingClasses,
  type Profile,
  type ReadBlock,
  readLimits,
  RegisterImage,
  faultMetric,
  splitBlock,
  sunspecLayout,
  troubleOf,
  type WritePoint,
} from '../devices/index.js';
import { type Link, LinkError, type ReadRequest } from '../links/index.js';
import { findBase, type ReadWords, walkChain } from './sunspec-discovery.js';

/** What was refused is tried again after so long: firmware and settings change. Village milliseconds. */
const forgetRefusalsMs = 3_600_000;

/** A write is given at least so long: some devices keep it in slow memory first. Real milliseconds. */
const shortestWriteMs = 2000;
/** Pauses between looks at what was written, real milliseconds. */
const firstLookMs = 250;
const longestLookMs = 2000;

/** Outcome of a poll. `values` holds at least one metric when `ok`. */
export type PollOutcome =
  | { readonly ok: true; readonly values: Readonly<Record<string, number | null>> }
  | {
      readonly ok: false;
      /** Whether anything answered: a device that refuses lives, but gives nothing. */
      readonly failure: 'silent' | 'unreachable' | 'refused' | 'stopped';
      readonly reason: string;
    };

export interface ModbusDeviceOptions {
  readonly deviceId: string;
  readonly profile: Profile;
  readonly unit: number;
  readonly link: Link;
  /** Village time: when slow points are due. */
  readonly clock: Clock;
  readonly log: Logger;
}

/** A device that can be polled; one poll at a time. */
export class ModbusDevice {
  readonly deviceId: string;
  readonly #options: ModbusDeviceOptions;
  #layout: Layout | undefined;
  #identified = false;
  #slowDueMs = Number.NEGATIVE_INFINITY;
  /** Requests by polling classes, as split by what the device refused. */
  #plans = new Map<string, ReadBlock[]>();
  #firstRefusalMs: number | undefined;
  /** Whether its last question was answered. */
  #answers = false;
  #bases: readonly number[];
  #faultWords: readonly string[] = [];

  constructor(options: ModbusDeviceOptions) {
    this.deviceId = options.deviceId;
    this.#options = options;
    this.#bases = options.profile.sunspec?.bases ?? [];
  }

  /** What it said of its own fault at the last poll, in its maker's words; undefined where it said nothing. */
  get faultWords(): string | undefined {
    return this.#faultWords.length === 0 ? undefined : this.#faultWords.join(', ');
  }

  /** Reads what is due. Does not reject. */
  async poll(): Promise<PollOutcome> {
    try {
      return await this.#read();
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      return { ok: false, failure: failureOf(error), reason: error.message };
    }
  }

  async #read(): Promise<PollOutcome> {
    const { clock, profile } = this.#options;
    this.#forgetOldRefusals();
    const layout = (this.#layout ??= await this.#locate());
    const slow = clock.monotonicMs() >= this.#slowDueMs;
    const classes: PollingClass[] = [
      'fast',
      ...(slow ? ['slow' as const] : []),
      ...(this.#identified ? [] : ['once' as const]),
    ];
    const { image, answered, failed } = await this.#readBlocks(layout, classes);
    if (!answered && failed) throw failed;
    if (layout.guards.length > 0 && !guardsHold(layout, image)) {
      // Something moved, or answers came from elsewhere. Nothing of this is believed; the next poll looks anew.
      if (failed) throw failed;
      this.#startAnew();
      return {
        ok: false,
        failure: 'refused',
        reason: 'its SunSpec models are not where they were; it is searched again',
      };
    }
    const points = decodePoints(layout, image);
    const values = metricValues(layout, points, profile.combine, new Set(classes));
    if (Object.keys(values).length === 0) {
      if (failed) throw failed;
      this.#startAnew();
      const reason = `it answers, but refuses every register of profile ${profile.id}: check profile and unit`;
      return { ok: false, failure: 'refused', reason };
    }
    if (!failed) {
      if (slow) this.#slowDueMs = clock.monotonicMs() + profile.slow_every_s * 1000;
      if (!this.#identified) this.#tellIdentity(points);
      this.#identified = true;
    }
    const trouble = troubleOf(layout, points);
    if (!trouble) return { ok: true, values };
    this.#faultWords = trouble.words;
    return { ok: true, values: { ...values, [faultMetric]: trouble.state } };
  }

  /** Reads the blocks of these classes. A refused block is split and the halves are tried; silence ends the round. */
  async #readBlocks(
    layout: Layout,
    classes: readonly PollingClass[],
  ): Promise<{ image: RegisterImage; answered: boolean; failed: LinkError | undefined }> {
    const name = classes.join('+');
    const plan = this.#plans.get(name) ?? planReads(layout, readLimits(this.#options.profile), new Set(classes));
    const image = new RegisterImage();
    const learnt: ReadBlock[] = [];
    const waiting = [...plan];
    let answered = false;
    let failed: LinkError | undefined;
    for (let block = waiting.shift(); block; block = waiting.shift()) {
      try {
        image.add(
          block.function,
          block.address,
          await this.#ask(block.function, block.address, block.count, readBetween(block, plan)),
          block.step,
        );
        answered = true;
        learnt.push(block);
      } catch (error) {
        if (!(error instanceof LinkError)) throw error;
        if (error.failure === 'exception' && (error.exception === 2 || error.exception === 3)) {
          answered = true;
          this.#firstRefusalMs ??= this.#options.clock.monotonicMs();
          const halves = splitBlock(block);
          if (halves) waiting.unshift(...halves);
          else this.#options.log.info('the device has no such registers; they are left out', this.#where(block));
          continue;
        }
        failed = error;
        learnt.push(block);
        // Another exception is about this block only; without an answer the rest would only cost the others time.
        if (error.failure !== 'exception' || error.exception === 10 || error.exception === 11) {
          learnt.push(...waiting);
          break;
        }
      }
    }
    this.#plans.set(name, learnt);
    return { image, answered, failed };
  }

  async #locate(): Promise<Layout> {
    const { profile, log } = this.#options;
    if (!profile.sunspec) return fixedLayout(profile);
    const read: ReadWords = (address, count) => this.#ask(profile.function, address, count);
    const base = await findBase(this.#bases, read, (silent) => {
      const at = this.#bases.indexOf(silent) + 1;
      this.#bases = [...this.#bases.slice(at), ...this.#bases.slice(0, at)];
    });
    if (base === undefined)
      throw new LinkError(
        'exception',
        `it is no SunSpec device: no "SunS" at ${this.#bases.join(', ')}; check unit and profile`,
      );
    const chain = await walkChain(base, read);
    const layout = sunspecLayout(profile, chain);
    const ids = chain.map(({ id }) => id);
    if (!layout.points.some((point) => point.metric !== undefined))
      throw new LinkError(
        'exception',
        `its SunSpec models ${ids.join(', ') || '(none)'} are none that profile ${profile.id} reads`,
      );
    this.#bases = [base, ...this.#bases.filter((other) => other !== base)];
    log.info('SunSpec models found', { device_id: this.deviceId, base, models: ids });
    return layout;
  }

  /** Asks, and asks once more when a device that answered before did not, or not this. */
  async #ask(
    functionCode: 3 | 4,
    address: number,
    count: number,
    between?: ReadRequest['between'],
  ): Promise<readonly number[]> {
    const { link, unit, profile } = this.#options;
    const { timeout_ms: timeoutMs, min_gap_ms: gapMs } = profile.limits;
    const request: ReadRequest = { unit, function: functionCode, address, count, timeoutMs, gapMs, between };
    try {
      const words = await link.read(request).catch((error: unknown) => {
        if (this.#answers && error instanceof LinkError && ['timeout', 'mismatch'].includes(error.failure))
          return link.read(request);
        throw error;
      });
      this.#answers = true;
      return words;
    } catch (error) {
      this.#answers = error instanceof LinkError && error.failure === 'exception';
      throw error;
    }
  }

  /**
   * Writes a value once and reads back until the device says it, or until the time is over (real milliseconds); gives what
   * it said last, undefined when it said nothing. Rejects with LinkError when the write was refused or not answered.
   */
  async write(point: WritePoint, value: number, withinMs: number, realClock: Clock): Promise<PointValue> {
    const { link, unit, profile } = this.#options;
    const endMs = realClock.monotonicMs() + withinMs;
    const words = encodeWrite(point, value);
    if (typeof words === 'string') throw new LinkError('exception', words);
    const { timeout_ms: longestMs, min_gap_ms: gapMs } = profile.limits;
    const timeoutMs = Math.max(longestMs, shortestWriteMs);
    await link.write({ unit, function: point.function, address: point.address, words, timeoutMs, gapMs });
    for (let waitMs = firstLookMs; ; waitMs = Math.min(2 * waitMs, longestLookMs)) {
      const said = await this.#readPoint(point.reads_back).catch((error: unknown) => {
        // It took the write; that it says nothing now is no failure of that.
        if (error instanceof LinkError) return undefined;
        throw error;
      });
      if (typeof said === 'number' && isWritten(point, value, said)) return said;
      if (realClock.monotonicMs() + waitMs >= endMs) return said;
      await realClock.sleep(waitMs);
    }
  }

  /** One point, with what its value depends on. */
  async #readPoint(key: string): Promise<PointValue> {
    const { profile } = this.#options;
    const all = fixedLayout(profile).points;
    const wanted = all.find((one) => one.key === key);
    const needed = all.filter(
      (one) => one === wanted || one.key === wanted?.scaleFactor || one.key === wanted?.validIf?.point,
    );
    // Points read at first contact are read whether they feed a metric or not.
    const layout: Layout = { points: needed.map((one) => ({ ...one, polling: 'once' })), guards: [] };
    const image = new RegisterImage();
    for (const block of planReads(layout, readLimits(profile), new Set(pollingClasses)))
      image.add(block.function, block.address, await this.#ask(block.function, block.address, block.count), block.step);
    return decodePoints(layout, image).get(key);
  }

  #startAnew(): void {
    this.#layout = undefined;
    this.#plans.clear();
    this.#firstRefusalMs = undefined;
    this.#identified = false;
  }

  #forgetOldRefusals(): void {
    if (this.#firstRefusalMs === undefined) return;
    if (this.#options.clock.monotonicMs() - this.#firstRefusalMs < forgetRefusalsMs) return;
    this.#plans.clear();
    this.#firstRefusalMs = undefined;
  }

  #tellIdentity(points: ReadonlyMap<string, PointValue>): void {
    const texts = [...points].filter(([, value]) => typeof value === 'string');
    if (texts.length > 0)
      this.#options.log.info('device identified', { device_id: this.deviceId, ...Object.fromEntries(texts) });
  }

  #where(block: ReadBlock) {
    return { device_id: this.deviceId, function: block.function, address: block.address, count: block.count };
  }
}

function failureOf(error: LinkError): 'silent' | 'unreachable' | 'refused' | 'stopped' {
  switch (error.failure) {
    case 'timeout':
      return 'silent';
    case 'unreachable':
    case 'stopped':
      return error.failure;
    case 'exception':
      return error.exception === 10 || error.exception === 11 ? 'silent' : 'refused';
    default:
      return 'refused';
  }
}

/** A read of another length that the device answers as well: part of the block, or of another one. */
function readBetween(block: ReadBlock, plan: readonly ReadBlock[]): ReadRequest['between'] {
  for (const { function: code, items } of [block, ...plan])
    for (const { start, end, step = 1 } of items) {
      const count = Math.ceil((end - start) / step);
      if (count !== block.count) return { function: code, address: start, count };
    }
  return undefined;
}
