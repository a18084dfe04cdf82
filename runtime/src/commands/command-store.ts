/** The audit of remote commands: what was asked of which device by whom, and what became of it. The newest 5,000 are kept. */
import type { CommandRecord } from '@villagrid/contracts';
import { migrateModule, type Migration } from '../sqlite/migrate.js';
import type { SqliteDatabase } from '../sqlite/open.js';

/** Tables of the audit. `createCommandStore` runs them itself (module `commands`); for tools that want to know them. */
export const commandMigrations: readonly Migration[] = [
  `CREATE TABLE command (
    number INTEGER PRIMARY KEY,
    command_id TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
  )`,
];
const mostKept = 5000;

/** The records of one server, durable when a call returns. */
export interface CommandStore {
  put(record: CommandRecord): void;
  get(commandId: string): CommandRecord | undefined;
  /** Newest first. */
  list(limit: number): CommandRecord[];
}

/** Opens the records in a database. */
export function createCommandStore(database: SqliteDatabase): CommandStore {
  migrateModule(database, 'commands', commandMigrations);
  const put = database.prepare<[string, string]>(
    'INSERT INTO command (command_id, record) VALUES (?, ?) ON CONFLICT (command_id) DO UPDATE SET record = excluded.record',
  );
  const get = database.prepare<[string], { record: string }>('SELECT record FROM command WHERE command_id = ?');
  const list = database.prepare<[number], { record: string }>(
    'SELECT record FROM command ORDER BY number DESC LIMIT ?',
  );
  const trim = database.prepare<[number]>('DELETE FROM command WHERE number <= (SELECT max(number) FROM command) - ?');
  const read = ({ record }: { record: string }): CommandRecord => JSON.parse(record) as CommandRecord;
  return {
    put(record) {
      put.run(record.command_id, JSON.stringify(record));
      trim.run(mostKept);
    },
    get(commandId) {
      const found = get.get(commandId);
      return found && read(found);
    },
    list: (limit) => list.all(limit).map(read),
  };
}
