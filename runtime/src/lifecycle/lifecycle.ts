/** Start of a process's parts in order, stop in reverse, within a deadline. */
import type { Clock } from '@villagrid/contracts';
import type { Logger } from '../log/logger.js';

/** A part that is started and stopped. `stop` is only called after a successful `start`. */
export interface LifecyclePart {
  readonly name: string;
  start(): void | Promise<void>;
  stop(): void | Promise<void>;
  /** Longest time its stop may take, real milliseconds; what is left of the whole when left out. */
  readonly stopDeadlineMs?: number;
}

/** The parts of a process. */
export interface Lifecycle {
  /** Adds a part; parts start in the order in which they were added. Throws once started. */
  add(part: LifecyclePart): void;
  /** Starts all; when one fails, stops those already started, in reverse, and throws the failure. Twice is once. */
  start(): Promise<void>;
  /** Stops in reverse order; never rejects: a part that fails or hangs is logged and left. Twice is once. */
  stop(): Promise<void>;
}

export interface LifecycleOptions {
  readonly log: Logger;
  /** The real clock: deadlines of a stop do not run faster with the village. */
  readonly clock: Clock;
  /** Time for the whole stop, milliseconds; default 4000. */
  readonly stopWithinMs?: number;
}

/** Least time any part gets for its stop even when others used up the whole. */
const leastStopMs = 250;

/** Makes an empty lifecycle. */
export function createLifecycle({ log, clock, stopWithinMs = 4000 }: LifecycleOptions): Lifecycle {
  const parts: LifecyclePart[] = [];
  const running: LifecyclePart[] = [];
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;

  const stopAll = async (): Promise<void> => {
    const endMs = clock.monotonicMs() + stopWithinMs;
    for (let part = running.pop(); part; part = running.pop()) {
      const leftMs = Math.max(leastStopMs, endMs - clock.monotonicMs());
      const deadlineMs = Math.min(part.stopDeadlineMs ?? leftMs, leftMs);
      await stopOne(part, deadlineMs);
    }
  };

  const stopOne = async (part: LifecyclePart, deadlineMs: number): Promise<void> => {
    const late = new AbortController();
    const deadline = clock.sleep(deadlineMs, late.signal).then(
      () => 'late' as const,
      () => 'done' as const,
    );
    try {
      const outcome = await Promise.race([Promise.resolve(part.stop()).then(() => 'done' as const), deadline]);
      if (outcome === 'late')
        log.error('a part did not stop in time and was left', { part: part.name, deadline_ms: Math.round(deadlineMs) });
      else log.debug('stopped', { part: part.name });
    } catch (error) {
      log.error('a part failed to stop', { part: part.name, error });
    } finally {
      late.abort();
    }
  };

  const startAll = async (): Promise<void> => {
    for (const part of parts) {
      if (stopping) return;
      const beganMs = clock.monotonicMs();
      try {
        await part.start();
      } catch (error) {
        log.error('a part failed to start', { part: part.name, error });
        await stopAll();
        throw error;
      }
      running.push(part);
      log.debug('started', { part: part.name, took_ms: Math.round(clock.monotonicMs() - beganMs) });
    }
  };

  return {
    add(part) {
      if (starting) throw new Error(`${part.name} was added after the start`);
      parts.push(part);
    },
    start: () => (starting ??= startAll()),
    stop: () => (stopping ??= (starting ?? Promise.resolve()).catch(() => {}).then(stopAll)),
  };
}
