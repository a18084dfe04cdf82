/**
 * What the cloud promises of telemetry wherever its history is kept, run against each store with the real archive and the
 * real projection before it.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  appendWindow,
  decodeFrame,
  emptyColumns,
  foldSample,
  localDayStartMs,
  qualityClass,
  qualityCodes,
  resolutionMs,
  windowOf,
  type Clock,
  type Frame,
  type Resolution,
  type RollupWindow,
  type Sample,
  type WindowColumns,
} from '@villagrid/contracts';
import {
  ClockLedger,
  createAlertStore,
  migrateModule,
  openDatabase,
  seededRandom,
  type Logger,
  type SqliteDatabase,
  type TelemetryStoreOptions,
} from '@villagrid/runtime';
import { memoryLog, tempDir, testClock } from '@villagrid/runtime/testing';
import type { Test } from 'tap';
import { examineFrame } from '../etl/frame.js';
import { createProjector } from '../ingest/project.js';
import { newCounters } from '../observe/counters.js';
import { createActStore } from '../stores/act-store.js';
import { createLinkStore } from '../stores/link-store.js';
import { cloudMigrations } from '../stores/schema.js';
import { createSqliteUplinkStore, type SqliteUplinkStore } from '../stores/sqlite-uplink-store.js';
import type { ProjectedTelemetry } from '../stores/telemetry.js';
import type { FrameToArchive } from '../stores/uplink-store.js';
import type { WindowHistory } from '../stores/window-history.js';
import { testFrame } from './gateway-side.js';

/** What a store of history is opened with. */
export interface HistoryContext extends TelemetryStoreOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: SqliteUplinkStore;
  /** How long windows stay here when their store is elsewhere. */
  readonly keepDays: number;
}

/** A store under test. */
export interface HistoryUnderTest {
  /** Opens it over a database; of the same database later, it is the same store. */
  open(context: HistoryContext): { readonly telemetry: ProjectedTelemetry; readonly history: WindowHistory };
  /** From now on it fails, until what is given back is called. */
  breakDown(how: 'away' | 'answer lost', database: SqliteDatabase): () => void;
}

/** Noon of a Saturday before a change of the clocks in Europe. */
const startMs = Date.UTC(2026, 2, 28, 11, 58);
const stepMs = 217_000;
const frameCount = 360;
const endMs = startMs + frameCount * stepMs;
const series = [
  ['inv-01', 'generation_kw', 3],
  ['bat-01', 'battery_soc_pct', 1],
  ['met-01', 'equipment_temp_c.inverter', 2],
] as const;
const everything = [startMs - 1e9, endMs + 1e9] as const;

/** The cloud from the archive to history, over one database. */
export interface Pipeline extends ReturnType<HistoryUnderTest['open']> {
  readonly store: SqliteUplinkStore;
  /** Archives; gives the number up to which the gateway is told that all is safe. */
  accept(frames: readonly NumberedBytes[]): number;
  /** Projects and sends all. Rejects when history cannot be brought where it belongs. */
  settle(): Promise<void>;
  windows(device: string, metric: string, resolution: Resolution): Promise<WindowColumns>;
  restart(more?: { readonly keepDays: number }): Pipeline;
}
export interface NumberedBytes {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** Opens the pipeline, in a new database if none is given. */
export function openPipeline(
  t: Test,
  under: HistoryUnderTest,
  options: {
    readonly zone?: string;
    readonly keepDays?: number;
    readonly database?: SqliteDatabase;
    readonly nowMs?: number;
  } = {},
): Pipeline {
  const { zone = 'UTC', keepDays = 0, database = newDatabase(t), nowMs = endMs + 864e5 } = options;
  const clock = testClock();
  const historyClock: Clock = { ...clock, nowMs: () => nowMs };
  const { log } = memoryLog({ clock });
  const store = createSqliteUplinkStore(database);
  const ledger = new ClockLedger(database);
  const frames = ledger.reader({
    *framesOverlapping(fromMs: number, toMs: number, gridId: string): Generator<Frame> {
      for (const bytes of store.framesBetween(gridId, fromMs, toMs, projector.cursor)) yield decodeFrame(bytes);
    },
  });
  const context = { database, frames, zoneOf: () => zone, clock: historyClock, log, store, keepDays };
  const { telemetry, history } = under.open(context);
  const projector = createProjector({
    database,
    store,
    telemetry,
    ledger,
    alerts: createAlertStore({ database }),
    links: createLinkStore(database),
    acts: createActStore(database),
    clock: historyClock,
    realClock: clock,
    random: seededRandom(1),
    log,
    counters: newCounters(),
    onProjected() {},
  });
  return {
    store,
    telemetry,
    history,
    accept(all) {
      store.accept([{ gatewayId: 'gw-1', gridId: 'alpha', epoch: 'E1', frames: all.map(toArchive) }], [], nowMs);
      return store.receipt('gw-1', 'E1').up_to;
    },
    async settle() {
      for (let tries = 0; tries === 0 || projector.behind; tries += 1) {
        if (tries === 10) throw new Error('the projection does not get on');
        projector.run();
        await clock.advance(60_000);
      }
      await history.drained();
    },
    windows: (device, metric, resolution) => history.windows('alpha', device, metric, resolution, ...everything),
    restart(more) {
      projector.stop();
      const again = openDatabase({ path: database.name, busyTimeoutMs: 10 });
      t.teardown(() => again.close());
      database.close();
      return openPipeline(t, under, { zone, keepDays, database: again, nowMs, ...more });
    },
  };
}

/** A database with the cloud's tables, in a folder of the test. */
export function newDatabase(t: Test): SqliteDatabase {
  const database = openDatabase({ path: join(tempDir(t), 'cloud.db'), busyTimeoutMs: 10 });
  t.teardown(() => database.close());
  migrateModule(database, 'cloud', cloudMigrations);
  return database;
}

function toArchive({ number, bytes }: NumberedBytes): FrameToArchive {
  const examined = examineFrame(bytes, 'alpha');
  if (!examined.ok) throw new Error(examined.reason);
  const hash = createHash('sha256').update(bytes).digest();
  return { number, bytes, hash, bad: null, fromMs: examined.fromMs, toMs: examined.toMs };
}

/** Frames with late, bad and missing samples, and some hours without any. */
function makeFrames(seed: string): { readonly frames: NumberedBytes[]; readonly samples: Sample[] } {
  const random = seededRandom(seed);
  const samples: Sample[] = [];
  const frames = Array.from({ length: frameCount }, (_, index): NumberedBytes => {
    const mine: Sample[] = [];
    for (const [deviceId, metric, precision] of series) {
      if (random.float() < 0.1 || (index > 120 && index < 160)) continue;
      const odd = random.float();
      const late = odd > 0.9 ? Math.floor(random.float() * 3_600_000) * 2 + 1 : 0;
      const value = odd < 0.05 ? null : Math.round((random.float() * 80 - 20) * 10 ** precision) / 10 ** precision;
      const quality =
        value === null
          ? qualityCodes.bad_no_value
          : odd < 0.1
            ? qualityCodes.bad_range
            : odd < 0.15
              ? qualityCodes.uncertain_clock
              : qualityCodes.good;
      mine.push({ deviceId, metric, timeMs: startMs + index * stepMs - late, value, quality });
    }
    samples.push(...mine);
    return { number: index + 1, bytes: testFrame(index + 1, { samples: mine }) };
  });
  return { frames, samples };
}

/** Windows by the plainest possible fold. */
function plainFold(samples: readonly Sample[], device: string, metric: string, resolution: Resolution, zone: string) {
  const windows = new Map<number, RollupWindow>();
  for (const { deviceId, metric: of, timeMs, value, quality } of samples) {
    if (deviceId !== device || of !== metric || value === null || qualityClass(quality) === 'bad') continue;
    const width = resolutionMs[resolution];
    const start = resolution === '1d' ? localDayStartMs(zone, timeMs) : Math.floor(timeMs / width) * width;
    const window = windows.get(start);
    if (window) foldSample(window, timeMs, value);
    else windows.set(start, windowOf(start, timeMs, value));
  }
  const columns = emptyColumns();
  for (const window of [...windows.values()].sort((a, b) => a.startMs - b.startMs)) appendWindow(columns, window);
  return columns;
}

/** Runs the suite; prints its seed, which SEED replays. */
export function cloudTelemetrySuite(t: Test, name: string, make: (t: Test) => Promise<HistoryUnderTest>): void {
  const seed = process.env.SEED ?? '20260328';
  const { frames, samples } = makeFrames(seed);
  t.comment(`${name}: seed ${seed}`);

  /** Every window and every proof is as if the samples had come once and in order. */
  const isWhole = async (t: Test, pipeline: Pipeline, wanted: readonly Sample[], zone = 'UTC'): Promise<void> => {
    for (const [device, metric] of series) {
      for (const resolution of Object.keys(resolutionMs) as Resolution[]) {
        const found = await pipeline.windows(device, metric, resolution);
        const plain = plainFold(wanted, device, metric, resolution, zone);
        const what = `${zone} ${device} ${metric} ${resolution}`;
        t.same({ ...found, mean: [] }, { ...plain, mean: [] }, what);
        t.ok(
          found.mean.every((mean, i) => Math.abs(mean - (plain.mean[i] as number)) < 1e-9),
          `${what} mean`,
        );
      }
    }
    t.equal(
      pipeline.telemetry.completeness('alpha', everything[1]).reduce((sum, { count }) => sum + count, 0),
      wanted.length,
      'samples of every quality are counted',
    );
  };

  t.test(
    `${name}: every resolution is a plain fold of the good samples, days by the grid's zone; what was not measured is a gap`,
    async (t) => {
      const under = await make(t);
      for (const [index, zone] of ['Africa/Maputo', 'Asia/Kathmandu', 'Europe/Berlin'].entries()) {
        // In a store of its own each, and for the last nothing is let go here.
        const pipeline = openPipeline(t, index === 0 ? under : await make(t), { zone, keepDays: index === 2 ? 35 : 0 });
        t.equal(pipeline.accept(frames), frameCount);
        await pipeline.settle();
        await isWhole(t, pipeline, samples, zone);
        t.same(await pipeline.history.windows('beta', 'inv-01', 'generation_kw', '1h', ...everything), emptyColumns());
        const [fromMs, toMs] = [startMs + 7.7e6, startMs + 2e7];
        const hours = await pipeline.history.windows('alpha', 'inv-01', 'generation_kw', '1h', fromMs, toMs);
        const all = plainFold(samples, 'inv-01', 'generation_kw', '1h', zone).t;
        t.same(
          hours.t,
          all.filter((start) => start > fromMs - 3.6e6 && start < toMs),
          'a stretch begins with the window its start lies in',
        );
      }
    },
  );

  t.test(
    `${name}: the same frames twice, in any order and in pieces, with restarts between, give the same`,
    async (t) => {
      const random = seededRandom(`${seed} order`);
      let pipeline = openPipeline(t, await make(t));
      const rest = [...frames, ...frames.slice(60, 180)]
        .map((frame) => [random.float(), frame] as const)
        .sort(([a], [b]) => a - b)
        .map(([, frame]) => frame);
      while (rest.length > 0) {
        pipeline.accept(rest.splice(0, 1 + Math.floor(random.float() * 150)));
        if (random.float() < 0.7) await pipeline.settle();
        if (random.float() < 0.4) pipeline = pipeline.restart();
      }
      await pipeline.settle();
      await isWhole(t, pipeline, samples);
    },
  );

  t.test(
    `${name}: what a gateway was told is safe is shown in the end, though the store was gone in the middle`,
    async (t) => {
      const under = await make(t);
      const database = newDatabase(t);
      let pipeline = openPipeline(t, under, { database });
      let told = pipeline.accept(frames.slice(0, 120));
      await pipeline.settle();
      for (const [how, first, last] of [
        ['away', 120, 210],
        ['answer lost', 210, 300],
      ] as const) {
        const mend = under.breakDown(how, database);
        // Where the archive fails too there is no receipt, and the gateway sends again.
        try {
          told = pipeline.accept(frames.slice(first, last));
          t.equal(told, last, 'a receipt waits for nothing but the archive');
        } catch {
          t.equal(told, first);
        }
        const failed = await pipeline.settle().then(
          () => false,
          () => true,
        );
        t.equal(failed, told === last, 'what was taken waits');
        mend();
        told = pipeline.accept(frames.slice(first, last));
        if (how === 'away') await pipeline.settle();
      }
      pipeline = pipeline.restart();
      told = pipeline.accept(frames.slice(300));
      t.equal(told, frameCount);
      await pipeline.settle();
      await isWhole(t, pipeline, samples);
    },
  );

  t.test(`${name}: what retention deletes is gone, also after a restart; other resolutions stay`, async (t) => {
    let pipeline = openPipeline(t, await make(t));
    pipeline.accept(frames);
    await pipeline.settle();
    const beforeMs = Math.floor((startMs + 3e7) / 3.6e6) * 3.6e6;
    const hours = await pipeline.windows('inv-01', 'generation_kw', '1h');
    pipeline.telemetry.pruneWindows('1m', beforeMs);
    const wanted = plainFold(samples, 'inv-01', 'generation_kw', '1m', 'UTC').t.filter((start) => start >= beforeMs);
    t.same((await pipeline.windows('inv-01', 'generation_kw', '1m')).t, wanted, 'at once');
    await pipeline.settle();
    pipeline = pipeline.restart();
    t.same((await pipeline.windows('inv-01', 'generation_kw', '1m')).t, wanted);
    t.same(await pipeline.windows('inv-01', 'generation_kw', '1h'), hours);
  });

  t.test(`${name}: samples whose times were put right leave no trace at their old ones`, async (t) => {
    const database = newDatabase(t);
    const pipeline = openPipeline(t, await make(t), { database, keepDays: 35 });
    const shift = 5 * 3_600_000 + 17;
    const right = frames.map(({ number, bytes }) => ({ number, samples: decodeFrame(bytes).samples }));
    const isWrong = (number: number): boolean => number > 180 && number <= 250;
    const wrong = right.map(({ number, samples }) => ({
      number,
      samples: isWrong(number) ? samples.map((one) => ({ ...one, timeMs: one.timeMs - shift })) : samples,
    }));
    pipeline.accept(wrong.map(({ number, samples }) => ({ number, bytes: testFrame(number, { samples }) })));
    await pipeline.settle();
    // The archive gives the right times from now on, as the ledger of clocks makes it.
    const rewrite = database.prepare('UPDATE cloud_frame SET bytes = ?, from_ms = ?, to_ms = ? WHERE number = ?');
    for (const { bytes, fromMs, toMs, number } of frames.map(toArchive))
      if (isWrong(number)) rewrite.run(bytes, fromMs, toMs, number);
    const of = (all: typeof right): Sample[] =>
      all.filter(({ number }) => isWrong(number)).flatMap((one) => one.samples);
    pipeline.telemetry.replaceSamples('alpha', of(wrong), of(right));
    await isWhole(t, pipeline, samples);
    await pipeline.settle();
    const later = pipeline.restart({ keepDays: 0 });
    await later.settle();
    await isWhole(t, later, samples);
  });
}
