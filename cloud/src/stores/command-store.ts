/** What people here told gateways to do, and what became of it. */
import type { CommandRecord } from '@villagrid/contracts';
import type { SqliteDatabase } from '@villagrid/runtime';

/** Commands of a grid that are kept. */
const mostKept = 1000;

export interface SentCommands {
  /** Keeps it, or what became of it. */
  put(gridId: string, record: CommandRecord): void;
  get(gridId: string, commandId: string): CommandRecord | undefined;
  /** Newest first. */
  list(gridId: string, limit: number): CommandRecord[];
}

/** Over SQLite, within the caller's transaction when there is one; the database has the tables of `cloudMigrations`. */
export function createSentCommands(database: SqliteDatabase): SentCommands {
  const put = database.prepare<[string, string, string]>(
    `INSERT INTO cloud_command (command_id, grid_id, record) VALUES (?, ?, ?)
     ON CONFLICT (command_id) DO UPDATE SET record = excluded.record WHERE grid_id = excluded.grid_id`,
  );
  const trim = database.prepare<[string, string, number]>(
    `DELETE FROM cloud_command WHERE grid_id = ? AND seq <=
       (SELECT seq FROM cloud_command WHERE grid_id = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)`,
  );
  const get = database
    .prepare<[string, string], string>('SELECT record FROM cloud_command WHERE grid_id = ? AND command_id = ?')
    .pluck();
  const list = database
    .prepare<[string, number], string>('SELECT record FROM cloud_command WHERE grid_id = ? ORDER BY seq DESC LIMIT ?')
    .pluck();
  const read = (text: string) => JSON.parse(text) as CommandRecord;
  return {
    put(gridId, record) {
      put.run(record.command_id, gridId, JSON.stringify(record));
      trim.run(gridId, gridId, mostKept);
    },
    get(gridId, commandId) {
      const text = get.get(gridId, commandId);
      return text === undefined ? undefined : read(text);
    },
    list: (gridId, limit) => list.all(gridId, limit).map(read),
  };
}
