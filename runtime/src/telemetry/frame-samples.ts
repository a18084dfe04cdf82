/** Samples of several series out of frames, in small steps: one pass over a stretch's frames, whatever the number of series. */
import { sampleColumns, type SeriesName, type SeriesSamples } from '@villagrid/contracts';
import type { FrameReader } from './types.js';

/** Frames are looked up for so long at a time, milliseconds; those of a lookup are in memory together. */
const lookupMs = 600_000;

interface Column {
  readonly t: number[];
  readonly value: (number | null)[];
  readonly quality: number[];
}

/**
 * Samples measured in [fromMs, toMs), of any quality, ascending by time, in the order of `series`. Yields after each frame;
 * nothing is read between a yield and the next step that was looked up before it.
 */
export function* frameSamples(
  frames: FrameReader,
  gridId: string,
  series: readonly SeriesName[],
  fromMs: number,
  toMs: number,
): Generator<void, readonly SeriesSamples[]> {
  const columns = series.map((): Column => ({ t: [], value: [], quality: [] }));
  const wanted = new Map<string, Map<string, Column>>();
  for (const [index, { deviceId, metric }] of series.entries()) {
    let ofDevice = wanted.get(deviceId);
    if (!ofDevice) wanted.set(deviceId, (ofDevice = new Map()));
    ofDevice.set(metric, columns[index] as Column);
  }
  for (let startMs = fromMs; startMs < toMs; startMs += lookupMs) {
    const endMs = Math.min(toMs, startMs + lookupMs);
    for (const frame of frames.framesOverlapping(startMs, endMs, gridId)) {
      for (const { deviceId, metric, timeMs, value, quality } of frame.samples) {
        if (timeMs < startMs || timeMs >= endMs) continue;
        const column = wanted.get(deviceId)?.get(metric);
        if (column === undefined) continue;
        column.t.push(timeMs);
        column.value.push(value);
        column.quality.push(quality);
      }
      yield;
    }
    yield;
  }
  return series.map(({ deviceId, metric }, index) => {
    const { t, value, quality } = inOrder(columns[index] as Column);
    return { deviceId, metric, ...sampleColumns(t, value, quality) };
  });
}

/** Frames may come in any order; nearly always they come in theirs. */
function inOrder(column: Column): Column {
  const { t, value, quality } = column;
  if (t.every((time, at) => at === 0 || (t[at - 1] as number) <= time)) return column;
  const order = t.map((_, at) => at).sort((a, b) => (t[a] as number) - (t[b] as number) || a - b);
  const pick = <T>(values: readonly T[]): T[] => order.map((at) => values[at] as T);
  return { t: pick(t), value: pick(value), quality: pick(quality) };
}
