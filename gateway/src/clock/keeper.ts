/**
 * The keeper of the village's clock: takes the time from the best source there is (time service, hardware clock, cloud, a
 * phone, the last known time), and when a better one shows that the clock was wrong, commits by how much, so that
 * everybody who projects frames can put their times right. Earlier runs that never learnt the time are bounded.
 *
 * While the clock is not trusted it runs by monotonic time alone: one correction puts the whole run right.
 */
import {
  isTrusted,
  newId,
  trustsMore,
  type Clock,
  type ClockTrust,
  type Frame,
  type FrameEntry,
  type RandomSource,
  type Timer,
} from '@villagrid/contracts';
import type { LifecyclePart, Logger } from '@villagrid/runtime';
import { boundBoots, type UnanchoredBoot } from './bounds.js';
import { buildDateMs } from './build-date.js';
import type { TimeSources } from './sources.js';
import { VillageClock } from './village-clock.js';

/** No time is believed that lies further ahead of what is known, milliseconds. */
export const furthestAheadMs = 3653 * 86_400_000;
/** From this on a time that a phone, a hardware clock or the cloud told counts as having been wrong, milliseconds. */
export const worthCorrectingMs = 10_000;
/** A hardware clock is believed unless the cloud differs by more, milliseconds. */
const rtcDoubtMs = 60_000;
const rtcGrainMs = 2000;
/** A step of the system's clock from which it is told, milliseconds. Slower drift is followed silently. */
const stepMs = 2000;
/** Least exact time from the cloud that is taken, milliseconds. */
const vaguestCloudMs = 5000;
const checkEveryMs = 5000;
/** How often the known time is kept at most, milliseconds; it is written with a commit that happens anyway. */
const keepEveryMs = 300_000;
const retryMs = 1000;
const stateName = 'clock';
/** Runs without a known time that are remembered. */
const mostUnanchored = 200;

/** A change of the village's clock. */
export interface ClockChange {
  /** What was added to it, milliseconds. */
  readonly correctionMs: number;
  readonly from: ClockTrust;
  readonly to: ClockTrust;
  /** Whether frames of before are restamped: then values and alerts at hand move too. */
  readonly restamps: boolean;
  /** The right time at which the clock began to be wrong by that much, Unix ms. */
  readonly sinceMs: number;
  readonly atMs: number;
  /** Runs before this one of which the times are known only roughly. */
  readonly roughBoots: number;
}

/** What became of a time that was offered. */
export type OfferOutcome =
  | { readonly taken: true; readonly correctionMs: number }
  | { readonly taken: false; readonly reason: string };

/** Kept with the log: times are Unix milliseconds. */
interface KeptState {
  readonly v: 1;
  /** What is known for sure to have passed, and the same with what phones said. */
  readonly sure_ms: number;
  readonly known_ms: number;
  /** The boot and its monotonic time at which these were so. */
  readonly boot: string;
  readonly monotonic_ms: number;
  readonly unanchored: readonly UnanchoredBoot[];
}

/** What the keeper needs of the log, which knows nothing of it. */
export interface ClockLog {
  readonly boot: string;
  newestNumber(): number;
  monotonicMs(): number;
  read(
    fromNumber: number,
    limits: { readonly maxFrames: number; readonly maxBytes: number },
  ): ReadonlyArray<{ readonly number: number; readonly frame: Frame }>;
  append(batch: { readonly entries: readonly FrameEntry[] }, options: { readonly urgent: boolean }): Promise<number>;
  flush(): Promise<void>;
  join(participant: (number: number, frame: Frame) => void): void;
  state(name: string): { readonly value: string } | undefined;
  putState(name: string, number: number, value: string): void;
}

export interface ClockKeeperOptions {
  /** The machine's or the demonstration's clock under the village's. */
  readonly system: Clock;
  readonly clock: VillageClock;
  readonly log: ClockLog;
  readonly random: RandomSource;
  readonly realClock: Clock;
  readonly logger: Logger;
  /** Undefined when the settings say how far the clock is trusted: then nothing is kept or corrected. */
  readonly sources: TimeSources | undefined;
}

/** The keeper; it sets the clock when made, before anything is dated. */
export interface ClockKeeper extends LifecyclePart {
  /** A time the cloud told, for now, and how exact it is at least. */
  offerCloud(nowMs: number, exactToMs: number): OfferOutcome;
  /** An operator's phone. */
  offerPhone(nowMs: number): OfferOutcome;
  /** Looks at the system's sources; happens by itself every few seconds once started. */
  check(): void;
  /** Calls back at each change, right after the clock moved. Returns the unsubscribe function. */
  onChange(listener: (change: ClockChange) => void): () => void;
  /** Boots whose times are not known, this one included while it is so. */
  unanchoredBoots(): number;
}

/** The village's clock over the system's, before a keeper has looked at it: never before this version was released. */
export function createVillageClock(system: Clock, setting: ClockTrust | 'auto'): VillageClock {
  if (setting !== 'auto') return new VillageClock(system, setting);
  const clock = new VillageClock(system, 'floor');
  clock.set(Math.max(system.nowMs(), buildDateMs), 'floor');
  return clock;
}

/** Makes the keeper and sets the clock. */
export function createClockKeeper(options: ClockKeeperOptions): ClockKeeper {
  const { system, clock, log, random, realClock, logger, sources } = options;
  const listeners = new Set<(change: ClockChange) => void>();
  const startedMs = system.monotonicMs();
  let timer: Timer | undefined;
  let stopped = false;
  // Both rise with monotonic time: what is kept is the value at `startedMs`.
  let sureAtStartMs = buildDateMs;
  let knownAtStartMs = buildDateMs;
  let unanchored: UnanchoredBoot[] = [];
  let firstNumber: number | undefined;
  let startWallMs = 0;
  let wrongSinceMonotonicMs = startedMs;
  let keptMs = -Infinity;
  /** The system's wall minus monotonic time when last looked at. */
  let skewMs = system.nowMs() - startedMs;
  const runMs = () => system.monotonicMs() - startedMs;
  const sureMs = () => sureAtStartMs + runMs();
  const knownMs = () => knownAtStartMs + runMs();

  if (sources) begin(sources);

  function begin(from: TimeSources): void {
    const newest = log.read(log.newestNumber(), { maxFrames: 1, maxBytes: 1 })[0];
    const kept = readState(log.state(stateName)?.value);
    if (kept) {
      // The state may be some minutes older than the last frame of its run.
      const sinceMs = newest?.frame.boot === kept.boot ? Math.max(0, newest.frame.monotonicMs - kept.monotonic_ms) : 0;
      sureAtStartMs = Math.max(buildDateMs, kept.sure_ms + sinceMs);
      knownAtStartMs = Math.max(buildDateMs, kept.known_ms + sinceMs);
      unanchored = kept.unanchored.map((one) =>
        one.boot === newest?.frame.boot && one.boot !== log.boot
          ? { ...one, last_number: newest.number, end_ms: newest.frame.wallMs }
          : one,
      );
    } else if (newest && isTrusted(newest.frame.trust)) {
      sureAtStartMs = Math.max(buildDateMs, newest.frame.wallMs);
      knownAtStartMs = sureAtStartMs;
    }
    const systemMs = system.nowMs();
    if (from.ntp() && systemMs >= buildDateMs) {
      clock.follow('ntp');
      learnt('ntp');
    } else {
      const rtcMs = hardwareMs(from, systemMs);
      if (rtcMs !== undefined) {
        clock.set(rtcMs, 'rtc');
        learnt('rtc');
      } else clock.set(plausible(systemMs, knownMs()) ? systemMs : knownMs(), 'floor');
    }
    startWallMs = clock.nowMs();
    logger.info('the clock was set', {
      trust: clock.trust(),
      now: new Date(clock.nowMs()).toISOString(),
      offset_s: Math.round(clock.offsetMs() / 1000),
    });
    log.join((number, frame) => {
      const isFirst = firstNumber === undefined;
      firstNumber ??= number;
      const changed = frame.entries.some((entry) => entry.type === 'clock');
      if (!isFirst && !changed && system.monotonicMs() - keptMs < keepEveryMs) return;
      keptMs = system.monotonicMs();
      const state: KeptState = {
        v: 1,
        sure_ms: Math.round(sureMs()),
        known_ms: Math.round(knownMs()),
        boot: log.boot,
        monotonic_ms: Math.round(frame.monotonicMs),
        unanchored: isTrusted(clock.trust()) ? unanchored : [...unanchored, thisBoot(number)].slice(-mostUnanchored),
      };
      log.putState(stateName, number, JSON.stringify(state));
    });
    if (isTrusted(clock.trust()) && unanchored.length > 0) {
      const entries = boundEarlier(startWallMs);
      if (entries.length > 0) commit(entries);
    }
  }

  function thisBoot(lastNumber: number): UnanchoredBoot {
    return {
      boot: log.boot,
      first_number: firstNumber ?? lastNumber,
      last_number: lastNumber,
      start_ms: Math.round(startWallMs),
      end_ms: Math.round(clock.nowMs()),
    };
  }

  /** What the hardware clock says; the finer `atHandMs` when that agrees with its whole seconds. */
  function hardwareMs(from: TimeSources, atHandMs: number): number | undefined {
    const ms = from.rtcMs();
    if (ms === undefined || !plausible(ms, sureMs())) return undefined;
    return Math.abs(ms - atHandMs) <= rtcGrainMs ? atHandMs : ms;
  }

  /** The clock is right now by this source: no right time before it. */
  function learnt(trust: ClockTrust): void {
    knownAtStartMs = clock.nowMs() - runMs();
    if (trust !== 'phone') sureAtStartMs = knownAtStartMs;
  }

  /** Entries that bring earlier runs without a known time between their neighbours; they count as settled then. */
  function boundEarlier(startedAtMs: number): FrameEntry[] {
    const entries = boundBoots(unanchored, startedAtMs).map(
      ({ boot, first_number, last_number, correction_ms }): FrameEntry => ({
        type: 'clock',
        id: newId(startedAtMs, random),
        boot,
        correction_ms,
        trust: 'floor',
        first_number,
        last_number,
      }),
    );
    unanchored = [];
    return entries;
  }

  /** Makes entries durable, however long that takes. */
  function commit(entries: readonly FrameEntry[], urgent = true): void {
    log.append({ entries }, { urgent }).catch(async (error: unknown) => {
      if (stopped) return;
      logger.error('a correction of the clock could not be written and is tried again', { error });
      await realClock.sleep(retryMs);
      commit(entries, false);
    });
  }

  /** Moves the clock to another source. */
  function change(to: ClockTrust, move: () => void): number {
    const from = clock.trust();
    // What was dated by the old clock must be in frames of its own, with the old trust.
    void log.flush();
    const beforeMs = clock.nowMs();
    const wasRunningMs = system.monotonicMs() - wrongSinceMonotonicMs;
    const movedMs = log.monotonicMs();
    move();
    const atMs = clock.nowMs();
    const correctionMs = Math.round(atMs - beforeMs);
    learnt(to);
    const wrong = Math.abs(correctionMs) >= worthCorrectingMs;
    const restamps = from !== 'ntp' && ((!isTrusted(from) && isTrusted(to)) || wrong);
    const roughBoots = unanchored.length;
    if (restamps) {
      wrongSinceMonotonicMs = system.monotonicMs();
      startWallMs += correctionMs;
      const own: FrameEntry = {
        type: 'clock',
        id: newId(atMs, random),
        boot: log.boot,
        correction_ms: correctionMs,
        trust: to,
        // A frame closed within this millisecond is told from those after it by its trust, unless that stays the same.
        until_ms: Math.round(movedMs) + (from === to ? 1 : 0),
        first_number: firstNumber ?? log.newestNumber() + 1,
      };
      commit([...boundEarlier(startWallMs), own]);
    }
    tell({ correctionMs, from, to, restamps }, atMs - wasRunningMs, roughBoots);
    return correctionMs;
  }

  function tell(
    changed: Pick<ClockChange, 'correctionMs' | 'from' | 'to' | 'restamps'>,
    sinceMs = clock.nowMs(),
    roughBoots = 0,
  ): void {
    const { correctionMs, from, to } = changed;
    logger.info('the clock moved', {
      from,
      to,
      correction_s: Math.round(correctionMs / 1000),
      now: new Date(clock.nowMs()).toISOString(),
    });
    const told: ClockChange = { ...changed, sinceMs, atMs: clock.nowMs(), roughBoots };
    for (const listener of [...listeners]) {
      try {
        listener(told);
      } catch (error) {
        logger.error('something failed over a change of the clock', { error });
      }
    }
  }

  /** Under a time service the system's clock is right by definition: a step is followed, and nothing was wrong before. */
  const lookForStep = (): void => {
    const stepped = system.nowMs() - system.monotonicMs() - skewMs;
    learnt('ntp');
    if (Math.abs(stepped) >= stepMs)
      tell({ correctionMs: Math.round(stepped), from: 'ntp', to: 'ntp', restamps: false });
  };

  const check = (): void => {
    if (!sources) return;
    const trust = clock.trust();
    const ntp = sources.ntp() && system.nowMs() >= buildDateMs;
    if (ntp) {
      if (trust !== 'ntp' || !clock.follows) change('ntp', () => clock.follow('ntp'));
      else lookForStep();
      skewMs = system.nowMs() - system.monotonicMs();
      return;
    }
    // A service that stopped may leave a clock that somebody sets by hand: what it last said is carried on.
    if (trust === 'ntp' && clock.follows) clock.set(clock.nowMs(), 'ntp');
    if (!trustsMore('rtc', trust) || trust === 'cloud') return;
    const rtcMs = hardwareMs(sources, clock.nowMs());
    if (rtcMs !== undefined) change('rtc', () => clock.set(rtcMs, 'rtc'));
  };

  const refuse = (reason: string): OfferOutcome => ({ taken: false, reason });

  return {
    name: 'clock',
    check,
    start() {
      if (sources) timer = system.every(checkEveryMs, check);
    },
    stop() {
      stopped = true;
      timer?.cancel();
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    unanchoredBoots: () => unanchored.length + (isTrusted(clock.trust()) ? 0 : 1),

    offerCloud(nowMs, exactToMs) {
      if (!sources) return refuse('the settings say how far the clock is trusted');
      const trust = clock.trust();
      const differenceMs = Math.abs(nowMs - clock.nowMs());
      if (trust === 'ntp') return refuse('a time service keeps the clock');
      if (exactToMs > vaguestCloudMs) return refuse('the answer took too long to tell the time');
      if (!plausible(nowMs, buildDateMs)) return refuse('no plausible time');
      if (trust === 'rtc' && differenceMs <= rtcDoubtMs) return refuse('the hardware clock is right');
      if (trust === 'cloud' && differenceMs <= worthCorrectingMs + exactToMs) return refuse('the clock is right');
      return { taken: true, correctionMs: change('cloud', () => clock.set(nowMs, 'cloud')) };
    },
    offerPhone(nowMs) {
      if (!sources) return refuse('The settings of the gateway say how far its clock is trusted.');
      const trust = clock.trust();
      if (trustsMore(trust, 'phone')) return refuse(`The gateway has a better time: ${sourceWords[trust]}.`);
      if (nowMs < sureMs())
        return refuse('The phone’s time is before what the gateway knows to have passed. Look at the phone’s clock.');
      if (nowMs > sureMs() + furthestAheadMs)
        return refuse('The phone’s time is more than ten years ahead. Look at the phone’s clock.');
      return { taken: true, correctionMs: change('phone', () => clock.set(nowMs, 'phone')) };
    },
  };
}

/** Where a time came from, in words. */
export const sourceWords: Readonly<Record<ClockTrust, string>> = {
  ntp: 'a time service keeps it',
  rtc: 'from its hardware clock',
  cloud: 'from the cloud',
  phone: 'from a phone',
  floor: 'only the last known time',
  none: 'none',
};

const plausible = (ms: number, notBeforeMs: number): boolean =>
  ms >= notBeforeMs && ms <= notBeforeMs + furthestAheadMs;

function readState(text: string | undefined): KeptState | undefined {
  if (text === undefined) return undefined;
  try {
    const state = JSON.parse(text) as KeptState;
    return Number.isFinite(state.known_ms) && Number.isFinite(state.sure_ms) && Array.isArray(state.unanchored)
      ? state
      : undefined;
  } catch {
    return undefined;
  }
}
