/** What gateways say that they hold of each day, and whether the cloud found the same. */
import type { DayManifest } from '@villagrid/contracts';
import type { SqliteDatabase } from '@villagrid/runtime';

/** Where a manifest stands in its log. */
export interface ManifestPlace {
  readonly gridId: string;
  readonly gatewayId: string;
  readonly epoch: string;
  readonly number: number;
}

/** A day as its gateway told it last. */
export interface KeptManifest extends ManifestPlace, Omit<DayManifest, 'type' | 'series'> {
  readonly samples: number;
  /** Null once it was found equal. */
  readonly series: DayManifest['series'] | null;
  /** When it was found equal. */
  readonly equalMs: number | null;
  /** When frames were asked for again. */
  readonly askedMs: number | null;
}

export interface ManifestStore {
  /** Keeps what is told, unless the same log said it later. */
  note(manifest: DayManifest, place: ManifestPlace): void;
  /** Days of a grid that begin in [fromMs, toMs), in order. */
  between(gridId: string, fromMs: number, toMs: number): readonly KeptManifest[];
  /** Some that were not found equal yet, of all grids, the newest first. */
  open(limit: number): readonly KeptManifest[];
  setEqual(one: KeptManifest, nowMs: number): void;
  setAsked(one: KeptManifest, nowMs: number): void;
}

interface Row {
  readonly grid_id: string;
  readonly from_ms: number;
  readonly to_ms: number;
  readonly gateway_id: string;
  readonly epoch: string;
  readonly number: number;
  readonly up_to: number;
  readonly samples: number;
  readonly series: string | null;
  readonly equal_ms: number | null;
  readonly asked_ms: number | null;
}

const kept = (row: Row): KeptManifest => ({
  gridId: row.grid_id,
  gatewayId: row.gateway_id,
  epoch: row.epoch,
  number: row.number,
  from_ms: row.from_ms,
  to_ms: row.to_ms,
  up_to: row.up_to,
  samples: row.samples,
  series: row.series === null ? null : (JSON.parse(row.series) as DayManifest['series']),
  equalMs: row.equal_ms,
  askedMs: row.asked_ms,
});

/** Over SQLite, within the caller's transaction when there is one; the database has the tables of `cloudMigrations`. */
export function createManifestStore(database: SqliteDatabase): ManifestStore {
  const note = database.prepare<[string, number, number, string, string, number, number, number, string]>(
    `INSERT INTO cloud_manifest (grid_id, from_ms, to_ms, gateway_id, epoch, number, up_to, samples, series)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (grid_id, from_ms) DO UPDATE SET to_ms = excluded.to_ms, gateway_id = excluded.gateway_id,
       epoch = excluded.epoch, number = excluded.number, up_to = excluded.up_to, samples = excluded.samples,
       series = excluded.series, equal_ms = NULL, asked_ms = NULL
     WHERE excluded.epoch <> epoch OR excluded.number > number`,
  );
  const columns = 'grid_id, from_ms, to_ms, gateway_id, epoch, number, up_to, samples, series, equal_ms, asked_ms';
  const between = database.prepare<[string, number, number], Row>(
    `SELECT ${columns} FROM cloud_manifest WHERE grid_id = ? AND from_ms >= ? AND from_ms < ? ORDER BY from_ms`,
  );
  const open = database.prepare<[number], Row>(
    `SELECT ${columns} FROM cloud_manifest WHERE equal_ms IS NULL ORDER BY from_ms DESC LIMIT ?`,
  );
  const setEqual = database.prepare<[number, string, number, number]>(
    'UPDATE cloud_manifest SET equal_ms = ?, series = NULL WHERE grid_id = ? AND from_ms = ? AND number = ?',
  );
  const setAsked = database.prepare<[number, string, number]>(
    'UPDATE cloud_manifest SET asked_ms = ? WHERE grid_id = ? AND from_ms = ?',
  );
  return {
    note({ from_ms, to_ms, up_to, series }, { gridId, gatewayId, epoch, number }) {
      const samples = series.reduce((sum, [, , count]) => sum + count, 0);
      note.run(gridId, from_ms, to_ms, gatewayId, epoch, number, up_to, samples, JSON.stringify(series));
    },
    between: (gridId, fromMs, toMs) => between.all(gridId, fromMs, toMs).map(kept),
    open: (limit) => open.all(limit).map(kept),
    setEqual: ({ gridId, from_ms, number }, nowMs) => void setEqual.run(nowMs, gridId, from_ms, number),
    setAsked: ({ gridId, from_ms }, nowMs) => void setAsked.run(nowMs, gridId, from_ms),
  };
}
