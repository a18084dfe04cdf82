/**
 * The reader that projects committed frames into the telemetry store: rollups, newest values, digests; and that puts right
 * what it projected before a correction of the clock was known. In small steps.
 */
import type { Clock, Frame, Sample, Timer } from '@villagrid/contracts';
import {
  nextTurn,
  changedSamples,
  sliceOfFrames,
  type ClockLedger,
  type ClockRepair,
  type LifecyclePart,
  type Logger,
  type NumberedFrame,
  type TelemetryStore,
} from '@villagrid/runtime';
import type { DurableLog } from '../log/log.js';

/** Frames of one step, and how often a step is made at least, real milliseconds. */
const framesPerStep = 200;
const bytesPerStep = 100_000;
/** Repairs go in slices of about an hour of frames, read so many at a time. */
const mostFramesOfSlice = 1500;
const framesPerRead = 60;
/** Series whose replacement is one commit: about those of a device, which share their times. */
const seriesPerCommit = 12;
const hourMs = 3_600_000;
const stepEveryMs = 1000;

/** The store that is projected into: its newest part may be in memory. */
export interface ProjectedStore extends TelemetryStore {
  /** Makes what is in memory durable, in small steps. */
  seal(): Promise<void>;
  /** Whether so much is in memory that nothing is added before it is sealed. */
  isFull(): boolean;
  /** Replaces samples in small steps, written within `within`; false when everything was forgotten meanwhile. */
  replaceInSteps(
    gridId: string,
    removed: readonly Sample[],
    added: readonly Sample[],
    within: (run: () => void) => void,
  ): Promise<boolean>;
  /** Reads everything anew, because a transaction around a call failed. */
  forget(): void;
}

export interface ProjectorOptions {
  readonly gridId: string;
  readonly gatewayId: string;
  readonly log: DurableLog;
  readonly telemetry: ProjectedStore;
  /** Runs something in one transaction of the store and the ledger: all or nothing. */
  readonly transaction: <T>(run: () => T) => T;
  readonly ledger: ClockLedger;
  /** Frames whose times were put right, as they are now: for what else was made of them. */
  readonly restamped: (frames: readonly Frame[]) => void;
  /** Whether devices keep the process busy: then nothing is projected that there is no room for. */
  readonly isPressed: () => boolean;
  readonly realClock: Clock;
  readonly logger: Logger;
}

/** Keeps the telemetry store up to the log. */
export interface Projector extends LifecyclePart {
  /** Projects everything committed so far, breathing between steps. What reads history waits for it. */
  catchUp(): Promise<void>;
  /** The same, and puts right all times that are to be put right. */
  settle(): Promise<void>;
  /** Frames not projected yet. */
  behind(): number;
  /** Whether times of earlier frames are still being put right. */
  repairing(): boolean;
}

/** Makes the projector; its cursor is the store's own, so both agree after any crash. */
export function createProjector(options: ProjectorOptions): Projector {
  const { gridId, gatewayId, log, telemetry, transaction, ledger, realClock, logger } = options;
  const name = { gridId, source: gatewayId, epoch: log.epoch };
  let done = telemetry.cursor(gatewayId, log.epoch);
  let running: Promise<void> | undefined;
  let stopped = false;
  /** Repair for which everything was sealed. */
  let sealedFor: number | undefined;
  let timer: Timer | undefined;
  let leave: (() => void) | undefined;

  /** All or nothing, and nothing remembered of what was taken back. */
  const atomically = <T>(run: () => T): T => {
    try {
      return transaction(run);
    } catch (error) {
      ledger.forget();
      telemetry.forget();
      done = telemetry.cursor(gatewayId, log.epoch);
      throw error;
    }
  };

  const apply = (frames: readonly NumberedFrame[]): boolean => {
    if (frames.length === 0) return false;
    done = atomically(() => {
      ledger.note(name, frames);
      const corrected = frames.map(({ number, frame }) => ({ number, frame: ledger.take(gridId, frame) }));
      return telemetry.applyFrames(gridId, gatewayId, log.epoch, corrected).upTo;
    });
    return done < log.newestNumber();
  };

  const applyNext = () => apply(log.read(done + 1, { maxFrames: framesPerStep, maxBytes: bytesPerStep }));

  const catchUp = async (): Promise<void> => {
    while (!stopped && done < log.newestNumber() && applyNext()) {
      await nextTurn();
      if (telemetry.isFull()) await telemetry.seal();
    }
  };

  /** Raw frames of the next slice of a repair: about an hour, because the store keeps hours together. */
  const sliceOf = async (next: ClockRepair): Promise<readonly NumberedFrame[]> => {
    const last = next.sliceLast ?? next.lastNumber;
    const frames: NumberedFrame[] = [];
    for (let from = next.nextNumber; from <= last && frames.length < mostFramesOfSlice; ) {
      const piece = log.read(from, { maxFrames: framesPerRead, maxBytes: 500_000 });
      const end = piece.at(-1);
      if (end === undefined) break;
      for (const one of piece) if (one.number <= last) frames.push({ number: one.number, frame: one.frame });
      from = end.number + 1;
      const first = frames[0]?.frame.wallMs ?? end.frame.wallMs;
      if (Math.floor(first / hourMs) !== Math.floor(end.frame.wallMs / hourMs)) break;
      await nextTurn();
    }
    const isEnd = (frames.at(-1)?.number ?? last) >= last;
    return isEnd ? frames : sliceOfFrames(frames, hourMs);
  };

  /** What a slice changes, by the names of series in their order. */
  const changesOf = async (next: ClockRepair, frames: readonly NumberedFrame[]) => {
    const series = new Map<string, ReturnType<typeof changedSamples>>();
    const after: Frame[] = [];
    for (let at = 0; at < frames.length; at += framesPerRead) {
      const changed = ledger.plan(next, frames.slice(at, at + framesPerRead));
      for (const one of changed) after.push(one.after);
      const { removed, added } = changedSamples(changed);
      for (const [index, sample] of removed.entries()) {
        const name = `${sample.deviceId} ${sample.metric}`;
        let change = series.get(name);
        if (!change) series.set(name, (change = { removed: [], added: [] }));
        change.removed.push(sample);
        change.added.push(added[index] as Sample);
      }
      await nextTurn();
    }
    return { after, series: [...series].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, change]) => change) };
  };

  /** One slice of the oldest repair, some series at a time. Where it stands is durable with each of them. */
  const repair = async (): Promise<boolean> => {
    const next = ledger.pending(gridId);
    if (next === undefined) return false;
    // What is open would be sealed by the first replacement in one go.
    if (sealedFor !== next.id) await telemetry.seal();
    sealedFor = next.id;
    const frames = await sliceOf(next);
    const { after, series } = await changesOf(next, frames);
    const last = frames.at(-1)?.number;
    for (let at = next.seriesDone; at < series.length; at += seriesPerCommit) {
      if (stopped) return false;
      const some = series.slice(at, at + seriesPerCommit);
      const written = await telemetry.replaceInSteps(
        gridId,
        some.flatMap(({ removed }) => removed),
        some.flatMap(({ added }) => added),
        (write) =>
          atomically(() => {
            write();
            if (last !== undefined) ledger.progress(next, last, at + some.length);
          }),
      );
      // Everything was read anew meanwhile: it goes on from what is durable.
      if (!written) {
        sealedFor = undefined;
        return true;
      }
      await nextTurn();
    }
    atomically(() => ledger.advance(next, frames, { whole: true }));
    if (after.length > 0) options.restamped(after);
    return true;
  };

  const run = async (): Promise<void> => {
    while (!stopped && (done < log.newestNumber() ? await applyIfRoom() : await repair())) await nextTurn();
  };
  /** More comes than is sealed: the log keeps it, and the history follows in quieter times, or when somebody reads it. */
  const applyIfRoom = async (): Promise<boolean> => {
    if (telemetry.isFull()) {
      if (options.isPressed()) return false;
      await telemetry.seal();
    }
    applyNext();
    return true;
  };
  const settle = (): Promise<void> => {
    running ??= run().finally(() => (running = undefined));
    return running;
  };
  const failed = (error: unknown): void => logger.error('history could not be brought up to the log', { error });
  const inBackground = (): void => {
    settle().catch(failed);
  };
  /** A frame that was just committed, when all before it is done: at hand, it need not be read and unpacked again. */
  const applyAtOnce = (committed: NumberedFrame): void => {
    if (running !== undefined || stopped || committed.number !== done + 1 || telemetry.isFull()) return;
    try {
      apply([committed]);
    } catch (error) {
      failed(error);
    }
  };
  const repairing = () => ledger.pending(gridId) !== undefined;

  return {
    name: 'projector',
    catchUp,
    async settle() {
      while (!stopped && (done < log.newestNumber() || repairing())) {
        await catchUp();
        await settle();
      }
    },
    behind: () => log.newestNumber() - done,
    repairing,
    async start() {
      timer = realClock.every(stepEveryMs, inBackground);
      leave = log.onCommit((committed) => {
        const { number, frame } = committed;
        applyAtOnce(committed);
        if (
          (number - done >= framesPerStep && !telemetry.isFull()) ||
          frame.entries.some((entry) => entry.type === 'clock')
        )
          inBackground();
      });
      inBackground();
    },
    async stop() {
      timer?.cancel();
      leave?.();
      // A long way is gone after the next start: nobody waits for a stop.
      if (log.newestNumber() - done <= framesPerStep && !telemetry.isFull()) await catchUp().catch(() => {});
      stopped = true;
      await running?.catch(() => {});
    },
  };
}
