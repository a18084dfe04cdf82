/** What telling people remembers over restarts: its state by name, and the newest 500 messages. */
import { migrateModule, type Migration } from '../sqlite/migrate.js';
import type { SqliteDatabase } from '../sqlite/open.js';

/** Tables of it. `createNotifyStore` runs them itself (module `notify`); for tools that want to know them. */
export const notifyMigrations: readonly Migration[] = [
  `CREATE TABLE notify_state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE notify_message (number INTEGER PRIMARY KEY, record TEXT NOT NULL)`,
];
const mostKept = 500;

/** A message that was sent or failed. */
export interface NotifyRecord {
  /** Unix milliseconds of the village's clock. */
  readonly at_ms: number;
  readonly recipient: string;
  readonly channel: string;
  readonly subject: string;
  /** Why it did not arrive at the far side, in plain words; null when it did. */
  readonly error: string | null;
}

/** Memory of one server, durable when a call returns. Throws what the database throws: a full disk for one. */
export interface NotifyStore {
  state(name: string): string | undefined;
  putState(name: string, value: string): void;
  add(record: NotifyRecord): void;
  /** Newest first. */
  list(limit: number): NotifyRecord[];
}

/** Opens the memory in a database. */
export function createNotifyStore(database: SqliteDatabase): NotifyStore {
  migrateModule(database, 'notify', notifyMigrations);
  const get = database.prepare<[string], { value: string }>('SELECT value FROM notify_state WHERE name = ?');
  const put = database.prepare<[string, string]>(
    'INSERT INTO notify_state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  );
  const add = database.prepare<[string]>('INSERT INTO notify_message (record) VALUES (?)');
  const trim = database.prepare<[number]>(
    'DELETE FROM notify_message WHERE number <= (SELECT max(number) FROM notify_message) - ?',
  );
  const list = database.prepare<[number], { record: string }>(
    'SELECT record FROM notify_message ORDER BY number DESC LIMIT ?',
  );
  return {
    state: (name) => get.get(name)?.value,
    putState: (name, value) => void put.run(name, value),
    add(record) {
      add.run(JSON.stringify(record));
      trim.run(mostKept);
    },
    list: (limit) => list.all(limit).map(({ record }) => JSON.parse(record) as NotifyRecord),
  };
}
