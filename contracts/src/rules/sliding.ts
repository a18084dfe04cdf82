/**
 * A sliding window over samples, kept as a handful of steps, so that its state stays small whatever the pace of samples.
 * The oldest step counts whole until the window has left it.
 */

/** One step: its first moment, first and last value, smallest, largest, sum and count of its samples. */
export type SlidingStep = readonly [
  startMs: number,
  firstMs: number,
  first: number,
  last: number,
  min: number,
  max: number,
  sum: number,
  count: number,
];

/** Steps of one window, oldest first. */
export type Sliding = readonly SlidingStep[];

/** Steps in a window. */
export const stepsPerWindow = 12;
/** How much of a window must have samples before it has a mean, a smallest or a largest value. */
const leastCovered = 0.75;

/** What a window is folded to. `change` is the last value less the first. */
export const slidingFolds = ['mean', 'min', 'max', 'change'] as const;
export type SlidingFold = (typeof slidingFolds)[number];

/** The window with one more sample. One older than the newest step changes nothing. Read by index: this is asked for every sample. */
export function slide(window: Sliding, windowMs: number, timeMs: number, value: number): Sliding {
  const width = windowMs / stepsPerWindow;
  const startMs = Math.floor(timeMs / width) * width;
  const count = window.length;
  const newest = count === 0 ? undefined : (window[count - 1] as SlidingStep);
  if (newest !== undefined && newest[0] === startMs) {
    const next = window.slice();
    next[count - 1] = [
      startMs,
      newest[1],
      newest[2],
      value,
      value < newest[4] ? value : newest[4],
      value > newest[5] ? value : newest[5],
      newest[6] + value,
      newest[7] + 1,
    ];
    return next;
  }
  if (newest !== undefined && startMs < newest[0]) return window;
  const oldestMs = timeMs - windowMs - width;
  let from = 0;
  while (from < count && (window[from] as SlidingStep)[0] <= oldestMs) from += 1;
  const next = window.slice(from);
  next.push([startMs, timeMs, value, value, value, value, value, 1]);
  return next;
}

/** What the window comes to at a time; undefined while too little is known. */
export function foldSliding(window: Sliding, windowMs: number, timeMs: number, fold: SlidingFold): number | undefined {
  if (window.length === 0) return undefined;
  const oldest = window[0] as SlidingStep;
  // What changed so much in less than the window did so within it.
  if (fold === 'change') return (window[window.length - 1] as SlidingStep)[3] - oldest[2];
  if (timeMs - oldest[1] < windowMs * leastCovered) return undefined;
  let min = oldest[4];
  let max = oldest[5];
  let sum = oldest[6];
  let count = oldest[7];
  for (let index = 1; index < window.length; index += 1) {
    const step = window[index] as SlidingStep;
    if (step[4] < min) min = step[4];
    if (step[5] > max) max = step[5];
    sum += step[6];
    count += step[7];
  }
  return fold === 'mean' ? sum / count : fold === 'min' ? min : max;
}

/** The window after the clock was moved. */
export const movedSliding = (window: Sliding, byMs: number): Sliding =>
  window.map(([startMs, firstMs, ...rest]) => [startMs + byMs, firstMs + byMs, ...rest]);

/** Whether a stored document is a window. */
export function isSliding(value: unknown): value is Sliding {
  return (
    Array.isArray(value) &&
    value.length <= 2 * stepsPerWindow &&
    value.every((step) => Array.isArray(step) && step.length === 8 && step.every((one) => typeof one === 'number'))
  );
}
