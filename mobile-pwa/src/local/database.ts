/** What the phone keeps, in IndexedDB: newest state per grid, alerts, the last 24 hours, acts, logins. */
import type { AlertView, DeviceView, GridState, Summary } from '@villagrid/contracts';
import { signal, type Signal } from '@preact/signals';
import type { DayHistory } from '../chart/day.js';
import type { Act } from './acts.js';
import { allOf, change, openDatabase } from './indexed.js';

/** The newest known state of one grid. */
export interface SavedGrid {
  readonly grid_id: string;
  readonly summary: Summary;
  readonly devices: readonly DeviceView[];
  /** Server time at which a server last answered for this grid, Unix ms. */
  readonly answeredAtMs: number;
}
/** A login at one server. */
export interface SavedLogin {
  readonly server_id: string;
  readonly token: string;
  readonly username: string;
  readonly displayName: string;
  readonly role: string | null;
  /** The person logged in at another server and not yet at this one; never kept. */
  readonly elsewhere?: boolean;
}
/** What was last known about the servers themselves. */
export interface SavedMeta {
  readonly lastServerId: string | null;
  readonly lastServerKind: 'gateway' | 'cloud' | null;
  readonly lastBuild: string | null;
  /** Server clock minus phone clock, ms. */
  readonly offsetMs: number;
  readonly grids: readonly GridState[];
  readonly gridsAtMs: number | null;
}

interface Schema {
  latest: { key: string; value: SavedGrid };
  alerts: { key: string; value: { grid_id: string; alerts: readonly AlertView[] } };
  series: { key: string; value: { grid_id: string; day: DayHistory } };
  acts: { key: string; value: Act };
  logins: { key: string; value: SavedLogin };
  meta: { key: string; value: SavedMeta };
}
type StoreName = 'latest' | 'alerts' | 'series' | 'acts' | 'logins' | 'meta';

/** Keeps and finds what the phone holds. No method throws: a phone without room goes on without saving. */
export interface LocalStore {
  /** False when the browser keeps nothing (private window, storage refused). */
  readonly persistent: boolean;
  /** Whether the phone took the last thing it was given; false: it is full, and what is on screen is kept nowhere. */
  readonly kept: Signal<boolean>;
  /** Gives room back when the phone is full; says whether it could. */
  full: () => Promise<boolean>;
  put<S extends StoreName>(store: S, value: Schema[S]['value'], key?: string): Promise<void>;
  all<S extends StoreName>(store: S): Promise<Schema[S]['value'][]>;
  remove(store: StoreName, key: string): Promise<void>;
  clear(stores: readonly StoreName[]): Promise<void>;
}

const databaseName = 'villagrid';
const version = 1;

/** Opens the phone's store; falls back to memory when the browser refuses. */
export async function openLocalStore(): Promise<LocalStore> {
  try {
    const database = await openDatabase(databaseName, version, (made) => {
      for (const name of ['latest', 'alerts', 'series']) made.createObjectStore(name, { keyPath: 'grid_id' });
      made.createObjectStore('acts', { keyPath: 'id' });
      made.createObjectStore('logins', { keyPath: 'server_id' });
      made.createObjectStore('meta');
    });
    return new IndexedStore(database);
  } catch {
    return new MemoryStore();
  }
}

class IndexedStore implements LocalStore {
  readonly persistent = true;
  readonly kept = signal(true);
  full = async () => false;
  readonly #database: IDBDatabase;
  constructor(database: IDBDatabase) {
    this.#database = database;
  }
  async put<S extends StoreName>(store: S, value: Schema[S]['value'], key?: string): Promise<void> {
    const put = () => change(this.#database, [store], (open) => open(store).put(value, key));
    try {
      await put().catch(async (error: unknown) => {
        if (!(await this.full())) throw error;
        await put();
      });
      this.kept.value = true;
    } catch {
      // No room left: the values on screen stay, only the saved copy is older.
      this.kept.value = false;
    }
  }
  async all<S extends StoreName>(store: S): Promise<Schema[S]['value'][]> {
    try {
      return await allOf(this.#database, store);
    } catch {
      return [];
    }
  }
  async remove(store: StoreName, key: string): Promise<void> {
    await this.#change(store, (open) => open.delete(key));
  }
  async clear(stores: readonly StoreName[]): Promise<void> {
    for (const store of stores) await this.#change(store, (open) => open.clear());
  }
  async #change(store: StoreName, run: (open: IDBObjectStore) => unknown): Promise<void> {
    await change(this.#database, [store], (open) => run(open(store))).catch(() => undefined);
  }
}

class MemoryStore implements LocalStore {
  readonly persistent = false;
  readonly kept = signal(true);
  full = async () => false;
  readonly #maps = new Map<StoreName, Map<string, unknown>>();
  #map(store: StoreName): Map<string, unknown> {
    let map = this.#maps.get(store);
    if (map === undefined) {
      map = new Map();
      this.#maps.set(store, map);
    }
    return map;
  }
  async put<S extends StoreName>(store: S, value: Schema[S]['value'], key?: string): Promise<void> {
    const record = value as unknown as Record<string, string>;
    this.#map(store).set(key ?? record.grid_id ?? record.id ?? record.server_id ?? '', value);
  }
  async all<S extends StoreName>(store: S): Promise<Schema[S]['value'][]> {
    return [...this.#map(store).values()] as Schema[S]['value'][];
  }
  async remove(store: StoreName, key: string): Promise<void> {
    this.#map(store).delete(key);
  }
  async clear(stores: readonly StoreName[]): Promise<void> {
    for (const store of stores) this.#map(store).clear();
  }
}
