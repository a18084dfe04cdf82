/** People's acts at the cloud that wait for their gateway: kept until the same event comes up in a frame. */
import type { AlertEvent } from '@villagrid/contracts';
import type { SqliteDatabase } from '@villagrid/runtime';

export interface ActStore {
  /** Keeps an act unless it is there already. */
  add(event: AlertEvent, nowMs: number): void;
  /** The gateway has it in its log. Gives whether one was waiting. */
  confirm(eventId: string, nowMs: number): boolean;
  /** Acts of a grid that are not confirmed, oldest first, that are older than `beforeMs`. */
  waiting(gridId: string, beforeMs?: number): readonly AlertEvent[];
  waitingCount(): number;
}

/** Over SQLite, within the caller's transaction when there is one; the database has the tables of `cloudMigrations`. */
export function createActStore(database: SqliteDatabase): ActStore {
  const add = database.prepare<[string, string, string, number]>(
    'INSERT INTO cloud_act (event_id, grid_id, event, created_ms) VALUES (?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING',
  );
  const confirm = database.prepare<[number, string]>(
    'UPDATE cloud_act SET confirmed_ms = ? WHERE event_id = ? AND confirmed_ms IS NULL',
  );
  const waiting = database
    .prepare<[string, number], string>(
      'SELECT event FROM cloud_act WHERE grid_id = ? AND confirmed_ms IS NULL AND created_ms <= ? ORDER BY seq',
    )
    .pluck();
  const count = database.prepare<[], number>('SELECT count(*) FROM cloud_act WHERE confirmed_ms IS NULL').pluck();
  return {
    add: (event, nowMs) => void add.run(event.id, event.grid_id, JSON.stringify(event), nowMs),
    confirm: (eventId, nowMs) => confirm.run(nowMs, eventId).changes > 0,
    waiting: (gridId, beforeMs = Number.MAX_SAFE_INTEGER) =>
      waiting.all(gridId, beforeMs).map((text) => JSON.parse(text) as AlertEvent),
    waitingCount: () => count.get() ?? 0,
  };
}
