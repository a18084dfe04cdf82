/** History that was seen, cut into chunks of a metric, a window's width and a stretch of time; how many are kept. Pure. */
import type { History } from '@villagrid/contracts';

/** Windows of one metric of one grid. Values are NaN where nothing was measured. */
export interface Chunk {
  readonly key: string;
  readonly times: Float64Array;
  readonly mean: Float32Array;
  readonly min: Float32Array;
  readonly max: Float32Array;
}
/** What is known of a chunk without reading it. */
export interface ChunkInfo {
  readonly key: string;
  readonly gridId: string;
  readonly metric: string;
  readonly unit: string;
  readonly zone: string;
  /** Width of a window, ms. */
  readonly stepMs: number;
  /** Start of the stretch, Unix ms, and its length. */
  readonly startMs: number;
  readonly bytes: number;
  /** When it was last written or drawn, Unix ms by the phone. */
  readonly usedAtMs: number;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
/** What the phone keeps of history at most, bytes: of one grid, and of all. */
export const gridBudgetBytes = 5_000_000;
export const budgetBytes = 50_000_000;

/** Length of the stretch in a chunk, ms: days of fine windows, longer ones of wide windows. */
export const spanMs = (stepMs: number): number => (stepMs < 3_600_000 ? 1 : stepMs < dayMs ? 30 : 360) * dayMs;

/** For how long windows of a width are kept, ms: a week by the minute, 30 days to 15 minutes, then a year. */
export const keptForMs = (stepMs: number): number =>
  (stepMs <= minuteMs ? 7 : stepMs <= 15 * minuteMs ? 30 : 366) * dayMs;

/** What a chunk takes on the phone, bytes, near enough: its columns and what keeps them. */
export const bytesOf = ({ times }: Pick<Chunk, 'times'>): number => overheadBytes + times.length * rowBytes;
const overheadBytes = 300;
const rowBytes = 20;

/** The chunks of an answer: closed windows only, since the newest is still filling. Raw samples are not kept. */
export function chunksOf(answer: History, usedAtMs: number): { readonly info: ChunkInfo; readonly chunk: Chunk }[] {
  const { grid_id: gridId, step_ms: stepMs, zone, to_ms: toMs } = answer;
  if (stepMs === null) return [];
  const span = spanMs(stepMs);
  return answer.series.flatMap((series) => {
    const stretches = new Map<number, number[]>();
    series.times_ms.forEach((time, i) => {
      if (time + stepMs > toMs) return;
      const startMs = Math.floor(time / span) * span;
      const rows = stretches.get(startMs);
      if (rows === undefined) stretches.set(startMs, [i]);
      else rows.push(i);
    });
    return [...stretches].map(([startMs, rows]) => {
      const key = [gridId, series.metric, stepMs, startMs].join('|');
      const column = (values: readonly (number | null)[]) => Float32Array.from(rows, (i) => values[i] ?? Number.NaN);
      return {
        info: {
          key,
          gridId,
          metric: series.metric,
          unit: series.unit,
          zone,
          stepMs,
          startMs,
          bytes: bytesOf({ times: new Float64Array(rows.length) }),
          usedAtMs,
        },
        chunk: {
          key,
          times: Float64Array.from(rows, (i) => series.times_ms[i] ?? 0),
          mean: column(series.mean),
          min: column(series.min),
          max: column(series.max),
        },
      };
    });
  });
}

/** Newer windows over what a chunk held; one that overlaps a newer one goes, since the raster may have moved. */
export function merged(before: Chunk | undefined, next: Chunk, stepMs: number): Chunk {
  if (before === undefined) return next;
  const rows: [number, number, number, number][] = [];
  const row = ({ times, mean, min, max }: Chunk, i: number): [number, number, number, number] => [
    times[i] ?? 0,
    mean[i] ?? Number.NaN,
    min[i] ?? Number.NaN,
    max[i] ?? Number.NaN,
  ];
  next.times.forEach((_, i) => rows.push(row(next, i)));
  const newer = rows.map(([time]) => time);
  let at = 0;
  before.times.forEach((time, i) => {
    while ((newer[at] ?? Number.POSITIVE_INFINITY) <= time - stepMs) at += 1;
    if (Math.abs((newer[at] ?? Number.POSITIVE_INFINITY) - time) >= stepMs) rows.push(row(before, i));
  });
  rows.sort((a, b) => a[0] - b[0]);
  return {
    key: next.key,
    times: Float64Array.from(rows, ([time]) => time),
    mean: Float32Array.from(rows, ([, mean]) => mean),
    min: Float32Array.from(rows, ([, , min]) => min),
    max: Float32Array.from(rows, ([, , , max]) => max),
  };
}

/** The chunks to draw a period from: of the width that covers most of it for the first metric that is there; the finer of two. */
export function chunksFor(
  infos: readonly ChunkInfo[],
  wanted: {
    readonly gridId: string;
    readonly metrics: readonly string[];
    readonly fromMs: number;
    readonly toMs: number;
  },
): ChunkInfo[] {
  const { gridId, metrics, fromMs, toMs } = wanted;
  const there = infos.filter(
    (info) =>
      info.gridId === gridId &&
      metrics.includes(info.metric) &&
      info.startMs < toMs &&
      info.startMs + spanMs(info.stepMs) > fromMs,
  );
  const first = metrics.find((metric) => there.some((info) => info.metric === metric));
  const covered = new Map<number, number>();
  for (const { metric, stepMs, bytes } of there)
    if (metric === first)
      covered.set(stepMs, (covered.get(stepMs) ?? 0) + ((bytes - overheadBytes) / rowBytes) * stepMs);
  const best = [...covered].sort(([a, coversA], [b, coversB]) => {
    const most = toMs - fromMs;
    return Math.min(coversB, most) - Math.min(coversA, most) || a - b;
  })[0];
  return best === undefined ? [] : there.filter(({ stepMs }) => stepMs === best[0]);
}

/** An answer as a server would give it, from chunks of one width. Undefined when none of their windows is in the period. */
export function answerFrom(
  parts: readonly { readonly info: ChunkInfo; readonly chunk: Chunk }[],
  period: { readonly fromMs: number; readonly toMs: number },
): History | undefined {
  const first = parts[0]?.info;
  if (first === undefined) return undefined;
  const metrics = [...new Set(parts.map(({ info }) => info.metric))];
  const value = (number: number | undefined) => (number === undefined || Number.isNaN(number) ? null : number);
  const series = metrics.map((metric) => {
    const mine = parts.filter(({ info }) => info.metric === metric).sort((a, b) => a.info.startMs - b.info.startMs);
    const rows = mine.flatMap(({ chunk }) =>
      [...chunk.times].flatMap((time, i) =>
        time >= period.fromMs && time < period.toMs
          ? [{ time, mean: chunk.mean[i], min: chunk.min[i], max: chunk.max[i] }]
          : [],
      ),
    );
    const mean = rows.map((row) => value(row.mean));
    return {
      metric,
      unit: mine[0]?.info.unit ?? '',
      times_ms: rows.map(({ time }) => time),
      mean,
      min: rows.map((row) => value(row.min)),
      max: rows.map((row) => value(row.max)),
      last: mean,
      count: rows.map(() => 1),
      expected: null,
      gaps: [],
      completeness_pct: Math.min(
        100,
        (mean.filter((one) => one !== null).length * first.stepMs * 100) / (period.toMs - period.fromMs),
      ),
    };
  });
  if (series.every(({ times_ms }) => times_ms.length === 0)) return undefined;
  return {
    grid_id: first.gridId,
    from_ms: period.fromMs,
    to_ms: period.toMs,
    zone: first.zone,
    granularity: first.stepMs >= dayMs ? '1d' : '15m',
    step_ms: first.stepMs,
    metric: metrics.join(),
    series,
  };
}

/**
 * Keys to throw away: what is older than its width is kept for; of a grid that takes more than its share the finest and
 * oldest; then, over all, of the grid that was looked at longest ago. `keepBytes` less than the budget makes more room.
 */
export function toForget(infos: readonly ChunkInfo[], nowMs: number, keepBytes = budgetBytes): string[] {
  const gone = new Set<string>();
  let total = 0;
  const byGrid = new Map<string, ChunkInfo[]>();
  for (const info of infos) {
    if (info.startMs + spanMs(info.stepMs) < nowMs - keptForMs(info.stepMs)) {
      gone.add(info.key);
      continue;
    }
    total += info.bytes;
    const mine = byGrid.get(info.gridId);
    if (mine === undefined) byGrid.set(info.gridId, [info]);
    else mine.push(info);
  }
  const leastWorth = (list: readonly ChunkInfo[]) =>
    list.toSorted((a, b) => a.stepMs - b.stepMs || a.startMs - b.startMs);
  const forget = (info: ChunkInfo) => {
    gone.add(info.key);
    total -= info.bytes;
    return info.bytes;
  };
  for (const list of byGrid.values()) {
    let own = list.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const info of leastWorth(list)) {
      if (own <= Math.min(gridBudgetBytes, keepBytes)) break;
      own -= forget(info);
    }
  }
  const lastUse = (list: readonly ChunkInfo[]) => Math.max(...list.map(({ usedAtMs }) => usedAtMs));
  for (const list of [...byGrid.values()].sort((a, b) => lastUse(a) - lastUse(b)))
    for (const info of leastWorth(list)) {
      if (total <= keepBytes) return [...gone];
      if (!gone.has(info.key)) forget(info);
    }
  return [...gone];
}
