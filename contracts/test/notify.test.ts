/** Who is told what, when: examples that people would ask about, and what must hold in any order of things, over restarts. */
import fc from 'fast-check';
import t from 'tap';
import {
  compareSeverity,
  createNotifyRouter,
  defaultNotifyTiming,
  isWithinHours,
  notifyFacts,
  notifyLanguages,
  notifyTestText,
  notifyText,
  parseHours,
  reduceAlert,
  severities,
  shortMost,
  type Alert,
  type NotifyFacts,
  type NotifyMessage,
  type NotifyPlan,
  type Recipient,
  type Severity,
} from '../src/index.js';
import { holds } from './property.js';

const noon = Date.UTC(2026, 0, 5, 12);
const minute = 60_000;

const person = (id: string, over: Partial<Recipient> & { least?: Severity } = {}): Recipient => ({
  id,
  kind: 'person',
  language: 'en',
  ways: [{ channel: 'sms', to: `+255${id}`, leastSeverity: over.least ?? 'low' }],
  hours: null,
  onCall: null,
  ...over,
});
const plan = (...recipients: Recipient[]): NotifyPlan => ({ ...defaultNotifyTiming, zone: 'UTC', recipients });
const facts = (id: string, over: Partial<NotifyFacts> = {}): NotifyFacts => ({
  alert_id: id,
  key: id,
  severity: 'high',
  message: `trouble ${id}`,
  what: `What happened with ${id}.`,
  why: 'It matters.',
  steps: ['Look.', 'Act.'],
  subject: {
    rule_id: 'own',
    device_id: null,
    device_name: null,
    metric: null,
    value: null,
    limit: null,
    unit: null,
  },
  raised_at_ms: noon,
  cleared_at_ms: null,
  active: true,
  acknowledgements: 0,
  shelved_until_ms: null,
  suppressed: false,
  ...over,
});

/** A village under a clock: every three seconds are a step, every message arrives unless told otherwise. */
function village(given: NotifyPlan, startMs = noon) {
  let router = createNotifyRouter(given);
  let nowMs = startMs;
  const told: { atMs: number; to: string; says: string; channel: string; message: NotifyMessage }[] = [];
  const known = new Map<string, NotifyFacts>();
  const handed = new Set<number>();
  let hushed: readonly string[] = [];
  const self = {
    arrives: (_message: NotifyMessage): boolean => true,
    told,
    says: () => told.map(({ to, says }) => `${to}: ${says}`),
    hushed: () => hushed,
    put(id: string, over: Partial<NotifyFacts> = {}) {
      const isNew = !known.has(id);
      const next = { ...(known.get(id) ?? facts(id, { raised_at_ms: nowMs })), ...over };
      known.set(id, next);
      router.alert(next, nowMs, { isNew });
    },
    clear: (id: string) => self.put(id, { active: false, cleared_at_ms: nowMs }),
    ack: (id: string) => self.put(id, { acknowledgements: (known.get(id)?.acknowledgements ?? 0) + 1 }),
    restart() {
      router = createNotifyRouter(given, router.exportState());
      router.started(
        [...known.values()].filter((one) => one.active),
        nowMs,
      );
    },
    now: () => nowMs,
    run(forMs: number, everyMs = 3000) {
      for (const endMs = nowMs + forMs; nowMs < endMs; nowMs += everyMs) {
        for (let again = true; again; ) {
          const orders = router.step(nowMs, true);
          hushed = orders.hush;
          again = false;
          for (const message of orders.send) {
            const arrived = self.arrives(message);
            if (arrived && !handed.has(message.id)) {
              handed.add(message.id);
              const says = message.items.map(({ alert_id, why }) => `${why} ${alert_id}`).join(', ');
              told.push({ atMs: nowMs, to: message.recipient, says, channel: message.way.channel, message });
            }
            router.result(message.id, arrived, nowMs);
            again ||= !arrived;
          }
        }
      }
    },
    state: () => router.exportState(),
  };
  return self;
}

t.test(
  'an alert goes to the first on call, then to the next when nobody acknowledges, and its end to those who were told',
  (t) => {
    const v = village(
      plan(person('asha', { onCall: 1 }), person('juma', { onCall: 2 }), person('ngo'), person('far', { onCall: 3 })),
    );
    v.put('hot');
    v.run(32 * minute);
    t.same(v.says(), ['asha: raised hot', 'ngo: raised hot', 'juma: escalated hot']);
    v.ack('hot');
    v.run(300 * minute, minute);
    t.equal(v.told.length, 3, 'who acknowledges ends the calling');
    v.clear('hot');
    v.run(10 * minute);
    t.same(v.says().slice(3).sort(), ['asha: cleared hot', 'juma: cleared hot', 'ngo: cleared hot']);
    t.notMatch(v.state(), /hot/, 'and it is forgotten');
    t.end();
  },
);

t.test('nobody answers: it begins again after an hour, three times, and then stays quiet', (t) => {
  const v = village(plan(person('asha'), person('juma')));
  v.put('dark', { severity: 'critical' });
  v.run(30 * 60 * minute, 10_000);
  t.equal(v.says().filter((one) => one === 'asha: again dark').length, 3);
  t.equal(v.told.length, 8);
  t.end();
});

t.test('quiet hours hold back all but the critical until the morning, and what is over by then is never told', (t) => {
  const hours = [parseHours('06:00-22:00') ?? { fromMin: 0, toMin: 0 }];
  const v = village(plan(person('asha', { hours })), Date.UTC(2026, 0, 5, 23));
  v.put('slow');
  v.put('brief');
  v.run(60 * minute);
  t.same(v.says(), []);
  v.clear('brief');
  v.put('dark', { severity: 'critical' });
  v.run(2 * minute);
  t.same(v.says(), ['asha: raised dark']);
  v.clear('dark');
  v.run(10 * minute);
  t.same(v.says().slice(1), ['asha: cleared dark'], 'who was woken hears that it is over');
  v.run(8 * 60 * minute, 10_000);
  t.same(v.says().slice(2, 3), ['asha: raised slow']);
  t.ok((v.told[2]?.atMs ?? 0) >= Date.UTC(2026, 0, 6, 6));
  const night = [parseHours('18:00-06:00') ?? { fromMin: 0, toMin: 0 }];
  t.ok(isWithinHours(night, Date.UTC(2026, 0, 5, 2), 'UTC') && !isWithinHours(night, noon, 'UTC'));
  t.ok(isWithinHours(night, noon + 4 * 60 * minute, 'Africa/Nairobi'), '19:00 there');
  t.not(isWithinHours([{ ...night[0]!, days: [1] }], Date.UTC(2026, 0, 5, 2), 'UTC'), 'the night of Sunday to Monday');
  t.same(
    ['6:00-7:00', '06:00-06:00', '06:60-07:00', '24:00-01:00', 'always'].map(parseHours),
    Array(5).fill(undefined),
  );
  t.same(parseHours('fri-mon 18:00-06:00'), { ...night[0], days: [0, 1, 5, 6] });
  t.same(parseHours('sat,wed 08:00-24:00'), { fromMin: 480, toMin: 1440, days: [3, 6] });
  t.end();
});

t.test('at night the critical goes to whoever is up first, and only then wakes the others', (t) => {
  const day = [parseHours('06:00-18:00')!];
  const night = [parseHours('18:00-06:00')!];
  const v = village(
    plan(person('day', { onCall: 1, hours: day }), person('night', { onCall: 2, hours: night })),
    Date.UTC(2026, 0, 5, 1),
  );
  v.put('dark', { severity: 'critical' });
  v.run(12 * minute);
  t.same(v.says(), ['night: raised dark', 'day: escalated dark']);
  t.end();
});

t.test('twelve at once are one message; one that comes and goes is not told twice; planned work is quiet', (t) => {
  const v = village(plan(person('asha')));
  for (let i = 0; i < 12; i += 1) v.put(`d${i}`);
  v.run(minute);
  t.equal(v.told.length, 1);
  t.equal(v.told[0]?.message.items.length, 12);
  v.clear('d0');
  v.run(30_000);
  v.put('d0-again', { key: 'd0' });
  v.run(10 * minute);
  t.equal(v.told.length, 1, 'it never ended for her');
  v.put('work', { severity: 'critical', suppressed: true });
  v.put('work-brief', { suppressed: true });
  v.run(59 * minute);
  v.clear('work-brief');
  t.equal(v.told.length, 1);
  v.put('work', { suppressed: false });
  v.run(2 * minute);
  t.same(
    v.told.slice(1).map((one) => one.says.replaceAll(/, again d.*|again d[^,]*, /g, '')),
    ['raised work'],
  );
  t.end();
});

t.test(
  'a way that fails is followed by the next; when none works it is tried again later, with all that came since',
  (t) => {
    const ways = [
      { channel: 'email', to: 'a@example.org', leastSeverity: 'low' },
      { channel: 'sms', to: '+255', leastSeverity: 'high' },
    ] as const;
    const v = village(plan(person('asha', { ways, onCall: 1 }), person('juma', { onCall: 2 })));
    v.arrives = ({ way }) => way.channel !== 'email';
    v.put('hot');
    v.run(minute);
    t.same(
      v.told.map((one) => [one.to, one.channel]),
      [['asha', 'sms']],
    );
    v.put('slow', { severity: 'medium' });
    v.run(10 * minute);
    t.equal(v.told.length, 1, 'medium has e-mail only');
    v.ack('hot');
    v.arrives = ({ way }) => way.to !== '+255' && way.channel !== 'email';
    v.put('dark', { severity: 'critical' });
    v.run(minute);
    t.same(v.says().slice(1), ['juma: escalated dark'], 'who cannot be reached is not waited for');
    v.arrives = () => true;
    v.run(60 * minute);
    t.match(v.says().join('; '), /asha: (raised slow, raised dark|raised dark, raised slow)/);
    t.end();
  },
);

t.test('a buzzer sounds again until it is acknowledged, and is silent then', (t) => {
  const buzzer: Recipient = {
    ...person('buzzer'),
    kind: 'device',
    ways: [{ channel: 'relay', to: '', leastSeverity: 'critical' }],
  };
  const v = village(plan(buzzer));
  v.put('hot');
  v.run(minute);
  t.same([v.says(), v.hushed()], [[], ['buzzer']]);
  v.put('dark', { severity: 'critical' });
  v.run(11 * minute);
  t.same(v.says(), ['buzzer: raised dark', 'buzzer: again dark', 'buzzer: again dark']);
  t.same(v.hushed(), []);
  v.ack('dark');
  v.run(30 * minute);
  t.equal(v.told.length, 3);
  t.same(v.hushed(), ['buzzer']);
  v.clear('dark');
  v.run(10 * minute);
  t.equal(v.told.length, 3, 'nobody sounds an end');
  t.end();
});

t.test(
  'what got worse is told again although it was acknowledged; shelved is quiet until its end; what is over when it is raised is told once',
  (t) => {
    const v = village(plan(person('asha', { least: 'medium' })));
    v.put('low', { severity: 'low' });
    v.run(minute);
    t.same(v.says(), []);
    v.put('low', { severity: 'medium' });
    v.run(6 * minute);
    v.ack('low');
    v.put('low', { severity: 'critical' });
    v.run(6 * minute);
    t.same(v.says(), ['asha: raised low', 'asha: worse low']);
    v.put('low', { shelved_until_ms: v.now() + 60 * minute });
    v.run(59 * minute);
    t.equal(v.told.length, 2);
    v.run(2 * minute);
    t.equal(v.says().at(-1), 'asha: worse low');
    v.put('cut', { active: false, cleared_at_ms: v.now() });
    v.put('cut', { acknowledgements: 1 });
    v.run(9 * minute);
    t.same(
      v.says().filter((one) => one.includes('cut')),
      ['asha: happened cut'],
    );
    t.end();
  },
);

t.test('a pause that a clock ahead of time dated keeps nobody silent until then', (t) => {
  const base = { alert_id: 'hot', grid_id: 'alpha', origin: { kind: 'cloud', id: 'c' } } as const;
  const subject = {
    ...facts('hot').subject,
    type: 'own',
    severity: 'high',
    message: 'hot',
    what: '',
    why: '',
  } as const;
  const shelved = (atMs: number) =>
    reduceAlert([
      { ...base, kind: 'raised', id: '1', at_ms: noon, subject: { ...subject, steps: [] } },
      {
        ...base,
        kind: 'shelved',
        id: '2',
        at_ms: atMs,
        actor: { user_id: 'u', name: 'Asha' },
        reason: 'a part is ordered',
        duration_ms: 60 * minute,
      },
    ]) as Alert;
  const year = 365 * 24 * 60 * minute;
  t.equal(notifyFacts(shelved(noon), noon + minute).shelved_until_ms, noon + 60 * minute);
  t.equal(notifyFacts(shelved(noon + year), noon + minute).shelved_until_ms, null);
  // Paused here while the clock was a year ahead; then it was put right.
  const router = createNotifyRouter(plan(person('asha')));
  router.alert(notifyFacts(shelved(noon + year), noon + year), noon + year, { isNew: true });
  router.step(noon + year, true);
  router.clockMoved(-year);
  router.step(noon + 59 * minute, true);
  t.equal(router.waiting(), 0);
  router.step(noon + 60 * minute, true);
  t.equal(router.waiting(), 1, 'it speaks again');
  t.end();
});

t.test('a clock that jumps neither loses nor hurries anything', (t) => {
  const router = createNotifyRouter(plan(person('asha', { onCall: 1 }), person('juma', { onCall: 2 })));
  router.alert(facts('hot'), noon, { isNew: true });
  const sent = (nowMs: number) => router.step(nowMs, false).send;
  t.same(sent(noon), []);
  const [first] = sent(noon + 30_000);
  router.result(first?.id ?? 0, true, noon + 30_000);
  const jump = 40 * 365 * 86_400_000;
  router.clockMoved(jump);
  t.same(sent(noon + jump + 5 * minute), []);
  router.clockMoved(-jump);
  t.same(sent(noon + 25 * minute), []);
  sent(noon + 33 * minute);
  t.match(sent(noon + 34 * minute), [{ recipient: 'juma' }]);
  // A box that begins in 1970 with the memory of 2026.
  const young = createNotifyRouter(
    plan(person('asha', { onCall: 1 }), person('juma', { onCall: 2 })),
    router.exportState(),
  );
  const dark = facts('dark', { severity: 'critical' });
  young.started([facts('hot'), dark], 1000);
  const heard: string[] = [];
  for (let nowMs = 1000; nowMs < 15 * minute; nowMs += 3000)
    for (const { id, recipient, items } of young.step(nowMs, false).send) {
      heard.push(...items.map((item) => `${recipient} ${item.alert_id}`));
      young.result(id, true, nowMs);
    }
  t.match(heard.join(), /asha dark.*juma dark/);
  t.end();
});

const operations = fc.array(
  fc.record({
    op: fc.constantFrom('raise', 'raise', 'ack', 'clear', 'worse', 'shelve', 'wait', 'restart', 'fail', 'mend'),
    which: fc.integer({ min: 0, max: 4 }),
    severity: fc.constantFrom(...severities),
    seconds: fc.integer({ min: 1, max: 1500 }),
  }),
  { minLength: 1, maxLength: 40 },
);

t.test('in any order of things, with restarts anywhere', { timeout: 120_000 }, (t) => {
  const hours = [parseHours('06:00-18:00')!];
  const given = plan(
    person('first', { onCall: 1, least: 'high' }),
    person('second', { onCall: 2, hours }),
    person('chief', { least: 'medium', hours }),
  );
  const play = (ops: Parameters<Parameters<typeof operations.map>[0]>[0], restarts: boolean) => {
    const v = village(given, Date.UTC(2026, 0, 5, 16));
    const acked = new Map<string, number>();
    const severity = new Map<string, Severity>();
    const open = new Set<string>();
    let occurrence = 0;
    const ids = new Map<number, string>();
    for (const { op, which, severity: s, seconds } of ops) {
      const id = ids.get(which);
      if (op === 'raise' && (id === undefined || !open.has(id))) {
        const next = `${which}.${occurrence++}`;
        ids.set(which, next);
        open.add(next);
        severity.set(next, s);
        v.put(next, { key: String(which), severity: s });
      } else if (id !== undefined && open.has(id)) {
        if (op === 'ack') {
          v.ack(id);
          acked.set(id, v.now());
        } else if (op === 'clear') {
          v.clear(id);
          open.delete(id);
        } else if (op === 'worse' && compareSeverity(s, severity.get(id) as Severity) < 0) {
          v.put(id, { severity: s });
          severity.set(id, s);
          acked.delete(id);
        } else if (op === 'shelve') v.put(id, { shelved_until_ms: v.now() + seconds * 1000 });
      }
      if (op === 'fail') v.arrives = ({ recipient }) => recipient !== 'first';
      if (op === 'mend') v.arrives = () => true;
      if (op === 'restart' && restarts) v.restart();
      v.run(seconds * 1000, 10_000);
    }
    v.arrives = () => true;
    v.run(26 * 60 * minute, 60_000);
    return { v, open, acked, severity };
  };
  holds(
    t,
    'told once, only who wants it, only when it may ring, never after an acknowledgement; all who must be told are',
    fc.property(operations, (ops) => {
      const { v, open, acked, severity } = play(ops, true);
      const raised = new Map<string, number>();
      for (const { to, atMs, message } of v.told) {
        for (const { alert_id, why } of message.items) {
          const key = `${to} ${alert_id}`;
          if (why === 'raised') {
            raised.set(key, (raised.get(key) ?? 0) + 1);
            if ((raised.get(key) ?? 0) > 1) throw new Error(`${key} told twice: ${v.says().join('; ')}`);
          }
          if (why === 'cleared' && open.has(alert_id)) throw new Error(`${key} was told that it is over`);
        }
        const asleep = to !== 'first' && !isWithinHours(hours, atMs, 'UTC');
        if (asleep && message.severity !== 'critical') throw new Error(`${to} was woken for ${message.severity}`);
      }
      const ends = v.told.flatMap(({ to, message }) =>
        message.items.flatMap(({ alert_id, why }) => (why === 'cleared' ? [`${to} ${alert_id}`] : [])),
      );
      if (new Set(ends).size !== ends.length) throw new Error('an end was told twice');
      for (const { atMs, message } of v.told)
        for (const { alert_id, why } of message.items) {
          const ackMs = acked.get(alert_id);
          if (why !== 'cleared' && ackMs !== undefined && atMs > ackMs)
            throw new Error(`${alert_id} told after acknowledgement`);
        }
      for (const id of open) {
        if (acked.has(id)) continue;
        const s = severity.get(id) as Severity;
        const key = id.split('.')[0];
        // An occurrence that joined the one before was told under its id.
        const heard = (who: string) =>
          v.told.some(
            ({ to, message }) => to === who && message.items.some((one) => one.alert_id.split('.')[0] === key),
          );
        if (compareSeverity(s, 'high') <= 0 && !heard('first')) throw new Error(`first never heard of ${id}`);
        if (compareSeverity(s, 'medium') <= 0 && !heard('chief')) throw new Error(`chief never heard of ${id}`);
        if (compareSeverity(s, 'high') <= 0 && !heard('second')) throw new Error(`second was not called for ${id}`);
      }
      const state = JSON.parse(v.state()) as { alerts: object; underWay: unknown[] };
      if (Object.keys(state.alerts).length !== open.size || state.underWay.length > 0)
        throw new Error('something is left over');
    }),
    80,
  );
  holds(
    t,
    'a restart changes nothing of what is told',
    fc.property(operations, (ops) => {
      const [with_, without] = [play(ops, true), play(ops, false)];
      const all = ({ v }: typeof with_) =>
        v.told.map(({ atMs, to, says, channel }) => `${atMs} ${to} ${channel} ${says}`).join('\n');
      if (all(with_) !== all(without)) throw new Error(`${all(with_)}\n---\n${all(without)}`);
    }),
    40,
  );
  t.end();
});

t.test('a message says what, since when and what to do, in every language, and its short form stays short', (t) => {
  const lines = Array.from({ length: 12 }, (_, i) => ({
    facts: facts(`device ${i} with a rather long name of its own`, {
      subject: { ...facts('').subject, device_name: `Inverter ${i}` },
    }),
    why: i < 10 ? ('raised' as const) : ('cleared' as const),
  }));
  for (const language of notifyLanguages) {
    const writing = { place: 'Kisima', language, zone: 'Africa/Nairobi' };
    for (const why of ['raised', 'worse', 'again', 'escalated', 'cleared', 'happened'] as const) {
      const { subject, body, short } = notifyText(
        [{ facts: facts('hot', { cleared_at_ms: noon + minute }), why }],
        writing,
      );
      for (const text of [subject, body, short]) t.notMatch(text, /undefined|\{|\}/);
      t.match(short, /Kisima: .*trouble hot.*15:00/);
      t.ok(short.length <= shortMost);
    }
    const { subject, short, body } = notifyText(lines, writing);
    t.match(subject, /12/);
    t.ok(short.length <= shortMost && /\d/.test(short), short);
    t.equal(body.match(/Inverter/g)?.length, 12);
    t.match(notifyTestText(writing).short, /Kisima: ./);
  }
  t.equal(
    notifyText(
      [{ facts: facts('1', { severity: 'critical', message: 'battery is almost empty' }), why: 'escalated' }],
      {
        place: 'Kisima',
        language: 'xx',
        zone: 'UTC',
      },
    ).short,
    'Kisima: CRITICAL: battery is almost empty, nobody has answered, since 12:00. What happened with 1. Do: Look.',
  );
  t.end();
});
