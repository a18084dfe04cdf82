import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  bodyOf,
  canonicalJson,
  editItems,
  type DocumentBody,
  type DocumentDown,
  type DocumentEntry,
  type DocumentItem,
  type DocumentName,
} from '@villagrid/contracts';
import { createDesiredStore, openDatabase, seededRandom, silentLogger, type DesiredStore } from '@villagrid/runtime';
import { tempDir, testClock } from '@villagrid/runtime/testing';
import t, { type Test } from 'tap';
import { createDesired, trialMs, type Desired, type DesiredBodies } from './desired.js';

class Killed extends Error {}

/** A gateway's folder that outlives its process, and its log. */
function box(t: Test) {
  const path = join(tempDir(t), 'settings.db');
  const log: DocumentEntry[] = [];
  const disk = { log, well: true, files: {} as DocumentBody, people: {} as Record<string, unknown>, lives: 0 };

  /** One life of the process: ended at the n-th step when `killAt` is given. `fails` is why it cannot work with a document. */
  const live = async ({ killAt = 0, cannotApply = '', refuses = '' } = {}) => {
    disk.lives += 1;
    const database = openDatabase({ path });
    let steps = 0;
    let dead = false;
    const step = () => {
      if (dead) throw new Killed();
      steps += 1;
      if (steps !== killAt) return;
      dead = true;
      throw new Killed();
    };
    // Each write and each effect may be the last that was done, or the first that was not.
    const around = <T>(run: () => T): T => {
      step();
      const result = run();
      step();
      return result;
    };
    const real = createDesiredStore(database);
    const store: DesiredStore = {
      ...real,
      put: (...args) => around(() => real.put(...args)),
      reported: (seq) => around(() => real.reported(seq)),
    };
    const clock = testClock();
    let inForce: DesiredBodies | undefined;
    let desired: Desired | undefined;
    const found = {
      store: real,
      clock,
      get desired() {
        return desired as Desired;
      },
      get dead() {
        return dead;
      },
      get steps() {
        return steps;
      },
      inForce: (name: DocumentName) => inForce?.[name],
      /** Runs what may end in the kill. */
      async act(run: () => unknown) {
        try {
          await run();
        } catch (error) {
          if (!(error instanceof Killed)) throw error;
        }
      },
      end() {
        dead = true;
        try {
          desired?.stop();
        } finally {
          database.close();
        }
      },
    };
    await found.act(() => {
      desired = createDesired({
        store,
        gridId: 'g1',
        check: ({ limits }) => (refuses && limits.battery_low_pct === 99 ? refuses : undefined),
        apply: (bodies, changed) =>
          around(() => {
            if (cannotApply && bodies.limits.battery_low_pct === 98) throw new Error(cannotApply);
            inForce = bodies;
            if (changed === 'users') disk.people = { ...bodies.users };
          }),
        local: (name) => (name === 'rules' ? disk.files : name === 'users' ? disk.people : undefined),
        isWell: async () => disk.well,
        report: async (entry) => around(() => void log.push(entry)),
        clock,
        realClock: clock,
        random: seededRandom(disk.lives),
        logger: silentLogger(),
      });
      inForce = desired.bodies();
      desired.start();
    });
    t.teardown(() => database.open && database.close());
    return found;
  };
  return { disk, live };
}

const hashOf = (text: string) => createHash('sha256').update(text).digest('hex');
/** A document as the cloud sends it. */
function messages(name: DocumentName, rev: number, items: readonly DocumentItem[], parts = 1): DocumentDown[] {
  const text = canonicalJson(items);
  const size = Math.ceil(text.length / parts);
  return Array.from({ length: parts }, (_, part) => ({
    y: 'document',
    name,
    rev,
    sha256: hashOf(text),
    part,
    parts,
    text: text.slice(part * size, (part + 1) * size),
  }));
}
const itemsOf = (body: DocumentBody, base: readonly DocumentItem[] = []) => editItems(base, body, 'cloud').items;
const states = (log: readonly DocumentEntry[]) => log.map(({ rev, state }) => `${rev} ${state}`);

t.test('a document is in force at once and known to be good after a while; the newest alone counts', async (t) => {
  const { disk, live } = box(t);
  const one = await live();
  const items = itemsOf({ battery_low_pct: 35 });
  const [first, second] = messages('limits', 7, items, 2) as [DocumentDown, DocumentDown];
  one.desired.take(second);
  t.same(one.inForce('limits'), {}, 'not before all of it is here');
  one.desired.take(first);
  t.same(one.inForce('limits'), { battery_low_pct: 35 });
  t.same(one.desired.told(), {}, 'nothing is decided yet');
  one.desired.take(messages('limits', 3, itemsOf({ battery_low_pct: 20 }))[0]!);
  t.same(one.inForce('limits'), { battery_low_pct: 35 }, 'what was overtaken on the way changes nothing');
  await one.clock.advance(trialMs);
  t.match(one.desired.told(), { limits: { rev: 7, state: 'applied' } });
  t.same(states(disk.log), ['7 applied']);
  const damaged = { ...messages('limits', 8, itemsOf({ battery_low_pct: 1 }, items))[0]!, sha256: hashOf('other') };
  one.desired.take(damaged);
  t.same(one.inForce('limits'), { battery_low_pct: 35 }, 'a damaged one is not looked at');
});

t.test('what cannot work is refused with the reason, and what was in force stays', async (t) => {
  const { disk, live } = box(t);
  const one = await live({ refuses: 'the village would go dark', cannotApply: 'no such thing' });
  const good = itemsOf({ battery_low_pct: 35 });
  for (const message of messages('limits', 1, good)) one.desired.take(message);
  await one.clock.advance(trialMs);
  const tries: readonly [number, DocumentName, readonly DocumentItem[]][] = [
    [2, 'limits', itemsOf({ battery_low_pct: 99 }, good)],
    [3, 'limits', itemsOf({ battery_lo: 1 }, good)],
    [4, 'limits', itemsOf({ battery_low_pct: 98 }, good)],
    [1, 'rules', [{ id: 'x', ver: [0, 1], value: { id: 'y' } }]],
    [1, 'grid', [{ id: 'name', ver: 'first', value: 1 } as unknown as DocumentItem]],
  ];
  for (const [rev, name, items] of tries) for (const message of messages(name, rev, items)) one.desired.take(message);
  await one.clock.advance(1);
  t.same(one.inForce('limits'), { battery_low_pct: 35 });
  t.same(
    disk.log.slice(1).map(({ name, rev, state, reason }) => [name, rev, state, reason]),
    [
      ['limits', 2, 'refused', 'the village would go dark'],
      ['limits', 3, 'refused', '/battery_lo is not known here'],
      ['limits', 4, 'rolled_back', 'no such thing'],
      ['rules', 1, 'refused', '/x/id must be "x" too'],
      ['grid', 1, 'refused', 'it does not have the form of a document'],
    ],
  );
  t.match(one.desired.told(), { limits: { rev: 4, state: 'rolled_back' }, rules: { rev: 1, state: 'refused' } });
});

t.test(
  'when the gateway fails, is not well, or never stays up with it, the former document is in force again',
  async (t) => {
    const { disk, live } = box(t);
    let one = await live();
    const good = itemsOf({ battery_low_pct: 35 });
    const send = (rev: number) => {
      for (const message of messages('limits', rev, itemsOf({ battery_low_pct: rev }, good))) one.desired.take(message);
    };
    for (const message of messages('limits', 1, good)) one.desired.take(message);
    await one.clock.advance(trialMs);
    t.equal(one.desired.broken(new Error('a rule fails')), false, 'what is known to be good is not to blame');
    send(2);
    t.equal(one.desired.broken(new Error('a rule fails')), true);
    t.same(one.inForce('limits'), { battery_low_pct: 35 });
    send(3);
    disk.well = false;
    await one.clock.advance(trialMs);
    t.same(one.inForce('limits'), { battery_low_pct: 35 });
    disk.well = true;
    send(4);
    for (let start = 0; start < 2; start += 1) {
      one.end();
      one = await live();
      t.same(one.inForce('limits'), { battery_low_pct: 4 }, 'a power cut alone is no reason');
    }
    one.end();
    one = await live();
    t.same(one.inForce('limits'), { battery_low_pct: 35 });
    await one.clock.advance(1);
    t.same(states(disk.log), ['1 applied', '2 rolled_back', '3 rolled_back', '4 rolled_back']);
    t.match(
      disk.log.map(({ reason }) => reason),
      [
        null,
        'the gateway fails with it: a rule fails',
        'the gateway was not well with it: its health is down',
        'the gateway was started 3 times and never stayed up with it',
      ],
    );
  },
);

t.test(
  'killed between any two steps, a document ends in force or rolled back as a whole, and the cloud is told',
  async (t) => {
    const good = itemsOf({ battery_low_pct: 35 });
    const person = { display_name: 'Asha', role: 'operator', disabled: false };
    const people = itemsOf({ asha: person });
    const shutOut = itemsOf({ asha: { ...person, disabled: true } }, people);
    for (const [what, name, former, items, well] of [
      ['a good one', 'limits', good, itemsOf({ battery_low_pct: 40 }, good), true],
      ['a bad one', 'limits', good, itemsOf({ battery_low_pct: 40 }, good), false],
      ['a person who is shut out', 'users', people, shutOut, true],
    ] as const) {
      let places = 1;
      for (let killAt = 1; killAt <= places; killAt += 1) {
        const { disk, live } = box(t);
        let one = await live();
        for (const message of messages(name, 1, former)) one.desired.take(message);
        await one.clock.advance(trialMs);
        one.end();
        disk.log.length = 0;
        disk.well = well;
        one = await live({ killAt: killAt === places && places === 1 ? 0 : killAt });
        const run = async (gateway: typeof one) => {
          // As the cloud does at HELLO: what is not decided on is sent.
          if ((gateway.desired.told()[name]?.rev ?? 0) < 2)
            for (const message of messages(name, 2, items)) gateway.desired.take(message);
          await gateway.clock.advance(trialMs);
          await gateway.clock.advance(1);
        };
        await one.act(() => run(one));
        if (places === 1) {
          places = one.steps;
          killAt = 0;
          one.end();
          continue;
        }
        await one.act(() => one.end());
        one = await live();
        await run(one);
        const place = `${what}, killed at step ${killAt} of ${places}`;
        const expected = bodyOf(well ? items : former);
        t.same(one.inForce(name) ?? one.desired.bodies()[name], expected, place);
        if (name === 'users') t.same(disk.people, expected, place);
        const told = disk.log.filter(({ state }) => state !== 'edited');
        t.ok(told.length >= 1, `${place}: told`);
        t.ok(
          told.every(({ rev, state }) => rev === 2 && state === (well ? 'applied' : 'rolled_back')),
          `${place}: ${JSON.stringify(told)}`,
        );
        t.same(one.store.reports(), [], `${place}: nothing is left to tell`);
        one.end();
      }
      t.ok(places >= 6, `${what}: ${places} places`);
    }
  },
);

t.test('what a person changes here is told up, merges with what comes down, and a denial stays', async (t) => {
  const { disk, live } = box(t);
  disk.files = { mine: { id: 'mine', enabled: true }, both: { id: 'both', enabled: false } };
  disk.people = { asha: { display_name: 'Asha', role: 'operator', disabled: false } };
  let one = await live();
  await one.clock.advance(1);
  t.match(
    disk.log.map(({ name, state, items }) => [name, state, items?.map(({ id, ver }) => [id, ...ver])]),
    [
      [
        'rules',
        'edited',
        [
          ['mine', 1, 0],
          ['both', 1, 0],
        ],
      ],
      ['users', 'edited', [['asha', 1, 0]]],
    ],
  );
  // The cloud changed one of them before it heard of it, and gave the person more.
  const theirs = itemsOf({ both: { id: 'both', severity: 'low' } });
  for (const message of messages('rules', 1, theirs)) one.desired.take(message);
  t.same(one.inForce('rules'), { both: { id: 'both', severity: 'low' }, mine: { id: 'mine', enabled: true } });
  one.end();
  disk.people = { asha: { display_name: 'Asha', role: 'operator', disabled: true } };
  one = await live();
  const raised = itemsOf({ asha: { display_name: 'Asha', role: 'admin', disabled: false, password_hash: 'h' } });
  for (const message of messages('users', 1, raised)) one.desired.take(message);
  t.match(disk.people, { asha: { role: 'operator', disabled: true } });
  await one.clock.advance(1);
  const told = disk.log.filter(({ name, state }) => name === 'users' && state === 'edited').at(-1);
  t.match(told?.items, [{ id: 'asha', ver: [2, 1], value: { role: 'operator', disabled: true } }]);
  t.notMatch(JSON.stringify(disk.log), 'password_hash', 'no hash leaves the gateway');
  await one.clock.advance(trialMs);
  t.same(one.desired.port.get('rules')?.body, one.inForce('rules'));
});

t.test('at the gateway itself a change is made with the version it is based on, tried and told up', async (t) => {
  const { disk, live } = box(t);
  const one = await live();
  const { port } = one.desired;
  const actor = { user_id: 'u1', name: 'Ben' };
  const change = (basedOn: number, body: DocumentBody) =>
    port.put('limits', { basedOn, body, password: new Map(), actor });
  t.match(await change(0, { battery_low_pct: 31 }), { ok: true, document: { rev: 1, state: 'waiting' } });
  t.match(await change(0, { battery_low_pct: 32 }), { ok: false, present: { rev: 1, body: { battery_low_pct: 31 } } });
  await one.clock.advance(trialMs);
  await one.clock.advance(1);
  t.match(port.get('limits'), { rev: 1, state: 'applied', changed_by: actor });
  t.match(disk.log, [{ name: 'limits', state: 'edited', items: [{ id: 'battery_low_pct', ver: [1, 0], value: 31 }] }]);
  await change(1, { battery_low_pct: 33 });
  one.desired.broken(new Error('no'));
  t.match(port.get('limits'), { body: { battery_low_pct: 31 } });
  t.equal(disk.log.length, 1, 'what was not good is not told');
});

t.test('a change made here that is still on trial stays in what comes down meanwhile, and is told up', async (t) => {
  const { disk, live } = box(t);
  const one = await live();
  const actor = { user_id: 'u1', name: 'Ben' };
  await one.desired.port.put('limits', { basedOn: 0, body: { battery_low_pct: 31 }, password: new Map(), actor });
  const first = itemsOf({ consumption_high_kw: 5 });
  const second = itemsOf({ consumption_high_kw: 6 }, first);
  for (const [at, items] of [first, second].entries()) {
    for (const message of messages('limits', at + 1, items)) one.desired.take(message);
    t.same(one.inForce('limits'), { battery_low_pct: 31, consumption_high_kw: 5 + at });
  }
  await one.clock.advance(trialMs);
  await one.clock.advance(1);
  t.match(disk.log, [
    { rev: 2, state: 'applied' },
    { state: 'edited', items: [{ id: 'battery_low_pct', ver: [1, 0], value: 31 }] },
  ]);
});

t.test('of one version of a person the password that came counts', async (t) => {
  const { disk, live } = box(t);
  const one = await live();
  const person = { display_name: 'Asha', role: 'operator', disabled: false };
  for (const [at, password_hash] of ['h1', 'h2', 'h1'].entries()) {
    for (const message of messages('users', at + 1, itemsOf({ asha: { ...person, password_hash } })))
      one.desired.take(message);
    t.same(disk.people, { asha: { ...person, password_hash } });
  }
});
