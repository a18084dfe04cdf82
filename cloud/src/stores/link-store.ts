/** What gateways say of their devices' links: the newest word by its place in the gateway's log, whatever clocks said. */
import type { SqliteDatabase } from '@villagrid/runtime';

/** Where a word stands: log and number. */
export interface LinkPlace {
  readonly epoch: string;
  readonly number: number;
}

export interface LinkStore {
  /** Notes a link state unless a newer one is there (of another epoch: by time); gives whether it changed anything. */
  note(gridId: string, deviceId: string, state: 'online' | 'offline', timeMs: number, place: LinkPlace): boolean;
  get(gridId: string, deviceId: string): 'online' | 'offline' | undefined;
}

/** Over SQLite, within the caller's transaction when there is one; the database has the tables of `cloudMigrations`. */
export function createLinkStore(database: SqliteDatabase): LinkStore {
  const note = database.prepare<[string, string, string, number, string, number]>(
    `INSERT INTO cloud_link (grid_id, device_id, state, time_ms, epoch, number) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (grid_id, device_id) DO UPDATE SET
       state = excluded.state, time_ms = excluded.time_ms, epoch = excluded.epoch, number = excluded.number
     WHERE CASE WHEN excluded.epoch = epoch THEN excluded.number >= number ELSE excluded.time_ms >= time_ms END`,
  );
  const get = database
    .prepare<[string, string], 'online' | 'offline'>('SELECT state FROM cloud_link WHERE grid_id = ? AND device_id = ?')
    .pluck();
  return {
    note: (gridId, deviceId, state, timeMs, { epoch, number }) =>
      note.run(gridId, deviceId, state, timeMs, epoch, number).changes > 0,
    get: (gridId, deviceId) => get.get(gridId, deviceId),
  };
}
