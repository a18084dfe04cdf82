import { join } from 'node:path';
import t from 'tap';
import type { TelemetryStore } from '@villagrid/runtime';
import { openDatabase, silentLogger } from '@villagrid/runtime';
import { telemetryStoreSuite, tempDir } from '@villagrid/runtime/testing';
import { createHistoryStore, type HistoryStore } from './store.js';

const dir = tempDir(t);
let made = 0;
const path = () => join(dir, `${(made += 1)}.db`);

/** What a store does between two calls of the suite; a sealed store must not be told from an open one. */
const ways: Readonly<Record<string, (store: HistoryStore) => void>> = {
  'all of it open': () => {},
  'sealed after every call': (store) => store.sealNow(),
  'sealed up to some hour, finished days packed': (store) => {
    store.sealNow(Date.UTC(2026, 2, 28, 14));
    store.packNow(Date.UTC(2026, 2, 29));
  },
  'all of it sealed and packed': (store) => {
    store.sealNow();
    store.packNow(Date.UTC(2027, 0));
  },
};

for (const [way, between] of Object.entries(ways)) {
  telemetryStoreSuite(t, `history store, ${way}`, ({ zone }) => {
    const file = path();
    let database = openDatabase({ path: file });
    let store = createHistoryStore({ database, zoneOf: () => zone, log: silentLogger() });
    const shown = (): TelemetryStore => ({
      ...store,
      applyFrames(...args) {
        const applied = store.applyFrames(...args);
        between(store);
        return applied;
      },
    });
    return {
      store: shown(),
      reopen: () => {
        store.sealNow();
        database.close();
        database = openDatabase({ path: file });
        store = createHistoryStore({ database, zoneOf: () => zone, log: silentLogger() });
        return shown();
      },
    };
  });
}
