/** What every alert store promises, run against SQLite here and against other adapters where they live. */
import { newId, reduceAlert, type AlertEvent, type AlertSubject } from '@villagrid/contracts';
import type { Test } from 'tap';
import { mostResolvedListed, type AlertStorePort } from '../alert-store/alert-store.js';
import { seededRandom } from '../clock/random.js';

const start = 1_767_225_600_000;
const subject: AlertSubject = {
  rule_id: 'high_equipment_temperature',
  type: 'high_equipment_temperature',
  severity: 'high',
  message: 'high temperature on equipment',
  what: 'The inverter is at 75 °C; the limit is 60 °C.',
  why: 'Heat shortens its life.',
  steps: ['Look at the fan.'],
  device_id: 'inv-1',
  device_name: 'Inverter 1',
  metric: 'equipment_temp_c',
  value: 75,
  limit: 60,
  unit: '°C',
};
const actor = { user_id: 'u1', name: 'Operator' };
const origin = { kind: 'gateway', id: 'gw-1' } as const;

/** Builders of alert events with ids and times of their own, for tests of stores and servers. */
export function alertEvents(gridId = 'alpha', seed: number | string = 1) {
  const random = seededRandom(seed);
  let atMs = start;
  const id = () => newId((atMs += 1000), random);
  const base = (alertId: string) => ({ id: id(), alert_id: alertId, grid_id: gridId, at_ms: atMs, origin });
  return {
    alertId: id,
    raised: (alertId: string, over: Partial<AlertSubject> = {}): AlertEvent => ({
      ...base(alertId),
      kind: 'raised',
      subject: { ...subject, ...over },
    }),
    cleared: (alertId: string): AlertEvent => ({ ...base(alertId), kind: 'cleared', value: 50 }),
    acknowledged: (alertId: string, note: string | null = null): AlertEvent => ({
      ...base(alertId),
      kind: 'acknowledged',
      actor,
      note,
    }),
    noted: (alertId: string, note: string): AlertEvent => ({ ...base(alertId), kind: 'noted', actor, note }),
    handedOver: (note: string): AlertEvent => ({ ...base(id()), kind: 'handed_over', actor, note, replaces: [] }),
  };
}

/** Runs the suite; `make` gives an empty store and cleans up through the test it is given. */
export function alertStoreSuite(
  t: Test,
  name: string,
  make: (t: Test) => AlertStorePort | Promise<AlertStorePort>,
): void {
  t.test(`${name}: an event counts once, however often it comes`, async (t) => {
    const store = await make(t);
    const events = alertEvents();
    const alert = events.alertId();
    const raised = events.raised(alert);
    t.equal(await store.append(raised), 'added');
    t.equal(await store.append(raised), 'known');
    t.equal(await store.append({ ...raised, at_ms: 0 }), 'known', 'another content under its id changes nothing');
    t.same(await store.events(alert), [raised]);
    const note = events.noted(alert, 'seen it');
    t.same(await store.appendAll([raised, note, note]), [note], 'only what was new');
    t.same(await store.get(alert), reduceAlert([raised, note]));
    t.same(
      (await store.get(alert))?.notes.map((one) => one.text),
      ['seen it'],
    );
  });

  t.test(`${name}: a person's event that comes before raised is kept and counts when it comes`, async (t) => {
    const store = await make(t);
    const events = alertEvents();
    const alert = events.alertId();
    const raised = events.raised(alert);
    const seen = events.acknowledged(alert, 'on my way');
    t.equal(await store.append(seen), 'added');
    t.equal(await store.get(alert), undefined);
    t.equal(await store.gridOfAlert(alert), undefined);
    t.same(await store.list('alpha'), []);
    t.same(await store.events(alert), [seen]);
    t.equal(await store.append(seen), 'known');
    await store.append(raised);
    const reduced = await store.get(alert);
    t.equal(reduced?.acknowledged, true);
    t.same(
      reduced?.notes.map((one) => one.text),
      ['on my way'],
    );
    t.same(await store.list('alpha', { status: 'active' }), [reduced]);
    t.equal(await store.gridOfAlert(alert), 'alpha');
  });

  t.test(`${name}: what people say of the grid as a whole is kept beside its alerts, and is none`, async (t) => {
    const store = await make(t);
    const events = alertEvents();
    const [own, other] = [
      events.handedOver('the spare key is with the teacher'),
      alertEvents('beta', 2).handedOver('x'),
    ];
    await store.append(own);
    await store.append(other);
    await store.append(own);
    await store.append(events.raised(events.alertId()));
    await store.append(events.noted(events.alertId(), 'a note that waits for its alert'));
    t.same(await store.records('alpha'), [own]);
    t.equal((await store.list('alpha')).length, 1);
  });

  t.test(`${name}: an event of a kind that a newer program left behind is kept, and changes nothing`, async (t) => {
    const store = await make(t);
    const events = alertEvents();
    const alert = events.alertId();
    const raised = events.raised(alert);
    const newer = { ...events.noted(alert, 'x'), kind: 'escalated' } as unknown as AlertEvent;
    await store.append(newer);
    t.equal(await store.get(alert), undefined);
    await store.append(raised);
    t.same(await store.get(alert), reduceAlert([raised]));
    t.same(await store.list('alpha'), [reduceAlert([raised])]);
    t.equal((await store.events(alert)).length, 2);
  });

  t.test(`${name}: a clearing that overtakes its raising ends it all the same`, async (t) => {
    const store = await make(t);
    const events = alertEvents();
    const alert = events.alertId();
    const raised = events.raised(alert);
    await store.append(events.cleared(alert));
    t.same(await store.list('alpha'), []);
    await store.append(raised);
    t.same(await store.list('alpha', { status: 'active' }), []);
    t.equal((await store.list('alpha', { status: 'resolved' }))[0]?.alert_id, alert);
  });

  t.test(`${name}: lists are of one grid, by status, in the order people read them`, async (t) => {
    const store = await make(t);
    const alpha = alertEvents('alpha', 1);
    const beta = alertEvents('beta', 2);
    const [low, critical, gone, elsewhere] = [alpha.alertId(), alpha.alertId(), alpha.alertId(), beta.alertId()];
    await store.appendAll([
      alpha.raised(low, { severity: 'low' }),
      alpha.raised(gone, { severity: 'critical' }),
      alpha.raised(critical, { severity: 'critical' }),
      alpha.cleared(gone),
      beta.raised(elsewhere),
    ]);
    const ids = async (grid: string, status?: 'active' | 'resolved') =>
      (await store.list(grid, status === undefined ? {} : { status })).map((alert) => alert.alert_id);
    t.same(await ids('alpha'), [critical, low, gone]);
    t.same(await ids('alpha', 'active'), [critical, low]);
    t.same(await ids('alpha', 'resolved'), [gone]);
    t.same(await ids('beta'), [elsewhere]);
    t.same(await ids('gamma'), []);
    t.equal(await store.gridOfAlert(elsewhere), 'beta');
    t.equal(await store.gridOfAlert('nobody knows'), undefined);
    t.equal(await store.get('nobody knows'), undefined);
    t.same(await store.events('nobody knows'), []);
  });

  t.test(`${name}: an event of another grid cannot touch an alert`, async (t) => {
    const store = await make(t);
    const alpha = alertEvents('alpha', 1);
    const alert = alpha.alertId();
    await store.append(alpha.raised(alert));
    await t.rejects(async () => store.append(alertEvents('beta', 2).cleared(alert)), { code: 'E_ALERT_NOT_FOUND' });
    t.equal((await store.get(alert))?.status, 'active');
    t.equal((await store.events(alert)).length, 1);
  });

  t.test(`${name}: every active alert is listed, of the resolved ones the newest ${mostResolvedListed}`, async (t) => {
    const store = await make(t);
    const alpha = alertEvents();
    const oldest = alpha.alertId();
    const all: AlertEvent[] = [alpha.raised(oldest, { severity: 'low' })];
    const resolved: string[] = [];
    for (let i = 0; i < mostResolvedListed + 5; i += 1) {
      const alert = alpha.alertId();
      resolved.push(alert);
      all.push(alpha.raised(alert), alpha.cleared(alert));
    }
    await store.appendAll(all);
    const listed = (await store.list('alpha')).map((alert) => alert.alert_id);
    t.equal(listed.length, mostResolvedListed + 1);
    t.equal(listed[0], oldest);
    t.same(listed.slice(1), resolved.slice(5).reverse());
    const raisedAt = async (alertId = '') => (await store.get(alertId))?.raised_at_ms ?? 0;
    const span = { fromMs: await raisedAt(resolved[1]), toMs: await raisedAt(resolved[2004]) };
    const within = await store.list('alpha', { raised: span });
    t.equal(within.length, 2003, 'all of a time that is asked for');
    t.equal(within.at(-1)?.alert_id, resolved[1]);
    t.same(
      (await store.list('alpha', { ruleId: 'high_equipment_temperature', mostResolved: 2 })).map((one) => one.alert_id),
      [oldest, ...resolved.slice(-2).reverse()],
    );
    t.same(await store.list('alpha', { ruleId: 'another' }), []);
  });
}
