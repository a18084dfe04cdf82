/** Virtual time for tests and simulations: nothing happens until somebody advances it. */
import type { Clock, Timer } from '@villagrid/contracts';
import { sleepWith } from '../clock/sleep.js';

/** A clock whose time moves only by `advance`. */
export interface TestClock extends Clock {
  /** Moves time on by so many milliseconds; runs due timers in order and lets promises and I/O settle after each. */
  advance(delayMs: number): Promise<void>;
  /** Moves only the wall clock, as NTP or a hand does: monotonic time and timers stay. */
  stepWall(byMs: number): void;
  /** Timers that wait. */
  readonly pendingTimers: number;
}

interface Entry {
  dueMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Lets promises and one turn of I/O settle. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Makes virtual time that starts at the given Unix milliseconds. */
export function testClock(startMs = 1_767_225_600_000): TestClock {
  let monotonicMs = 0;
  let wallOffsetMs = startMs;
  let order = 0;
  const waiting = new Set<Entry>();

  const add = (delayMs: number, run: () => void): Timer => {
    const entry: Entry = { dueMs: monotonicMs + Math.max(0, delayMs), order: order++, run };
    waiting.add(entry);
    return { cancel: () => void waiting.delete(entry) };
  };
  const every = (periodMs: number, run: () => void): Timer => {
    let timer = add(Math.max(1, periodMs), tick);
    function tick(): void {
      timer = add(Math.max(1, periodMs), tick);
      run();
    }
    return {
      cancel: () => {
        timer.cancel();
      },
    };
  };
  const firstDue = (untilMs: number): Entry | undefined => {
    let first: Entry | undefined;
    for (const entry of waiting) {
      if (entry.dueMs > untilMs) continue;
      if (!first || entry.dueMs < first.dueMs || (entry.dueMs === first.dueMs && entry.order < first.order))
        first = entry;
    }
    return first;
  };

  return {
    nowMs: () => wallOffsetMs + monotonicMs,
    monotonicMs: () => monotonicMs,
    after: add,
    every,
    sleep: (delayMs, signal) => sleepWith(add, delayMs, signal),
    async advance(delayMs) {
      const untilMs = monotonicMs + delayMs;
      await settle();
      for (let entry = firstDue(untilMs); entry; entry = firstDue(untilMs)) {
        waiting.delete(entry);
        monotonicMs = Math.max(monotonicMs, entry.dueMs);
        entry.run();
        await settle();
      }
      monotonicMs = untilMs;
      await settle();
    },
    stepWall(byMs) {
      wallOffsetMs += byMs;
    },
    get pendingTimers() {
      return waiting.size;
    },
  };
}
