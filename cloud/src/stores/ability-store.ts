/**
 * What gateways said at HELLO that they take from here. Kept, because a gateway stays connected to another broker while
 * this cloud starts anew, and says HELLO again only hours later.
 */
import { migrateModule, type Migration, type SqliteDatabase } from '@villagrid/runtime';

/** Never change one that was released; add another. */
export const abilityMigrations: readonly Migration[] = [
  `CREATE TABLE cloud_ability (
     gateway_id TEXT NOT NULL,
     name TEXT NOT NULL,
     enabled INTEGER NOT NULL,
     PRIMARY KEY (gateway_id, name)
   ) WITHOUT ROWID`,
];

/** Something that newer gateways take from the cloud. */
export type AbilityName = 'documents' | 'commands';

export interface AbilityStore {
  /** Gateways that know of something, and whether it is switched on there. */
  all(name: AbilityName): ReadonlyMap<string, boolean>;
  /** Undefined of a gateway that does not know of it. */
  set(name: AbilityName, gatewayId: string, enabled: boolean | undefined): void;
}

/** Over SQLite, within the caller's transaction when there is one. Throws E_STORE_OPEN for a newer schema. */
export function createAbilityStore(database: SqliteDatabase): AbilityStore {
  migrateModule(database, 'ability', abilityMigrations);
  const all = database.prepare<[string], { readonly gateway_id: string; readonly enabled: number }>(
    'SELECT gateway_id, enabled FROM cloud_ability WHERE name = ?',
  );
  const put = database.prepare<[string, string, number]>(
    `INSERT INTO cloud_ability (gateway_id, name, enabled) VALUES (?, ?, ?)
     ON CONFLICT (gateway_id, name) DO UPDATE SET enabled = excluded.enabled WHERE enabled <> excluded.enabled`,
  );
  const remove = database.prepare<[string, string]>('DELETE FROM cloud_ability WHERE gateway_id = ? AND name = ?');
  return {
    all: (name) => new Map(all.all(name).map(({ gateway_id, enabled }) => [gateway_id, enabled !== 0])),
    set(name, gatewayId, enabled) {
      if (enabled === undefined) remove.run(gatewayId, name);
      else put.run(gatewayId, name, enabled ? 1 : 0);
    },
  };
}
