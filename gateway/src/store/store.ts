/**
 * The history of a gateway: a telemetry store that keeps what is new in memory, because the log keeps it durably, and
 * seals finished hours into compressed chunks, finished days into one row a series. docs/decisions/0010 says why.
 */
import {
  addDigest,
  blocksOf,
  digestHex,
  emptyColumns,
  emptyDigest,
  resolutionMs,
  VillagridError,
  type ChunkColumns,
  type DeviceSeries,
  type ReadingBlock,
  type Resolution,
  type RollupWindow,
  type SampleColumns,
  type Sample,
  type SeriesDigest,
} from '@villagrid/contracts';
import {
  bySeries,
  migrateModule,
  NumberRanges,
  type Applied,
  type Logger,
  type NumberedFrame,
  type RawSamples,
  type SeriesCompleteness,
  type SqliteDatabase,
  type TelemetryStore,
  windowColumns,
} from '@villagrid/runtime';
import { foldColumns, joinColumns, joinWindows, noColumns, OpenHour, sliceColumns } from './columns.js';
import { prepareEdits, type Edit, type PreparedEdits } from './edit.js';
import { Jobs } from './jobs.js';
import { LogState, SeriesState } from './open.js';
import { packLooseDays, prepareRawRemoval } from './days.js';
import {
  dayKey,
  dayMs,
  dayOfKey,
  daysOf,
  hourMs,
  idOfKey,
  minuteMs,
  mostSeries,
  storeMigrations,
  timeKey,
  timeOfKey,
} from './schema.js';
import { digestOf, Sealed } from './sealed.js';
import { indexStatements } from './statements.js';

export interface HistoryStoreOptions {
  /** Any database opened by `openDatabase`; the store's tables begin with `store_` and are made here. */
  readonly database: SqliteDatabase;
  /** IANA zone of a grid, for its local days. */
  readonly zoneOf: (gridId: string) => string;
  readonly log: Logger;
}

/** A telemetry store whose newest part is in memory: frames that are not done are to be applied again after a start. */
export interface HistoryStore extends TelemetryStore {
  /**
   * Makes samples before a time (a whole hour; all without one) durable in chunks, in small steps; the frames that hold
   * them need not be applied again. Rejects when the database does; then everything is as before.
   */
  seal(beforeMs?: number): Promise<void>;
  /** The same in one go, for a stop. */
  sealNow(beforeMs?: number): void;
  /** Number up to which, from 1 on, every frame's samples are sealed: the log may drop these. */
  sealedNumber(source: string, epoch: string): number;
  /**
   * The same as `replaceSamples` in small steps; what is written at the end is written within `within`, with what else must
   * be true from then on. Gives false, and has changed nothing, when everything was forgotten meanwhile.
   */
  replaceInSteps(
    gridId: string,
    removed: readonly Sample[],
    added: readonly Sample[],
    within: (run: () => void) => void,
  ): Promise<boolean>;
  /** Samples of a series in [fromMs, toMs) as columns; those of a device may share their times. */
  samples(gridId: string, deviceId: string, metric: string, fromMs: number, toMs: number): SampleColumns;
  /** Makes one row a series of each UTC day that ended before a time, in small steps; gives how many series-days. */
  packDays(beforeMs: number): Promise<number>;
  packNow(beforeMs: number): number;
  /** Deletes samples of UTC days that ended before a time, once their minutes are kept; gives how many series-days. */
  pruneRaw(beforeMs: number): Promise<number>;
  /** Start of the oldest packed day that still has its samples. */
  oldestRawMs(): number | undefined;
  /** Prepares an answer of `completeness` for a time within an hour, in small steps, so that it does not take long. */
  readyCompleteness(gridId: string, untilMs: number): Promise<void>;
  /** Reads everything anew, as after a start: to be called when a transaction around a call failed. */
  forget(): void;
  /** Samples that are in memory only, and whether they are more than should wait for their hour. */
  openSamples(): number;
  isFull(): boolean;
  /** Pieces found damaged since the start. */
  damaged(): number;
}

/** Samples in memory beyond which nothing waits for its hour: about 6 MB. */
const mostOpen = 400_000;

const widths = { '1m': minuteMs, '15m': resolutionMs['15m'], '1h': hourMs } as const;
type StoredResolution = keyof typeof widths;

/** Opens the store in a database, making or migrating its tables. */
export function createHistoryStore({ database, zoneOf, log }: HistoryStoreOptions): HistoryStore {
  migrateModule(database, 'store', storeMigrations);
  const sql = indexStatements(database);
  const sealed = new Sealed(database, log);
  const jobs = new Jobs();
  const grids = new Map<string, Map<string, Map<string, SeriesState>>>();
  const byId = new Map<number, SeriesState>();
  const logs = new Map<string, LogState>();
  let seriesOfBlocks = new WeakMap<DeviceSeries, readonly SeriesState[]>();
  let openCount = 0;
  /** What a question for completeness was prepared with; forgotten as soon as anything is sealed. */
  let ready: { readonly untilMs: number; readonly rests: ReadonlyMap<SeriesState, SeriesDigest> } | undefined;
  const floors: Record<StoredResolution | 'raw', number> = {
    raw: Number.NEGATIVE_INFINITY,
    '1m': Number.NEGATIVE_INFINITY,
    '15m': Number.NEGATIVE_INFINITY,
    '1h': Number.NEGATIVE_INFINITY,
  };
  load();

  function load(): void {
    for (const one of Object.keys(floors) as Array<keyof typeof floors>)
      floors[one] = sql.meta.get(one) ?? Number.NEGATIVE_INFINITY;
    for (const row of sql.series.all()) {
      const series = new SeriesState(row.grid_id, row.device_id, row.metric, row.precision);
      series.id = row.id;
      series.sealed = { count: row.total, a: row.a, b: row.b };
      if (row.total > 0)
        series.latest = { timeMs: row.latest_ms, value: row.latest ?? Number.NaN, quality: row.latest_quality };
      put(series);
      byId.set(row.id, series);
    }
    const found = new Map<string, ReturnType<typeof sql.applied.all>>();
    for (const row of sql.applied.all()) {
      const name = JSON.stringify([row.source, row.epoch]);
      found.set(name, [...(found.get(name) ?? []), row]);
    }
    for (const [name, rows] of found) {
      const [{ source, epoch }] = rows as [(typeof rows)[number]];
      const ranges = (whole: boolean) =>
        rows.filter((row) => (row.before_ms === null) === whole).map(({ first, last }) => [first, last] as const);
      const beforeMs = rows.find((row) => row.before_ms !== null)?.before_ms ?? 0;
      logs.set(name, new LogState(source, epoch, ranges(true), ranges(false), beforeMs));
    }
  }

  function put(series: SeriesState): void {
    let devices = grids.get(series.gridId);
    if (!devices) grids.set(series.gridId, (devices = new Map()));
    let metrics = devices.get(series.deviceId);
    if (!metrics) devices.set(series.deviceId, (metrics = new Map()));
    metrics.set(series.metric, series);
  }
  const find = (gridId: string, deviceId: string, metric: string) => grids.get(gridId)?.get(deviceId)?.get(metric);
  const all = function* (gridId?: string): Generator<SeriesState> {
    for (const [id, devices] of grids)
      if (gridId === undefined || id === gridId) for (const metrics of devices.values()) yield* metrics.values();
  };
  const ofGrid = (gridId: string): SeriesState[] => [...all(gridId)].sort(bySeries);
  const logOf = (source: string, epoch: string): LogState => {
    const name = JSON.stringify([source, epoch]);
    let state = logs.get(name);
    if (!state) logs.set(name, (state = new LogState(source, epoch)));
    return state;
  };

  function saveApplied({ source, epoch }: LogState, done: NumberRanges, part: NumberRanges, beforeMs: number): void {
    sql.clearApplied.run(source, epoch);
    for (const [first, last] of done.ranges) sql.addApplied.run(source, epoch, first, last, null);
    for (const [first, last] of part.ranges) sql.addApplied.run(source, epoch, first, last, beforeMs);
  }

  /** Gives new series their rows; within a transaction. Undone by `forget` when that fails. */
  function nameSeries(edits: readonly Edit[]): SeriesState[] {
    const named: SeriesState[] = [];
    for (const { series } of edits) {
      if (series.id !== undefined) continue;
      const { gridId, deviceId, metric, precision } = series;
      const { lastInsertRowid } = sql.addSeries.run(gridId, deviceId, metric, precision, series.latest?.timeMs ?? 0);
      const id = Number(lastInsertRowid);
      if (id > mostSeries) throw new VillagridError('E_INTERNAL', `More than ${mostSeries} series.`);
      series.id = id;
      named.push(series);
    }
    return named;
  }

  /** Writes prepared edits and what goes with them, all or nothing, and brings memory up to it. */
  function commit(prepared: PreparedEdits, edits: readonly Edit[], with_: () => void): void {
    const digests = new Map<SeriesState, SeriesDigest>();
    for (const { series, change } of prepared.changes) {
      const digest = digests.get(series) ?? { ...series.sealed };
      addDigest(digest, change);
      digests.set(series, digest);
    }
    let named: SeriesState[] = [];
    ready = undefined;
    try {
      database
        .transaction(() => {
          named = nameSeries(edits);
          for (const write of prepared.writes) write();
          for (const [series, { count, a, b }] of digests) {
            const { timeMs, value, quality } = series.latest ?? { timeMs: 0, value: Number.NaN, quality: 0 };
            const latest = Number.isNaN(value) ? null : value;
            sql.setSeries.run(count, a | 0, b | 0, timeMs, latest, quality, series.id as number);
          }
          with_();
        })
        .immediate();
    } catch (error) {
      for (const series of named) series.id = undefined;
      sealed.reload();
      throw error;
    }
    for (const series of named) byId.set(series.id as number, series);
    for (const [series, digest] of digests) series.sealed = digest;
  }

  function* sealJob(askedMs: number): Generator<void, void> {
    // A sample of the future would keep its frame, and all after it, from ever being done.
    const isStuck = [...logs.values()].some((one) => one.isStuck(askedMs));
    // A clock that was put back must not take back up to when frames are sealed in part: they would be taken again.
    const partMs = [...logs.values()].map((one) => (one.hasPart ? one.partBeforeMs : Number.NEGATIVE_INFINITY));
    const beforeMs = isStuck ? Number.POSITIVE_INFINITY : Math.max(askedMs, ...partMs);
    const frozen: OpenHour[] = [];
    const edits: Edit[] = [];
    for (const series of all()) {
      for (const part of series.open) {
        if (part.hour * hourMs >= beforeMs) continue;
        part.frozen = true;
        frozen.push(part);
        edits.push({ series, hour: part.hour, part });
      }
    }
    const sealings = [...logs.values()].map((state) => [state, state.sealing(beforeMs)] as const);
    let finished = false;
    try {
      const prepared = yield* prepareEdits(sealed, edits, floors.raw, floors['1m']);
      commit(prepared as PreparedEdits, edits, () => {
        for (const [state, { done, part }] of sealings) saveApplied(state, done, part, beforeMs);
      });
      for (const [state, sealing] of sealings) state.seal(sealing);
      for (const { series } of edits) series.open = series.open.filter((part) => !part.frozen);
      for (const part of frozen) openCount -= part.count;
      finished = true;
    } finally {
      if (!finished) for (const part of frozen) part.frozen = false;
    }
  }

  function applyFrames(gridId: string, source: string, epoch: string, batch: readonly NumberedFrame[]): Applied {
    const state = logOf(source, epoch);
    let fresh = 0;
    for (const { number, frame } of batch) {
      const sealedBeforeMs = state.take(number, frame);
      if (sealedBeforeMs === undefined) continue;
      fresh += 1;
      const blocks = blocksOf(frame);
      if (blocks !== undefined) {
        for (const block of blocks) applyBlock(gridId, block, sealedBeforeMs);
        continue;
      }
      // Samples of a device come in a row.
      let deviceId: string | undefined;
      let metrics: Map<string, SeriesState> | undefined;
      for (const sample of frame.samples) {
        if (sample.deviceId !== deviceId || metrics === undefined) {
          deviceId = sample.deviceId;
          metrics = grids.get(gridId)?.get(deviceId);
        }
        let series = metrics?.get(sample.metric);
        if (!series) put((series = new SeriesState(gridId, sample.deviceId, sample.metric)));
        if (series.add(sample, sealedBeforeMs)) openCount += 1;
      }
    }
    return { applied: fresh, skipped: batch.length - fresh, upTo: state.applied.contiguous };
  }

  /** Series of a block, as long as nothing is read anew. */
  function seriesOf(gridId: string, series: DeviceSeries): readonly SeriesState[] {
    const known = seriesOfBlocks.get(series);
    if (known?.[0]?.gridId === gridId) return known;
    const { deviceId, metrics } = series;
    const states = metrics.map((metric) => {
      let state = find(gridId, deviceId, metric);
      if (!state) put((state = new SeriesState(gridId, deviceId, metric)));
      return state;
    });
    seriesOfBlocks.set(series, states);
    return states;
  }

  function applyBlock(gridId: string, block: ReadingBlock, sealedBeforeMs: number): void {
    const { series, times, places, values, qualities, count } = block;
    const states = seriesOf(gridId, series);
    let [oldestMs, newestMs, newest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
    for (let at = 0; at < count; at += 1) {
      const timeMs = times[at] as number;
      if (timeMs < oldestMs) oldestMs = timeMs;
      if (timeMs >= newestMs) [newestMs, newest] = [timeMs, at];
    }
    const isAsExpected = states.every(({ factor }, index) => factor === series.factors[index]);
    const isOneHour = Math.floor(oldestMs / hourMs) === Math.floor(newestMs / hourMs) && oldestMs >= sealedBeforeMs;
    if (isAsExpected && isOneHour) {
      for (const [index, state] of states.entries()) state.addColumn(block, index, newest);
      openCount += block.sampleCount;
      return;
    }
    for (let at = 0; at < count; at += 1) {
      for (const [index, state] of states.entries()) {
        const scaled = values[(places[at] as number) + index] as number;
        const value = isAsExpected
          ? scaled
          : Math.round((scaled / (series.factors[index] as number)) * state.factor) + 0;
        if (state.addScaled(times[at] as number, value, qualities[at] as number, sealedBeforeMs)) openCount += 1;
      }
    }
  }

  /** Windows of a stored width that begin in [fromMs, toMs), scaled. */
  function storedWindows(series: SeriesState, resolution: StoredResolution, fromMs: number, toMs: number) {
    const width = widths[resolution];
    const from = Math.max(Math.floor(fromMs / width) * width, Math.ceil(floors[resolution] / width) * width);
    const to = Math.ceil(toMs / width) * width;
    if (!(to > from)) return [];
    let windows: readonly RollupWindow[] = series.id === undefined ? [] : sealed.windows(series.id, width, from, to);
    for (const columns of series.openColumns(from, to))
      windows = joinWindows(windows, foldColumns(sliceColumns(columns, from, to), width));
    return windows;
  }

  function windows(
    gridId: string,
    deviceId: string,
    metric: string,
    resolution: Resolution,
    fromMs: number,
    toMs: number,
  ) {
    const series = find(gridId, deviceId, metric);
    if (!series || !(toMs > fromMs)) return emptyColumns();
    const question = { resolution, fromMs, toMs, zone: zoneOf(gridId), factor: series.factor };
    return windowColumns(question, (stored, from, to) => storedWindows(series, stored, from, to));
  }

  function columnsOf(series: SeriesState, fromMs: number, toMs: number): ChunkColumns {
    const pieces = series.id === undefined ? [] : [sealed.columns(series.id, fromMs, toMs)];
    return sliceColumns(joinColumns([...pieces, ...series.openColumns(fromMs, toMs)]), fromMs, toMs);
  }

  function raw(gridId: string, deviceId: string, metric: string, fromMs: number, toMs: number): RawSamples {
    const series = find(gridId, deviceId, metric);
    if (!series || !(toMs > fromMs)) return { t: [], value: [], quality: [] };
    const { times, values, qualities } = columnsOf(series, fromMs, toMs);
    const { factor } = series;
    const found: RawSamples = { t: [], value: [], quality: [] };
    for (let i = 0; i < times.length; i += 1) {
      const value = values[i] as number;
      found.t.push(times[i] as number);
      found.value.push(value === value ? value / factor : null);
      found.quality.push(qualities[i] as number);
    }
    return found;
  }

  function samples(gridId: string, deviceId: string, metric: string, fromMs: number, toMs: number): SampleColumns {
    const series = find(gridId, deviceId, metric);
    if (!series || !(toMs > fromMs)) return { ...noColumns, factor: 1 };
    const { times, values, qualities } = columnsOf(series, fromMs, toMs);
    return { times, values, qualities, factor: series.factor };
  }

  /** Digest of what is sealed of a series between a time and the end of its hour. */
  function restOfHour(series: SeriesState, fromMs: number): SeriesDigest {
    const known = ready?.untilMs === fromMs ? ready.rests.get(series) : undefined;
    if (known || series.id === undefined) return known ?? emptyDigest();
    const after = sealed.columns(series.id, fromMs, Math.ceil(fromMs / hourMs) * hourMs);
    return digestOf(after, series.precision, series.hash);
  }

  function* readyJob(gridId: string, untilMs: number): Generator<void, void> {
    const rests = new Map<SeriesState, SeriesDigest>();
    for (const series of ofGrid(gridId)) {
      rests.set(series, restOfHour(series, untilMs));
      yield;
    }
    // Nothing was sealed meanwhile: jobs run one after another.
    ready = { untilMs, rests };
  }

  /**
   * Everything that is sealed without what lies at or after the time, which is little for the usual question; what is
   * open is added. Where samples are gone, a time within an hour counts as the hour's start.
   */
  function completeness(gridId: string, untilMs: number): SeriesCompleteness[] {
    const wholeHour = Math.floor(untilMs / hourMs);
    const nextHour = Math.ceil(untilMs / hourMs);
    const untilDay = Math.floor(wholeHour / 24);
    const later = new Map<number, SeriesDigest>();
    for (const { id, total, a, b } of sealed.sql.chunkDigests.all(timeKey(nextHour, 0), Number.MAX_SAFE_INTEGER)) {
      const seriesId = idOfKey(id);
      let digest = later.get(seriesId);
      if (!digest) later.set(seriesId, (digest = emptyDigest()));
      addDigest(digest, { count: total, a, b });
    }
    const answers: SeriesCompleteness[] = [];
    for (const series of ofGrid(gridId)) {
      const digest = { ...series.sealed };
      if (series.id !== undefined) {
        takeAway(digest, later.get(series.id));
        const rest = sealed.sql.dayDigests.get(dayKey(series.id, untilDay), daysOf(series.id)[1]);
        if (rest) takeAway(digest, { count: rest.total, a: rest.a | 0, b: rest.b | 0 });
        const day = sealed.day(series.id, untilDay);
        for (const [hour, one] of day?.digests ?? []) if (hour >= nextHour) takeAway(digest, one);
        if (nextHour > wholeHour) {
          const hourOfDay = day?.digests.find(([hour]) => hour === wholeHour)?.[1];
          if (hourOfDay && untilDay * dayMs < floors.raw) takeAway(digest, hourOfDay);
          else takeAway(digest, restOfHour(series, untilMs));
        }
      }
      for (const part of series.open) {
        if (part.hour < wholeHour) addDigest(digest, part.digest(series.hash, series.factor));
        else if (part.hour === wholeHour && nextHour > wholeHour) {
          const before = sliceColumns(part.columns(), part.hour * hourMs, untilMs);
          addDigest(digest, digestOf(before, series.precision, series.hash));
        }
      }
      const { deviceId, metric } = series;
      if (digest.count > 0) answers.push({ deviceId, metric, count: digest.count, hash: digestHex(digest) });
    }
    return answers;
  }

  function replaceSamples(gridId: string, removed: readonly Sample[], added: readonly Sample[]): void {
    jobs.finish();
    jobs.runNow(replaceJob(gridId, removed, added, (run) => run()));
  }

  function* replaceJob(
    gridId: string,
    removed: readonly Sample[],
    added: readonly Sample[],
    within: (run: () => void) => void,
  ): Generator<void, true> {
    // After a start, frames that are open come again as they are by then; of one that is sealed in part nobody could tell
    // which of its changed samples are sealed. So what changes is in chunks, and no frame is in part.
    if ([...logs.values()].some((state) => state.hasPart)) yield* sealJob(Number.POSITIVE_INFINITY);
    const edits = editsOf(gridId, removed, added);
    let prepared = yield* prepareEdits(sealed, edits, floors.raw, floors['1m']);
    if (!prepared && openCount > 0) {
      yield* sealJob(Number.POSITIVE_INFINITY);
      prepared = yield* prepareEdits(sealed, edits, floors.raw, floors['1m']);
    }
    if (prepared) {
      const whole = prepared;
      within(() => writeReplacement(gridId, edits, whole, removed));
    } else {
      log.warn('samples whose times are to be put right are not kept any more', { samples: removed.length });
      within(() => {});
    }
    return true;
  }

  /** Writes what a replacement changes, and brings the newest samples up to it. */
  function writeReplacement(
    gridId: string,
    edits: readonly Edit[],
    prepared: PreparedEdits,
    removed: readonly Sample[],
  ): void {
    const before = new Map(edits.map(({ series }) => [series, series.latest]));
    const isSame = (series: SeriesState, sample: Sample) =>
      Math.round(sample.timeMs) === series.latest?.timeMs && find(gridId, sample.deviceId, sample.metric) === series;
    const lost = new Set([...before.keys()].filter((series) => removed.some((one) => isSame(series, one))));
    for (const series of lost) series.latest = undefined;
    for (const { series, part } of edits) {
      const { times, values, qualities } = part.columns();
      const at = times.length - 1;
      const timeMs = times[at];
      if (timeMs !== undefined && timeMs >= (series.latest?.timeMs ?? Number.NEGATIVE_INFINITY))
        series.latest = { timeMs, value: values[at] as number, quality: qualities[at] as number };
    }
    try {
      commit(prepared, edits, () => {
        for (const series of lost) {
          const newest = newestOf(series);
          if (!newest) continue;
          series.latest = newest;
          const value = Number.isNaN(newest.value) ? null : newest.value;
          const { count, a, b } = digestAfter(series, prepared);
          sql.setSeries.run(count, a, b, newest.timeMs, value, newest.quality, series.id as number);
        }
      });
    } catch (error) {
      for (const [series, latest] of before) series.latest = latest;
      throw error;
    }
  }

  function digestAfter(series: SeriesState, { changes }: PreparedEdits): SeriesDigest {
    const digest = { ...series.sealed };
    for (const one of changes) if (one.series === series) addDigest(digest, one.change);
    return digest;
  }

  /** The newest sample by its time of all that are kept. */
  function newestOf(series: SeriesState) {
    let newest = newestSealed(series);
    for (const part of series.open) {
      const last = lastOf(part.columns());
      if (newest === undefined || last.timeMs >= newest.timeMs) newest = last;
    }
    return newest;
  }

  /** The same among those in chunks and days. */
  function newestSealed(series: SeriesState) {
    if (series.id === undefined) return undefined;
    const { id } = series;
    for (const hour of sealed.looseBetween(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY).reverse()) {
      const columns = sealed.chunkColumns(id, hour);
      if (columns && columns.times.length > 0) return lastOf(columns);
    }
    for (const key of sealed.sql.dayIds.all(...daysOf(id)).reverse()) {
      const columns = sealed.dayColumns(id, dayOfKey(key));
      if (columns && columns.times.length > 0) return lastOf(columns);
    }
    return undefined;
  }

  function editsOf(gridId: string, removed: readonly Sample[], added: readonly Sample[]): Edit[] {
    const edits = new Map<string, Edit & { removed: OpenHour }>();
    const editOf = ({ deviceId, metric, timeMs }: Sample) => {
      const hour = Math.floor(Math.round(timeMs) / hourMs);
      const name = `${deviceId} ${metric} ${hour}`;
      let edit = edits.get(name);
      if (edit) return edit;
      let series = find(gridId, deviceId, metric);
      if (!series) put((series = new SeriesState(gridId, deviceId, metric)));
      edits.set(name, (edit = { series, hour, part: new OpenHour(hour), removed: new OpenHour(hour) }));
      return edit;
    };
    const into = (part: OpenHour, series: SeriesState, { timeMs, value, quality }: Sample) =>
      part.add(Math.round(timeMs), value === null ? Number.NaN : Math.round(value * series.factor) + 0, quality);
    for (const sample of removed) {
      const edit = editOf(sample);
      into(edit.removed, edit.series, sample);
    }
    for (const sample of added) {
      const edit = editOf(sample);
      into(edit.part, edit.series, sample);
    }
    return [...edits.values()];
  }

  return {
    applyFrames,
    skipNumbers(source, epoch, first, last) {
      const state = logOf(source, epoch);
      state.skip(first, last);
      database.transaction(() => saveApplied(state, state.done, state.part, state.partBeforeMs)).immediate();
    },
    cursor: (source, epoch) => logOf(source, epoch).applied.contiguous,
    appliedRanges: (source, epoch) => logOf(source, epoch).applied.ranges,
    series: (gridId) => ofGrid(gridId).map(({ deviceId, metric }) => ({ deviceId, metric })),
    latest: (gridId) =>
      ofGrid(gridId).flatMap(({ deviceId, metric, factor, latest }) =>
        latest
          ? [
              {
                deviceId,
                metric,
                timeMs: latest.timeMs,
                value: Number.isNaN(latest.value) ? null : latest.value / factor,
                quality: latest.quality,
              },
            ]
          : [],
      ),
    windows,
    raw,
    samples,
    completeness,
    replaceSamples,
    async replaceInSteps(gridId, removed, added, within) {
      // A job that was abandoned has no result.
      return ((await jobs.run(() => replaceJob(gridId, removed, added, within))) as true | undefined) === true;
    },
    pruneWindows(resolution, beforeMs) {
      if (!(beforeMs > floors[resolution])) return 0;
      const day = Math.floor(beforeMs / dayMs);
      const [from, to] = [Math.max(floors[resolution], -1e15), beforeMs];
      let gone = sealed.looseBetween(from, to).length;
      gone += sealed.sql.rawIds.all(timeKey(Math.floor(from / dayMs), 0), timeKey(Math.ceil(to / dayMs), 0)).length;
      for (const series of all())
        for (const { hour } of series.open)
          if (hour * hourMs < beforeMs && hour * hourMs >= floors[resolution]) gone += 1;
      database
        .transaction(() => {
          if (resolution === '1m') gone += sealed.sql.dropMinutes.run(timeKey(day, 0)).changes;
          if (resolution === '15m') gone += sealed.sql.dropQuarters.run(timeKey(day, 0)).changes;
          sql.setMeta.run(resolution, Math.round(beforeMs));
        })
        .immediate();
      floors[resolution] = beforeMs;
      return gone;
    },
    seal: (beforeMs = Number.POSITIVE_INFINITY) => jobs.run(() => sealJob(beforeMs)),
    sealNow(beforeMs = Number.POSITIVE_INFINITY) {
      jobs.finish();
      jobs.runNow(sealJob(beforeMs));
    },
    packNow(beforeMs) {
      jobs.finish();
      return jobs.runNow(packLooseDays({ database, sealed, seriesById: byId }, beforeMs));
    },
    sealedNumber: (source, epoch) => logOf(source, epoch).done.contiguous,
    packDays: (beforeMs) => jobs.run(() => packLooseDays({ database, sealed, seriesById: byId }, beforeMs)),
    pruneRaw: (beforeMs) =>
      jobs.run(() =>
        prepareRawRemoval({ database, sealed, seriesById: byId }, beforeMs, floors['1m'], (dayEndMs) => {
          sql.setMeta.run('raw', dayEndMs);
          return () => void (floors.raw = Math.max(floors.raw, dayEndMs));
        }),
      ),
    oldestRawMs() {
      const key = sealed.sql.oldestRaw.get();
      return key == null ? undefined : timeOfKey(key) * dayMs;
    },
    async readyCompleteness(gridId, untilMs) {
      if (untilMs % hourMs !== 0 && ready?.untilMs !== untilMs) await jobs.run(() => readyJob(gridId, untilMs));
    },
    forget() {
      jobs.abandon();
      for (const one of [grids, byId, logs]) one.clear();
      seriesOfBlocks = new WeakMap();
      ready = undefined;
      openCount = 0;
      sealed.reload();
      load();
    },
    openSamples: () => openCount,
    isFull: () => openCount > mostOpen,
    damaged: () => sealed.damaged,
  };
}

function takeAway(from: SeriesDigest, other: SeriesDigest | undefined): void {
  if (other) addDigest(from, { count: -other.count, a: -other.a, b: -other.b });
}

const lastOf = ({ times, values, qualities }: ChunkColumns) => ({
  timeMs: times.at(-1) as number,
  value: values.at(-1) as number,
  quality: qualities.at(-1) as number,
});
