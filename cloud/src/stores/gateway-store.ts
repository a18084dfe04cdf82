/** What is known of each gateway from its own words: site document, epoch, when it last spoke. */
import type { ClockTrust, Hello, Site } from '@villagrid/contracts';
import type { SqliteDatabase } from '@villagrid/runtime';

/** One gateway of one grid, as last heard. Times are the village's Unix milliseconds. */
export interface KnownGateway {
  readonly gatewayId: string;
  readonly gridId: string;
  /** As checked when it came; undefined before the first HELLO. */
  readonly site: Site | undefined;
  readonly epoch: string | null;
  readonly version: string | null;
  readonly clockTrust: ClockTrust | null;
  /** As its last HELLO told; null when it did not. */
  readonly diskUsedPct: number | null;
  readonly cardLifeUsedPct: number | null;
  readonly helloMs: number | null;
  /** When anything came from it last. */
  readonly receivedMs: number | null;
  /** Since when its connection is broken without a goodbye, or closed by one; null while it is not. */
  readonly unreachableMs: number | null;
}

export interface GatewayStore {
  get(gatewayId: string, gridId: string): KnownGateway | undefined;
  /** Notes a HELLO; `site` undefined keeps the one before. */
  hello(hello: Hello, gridId: string, site: Site | undefined, nowMs: number): void;
  received(gatewayId: string, gridId: string, nowMs: number): void;
  /** Null: it is back. */
  setUnreachable(gatewayId: string, gridId: string, sinceMs: number | null): void;
}

interface Row {
  readonly epoch: string | null;
  readonly version: string | null;
  readonly clock_trust: ClockTrust | null;
  readonly disk_used_pct: number | null;
  readonly card_life_used_pct: number | null;
  readonly hello_ms: number | null;
  readonly received_ms: number | null;
  readonly unreachable_ms: number | null;
}

/** Over SQLite, within the caller's transaction when there is one; the database has the tables of `cloudMigrations`. */
export function createGatewayStore(database: SqliteDatabase): GatewayStore {
  const get = database.prepare<[string, string], Row>(
    `SELECT epoch, version, clock_trust, disk_used_pct, card_life_used_pct, hello_ms, received_ms, unreachable_ms
     FROM cloud_gateway WHERE gateway_id = ? AND grid_id = ?`,
  );
  const hello = database.prepare<
    [string, string, string | null, string, string, string, number, number, string, number | null, number | null]
  >(
    `INSERT INTO cloud_gateway (gateway_id, grid_id, site, epoch, boot, version, hello_ms, received_ms,
       clock_trust, disk_used_pct, card_life_used_pct)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (gateway_id, grid_id) DO UPDATE SET site = coalesce(excluded.site, site), epoch = excluded.epoch,
       boot = excluded.boot, version = excluded.version, hello_ms = excluded.hello_ms, received_ms = excluded.received_ms,
       clock_trust = excluded.clock_trust, disk_used_pct = excluded.disk_used_pct,
       card_life_used_pct = excluded.card_life_used_pct, unreachable_ms = NULL`,
  );
  const received = database.prepare<[string, string, number]>(
    `INSERT INTO cloud_gateway (gateway_id, grid_id, received_ms) VALUES (?, ?, ?)
     ON CONFLICT (gateway_id, grid_id) DO UPDATE SET received_ms = excluded.received_ms`,
  );
  const unreachable = database.prepare<[string, string, number | null]>(
    `INSERT INTO cloud_gateway (gateway_id, grid_id, unreachable_ms) VALUES (?, ?, ?)
     ON CONFLICT (gateway_id, grid_id) DO UPDATE SET unreachable_ms = excluded.unreachable_ms`,
  );
  const readSite = database
    .prepare<[string, string], string | null>('SELECT site FROM cloud_gateway WHERE gateway_id = ? AND grid_id = ?')
    .pluck();
  /** Sites by the HELLO they were read after: parsing one for each of a thousand grids takes too long. */
  const sites = new Map<string, { readonly helloMs: number | null; readonly site: Site | undefined }>();
  const keyOf = (gatewayId: string, gridId: string) => `${gatewayId} ${gridId}`;
  return {
    get(gatewayId, gridId) {
      const row = get.get(gatewayId, gridId);
      if (!row) return undefined;
      const key = keyOf(gatewayId, gridId);
      let kept = sites.get(key);
      if (kept === undefined || kept.helloMs !== row.hello_ms) {
        const text = readSite.get(gatewayId, gridId) ?? null;
        kept = { helloMs: row.hello_ms, site: text === null ? undefined : (JSON.parse(text) as Site) };
        sites.set(key, kept);
      }
      return {
        gatewayId,
        gridId,
        site: kept.site,
        epoch: row.epoch,
        version: row.version,
        clockTrust: row.clock_trust,
        diskUsedPct: row.disk_used_pct,
        cardLifeUsedPct: row.card_life_used_pct,
        helloMs: row.hello_ms,
        receivedMs: row.received_ms,
        unreachableMs: row.unreachable_ms,
      };
    },
    hello(message, gridId, site, nowMs) {
      const { gateway_id, epoch, boot, version } = message;
      sites.delete(keyOf(gateway_id, gridId));
      hello.run(
        gateway_id,
        gridId,
        site === undefined ? null : JSON.stringify(site),
        epoch,
        boot,
        version,
        nowMs,
        nowMs,
        message.clock_trust,
        message.disk_used_pct ?? null,
        message.card_life_used_pct ?? null,
      );
    },
    received: (gatewayId, gridId, nowMs) => void received.run(gatewayId, gridId, nowMs),
    setUnreachable: (gatewayId, gridId, sinceMs) => void unreachable.run(gatewayId, gridId, sinceMs),
  };
}
