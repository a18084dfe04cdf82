/** The real clocks of a process: the only place of the project that reads the machine's time and sets its timers. */
import type { AbortSignalLike, Clock, Timer } from '@villagrid/contracts';
import { sleepWith } from './sleep.js';

/** Longest delay Node's setTimeout takes; a longer one would fire at once. */
const longestTimerMs = 2 ** 31 - 1;

/** A timer that may be told not to keep the process alive. Timers of the real and accelerated clock are such. */
export interface BackgroundTimer extends Timer {
  unref(): void;
}

/** Lets a timer not keep the process alive, where the clock can do that. */
export function unrefTimer(timer: Timer): Timer {
  if ('unref' in timer && typeof timer.unref === 'function') timer.unref();
  return timer;
}

/** How a village's time runs beside real time. */
export interface Acceleration {
  /** Real Unix milliseconds at which the village's time was `villageEpochMs`. */
  readonly realEpochMs: number;
  readonly villageEpochMs: number;
  /** Village milliseconds per real millisecond; 1 is real time. */
  readonly speed: number;
}

/** The machine's own time. */
export function realClock(): Clock {
  return acceleratedClock({ realEpochMs: 0, villageEpochMs: 0, speed: 1 });
}

/**
 * Time that runs `speed` times as fast: nowMs = villageEpochMs + (real now - realEpochMs) * speed, delays divided by
 * speed (at least 1 real ms). Certificates, sessions and time-outs of wire protocols keep the real clock.
 * Throws RangeError for a speed that is not a positive number.
 */
export function acceleratedClock({ realEpochMs, villageEpochMs, speed }: Acceleration): Clock {
  if (!(speed > 0) || !Number.isFinite(speed)) throw new RangeError(`speed is ${speed}; it must be a positive number`);
  const monotonicMs = () => performance.now() * speed;
  const after = (delayMs: number, run: () => void) => realTimer(Math.max(delayMs, 0) / speed, run);

  const every = (periodMs: number, run: () => void): BackgroundTimer => {
    const period = Math.max(periodMs, 1);
    let nextMs = monotonicMs() + period;
    let background = false;
    let timer = after(period, tick);
    function tick(): void {
      // Beats that were missed while the process was blocked are skipped: no storm of late timers.
      nextMs = Math.max(nextMs + period, monotonicMs() + Math.min(period, 1));
      timer = after(nextMs - monotonicMs(), tick);
      if (background) timer.unref();
      run();
    }
    return {
      cancel: () => {
        timer.cancel();
      },
      unref: () => {
        background = true;
        timer.unref();
      },
    };
  };

  return {
    nowMs: () => Math.floor(villageEpochMs + (Date.now() - realEpochMs) * speed),
    monotonicMs,
    after,
    every,
    sleep: (delayMs: number, signal?: AbortSignalLike) => sleepWith(after, delayMs, signal),
  };
}

function realTimer(delayMs: number, run: () => void): BackgroundTimer {
  const dueMs = performance.now() + delayMs;
  let background = false;
  let handle: NodeJS.Timeout;
  const arm = () => {
    const leftMs = dueMs - performance.now();
    // A remainder is possible: very long delays go in pieces, and Node may fire up to 1 ms early.
    handle = setTimeout(
      () => (performance.now() < dueMs ? arm() : run()),
      Math.max(1, Math.min(Math.ceil(leftMs), longestTimerMs)),
    );
    if (background) handle.unref();
  };
  arm();
  return {
    cancel: () => clearTimeout(handle),
    unref: () => {
      background = true;
      handle.unref();
    },
  };
}
