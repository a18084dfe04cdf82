/** `Clock.sleep` from a clock's `after`, shared by every clock. */
import type { AbortSignalLike, Timer } from '@villagrid/contracts';

/** Resolves after `delayMs` of the clock that `after` belongs to; rejects with the signal's reason if it aborts first. */
export function sleepWith(
  after: (delayMs: number, run: () => void) => Timer,
  delayMs: number,
  signal: AbortSignalLike | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      timer?.cancel();
      reject(signal?.reason instanceof Error ? signal.reason : new Error('the wait was called off', { cause: signal?.reason }));
    };
    let timer: Timer | undefined;
    if (signal?.aborted) return abort();
    timer = after(delayMs, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
}
