/** When the history is sealed and its days are packed: in quiet steps, by the village's clock, and whenever memory asks. */
import type { Clock, Timer } from '@villagrid/contracts';
import type { LifecyclePart, Logger } from '@villagrid/runtime';
import { hourMs } from './schema.js';
import type { HistoryStore } from './store.js';

/** How often is looked, real milliseconds. */
const lookEveryMs = 1000;
/** How long an hour, and a day, wait for what comes a little late, milliseconds of the village. */
const hourGraceMs = 120_000;
const dayGraceMs = 900_000;
/** While devices keep the process busy, memory is given back only so often, real milliseconds. */
const busyEveryMs = 8000;
/** However the village's clock stands, what is open is sealed after so long, real milliseconds. */
const longestOpenMs = 2 * hourMs;
/** After a failure, real milliseconds. */
const againAfterMs = 30_000;

export interface HistoryKeeperOptions {
  readonly store: HistoryStore;
  /** Frames that are not in the store yet: while it catches up after a start, only memory asks. */
  readonly behind: () => number;
  /** Whether devices keep the process busy. */
  readonly isPressed: () => boolean;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly logger: Logger;
  /** What else is to be done after a seal. */
  readonly sealed?: () => void;
}

/** Makes the part that seals. */
export function createHistoryKeeper(options: HistoryKeeperOptions): LifecyclePart {
  const { store, clock, realClock, logger } = options;
  let timer: Timer | undefined;
  let running: Promise<void> | undefined;
  let sealedUntilMs = Number.NEGATIVE_INFINITY;
  let sealedAtMs = realClock.monotonicMs();
  let notBeforeMs = Number.NEGATIVE_INFINITY;

  const look = async (): Promise<void> => {
    const full = store.isFull();
    if (!full && options.behind() > 0) return;
    // What floods in is kept by the log; the history may follow later.
    if (full && options.isPressed() && realClock.monotonicMs() - sealedAtMs < busyEveryMs) return;
    const untilMs = Math.floor((clock.nowMs() - hourGraceMs) / hourMs) * hourMs;
    // A clock that was put back would otherwise keep what is open for as long as it was put back.
    const over = untilMs !== sealedUntilMs || realClock.monotonicMs() - sealedAtMs > longestOpenMs;
    if (!full && !over) return;
    if (store.openSamples() > 0) {
      await store.seal(untilMs);
      if (store.isFull()) await store.seal();
    }
    sealedUntilMs = untilMs;
    sealedAtMs = realClock.monotonicMs();
    await store.packDays(clock.nowMs() - dayGraceMs);
    options.sealed?.();
  };

  return {
    name: 'history',
    async start() {
      timer = realClock.every(lookEveryMs, () => {
        if (running || realClock.monotonicMs() < notBeforeMs) return;
        running = look()
          .catch((error: unknown) => {
            notBeforeMs = realClock.monotonicMs() + againAfterMs;
            logger.error('history could not be sealed; it is tried again', { error });
          })
          .finally(() => (running = undefined));
      });
    },
    async stop() {
      timer?.cancel();
      await running;
    },
  };
}
