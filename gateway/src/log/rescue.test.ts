/** Files that a worn card, a full disk or a stuck reader spoils: the gateway starts, keeps what can be kept, and says so. */
import { cpSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openDatabase, realClock, seededRandom, silentLogger } from '@villagrid/runtime';
import { testClock } from '@villagrid/runtime/testing';
import { loadAlertId, openLoadStore, runLoad } from '../testing/disk/load.js';
import { memoryDir } from '../testing/disk/shim.js';
import { DataFolder } from './data-folder.js';

const soak = process.env.VILLAGRID_SOAK === 'full';
t.setTimeout(soak ? 0 : 200_000);
const seed = process.env.SEED ?? String(Math.trunc(realClock().nowMs()));

/** A log as a power cut leaves it: much in the file, much in its write-ahead log. */
async function logAfterCut(t: Test, folder: string, own: string, checkpointPages = 100) {
  const from = join(folder, `${own}-source`);
  const to = join(folder, own);
  for (const one of [from, to]) cpSync(memoryDir(t), one, { recursive: true });
  const store = openLoadStore({ folder: from, seed: own, checkpointPages });
  const acknowledged: number[] = [];
  await runLoad(store, seededRandom(`${seed} ${own}`), [0, 120], (mark) =>
    acknowledged.push(Number(mark.split(' ')[1])),
  );
  store.log.setCursor('uplink', 40);
  cpSync(from, to, { recursive: true });
  const { epoch } = store.log;
  const newest = store.log.newestNumber();
  store.close();
  return { folder: to, acknowledged, epoch, newest };
}
type Cut = Awaited<ReturnType<typeof logAfterCut>>;

/** Opens a spoiled copy twice; gives what is there and what is wrong with it. */
function start(folder: string, { epoch, newest }: Cut) {
  const clock = realClock();
  const begunMs = clock.monotonicMs();
  const wrong: string[] = [];
  const store = openLoadStore({ folder, seed: 'again' });
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
  store.close();
  const again = openLoadStore({ folder, seed: 'once more' });
  if (again.rescue) wrong.push(`set aside again: ${again.rescue.why}`);
  if (again.log.newestNumber() < frames.length) wrong.push('less than at the first start');
  const events = again.alertStore.events(loadAlertId).length;
  again.close();
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
        ? Array.from({ length: Math.floor(size / 64) }, (_, i) => i * 64)
        : Array.from({ length: few }, () => Math.floor(random.float() * size));
    const wrong: string[] = [];
    let [setAside, leastKept, damagedFrames] = [0, cut.newest, 0];
    const note = (what: string, found: ReturnType<typeof start>) => {
      for (const one of found.wrong) wrong.push(`${what}: ${one}`);
      if (found.rescue) setAside += 1;
      damagedFrames += found.damaged;
      return found;
    };
    for (const at of places(wal, 60))
      note(
        `log cut at ${at}`,
        spoiled(folder, cut, (path) => truncateSync(`${path}-wal`, at)),
      );
    for (const at of places(wal, 80)) {
      const found = note(
        `bit of the log at ${at}`,
        spoiled(folder, cut, (path) => flip(`${path}-wal`, at, Math.floor(random.float() * 8))),
      );
      if (found.rescue) leastKept = Math.min(leastKept, found.frames);
    }
    for (const at of places(main, 80)) {
      const found = note(
        `bit of the file at ${at}`,
        spoiled(folder, cut, (path) => flip(path, at, Math.floor(random.float() * 8))),
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
    const other = await logAfterCut(t, folder, 'other');
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
      const { wrong, rescue, frames, old, tokens, events } = spoiled(folder, cut, spoil);
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
    store.close();
  },
);
