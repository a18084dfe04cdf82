/** Long reads in slices: the store answers synchronously, so a year asked at once would hold up everybody else. */
import { emptyColumns, localDayStartMs, type Resolution, type WindowColumns } from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { GridPort } from '../ports.js';

/** Stretch of one slice per resolution, ms: one to three thousand stored windows, a few milliseconds of work. */
export const sliceMs: Readonly<Record<Resolution, number>> = {
  '1m': 86_400_000,
  '15m': 21 * 86_400_000,
  '1h': 84 * 86_400_000,
  '1d': 28 * 86_400_000,
};

/** Cuts [fromMs, toMs) into slices that begin where windows of the resolution begin. */
export function* slices(
  zone: string,
  resolution: Resolution,
  fromMs: number,
  toMs: number,
  sliceOfMs = sliceMs[resolution],
): Generator<{ readonly fromMs: number; readonly toMs: number }> {
  for (let startMs = fromMs; startMs < toMs; ) {
    const rough = startMs + sliceOfMs;
    const cut = resolution === '1d' ? localDayStartMs(zone, rough) : Math.floor(rough / 3_600_000) * 3_600_000;
    const endMs = Math.min(toMs, cut > startMs ? cut : rough);
    yield { fromMs: startMs, toMs: endMs };
    startMs = endMs;
  }
}

/** Windows of one series, read slice by slice with a turn for others in between. */
export async function slicedWindows(
  grid: GridPort,
  deviceId: string,
  metric: string,
  resolution: Resolution,
  fromMs: number,
  toMs: number,
): Promise<WindowColumns> {
  const all = emptyColumns();
  for (const slice of slices(grid.site().zone, resolution, fromMs, toMs)) {
    if (slice.fromMs > fromMs) await nextTurn();
    appendColumns(all, await grid.windows(deviceId, metric, resolution, slice.fromMs, slice.toMs));
  }
  return all;
}

function append(all: number[], more: readonly number[]): void {
  for (let i = 0; i < more.length; i += 1) all.push(more[i] as number);
}

/** Appends later windows to columns. */
export function appendColumns(all: WindowColumns, more: WindowColumns): void {
  append(all.t, more.t);
  append(all.min, more.min);
  append(all.mean, more.mean);
  append(all.max, more.max);
  append(all.last, more.last);
  append(all.count, more.count);
}
