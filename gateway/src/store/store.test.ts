import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import t, { type Test } from 'tap';
import { nextTurn, openDatabase, silentLogger, type NumberedFrame, type TelemetryStore } from '@villagrid/runtime';
import { telemetryFrame, telemetryStoreSuite, tempDir } from '@villagrid/runtime/testing';
import { createHistoryStore, type HistoryStore } from './store.js';

const dir = tempDir(t);
let made = 0;
const path = () => join(dir, `${(made += 1)}.db`);

/** What a store does between two calls of the suite; a sealed store must not be told from an open one. */
const ways: Readonly<Record<string, (store: HistoryStore) => void>> = {
  'all of it open': () => {},
  'sealed up to some hour, finished days packed': (store) => {
    store.sealNow(Date.UTC(2026, 2, 28, 14));
    store.packNow(Date.UTC(2026, 2, 29));
  },
};

for (const [way, between] of Object.entries(ways)) {
  telemetryStoreSuite(t, `history store, ${way}`, ({ zone }) => {
    const file = path();
    let database = openDatabase({ path: file });
    let store = createHistoryStore({ database, zoneOf: () => zone, log: silentLogger() });
    const shown = (): TelemetryStore => ({
      ...store,
      applyFrames(...args) {
        const applied = store.applyFrames(...args);
        between(store);
        return applied;
      },
    });
    return {
      store: shown(),
      reopen: () => {
        store.sealNow();
        database.close();
        database = openDatabase({ path: file });
        store = createHistoryStore({ database, zoneOf: () => zone, log: silentLogger() });
        return shown();
      },
    };
  });
}

const gridId = 'g1';
const dayStart = Date.UTC(2026, 5, 1);
const hour = 3_600_000;
const day = 24 * hour;

/** Frames of two devices, two metrics each, a reading a minute from a time on; numbers from `first` on. */
function frames(fromMs: number, minutes: number, first = 1): NumberedFrame[] {
  return Array.from({ length: minutes }, (_, i) => {
    const timeMs = fromMs + i * 60_000;
    const samples = ['a', 'b'].flatMap((deviceId) =>
      (['generation_kw', 'ambient_temp_c'] as const).map((metric) => ({
        deviceId,
        metric,
        timeMs: timeMs + (deviceId === 'a' ? 3 : 5),
        value: (i % 97) / 4,
        quality: 0,
      })),
    );
    return { number: first + i, frame: telemetryFrame(samples) };
  });
}

function house(file = path()) {
  const open = () => {
    const database = openDatabase({ path: file });
    return { database, store: createHistoryStore({ database, zoneOf: () => 'Africa/Maputo', log: silentLogger() }) };
  };
  let now = open();
  return {
    get store() {
      return now.store;
    },
    get database() {
      return now.database;
    },
    /** As after a kill: what was in memory is gone. */
    restart() {
      now.database.close();
      now = open();
      return now.store;
    },
  };
}

/** All that is told of a store. */
const told = (store: HistoryStore, fromMs = dayStart - day, toMs = dayStart + 40 * day) => ({
  series: store.series(gridId).map(({ deviceId, metric }) => ({
    deviceId,
    metric,
    windows: (['1m', '15m', '1h', '1d'] as const).map((one) =>
      store.windows(gridId, deviceId, metric, one, fromMs, toMs),
    ),
    raw: store.raw(gridId, deviceId, metric, fromMs, toMs),
  })),
  latest: store.latest(gridId),
  completeness: [dayStart + hour, dayStart + 90 * 60_000, toMs].map((until) => store.completeness(gridId, until)),
});

/** Two stores tell the same, in words that are short when they do not. */
function same(t: Test, found: HistoryStore, wanted: HistoryStore, what: string) {
  t.ok(isDeepStrictEqual(told(found), told(wanted)), what);
}

t.test('after a kill at any point, applying the frames that are not done gives the same as before', async (t) => {
  const all = frames(dayStart + 30 * 60_000, 26 * 60);
  // A node resends what it kept; one frame holds readings of yesterday and of now.
  const late = frames(dayStart - 5 * hour, 30, all.length + 1);
  all.push(...late);
  const plain = house();
  plain.store.applyFrames(gridId, 'gw', 'e', all);
  for (const cut of [45, 600, 1500, all.length]) {
    const one = house();
    one.store.applyFrames(gridId, 'gw', 'e', all.slice(0, cut));
    const nowMs = dayStart + 30 * 60_000 + cut * 60_000;
    await one.store.seal(Math.floor((nowMs - 120_000) / hour) * hour);
    await one.store.packDays(nowMs - hour);
    one.store.applyFrames(gridId, 'gw', 'e', all.slice(cut, cut + 20));
    const store = one.restart();
    const from = store.cursor('gw', 'e');
    t.ok(from <= cut, `${from} of ${cut} frames were done`);
    if (cut >= 600) t.ok(from > cut - 70, 'at most about an hour is read again');
    store.applyFrames(gridId, 'gw', 'e', all.slice(from));
    same(t, store, plain.store, `killed after ${cut} frames`);
    await store.seal();
    await store.packDays(dayStart + 40 * day);
    t.equal(store.sealedNumber('gw', 'e'), all.length);
    same(t, store, plain.store, 'and sealed');
    same(t, one.restart(), plain.store, 'and started again');
  }
});

t.test('what comes while an hour is being sealed is neither lost nor doubled', async (t) => {
  const all = frames(dayStart, 180);
  const plain = house();
  plain.store.applyFrames(gridId, 'gw', 'e', all);
  const { store } = house();
  store.applyFrames(
    gridId,
    'gw',
    'e',
    all.filter(({ number }) => number <= 150),
  );
  const sealing = store.seal(dayStart + 2 * hour);
  for (const one of all.slice(150)) {
    await new Promise((resolve) => setImmediate(resolve));
    store.applyFrames(gridId, 'gw', 'e', [one]);
  }
  await sealing;
  same(t, store, plain.store, 'while it was');
  await Promise.all([store.seal(), store.seal(), store.packDays(dayStart + 2 * day)]);
  same(t, store, plain.store, 'afterwards');
  t.equal(store.openSamples(), 0);
});

t.test('a seal that fails leaves everything as it was, and the next one does it', async (t) => {
  const all = frames(dayStart, 180);
  const plain = house();
  plain.store.applyFrames(gridId, 'gw', 'e', all);
  const one = house();
  one.store.applyFrames(gridId, 'gw', 'e', all);
  one.database.exec(
    "CREATE TRIGGER full BEFORE INSERT ON store_applied BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
  );
  await t.rejects(one.store.seal(), /disk is full/);
  same(t, one.store, plain.store, 'after the failure');
  t.equal(one.store.sealedNumber('gw', 'e'), 0);
  one.database.exec('DROP TRIGGER full');
  await one.store.seal();
  same(t, one.store, plain.store, 'after the next');
  same(t, one.restart(), plain.store, 'and after a start');
});

t.test('what comes while a seal is under way that fails is sealed with the rest by the next', async (t) => {
  const all = frames(dayStart, 50);
  const plain = house();
  plain.store.applyFrames(gridId, 'gw', 'e', all);
  const one = house();
  one.store.applyFrames(gridId, 'gw', 'e', all.slice(0, 30));
  one.database.exec(
    "CREATE TRIGGER full BEFORE INSERT ON store_applied BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
  );
  const failing = one.store.seal();
  await nextTurn();
  one.store.applyFrames(gridId, 'gw', 'e', all.slice(30));
  await t.rejects(failing, /disk is full/);
  one.database.exec('DROP TRIGGER full');
  await one.store.seal();
  same(t, one.store, plain.store, 'after the next');
  same(t, one.restart(), plain.store, 'and after a start');
});

/** A reading of two metrics every few hundred milliseconds in one hour, each round of them all over it. */
function flood(rounds: readonly number[]): NumberedFrame[] {
  return rounds.map((readings, round) => ({
    number: round + 1,
    frame: telemetryFrame(
      Array.from({ length: readings }, (_, i) => i).flatMap((i) =>
        (['generation_kw', 'ambient_temp_c'] as const).map((metric) => ({
          deviceId: 'a',
          metric,
          // Rounds share some times: which came first must not be forgotten.
          timeMs: dayStart + Math.floor((i * (hour - 1)) / readings / 500) * 500,
          value: ((i * 7 + round) % 97) / 4,
          quality: 0,
        })),
      ),
    ),
  }));
}

t.test('catching up within one hour writes each sample a few times, however often memory asks for a seal', (t) => {
  const all = flood([4400, ...Array.from({ length: 19 }, () => 300)]);
  const plain = house();
  plain.store.applyFrames(gridId, 'gw', 'e', all);
  const one = house();
  one.database.exec(`
    CREATE TABLE written (bytes INTEGER NOT NULL);
    CREATE TRIGGER chunks AFTER INSERT ON store_chunk BEGIN INSERT INTO written VALUES (length(new.body)); END;
    CREATE TRIGGER pieces AFTER INSERT ON store_piece BEGIN INSERT INTO written VALUES (length(new.body)); END`);
  const bytes = (from: string) => one.database.prepare<[], number>(`SELECT sum(${from}`).pluck().get() ?? 0;
  const pieces = () => one.database.prepare<[], number>('SELECT count(*) FROM store_piece').pluck().get();
  for (const [at, frame] of all.entries()) {
    one.store.applyFrames(gridId, 'gw', 'e', [frame]);
    one.store.sealNow();
    if (at === 10) t.equal(pieces(), 10 * 2, 'what comes is written beside what was there');
  }
  t.equal(pieces(), 2 * 2, 'once it has doubled it is one again');
  const kept = bytes('length(body)) FROM (SELECT body FROM store_chunk UNION ALL SELECT body FROM store_piece)');
  const written = bytes('bytes) FROM written');
  // Each when it comes and when it is set aside, and all of it once more. Anew each time they are seventeen times as many.
  t.ok(written < 4 * kept, `${(written / kept).toFixed(1)} times ${kept} bytes`);
  same(t, one.store, plain.store, 'all of it is told');
  same(t, one.restart(), plain.store, 'and after a start');
  const times = () =>
    one.database.prepare<[], number>('SELECT count(*) FROM store_chunk_times').pluck().get() as number;
  t.equal(times(), 3, 'no times that nobody is kept with');

  // Of a piece and of the chunk; then the day is packed.
  const wrong = [all[2], all[19]].flatMap((one) => one?.frame.samples.slice(100, 110) ?? []);
  const right = wrong.map((sample) => ({ ...sample, timeMs: sample.timeMs + 77 }));
  for (const { store } of [one, plain]) store.replaceSamples(gridId, wrong, right);
  t.equal(pieces(), 0);
  same(t, one.store, plain.store, 'with some put right');
  const more = flood([4400, ...Array.from({ length: 21 }, () => 300)]).slice(20);
  for (const frame of more)
    for (const { store } of [one, plain]) {
      store.applyFrames(gridId, 'gw', 'e', [frame]);
      if (store === one.store) store.sealNow();
    }
  t.equal(pieces(), 2 * 2);
  one.store.packNow(dayStart + day);
  t.equal(pieces(), 0);
  t.equal(times(), 0);
  same(t, one.store, plain.store, 'and packed');
  t.end();
});

t.test('samples that go keep their minutes; late ones repair the windows of days whose samples are gone', async (t) => {
  const all = frames(dayStart, 3 * 24 * 60);
  const plain = house();
  plain.store.applyFrames(gridId, 'gw', 'e', all);
  const one = house();
  one.store.applyFrames(gridId, 'gw', 'e', all);
  await one.store.seal();
  await one.store.packDays(dayStart + 3 * day);
  t.equal(one.store.oldestRawMs(), dayStart);
  t.equal(await one.store.pruneRaw(dayStart + 2 * day + hour), 8, 'two days of four series');
  t.equal(one.store.oldestRawMs(), dayStart + 2 * day);
  for (const late of [[], frames(dayStart + 5 * hour + 7, 90, all.length + 1)]) {
    for (const { store } of [plain, one]) store.applyFrames(gridId, 'gw', 'e', late);
    await one.store.seal();
    one.restart();
    const windows = (store: HistoryStore) =>
      (['1m', '15m', '1h', '1d'] as const).map((width) =>
        store.windows(gridId, 'a', 'generation_kw', width, dayStart, dayStart + 3 * day),
      );
    t.ok(isDeepStrictEqual(windows(one.store), windows(plain.store)), `${late.length} late frames`);
    for (const until of [dayStart + 6 * hour, dayStart + 30 * hour, dayStart + 60.5 * hour, dayStart + 9 * day])
      t.same(one.store.completeness(gridId, until), plain.store.completeness(gridId, until));
    t.same(one.store.raw(gridId, 'a', 'generation_kw', dayStart, dayStart + 2 * day).t, []);
  }
  const gone = frames(dayStart, 1)[0]?.frame.samples ?? [];
  one.store.replaceSamples(gridId, gone, []);
  const [{ count } = { count: 0 }] = one.store.completeness(gridId, dayStart + hour);
  t.equal(count, 60, 'what is gone cannot be replaced');
});

t.test('samples of finished days are replaced in small steps, all or nothing, as in one go', async (t) => {
  const [stepped, plain] = [house(), house()];
  const all = frames(dayStart, 2 * 1440);
  for (const { store } of [stepped, plain]) {
    store.applyFrames(gridId, 'gw', 'e', all);
    store.sealNow();
    store.packNow(dayStart + day);
  }
  const wrong = all.slice(300, 360).flatMap(({ frame }) => frame.samples);
  const right = wrong.map((sample) => ({ ...sample, timeMs: sample.timeMs + 1234 }));
  const failing = () => {
    throw new Error('the card is full');
  };
  await t.rejects(stepped.store.replaceInSteps(gridId, wrong, right, failing), /card is full/);
  same(t, stepped.store, plain.store, 'what failed has changed nothing');
  let forgotten = 0;
  const waits = stepped.store.replaceInSteps(gridId, wrong, right, () => (forgotten += 1));
  await nextTurn();
  stepped.store.forget();
  t.equal(await waits, false, 'what was forgotten meanwhile is not done');
  t.equal(forgotten, 0);

  let [turns, done] = [0, false];
  let turnsAtWriting = 0;
  const replaced = stepped.store.replaceInSteps(gridId, wrong, right, (write) => {
    turnsAtWriting = turns;
    write();
  });
  void replaced.finally(() => (done = true));
  while (!done) {
    await nextTurn();
    turns += 1;
  }
  t.equal(await replaced, true);
  // Four series of a packed day: each is read, changed and packed in steps of its own.
  t.ok(turnsAtWriting >= 4 * 4, `${turnsAtWriting} turns of the event loop`);
  plain.store.replaceSamples(gridId, wrong, right);
  same(t, stepped.store, plain.store, 'in one go');
});

t.test('a damaged piece is told and taken as missing; everything else goes on', async (t) => {
  const one = house();
  one.store.applyFrames(gridId, 'gw', 'e', frames(dayStart, 180));
  await one.store.seal();
  one.database.exec("UPDATE store_chunk SET body = x'00112233445566' WHERE id = (SELECT min(id) FROM store_chunk)");
  const { store } = one;
  t.equal(store.raw(gridId, 'a', 'generation_kw', dayStart, dayStart + day).t.length, 120);
  t.equal(store.windows(gridId, 'a', 'generation_kw', '1h', dayStart, dayStart + day).t.length, 3, 'its head is whole');
  t.equal(store.raw(gridId, 'a', 'ambient_temp_c', dayStart, dayStart + day).t.length, 180);
  t.equal(store.damaged(), 1);
  await store.packDays(dayStart + 2 * day);
  t.equal(store.raw(gridId, 'b', 'generation_kw', dayStart, dayStart + day).t.length, 180);
});

t.test('a sample of the far future holds nothing up for longer than an hour', async (t) => {
  const { store } = house();
  const all = frames(dayStart, 300);
  const wild = { deviceId: 'a', metric: 'generation_kw', timeMs: Date.UTC(2089, 0), value: 1, quality: 0 };
  all[30] = { number: 31, frame: telemetryFrame([wild]) };
  store.applyFrames(gridId, 'gw', 'e', all.slice(0, 65));
  await store.seal(dayStart + hour);
  t.equal(store.sealedNumber('gw', 'e'), 30);
  store.applyFrames(gridId, 'gw', 'e', all.slice(65, 125));
  await store.seal(dayStart + 2 * hour);
  t.equal(store.sealedNumber('gw', 'e'), 125);
});

t.test('a clock that was put back has nothing of a frame taken twice that was sealed in part', async (t) => {
  const one = house();
  const [early, late] = [frames(dayStart + 59 * 60_000, 1)[0], frames(dayStart + 61 * 60_000, 1)[0]] as NumberedFrame[];
  const both = telemetryFrame([...(early?.frame.samples ?? []), ...(late?.frame.samples ?? [])]);
  const all = [{ number: 1, frame: both }];
  one.store.applyFrames(gridId, 'gw', 'e', all);
  await one.store.seal(dayStart + hour);
  one.restart().applyFrames(gridId, 'gw', 'e', all);
  await one.store.seal(dayStart - 700 * day);
  one.restart().applyFrames(gridId, 'gw', 'e', all);
  t.same(
    one.store.completeness(gridId, dayStart + day).map(({ count }) => count),
    [2, 2, 2, 2],
  );
});
