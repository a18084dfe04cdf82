import { existsSync, readFileSync, statfsSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { migrateModule, openDatabase, updatedWithoutCopy } from '../index.js';
import { migrationSuite, tempDir } from '../testing/index.js';
import { stepsOfTest } from '../testing/migration-steps.js';
import { readWal } from './wal.js';

const setting = (database: ReturnType<typeof openDatabase>, name: string) => database.pragma(name, { simple: true });

t.test(
  'every open, also of an existing file, runs WAL with synchronous=FULL and the page settings of creation',
  async (t) => {
    const path = join(tempDir(t), 'a.db');
    for (const round of ['first', 'second', 'third']) {
      const database = openDatabase({ path, migrations: ['CREATE TABLE x (y)'] });
      t.equal(setting(database, 'synchronous'), 2, `${round} open: FULL`);
      t.equal(setting(database, 'journal_mode'), 'wal');
      t.equal(setting(database, 'auto_vacuum'), 2, 'incremental');
      t.equal(setting(database, 'foreign_keys'), 1);
      t.equal(setting(database, 'journal_size_limit'), 4 * 1024 * 1024);
      database.prepare('INSERT INTO x VALUES (1)').run();
      for (const file of [path, `${path}-wal`, `${path}-shm`])
        t.equal(statSync(file).mode & 0o777, 0o600, file.slice(-4));
      database.close();
    }
  },
);

t.test('migrations run once, in order; one that fails leaves the version before it', async (t) => {
  const path = join(tempDir(t), 'a.db');
  const first = 'CREATE TABLE a (x)';
  openDatabase({ path, migrations: [first] }).close();
  t.throws(() => openDatabase({ path, migrations: [first, 'CREATE TABLE b (x)', 'CREATE TABLE c (x); nonsense'] }), {
    code: 'E_STORE_OPEN',
  });
  const database = openDatabase({
    path,
    migrations: [first, 'CREATE TABLE b (x)', (db) => db.exec('CREATE TABLE c (x)')],
  });
  t.equal(setting(database, 'user_version'), 3);
  t.equal(database.prepare('SELECT count(*) AS n FROM sqlite_master').pluck().get(), 3);
  database.close();
});

t.test('a schema newer than the program is refused with a sentence that says what to do', async (t) => {
  const path = join(tempDir(t), 'a.db');
  const database = openDatabase({ path, migrations: ['CREATE TABLE a (x)', 'CREATE TABLE b (x)'] });
  migrateModule(database, 'm', ['CREATE TABLE m1 (x)', 'CREATE TABLE m2 (x)']);
  migrateModule(database, 'm', ['CREATE TABLE m1 (x)', 'CREATE TABLE m2 (x)']);
  t.throws(() => migrateModule(database, 'm', ['CREATE TABLE m1 (x)']), {
    code: 'E_STORE_OPEN',
    message: /version 2.*up to 1/,
  });
  database.close();
  for (const readonly of [false, true]) {
    t.throws(() => openDatabase({ path, migrations: ['CREATE TABLE a (x)'], readonly }), {
      code: 'E_STORE_OPEN',
      next: /newer program/,
    });
  }
});

t.test('a file that is no database, and a folder that is not there, are told by name', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'bad.db'), 'this is not a database, it is a text that is long enough');
  t.throws(() => openDatabase({ path: join(dir, 'bad.db') }), { code: 'E_STORE_OPEN', message: /bad\.db/ });
  t.throws(() => openDatabase({ path: join(dir, 'none', 'a.db') }), { code: 'E_STORE_OPEN', message: /none/ });
});

t.test('an older program is told which copy from before the update it could go back to', async (t) => {
  const path = join(tempDir(t), 'a.db');
  const database = openDatabase({ path });
  migrateModule(database, 'm', ['CREATE TABLE m (x)']);
  database.prepare('INSERT INTO m VALUES (7)').run();
  migrateModule(database, 'm', ['CREATE TABLE m (x)', 'ALTER TABLE m ADD COLUMN y']);
  t.throws(() => migrateModule(database, 'm', ['CREATE TABLE m (x)']), {
    code: 'E_STORE_OPEN',
    next: /a\.db\.before-update: put in its place/,
  });
  database.close();
  const copy = openDatabase({ path: `${path}.before-update` });
  migrateModule(copy, 'm', ['CREATE TABLE m (x)']);
  t.same(copy.prepare('SELECT * FROM m').all(), [{ x: 7 }], 'and it can');
  t.equal(statSync(`${path}.before-update`).mode & 0o777, 0o600);
  copy.close();
});

t.test('an update with no room for a copy from before goes on, and it is known that there is none', (t) => {
  const path = join(tempDir(t), 'a.db');
  const small = openDatabase({ path });
  migrateModule(small, 'm', ['CREATE TABLE m (x)']);
  small.prepare('INSERT INTO m VALUES (7)').run();
  t.notOk(updatedWithoutCopy(small));
  small.close();
  const { bavail, bsize } = statfsSync(path);
  // No block of it is on the disk, but a copy would not fit there.
  truncateSync(path, bavail * bsize + 64 * 1024 * 1024);
  const database = openDatabase({ path });
  migrateModule(database, 'm', ['CREATE TABLE m (x)', 'ALTER TABLE m ADD COLUMN y']);
  t.ok(updatedWithoutCopy(database));
  t.same(database.prepare('SELECT * FROM m').all(), [{ x: 7, y: null }]);
  t.notOk(existsSync(`${path}.before-update`));
  database.close();
  t.end();
});

migrationSuite(
  t,
  [
    {
      name: 'steps',
      migrations: stepsOfTest,
      from: { path: fileURLToPath(new URL('../testing/migration-steps.js', import.meta.url)), name: 'stepsOfTest' },
    },
  ],
  fileURLToPath(new URL('../../dist', import.meta.url)),
);

t.test('the last transaction torn through a head of a frame, by a power cut, is no damage; one before it is', (t) => {
  const path = join(tempDir(t), 'log.db');
  const database = openDatabase({ path });
  database.pragma('wal_autocheckpoint = 0');
  database.exec('CREATE TABLE part (bytes BLOB)');
  const write = database.prepare('INSERT INTO part VALUES (?)');
  write.run(Buffer.alloc(10));
  const before = readWal(`${path}-wal`)?.usable ?? 0;
  write.run(Buffer.alloc(40 * 4096, 7));
  const bytes = readFileSync(`${path}-wal`);
  // A frame whose head is in two sectors, within the last transaction: the first one is as it was before.
  const heads = Array.from({ length: 40 }, (_, n) => 32 + (before + n) * 4120);
  const at = heads.find((one) => Math.floor(one / 512) !== Math.floor((one + 15) / 512)) ?? 0;
  bytes.writeUInt32BE(3, at + 4);
  const torn = join(tempDir(t), 'torn-wal');
  writeFileSync(torn, bytes);
  t.match(readWal(torn), { usable: before, damage: undefined });
  write.run(Buffer.alloc(10));
  write.run(Buffer.alloc(10));
  const more = readFileSync(`${path}-wal`);
  more.writeUInt32BE(3, at + 4);
  writeFileSync(torn, more);
  t.match(readWal(torn)?.damage, /goes on after/);
  database.close();
  t.end();
});
