import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { AlertEvent, Sample } from '@villagrid/contracts';
import { cryptoRandom, openDatabase, silentLogger } from '@villagrid/runtime';
import { tempDir, testClock } from '@villagrid/runtime/testing';
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
  t.match(log.stats, { failing: true, failedCommits: 1 });
  broken = false;
  const next = log.append({ samples: [sample(3)] });
  await clock.advance(250);
  t.equal(await next, 2);
  t.same(log.state('x'), { number: 2, value: 'kept with its frame' });
  t.equal(log.stats.failing, false);
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
