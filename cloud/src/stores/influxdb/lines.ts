/**
 * Windows as InfluxDB's points and back. Pure: the same window is always the same line, so that a repeat overwrites.
 * A point per window and series; every field is a float, for a field that was once an integer refuses floats for ever.
 */
import { foldWindow, type RollupWindow } from '@villagrid/contracts';
import type { OutgoingWindow, SeriesKey, StoredResolution, WindowPart } from '@villagrid/runtime';

const fields = ['count', 'last', 'last_after_ms', 'max', 'mean', 'min'] as const;

/** Measurement of a resolution: `ru_1m`, `ru_15m`, `ru_1h`. */
export const measurementOf = (resolution: StoredResolution): string => `ru_${resolution}`;

/** One line with time in seconds. Of a window without samples only `count` says something. */
export function lineOf({
  gridId,
  deviceId,
  metric,
  resolution,
  factor,
  part,
  startMs,
  window,
}: OutgoingWindow): string {
  const value = {
    count: window?.count ?? 0,
    last: (window?.last ?? 0) / factor,
    last_after_ms: window ? window.lastMs - startMs : 0,
    max: (window?.max ?? 0) / factor,
    mean: window ? window.sum / factor / window.count : 0,
    min: (window?.min ?? 0) / factor,
  };
  const tags = `device=${tag(deviceId)},grid=${tag(gridId)},metric=${tag(metric)},part=${part}`;
  const told = fields.map((name) => `${name}=${value[name] + 0}`).join(',');
  return `${measurementOf(resolution)},${tags} ${told} ${startMs / 1000}`;
}

/** The windows of a series that begin in [fromMs, toMs), as an InfluxQL question. */
export function selectOf(
  gridId: string,
  { deviceId, metric }: SeriesKey,
  resolution: StoredResolution,
  fromMs: number,
  toMs: number,
): string {
  const wanted = fields.map((name) => `"${name}"`).join(', ');
  const where = whereOf(gridId, { deviceId, metric }, fromMs, toMs);
  return `SELECT ${wanted} FROM "${measurementOf(resolution)}" WHERE ${where} GROUP BY "part"`;
}

/** Deletes the windows of a series before a time, as an InfluxQL statement. */
export const deleteOf = (gridId: string, key: SeriesKey, resolution: StoredResolution, beforeMs: number): string =>
  `DELETE FROM "${measurementOf(resolution)}" WHERE ${whereOf(gridId, key, undefined, beforeMs)}`;

/** How many windows of a series there are of part 0, as an InfluxQL question. */
export function countOf(
  gridId: string,
  key: SeriesKey,
  resolution: StoredResolution,
  fromMs: number,
  toMs: number,
): string {
  const where = whereOf(gridId, key, fromMs, toMs);
  return `SELECT count("count") AS "windows" FROM "${measurementOf(resolution)}" WHERE ${where} AND "part" = '0'`;
}

const whereOf = (gridId: string, { deviceId, metric }: SeriesKey, fromMs: number | undefined, toMs: number): string =>
  `"grid" = ${text(gridId)} AND "device" = ${text(deviceId)} AND "metric" = ${text(metric)} ` +
  `${fromMs === undefined ? '' : `AND time >= ${fromMs}ms `}AND time < ${toMs}ms`;

/** The number in an answer to `countOf`; without windows there is no answer. */
export function countIn([series]: readonly AnsweredSeries[]): number {
  const found = series?.values[0]?.[series.columns.indexOf('windows')];
  return typeof found === 'number' ? found : 0;
}

/** A series of an answer of `/query?epoch=ms`. */
export interface AnsweredSeries {
  readonly tags?: Readonly<Record<string, string>>;
  readonly columns: readonly string[];
  readonly values: readonly (readonly unknown[])[];
}

/** The parts in an answer, scaled; rows that are no windows of ours are left out. */
export function partsOf(answer: readonly AnsweredSeries[], factor: number): WindowPart[] {
  const parts: WindowPart[] = [];
  for (const { tags, columns, values } of answer) {
    const part = Number(tags?.part ?? 0);
    const at = (name: string): number => columns.indexOf(name);
    const [time, count, last, after, max, mean, min] = ['time', ...fields].map(at) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    for (const row of values) {
      const number = (column: number): number => (typeof row[column] === 'number' ? (row[column] as number) : NaN);
      const [startMs, samples] = [number(time), number(count)];
      if (!(samples >= 0) || !Number.isInteger(part)) continue;
      const scaled = (column: number, times = 1): number => Math.round(number(column) * times * factor);
      const window: RollupWindow = {
        startMs,
        min: scaled(min),
        max: scaled(max),
        // The mean is the sum's nearest float: multiplied it is within far less than one of the whole number.
        sum: scaled(mean, samples),
        count: samples,
        last: scaled(last),
        lastMs: startMs + number(after),
      };
      if (!Object.values(window).every(Number.isFinite)) continue;
      parts.push({ part, startMs, window: samples === 0 ? undefined : window });
    }
  }
  return parts;
}

/** Whole windows in order, from the parts InfluxDB has (`far`) and those that are here (`near`). */
export function foldParts(far: readonly WindowPart[], near: readonly WindowPart[]): RollupWindow[] {
  const byWindow = new Map<number, Map<number, RollupWindow | undefined>>();
  const partsOfWindow = (startMs: number): Map<number, RollupWindow | undefined> => {
    let parts = byWindow.get(startMs);
    if (!parts) byWindow.set(startMs, (parts = new Map()));
    return parts;
  };
  for (const { startMs, part, window } of far) {
    const parts = partsOfWindow(startMs);
    // InfluxDB 3 may give both of what was written twice; the fuller one is newer, for samples only come.
    if ((window?.count ?? 0) >= (parts.get(part)?.count ?? 0)) parts.set(part, window);
  }
  // What is here is never older than the same part there.
  for (const { startMs, part, window } of near) partsOfWindow(startMs).set(part, window);
  const windows: RollupWindow[] = [];
  for (const [, parts] of [...byWindow].sort(([a], [b]) => a - b)) {
    let whole: RollupWindow | undefined;
    for (const [, window] of [...parts].sort(([a], [b]) => a - b)) {
      if (window === undefined) continue;
      if (whole) foldWindow(whole, window);
      else whole = { ...window };
    }
    if (whole) windows.push(whole);
  }
  return windows;
}

const tag = (value: string): string => value.replace(/[\\,= \n]/g, (found) => (found === '\n' ? '' : `\\${found}`));
const text = (value: string): string => `'${value.replace(/[\\']/g, '\\$&')}'`;

/** Which window a line is of; undefined for one that is none of ours. */
export function windowIn(
  line: string,
):
  | ({ readonly gridId: string; readonly resolution: StoredResolution; readonly startMs: number } & SeriesKey)
  | undefined {
  const match =
    /^ru_(1m|15m|1h),device=((?:\\.|[^\\,= ])*),grid=((?:\\.|[^\\,= ])*),metric=((?:\\.|[^\\,= ])*),part=\d+ \S+ (-?\d+)$/.exec(
      line,
    );
  if (!match) return undefined;
  const [, resolution, device, grid, metric, seconds] = match.map((one) => one.replace(/\\(.)/g, '$1'));
  return {
    resolution: resolution as StoredResolution,
    deviceId: device as string,
    gridId: grid as string,
    metric: metric as string,
    startMs: Number(seconds) * 1000,
  };
}
