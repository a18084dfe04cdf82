import { join } from 'node:path';
import t from 'tap';
import { withoutDigest } from '@villagrid/contracts';
import { createTelemetryStore, frameSamples, NumberRanges, openDatabase, seededRandom } from '../index.js';
import { telemetryFrame, telemetryStoreSuite, tempDir } from '../testing/index.js';

const dir = tempDir(t);
let made = 0;

telemetryStoreSuite(t, 'SQLite telemetry store', ({ frames, zone }) => {
  const path = join(dir, `${(made += 1)}.db`);
  let database = openDatabase({ path });
  const open = () => createTelemetryStore({ database, frames, zoneOf: () => zone });
  return {
    store: open(),
    reopen: () => {
      database.close();
      database = openDatabase({ path });
      return open();
    },
  };
});

t.test('a batch that fails half-way leaves nothing of itself, and can be applied again', async (t) => {
  const database = openDatabase({ path: ':memory:' });
  const store = createTelemetryStore({ database, frames: { framesOverlapping: () => [] }, zoneOf: () => 'UTC' });
  const frames = ['a', 'b'].map((deviceId, i) => ({
    number: i + 1,
    frame: telemetryFrame([{ deviceId, metric: 'generation_kw', timeMs: 1e12, value: 1, quality: 0 }]),
  }));
  database.exec(
    "CREATE TRIGGER broken BEFORE INSERT ON telemetry_latest WHEN NEW.series_id = 2 BEGIN SELECT RAISE(ABORT, 'disk full'); END",
  );
  t.throws(() => store.applyFrames('g', 'gw', 'e', frames), /disk full/);
  t.same([store.series('g'), store.cursor('gw', 'e')], [[], 0]);
  database.exec('DROP TRIGGER broken');
  t.equal(store.applyFrames('g', 'gw', 'e', frames).applied, 2);
  t.same(
    store.latest('g').map(({ deviceId, value }) => [deviceId, value]),
    [
      ['a', 1],
      ['b', 1],
    ],
  );
});

t.test(
  'windows go by grid and in steps; days stay what they were, also where a day begins within an hour',
  async (t) => {
    for (const zone of ['Asia/Kathmandu', 'Africa/Nairobi']) {
      const database = openDatabase({ path: ':memory:' });
      const store = createTelemetryStore({ database, frames: { framesOverlapping: () => [] }, zoneOf: () => zone });
      const [fromMs, days] = [Date.UTC(2026, 2, 1), 20];
      for (const grid of ['g', 'other']) {
        const samples = Array.from({ length: days * 144 }, (_, i) =>
          ['generation_kw', 'ac_output_voltage_v'].map((metric) => ({
            ...{ deviceId: 'a', metric, quality: 0 },
            ...{ timeMs: fromMs + i * 600_000, value: (i * 7) % 31 },
          })),
        );
        store.applyFrames(grid, 'gw', grid, [{ number: 1, frame: telemetryFrame(samples.flat()) }]);
      }
      const untilMs = fromMs + days * 86_400_000;
      const windows = (grid: string, metric: string, resolution: '1m' | '15m' | '1d') =>
        store.windows(grid, 'a', metric, resolution, fromMs, untilMs);
      const [dayMs, nextMs] = [fromMs + 3 * 86_400_000, fromMs + 4 * 86_400_000];
      const [until, part] = [nextMs, dayMs].map((timeMs) => store.completeness('g', timeMs));
      t.same(
        store.digests('g', dayMs, nextMs).map(({ count, hash }) => ({ count, hash })),
        until?.map((one, at) => withoutDigest(one, part?.[at])),
        'a day is what came before its end without what came before its start',
      );
      t.equal(store.digests('g', dayMs, nextMs)[0]?.count, 144);
      const before = windows('g', 'generation_kw', '1d');
      const spares = (metric: string) => metric !== 'generation_kw';
      const steps = [...store.removeWindows({ gridId: 'g', resolution: '15m', fromMs: 0, beforeMs: untilMs, spares })];
      t.ok(steps.length > 3 && steps.every((gone) => gone <= 500), `${steps}`);
      t.equal(windows('g', 'generation_kw', '15m').t.length, zone === 'Asia/Kathmandu' ? days * 4 : 0);
      t.same(windows('g', 'generation_kw', '1d'), before);
      t.equal(windows('g', 'ac_output_voltage_v', '15m').t.length, days * 96, 'a spared series');
      t.equal(windows('other', 'generation_kw', '15m').t.length, days * 96, 'another grid');
      const beforeMs = fromMs + 10 * 86_400_000;
      for (const _ of store.removeWindows({ gridId: 'g', resolution: '1m', fromMs: 0, beforeMs }));
      t.equal(windows('g', 'generation_kw', '1m').t[0], beforeMs);
      t.same(store.grids(), ['g', 'other']);
      database.close();
    }
  },
);

t.test('ranges hold exactly the numbers that were added, in whatever order', async (t) => {
  const random = seededRandom(process.env.SEED ?? 5);
  const ranges = new NumberRanges();
  const added = new Set<number>();
  for (let i = 0; i < 400; i += 1) {
    const first = 1 + Math.floor(random.float() * 500);
    const last = first + Math.floor(random.float() * 3);
    ranges.add(first, last);
    for (let n = first; n <= last; n += 1) added.add(n);
    const wrong = Array.from({ length: 510 }, (_, n) => n).find((n) => ranges.has(n) !== added.has(n));
    if (wrong !== undefined) t.fail(`${wrong} after adding ${first} to ${last}`);
  }
  let contiguous = 0;
  while (added.has(contiguous + 1)) contiguous += 1;
  t.equal(ranges.contiguous, contiguous);
  t.ok(
    ranges.ranges.every(([first, last], i, all) => first <= last && (i === 0 || first > (all[i - 1]?.[1] ?? 0) + 1)),
  );
});

t.test('samples of several series come out of frames whole and in order, whatever frames they are in', async (t) => {
  const startMs = 1_767_225_600_000;
  const sample = (deviceId: string, second: number, value: number | null) => ({
    deviceId,
    metric: 'generation_kw',
    timeMs: startMs + second * 1000,
    value,
    quality: value === null ? 66 : 0,
  });
  // The second frame reaches over the end of a lookup of ten minutes, and lies before the first in time.
  const frames = [
    telemetryFrame([sample('a', 1300, 3), sample('b', 1300, 9)]),
    telemetryFrame([sample('a', 590, 1), sample('a', 610, null), sample('c', 600, 7)]),
    telemetryFrame([sample('a', -1, 0), sample('a', 1800, 4), sample('b', 5, 8)]),
  ];
  const overlapping = (fromMs: number, toMs: number) =>
    frames.filter((one) => one.samples.some(({ timeMs }) => timeMs >= fromMs && timeMs < toMs));
  const series = [
    { deviceId: 'b', metric: 'generation_kw' },
    { deviceId: 'a', metric: 'generation_kw' },
    { deviceId: 'a', metric: 'consumption_kw' },
  ];
  const steps = frameSamples({ framesOverlapping: overlapping }, 'g', series, startMs, startMs + 1_800_000);
  let count = 0;
  let found = steps.next();
  for (; found.done !== true; found = steps.next()) count += 1;
  t.ok(count >= 4, `${count} steps`);
  t.same(
    found.value.map((one) => [...one.times].map((time, at) => [(time - startMs) / 1000, one.values[at]])),
    [
      [
        [5, 8],
        [1300, 9],
      ],
      [
        [590, 1],
        [610, Number.NaN],
        [1300, 3],
      ],
      [],
    ],
  );
});
