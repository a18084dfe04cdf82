/**
 * Rules over what arrives: the engine of one gateway, its state kept in the log with the commit that changed it and
 * brought back after a restart. What it concludes is made alerts elsewhere.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import {
  createRuleEngine,
  oldestRingingMs,
  qualityClass,
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
import type { Lines } from '../live/lines.js';
import type { ChangedFigure, Live } from '../live/live.js';
import type { DurableLog } from '../log/log.js';

/**
 * The state is kept with every commit, unless writing it would take more than this share of the time: in a flood it is
 * kept less often, and frames since are gone through at the next start.
 */
const mostOfTheTime = 0.02;
/** What came since the state was kept is gone through at the next start: so many samples at most, and frames. */
const keepStateSamples = 300_000;
const replayFrames = 5000;
/** How long devices have after a start to connect again before their silence is told, real milliseconds. */
export const comeBackMs = 60_000;
const stateName = 'rules';

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
}

/** Whether rules may judge a sample. */
const isUsable = (sample: Sample): sample is Sample & { readonly value: number } =>
  sample.value !== null && qualityClass(sample.quality) !== 'bad';

/** Devices that rules of devices watch. */
export const watchedDevices = (site: Site): Site['devices'] =>
  site.devices.filter((one) => one.expected && one.protocol !== 'internal');

const none: readonly RuleTransition[] = [];

/** The state as it is kept: it goes to the card with every commit, so a third of its size is worth some microseconds. */
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

/** Makes the engine and brings its state back. Throws E_CONFIG_INVALID for a rule that cannot work. */
export function createEvaluation(options: EvaluationOptions): Evaluation {
  const { rules, site, log, live, lines, clock, realClock } = options;
  const context: RuleContext = {
    // The engine remembers what it was told; before that nothing is known, whenever the gateway was started.
    figure: () => undefined,
    excused: (deviceId) => lines.keepsBack(deviceId),
    ...(options.usual ? { usual: options.usual } : {}),
  };
  const watched = watchedDevices(site).map((one) => one.device_id);
  const saved = log.state(stateName);
  const engine = createRuleEngine({
    rules,
    devices: watched,
    inventory: site.devices,
    zone: site.zone,
    context,
    saved: saved && unpacked(saved.value),
  });

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

  const restore = (): void => {
    const from = Math.max((saved?.number ?? 0) + 1, log.newestNumber() - replayFrames);
    for (let number = from; ; ) {
      const frames = log.read(number, { maxFrames: 200, maxBytes: 2_000_000 });
      if (frames.length === 0) break;
      // What this concludes is not told: an alert that was raised is in the log, the open ones decide.
      for (const frame of frames.map((one) => options.corrected(one.frame)))
        judge(frame.samples, live.apply(frame.samples, frame.wallMs), frame.wallMs);
      number += frames.length;
    }
    engine.restarted(options.raised, {
      sinceMs: clock.nowMs(),
      graceMs: comeBackMs * (options.speed ?? 1),
    });
  };
  restore();

  let mayKeepMs = 0;
  let keptAt = log.stats.samples;
  log.join((number, frame) => {
    const beganMs = realClock.monotonicMs();
    const isDue = engine.dirty && (beganMs >= mayKeepMs || log.stats.samples - keptAt >= keepStateSamples);
    if (frame.events.length === 0 && !isDue) return;
    keptAt = log.stats.samples;
    log.putState(stateName, number, packed(engine.exportState()));
    mayKeepMs = beganMs + (realClock.monotonicMs() - beganMs) / mostOfTheTime;
  });

  return {
    samples: judge,
    readings(series) {
      const judgeReading = engine.onReadings(series);
      return (timeMs, values, figures, arrivalMs) => {
        const oldestMs = arrivalMs - oldestRingingMs;
        const found = timeMs >= oldestMs ? judgeReading(timeMs, values) : none;
        if (figures.length === 0) return found;
        const more = engine.onFigures(usableFigures(figures, oldestMs));
        return more.length === 0 ? found : found.length === 0 ? more : [...found, ...more];
      };
    },
    internal: (metric, value) => engine.onFigure(metric, clock.nowMs(), value),
    tick: () => engine.onTick(clock.nowMs()),
    clockMoved: (byMs) => engine.moveClock(byMs),
  };
}
