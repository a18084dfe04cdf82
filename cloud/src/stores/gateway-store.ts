/** What is known of each gateway from its own words: site document, epoch, when it last spoke. */
import type { Hello, Site } from '@villagrid/contracts';
import type { SqliteDatabase } from '@villagrid/runtime';

/** One gateway of one grid, as last heard. Times are the village's Unix milliseconds. */
export interface KnownGateway {
  readonly gatewayId: string;
  readonly gridId: string;
  /** As checked when it came; undefined before the first HELLO. */
  readonly site: Site | undefined;
  readonly epoch: string | null;
  readonly version: string | null;
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
  readonly site: string | null;
  readonly epoch: string | null;
  readonly version: string | null;
  readonly hello_ms: number | null;
  readonly received_ms: number | null;
  readonly unreachable_ms: number | null;
}

/** Over SQLite, within the caller's transaction when there is one; the database has the tables of `cloudMigrations`. */
export function createGatewayStore(database: SqliteDatabase): GatewayStore {
  const get = database.prepare<[string, string], Row>(
    'SELECT site, epoch, version, hello_ms, received_ms, unreachable_ms FROM cloud_gateway WHERE gateway_id = ? AND grid_id = ?',
  );
  const hello = database.prepare<[string, string, string | null, string, string, string, number, number]>(
    `INSERT INTO cloud_gateway (gateway_id, grid_id, site, epoch, boot, version, hello_ms, received_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (gateway_id, grid_id) DO UPDATE SET site = coalesce(excluded.site, site), epoch = excluded.epoch,
       boot = excluded.boot, version = excluded.version, hello_ms = excluded.hello_ms, received_ms = excluded.received_ms,
       unreachable_ms = NULL`,
  );
  const received = database.prepare<[string, string, number]>(
    `INSERT INTO cloud_gateway (gateway_id, grid_id, received_ms) VALUES (?, ?, ?)
     ON CONFLICT (gateway_id, grid_id) DO UPDATE SET received_ms = excluded.received_ms`,
  );
  const unreachable = database.prepare<[string, string, number | null]>(
    `INSERT INTO cloud_gateway (gateway_id, grid_id, unreachable_ms) VALUES (?, ?, ?)
     ON CONFLICT (gateway_id, grid_id) DO UPDATE SET unreachable_ms = excluded.unreachable_ms`,
  );
  return {
    get(gatewayId, gridId) {
      const row = get.get(gatewayId, gridId);
      if (!row) return undefined;
      return {
        gatewayId,
        gridId,
        site: row.site === null ? undefined : (JSON.parse(row.site) as Site),
        epoch: row.epoch,
        version: row.version,
        helloMs: row.hello_ms,
        receivedMs: row.received_ms,
        unreachableMs: row.unreachable_ms,
      };
    },
    hello({ gateway_id, epoch, boot, version }, gridId, site, nowMs) {
      hello.run(
        gateway_id,
        gridId,
        site === undefined ? null : JSON.stringify(site),
        epoch,
        boot,
        version,
        nowMs,
        nowMs,
      );
    },
    received: (gatewayId, gridId, nowMs) => void received.run(gatewayId, gridId, nowMs),
    setUnreachable: (gatewayId, gridId, sinceMs) => void unreachable.run(gatewayId, gridId, sinceMs),
  };
}
