import fc from 'fast-check';
import t from 'tap';
import {
  alertLoad,
  loadFacts,
  checkAlertEvent,
  compareAlerts,
  isAlertEvent,
  longestShelveMs,
  reduceAlert,
  shelvedAt,
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

/** One side of a partition: what it has heard, and a clock of its own. */
interface Side {
  readonly origin: AlertEvent['origin'];
  readonly clockMs: number;
  readonly heard: AlertEvent[];
}

t.test(
  'two sides that act apart and hear each other late, twice and in disorder end with the same alerts',
  async (t) => {
    const people = ['ama', 'kofi', 'esi'].map((name) => ({ user_id: name, name }));
    const [raised] = vectors<{ alerts: { events: AlertEvent[] }[] }>('alerts').alerts.flatMap(({ events }) => events);
    const subject = raised?.kind === 'raised' ? raised.subject : undefined;
    if (subject === undefined) throw new Error('no raised event among the vectors');
    // Cheaper than lists of tuples ten thousand times over; `SEED` replays it all the same.
    const stepsOf = (seed: number) => {
      let state = seed;
      const upTo = (most: number) => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return Math.floor((state / 2 ** 32) * (most + 1));
      };
      const step = () => [upTo(9), upTo(1) === 1, upTo(2), upTo(1), upTo(20)] as const;
      return Array.from({ length: 4 + upTo(14) }, step);
    };
    const told = new Set<string>();
    holds(
      t,
      'interleavings',
      fc.property(fc.integer(), fc.integer({ min: -9e8, max: 9e8 }), (seed, skewMs) => {
        const steps = stepsOf(seed);
        const gateway: Side = { origin: { kind: 'gateway', id: 'g' }, clockMs: 1e12, heard: [] };
        const cloud: Side = { origin: { kind: 'cloud', id: 'c' }, clockMs: 1e12 + skewMs, heard: [] };
        const all: AlertEvent[] = [];
        const late: { to: Side; event: AlertEvent }[] = [];
        const view = (side: Side, alertId: string) =>
          reduceAlert(side.heard.filter(({ alert_id }) => alert_id === alertId));
        for (const [at, [what, isCloud, who, which, pick]] of steps.entries()) {
          const here = isCloud ? cloud : gateway;
          const there = isCloud ? gateway : cloud;
          const alertId = `A${which}`;
          const base = { id: `E${at}`, alert_id: alertId, grid_id: 'alpha', at_ms: here.clockMs + at * 1000 };
          const by = { ...base, origin: here.origin, actor: people[who] as Alert['acknowledged_by'] & object };
          const say = (event: AlertEvent) => {
            all.push(event);
            here.heard.push(event);
            late.push({ to: there, event });
          };
          const seen = view(here, alertId);
          // Here the other side hears something: any of what is on its way, and it may come again later.
          const arrival = late[pick % Math.max(1, late.length)];
          if (arrival) arrival.to.heard.push(arrival.event);
          const isFirst = !all.some(({ kind, alert_id }) => kind === 'raised' && alert_id === alertId);
          if (isFirst) {
            // Only the gateway raises; its people see it at once.
            const event = {
              ...base,
              at_ms: gateway.clockMs + at * 1000,
              origin: gateway.origin,
              kind: 'raised',
              subject,
            };
            all.push(event as AlertEvent);
            gateway.heard.push(event as AlertEvent);
            late.push({ to: cloud, event: event as AlertEvent });
          } else if (seen === undefined) continue;
          else if (what < 2) say({ ...by, kind: 'acknowledged', note: what === 0 ? `seen ${at}` : null });
          else if (what === 2) say({ ...by, kind: 'noted', note: `note ${at}` });
          else if (what < 5) {
            const replaces = seen.timeline.filter(({ kind }) => kind === 'assigned').map(({ event_id }) => event_id);
            say({ ...by, kind: 'assigned', assignee: people[pick % 3] ?? null, replaces });
          } else if (what === 5) say({ ...by, kind: 'shelved', reason: 'waiting for a part', duration_ms: 1e10 });
          else if (what === 6 && seen.shelvings[0])
            say({ ...by, kind: 'unshelved', shelve_event_id: seen.shelvings[0].event_id });
          else if (what === 7 && !isCloud) say({ ...base, origin: here.origin, kind: 'cleared', value: null });
          else if (what === 8 && !isCloud)
            say({ ...base, origin: here.origin, kind: 'suppressed', parent_id: 'P', because: 'parent' });
          else if (what === 9 && !isCloud) {
            const one = seen.timeline.find(({ kind }) => kind === 'suppressed');
            if (one)
              say({ ...base, origin: here.origin, kind: 'released', suppress_event_id: one.event_id, told: true });
          }
        }
        // The partition ends: everything comes, in the order it comes.
        for (const { to, event } of late.reverse()) to.heard.push(event);
        return ['A0', 'A1'].every((alertId) => {
          const mine = all.filter(({ alert_id }) => alert_id === alertId);
          const [here, there] = [view(gateway, alertId), view(cloud, alertId)];
          if (mine.length === 0) return here === undefined && there === undefined;
          if (here === undefined || JSON.stringify(here) !== JSON.stringify(there)) return false;
          for (const { kind } of mine) told.add(kind);
          const acknowledged = mine.filter(({ kind }) => kind === 'acknowledged');
          const written = mine.flatMap((event) =>
            event.kind === 'noted' ? [event.note] : event.kind === 'acknowledged' && event.note ? [event.note] : [],
          );
          const assigned = mine.filter((event) => event.kind === 'assigned');
          const heads = assigned.filter(({ id }) => !assigned.some((one) => one.replaces?.includes(id)));
          const released = new Set(mine.map((event) => (event.kind === 'released' ? event.suppress_event_id : '')));
          return (
            // Nobody's word is lost, and an alert is seen exactly when somebody saw this very one.
            here.timeline.length === mine.length &&
            String(here.notes.map(({ text }) => text).sort()) === String(written.sort()) &&
            here.acknowledged === acknowledged.length > 0 &&
            // Who gives it to another knowing whom it was given to is not overruled by a clock that is ahead.
            (assigned.length === 0 || heads.some(({ assignee }) => assignee?.user_id === here.assignee?.user_id)) &&
            here.shelvings.every(({ from_ms, until_ms }) => until_ms - from_ms <= longestShelveMs) &&
            (here.suppressed_by !== null) ===
              mine.some((event) => event.kind === 'suppressed' && !released.has(event.id)) &&
            (here.status === 'resolved') === mine.some(({ kind }) => kind === 'cleared')
          );
        });
      }),
      10_000,
    );
    t.ok(
      [
        'raised',
        'acknowledged',
        'noted',
        'assigned',
        'shelved',
        'unshelved',
        'cleared',
        'suppressed',
        'released',
      ].every((kind) => told.has(kind)),
      'all of it happened',
    );
  },
);

t.test(
  'a pause counts while it lasts, never longer than a day, and not at all when it begins ahead of our clock',
  async (t) => {
    const hour = 3_600_000;
    const one = (from: number, hours: number) => ({
      event_id: `S${from}`,
      from_ms: from * hour,
      until_ms: (from + hours) * hour,
      reason: `from ${from}`,
    });
    const shelvings = [one(100, 2), one(101, 5), one(200, 24)];
    t.equal(shelvedAt({ shelvings }, 99 * hour), undefined);
    t.equal(shelvedAt({ shelvings }, 101.5 * hour)?.reason, 'from 101', 'the one that lasts longest');
    t.equal(shelvedAt({ shelvings }, 106 * hour), undefined, 'over by itself');
    t.equal(shelvedAt({ shelvings }, 199.9 * hour)?.reason, 'from 200', 'clocks of a few minutes apart agree');
  },
);

t.test(
  'the load of alerts is counted by local days and nights, with its peak, floods, what chatters and what is stale',
  async (t) => {
    const minute = 60_000;
    // Local midnight in Nairobi.
    const fromMs = Date.UTC(2026, 2, 1, 21);
    const toMs = fromMs + 2 * 86_400_000;
    const alert = (rule_id: string, atMin: number, over: Partial<Alert> = {}) =>
      ({
        rule_id,
        message: rule_id,
        device_id: null,
        device_name: null,
        metric: null,
        severity: 'medium',
        status: 'resolved',
        raised_at_ms: fromMs + atMin * minute,
        acknowledged_at_ms: null,
        timeline: [],
        ...over,
      }) as unknown as Alert;
    const quiet = { kind: 'suppressed', at_ms: fromMs + 300 * minute } as Alert['timeline'][number];
    const few = [
      alert('x', -1, { status: 'active' }),
      alert('a', 3 * 60, { severity: 'critical', acknowledged_at_ms: fromMs + 200 * minute }),
      alert('b', 300, { timeline: [quiet] }),
      ...[720, 722, 725].map((at) => alert('c', at)),
    ];
    const load = alertLoad(few.map(loadFacts), { fromMs, toMs, nowMs: toMs + 1, zone: 'Africa/Nairobi' });
    t.match(load, {
      alerts: 4,
      suppressed: 1,
      per_day: 2,
      most_per_day: 4,
      per_night: 0.5,
      peak_10_min: { count: 3, from_ms: fromMs + 720 * minute },
      flood_share: 0,
      by_severity: { critical: 1, high: 0, medium: 3, low: 0 },
      worst_rules: [
        { rule_id: 'c', count: 3, share: 0.75 },
        { rule_id: 'a', count: 1 },
      ],
      chattering: [{ rule_id: 'c', count: 3 }],
      standing: 1,
      stale: 1,
      median_seen_ms: 20 * minute,
      judgement: 'fair',
    });
    // Twelve within ten minutes: from the eleventh on, until the first of them is ten minutes old.
    const many = Array.from({ length: 12 }, (_, at) => alert('d', 600 + at * 0.5));
    const flood = alertLoad(many.map(loadFacts), { fromMs, toMs, nowMs: toMs, zone: 'Africa/Nairobi' });
    t.equal(flood.judgement, 'poor');
    t.equal(Math.round(flood.flood_share * (toMs - fromMs)), 5.5 * minute);
    t.match(alertLoad([], { fromMs, toMs, nowMs: toMs, zone: 'UTC' }), {
      alerts: 0,
      peak_10_min: null,
      judgement: 'good',
    });
  },
);

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
      { ...base, kind: 'suppressed', parent_id: 'P', because: 'flood' },
      { ...base, kind: 'released', suppress_event_id: 'S', told: false },
      { ...base, kind: 'last_known' },
      { ...base, kind: 'heard_again', mark_event_id: 'M' },
      { ...base, kind: 'maintenance_planned', actor, reason: 'x', device_ids: ['inv-1'], from_ms: 1, until_ms: 2 },
      { ...base, kind: 'maintenance_ended', actor },
      { ...base, kind: 'handed_over', actor, note: 'x', replaces: ['N'] },
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
      [/\/because must be one of parent/, { ...base, kind: 'suppressed', parent_id: 'P', because: 'mood' }],
      [/\/told must be true or false/, { ...base, kind: 'released', suppress_event_id: 'S', told: 1 }],
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
