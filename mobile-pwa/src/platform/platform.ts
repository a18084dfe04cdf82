/** The one file of the app that touches the browser's clock, timers, randomness and small storage. */
import type { Clock, RandomSource, Timer } from '@villagrid/contracts';

const timer = (cancel: () => void): Timer => ({ cancel });

/** The phone's clock. It may be wrong: ages are computed by the server's clock through an offset. */
export const clock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const id = setTimeout(run, delayMs);
    return timer(() => clearTimeout(id));
  },
  every(periodMs, run) {
    const id = setInterval(run, periodMs);
    return timer(() => clearInterval(id));
  },
  sleep(delayMs, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const id = setTimeout(resolve, delayMs);
      signal?.addEventListener('abort', () => (clearTimeout(id), reject(signal.reason)), { once: true });
    });
  },
};

/** Unpredictable randomness, for ids born on the phone. */
export const random: RandomSource = {
  float: () => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32,
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};

/** Small settings that must be there before the first drawing. Never throws: private windows refuse storage. */
export const settings = {
  get(key: string): string | null {
    try {
      return localStorage.getItem(`villagrid.${key}`);
    } catch {
      return null;
    }
  },
  set(key: string, value: string | null): void {
    try {
      if (value === null) localStorage.removeItem(`villagrid.${key}`);
      else localStorage.setItem(`villagrid.${key}`, value);
    } catch {
      // Without storage the setting holds until the page closes.
    }
  },
};

/** The phone's own time zone, e.g. `Africa/Nairobi`. */
export const phoneZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Calls back when the page is shown again or hidden. */
export function onVisibility(run: (visible: boolean) => void): void {
  document.addEventListener('visibilitychange', () => run(document.visibilityState === 'visible'));
}

/** Calls back when the phone believes that a network came or went; a hint to try, never a reason not to. */
export function onNetworkChange(run: () => void): void {
  window.addEventListener('online', run);
  window.addEventListener('offline', run);
  (navigator as { connection?: EventTarget }).connection?.addEventListener('change', run);
}
