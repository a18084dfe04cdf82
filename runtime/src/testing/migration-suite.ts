/** What every module's migrations promise: from each released version, killed anywhere, to the newest, and nothing is lost. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { migrateModule, type Migration } from '../sqlite/migrate.js';
import { openDatabase, type SqliteDatabase } from '../sqlite/open.js';
import { tempDir } from './temp-dir.js';

const soak = process.env.VILLAGRID_SOAK === 'full';

/** A module whose migrations are tried. */
export interface MigratedModule {
  readonly name: string;
  readonly migrations: readonly Migration[];
  /** Where a process of its own gets them: a module's path and the name they have there. */
  readonly from: { readonly path: string; readonly name: string };
  /** What lies beside it in the same database, in its version before an update. */
  readonly beside?: { readonly name: string; readonly migrations: readonly Migration[] };
  /** Tables that an update makes anew from elsewhere. */
  readonly dropped?: RegExp;
}

/**
 * Tries all modules. `folder` is where the process that is killed is put while the test runs: one from which node finds
 * the package better-sqlite3.
 */
export function migrationSuite(t: Test, modules: readonly MigratedModule[], folder: string): void {
  for (const module of modules) {
    const last = module.migrations.length;
    const versions = [...Array(last).keys()].filter((version) => version > 0 || module.beside !== undefined);
    t.test(`${module.name}: rows of version ${last} stay as they are, and no copy is made`, (t) => {
      const file = join(tempDir(t), 'a.db');
      fixture(file, module, last);
      const before = dump(file);
      upgrade(file, module);
      t.same(dump(file), before);
      t.notOk(readdirSync(join(file, '..')).some((name) => /before|updating/.test(name)));
      t.end();
    });
    for (const version of versions) {
      t.test(`${module.name}: from version ${version} to ${last}, killed at each step`, async (t) => {
        const child = await bundle(t, module, folder);
        const base = tempDir(t);
        const old = join(base, 'old.db');
        fixture(old, module, version);
        const before = dump(old);
        const whole = join(base, 'whole.db');
        copyFileSync(old, whole);
        upgrade(whole, module);
        const wanted = dump(whole);
        for (const [table, rows] of Object.entries(before.rows))
          if (module.dropped?.test(table) !== true && table !== 'schema_module')
            t.ok((wanted.rows[table]?.length ?? 0) >= rows.length, `${table}: no row is lost`);
        t.same(dump(`${whole}.before-update`), before, 'the copy is the database from before');

        const steps = Number(run(child, whole.replace('whole', 'count'), 0, old).stdout);
        t.ok(steps >= 4, `${steps} places to be killed at`);
        // Every place in the full form; else every third, and the last ones, where the copy changes its name.
        const places = [...Array(steps).keys()].map((at) => at + 1);
        const tried = soak ? places : places.filter((at) => at % 3 === version % 3 || at > steps - 2);
        let killed = 0;
        for (const at of tried) {
          const place = join(base, `killed-${at}`);
          mkdirSync(place);
          const file = join(place, 'a.db');
          if (run(child, file, at, old).signal === 'SIGKILL') killed += 1;
          upgrade(file, module);
          t.same(dump(file), wanted, `killed at ${at}: goes on to the end`);
          t.same(dump(`${file}.before-update`), before, `killed at ${at}: the copy is from before`);
          const rest = readdirSync(place).filter((name) => !/^a\.db(-wal|-shm|\.before-update)?$/.test(name));
          t.same(rest, [], 'nothing else is left');
          rmSync(place, { recursive: true });
        }
        t.equal(killed, tried.length);
      });
    }
  }
}

function run(child: string, file: string, at: number, old: string) {
  copyFileSync(old, file);
  return spawnSync(process.execPath, [child, file, String(at)], { encoding: 'utf8', timeout: 30_000 });
}

function upgrade(file: string, { name, migrations }: MigratedModule): void {
  const database = openDatabase({ path: file });
  try {
    migrateModule(database, name, migrations);
  } finally {
    database.close();
  }
}

/** A database of an earlier version, with rows in every table; closed in good order. */
function fixture(file: string, { name, migrations, beside }: MigratedModule, version: number): void {
  const database = openDatabase({ path: file });
  if (beside) migrateModule(database, beside.name, beside.migrations);
  migrateModule(database, name, migrations.slice(0, version));
  fill(database);
  database.close();
}

/** Three rows in each table, whatever its columns are. */
function fill(database: SqliteDatabase): void {
  database.pragma('ignore_check_constraints = ON');
  database.pragma('foreign_keys = OFF');
  for (const table of tablesOf(database)) {
    if (table === 'schema_module') continue;
    const columns = database.pragma(`table_info("${table}")`) as { name: string; type: string }[];
    const insert = database.prepare(`INSERT INTO "${table}" VALUES (${columns.map(() => '?').join(', ')})`);
    for (const row of [1, 2, 3])
      insert.run(
        columns.map(({ type }, column) =>
          type === 'INTEGER'
            ? row * 10 + column
            : type === 'BLOB'
              ? Buffer.from([row, column])
              : `text ${row}.${column}`,
        ),
      );
  }
}

const tablesOf = (database: SqliteDatabase): string[] =>
  database
    .prepare<[], string>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
    )
    .pluck()
    .all();

/** Everything in a database: what its schema says, and all rows. */
function dump(file: string): { schema: unknown; rows: Record<string, unknown[]> } {
  const database = openDatabase({ path: file, readonly: true });
  try {
    const rows = tablesOf(database).map((name) => [name, database.prepare(`SELECT * FROM "${name}"`).all()] as const);
    const schema = database.prepare('SELECT type, name, sql FROM sqlite_schema ORDER BY type, name').all();
    return { schema, rows: Object.fromEntries(rows) };
  } finally {
    database.close();
  }
}

/**
 * A process that upgrades a database and kills itself at the n-th thing it asks of SQLite or of the folder's names; asked
 * for 0 it prints how many there are.
 */
async function bundle(t: Test, { name, from }: MigratedModule, folder: string): Promise<string> {
  const { build } = await import('esbuild');
  const outfile = join(folder, `migration-${name}-${process.pid}.mjs`);
  t.teardown(() => rmSync(outfile, { force: true }));
  await build({
    stdin: {
      contents: `
        import fs from 'node:fs';
        import { syncBuiltinESMExports } from 'node:module';
        import { openDatabase } from ${JSON.stringify(new URL('../sqlite/open.js', import.meta.url).pathname)};
        import { migrateModule } from ${JSON.stringify(new URL('../sqlite/migrate.js', import.meta.url).pathname)};
        import { ${from.name} as migrations } from ${JSON.stringify(from.path)};
        const [file, at] = [process.argv[2], Number(process.argv[3])];
        let asked = 0;
        const watch = (object, method) => {
          const own = object[method];
          object[method] = function (...words) {
            asked += 1;
            if (asked === at) process.kill(process.pid, 'SIGKILL');
            return own.apply(this, words);
          };
        };
        const database = openDatabase({ path: file });
        for (const method of ['exec', 'prepare', 'pragma']) watch(database, method);
        const statement = Object.getPrototypeOf(database.prepare('SELECT 1'));
        asked = 0;
        watch(statement, 'run');
        watch(fs, 'renameSync');
        syncBuiltinESMExports();
        migrateModule(database, ${JSON.stringify(name)}, migrations);
        asked += 1;
        if (asked === at) process.kill(process.pid, 'SIGKILL');
        database.close();
        process.stdout.write(String(asked));
      `,
      resolveDir: folder,
    },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    conditions: ['villagrid'],
    external: ['better-sqlite3'],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    logLevel: 'error',
  });
  return outfile;
}
