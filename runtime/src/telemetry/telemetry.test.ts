import { join } from 'node:path';
import t from 'tap';
import { withoutDigest } from '@villagrid/contracts';
import {
  closeWindowOutbox,
  createTelemetryStore,
  frameSamples,
  NumberRanges,
  openDatabase,
  openWindowOutbox,
  seededRandom,
  type LeavingSeries,
} from '../index.js';
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

t.test('windows that are kept elsewhere are sent when they ended or changed, let go late, and go on as parts', (t) => {
  const database = openDatabase({ path: join(dir, 'outbox.db') });
  const day = 86_400_000;
  const startMs = 20_500 * day;
  const store = createTelemetryStore({ database, frames: { framesOverlapping: () => [] }, zoneOf: () => 'UTC' });
  let outbox = openWindowOutbox(database, 'one');
  let number = 0;
  const measure = (minute: number, value: number) => {
    const timeMs = startMs + minute * 60_000;
    const frame = telemetryFrame([{ deviceId: 'd', metric: 'generation_kw', timeMs, value, quality: 0 }]);
    store.applyFrames('g', 'gw', 'e', [{ number: (number += 1), frame }]);
  };
  const due = (endedByMs = startMs + day) =>
    outbox
      .pending(100, endedByMs)
      .map(({ resolution, part, window }) => `${resolution} ${part} ${window ? window.sum / 1000 : 'none'}`)
      .sort();
  const release = (beforeDay: number, nowDay: number, onLeaving?: (series: LeavingSeries) => void): number => {
    const steps = outbox.release(startMs + beforeDay * day, startMs + nowDay * day, 7);
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      onLeaving?.(step.value);
    }
  };
  const send = () => outbox.done(outbox.pending(100, startMs + day));

  measure(1, 5);
  measure(1.5, 6);
  t.same(due(startMs + 60_000), [], 'an open window waits');
  t.same(due(startMs + 120_000), ['1m 0 11']);
  t.same(due(), ['15m 0 11', '1h 0 11', '1m 0 11']);
  t.equal(outbox.waiting(), 3);
  const underWay = outbox.pending(100, startMs + day);
  measure(2, 1);
  outbox.done(underWay);
  t.same(due(), ['15m 0 12', '1h 0 12', '1m 0 1'], 'what changed on its way goes again');
  send();
  t.same(due(), []);

  // The last minute is not sent: it is not let go either.
  measure(3, 2);
  outbox.done(outbox.pending(100, startMs + day).filter(({ resolution }) => resolution !== '1m'));
  const asked: LeavingSeries[] = [];
  t.equal(
    release(1, 10, (series) => {
      asked.push(series);
      outbox.resend(series, startMs + day);
    }),
    0,
    'what is to be sent once more stays',
  );
  t.match(asked, [{ gridId: 'g', deviceId: 'd', counts: { '1m': 2, '15m': 1, '1h': 1 }, fromMs: startMs }]);
  t.same(due(), ['15m 0 14', '1h 0 14', '1m 0 1', '1m 0 11', '1m 0 2']);
  outbox.done(outbox.pending(100, startMs + day).filter(({ window }) => window?.sum !== 2000));
  t.equal(release(1, 10), 4);
  t.same(due(), ['1m 0 2'], 'nothing of what was let go is to be emptied');
  t.equal(outbox.horizonMs, startMs + day);
  measure(3.5, 2);
  measure(4, 9);
  t.same(due(), [`15m ${20_510} 11`, `1h ${20_510} 11`, '1m 0 4', `1m ${20_510} 9`]);
  send();
  measure(4.5, 1);
  t.same(due(), [`15m ${20_510} 12`, `1h ${20_510} 12`, `1m ${20_510} 10`], 'a part grows as long as it is here');
  send();
  t.equal(release(2, 11), 1, 'late parts stay for as long after they came');
  t.equal(release(3, 17), 3);
  measure(4, 3);
  t.same(due(), [`15m ${20_517} 3`, `1h ${20_517} 3`, `1m ${20_517} 3`], 'never again under a number that was let go');
  send();

  // Samples whose times were wrong: the window they leave is sent as empty.
  const sample = { deviceId: 'd', metric: 'generation_kw', value: 3, quality: 0 };
  const [wrong, right] = [4, 700].map((minute) => ({ ...sample, timeMs: startMs + minute * 60_000 }));
  if (wrong && right) store.replaceSamples('g', [wrong], [right]);
  t.same(
    due(),
    ['15m', '1h', '1m'].flatMap((one) => [`${one} ${20_517} 3`, `${one} ${20_517} none`]),
  );
  send();

  // Another place gets all that is here; and so does the same one after a time when nobody marked.
  database.close();
  const again = openDatabase({ path: join(dir, 'outbox.db') });
  t.teardown(() => again.close());
  const reopened = createTelemetryStore({
    database: again,
    frames: { framesOverlapping: () => [] },
    zoneOf: () => 'UTC',
  });
  outbox = openWindowOutbox(again, 'one');
  t.same(due(), []);
  t.equal(closeWindowOutbox(again), startMs + 3 * day);
  for (const { name } of again
    .prepare<[], { name: string }>("SELECT name FROM temp.sqlite_schema WHERE type = 'trigger'")
    .all())
    again.exec(`DROP TRIGGER temp.${name}`);
  outbox = openWindowOutbox(again, 'one');
  t.same(
    due(),
    ['15m', '1h', '1m'].map((one) => `${one} ${20_517} 3`),
  );
  const remove = function* (): Generator<number> {
    yield reopened.pruneWindows('1m', startMs + day);
  };
  const over = { gridId: 'g', resolution: '1m', beforeMs: startMs + day } as const;
  t.same([...outbox.prune({ ...over, spares: () => true }, [].values())], []);
  t.same(outbox.prunes(0), []);
  t.same([...outbox.prune(over, remove())], [1]);
  t.same(
    due(),
    ['15m', '1h'].map((one) => `${one} ${20_517} 3`),
    'what retention ended is not sent',
  );
  const id = outbox.series('g', { deviceId: 'd', metric: 'generation_kw' })?.id ?? 0;
  t.same([outbox.prunedMs(id, '1m'), outbox.prunedMs(id, '1h')], [startMs + day, -Infinity]);
  const [deletion] = outbox.prunes(0);
  t.match(deletion, { gridId: 'g', deviceId: 'd', metric: 'generation_kw', resolution: '1m', beforeMs: startMs + day });
  if (deletion) outbox.pruneDone(deletion);
  t.same(outbox.prunes(0), []);
  t.same([...outbox.prune({ ...over, beforeMs: startMs + 2 * day }, [].values())], []);
  t.same([outbox.prunes(2 * day).length, outbox.prunes(day).length], [0, 1], 'deletions are gathered');
  t.end();
});
