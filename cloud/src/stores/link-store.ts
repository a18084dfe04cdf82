/** What gateways say of their devices' links: the newest word by its time. */
import type { SqliteDatabase } from '@villagrid/runtime';

export interface LinkStore {
  /** Notes a link state unless a newer one is there; gives whether it changed anything. */
  note(gridId: string, deviceId: string, state: 'online' | 'offline', timeMs: number): boolean;
  get(gridId: string, deviceId: string): 'online' | 'offline' | undefined;
}

/** Over SQLite, within the caller's transaction when there is one; the database has the tables of `cloudMigrations`. */
export function createLinkStore(database: SqliteDatabase): LinkStore {
  const note = database.prepare<[string, string, string, number]>(
    `INSERT INTO cloud_link VALUES (?, ?, ?, ?)
     ON CONFLICT (grid_id, device_id) DO UPDATE SET state = excluded.state, time_ms = excluded.time_ms
     WHERE excluded.time_ms >= time_ms`,
  );
  const get = database
    .prepare<[string, string], 'online' | 'offline'>('SELECT state FROM cloud_link WHERE grid_id = ? AND device_id = ?')
    .pluck();
  return {
    note: (gridId, deviceId, state, timeMs) => note.run(gridId, deviceId, state, timeMs).changes > 0,
    get: (gridId, deviceId) => get.get(gridId, deviceId),
  };
}
