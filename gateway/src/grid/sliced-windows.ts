/** Windows over long times, read in slices between which the gateway goes on with its other work. */
import { emptyColumns, localDayStartMs, type Resolution, type WindowColumns } from '@villagrid/contracts';
import type { TelemetryStore } from '@villagrid/runtime';

const dayMs = 86_400_000;
/** Days that are read at a time: a few milliseconds of work on a slow box. */
const daysPerSlice: Readonly<Record<Resolution, number>> = { '1m': 1, '15m': 45, '1h': 366, '1d': 120 };

/** Reads windows of one series, breathing between slices. */
export async function slicedWindows(
  store: Pick<TelemetryStore, 'windows'>,
  zone: string,
  series: readonly [gridId: string, deviceId: string, metric: string],
  resolution: Resolution,
  fromMs: number,
  toMs: number,
): Promise<WindowColumns> {
  const cut = (timeMs: number) =>
    resolution === '1d' ? localDayStartMs(zone, timeMs) : Math.floor(timeMs / dayMs) * dayMs;
  let columns: WindowColumns | undefined;
  for (let from = fromMs; from < toMs; ) {
    const next = cut(from + daysPerSlice[resolution] * dayMs);
    const to = next > from ? Math.min(next, toMs) : toMs;
    const slice = store.windows(...series, resolution, from, to);
    if (columns)
      for (const name of Object.keys(columns) as Array<keyof WindowColumns>) append(columns[name], slice[name]);
    else columns = slice;
    from = to;
    if (from < toMs) await new Promise((resolve) => setImmediate(resolve));
  }
  return columns ?? emptyColumns();
}

function append(to: number[], more: readonly number[]): void {
  for (const one of more) to.push(one);
}
