import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { AlertEvent } from '@villagrid/contracts';
import { ClockLedger, createAlertStore, migrateModule, openDatabase, seededRandom } from '@villagrid/runtime';
import { memoryLog, migrationSuite, tempDir, testClock } from '@villagrid/runtime/testing';
import { examineFrame } from '../src/etl/frame.js';
import { createProjector, type Projected } from '../src/ingest/project.js';
import { Snapshot } from '../src/grids/snapshot.js';
import { newCounters } from '../src/observe/counters.js';
import { createActStore } from '../src/stores/act-store.js';
import { createLinkStore } from '../src/stores/link-store.js';
import { cloudMigrations } from '../src/stores/schema.js';
import { createSqliteUplinkStore } from '../src/stores/sqlite-uplink-store.js';
import { createProjectedTelemetry } from '../src/stores/telemetry.js';
import type { FrameToArchive } from '../src/stores/uplink-store.js';
import { raisedEvent, testFrame, testStartMs } from '../src/testing/gateway-side.js';
import { uplinkStoreSuite } from '../src/testing/uplink-store-suite.js';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';

function open(t: Test) {
  const database = openDatabase({ path: join(tempDir(t), 'cloud.db'), busyTimeoutMs: 10 });
  t.teardown(() => database.close());
  migrateModule(database, 'cloud', cloudMigrations);
  return database;
}

migrationSuite(
  t,
  [
    {
      name: 'cloud',
      migrations: cloudMigrations,
      from: { path: fileURLToPath(new URL('../src/stores/schema.js', import.meta.url)), name: 'cloudMigrations' },
    },
  ],
  fileURLToPath(new URL('../dist', import.meta.url)),
);

t.test('numbers given up before that was kept are found again in what the ledger explains without a frame', (t) => {
  const database = openDatabase({ path: join(tempDir(t), 'cloud.db') });
  t.teardown(() => database.close());
  migrateModule(database, 'cloud', cloudMigrations.slice(0, 2));
  database.exec(`INSERT INTO cloud_log (id, gateway_id, epoch, first_ms) VALUES (1, 'gw-1', 'E1', 0), (2, 'gw-1', 'E2', 0);
    INSERT INTO cloud_frame (log_id, number, grid_id, hash, bytes, received_ms)
      VALUES (1, 3, 'alpha', x'00', x'00', 0), (1, 6, 'alpha', x'00', x'00', 0);
    INSERT INTO cloud_ledger_range VALUES (1, 1, 4, '0'), (1, 6, 8, '0'), (2, 1, 9, '0');`);
  migrateModule(database, 'cloud', cloudMigrations);
  const [first, second] = createSqliteUplinkStore(database).logs('gw-1');
  t.same(first?.givenUp, [
    [1, 2],
    [4, 4],
    [7, 8],
  ]);
  t.same(first?.missing, [[5, 5]]);
  t.same(second?.givenUp, [[1, 9]]);
  t.end();
});

uplinkStoreSuite(t, 'SQLite', (t) => {
  const database = open(t);
  return { store: createSqliteUplinkStore(database), reopen: () => createSqliteUplinkStore(database) };
});

function toArchive(number: number, events: readonly AlertEvent[] = []): FrameToArchive {
  const bytes = testFrame(number, { events });
  const examined = examineFrame(bytes, 'alpha');
  if (!examined.ok) throw new Error(examined.reason);
  return {
    number,
    bytes,
    hash: createHash('sha256').update(bytes).digest(),
    bad: null,
    fromMs: examined.fromMs,
    toMs: examined.toMs,
  };
}

function projection(t: Test) {
  const database = open(t);
  const clock = testClock();
  const { log, lines } = memoryLog({ clock });
  const store = createSqliteUplinkStore(database);
  const alerts = createAlertStore({ database });
  const told: Projected[] = [];
  const ledger = new ClockLedger(database);
  const telemetry = createProjectedTelemetry({
    database,
    zoneOf: () => 'UTC',
    frames: { framesOverlapping: () => [] },
  });
  const make = () =>
    createProjector({
      database,
      store,
      telemetry,
      ledger,
      alerts,
      links: createLinkStore(database),
      acts: createActStore(database),
      clock,
      realClock: clock,
      random: seededRandom(1),
      log,
      counters: newCounters(),
      onProjected: (_gridId, changed) => told.push(changed),
    });
  const accept = (frames: readonly FrameToArchive[]) =>
    store.accept([{ gatewayId: 'gw-1', gridId: 'alpha', epoch: 'E1', frames }], [], clock.nowMs());
  const applied = () => telemetry.appliedRanges('gw-1', 'E1');
  return { database, clock, lines, store, alerts, telemetry, told, make, accept, applied };
}

t.test(
  'a failing store keeps the projection in its place; it is tried again and nothing is missing or double',
  async (t) => {
    const { database, clock, accept, make, applied, telemetry, told, lines } = projection(t);
    accept(Array.from({ length: 450 }, (_, i) => toArchive(i + 1)));
    const other = openDatabase({ path: database.name });
    t.teardown(() => other.close());
    other.exec('BEGIN IMMEDIATE');
    const projector = make();
    projector.run();
    t.same([projector.cursor, projector.behind, applied()], [0, true, []], 'somebody else holds the database');
    await clock.advance(5000);
    t.equal(told.length, 0);
    t.ok(lines.filter((line) => line.msg === 'the projection failed and is tried again').length > 1);
    other.exec('ROLLBACK');
    await clock.advance(60_000);
    t.same([projector.behind, applied()], [false, [[1, 450]]]);
    t.equal(told.length, 3, 'in slices');
    t.same(
      telemetry.completeness('alpha', testStartMs + 1e9).map(({ count }) => count),
      [450, 450],
    );
    // Another process goes on from the cursor.
    make().run();
    t.equal(told.length, 3);
    projector.stop();
  },
);

t.test(
  'a frame that breaks the projection goes to the dead letters with what it holds beside; the others go on',
  async (t) => {
    const { database, accept, make, applied, store, alerts, told } = projection(t);
    const poison = testStartMs + 3 * 5000;
    database.exec(`CREATE TRIGGER poison BEFORE INSERT ON telemetry_latest WHEN NEW.time_ms = ${poison}
    BEGIN SELECT RAISE(ABORT, 'poison'); END`);
    accept([toArchive(3, [raisedEvent('E1', 'A1', 'alpha', 'gw-1')]), toArchive(1), toArchive(2)]);
    const projector = make();
    projector.run();
    accept([toArchive(4), toArchive(5)]);
    projector.run();
    t.same(
      [projector.behind, applied()],
      [
        false,
        [
          [1, 2],
          [4, 5],
        ],
      ],
    );
    t.match(store.deadLetters(5), [{ stage: 'projection', number: 3, reason: 'poison' }]);
    t.equal(alerts.get('A1')?.status, 'active', 'its alert is told all the same');
    t.ok(told.some(({ alertIds }) => alertIds.has('A1')));
    t.equal([...store.framesBetween('alpha', poison, poison + 1, 100)].length, 0, 'and what is read by time agrees');
    t.equal(store.receipt('gw-1', 'E1').up_to, 5);
  },
);

t.test('the newest sample stays; one from a gateway whose clock was far ahead gives way to the next', async (t) => {
  const clock = testClock();
  const nowMs = clock.nowMs();
  const sample = (timeMs: number, value: number) => ({ deviceId: 'd', metric: 'm', timeMs, value, quality: 0 });
  const snapshot = new Snapshot([sample(nowMs, 1)], clock);
  const put = (...samples: ReturnType<typeof sample>[]) => {
    snapshot.take(samples);
    return snapshot.get('d', 'm')?.value;
  };
  t.equal(put(sample(nowMs - 1000, 2)), 1);
  t.equal(put(sample(nowMs + 1000, 3)), 3);
  t.equal(put(sample(nowMs + 3_600_000, 4)), 4);
  t.equal(put(sample(nowMs + 2000, 5)), 5);
});

t.test('link states keep the newest word, acts wait until confirmed', async (t) => {
  const database = open(t);
  const links = createLinkStore(database);
  t.equal(links.get('alpha', 'd'), undefined);
  t.ok(links.note('alpha', 'd', 'online', 10, { epoch: 'E1', number: 7 }));
  t.notOk(links.note('alpha', 'd', 'offline', 99, { epoch: 'E1', number: 6 }), 'it came late, whatever its clock said');
  t.notOk(links.note('alpha', 'd', 'offline', 9, { epoch: 'E2', number: 1 }));
  t.ok(links.note('alpha', 'd', 'offline', 1, { epoch: 'E1', number: 8 }));
  t.ok(links.note('alpha', 'd', 'online', 11, { epoch: 'E2', number: 1 }));
  t.equal(links.get('alpha', 'd'), 'online');
  t.equal(links.get('beta', 'd'), undefined);
  const acts = createActStore(database);
  const act = (id: string): AlertEvent => ({ ...raisedEvent(id, 'A', 'alpha', 'gw-1') });
  for (const id of ['b', 'a', 'b']) acts.add(act(id), 100);
  acts.add(act('c'), 200);
  t.same(
    acts.waiting('alpha').map(({ id }) => id),
    ['b', 'a', 'c'],
  );
  t.same(
    acts.waiting('alpha', 150).map(({ id }) => id),
    ['b', 'a'],
  );
  t.same(acts.waiting('beta'), []);
  t.ok(acts.confirm('b', 300));
  t.notOk(acts.confirm('b', 300));
  t.equal(acts.waitingCount(), 2);
  acts.add(act('b'), 400);
  t.equal(acts.waitingCount(), 2, 'a confirmed one does not wait again');
});
