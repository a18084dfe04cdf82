import { join } from 'node:path';
import { reduceMaintenance } from '@villagrid/contracts';
import t from 'tap';
import { alertStoreMigrations, createAlertStore, migrateModule, openDatabase } from '../index.js';
import { alertEvents, alertStoreSuite, tempDir } from '../testing/index.js';

alertStoreSuite(t, 'alert store over SQLite', (t) => {
  const database = openDatabase({ path: join(tempDir(t), 'alerts.db') });
  t.teardown(() => database.close());
  return createAlertStore({ database });
});

t.test("events belong to the caller's transaction: what it takes back was never there", async (t) => {
  const database = openDatabase({ path: join(tempDir(t), 'alerts.db') });
  const store = createAlertStore({ database });
  const events = alertEvents();
  const [kept, lost] = [events.alertId(), events.alertId()];
  database.transaction(() => store.append(events.raised(kept)))();
  t.throws(() =>
    database.transaction(() => {
      store.append(events.raised(lost));
      store.append(events.acknowledged(kept));
      throw new Error('power is gone');
    })(),
  );
  t.equal(store.get(lost), undefined);
  t.equal(store.get(kept)?.acknowledged, false);
  t.same(
    store.list('alpha').map((alert) => alert.alert_id),
    [kept],
  );
  database.close();
});

t.test('what was appended is there after opening again', async (t) => {
  const path = join(tempDir(t), 'alerts.db');
  const events = alertEvents();
  const alert = events.alertId();
  const first = openDatabase({ path });
  createAlertStore({ database: first }).appendAll([events.raised(alert), events.noted(alert, 'wrote this')]);
  const before = createAlertStore({ database: first }).get(alert);
  first.close();
  const second = openDatabase({ path });
  t.same(createAlertStore({ database: second }).list('alpha'), [before]);
  second.close();
});

t.test('several events go in together or not at all', async (t) => {
  const database = openDatabase({ path: ':memory:' });
  const store = createAlertStore({ database });
  const alpha = alertEvents('alpha', 1);
  const [first, second] = [alpha.alertId(), alpha.alertId()];
  store.append(alpha.raised(first));
  const stranger = alertEvents('beta', 2).cleared(first);
  t.throws(() => store.appendAll([alpha.raised(second), stranger]), { code: 'E_ALERT_NOT_FOUND' });
  t.equal(store.get(second), undefined);
  database.close();
});

t.test('alerts that were kept before the store knew their rules are found by rule, a damaged row harms none', (t) => {
  const database = openDatabase({ path: ':memory:' });
  const events = alertEvents();
  const [alert, damaged] = [events.alertId(), events.alertId()];
  migrateModule(database, 'alert_store', alertStoreMigrations.slice(0, 1));
  const keep = database.prepare('INSERT INTO alert_event VALUES (?, ?, ?)');
  for (const id of [alert, damaged])
    database.prepare("INSERT INTO alert VALUES (?, 'alpha', 'active', 5, 'high')").run(id);
  keep.run(damaged, 'a', '{"kind":"rai');
  for (const event of [events.noted(alert, 'x'), events.raised(alert)])
    keep.run(alert, event.id, JSON.stringify(event));
  const store = createAlertStore({ database });
  t.same(
    store.list('alpha', { ruleId: 'high_equipment_temperature' }).map(({ alert_id }) => alert_id),
    [alert],
  );
  database.close();
  t.end();
});

t.test('planned work that began at once moves with the clock that was wrong; a start on the wall stays', (t) => {
  const database = openDatabase({ path: ':memory:' });
  const store = createAlertStore({ database });
  const base = { grid_id: 'alpha', at_ms: 1000, origin: { kind: 'gateway', id: 'g' } } as const;
  const work = {
    kind: 'maintenance_planned',
    actor: { user_id: 'u', name: 'U' },
    reason: 'x',
    device_ids: null,
  } as const;
  const year = 365 * 86_400_000;
  store.append({ ...base, ...work, id: 'now', alert_id: 'now', from_ms: 999, until_ms: 3_600_999 });
  store.append({ ...base, ...work, id: 'later', alert_id: 'later', from_ms: year + 5, until_ms: year + 9 });
  for (const id of ['now', 'now', 'later']) store.retime(id, id, year + 1000);
  t.same(
    reduceMaintenance(store.records('alpha')).map(({ maintenance_id, from_ms, until_ms }) => [
      maintenance_id,
      from_ms,
      until_ms,
    ]),
    [
      ['later', year + 5, year + 9],
      ['now', year + 999, year + 3_600_999],
    ],
  );
  database.close();
  t.end();
});
