import fc from 'fast-check';
import t from 'tap';
import {
  checkAlertEvent,
  compareAlerts,
  isAlertEvent,
  longestShelveMs,
  reduceAlert,
  type Alert,
  type AlertEvent,
} from '@villagrid/contracts';
import { alertEvent, unknownAlertEvent } from './arbitraries.js';
import { holds, same, vectors } from './property.js';

/** Events with ids of their own, as everybody makes them. */
const eventSet = fc.uniqueArray(alertEvent, { selector: (event) => event.id, maxLength: 12 });

/** A set of events, and the same set in another order with repeats. */
const setAndMess = eventSet.chain((events) =>
  fc.tuple(
    fc.constant(events),
    fc
      .tuple(fc.shuffledSubarray(events, { minLength: events.length }), fc.array(fc.nat(), { maxLength: 8 }))
      .map(([shuffled, repeats]) => {
        const mess = [...shuffled];
        for (const at of repeats) {
          const again = events[at % Math.max(1, events.length)];
          if (again) mess.splice(at % (mess.length + 1), 0, again);
        }
        return mess;
      }),
  ),
);

t.test('any order and any duplication of events give the same alert', async (t) => {
  holds(
    t,
    'order and duplication',
    fc.property(setAndMess, ([events, mess]) => same(reduceAlert(events) ?? null, reduceAlert(mess) ?? null)),
    1000,
  );
  // Ids that collide with different contents cannot come from us; even then both sides agree.
  holds(
    t,
    'colliding ids',
    fc.property(fc.array(alertEvent.map((event) => ({ ...event, id: event.id.slice(0, 1) }) as AlertEvent)), (events) =>
      same(reduceAlert(events) ?? null, reduceAlert([...events].reverse()) ?? null),
    ),
    300,
  );
});

t.test('events of kinds from a newer program change nothing of an alert', async (t) => {
  holds(
    t,
    'unknown kinds',
    fc.property(setAndMess, fc.array(unknownAlertEvent, { minLength: 1, maxLength: 4 }), ([events, mess], unknown) => {
      // One even has the id of a known event.
      const among = [...unknown.map((one, i) => ({ ...one, id: events[i]?.id ?? 'N' })), ...mess] as AlertEvent[];
      return same(reduceAlert(events) ?? null, reduceAlert(among) ?? null);
    }),
    300,
  );
});

t.test('no acknowledgement and no note is ever lost, whoever else acted and whenever it came', async (t) => {
  holds(
    t,
    'nothing lost',
    fc.property(setAndMess, ([events, mess]) => {
      const alert = reduceAlert(mess);
      if (!events.some((event) => event.kind === 'raised')) return alert === undefined;
      if (!alert) return false;
      const said = events.flatMap((event) =>
        (event.kind === 'acknowledged' && event.note) || event.kind === 'noted' ? [event.id] : [],
      );
      const acknowledged = events.filter((event) => event.kind === 'acknowledged');
      return (
        said.every((id) => alert.notes.some((note) => note.event_id === id)) &&
        alert.notes.length === said.length &&
        events.every((event) => alert.timeline.some((entry) => entry.event_id === event.id)) &&
        alert.timeline.length === events.length &&
        alert.acknowledged === acknowledged.length > 0 &&
        (alert.status === 'resolved') === events.some((event) => event.kind === 'cleared')
      );
    }),
    1000,
  );
});

t.test('active and acknowledged are two facts; who acknowledged after clearing is said to be late', async (t) => {
  const { alerts } = vectors<{ alerts: { name: string; events: AlertEvent[]; alert: Alert | null }[] }>('alerts');
  for (const { name, events, alert } of alerts) {
    t.same(reduceAlert(events) ?? null, alert, name);
    t.same(reduceAlert([...events].reverse()) ?? null, alert, `${name}, backwards`);
    t.ok(events.every(isAlertEvent), `${name}: events are well formed`);
  }
  const named = (name: string) => alerts.find((one) => one.name === name)?.alert;
  t.match(named('acknowledged on both sides'), {
    status: 'active',
    acknowledged: true,
    // The one who was first by the clocks is named; the other is in the timeline.
    acknowledged_by: { user_id: 'u2' },
    notes: [{ text: 'going there' }, { text: 'fan is blocked' }],
  });
  t.match(named('cleared, seen afterwards'), { status: 'resolved', acknowledged: true, seen_after_clearing: true });
  const shelved = named('made worse, shelved for longer than a day');
  t.equal(shelved?.severity, 'critical');
  t.equal((shelved?.shelved_until_ms ?? 0) - (shelved?.raised_at_ms ?? 0), longestShelveMs + 90_000);
  t.match(named('shelving ended, then assigned'), { shelved_until_ms: null, assignee: { user_id: 'u2' } });
  t.equal(named('a note before raised is there'), null);
});

t.test(
  'a list is ordered worst first among the active, unacknowledged before acknowledged, the rest newest first',
  async (t) => {
    const alert = (alert_id: string, over: Partial<Alert>) =>
      ({ alert_id, status: 'active', severity: 'low', acknowledged: false, raised_at_ms: 0, ...over }) as Alert;
    const ordered = [
      alert('a', { severity: 'critical' }),
      alert('b', { severity: 'critical', acknowledged: true, raised_at_ms: 9 }),
      alert('c', { severity: 'high', raised_at_ms: 2 }),
      alert('d', { severity: 'high', raised_at_ms: 1 }),
      alert('e', { severity: 'high', raised_at_ms: 1 }),
      alert('f', { status: 'resolved', severity: 'low', raised_at_ms: 8 }),
      alert('g', { status: 'resolved', severity: 'critical', raised_at_ms: 7 }),
    ];
    holds(
      t,
      'one order',
      fc.property(fc.shuffledSubarray(ordered, { minLength: ordered.length }), (shuffled) =>
        same(
          shuffled.sort(compareAlerts).map((one) => one.alert_id),
          ordered.map((one) => one.alert_id),
        ),
      ),
    );
    for (const one of ordered) t.equal(compareAlerts(one, one), 0);
  },
);

t.test('what is no alert event is recognised, whatever it is', async (t) => {
  holds(
    t,
    'well-formed events',
    fc.property(alertEvent, (event) => isAlertEvent(event)),
    300,
  );
  holds(
    t,
    'other JSON',
    fc.property(fc.jsonValue(), (value) => !isAlertEvent(value)),
    300,
  );
  holds(
    t,
    'a field of another type: told, or at least no harm',
    fc.property(alertEvent, fc.nat(), fc.jsonValue(), (event, at, value) => {
      const keys = Object.keys(event);
      const changed: unknown = { ...event, [keys[at % keys.length] as string]: value };
      if (isAlertEvent(changed)) reduceAlert([changed]);
    }),
    500,
  );
});

t.test(
  'an event from another machine is taken whole, of its own grid and within bounds, or refused with the field that is wrong',
  async (t) => {
    const actor = { user_id: 'u', name: 'Ama' };
    const origin = { kind: 'gateway', id: 'gw-1' };
    const base = { id: 'E', alert_id: 'A', grid_id: 'alpha', at_ms: 1, origin };
    const noted = { ...base, kind: 'noted', actor, note: 'x' };
    const [raised] = vectors<{ alerts: { events: AlertEvent[] }[] }>('alerts').alerts.flatMap(({ events }) =>
      events.filter((event) => event.kind === 'raised'),
    );
    if (raised?.kind !== 'raised') throw new Error('no raised event among the vectors');
    t.same(checkAlertEvent(raised, raised.grid_id), { ok: true, event: raised });
    for (const act of [
      { ...base, kind: 'acknowledged', actor, note: null },
      noted,
      { ...base, kind: 'assigned', actor, assignee: null },
      { ...base, kind: 'shelved', actor, reason: 'x', duration_ms: 1 },
      { ...base, kind: 'unshelved', actor, shelve_event_id: 'S' },
      { ...base, kind: 'cleared', value: null },
      { ...base, kind: 'severity_changed', severity: 'low' },
      { ...noted, of_a_newer_program: true },
      // As JSON Schema counts, a character outside of the basic plane is one.
      { ...noted, note: '🔋'.repeat(4000) },
    ])
      t.same(checkAlertEvent(act, 'alpha'), { ok: true, event: act }, act.kind);
    for (const [reason, wrong] of [
      [/of grid alpha, not of beta/, { ...noted, grid_id: 'alpha' }],
      [/no object/, null],
      [/unknown kind toString/, { ...noted, kind: 'toString' }],
      [
        /raised\/subject\/severity must be one of critical/,
        { ...raised, subject: { ...raised.subject, severity: 'awful' } },
      ],
      [/\/subject\/steps\/1 must be a text/, { ...raised, subject: { ...raised.subject, steps: ['a', 1] } }],
      [/noted\/at_ms must be a number/, { ...noted, at_ms: 'now' }],
      [/\/id must be a text that is not empty/, { ...noted, id: '' }],
      [/\/origin\/kind must be one of gateway, cloud/, { ...noted, origin: { kind: 'moon', id: 'x' } }],
      [/\/actor must be an object/, { ...noted, actor: 'me' }],
      [/\/assignee\/name must be a text/, { ...base, kind: 'assigned', actor, assignee: { user_id: 'u' } }],
    ] as const) {
      t.match(checkAlertEvent(wrong, 'beta'), { ok: false, reason });
      if (!/of grid/.test(String(reason))) t.notOk(isAlertEvent(wrong), String(reason));
    }
    for (const [reason, long] of [
      [/\/note must be at most 4000 characters/, { ...noted, note: 'x'.repeat(4001) }],
      [/\/id must be at most 64/, { ...noted, id: 'x'.repeat(65) }],
      [/\/at_ms must be from 0/, { ...noted, at_ms: -1 }],
      [
        /\/subject\/steps must be at most 50 long/,
        { ...raised, subject: { ...raised.subject, steps: Array(51).fill('') } },
      ],
    ] as const) {
      t.match(checkAlertEvent(long, 'alpha'), { ok: false, reason });
      t.ok(isAlertEvent(long), 'what is in a log already stays readable');
    }
  },
);
