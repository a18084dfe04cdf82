// Loaded into a measured gateway beside its program: at SIGUSR2 it prints, as a line of JSON, how long its event loop was
// held up at most since the line before, and its memory. Plain JavaScript, so that nothing else is loaded with it.
import { monitorEventLoopDelay } from 'node:perf_hooks';

let longestMs = 0;
let before = performance.now();
const everyMs = 2;
setInterval(() => {
  const now = performance.now();
  longestMs = Math.max(longestMs, now - before - everyMs);
  before = now;
}, everyMs).unref();
const delay = monitorEventLoopDelay({ resolution: everyMs });
delay.enable();

process.on('SIGUSR2', () => {
  globalThis.gc?.();
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  const mb = (bytes) => bytes / 1_000_000;
  const loop = { loop_longest_ms: longestMs, loop_p99_ms: delay.percentile(99) / 1e6 };
  longestMs = 0;
  before = performance.now();
  delay.reset();
  const memory = {
    rss_mb: mb(rss),
    heap_mb: mb(heapUsed),
    external_mb: mb(external),
    buffers_mb: mb(arrayBuffers),
    gc_was_asked: globalThis.gc ? 1 : 0,
  };
  process.stdout.write(`${JSON.stringify({ probe: true, ...loop, ...memory })}\n`);
});
