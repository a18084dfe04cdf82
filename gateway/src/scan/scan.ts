/**
 * Walks a line and says who is there. Gently: reads only, one at a time with a pause before each, as few as will do, and
 * first those that the touchy devices (`closes_on_unknown`) know. An exception is an answer too: somebody is there.
 */
import type { Clock } from '@villagrid/contracts';
import { type IdentifyProbe, probeFits, type Profile } from '../devices/index.js';
import type { SerialLineConfig } from '../drivers/index.js';
import { type Link, LinkError } from '../links/index.js';
import { type SunspecIdentity, sunspecBases, sunspecIdentity } from './sunspec-identity.js';

/** How a serial line may be set. */
export type LineSettings = Omit<SerialLineConfig, 'path'>;

/** A device that answered. */
export interface FoundDevice {
  readonly unit: number;
  /** How the line was set when it answered; undefined on a network. */
  readonly settings: LineSettings | undefined;
  /** Profiles that fit, the most likely first. */
  readonly candidates: ReadonlyArray<{ readonly profile: string; readonly confidence: number }>;
  readonly sunspec: SunspecIdentity | undefined;
  /** What a person should know, in a sentence each. */
  readonly notes: readonly string[];
}

/** An address where something answered that nobody can read. */
export interface Clash {
  readonly unit: number;
  readonly settings: LineSettings | undefined;
  readonly reason: string;
}

/** What a scan found. */
export interface ScanResult {
  readonly found: readonly FoundDevice[];
  readonly clashes: readonly Clash[];
  /** Questions asked in all. */
  readonly requests: number;
}

/** What is told while the scan goes on. */
export interface ScanProgress {
  readonly settings: LineSettings | undefined;
  readonly unit: number;
  readonly done: number;
  readonly total: number;
}

export interface ScanOptions {
  /** Opens the line; on a serial port once for each setting, each closed before the next. */
  readonly open: (settings: LineSettings | undefined) => Link;
  /** Settings to try, the most likely first; `[undefined]` on a network. */
  readonly settings: readonly (LineSettings | undefined)[];
  readonly units: readonly number[];
  readonly profiles: ReadonlyMap<string, Profile>;
  /** Goes on to other settings although somebody was found. */
  readonly everySetting?: boolean;
  /** Pause before each question, and longest wait for an answer, real milliseconds. */
  readonly gapMs?: number;
  readonly timeoutMs?: number;
  /** Real time. */
  readonly clock: Clock;
  readonly progress?: (at: ScanProgress) => void;
}

/** From here on a device counts as known: nothing further is asked of it. */
const surelyKnown = 0.9;
/** Less than this is no guess worth showing. */
const worthShowing = 0.2;

/** Walks all units at each setting until somebody is found. Rejects with LinkError `unreachable` when the line itself is not there. */
export async function scan(options: ScanOptions): Promise<ScanResult> {
  const { settings, units, open, everySetting = false, progress } = options;
  const found: FoundDevice[] = [];
  const clashes: Clash[] = [];
  let requests = 0;
  let done = 0;
  for (const setting of settings) {
    const link = open(setting);
    const line: Line = { link, reached: false, closed: 0 };
    const forget = link.onState((state) => {
      if (state === 'up') line.reached = true;
    });
    try {
      for (const unit of units) {
        progress?.({ settings: setting, unit, done: done++, total: units.length * settings.length });
        const visit = new Visit(line, unit, setting, options);
        const result = await visit.look();
        requests += visit.requests;
        if (result && 'candidates' in result) found.push(result);
        else if (result) clashes.push(result);
      }
    } finally {
      forget();
      await link.close();
    }
    if (found.length > 0 && !everySetting) break;
  }
  // A device heard at the wrong speed is garbled there and well at the right one.
  const real = clashes.filter(
    ({ settings: at }) => found.length === 0 || found.some((one) => sameSettings(one.settings, at)),
  );
  return { found, clashes: real, requests };
}

const sameSettings = (a: LineSettings | undefined, b: LineSettings | undefined): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

type Answer =
  | { readonly kind: 'words'; readonly words: readonly number[] }
  | { readonly kind: 'refused' | 'silent' | 'garbled'; readonly reason: string };

/** An open line, as far as the scan is concerned. */
interface Line {
  readonly link: Link;
  /** Whether it was there at all. */
  reached: boolean;
  /** Times in a row that it was gone when asked. */
  closed: number;
}

/** A line that was closed by the other side so often in a row is given up. */
const timesClosed = 3;
/** Pause after the other side closed the connection, real milliseconds. */
const closedPauseMs = 1000;

/** One unit at one setting. */
class Visit {
  readonly #line: Line;
  readonly #unit: number;
  readonly #settings: LineSettings | undefined;
  readonly #options: ScanOptions;
  readonly #answers = new Map<string, Answer>();
  requests = 0;

  constructor(line: Line, unit: number, settings: LineSettings | undefined, options: ScanOptions) {
    this.#line = line;
    this.#unit = unit;
    this.#settings = settings;
    this.#options = options;
  }

  /** Who is there; undefined when nobody is. */
  async look(): Promise<FoundDevice | Clash | undefined> {
    const { profiles } = this.#options;
    const touchy = [...profiles.values()].filter((one) => one.identify?.closes_on_unknown && this.#usually(one));
    const others = [...profiles.values()].filter(
      (one) => one.identify && !one.identify.closes_on_unknown && !one.sunspec,
    );
    const first = await this.#somebody(touchy);
    if (first === undefined) return undefined;
    if (first.kind === 'garbled') {
      // Once may be noise.
      this.#answers.clear();
      const again = await this.#somebody(touchy);
      if (again?.kind === 'garbled') return { unit: this.#unit, settings: this.#settings, reason: again.reason };
      if (again === undefined) return undefined;
    }
    const candidates = new Map<string, number>();
    for (const profile of touchy) await this.#judge(profile, candidates);
    if (best(candidates) >= surelyKnown) return this.#found(candidates, undefined);
    const sunspec = await this.#sunspec();
    if (sunspec) {
      if (sunspec.profile !== undefined) candidates.set(sunspec.profile, 0.95);
      return this.#found(candidates, sunspec);
    }
    // Those that are usual at this address and speed first; whoever is surely known is left in peace.
    for (const profile of [...others].sort((a, b) => Number(this.#usually(b)) - Number(this.#usually(a)))) {
      await this.#judge(profile, candidates);
      if (best(candidates) >= surelyKnown) break;
    }
    return this.#found(candidates, undefined);
  }

  /** The first sign of life; undefined when there is none. */
  async #somebody(touchy: readonly Profile[]): Promise<Answer | undefined> {
    const questions: Array<Pick<IdentifyProbe, 'function' | 'address' | 'registers'>> = [
      ...touchy.flatMap((profile) => profile.identify?.probes.slice(0, 1) ?? []),
      { function: 3, address: sunspecBases[0], registers: 2 },
      { function: 4, address: 0, registers: 2 },
    ];
    for (const { function: code, address, registers } of questions) {
      const answer = await this.#ask(code, address, registers);
      if (answer.kind !== 'silent') return answer;
    }
    return undefined;
  }

  /** Whether a device of this model usually has this address (and speed). */
  #usually({ transport: { tcp, rtu } }: Profile): boolean {
    if (!this.#settings) return tcp?.unit === this.#unit;
    return rtu?.unit === this.#unit && rtu.baud === this.#settings.baud && rtu.parity === this.#settings.parity;
  }

  async #judge(profile: Profile, into: Map<string, number>): Promise<void> {
    let doubt = 1;
    let fits = 0;
    let against = 0;
    for (const probe of profile.identify?.probes ?? []) {
      const answer = await this.#ask(probe.function, probe.address, probe.registers);
      if (answer.kind === 'words' && probeFits(profile, probe, answer.words)) {
        doubt *= 1 - probe.confidence;
        fits += 1;
      } else against += 1;
      // A device that lacks the first of a model's registers is not of that model; the rest is not asked.
      if (against > 0 && fits === 0) return;
    }
    const confidence = (1 - doubt) * 0.4 ** against;
    if (confidence >= worthShowing) into.set(profile.id, Math.round(100 * confidence) / 100);
  }

  async #sunspec(): Promise<SunspecIdentity | undefined> {
    try {
      return await sunspecIdentity(async (address, count) => {
        const answer = await this.#askTwice(3, address, count);
        if (answer.kind === 'words') return answer.words;
        throw new LinkError(answer.kind === 'refused' ? 'exception' : 'timeout', answer.reason);
      }, this.#options.profiles);
    } catch (error) {
      if (error instanceof LinkError && error.failure !== 'unreachable') return undefined;
      throw error;
    }
  }

  #found(candidates: ReadonlyMap<string, number>, sunspec: SunspecIdentity | undefined): FoundDevice {
    const sorted = [...candidates].map(([profile, confidence]) => ({ profile, confidence }));
    sorted.sort((a, b) => b.confidence - a.confidence);
    const notes: string[] = [];
    const [one, other] = sorted;
    if (!one) notes.push('It answers, but no profile knows it: try `generic`, or write a profile.');
    else if (other && one.confidence - other.confidence < 0.1)
      notes.push(`${one.profile} and ${other.profile} answer alike: look at the name plate.`);
    const garbled = [...this.#answers.values()].filter(({ kind }) => kind === 'garbled').length;
    if (garbled > 0)
      notes.push(
        `${garbled} of ${this.#answers.size} answers were garbled: bad wiring, noise, or a second device with this address.`,
      );
    return { unit: this.#unit, settings: this.#settings, candidates: sorted, sunspec, notes };
  }

  /** Asks again what was lost or spoiled on the way: somebody is there, and one lost answer of many must not hide who. */
  async #askTwice(code: 3 | 4, address: number, count: number): Promise<Answer> {
    const answer = await this.#ask(code, address, count);
    if (answer.kind === 'words' || answer.kind === 'refused') return answer;
    this.#answers.delete(keyOf(code, address, count));
    return this.#ask(code, address, count);
  }

  /** Asks once; what was answered is not asked again. */
  async #ask(code: 3 | 4, address: number, count: number): Promise<Answer> {
    const key = keyOf(code, address, count);
    const known = this.#answers.get(key);
    if (known) return known;
    const { timeoutMs = 300, gapMs = 50 } = this.#options;
    this.requests += 1;
    let answer: Answer;
    try {
      const words = await this.#line.link.read({ unit: this.#unit, function: code, address, count, timeoutMs, gapMs });
      answer = { kind: 'words', words };
      this.#line.closed = 0;
    } catch (error) {
      if (!(error instanceof LinkError) || error.failure === 'stopped') throw error;
      if (error.failure === 'unreachable') {
        // Some devices close the connection after a question they do not like.
        this.#line.closed += 1;
        if (!this.#line.reached || this.#line.closed >= timesClosed) throw error;
        await this.#options.clock.sleep(closedPauseMs);
      } else this.#line.closed = 0;
      const nobody = error.failure === 'timeout' || error.exception === 10 || error.exception === 11;
      const kind = nobody ? 'silent' : error.failure === 'mismatch' ? 'garbled' : 'refused';
      answer = { kind, reason: error.message };
    }
    this.#answers.set(key, answer);
    return answer;
  }
}

const keyOf = (code: 3 | 4, address: number, count: number): string => `${code} ${address} ${count}`;

const best = (candidates: ReadonlyMap<string, number>): number => Math.max(0, ...candidates.values());
