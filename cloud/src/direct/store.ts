/** What is kept of devices without a gateway beside their frames in the archive. */
import { migrateModule, type SqliteDatabase } from '@villagrid/runtime';
import { directMigrations } from './schema.js';

/** What came of one boot of a device, by its own count. */
export interface DeviceLog {
  readonly deviceId: string;
  readonly boot: string;
  readonly first: number;
  readonly last: number;
  readonly taken: number;
  readonly heardMs: number;
}

export interface DirectStore {
  heard(deviceId: string, nowMs: number): void;
  heardMs(deviceId: string): number | null;
  /** Notes what came new of a boot's log: the bounds of its numbers, and how many were added. */
  count(deviceId: string, boot: string, came: { first: number; last: number; added: number }, nowMs: number): void;
  /** The boots of a device, the one heard last first. */
  logsOf(deviceId: string): readonly DeviceLog[];
  forgetLog(deviceId: string, boot: string): void;
  /** Readings that never came, of all boots of all devices. */
  missing(): number;
  /** The alert that a device has raised under a name of its own and not ended. */
  openAlert(deviceId: string, alert: string): string | undefined;
  openAlerts(deviceId: string): number;
  setOpenAlert(deviceId: string, alert: string, alertId: string | undefined): void;
  /** Whether the last numbers of a device's log hold the same content already. */
  isKnown(deviceId: string, epoch: string, hash: Uint8Array): boolean;
  state(name: string): string | undefined;
  putState(name: string, text: string): void;
}

/** Frames of a log without numbers of its own in which a repeat is looked for. */
const repeatsWithin = 500;

/** Opens it within the cloud's database, inside the caller's transaction when there is one. Throws E_STORE_OPEN. */
export function createDirectStore(database: SqliteDatabase): DirectStore {
  migrateModule(database, 'direct', directMigrations);
  const heard = database.prepare<[string, number]>(
    `INSERT INTO direct_device (device_id, heard_ms) VALUES (?, ?)
     ON CONFLICT (device_id) DO UPDATE SET heard_ms = max(heard_ms, excluded.heard_ms)`,
  );
  const heardMs = database.prepare<[string], number>('SELECT heard_ms FROM direct_device WHERE device_id = ?').pluck();
  const count = database.prepare<[string, string, number, number, number, number]>(
    `INSERT INTO direct_log (device_id, boot, first, last, taken, heard_ms) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (device_id, boot) DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last),
       taken = taken + excluded.taken, heard_ms = excluded.heard_ms`,
  );
  const logsOf = database.prepare<[string], DeviceLog>(
    `SELECT device_id AS deviceId, boot, first, last, taken, heard_ms AS heardMs
     FROM direct_log WHERE device_id = ? ORDER BY heard_ms DESC, boot LIMIT 100`,
  );
  const forgetLog = database.prepare<[string, string]>('DELETE FROM direct_log WHERE device_id = ? AND boot = ?');
  const missing = database.prepare<[], number | null>('SELECT sum(last - first + 1 - taken) FROM direct_log').pluck();
  const openAlert = database
    .prepare<[string, string], string>('SELECT alert_id FROM direct_alert WHERE device_id = ? AND alert = ?')
    .pluck();
  const openAlerts = database
    .prepare<[string], number>('SELECT count(*) FROM direct_alert WHERE device_id = ?')
    .pluck();
  const putAlert = database.prepare<[string, string, string]>('INSERT OR REPLACE INTO direct_alert VALUES (?, ?, ?)');
  const endAlert = database.prepare<[string, string]>('DELETE FROM direct_alert WHERE device_id = ? AND alert = ?');
  const isKnown = database
    .prepare<[string, string, number, Uint8Array], number>(
      `SELECT 1 FROM (SELECT hash FROM cloud_frame
         WHERE log_id = (SELECT id FROM cloud_log WHERE gateway_id = ? AND epoch = ?) ORDER BY number DESC LIMIT ?)
       WHERE hash = ?`,
    )
    .pluck();
  const state = database.prepare<[string], string>('SELECT text FROM direct_state WHERE name = ?').pluck();
  const putState = database.prepare<[string, string]>('INSERT OR REPLACE INTO direct_state VALUES (?, ?)');

  return {
    heard: (deviceId, nowMs) => void heard.run(deviceId, nowMs),
    heardMs: (deviceId) => heardMs.get(deviceId) ?? null,
    count: (deviceId, boot, { first, last, added }, nowMs) => void count.run(deviceId, boot, first, last, added, nowMs),
    logsOf: (deviceId) => logsOf.all(deviceId),
    forgetLog: (deviceId, boot) => void forgetLog.run(deviceId, boot),
    missing: () => missing.get() ?? 0,
    openAlert: (deviceId, alert) => openAlert.get(deviceId, alert),
    openAlerts: (deviceId) => openAlerts.get(deviceId) ?? 0,
    setOpenAlert(deviceId, alert, alertId) {
      if (alertId === undefined) endAlert.run(deviceId, alert);
      else putAlert.run(deviceId, alert, alertId);
    },
    isKnown: (deviceId, epoch, hash) => isKnown.get(deviceId, epoch, repeatsWithin, hash) === 1,
    state: (name) => state.get(name),
    putState: (name, text) => void putState.run(name, text),
  };
}
