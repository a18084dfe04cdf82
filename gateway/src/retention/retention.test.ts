import { statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { AlertEvent, ClockTrust, Sample } from '@villagrid/contracts';
import { createFileRoom, cryptoRandom, openDatabase, silentLogger } from '@villagrid/runtime';
import { tempDir, testClock } from '@villagrid/runtime/testing';
import { openLog } from '../log/log.js';
import { createHistoryStore } from '../store/store.js';
import { createRetention, type RetentionOptions, type RetentionSettings } from './retention.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const gridId = 'g';
const settings: RetentionSettings = {
  raw_days: 5,
  minute_days: 8,
  frame_hours: 1,
  restamp_hours: 24,
  max_disk_pct: 85,
};

/** A log and its history, with a frame of two series and three readings every half hour of village time. */
function house(t: Test, over: Partial<RetentionOptions> = {}, onDisk = false) {
  const dir = onDisk ? tempDir(t) : undefined;
  const file = (name: string) => (dir === undefined ? ':memory:' : join(dir, name));
  const paths = { log: file('log.db'), telemetry: file('telemetry.db') };
  const databases = { log: openDatabase({ path: paths.log }), telemetry: openDatabase({ path: paths.telemetry }) };
  t.teardown(() => Object.values(databases).forEach((one) => one.close()));
  const clock = testClock();
  let trust: ClockTrust = 'ntp';
  const log = openLog({
    database: databases.log,
    clock,
    realClock: clock,
    random: cryptoRandom(),
    log: silentLogger(),
    trust: () => trust,
    holdMs: 0,
    maxSamples: 1e6,
    maxBytes: 1e9,
  });
  const store = createHistoryStore({ database: databases.telemetry, zoneOf: () => 'UTC', log: silentLogger() });
  const gaveUp: number[] = [];
  const retention = createRetention({
    settings,
    gatewayId: 'gw',
    log,
    store,
    files: [createFileRoom(paths.log, () => databases.log), createFileRoom(paths.telemetry, () => databases.telemetry)],
    receipted: () => undefined,
    unneeded: () => Number.POSITIVE_INFINITY,
    diskUsedPct: () => undefined,
    gaveUp: () => void gaveUp.push(log.oldestNumber()),
    trust: () => trust,
    clock,
    realClock: clock,
    logger: silentLogger(),
    ...over,
  });
  const samples = (): Sample[] =>
    [20, 10, 0].flatMap((ago) =>
      ['generation_kw', 'ambient_temp_c'].map((metric) => {
        const timeMs = clock.nowMs() - ago * 60_000;
        return { deviceId: 'a', metric, timeMs, value: Math.floor(timeMs / 60_000) % 50, quality: 0 };
      }),
    );
  return {
    bytes: () =>
      Object.values(paths).reduce((sum, path) => sum + statSync(path).size + statSync(`${path}-wal`).size, 0),
    log,
    store,
    clock,
    retention,
    gaveUp,
    setTrust: (to: ClockTrust) => void (trust = to),
    /** Lets time pass; `events` alert events come with each frame. */
    async pass(ms: number, events: readonly AlertEvent[] = []) {
      for (const untilMs = clock.nowMs() + ms; clock.nowMs() < untilMs; ) {
        await clock.advance(hourMs / 2);
        await log.append({ samples: samples(), events }, { urgent: true });
      }
      const frames = log.read(store.cursor('gw', log.epoch) + 1, { maxFrames: 1e5, maxBytes: 1e9 });
      store.applyFrames(gridId, 'gw', log.epoch, frames);
      await store.seal(Math.floor(clock.nowMs() / hourMs) * hourMs);
      await store.packDays(clock.nowMs());
    },
    windows: (resolution: '1m' | '15m' | '1h') =>
      store.windows(gridId, 'a', 'generation_kw', resolution, 0, clock.nowMs() + dayMs),
    raw: () => store.raw(gridId, 'a', 'generation_kw', 0, clock.nowMs() + dayMs),
    whole: () => store.completeness(gridId, Math.floor(clock.nowMs() / hourMs) * hourMs),
  };
}
/** Times of the oldest frame that is left, in hours before now. */
const oldestHours = ({ log, clock }: ReturnType<typeof house>) =>
  (clock.nowMs() - (log.read(log.oldestNumber(), { maxFrames: 1, maxBytes: 1 })[0]?.frame.wallMs ?? Number.NaN)) /
  hourMs;

const note = (id: string): AlertEvent => ({
  kind: 'noted',
  id,
  alert_id: 'x',
  grid_id: gridId,
  at_ms: 1,
  origin: { kind: 'gateway', id: 'gw' },
  actor: { user_id: 'u', name: 'U' },
  note: 'n',
});

t.test('frames go once they are sealed, receipted, read and older than the margin, whichever comes last', async (t) => {
  let receipted: number | undefined;
  let unneeded = Number.POSITIVE_INFINITY;
  const one = house(t, { receipted: () => receipted, unneeded: () => unneeded });
  await one.pass(10 * hourMs);
  const newest = one.log.newestNumber();
  receipted = 5;
  await one.retention.look();
  t.equal(one.log.oldestNumber(), 6, 'nothing without a receipt');
  receipted = newest;
  unneeded = 10;
  await one.retention.look();
  t.equal(one.log.oldestNumber(), 11, 'nothing that is read after a start');
  unneeded = newest;
  await one.retention.look();
  const left = oldestHours(one);
  t.ok(left <= 1.6 && left >= 0.9, `${left} hours are left`);
  t.equal(one.log.newestNumber(), newest);
  await one.pass(dayMs);
  one.setTrust('rtc');
  await one.pass(10 * hourMs);
  receipted = one.log.newestNumber();
  unneeded = receipted;
  await one.retention.look();
  t.ok(oldestHours(one) >= 9, 'frames that a lesser clock dated may be dated anew for a day');
});

t.test('samples go after their time, minutes after theirs; longer windows, counts and hashes stay', async (t) => {
  const one = house(t);
  await one.pass(7 * dayMs);
  const before = {
    minutes: one.windows('1m'),
    quarters: one.windows('15m'),
    hours: one.windows('1h'),
    whole: one.whole(),
  };
  for (let i = 0; i < 3; i += 1) await one.retention.look();
  const oldest = (one.clock.nowMs() - (one.raw().t[0] ?? 0)) / dayMs;
  t.ok(oldest >= 5 && oldest <= 6.1, `samples of ${oldest} days`);
  t.same(
    { minutes: one.windows('1m'), quarters: one.windows('15m'), hours: one.windows('1h'), whole: one.whole() },
    before,
  );
  await one.pass(4 * dayMs);
  for (let i = 0; i < 5; i += 1) await one.retention.look();
  const minutes = (one.clock.nowMs() - (one.windows('1m').t[0] ?? 0)) / dayMs;
  t.ok(minutes <= 8.01 && minutes > 7.9, `minutes of ${minutes} days`);
  t.ok((one.clock.nowMs() - (one.windows('15m').t[0] ?? 0)) / dayMs > 10.9, 'quarter hours of all days');
});

t.test(
  'by a clock that is not trusted nothing goes, and a clock gone wrong takes two days a look at most',
  async (t) => {
    const one = house(t);
    await one.pass(3 * dayMs);
    const [frames, samples] = [one.log.oldestNumber(), one.raw().t.length];
    one.setTrust('floor');
    await one.clock.advance(4000 * dayMs);
    await one.retention.look();
    t.same([one.log.oldestNumber(), one.raw().t.length], [frames, samples]);
    const whole = one.whole();
    one.setTrust('ntp');
    await one.retention.look();
    t.ok(one.raw().t.length >= 144, `${one.raw().t.length} samples of the newest day are left`);
    t.same(one.whole(), whole);
  },
);

t.test(
  'beyond the disk’s mark what the cloud has goes first, then what it has not, never an alert event, and it is told',
  async (t) => {
    let used = 50;
    let receipted = 0;
    const one = house(t, {
      receipted: () => receipted,
      diskUsedPct: () => used,
      settings: { ...settings, raw_days: 90, minute_days: 900 },
    });
    await one.pass(6 * dayMs, [note('e1')]);
    receipted = 100;
    const whole = one.whole();
    await one.retention.look();
    t.equal(one.log.oldestNumber(), 101);
    const days = () => Math.round((one.clock.nowMs() - (one.raw().t[0] ?? 0)) / dayMs);
    t.equal(days(), 6);
    used = 90;
    // Room appears once the two days that the cloud has are gone.
    const prune = one.store.pruneRaw;
    one.store.pruneRaw = async (beforeMs) => {
      const gone = await prune(beforeMs);
      if (days() <= 4) used = 70;
      return gone;
    };
    await one.retention.look();
    t.same([days() >= 3, one.log.oldestNumber(), one.retention.counts.unreceiptedFrames], [true, 101, 0]);
    t.same(one.whole(), whole);
    one.store.pruneRaw = prune;
    used = 90;
    const newest = one.log.newestNumber();
    await one.retention.look();
    t.ok(one.retention.counts.unreceiptedFrames > 100, 'frames were given up');
    t.ok(one.gaveUp.length > 0);
    t.ok(days() >= 2, 'the newest days stay');
    const after = one.log.read(newest + 1, { maxFrames: 1000, maxBytes: 1e9 }).map(({ frame }) => frame);
    const last = Math.min(300, newest - 1);
    t.match(after[0]?.entries.at(-1), {
      type: 'tombstone',
      first: 101,
      samples: (last - 100) * 6,
      last,
      reason: 'disk',
    });
    t.ok(
      after[0]?.events.some(({ id }) => id === 'e1'),
      'alert events are in the log again',
    );
    t.same(one.whole(), whole);
  },
);

t.test('a budget in megabytes is kept, and the file gives its room back', async (t) => {
  const one = house(t, { settings: { ...settings, raw_days: 90, max_disk_mb: 0.35 } }, true);
  await one.pass(7 * dayMs);
  const before = one.bytes();
  await one.retention.look();
  t.ok(before > 350_000 && one.bytes() <= 350_000, `${before} bytes became ${one.bytes()}`);
  t.ok(one.retention.counts.frames > 300);
  t.ok(one.windows('1h').t.length > 6 * 24);
});
