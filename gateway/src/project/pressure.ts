/** Whether devices send so much that everything else has to wait: the log keeps it, the history may follow later. */
import { performance } from 'node:perf_hooks';
import type { Clock } from '@villagrid/contracts';

/** A look is true for so long, real milliseconds. */
const lookEveryMs = 400;
/** Share of the time that the event loop works beyond which there is hardly an idle moment. */
const busyShare = 0.85;
/** Samples a second beyond which it is the devices that keep it busy. */
const manySamples = 20_000;

/** Makes the question; `samples` counts those committed since the start. */
export function createPressure(samples: () => number, realClock: Clock): () => boolean {
  let before = { load: performance.eventLoopUtilization(), samples: samples(), atMs: realClock.monotonicMs() };
  let isHigh = false;
  return () => {
    const atMs = realClock.monotonicMs();
    const tookMs = atMs - before.atMs;
    if (tookMs < lookEveryMs) return isHigh;
    const now = { load: performance.eventLoopUtilization(), samples: samples(), atMs };
    const share = performance.eventLoopUtilization(now.load, before.load).utilization;
    isHigh = share > busyShare && ((now.samples - before.samples) / tookMs) * 1000 > manySamples;
    before = now;
    return isHigh;
  };
}
