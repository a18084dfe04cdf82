/** What every telemetry store promises, run against real ones. */
import {
  emptyColumns,
  emptyDigest,
  appendWindow,
  digestHex,
  foldSample,
  localDayStartMs,
  qualityClass,
  qualityCodes,
  quantise,
  resolutionMs,
  seriesHasher,
  windowOf,
  type Frame,
  type RandomSource,
  type Resolution,
  type RollupWindow,
  type Sample,
  type WindowColumns,
} from '@villagrid/contracts';
import type { Test } from 'tap';
import { seededRandom } from '../clock/random.js';
import type { FrameReader, NumberedFrame, TelemetryStore } from '../telemetry/types.js';

/** A store under test. `reopen` closes it and opens the same data again, as a restart does. */
export interface TelemetryStoreUnderTest {
  readonly store: TelemetryStore;
  reopen(): TelemetryStore;
}
/** Makes an empty store whose grids lie in the given zone. */
export type MakeTelemetryStore = (options: { frames: FrameReader; zone: string }) => TelemetryStoreUnderTest;

const grid = 'g1';
const series = [
  ['inv-1', 'generation_kw', 3],
  ['inv-1', 'equipment_temp_c.inverter', 2],
  ['meter', 'consumption_kw', 3],
  ['meter', 'grid_tie_connected', 0],
] as const;
const startMs = Date.UTC(2026, 2, 27, 22, 50);
const stepMs = 41_000;

/** A frame as a gateway would commit it. */
export function telemetryFrame(samples: readonly Sample[]): Frame {
  const wallMs = samples.at(-1)?.timeMs ?? startMs;
  return { boot: 'b', monotonicMs: 0, wallMs, trust: 'ntp', samples, events: [], entries: [], received: [] };
}

/** Frames of some days, with late, bad and missing samples. */
function makeFrames(random: RandomSource, count: number): NumberedFrame[] {
  return Array.from({ length: count }, (_, index) => {
    const samples: Sample[] = [];
    for (const [deviceId, metric, precision] of series) {
      if (random.float() < 0.1) continue;
      const late = random.float() < 0.05 ? Math.floor(random.float() * 7_200_000) * 2 + 1 : 0;
      const odd = random.float();
      const quality =
        odd < 0.03 ? qualityCodes.bad_range : odd < 0.06 ? qualityCodes.uncertain_clock : qualityCodes.good;
      const value = odd > 0.97 ? null : quantise(random.float() * 80 - (precision === 3 ? 20 : 0), precision);
      samples.push({
        deviceId,
        metric,
        timeMs: startMs + index * stepMs - late,
        value,
        quality: value === null ? qualityCodes.bad_no_value : quality,
      });
    }
    return { number: index + 1, frame: telemetryFrame(samples) };
  });
}

const readerOf = (frames: readonly NumberedFrame[]): FrameReader => ({
  framesOverlapping: (fromMs, toMs) =>
    frames
      .map(({ frame }) => frame)
      .filter((frame) => frame.samples.some(({ timeMs }) => timeMs >= fromMs && timeMs < toMs)),
});

function shuffled<T>(items: readonly T[], random: RandomSource): T[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random.float() * (i + 1));
    [copy[i], copy[j]] = [copy[j] as T, copy[i] as T];
  }
  return copy;
}

/** Everything of a store that must not depend on how frames came. */
function facts(store: TelemetryStore, untilMs: number) {
  const windows: Record<string, WindowColumns> = {};
  for (const [deviceId, metric] of series) {
    for (const resolution of Object.keys(resolutionMs) as Resolution[]) {
      windows[`${deviceId} ${metric} ${resolution}`] = store.windows(
        grid,
        deviceId,
        metric,
        resolution,
        startMs - 1e9,
        startMs + 1e10,
      );
    }
  }
  return {
    windows,
    latest: store.latest(grid),
    series: store.series(grid),
    completeness: store.completeness(grid, untilMs),
  };
}

/** Windows by the plainest possible fold. */
function naiveWindows(
  frames: readonly NumberedFrame[],
  deviceId: string,
  metric: string,
  startOf: (timeMs: number) => number,
): WindowColumns {
  const windows = new Map<number, RollupWindow>();
  for (const sample of frames.flatMap(({ frame }) => frame.samples)) {
    if (
      sample.deviceId !== deviceId ||
      sample.metric !== metric ||
      sample.value === null ||
      qualityClass(sample.quality) === 'bad'
    )
      continue;
    const start = startOf(sample.timeMs);
    const window = windows.get(start);
    if (window) foldSample(window, sample.timeMs, sample.value);
    else windows.set(start, windowOf(start, sample.timeMs, sample.value));
  }
  const columns = emptyColumns();
  for (const window of [...windows.values()].sort((a, b) => a.startMs - b.startMs)) appendWindow(columns, window);
  return columns;
}

/** Runs the suite; prints its seed, which SEED replays. */
export function telemetryStoreSuite(t: Test, name: string, makeStore: MakeTelemetryStore): void {
  const seed = process.env.SEED ?? '20260327';
  const frames = makeFrames(seededRandom(seed), 2500);
  const untilMs = startMs + 1500 * stepMs + 12_345;
  const reader = readerOf(frames);
  const zones = ['Africa/Maputo', 'Asia/Kathmandu', 'Europe/Berlin'];
  t.comment(`${name}: seed ${seed}`);

  t.test(
    `${name}: windows of every resolution equal a naive fold of the good samples, days by the grid's zone`,
    async (t) => {
      for (const zone of zones) {
        const { store } = makeStore({ frames: reader, zone });
        store.applyFrames(grid, 'gw', 'e1', frames);
        for (const [deviceId, metric] of series) {
          for (const resolution of Object.keys(resolutionMs) as Resolution[]) {
            const width = resolutionMs[resolution];
            const startOf = (timeMs: number) =>
              resolution === '1d' ? localDayStartMs(zone, timeMs) : Math.floor(timeMs / width) * width;
            const found = store.windows(grid, deviceId, metric, resolution, startMs - 1e9, startMs + 1e10);
            const wanted = naiveWindows(frames, deviceId, metric, startOf);
            const what = `${zone} ${deviceId} ${metric} ${resolution}`;
            for (const column of ['t', 'min', 'max', 'last', 'count'] as const)
              t.same(found[column], wanted[column], `${what} ${column}`);
            t.ok(
              found.mean.every((mean, i) => Math.abs(mean - (wanted.mean[i] as number)) < 1e-9),
              `${what} mean`,
            );
          }
        }
      }
    },
  );

  t.test(`${name}: the same frames twice, in any order, in any pieces, give the same`, async (t) => {
    const random = seededRandom(`${seed} order`);
    const { store: plain } = makeStore({ frames: reader, zone: zones[0] as string });
    t.same(plain.applyFrames(grid, 'gw', 'e1', frames), { applied: 2500, skipped: 0, upTo: 2500 });
    t.same(plain.applyFrames(grid, 'gw', 'e1', frames), { applied: 0, skipped: 2500, upTo: 2500 });
    const { store } = makeStore({ frames: reader, zone: zones[0] as string });
    const rest = shuffled([...frames, ...frames.slice(100, 900)], random);
    while (rest.length > 0) store.applyFrames(grid, 'gw', 'e1', rest.splice(0, 1 + Math.floor(random.float() * 200)));
    t.same(facts(store, untilMs), facts(plain, untilMs));
    t.equal(store.cursor('gw', 'e1'), 2500);
  });

  t.test(`${name}: another epoch or source is another log`, async (t) => {
    const { store } = makeStore({ frames: reader, zone: zones[0] as string });
    store.applyFrames(grid, 'gw', 'e1', frames.slice(0, 10));
    t.equal(
      store.applyFrames(
        grid,
        'gw',
        'e2',
        frames.slice(10, 20).map((one, i) => ({ ...one, number: i + 1 })),
      ).applied,
      10,
    );
    t.equal(store.applyFrames('g2', 'gw-2', 'e1', frames.slice(0, 5)).applied, 5);
    t.equal(store.cursor('gw', 'e2'), 10);
    const total = (gridId: string) =>
      store.completeness(gridId, Math.ceil((startMs + 1e9) / 3.6e6) * 3.6e6).reduce((sum, one) => sum + one.count, 0);
    const samples = (list: readonly NumberedFrame[]) => list.reduce((sum, { frame }) => sum + frame.samples.length, 0);
    t.equal(total(grid), samples(frames.slice(0, 20)));
    t.equal(total('g2'), samples(frames.slice(0, 5)), 'grids are kept apart');
  });

  t.test(`${name}: the cursor stands before a hole until it is filled or given up`, async (t) => {
    const { store } = makeStore({ frames: reader, zone: zones[0] as string });
    store.applyFrames(
      grid,
      'gw',
      'e1',
      frames.filter(({ number }) => number !== 3 && number !== 7),
    );
    t.equal(store.cursor('gw', 'e1'), 2);
    t.same(store.appliedRanges('gw', 'e1'), [
      [1, 2],
      [4, 6],
      [8, 2500],
    ]);
    t.equal(store.applyFrames(grid, 'gw', 'e1', frames.slice(2, 3)).upTo, 6);
    store.skipNumbers('gw', 'e1', 7, 7);
    t.equal(store.cursor('gw', 'e1'), 2500);
    t.equal(store.applyFrames(grid, 'gw', 'e1', frames.slice(6, 7)).applied, 0, 'what was given up stays given up');
  });

  t.test(`${name}: a restart keeps everything`, async (t) => {
    const under = makeStore({ frames: reader, zone: zones[0] as string });
    under.store.applyFrames(grid, 'gw', 'e1', frames.slice(0, 1200));
    const before = facts(under.store, untilMs);
    const store = under.reopen();
    t.same(facts(store, untilMs), before);
    t.equal(store.applyFrames(grid, 'gw', 'e1', frames.slice(1000, 1300)).applied, 100);
  });

  t.test(`${name}: completeness counts and hashes every sample before the time, also within an hour`, async (t) => {
    const { store } = makeStore({ frames: reader, zone: zones[0] as string });
    store.applyFrames(grid, 'gw', 'e1', shuffled(frames, seededRandom(`${seed} again`)));
    for (const until of [untilMs, Math.floor(untilMs / 3.6e6) * 3.6e6, startMs - 1e9]) {
      const wanted = [];
      for (const [deviceId, metric] of series) {
        const digest = emptyDigest();
        const hash = seriesHasher(deviceId, metric);
        for (const sample of frames.flatMap(({ frame }) => frame.samples)) {
          if (sample.deviceId === deviceId && sample.metric === metric && sample.timeMs < until)
            hash(digest, sample.timeMs, sample.value, sample.quality);
        }
        if (digest.count > 0) wanted.push({ deviceId, metric, count: digest.count, hash: digestHex(digest) });
      }
      wanted.sort((a, b) => (`${a.deviceId} ${a.metric}` < `${b.deviceId} ${b.metric}` ? -1 : 1));
      t.same(store.completeness(grid, until), wanted);
    }
  });

  t.test(
    `${name}: raw samples come in order of time with their quality; the newest value is the newest by its time`,
    async (t) => {
      const { store } = makeStore({ frames: reader, zone: zones[0] as string });
      store.applyFrames(grid, 'gw', 'e1', frames.slice(1250));
      store.applyFrames(grid, 'gw', 'e1', frames.slice(0, 1250));
      const [fromMs, toMs] = [startMs + 100 * stepMs, startMs + 200 * stepMs];
      const all = frames
        .flatMap(({ frame }) => frame.samples)
        .filter((one) => one.deviceId === 'meter' && one.metric === 'consumption_kw');
      const wanted = all.filter(({ timeMs }) => timeMs >= fromMs && timeMs < toMs).sort((a, b) => a.timeMs - b.timeMs);
      t.same(store.raw(grid, 'meter', 'consumption_kw', fromMs, toMs), {
        t: wanted.map((one) => one.timeMs),
        value: wanted.map((one) => one.value),
        quality: wanted.map((one) => one.quality),
      });
      const newest = all.reduce((a, b) => (b.timeMs >= a.timeMs ? b : a));
      t.match(
        store.latest(grid).find((one) => one.metric === 'consumption_kw'),
        { timeMs: newest.timeMs, value: newest.value, quality: newest.quality },
      );
      t.same(
        store.series(grid).map((one) => one.metric),
        ['equipment_temp_c.inverter', 'generation_kw', 'consumption_kw', 'grid_tie_connected'],
      );
      t.same(store.windows(grid, 'nobody', 'consumption_kw', '1h', fromMs, toMs), emptyColumns());
    },
  );

  t.test(`${name}: what retention deletes is gone, the rest stays`, async (t) => {
    const { store } = makeStore({ frames: reader, zone: zones[0] as string });
    store.applyFrames(grid, 'gw', 'e1', frames);
    const hours = store.windows(grid, 'meter', 'consumption_kw', '1h', startMs - 1e9, startMs + 1e10);
    t.ok(store.pruneWindows('1m', startMs + 1e6) > 0);
    t.ok(
      (store.windows(grid, 'meter', 'consumption_kw', '1m', startMs - 1e9, startMs + 1e10).t[0] as number) >=
        startMs + 1e6,
    );
    t.same(store.windows(grid, 'meter', 'consumption_kw', '1h', startMs - 1e9, startMs + 1e10), hours);
  });

  t.test(`${name}: samples put in place of others leave no trace of these`, async (t) => {
    const shift = 3 * 3_600_000 + 17;
    const isMoved = (sample: Sample) =>
      sample.deviceId === 'inv-1' &&
      sample.timeMs >= startMs + 2300 * stepMs &&
      sample.timeMs < startMs + 2480 * stepMs;
    const moved = frames.map(({ number, frame }) => ({
      number,
      frame: telemetryFrame(frame.samples.map((one) => (isMoved(one) ? { ...one, timeMs: one.timeMs + shift } : one))),
    }));
    let now = frames;
    const changing: FrameReader = {
      framesOverlapping: (...args) => readerOf(now).framesOverlapping(...args),
    };
    const under = makeStore({ frames: changing, zone: zones[0] as string });
    under.store.applyFrames(grid, 'gw', 'e1', frames);
    const removed = frames.flatMap(({ frame }) => frame.samples.filter(isMoved));
    const added = removed.map((one) => ({ ...one, timeMs: one.timeMs + shift }));
    now = moved;
    under.store.replaceSamples(grid, removed, added);
    const wanted = makeStore({ frames: readerOf(moved), zone: zones[0] as string }).store;
    wanted.applyFrames(grid, 'gw', 'e1', moved);
    const [last, whole] = [startMs + 2600 * stepMs, Math.floor(untilMs / 3.6e6) * 3.6e6];
    for (const until of [last, whole]) t.same(facts(under.store, until), facts(wanted, until));
    const raw = (store: TelemetryStore) =>
      store.raw(grid, 'inv-1', 'generation_kw', startMs + 2250 * stepMs, startMs + 3000 * stepMs);
    t.same(raw(under.store), raw(wanted));
    t.same(facts(under.reopen(), last), facts(wanted, last), 'and it lasts');
  });

  t.test(`${name}: when the newest sample's time was wrong, the newest value is another one`, async (t) => {
    const sample = (timeMs: number, value: number): Sample => ({
      deviceId: 'meter',
      metric: 'consumption_kw',
      timeMs,
      value,
      quality: 0,
    });
    let now = [sample(startMs, 1), sample(startMs + 9e9, 2)];
    const { store } = makeStore({
      frames: { framesOverlapping: () => [telemetryFrame(now)] },
      zone: zones[0] as string,
    });
    store.applyFrames(grid, 'gw', 'e1', [{ number: 1, frame: telemetryFrame(now) }]);
    t.match(store.latest(grid), [{ value: 2 }]);
    const right = sample(startMs - 5e7, 2);
    const before = now;
    now = [right, sample(startMs, 1)];
    store.replaceSamples(grid, [before[1] as Sample], [right]);
    t.match(store.latest(grid), [{ value: 1, timeMs: startMs }]);
    t.same(store.windows(grid, 'meter', 'consumption_kw', '1h', startMs - 1e9, startMs + 1e10).last, [2, 1]);
  });
}
