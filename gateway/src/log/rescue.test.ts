/** Files that a worn card, a full disk or a stuck reader spoils: the gateway starts, keeps what can be kept, and says so. */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { topics } from '@villagrid/contracts';
import { openDatabase, realClock, seededRandom, silentLogger } from '@villagrid/runtime';
import { testClock } from '@villagrid/runtime/testing';
import { judge, loadAlertId, openLoadStore, runLoad } from '../testing/disk/load.js';
import { memoryDir } from '../testing/disk/shim.js';
import { gatewayFolder, gridId, startHouse, until } from '../testing/house.js';
import { DataFolder } from './data-folder.js';

const soak = process.env.VILLAGRID_SOAK === 'full';
/** Of the full form only every so many places: runs with other seeds look at others. */
const oneOf = Number(process.env.ONE_OF ?? 1);
t.setTimeout(soak ? 0 : 200_000);
const seed = process.env.SEED ?? String(Math.trunc(realClock().nowMs()));

/** A log as a power cut leaves it: much in the file, much in its write-ahead log. */
async function logAfterCut(t: Test, folder: string, own: string, { checkpointPages = 100, journalBytes = 0 } = {}) {
  const from = join(folder, `${own}-source`);
  const to = join(folder, own);
  for (const one of [from, to]) cpSync(memoryDir(t), one, { recursive: true });
  const store = openLoadStore({ folder: from, seed: own, checkpointPages, journalBytes });
  const acknowledged: number[] = [];
  const random = seededRandom(`${seed} ${own}`);
  const note = (mark: string) => acknowledged.push(Number(mark.split(' ')[1]));
  await runLoad(store, random, [0, 100], note);
  // As it was some commits ago: what somebody may put back.
  const older = join(folder, `${own}-older`);
  cpSync(from, older, { recursive: true });
  store.log.setCursor('uplink', 40);
  await runLoad(store, random, [100, 120], note);
  cpSync(from, to, { recursive: true });
  const { epoch } = store.log;
  const newest = store.log.newestNumber();
  const waiting = store.log.waitingFrames();
  await store.close();
  return { folder: to, older, acknowledged, epoch, newest, waiting, journalBytes };
}
type Cut = Awaited<ReturnType<typeof logAfterCut>>;

/** Opens a spoiled copy twice; gives what is there and what is wrong with it. */
async function start(folder: string, { epoch, newest, journalBytes }: Cut) {
  const clock = realClock();
  const begunMs = clock.monotonicMs();
  const wrong: string[] = [];
  const store = openLoadStore({ folder, seed: 'again', journalBytes });
  const tookMs = clock.monotonicMs() - begunMs;
  if (tookMs > 10_000) wrong.push(`it took ${tookMs} ms`);
  const tokens = new Set<number>();
  const old = store.database().prepare<[], Buffer>('SELECT bytes FROM frame WHERE number < 1').pluck().all().length;
  const frames = store.log.read(1, { maxFrames: 10_000, maxBytes: 1e9 });
  for (const [index, { number, frame }] of frames.entries()) {
    if (number !== index + 1) wrong.push(`hole at ${number}`);
    for (const { seqs } of frame.received) for (const seq of seqs) tokens.add(seq);
  }
  const { rescue } = store;
  const damaged = store.log.stats.damagedFrames;
  if (rescue) {
    if (store.log.epoch === epoch) wrong.push('set aside, and the numbers go on in the same epoch');
    const told = frames[0]?.frame.entries[0];
    if (rescue.salvaged && (told?.type !== 'epoch' || told.reason !== 'salvaged')) wrong.push('no word of the salvage');
    if (rescue.salvaged && told?.type === 'epoch' && told.previous_epoch !== null && told.previous_epoch !== epoch)
      wrong.push('another previous epoch');
    if (!existsSync(join(rescue.setAside, 'why.txt'))) wrong.push('nothing was set aside');
  } else if (store.log.epoch === epoch && store.log.newestNumber() > newest) wrong.push('frames out of nowhere');
  await store.close();
  const again = openLoadStore({ folder, seed: 'once more', journalBytes });
  if (again.rescue) wrong.push(`set aside again: ${again.rescue.why}`);
  if (again.log.newestNumber() < frames.length) wrong.push('less than at the first start');
  const events = again.alertStore.events(loadAlertId).length;
  await again.close();
  return { wrong, tokens, old, rescue, damaged, events, frames: frames.length + old };
}

const spoiled = (folder: string, cut: Cut, spoil: (path: string) => void) => {
  const own = join(folder, 'spoiled');
  rmSync(own, { recursive: true, force: true });
  cpSync(cut.folder, own, { recursive: true });
  spoil(join(own, 'log.db'));
  return start(own, cut);
};

const flip = (path: string, at: number, bit: number) => {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] as number) ^ (1 << bit);
  writeFileSync(path, bytes);
};

t.test(
  `a write-ahead log cut or changed anywhere, and pages changed anywhere: it starts, and keeps the rest (SEED=${seed})`,
  async (t) => {
    const folder = memoryDir(t);
    const random = seededRandom(seed);
    const cut = await logAfterCut(t, folder, 'own');
    const wal = statSync(join(cut.folder, 'log.db-wal')).size;
    const main = statSync(join(cut.folder, 'log.db')).size;
    const places = (size: number, few: number) =>
      soak
        ? Array.from({ length: Math.floor(size / 64 / oneOf) }, (_, i) => (i + random.float()) * oneOf * 64).map(
            (at) => Math.floor(at / 64) * 64,
          )
        : Array.from({ length: few }, () => Math.floor(random.float() * size));
    const wrong: string[] = [];
    let [setAside, leastKept, damagedFrames] = [0, cut.newest, 0];
    const note = (what: string, found: Awaited<ReturnType<typeof start>>) => {
      for (const one of found.wrong) wrong.push(`${what}: ${one}`);
      if (found.rescue) setAside += 1;
      damagedFrames += found.damaged;
      return found;
    };
    for (const at of places(wal, 60))
      note(`log cut at ${at}`, await spoiled(folder, cut, (path) => truncateSync(`${path}-wal`, at)));
    for (const at of places(wal, 80)) {
      const found = note(
        `bit of the log at ${at}`,
        await spoiled(folder, cut, (path) => flip(`${path}-wal`, at, Math.floor(random.float() * 8))),
      );
      if (found.rescue) leastKept = Math.min(leastKept, found.frames);
    }
    for (const at of places(main, 80)) {
      const found = note(
        `bit of the file at ${at}`,
        await spoiled(folder, cut, (path) => flip(path, at, Math.floor(random.float() * 8))),
      );
      leastKept = Math.min(leastKept, found.frames);
    }
    t.same(wrong, []);
    t.ok(setAside > 0, `${setAside} were set aside, ${damagedFrames} frames changed`);
    t.ok(leastKept >= cut.newest - 30, `never fewer than ${leastKept} of ${cut.newest} frames were left`);
  },
);

t.test(
  'zeroed, emptied or lost files, a foreign write-ahead log, a stale index of it: it starts, once is enough',
  async (t) => {
    const folder = memoryDir(t);
    const cut = await logAfterCut(t, folder, 'own');
    // Never checkpointed: its write-ahead log holds all pages, the one with its identity too.
    const other = await logAfterCut(t, folder, 'other', { checkpointPages: 100_000 });
    const zero = (path: string, from: number, to: number) => {
      const bytes = readFileSync(path);
      bytes.fill(0, from, to);
      writeFileSync(path, bytes);
    };
    const cases: Record<string, { spoil: (path: string) => void; keeps: number; setAside?: boolean }> = {
      'first page zeroed': { spoil: (path) => zero(path, 0, 4096), keeps: cut.newest - 12 },
      'whole file zeroed': { spoil: (path) => zero(path, 0, statSync(path).size), keeps: 1, setAside: true },
      'file emptied': { spoil: (path) => truncateSync(path, 0), keeps: 1, setAside: true },
      'file gone': { spoil: (path) => rmSync(path), keeps: 1, setAside: true },
      'file cut in half': { spoil: (path) => truncateSync(path, 4096 * 12), keeps: 1, setAside: true },
      'log of another gateway': {
        spoil: (path) => cpSync(join(other.folder, 'log.db-wal'), `${path}-wal`),
        keeps: 20,
        setAside: true,
      },
      'log gone': { spoil: (path) => rmSync(`${path}-wal`), keeps: 1, setAside: false },
      'stale index': {
        spoil: (path) => writeFileSync(`${path}-shm`, Buffer.alloc(32_768, 0xa5)),
        keeps: cut.newest,
        setAside: false,
      },
      'head of the log changed': { spoil: (path) => flip(`${path}-wal`, 3, 2), keeps: cut.newest - 5, setAside: true },
    };
    for (const [what, { spoil, keeps, setAside }] of Object.entries(cases)) {
      const { wrong, rescue, frames, old, tokens, events } = await spoiled(folder, cut, spoil);
      t.same(wrong, [], what);
      if (setAside !== undefined) t.equal(rescue !== undefined, setAside, `${what}: ${rescue?.why ?? 'not set aside'}`);
      t.ok(
        frames >= keeps,
        `${what}: ${frames} of ${cut.newest} frames (${old} with a receipt), ${tokens.size} readings, ${events} events`,
      );
    }
  },
);

t.test(
  `a journal that is gone, zeroed, cut, changed, foreign or old, and a log spoiled behind it: the rest is kept (SEED=${seed})`,
  async (t) => {
    const folder = memoryDir(t);
    const random = seededRandom(`${seed} journal`);
    const journal = (path: string) => join(dirname(path), 'log.journal');
    const cut = await logAfterCut(t, folder, 'own', { journalBytes: 80 * 4096 });
    const other = await logAfterCut(t, folder, 'other', { journalBytes: 80 * 4096 });
    const { waiting, newest } = cut;
    t.ok(waiting > 3 && waiting < newest, `${waiting} of ${newest} frames are in the journal alone`);
    const size = statSync(journal(join(cut.folder, 'log.db'))).size;
    const stored = newest - waiting;
    const cases: [what: string, spoil: (path: string) => void, keeps: number, setAside: boolean | undefined][] = [
      ['nothing', () => {}, newest, false],
      ['gone', (path) => rmSync(journal(path)), stored, true],
      ['zeroed', (path) => writeFileSync(journal(path), Buffer.alloc(size)), stored, true],
      ['emptied', (path) => truncateSync(journal(path), 0), stored, true],
      ['cut', (path) => truncateSync(journal(path), size / 2), stored, true],
      ['its head changed', (path) => flip(journal(path), 18, 1), newest, true],
      ['foreign', (path) => cpSync(journal(join(other.folder, 'log.db')), journal(path)), stored, true],
      ['as it was earlier', (path) => cpSync(journal(join(cut.older, 'log.db')), journal(path)), stored, false],
      ['log gone', (path) => rmSync(path), waiting, true],
      // Unless its write-ahead log still holds every page.
      ['log zeroed', (path) => writeFileSync(path, Buffer.alloc(statSync(path).size)), waiting, undefined],
    ];
    for (let n = 0; n < (soak ? 2000 / oneOf : 40); n += 1) {
      const [at, bit] = [4096 + Math.floor(random.float() * (size - 4096)), Math.floor(random.float() * 8)];
      cases.push([`bit ${bit} at ${at}`, (path) => flip(journal(path), at, bit), newest - 1, false]);
    }
    const wrong: string[] = [];
    for (const [what, spoil, keeps, setAside] of cases) {
      const found = await spoiled(folder, cut, spoil);
      for (const one of found.wrong) wrong.push(`${what}: ${one}`);
      if (found.frames < keeps) wrong.push(`${what}: ${found.frames} of ${newest} frames, not ${keeps}`);
      if (setAside !== undefined && (found.rescue !== undefined) !== setAside)
        wrong.push(`${what}: ${found.rescue?.why ?? 'not set aside'}`);
      const lost = cut.acknowledged.filter((token) => !found.tokens.has(token)).length;
      if (what === 'nothing' && lost > 0) wrong.push(`${lost} lost`);
    }
    t.same(wrong, []);
  },
);

t.test(
  'a gateway whose log was zeroed in part counts no sample twice in its history, and misses none that was left',
  async (t) => {
    const config = await gatewayFolder(t);
    const clock = realClock();
    const data = join(dirname(config), 'data');
    const path = join(data, 'log.db');
    const first = await startHouse(t, config);
    const client = await first.connect('meter-1');
    const beginMs = clock.nowMs() - 1000;
    for (let seq = 1; seq <= 40; seq += 1) {
      const payload = JSON.stringify({ v: 1, boot: 'b', seq, up: seq * 10, metrics: { consumption_kw: seq } });
      await client.publishAsync(topics.telemetry(gridId, 'meter-1'), payload, { qos: 1 });
    }
    first.gateway.log.setCursor('uplink', first.gateway.log.newestNumber() - 10);
    const count = async ({ gateway }: Awaited<ReturnType<typeof startHouse>>) => {
      const grid = gateway.api.grids.get(gridId);
      const windows = await grid?.windows('meter-1', 'consumption_kw', '1m', beginMs - 60_000, clock.nowMs() + 60_000);
      return (windows?.count ?? []).reduce((sum, one) => sum + one, 0);
    };
    t.equal(await count(first), 40);
    await first.gateway.stop();
    rmSync(`${path}.clean`);
    const bytes = readFileSync(path);
    bytes.fill(0, 0, 4096);
    writeFileSync(path, bytes);
    for (const start of ['first', 'second']) {
      const house = await startHouse(t, config);
      t.match(house.gateway.log.read(1, { maxFrames: 1, maxBytes: 1e6 })[0]?.frame.entries[0], { reason: 'salvaged' });
      t.equal(await count(house), 40, `${start} start`);
      const told = async () => {
        const open = await house.gateway.api.grids.get(gridId)?.alerts({ status: 'active' });
        return open?.some((one) => one.message.includes('set aside')) === true;
      };
      t.ok(await until(told), 'and somebody is told');
      await house.gateway.stop();
    }
  },
);

t.test(
  'accounts survive a spoiled file by their second copy; a file closed in good order and spoiled since is noticed',
  async (t) => {
    const folder = memoryDir(t);
    const clock = testClock();
    const open = () => new DataFolder({ folder, clock, realClock: clock, log: silentLogger() });
    const path = join(folder, 'settings.db');
    const first = open();
    first.open('settings.db', { copied: true }).exec('CREATE TABLE person (name TEXT); INSERT INTO person VALUES (1)');
    first.start();
    first.stop();
    t.ok(existsSync(`${path}.clean`));
    for (const spoil of [
      () => writeFileSync(path, Buffer.alloc(statSync(path).size)),
      () => flip(path, 101, 3),
      () => truncateSync(path, 5000),
    ]) {
      spoil();
      const data = open();
      const database = data.open('settings.db', { copied: true });
      t.equal(database.prepare('SELECT count(*) FROM person').pluck().get(), 1);
      t.ok(data.damagedFiles() > 0, 'and somebody is told');
      data.start();
      data.stop();
    }
  },
);

t.test(
  'a reader that never ends: the write-ahead log stays below 16 MB at a village’s pace, and shrinks afterwards',
  async (t) => {
    const folder = memoryDir(t);
    const store = openLoadStore({ folder, seed, checkpointPages: 1000 });
    const random = seededRandom(seed);
    await runLoad(store, random, [0, 20], () => {});
    const reader = openDatabase({ path: join(folder, 'log.db'), readonly: true });
    const open = reader.prepare('SELECT number FROM frame').iterate();
    open.next();
    // Ten minutes at a commit every 5 s.
    for (let n = 0; n < 120; n += 1) await runLoad(store, random, [20 + n, 21 + n], () => {});
    const stuck = store.walBytes();
    t.ok(stuck < 16e6, `${(stuck / 1e6).toFixed(1)} MB`);
    open.return?.();
    reader.close();
    await runLoad(store, random, [200, 900], () => {});
    t.ok(store.walBytes() <= 4.5e6, `${(store.walBytes() / 1e6).toFixed(1)} MB afterwards`);
    await store.close();
  },
);

/** A disk of 32 MB, or why there is none. */
function smallDisk(t: Test): { readonly folder: string } | { readonly reason: string } {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return { reason: 'mounting a small disk needs root on Linux' };
  const folder = mkdtempSync(join(tmpdir(), 'villagrid-disk-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'villagrid', folder]);
  t.teardown(() => {
    if (status === 0) spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });
  return status === 0 ? { folder } : { reason: 'a small disk cannot be mounted here' };
}

function fillDisk(path: string): void {
  const file = openSync(path, 'w');
  try {
    for (const size of [1024 * 1024, 4096]) for (;;) if (!tryWrite(file, size)) break;
  } finally {
    closeSync(file);
  }
}

t.test(
  'a full disk behind the journal: commits go on until it is full too, then none is acknowledged, reads go on, and with space all of it is stored',
  async (t) => {
    const disk = smallDisk(t);
    if ('reason' in disk) return t.pass(`skipped: ${disk.reason}`);
    const store = openLoadStore({ folder: disk.folder, seed, journalBytes: 100 * 4096 });
    const { log } = store;
    const random = seededRandom(seed);
    const marks: string[] = [];
    const told: (string | undefined)[] = [];
    log.onTrouble((reason) => told.push(reason));
    let token = 0;
    // The journal is made beside the first commits.
    for (; log.stats.journalled === 0 && token < 400; token += 1) {
      await runLoad(store, random, [token, token + 1], (mark) => marks.push(mark));
      await realClock().sleep(5);
    }
    fillDisk(join(disk.folder, 'fill'));
    const before = log.newestNumber();
    const begun = token;
    for (; log.stats.failedCommits === 0 && token < begun + 1000; token += 1)
      await runLoad(store, random, [token, token + 1], (mark) => marks.push(mark));
    const kept = log.newestNumber() - before;
    t.ok(kept > 50 && token < begun + 1000, `${kept} commits with a full disk`);
    t.ok(told.length > 0, `people are told: ${told[0]}`);
    t.equal(log.read(1, { maxFrames: 1000, maxBytes: 1e9 }).length, log.newestNumber());
    t.equal(store.alertStore.events(loadAlertId).length > 0, true, 'alerts can be read, those of the journal too');
    rmSync(join(disk.folder, 'fill'));
    await runLoad(store, random, [token, token + 20], (mark) => marks.push(mark));
    t.equal(log.stats.failing, false);
    await store.close();
    t.same(await judge(disk.folder, marks, { journalBytes: 100 * 4096 }), []);
  },
);

t.test(
  'a full disk: the ballast goes first, then nothing is acknowledged and people are told; with space it works again',
  async (t) => {
    const disk = smallDisk(t);
    if ('reason' in disk) return t.pass(`skipped: ${disk.reason}`);
    const clock = realClock();
    const config = await gatewayFolder(t, { data_dir: join(disk.folder, 'data'), log: { hold_ms: 20, journal_mb: 0 } });
    const { gateway, connect } = await startHouse(t, config);
    const ballast = join(disk.folder, 'data', 'ballast');
    const ballastBytes = () => statSync(ballast, { throwIfNoEntry: false })?.size ?? 0;
    t.ok(await until(() => ballastBytes() === 8 * 1024 * 1024), 'there is a ballast file with real bytes');
    const fill = (name: string) => fillDisk(join(disk.folder, name));
    let seq = 0;
    /** Publishes until one is acknowledged, as a node does, or the time is up. */
    const acknowledged = async (withinMs: number): Promise<boolean> => {
      const endMs = clock.monotonicMs() + withinMs;
      for (seq += 1; clock.monotonicMs() < endMs; await clock.sleep(50)) {
        const client = await connect('meter-1').catch(() => undefined);
        if (!client) continue;
        const payload = JSON.stringify({ v: 1, boot: 'b', seq, up: seq * 10, metrics: { consumption_kw: 2 } });
        const done = await Promise.race([
          client.publishAsync(topics.telemetry(gridId, 'meter-1'), payload, { qos: 1 }).then(
            () => true,
            () => false,
          ),
          new Promise<boolean>((resolve) => client.once('close', () => resolve(false))),
        ]);
        client.end(true);
        if (done) return true;
      }
      return false;
    };
    t.ok(await acknowledged(5000));
    fill('first');
    for (let n = 0; n < 20; n += 1) t.ok(await acknowledged(5000), 'the ballast makes room');
    t.ok(await until(() => ballastBytes() === 0, 8000), 'it is given up');
    fill('second');
    let refused = false;
    for (let n = 0; n < 200 && !refused; n += 1) refused = !(await acknowledged(700));
    t.ok(refused, 'nothing is acknowledged that cannot be kept');
    const told = async () => {
      const grid = gateway.api.grids.get(gridId);
      return (await grid?.alerts({ status: 'active' }))?.some((one) =>
        one.message.includes('cannot write to its card'),
      );
    };
    t.ok(await until(async () => (await told()) === true, 5000), 'the app says so');
    t.ok((await gateway.api.grids.get(gridId)?.alerts({}))?.length, 'and reads go on');
    for (const name of ['first', 'second']) rmSync(join(disk.folder, name));
    const begunMs = clock.monotonicMs();
    t.ok(await acknowledged(10_000));
    t.comment(`works again after ${Math.round(clock.monotonicMs() - begunMs)} ms`);
    t.ok(await until(() => ballastBytes() === 8 * 1024 * 1024, 10_000), 'the ballast is back');
    t.equal(gateway.log.stats.failing, false);
  },
);

function tryWrite(file: number, size: number): boolean {
  try {
    return writeSync(file, Buffer.alloc(size, 1)) === size;
  } catch {
    return false;
  }
}
