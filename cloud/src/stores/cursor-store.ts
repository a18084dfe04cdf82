/** Places that readers and others note by name. */
import type { SqliteDatabase } from '@villagrid/runtime';

export interface CursorStore {
  get(name: string): number | undefined;
  set(name: string, place: number): void;
}

/** Over SQLite, within the caller's transaction when there is one; the database has the tables of `cloudMigrations`. */
export function createCursorStore(database: SqliteDatabase): CursorStore {
  const get = database.prepare<[string], number>('SELECT seq FROM cloud_cursor WHERE name = ?').pluck();
  const set = database.prepare<[string, number]>(
    'INSERT INTO cloud_cursor VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq',
  );
  return { get: (name) => get.get(name), set: (name, place) => void set.run(name, place) };
}
