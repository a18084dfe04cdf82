import { fileURLToPath } from 'node:url';
import { telemetryMigrations } from '@villagrid/runtime';
import { migrationSuite } from '@villagrid/runtime/testing';
import t from 'tap';
import { gatewayModules } from './parts.js';

const runtime = (path: string): string => fileURLToPath(new URL(`../../../runtime/src/${path}`, import.meta.url));
const own = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Where a process of its own gets the migrations of each module. */
const places: Readonly<Record<string, readonly [path: string, name: string]>> = {
  log: [own('log/schema.ts'), 'logMigrations'],
  alert_store: [runtime('alert-store/alert-store.ts'), 'alertStoreMigrations'],
  store: [own('store/schema.ts'), 'storeMigrations'],
  clock_correction: [runtime('telemetry/clock-ledger.ts'), 'clockLedgerMigrations'],
  accounts: [runtime('accounts/accounts.ts'), 'accountMigrations'],
  commands: [runtime('commands/command-store.ts'), 'commandMigrations'],
  uplink: [own('log/seal-store.ts'), 'sealMigrations'],
  notify: [runtime('notify/notify-store.ts'), 'notifyMigrations'],
  desired: [runtime('desired/desired-store.ts'), 'desiredMigrations'],
  telemetry: [runtime('telemetry/schema.ts'), 'telemetryMigrations'],
};

migrationSuite(
  t,
  Object.entries(gatewayModules).map(([name, migrations]) => {
    const place = places[name];
    if (!place) throw new Error(`say where the migrations of "${name}" are`);
    return {
      name,
      migrations,
      from: { path: place[0], name: place[1] },
      // History of version 0.1 is made anew from the log.
      ...(name === 'store'
        ? { beside: { name: 'telemetry', migrations: telemetryMigrations }, dropped: /^telemetry_/ }
        : {}),
    };
  }),
  fileURLToPath(new URL('../../dist', import.meta.url)),
);
