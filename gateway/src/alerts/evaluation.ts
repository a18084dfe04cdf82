/**
 * Rules over what arrives: the engine of one gateway. Its state is kept in the log now and then, and with each commit
 * between what was heard, so that a restart brings back the state of the last commit exactly. What the rules conclude is
 * made alerts elsewhere.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';

import {
  createRuleEngine,
  oldestRingingMs,
  qualityClass,
  watchedDevices,
  type Clock,
  type DeviceSeries,
  type Frame,
  type Rule,
  type RuleContext,
  type RuleFigure,
  type RuleTransition,
  type Sample,
  type Site,
} from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { Lines } from '../live/lines.js';
import type { ChangedFigure, Live, WiredSample } from '../live/live.js';
import type { DurableLog } from '../log/log.js';
import { HeardReader, HeardWriter, seriesKey, type Heard } from './heard.js';

/**
 * A whole state is kept so seldom, in commits: it is many blocks of the card, what was heard since is a part of one. What
 * came since is gone through at the next start, so much at most: in samples, where a look at the clock counts for some.
 */
const keepEveryFrames = 32;
const mostToReplay = 20_000;
/** Bytes of what was heard that one commit carries; above it a whole state is less. */
const mostHeardBytes = 16_384;
/** Frames that are gone through where nothing tells since when the state is from. */
const replayFrames = 5000;
/** How long devices have after a start to connect again before their silence is told, real milliseconds. */
export const comeBackMs = 60_000;
const stateName = 'rules';
/** Notes of commits that are kept; an earlier program went through so many. */
const heardRing = 128;
/** Name of what was heard with a commit. */
const heardName = (number: number): string => `rules_heard_${number % heardRing}`;

export interface EvaluationOptions {
  readonly rules: readonly Rule[];
  readonly site: Site;
  readonly log: DurableLog;
  /** A frame of the log with its times put right as far as that is known. */
  readonly corrected: (frame: Frame) => Frame;
  readonly live: Live;
  readonly lines: Lines;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly speed?: number | undefined;
  /** What is usual at a time of day, for rules of that kind; left out, they conclude nothing. */
  readonly usual?: RuleContext['usual'] | undefined;
  /** Whether that changes with the present commit, or has since this was asked last. */
  readonly usualChanges?: (() => boolean) | undefined;
  readonly logger: Logger;
  /** What is raised at the start, as `rule id|subject`: the open alerts are the truth, the state follows. */
  readonly raised: ReadonlySet<string>;
}

/** The rules of one grid at work. */
export interface Evaluation {
  /** Samples that arrived, and the figures they changed. */
  samples(samples: readonly Sample[], figures: readonly ChangedFigure[], arrivalMs: number): readonly RuleTransition[];
  /** The same for whole readings of a device of usable quality. */
  readings(
    series: DeviceSeries,
  ): (
    timeMs: number,
    values: Float64Array,
    figures: readonly ChangedFigure[],
    arrivalMs: number,
  ) => readonly RuleTransition[];
  /** A figure of the gateway itself, as it is now. */
  internal(metric: string, value: number): readonly RuleTransition[];
  /** Time has passed. */
  tick(): readonly RuleTransition[];
  clockMoved(byMs: number): void;
  /**
   * Goes on with other rules from now; those that stay the same keep what they know. `readings` made before must be made
   * anew. Throws E_CONFIG_INVALID for a rule that cannot work, and changes nothing then.
   */
  setRules(rules: readonly Rule[], raised: ReadonlySet<string>): void;
}

/** Whether rules may judge a sample. */
const isUsable = (sample: Sample): sample is Sample & { readonly value: number } =>
  sample.value !== null && qualityClass(sample.quality) !== 'bad';

const none: readonly RuleTransition[] = [];

/** The state as it is kept: a third of its size is worth some microseconds. */
const packed = (text: string): string => deflateRawSync(text, { level: 4 }).toString('base64');

/** A kept state as text: an older program kept it unpacked; undefined for a damaged one. */
function unpacked(kept: string): string | undefined {
  if (kept.startsWith('[')) return kept;
  try {
    return inflateRawSync(Buffer.from(kept, 'base64')).toString('utf8');
  } catch {
    return undefined;
  }
}

/** A state that was kept: of the engine, and of what figures are made of. An older program kept only the former. */
function keptState(text: string | undefined): {
  readonly engine: string | undefined;
  readonly wired: readonly WiredSample[] | undefined;
} {
  if (text === undefined || text.startsWith('[')) return { engine: text, wired: undefined };
  const { engine, wired } = JSON.parse(text) as { engine: unknown; wired: readonly WiredSample[] };
  return { engine: JSON.stringify(engine), wired };
}

/** Readings of a frame of which it is not known when they came: as they were measured, each device's together. */
function readingsOf({ samples }: Frame): Sample[][] {
  const readings = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = `${sample.timeMs} ${sample.deviceId}`;
    const known = readings.get(key);
    if (known) known.push(sample);
    else readings.set(key, [sample]);
  }
  return [...readings.values()].sort((a, b) => (a[0] as Sample).timeMs - (b[0] as Sample).timeMs);
}

/** Makes the engine and brings its state back. Throws E_CONFIG_INVALID for a rule that cannot work. */
export function createEvaluation(options: EvaluationOptions): Evaluation {
  const { site, log, live, lines, clock, realClock, logger } = options;
  const nowMs = (): number => Math.round(clock.nowMs());
  const context: RuleContext = {
    // The engine remembers what it was told; before that nothing is known, whenever the gateway was started.
    figure: () => undefined,
    excused: (deviceId) => excused.has(deviceId),
    ...(options.usual ? { usual: options.usual } : {}),
  };
  let excused: ReadonlySet<string> = new Set();
  const watched = watchedDevices(site);
  const saved = log.state(stateName);
  const kept = keptState(saved && unpacked(saved.value));
  const engineOf = (rules: readonly Rule[], saved: string | undefined) =>
    createRuleEngine({ rules, devices: watched, inventory: site.devices, zone: site.zone, context, saved });
  let { rules } = options;
  let engine = engineOf(rules, kept.engine);

  const usableFigures = (changed: readonly ChangedFigure[], oldestMs: number): RuleFigure[] => {
    const usable: RuleFigure[] = [];
    for (const { metric, figure } of changed) {
      const { value, timeMs, quality } = figure;
      if (timeMs === null || timeMs < oldestMs) continue;
      usable.push({ metric, timeMs, value: qualityClass(quality) === 'bad' ? null : value });
    }
    return usable;
  };

  const judge = (
    samples: readonly Sample[],
    figures: readonly ChangedFigure[],
    arrivalMs: number,
  ): readonly RuleTransition[] => {
    let found = none;
    const oldestMs = arrivalMs - oldestRingingMs;
    const add = (more: readonly RuleTransition[]) => {
      if (more.length > 0) found = found.length === 0 ? more : [...found, ...more];
    };
    for (const sample of samples) if (isUsable(sample) && sample.timeMs >= oldestMs) add(engine.onSeriesSample(sample));
    if (figures.length > 0) add(engine.onFigures(usableFigures(figures, oldestMs)));
    return found;
  };

  /** Goes once more through what was heard with a commit; false where that is not what its frame has. */
  const hearAgain = (frame: Frame, heard: Iterable<Heard>): boolean => {
    const ofSeries = new Map<string, { readonly samples: Sample[]; next: number }>();
    let last: Sample | undefined;
    let column: { readonly samples: Sample[]; next: number } = { samples: [], next: 0 };
    for (const sample of frame.samples) {
      // Samples of a series come in a row.
      if (sample.metric !== last?.metric || sample.deviceId !== last.deviceId) {
        const key = seriesKey(sample.deviceId, sample.metric);
        column = ofSeries.get(key) ?? { samples: [], next: 0 };
        ofSeries.set(key, column);
      }
      last = sample;
      column.samples.push(sample);
    }
    let isWhole = true;
    for (const one of heard) {
      if (one.kind === 'tick') {
        excused = one.excused;
        engine.onTick(one.atMs);
      } else if (one.kind === 'figure') engine.onFigure(one.metric, one.atMs, one.value);
      else {
        const samples: Sample[] = [];
        for (const key of one.series) {
          const of = ofSeries.get(key);
          const sample = of?.samples[of.next++];
          if (sample !== undefined) samples.push(sample);
        }
        isWhole &&= samples.length === one.series.length;
        judge(samples, live.apply(samples, one.atMs), one.atMs);
      }
    }
    return isWhole;
  };

  /** The same for a frame of which only the samples are known. */
  const guess = (frame: Frame): void => {
    const corrected = options.corrected(frame);
    const { wallMs } = corrected;
    for (const samples of readingsOf(corrected)) judge(samples, live.apply(samples, wallMs), wallMs);
    engine.onTick(wallMs);
  };

  // What this concludes is not told: an alert that was raised is in the log, the open ones decide.
  const restore = (): void => {
    const beganMs = realClock.monotonicMs();
    const from = Math.max((saved?.number ?? 0) + 1, log.newestNumber() - replayFrames);
    let reader = kept.wired && from === (saved?.number ?? 0) + 1 ? new HeardReader() : undefined;
    if (kept.wired && reader) live.putBack(kept.wired);
    let guessed = 0;
    let number = from;
    for (;;) {
      const frames = log.read(number, { maxFrames: 200, maxBytes: 2_000_000 });
      if (frames.length === 0) break;
      for (const { frame, number: of } of frames) {
        const heard = log.state(heardName(of));
        let isWhole = false;
        if (reader && heard?.number === of) {
          try {
            isWhole = hearAgain(frame, reader.read(Buffer.from(heard.value, 'base64')));
          } catch (error) {
            logger.warn('what the rules heard with a commit cannot be read', { number: of, error });
            reader = undefined;
          }
        } else {
          // Names are told once: what follows cannot be read either.
          reader = undefined;
          // The first frame of a log is made before anybody listens, and has nothing for the rules.
          isWhole = frame.samples.length === 0;
          if (!isWhole) guess(frame);
        }
        if (!isWhole) guessed += 1;
      }
      number += frames.length;
    }
    excused = new Set();
    if (number > from)
      logger.info('the rules went through what came since their state was kept', {
        frames: number - from,
        guessed,
        took_ms: Math.round(realClock.monotonicMs() - beganMs),
      });
    engine.restarted(options.raised, {
      sinceMs: nowMs(),
      graceMs: comeBackMs * (options.speed ?? 1),
    });
  };
  restore();

  const heard = new HeardWriter();
  const tickWork = () => 1 + Math.ceil((watched.length + rules.length) / 8);
  /** What a start had to go through, were it now. */
  let toReplay = 0;
  let keptWith = 0;
  let lastNumber = 0;
  /** Something happened that nobody could go through again. */
  let mustKeep = true;
  const keep = (number: number): void => {
    const text = `{"wired":${JSON.stringify(live.wired())},"engine":${engine.exportState()}}`;
    log.putState(stateName, number, packed(text));
    heard.begin();
    toReplay = 0;
    keptWith = number;
    mustKeep = false;
  };
  log.join((number) => {
    // A number that does not follow tells that commits failed: what was heard with them is nowhere.
    const follows = number === lastNumber + 1;
    lastNumber = number;
    const usualChanges = options.usualChanges?.() === true;
    const isMuch =
      toReplay > mostToReplay || number - keptWith >= keepEveryFrames || heard.length > mostHeardBytes || heard.isFull;
    if (mustKeep || !follows || usualChanges || isMuch) keep(number);
    else log.putState(heardName(number), number, Buffer.from(heard.cut()).toString('base64'));
  }, 'last');
  /** What the rules know; nothing where they cannot even say that. */
  const exported = (): string | undefined => {
    try {
      return engine.exportState();
    } catch (error) {
      logger.error('the state of the rules cannot be read; they begin anew', { error });
      return undefined;
    }
  };
  const noteTick = (atMs: number): void => {
    if (mustKeep) return;
    heard.tick(atMs, [...excused]);
    toReplay += tickWork();
    // While nothing is committed there is no end of looks at the clock.
    if (toReplay > mostToReplay) mustKeep = true;
  };

  return {
    samples(samples, figures, arrivalMs) {
      if (!mustKeep) heard.samples(samples, Math.round(arrivalMs));
      toReplay += samples.length;
      return judge(samples, figures, Math.round(arrivalMs));
    },
    readings(series) {
      const judgeReading = engine.onReadings(series);
      const width = series.metrics.length;
      return (timeMs, values, figures, at) => {
        const arrivalMs = Math.round(at);
        if (!mustKeep) heard.reading(series, arrivalMs);
        toReplay += width;
        const oldestMs = arrivalMs - oldestRingingMs;
        const found = timeMs >= oldestMs ? judgeReading(timeMs, values) : none;
        if (figures.length === 0) return found;
        const more = engine.onFigures(usableFigures(figures, oldestMs));
        return more.length === 0 ? found : found.length === 0 ? more : [...found, ...more];
      };
    },
    internal(metric, value) {
      if (!engine.concerns(metric)) return none;
      const atMs = nowMs();
      if (!mustKeep) heard.figure(metric, value, atMs);
      return engine.onFigure(metric, atMs, value);
    },
    tick() {
      const atMs = nowMs();
      excused = lines.downCount === 0 ? new Set() : new Set(watched.filter((deviceId) => lines.keepsBack(deviceId)));
      noteTick(atMs);
      return engine.onTick(atMs);
    },
    clockMoved(byMs) {
      mustKeep = true;
      engine.moveClock(byMs);
    },
    setRules(next, raised) {
      const made = engineOf(next, exported());
      // A rule that is new has heard nothing yet, as after a start.
      made.restarted(raised, { sinceMs: nowMs(), graceMs: 0 });
      rules = next;
      engine = made;
      mustKeep = true;
    },
  };
}
