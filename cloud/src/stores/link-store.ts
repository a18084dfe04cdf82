/** What gateways say of their devices' links: the newest word by its place in the gateway's log, whatever its clock said. */
import type { SqliteDatabase } from '@villagrid/runtime';

/** Where a gateway said it. */
export interface LogPlace {
  readonly gatewayId: string;
  readonly epoch: string;
  readonly number: number;
}

export interface LinkStore {
  /**
   * Notes a link state unless a newer one is there; gives whether it was taken. A later epoch (the one that came later) is
   * newer, within it the higher number. `timeMs`, of the gateway's clock, decides only where a place is not known.
   */
  note(gridId: string, deviceId: string, state: 'online' | 'offline', timeMs: number, place: LogPlace): boolean;
  get(gridId: string, deviceId: string): 'online' | 'offline' | undefined;
}

/** Over SQLite, within the caller's transaction when there is one; the database has the tables of `cloudMigrations`. */
export function createLinkStore(database: SqliteDatabase): LinkStore {
  // A word of before places were kept gives way to any that has one.
  const note = database.prepare<[string, string, string, number, string, string, number]>(
    `INSERT INTO cloud_link (grid_id, device_id, state, time_ms, log_id, number)
     VALUES (?, ?, ?, ?, (SELECT id FROM cloud_log WHERE gateway_id = ? AND epoch = ?), ?)
     ON CONFLICT (grid_id, device_id) DO UPDATE SET
       state = excluded.state, time_ms = excluded.time_ms, log_id = excluded.log_id, number = excluded.number
     WHERE CASE
       WHEN excluded.log_id IS NULL THEN cloud_link.log_id IS NULL AND excluded.time_ms >= cloud_link.time_ms
       WHEN cloud_link.log_id IS NULL THEN 1
       ELSE (excluded.log_id, excluded.number) >= (cloud_link.log_id, cloud_link.number) END`,
  );
  const get = database
    .prepare<[string, string], 'online' | 'offline'>('SELECT state FROM cloud_link WHERE grid_id = ? AND device_id = ?')
    .pluck();
  return {
    note: (gridId, deviceId, state, timeMs, { gatewayId, epoch, number }) =>
      note.run(gridId, deviceId, state, timeMs, gatewayId, epoch, number).changes > 0,
    get: (gridId, deviceId) => get.get(gridId, deviceId),
  };
}
