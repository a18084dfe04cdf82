import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { AlertEvent, Sample } from '@villagrid/contracts';
import { cryptoRandom, openDatabase, seededRandom, silentLogger } from '@villagrid/runtime';
import { tempDir, testClock } from '@villagrid/runtime/testing';
import { JournalKeeper } from './journal-keeper.js';
import { committedAfter, encodeHead, encodeRecord, recordsIn, type JournalRecord } from './journal-record.js';
import { JournalRing } from './journal-ring.js';
import { openLogStore } from './log-store.js';
import { openLog, type DurableLogOptions } from './log.js';
import { NodeSequences } from './sequences.js';

const sample = (timeMs: number, value = 1): Sample => ({
  deviceId: 'a',
  metric: 'generation_kw',
  timeMs,
  value,
  quality: 0,
});
const event = (id: string): AlertEvent => ({
  kind: 'noted',
  id,
  alert_id: 'x',
  grid_id: 'g',
  at_ms: 1,
  origin: { kind: 'gateway', id: 'gw' },
  actor: { user_id: 'u', name: 'U' },
  note: 'n',
});

function house(t: Test, path: string, over: Partial<DurableLogOptions> = {}) {
  const database = openDatabase({ path });
  t.teardown(() => database.close());
  const clock = testClock();
  const log = openLog({
    database,
    clock,
    realClock: clock,
    random: cryptoRandom(),
    log: silentLogger(),
    trust: () => 'ntp',
    holdMs: 250,
    maxSamples: 100,
    maxBytes: 100_000,
    ...over,
  });
  return { log, clock, database };
}
const path = (t: Test) => join(tempDir(t), 'log.db');
const all = { maxFrames: 1000, maxBytes: 1e9 };

t.test('what arrives within the hold shares one commit; a full group, and an urgent batch, do not wait', async (t) => {
  const { log, clock } = house(t, path(t));
  t.equal(log.newestNumber(), 1, 'the first frame tells the epoch');
  t.match(log.read(1, all)[0]?.frame.entries, [{ type: 'epoch', epoch: log.epoch, reason: 'created' }]);
  const both = Promise.all([log.append({ samples: [sample(1)] }), log.append({ samples: [sample(2)] })]);
  await clock.advance(249);
  t.equal(log.newestNumber(), 1);
  await clock.advance(1);
  t.same(await both, [2, 2]);
  t.equal(await log.append({ samples: Array.from({ length: 100 }, (_, i) => sample(i)) }), 3);
  const cause = log.append({ samples: [sample(9)] });
  const alert = log.append({ events: [event('e')] }, { urgent: true });
  const after = log.append({ samples: [sample(10)] });
  t.same(await Promise.all([cause, alert, after]), [4, 4, 4], 'an alert and its cause are one frame');
  t.match(log.read(4, all)[0]?.frame, {
    samples: [{ timeMs: 9 }, { timeMs: 10 }],
    events: [{ id: 'e' }],
    boot: log.boot,
  });
});

t.test('a failed commit rejects all that wait, keeps nothing, leaves no hole, and the next one works', async (t) => {
  const { log, clock } = house(t, path(t));
  let broken = true;
  log.join((number) => {
    log.putState('x', number, 'kept with its frame');
    if (broken) throw new Error('disk full');
  });
  const waiting = [log.append({ samples: [sample(1)] }), log.append({ samples: [sample(2)] })];
  const outcomes = Promise.allSettled(waiting);
  await clock.advance(250);
  for (const one of await outcomes) t.match(one, { status: 'rejected', reason: { code: 'E_NOT_DURABLE' } });
  t.equal(log.newestNumber(), 1);
  t.equal(log.state('x'), undefined);
  t.match(log.stats, { failing: true, refusing: true, failedCommits: 1 });
  broken = false;
  const next = log.append({ samples: [sample(3)] });
  await clock.advance(250);
  t.equal(await next, 2);
  t.same(log.state('x'), { number: 2, value: 'kept with its frame' });
  t.match(log.stats, { failing: false, refusing: false });
  log.cardFailed(new Error('a checkpoint failed'));
  t.match(log.stats, { failing: true, refusing: false }, 'what fails is not a commit: there are acknowledgements');
});

t.test('a journal that cannot be made while all ends leaves no timer behind', async (t) => {
  const clock = testClock(0);
  const keeper = new JournalKeeper({
    path: join(path(t), 'in a folder that is not there'),
    bytes: 65_536,
    found: undefined,
    epoch: 'e',
    realClock: clock,
    log: silentLogger(),
    mayBegin: () => true,
    begins() {},
  });
  keeper.wake();
  await keeper.stop();
  t.equal(clock.pendingTimers, 0);
});

t.test('reopened it goes on: same epoch, new boot, next number, cursors and synchronous=FULL', async (t) => {
  const file = path(t);
  const first = house(t, file);
  void first.log.append({ samples: [sample(5)] });
  first.log.setCursor('uplink', 1);
  first.log.close();
  await t.rejects(first.log.append({ samples: [sample(6)] }), { code: 'E_NOT_DURABLE' });
  const { log, database, clock } = house(t, file);
  t.equal(database.pragma('synchronous', { simple: true }), 2);
  t.equal(log.epoch, first.log.epoch);
  t.not(log.boot, first.log.boot);
  t.same([log.oldestNumber(), log.newestNumber(), log.cursor('uplink'), log.cursor('other')], [1, 2, 1, 0]);
  const numbers: number[] = [];
  const leave = log.onCommit(({ number }) => numbers.push(number));
  for (let i = 0; i < 3; i += 1) {
    void log.append({ samples: [sample(i)] });
    await clock.advance(250);
  }
  leave();
  t.same(numbers, [3, 4, 5]);
  t.same(
    log.read(2, { maxFrames: 2, maxBytes: 1e9 }).map((one) => one.number),
    [2, 3],
  );
  t.same(
    log.read(2, { maxFrames: 10, maxBytes: 1 }).map((one) => one.number),
    [2],
    'never less than one',
  );
});

t.test('sequences: a repeat waits for the commit of its first copy, and is known after a restart', async (t) => {
  const file = path(t);
  const { log, clock } = house(t, file);
  const sequences = new NodeSequences(log, 16);
  const commit = log.append({ received: [{ deviceId: 'a', boot: 'b', seqs: [7, 8] }] });
  sequences.await('a', 'b', [7, 8], commit);
  t.equal(sequences.find('a', 'b', 7), commit);
  t.equal(sequences.find('a', 'c', 7), undefined);
  await clock.advance(250);
  await commit;
  t.equal(sequences.find('a', 'b', 7), 'committed');
  for (let seq = 10; seq < 50; seq += 1) {
    void log.append({ received: [{ deviceId: 'a', boot: 'b', seqs: [seq] }] }, { urgent: true });
    await Promise.resolve();
  }
  t.ok((log.state('node_sequences')?.number ?? 0) >= 30, 'a snapshot keeps the start short');
  log.close();
  const again = new NodeSequences(house(t, file).log);
  for (const seq of [7, 8, 10, 23, 24, 25, 26, 49]) t.equal(again.find('a', 'b', seq), 'committed', `seq ${seq}`);
  for (const seq of [9, 50]) t.equal(again.find('a', 'b', seq), undefined, `seq ${seq}`);
});

t.test('a failed commit forgets its sequences: the node sends again and that counts', async (t) => {
  const { log, clock } = house(t, path(t));
  const sequences = new NodeSequences(log);
  log.join(() => {
    throw new Error('disk full');
  });
  const commit = log.append({ received: [{ deviceId: 'a', boot: 'b', seqs: [1] }] });
  sequences.await('a', 'b', [1], commit);
  const failed = t.rejects(commit);
  await clock.advance(250);
  await failed;
  t.equal(sequences.find('a', 'b', 1), undefined);
});

t.test('a journal tells what was committed, whatever its blocks hold besides', (t) => {
  const record = (number: number, attempt: number, durable: number, text = ''): JournalRecord => ({
    epoch: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    number,
    attempt,
    durable,
    frame: Buffer.from(`frame ${number} of ${attempt}${text}`),
    states: [{ name: 's', number, value: 'v' }],
    cursors: [],
  });
  const long = 'x'.repeat(6000);
  const file = Buffer.concat([
    encodeHead({ epoch: '01ARZ3NDEKTSV4RRFFQ69G5FAV', blocks: 9 }),
    // Written together and failed; the next attempt has one of them, and is followed by others.
    encodeRecord(record(12, 7, 10)),
    encodeRecord(record(11, 8, 10)),
    encodeRecord(record(10, 6, 9, long)),
    Buffer.alloc(4096),
    Buffer.alloc(3 * 4096),
  ]);
  t.same(
    recordsIn(file).map((one) => one.number),
    [12, 11, 10],
  );
  t.same(recordsIn(file)[2], record(10, 6, 9, long), 'as it was written');
  const found = (records: readonly JournalRecord[], newest: number, fromCopy = false) =>
    committedAfter(records, { epoch: '01ARZ3NDEKTSV4RRFFQ69G5FAV', newest, fromCopy }).map((one) => one?.attempt);
  t.same(found(recordsIn(file), 9), [6, 8], 'what an earlier attempt held behind a later one was given up');
  t.same(found(recordsIn(file), 11), [7], 'unless nothing was tried again');
  t.same(found([record(1, 1, 0), record(2, 2, 1), record(4, 4, 3)], 0), [1, 2, undefined, 4], 'a changed one is a gap');
  t.same(found([record(1, 1, 0), record(2, 2, 1), record(4, 4, 3)], 0, true), [1, 2], 'in a copy it is the end');
  t.same(found([record(1, 1, 0), record(3, 2, 1)], 0), [1], 'nobody was told of a write that was torn');
  t.same(found([{ ...record(1, 1, 0), epoch: 'another' }], 0), []);
  file[4096 * 2 + 80] = 0;
  t.same(
    recordsIn(file).map((one) => one.number),
    [12, 10],
    'a changed byte is noticed',
  );
  t.end();
});

t.test('blocks of a journal are given to one record at a time, round and round', (t) => {
  const random = seededRandom('ring');
  const ring = new JournalRing(33);
  const live: { number: number; at: number; blocks: number }[] = [];
  let refused = 0;
  for (let number = 1; number < 3000; number += 1) {
    const blocks = 1 + Math.floor(random.float() * 5);
    const at = ring.take(number, blocks);
    if (at === undefined) {
      refused += 1;
      const upTo = live[Math.floor(random.float() * live.length)]?.number ?? 0;
      ring.release(upTo);
      while ((live[0]?.number ?? Number.POSITIVE_INFINITY) <= upTo) live.shift();
      continue;
    }
    if (at < 1 || at + blocks > 33) t.fail(`${at} + ${blocks} is outside`);
    for (const one of live)
      if (at < one.at + one.blocks && one.at < at + blocks) t.fail(`${number} lies over ${one.number}`);
    live.push({ number, at, blocks });
    if (ring.used < 0 || ring.used > 1) t.fail(`${ring.used} is used`);
  }
  t.ok(refused > 100);
  ring.release(1e9);
  t.equal(ring.used, 0);
  t.equal(typeof ring.take(1e9 + 1, ring.largest), 'number');
  t.end();
});

t.test(
  'with a journal: what comes during a write shares the next, all is one log to readers, and a copy has it',
  async (t) => {
    const folder = tempDir(t);
    const open = (at: string) => {
      const clock = testClock();
      const store = openLogStore({
        path: join(at, 'log.db'),
        clock,
        realClock: clock,
        random: cryptoRandom(),
        log: silentLogger(),
        trust: () => 'ntp',
        holdMs: 0,
        maxSamples: 100,
        maxBytes: 100_000,
        journalBytes: 256 * 1024,
      });
      return { ...store, clock };
    };
    const store = open(folder);
    const { log, alertStore } = store;
    log.join((number) => log.putState('x', number, `of ${number}`));
    while (log.stats.journalled === 0) {
      await log.append({ samples: [sample(1)] });
      await new Promise((resolve) => setImmediate(resolve));
    }
    const stored = log.newestNumber() - log.waitingFrames();
    const first = log.append({ samples: [sample(2)] });
    await Promise.resolve();
    const during = Array.from({ length: 5 }, (_, index) =>
      Promise.resolve().then(() => log.append({ samples: [sample(index)], events: index === 3 ? [event('e')] : [] })),
    );
    log.setCursor('uplink', 1);
    const number = await first;
    t.same(new Set(await Promise.all(during)), new Set([number + 1]));
    t.same(log.state('x'), { number: number + 1, value: `of ${number + 1}` });
    t.same(
      alertStore.events('x').map((one) => one.id),
      ['e'],
      'an alert is seen before it is in its table',
    );
    t.equal(log.cursor('uplink'), 1);
    t.equal(store.database().prepare('SELECT max(number) FROM frame').pluck().get(), stored);
    t.same(
      log.read(1, all).map((one) => one.number),
      Array.from({ length: number + 1 }, (_, index) => index + 1),
    );
    const gone = log.prune(number, 1e6);
    t.same([gone, log.oldestNumber(), log.read(1, all).length], [number, number + 1, 1]);
    const copy = join(folder, 'copy');
    mkdirSync(copy);
    for (const name of ['log.db', 'log.db-wal', 'log.journal']) copyFileSync(join(folder, name), join(copy, name));
    const again = open(copy);
    t.equal(again.rescue, undefined);
    t.same([again.log.newestNumber(), again.log.cursor('uplink')], [number + 1, 1]);
    t.same(
      again.alertStore.events('x').map((one) => one.id),
      ['e'],
    );
    t.same(again.log.state('x'), { number: number + 1, value: `of ${number + 1}` });
    await again.close();
    await log.settle();
    t.equal(log.waitingFrames(), 0);
    t.equal(store.database().prepare('SELECT count(*) FROM frame').pluck().get(), 1, 'what was pruned never came');
    await store.close();
    t.ok(existsSync(join(folder, 'log.db.clean')));
  },
);
