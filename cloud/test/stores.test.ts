import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  localDays,
  type AlertEvent,
  type DocumentBody,
  type DocumentName,
  type DownMessage,
} from '@villagrid/contracts';
import {
  ClockLedger,
  createAlertStore,
  createFileRoom,
  migrateModule,
  openDatabase,
  seededRandom,
  silentLogger,
} from '@villagrid/runtime';
import { memoryLog, migrationSuite, tempDir, testClock } from '@villagrid/runtime/testing';
import { createDirectory } from '../src/directory/directory.js';
import { createDirectStore } from '../src/direct/store.js';
import { createCommands } from '../src/downlink/commands.js';
import { createDocuments, namesShutOut } from '../src/downlink/documents.js';
import { examineFrame } from '../src/etl/frame.js';
import { frameOfAlert, unnumberedLog } from '../src/etl/reading.js';
import { createProjector, type Projected } from '../src/ingest/project.js';
import { Snapshot } from '../src/grids/snapshot.js';
import { newCounters } from '../src/observe/counters.js';
import { createManifestCheck } from '../src/receipts/manifest-check.js';
import { proofOf } from '../src/receipts/proof.js';
import { keptOf } from '../src/retention/policy.js';
import { createRetention } from '../src/retention/retention.js';
import { abilityMigrations, createAbilityStore } from '../src/stores/ability-store.js';
import { createActStore } from '../src/stores/act-store.js';
import { createSentCommands } from '../src/stores/command-store.js';
import { createCursorStore } from '../src/stores/cursor-store.js';
import { createDocumentStore, keptRevisions } from '../src/stores/document-store.js';
import { createLinkStore } from '../src/stores/link-store.js';
import { cloudMigrations } from '../src/stores/schema.js';
import { createManifestStore } from '../src/stores/manifest-store.js';
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
    {
      name: 'ability',
      migrations: abilityMigrations,
      from: {
        path: fileURLToPath(new URL('../src/stores/ability-store.js', import.meta.url)),
        name: 'abilityMigrations',
      },
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

t.test('a sealed frame is found by any number it stands for, and every one of them is refused with it', async (t) => {
  const store = createSqliteUplinkStore(open(t));
  const log = { gatewayId: 'gw-1', gridId: 'alpha', epoch: 'E1' };
  const frames = [
    { ...toArchive(1), last: 4 },
    { ...toArchive(5), last: 6, bad: 'E_ENVELOPE_INVALID: torn' },
    { ...toArchive(7), last: 9 },
  ];
  await store.accept([{ ...log, frames }], [], 0);
  const numbers = (first: number, last: number) =>
    store.framesNumbered(log, first, last, 10, 99).map(({ number }) => number);
  // Told by the last number, so that whoever goes on after it has it once.
  t.same(numbers(2, 8), [4, 8]);
  t.same(numbers(5, 9), [9]);
  t.same(
    store.logs('gw-1')[0]?.refused.map(({ number }) => number),
    [5, 6],
  );
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

function projection(t: Test, startMs?: number) {
  const database = open(t);
  const clock = testClock(startMs);
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
  return { database, clock, log, ledger, lines, store, alerts, telemetry, told, make, accept, applied };
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

/** What deletes, with raw data kept for 30 days; `pass` has days go by, each with a look. */
function retaining(
  one: ReturnType<typeof projection>,
  entry: { gateway_id: string; grid_id: string; organisation_id: string },
) {
  const { database, clock, store, telemetry } = one;
  const settings = { raw_days: 30, minute_days: 30, quarter_days: 90, organisations: { other: { raw_days: 5 } } };
  const projector = one.make();
  const direct = createDirectStore(database);
  const retention = createRetention({
    settings,
    directory: { gridOf: () => entry.grid_id, ofGrid: () => entry },
    ...{ store, direct, telemetry, projector, ledger: one.ledger, cursors: createCursorStore(database) },
    hasWindows: true,
    file: createFileRoom(database.name, () => database),
    zoneOf: () => 'UTC',
    ...{ clock, realClock: clock, log: one.log },
  });
  const pass = async (days: number) => {
    for (let day = 0; day < days; day += 1) {
      await clock.advance(86_400_000);
      await retention.look();
    }
  };
  return { settings, projector, retention, direct, pass };
}

t.test(
  'what was kept long enough goes once it is projected; it stays proven, and a wrong clock empties nothing at once',
  async (t) => {
    const one = projection(t, testStartMs + 60_000);
    const { database, clock, store, telemetry, accept } = one;
    const entry = { gateway_id: 'gw-1', grid_id: 'alpha', organisation_id: 'sun' };
    const { settings, projector, retention, pass } = retaining(one, entry);
    const frames = () => database.prepare<[], number>('SELECT number FROM cloud_frame ORDER BY number').pluck().all();
    const noTime = { ...toArchive(4), fromMs: null, toMs: null };
    const bad = { ...toArchive(7), bad: 'broken', fromMs: null, toMs: null };
    accept([...[1, 2, 3].map((number) => toArchive(number)), noTime, toArchive(6), bad, toArchive(8)]);
    // A pause of ten minutes, in which the gateway was off.
    accept([toArchive(130), toArchive(131)]);
    store.giveUp('gw-1', 'alpha', 'E1', 5, clock.nowMs());
    store.noteNewest('gw-1', 'E1', 132, clock.nowMs());
    const days = localDays('UTC', testStartMs, testStartMs + 1);
    const proof = () => proofOf(store, entry, days);
    await pass(31);
    t.equal(frames().length, 9, 'nothing goes before it is projected');
    projector.run();
    accept([toArchive(132)]);
    projector.run();
    const before = {
      proof: proof(),
      receipt: store.receipt('gw-1', 'E1'),
      whole: telemetry.completeness('alpha', 9e12),
    };
    t.same(before.proof.days[0]?.frames, 8);
    const minutes = () => telemetry.windows('alpha', 'inv-01', 'generation_kw', '1m', 0, 9e12).t.length;
    t.ok(minutes() > 0);
    await retention.look();
    t.same(frames(), [7, 132], 'a refused frame stays told, one that came lately stays');
    t.equal(minutes(), 0);
    t.ok(telemetry.windows('alpha', 'inv-01', 'generation_kw', '15m', 0, 9e12).t.length > 0);
    const after = {
      proof: proof(),
      receipt: store.receipt('gw-1', 'E1'),
      whole: telemetry.completeness('alpha', 9e12),
    };
    t.same(after, before, 'still proven, missing, given up and refused as before');
    const changed = { ...toArchive(2), hash: Buffer.from('another') };
    t.match(accept([toArchive(1), changed, noTime]), [{ added: 0, repeated: 3, conflicts: [] }], 'a late repeat');
    t.same(store.receipt('gw-1', 'E1'), before.receipt);
    const at = (number: number) => testStartMs + number * 5000;
    t.ok(store.hasFramesBetween('alpha', at(2), at(3)), 'it ran then');
    t.notOk(store.hasFramesBetween('alpha', at(40), at(80)), 'and not in the pause');
    // Another process knows it too, and what fills a hole late goes in its time.
    const again = createSqliteUplinkStore(database);
    t.match(
      again.accept(
        [{ gatewayId: 'gw-1', gridId: 'alpha', epoch: 'E1', frames: [toArchive(3), toArchive(9), toArchive(5)] }],
        [],
        clock.nowMs(),
      ),
      [{ added: 2, repeated: 1 }],
    );
    projector.run();
    const late = proofOf(again, entry, days);
    await pass(31);
    t.same(frames(), [7]);
    t.same(proofOf(createSqliteUplinkStore(database), entry, days), late);

    // The clock of the server jumps: only a day's worth is believed with each look.
    await clock.advance(300 * 86_400_000);
    const quarters = () => telemetry.windows('alpha', 'inv-01', 'generation_kw', '15m', 0, 9e12).t.length;
    await retention.look();
    t.ok(quarters() > 0);
    for (let look = 0; look < 40; look += 1) await retention.look();
    t.equal(quarters(), 0);
    t.ok(telemetry.windows('alpha', 'inv-01', 'generation_kw', '1h', 0, 9e12).t.length > 0, 'hours stay');
    t.same(keptOf(settings, 'other')['raw'], 5 * 86_400_000);
    t.same(keptOf(settings, undefined), keptOf(settings, 'sun'));
  },
);

t.test('a device that boots often leaves no log of each boot behind', async (t) => {
  const one = projection(t, testStartMs + 60_000);
  const { database, clock, store } = one;
  const { projector, direct, pass } = retaining(one, { gateway_id: 'gw-1', grid_id: 'alpha', organisation_id: 'sun' });
  const boots = ['b1', 'b2', unnumberedLog];
  for (const epoch of boots) {
    const bytes = frameOfAlert({ boot: epoch, upMs: 0 }, clock.nowMs(), []);
    const frame = { ...toArchive(1), number: 3, bytes, hash: Buffer.from(epoch), fromMs: null, toMs: null };
    store.giveUp('meter-7', 'alpha', epoch, 2, clock.nowMs());
    store.accept([{ gatewayId: 'meter-7', gridId: 'alpha', epoch, frames: [frame] }], [], clock.nowMs());
    if (epoch !== unnumberedLog) direct.count('meter-7', epoch, { first: 3, last: 3, added: 1 }, clock.nowMs());
    await clock.advance(1000);
  }
  store.giveUp('gw-1', 'alpha', 'E2', 1, clock.nowMs());
  const rows = (table: string) => database.prepare<[], number>(`SELECT count(*) FROM ${table}`).pluck().get();
  const rowsBefore = [rows('cloud_ledger_range'), rows('cloud_given_up')];
  await pass(30);
  t.equal(store.allLogs().length, 4, 'while its frames are kept');
  projector.run();
  await pass(2);
  t.same(
    store.allLogs().map(({ epoch }) => epoch),
    ['b2', unnumberedLog, 'E2'],
    'the newest boot, what is not counted, and logs of gateways stay known',
  );
  t.same(
    [rows('cloud_ledger_range'), rows('cloud_given_up')],
    rowsBefore.map((count = 0) => count - 1),
  );
  t.match(direct.logsOf('meter-7'), [{ boot: 'b2' }]);
  t.match(store.progress('meter-7', 'b2'), { explainedUpTo: 3, newestNumber: 3 });
});

t.test('a day is compared with what its gateway says of it', async (t) => {
  const { database, clock, log, lines, ledger, store, telemetry, accept, make } = projection(t);
  const projector = make();
  const entry = { gateway_id: 'gw-1', grid_id: 'alpha' };
  const check = createManifestCheck({
    manifests: createManifestStore(database),
    store,
    telemetry,
    projector,
    ledger,
    clock,
    realClock: clock,
    log,
  });
  const [day] = localDays('UTC', testStartMs, testStartMs + 1);
  if (day === undefined) throw new Error('no day');
  const proof = () => proofOf(store, entry, [day], (one) => check.proofOf('alpha', one)).days[0]?.manifest;
  /** Accepts a frame that tells of the day what a store with these frames has of it. */
  const tell = (number: number, upTo: number, frames: readonly number[]) => {
    const other = projection(t);
    other.accept(frames.map((one) => toArchive(one)));
    other.make().run();
    const series = other.telemetry
      .digests('alpha', day.fromMs, day.toMs)
      .map(({ deviceId, metric, count, hash }) => [deviceId, metric, count, hash] as const);
    const manifest = { type: 'manifest', from_ms: day.fromMs, to_ms: day.toMs, up_to: upTo, series } as const;
    const bytes = testFrame(number, { samples: [], entries: [manifest] });
    const hash = createHash('sha256').update(bytes).digest();
    accept([{ number, bytes, hash, bad: null, fromMs: null, toMs: null }]);
    projector.run();
  };
  accept([toArchive(1)]);
  projector.run();
  t.equal(proof(), undefined, 'nothing was told yet');
  tell(5, 4, [1, 2, 3, 4]);
  t.match(proof(), { state: 'waiting', samples: 8, samples_here: 2 }, 'some is on the way');
  accept([toArchive(2), toArchive(4)]);
  store.giveUp('gw-1', 'alpha', 'E1', 3, clock.nowMs());
  projector.run();
  t.match(proof(), {
    state: 'differs',
    differing_count: 2,
    differing: [{ device_id: 'bat-01', metric: 'battery_soc_pct', told: 4, here: 3 }, {}],
  });
  await check.look();
  await check.look();
  accept([toArchive(3)]);
  projector.run();
  await check.look();
  t.match(proof(), { state: 'equal', samples: 8, samples_here: 8, told_until_number: 4 });
  // Later samples, of which the gateway tells in its next word.
  accept([toArchive(6)]);
  projector.run();
  tell(7, 5, [1, 2, 3, 4]);
  t.match(proof(), { state: 'waiting', samples_here: 10 });
  tell(8, 7, [1, 2, 3, 4, 6]);
  t.match(proof(), { state: 'equal', samples: 10 });
  // The same count of other samples, and every frame is here.
  tell(9, 8, [1, 2, 3, 4, 7]);
  await check.look();
  t.match(proof(), { state: 'differs', differing: [{ told: 5, here: 5 }, {}] });
  t.ok(lines.some(({ msg }) => msg === 'a day differs from what its gateway says of it, although every frame is here'));
});

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

t.test(
  'a command to a gateway is confirmed, let go once while its time lasts, and ends with what became of it',
  async (t) => {
    const clock = testClock();
    const database = open(t);
    const sent: DownMessage[] = [];
    let isUp = true;
    const gateway = { gateway_id: 'gw-1', grid_id: 'alpha' };
    const store = createSentCommands(database);
    const start = () =>
      createCommands({
        ...{ store, presence: { state: () => (isUp ? 'up' : 'down') } as const, clock, realClock: clock },
        abilities: createAbilityStore(database),
        send: (_gateway, message) => void sent.push(message),
        random: seededRandom(1),
        log: silentLogger(),
      });
    const commands = start();
    const port = commands.portOf(gateway);
    const asked = {
      ...{ deviceId: 'pump', command: 'run', value: 'yes', confirmation: undefined, expiresInS: 10 },
      actor: { user_id: 'u1', name: 'Asha' },
      holds: (role: string) => role !== 'admin',
    };
    await t.rejects(port.request(asked), { code: 'E_COMMANDS_OFF' }, 'a gateway that takes none');
    commands.hello(gateway, true);
    const begin = async () => {
      const answer = await port.request(asked);
      if (answer.state !== 'needs_confirmation') throw new Error('no question');
      const { confirmation } = answer;
      await t.rejects(port.request({ ...asked, value: 'no', confirmation }), { code: 'E_CONFLICT' });
      const again = await port.request(asked);
      const ending = port.request({ ...asked, confirmation: again.state === 'finished' ? '' : again.confirmation });
      await clock.advance(0);
      return { ending, id: (sent.findLast(({ y }) => y === 'command') as { id?: string } | undefined)?.id ?? '' };
    };
    const first = await begin();
    t.match(sent, [{ y: 'command', role: 'installer', device_id: 'pump', actor: { name: 'Asha' } }]);
    t.match(store.list('alpha', 9), [{ state: 'sent' }], 'kept before anything is done');
    await clock.advance(4000);
    commands.ready({ gateway_id: 'gw-2', grid_id: 'beta' }, first.id);
    commands.ready(gateway, first.id);
    commands.ready(gateway, first.id);
    t.same(
      sent.slice(1),
      [{ y: 'command_go', id: first.id, ttl_ms: 6000 }],
      'let go once, with what is left of its time',
    );
    commands.outcome(
      { gateway_id: 'gw-2', grid_id: 'beta' },
      { id: first.id, state: 'refused', reason: 'x', read_back: null },
    );
    commands.outcome(gateway, { id: first.id, state: 'acknowledged', reason: null, read_back: '1' });
    t.match(await first.ending, { state: 'finished', record: { state: 'acknowledged', read_back: '1' } });

    const late = await begin();
    await clock.advance(10_000);
    const before = sent.length;
    commands.ready(gateway, late.id);
    t.equal(sent.length, before, 'never let go after its time');
    await clock.advance(10_000);
    t.match(await late.ending, { record: { state: 'failed', reason: /nothing was done/ } });

    const lost = await begin();
    commands.ready(gateway, lost.id);
    await clock.advance(20_000);
    t.match(await lost.ending, { record: { state: 'failed', reason: /whether it was done is not known/ } });
    const entry = {
      type: 'command',
      id: lost.id,
      device_id: 'pump',
      command: 'run',
      value: 'yes',
      reason: null,
    } as const;
    commands.took('beta', { ...entry, state: 'acknowledged', actor: asked.actor, time_ms: 1 });
    t.match(store.get('alpha', lost.id), { state: 'failed' }, 'another grid knows nothing of it');
    commands.took('alpha', { ...entry, state: 'acknowledged', actor: asked.actor, time_ms: 1 });
    t.match(store.get('alpha', lost.id), { state: 'acknowledged', late_answer: true }, 'the log tells it later');
    isUp = false;
    t.match(await (await begin()).ending, { record: { state: 'failed', reason: /no link; nothing was sent/ } });
    t.equal(port.list().records.length, 4);
    // A gateway stays at another broker while this server starts anew, and says HELLO hours later.
    t.match(await start().portOf(gateway).request(asked), { state: 'needs_confirmation' });
    commands.hello(gateway, undefined);
    await t.rejects(start().portOf(gateway).request(asked), { code: 'E_COMMANDS_OFF' });
  },
);

/** Documents of the grids `alpha` and `beta`, whose gateways are connected, with what goes down to them. */
function documentsOf(t: Test, accounts: Parameters<typeof namesShutOut>[0] = []) {
  const database = open(t);
  const clock = testClock();
  const sent: (DownMessage & { readonly to: string })[] = [];
  const store = createDocumentStore(database);
  const log = silentLogger();
  const gateways = ['alpha', 'beta'].map((name) => ({ gateway_id: `gw-${name}`, grid_id: name }));
  const config = { cloud_id: 'cloud', gateways, grids: [], devices: [], directory_file: join(tempDir(t), 'none.yaml') };
  const start = () => {
    const documents = createDocuments({
      store,
      abilities: createAbilityStore(database),
      transaction: (run) => database.transaction(run)(),
      directory: createDirectory(config, { realClock: clock, log }),
      presence: { state: () => 'up' },
      send: (gateway, message) => void sent.push({ ...message, to: gateway.grid_id }),
      siteOf: () => undefined,
      shutOut: (gridId) => namesShutOut(accounts, gridId, gridId === 'alpha' ? 'north' : 'south'),
      onDenied() {},
      ...{ clock, realClock: clock, random: seededRandom(1), log },
    });
    documents.start();
    t.teardown(() => documents.stop());
    return documents;
  };
  const documents = start();
  const [alpha, beta] = gateways as [(typeof gateways)[0], (typeof gateways)[0]];
  /** Somebody makes a document what is given. */
  const put = (gateway: typeof alpha, name: DocumentName, body: DocumentBody) => {
    const basedOn = store.newest(gateway.grid_id, name)?.rev ?? 0;
    const actor = { user_id: 'u1', name: 'Ben' };
    return documents.portOf(gateway).put(name, { basedOn, body, password: new Map(), actor });
  };
  return { documents, start, store, sent, clock, alpha, beta, put };
}

t.test(
  'who is shut out of a server is shut out of their own villages, and nobody of the same name in others',
  async (t) => {
    const people = {
      juma: { display_name: 'Juma', role: 'operator', disabled: false },
      asha: { display_name: 'Asha', role: 'operator', disabled: false },
      ben: { display_name: 'Ben', role: 'operator', disabled: false },
    };
    const { documents, alpha, beta, put } = documentsOf(t, [
      { username: 'juma', disabled: true, grants: [{ role: 'viewer', scope: { kind: 'grid', grid_id: 'alpha' } }] },
      {
        username: 'asha',
        disabled: true,
        grants: [{ role: 'viewer', scope: { kind: 'organisation', organisation_id: 'south' } }],
      },
      { username: 'ben', disabled: true, grants: [] },
    ]);
    for (const gateway of [alpha, beta]) {
      await put(gateway, 'users', people);
      documents.hello(gateway, {});
    }
    const shutOut = (gateway: typeof alpha) => {
      const body = documents.portOf(gateway).get('users')?.body as Record<string, { disabled: boolean }>;
      return Object.keys(body).filter((username) => body[username]?.disabled);
    };
    t.same(shutOut(alpha), ['juma']);
    t.same(shutOut(beta), ['asha']);
  },
);

t.test(
  'a revision whose number the gateway knows as that of another one gets a new number, and is settled',
  async (t) => {
    const { documents, store, sent, alpha, put } = documentsOf(t);
    await put(alpha, 'limits', { battery_low_pct: 35 });
    const newest = () => store.newest('alpha', 'limits');
    // As after a backup was restored: what the gateway decided on under this number is gone.
    const other = { name: 'limits', rev: 1, sha256: 'f'.repeat(64), state: 'applied' } as const;
    documents.took('alpha', { type: 'document', id: 'e1', ...other, reason: null, time_ms: 1 });
    t.match(newest(), { rev: 1, state: null }, 'a word on another revision is none on this one');
    documents.hello(alpha, { limits: other });
    t.match(newest(), { rev: 2, cause: 'renumbered', state: null });
    t.match(sent.at(-1), { y: 'document', to: 'alpha', rev: 2 });
    documents.hello(alpha, { limits: { rev: 2, sha256: newest()?.sha256 ?? '', state: 'applied' } });
    t.match(newest(), { rev: 2, state: 'applied' });
  },
);

t.test('of a document the newest revisions are kept, and the one in force however old it is', async (t) => {
  const { documents, store, alpha, put } = documentsOf(t);
  const revs = () => store.history('alpha', 'limits').map(({ rev }) => rev);
  for (let rev = 1; rev <= keptRevisions + 3; rev += 1) {
    await put(alpha, 'limits', { battery_low_pct: rev });
    if (rev <= 2) store.decided('alpha', 'limits', rev, { state: 'applied', reason: null, atMs: 1 });
  }
  t.same(documents.inForce('alpha', 'limits'), { battery_low_pct: 2 });
  t.same([revs().length, revs().at(-2), revs().at(-1)], [keptRevisions + 1, 4, 2]);
});

t.test('a document goes down after a restart of the server to a gateway that has not said HELLO again', async (t) => {
  const { documents, start, sent, clock, alpha, beta, put } = documentsOf(t);
  documents.hello(alpha, {});
  for (const gateway of [alpha, beta]) await put(gateway, 'limits', { battery_low_pct: 35 });
  documents.stop();
  sent.length = 0;
  start();
  await clock.advance(60_000);
  t.match(sent, [{ y: 'document', to: 'alpha', name: 'limits', rev: 1 }]);
  t.equal(sent.length, 1, 'nothing to one that knows of no documents');
});
