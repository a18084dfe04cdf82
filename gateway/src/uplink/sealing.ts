/**
 * Sealing: several frames of the log become one that stands for all their numbers, with every sample or with one a
 * window. Events and entries stay as they are. Same frames and form give the same bytes. Pure.
 */
import { type Frame, metricDefinition, qualityClass, type Sample } from '@villagrid/contracts';
import type { CommittedFrame } from '../log/port.js';
import type { PlanForm } from './plans.js';

/** Frames of the log that are sealed as one. */
export interface Gathered {
  readonly frames: readonly CommittedFrame[];
  /** Whether the next frame is beyond it, so that nothing more can come to it. */
  readonly closed: boolean;
}

/** Most samples and events of one sealed frame, so that it is far below what an envelope may hold. */
const mostSamples = 20_000;
const mostEvents = 200;

/**
 * The frames from the first one on that are sealed together: of one boot and one trust in its clock, within one stretch
 * of `gatherMs`. A frame that tells of its clock begins anew: what is before it is put right, what is after it is not.
 */
export function gatherFrames(frames: readonly CommittedFrame[], gatherMs: number, mostBytes: number): Gathered {
  const first = frames[0];
  if (first === undefined) return { frames: [], closed: false };
  const stretch = Math.floor(first.frame.wallMs / gatherMs);
  let samples = 0;
  let events = 0;
  let bytes = 0;
  for (const [at, { frame, bytes: own }] of frames.entries()) {
    samples += frame.samples.length;
    events += frame.events.length + frame.entries.length;
    bytes += own.length;
    if (at === 0) continue;
    const apart =
      frame.boot !== first.frame.boot ||
      frame.trust !== first.frame.trust ||
      Math.floor(frame.wallMs / gatherMs) !== stretch ||
      frame.entries.some(({ type }) => type === 'clock' || type === 'epoch');
    if (apart || samples > mostSamples || events > mostEvents || bytes > mostBytes)
      return { frames: frames.slice(0, at), closed: true };
  }
  return { frames, closed: samples >= mostSamples || events >= mostEvents };
}

/** Makes the one frame of them. What the log notes for itself alone (received sequence numbers) is left out. */
export function sealFrames(frames: readonly CommittedFrame[], { resolutionMs }: PlanForm): Frame {
  const last = (frames.at(-1) as CommittedFrame).frame;
  const all = frames.map(({ frame }) => frame);
  const samples = all.flatMap((frame) => frame.samples);
  const unknownEvents = all.flatMap((frame) => frame.unknownEvents ?? []);
  return {
    boot: last.boot,
    monotonicMs: last.monotonicMs,
    wallMs: last.wallMs,
    trust: last.trust,
    samples: resolutionMs === null ? inSeries(samples) : thinSamples(samples, resolutionMs),
    events: all.flatMap((frame) => frame.events),
    ...(unknownEvents.length > 0 ? { unknownEvents } : {}),
    entries: all.flatMap((frame) => frame.entries),
    received: [],
  };
}

/** Neighbours of one series lie side by side; the order of series is that of their names, so that boxes agree on it. */
function inSeries(samples: readonly Sample[]): Sample[] {
  return [...grouped(samples).values()].flat();
}

function grouped(samples: readonly Sample[]): Map<string, Sample[]> {
  const series = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = `${sample.deviceId} ${sample.metric}`;
    const known = series.get(key);
    if (known) known.push(sample);
    else series.set(key, [sample]);
  }
  return new Map([...series].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * One sample a window and series: the mean of a gauge, the last of a state or counter. Of samples of different quality
 * only the best class counts. It is dated with the last of them, in whole seconds within the window.
 */
export function thinSamples(samples: readonly Sample[], resolutionMs: number): Sample[] {
  const thin: Sample[] = [];
  for (const group of grouped(samples).values()) {
    const windows = new Map<number, Sample[]>();
    for (const sample of group) {
      const start = Math.floor(sample.timeMs / resolutionMs);
      const known = windows.get(start);
      if (known) known.push(sample);
      else windows.set(start, [sample]);
    }
    for (const window of windows.values()) thin.push(oneOf(window));
  }
  return thin;
}

const classes = ['good', 'uncertain', 'bad'] as const;

function oneOf(window: readonly Sample[]): Sample {
  const best =
    classes
      .map((wanted) => window.filter(({ value, quality }) => value !== null && qualityClass(quality) === wanted))
      .find((found) => found.length > 0) ?? window;
  const newest = best.reduce((last, sample) => (sample.timeMs >= last.timeMs ? sample : last));
  const timeMs = Math.floor(newest.timeMs / 1000) * 1000;
  const gauge = metricDefinition(newest.metric)?.aggregation === 'mean';
  if (!gauge || newest.value === null) return { ...newest, timeMs };
  const sum = best.reduce((total, { value }) => total + (value as number), 0);
  return { ...newest, timeMs, value: sum / best.length };
}
