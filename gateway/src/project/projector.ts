/**
 * The reader that projects committed frames into the telemetry store: rollups, newest values, digests; and that puts right
 * what it projected before a correction of the clock was known. In small steps.
 */
import type { Clock, Frame, Timer } from '@villagrid/contracts';
import {
  changedSamples,
  type ClockLedger,
  type LifecyclePart,
  type Logger,
  type SqliteDatabase,
} from '@villagrid/runtime';
import type { DurableLog } from '../log/log.js';
import type { HistoryStore } from '../store/store.js';

/** Frames of one step, and how often a step is made at least, real milliseconds. */
const framesPerStep = 200;
const framesPerRepair = 60;
const stepEveryMs = 1000;

export interface ProjectorOptions {
  readonly gridId: string;
  readonly gatewayId: string;
  readonly log: DurableLog;
  readonly telemetry: HistoryStore;
  /** The database of the telemetry store and of the ledger. */
  readonly database: SqliteDatabase;
  readonly ledger: ClockLedger;
  /** Frames whose times were put right, as they are now: for what else was made of them. */
  readonly restamped: (frames: readonly Frame[]) => void;
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
  const { gridId, gatewayId, log, telemetry, database, ledger, realClock, logger } = options;
  const name = { gridId, source: gatewayId, epoch: log.epoch };
  let done = telemetry.cursor(gatewayId, log.epoch);
  let running: Promise<void> | undefined;
  let stopped = false;
  let timer: Timer | undefined;
  let leave: (() => void) | undefined;

  /** All or nothing, and nothing remembered of what was taken back. */
  const atomically = <T>(run: () => T): T => {
    try {
      return database.transaction(run).immediate();
    } catch (error) {
      ledger.forget();
      telemetry.forget();
      done = telemetry.cursor(gatewayId, log.epoch);
      throw error;
    }
  };

  const apply = (): boolean => {
    const frames = log.read(done + 1, { maxFrames: framesPerStep, maxBytes: 1_000_000 });
    if (frames.length === 0) return false;
    done = atomically(() => {
      ledger.note(name, frames);
      const corrected = frames.map(({ number, frame }) => ({ number, frame: ledger.take(gridId, frame) }));
      return telemetry.applyFrames(gridId, gatewayId, log.epoch, corrected).upTo;
    });
    return done < log.newestNumber();
  };

  /** One slice of the oldest repair. All that is committed is applied by then, so the log has nothing beyond the store. */
  const repair = (): boolean => {
    const next = ledger.pending(gridId);
    if (next === undefined) return false;
    const frames = log.read(next.nextNumber, { maxFrames: framesPerRepair, maxBytes: 500_000 });
    const changed = atomically(() => {
      const moved = ledger.advance(next, frames);
      const { removed, added } = changedSamples(moved);
      if (removed.length > 0) telemetry.replaceSamples(gridId, removed, added);
      return moved;
    });
    if (changed.length > 0) options.restamped(changed.map(({ after }) => after));
    return true;
  };

  const breathe = () => new Promise<void>((resolve) => setImmediate(resolve));
  const catchUp = async (): Promise<void> => {
    while (!stopped && done < log.newestNumber() && apply()) await breathe();
  };
  const run = async (): Promise<void> => {
    while (!stopped && (done < log.newestNumber() ? (apply(), true) : repair())) await breathe();
  };
  const settle = (): Promise<void> => {
    running ??= run().finally(() => (running = undefined));
    return running;
  };
  const inBackground = (): void => {
    settle().catch((error: unknown) => logger.error('history could not be brought up to the log', { error }));
  };
  const repairing = () => ledger.pending(gridId) !== undefined;

  return {
    name: 'projector',
    catchUp,
    async settle() {
      while (!stopped && (done < log.newestNumber() || repairing())) await settle();
    },
    behind: () => log.newestNumber() - done,
    repairing,
    async start() {
      timer = realClock.every(stepEveryMs, inBackground);
      leave = log.onCommit(({ number, frame }) => {
        if (number - done >= framesPerStep || frame.entries.some((entry) => entry.type === 'clock')) inBackground();
      });
      inBackground();
    },
    async stop() {
      timer?.cancel();
      leave?.();
      await catchUp().catch(() => {});
      stopped = true;
      await running?.catch(() => {});
    },
  };
}
