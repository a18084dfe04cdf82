import { roles } from '@villagrid/contracts';
import { cryptoRandom, nextTurn, realClock, seededRandom, silentLogger } from '@villagrid/runtime';
import { testClock } from '@villagrid/runtime/testing';
import t from 'tap';
import { createApiServer } from './index.js';
import { RuleTests } from './rule-tests/rule-tests.js';
import { askedTest } from './rule-tests/run.js';
import {
  apiConformanceSuite,
  fakePorts,
  MemoryGrid,
  memoryPerson,
  memorySite,
  type ConformanceServer,
} from './testing/index.js';

const makeServer = (kind: 'gateway' | 'cloud') => async (): Promise<ConformanceServer> => {
  const clock = realClock();
  const random = cryptoRandom();
  const people = Object.fromEntries(
    [...roles.map((role) => memoryPerson(role, role, 'amani')), memoryPerson('foreign', 'admin', 'other')].map(
      (person) => [person.principal.username, person],
    ),
  );
  const ports = fakePorts({
    clock,
    random,
    kind,
    sites: [memorySite('amani'), memorySite('other')],
    people: Object.values(people),
  });
  const server = createApiServer({
    ports,
    clock,
    realClock: clock,
    random,
    log: silentLogger(),
    listen: [{ host: '127.0.0.1', port: 0 }],
  });
  const { addresses } = await server.start();
  const grid = ports.grid('amani');
  return {
    url: addresses[0]?.url ?? '',
    gridId: 'amani',
    people: Object.fromEntries(
      Object.entries(people).map(([name, { password }]) => [name, { username: name, password }]),
    ) as ConformanceServer['people'],
    figure: 'generation_kw',
    values: [4.25, 5.5],
    feed: async (value) => grid.feed('inverter', { generation_kw: value }),
    raiseAlert: async () => grid.raise(),
    stop: () => server.stop(),
  };
};

t.test('over ports in memory, as a gateway', (t) => apiConformanceSuite(t, makeServer('gateway')));
t.test('over ports in memory, as the cloud', (t) => apiConformanceSuite(t, makeServer('cloud')));

t.test('a test that was cancelled while it reads is over before the next one begins', async (t) => {
  const clock = testClock(Date.UTC(2026, 10, 25, 7));
  const random = seededRandom(1);
  const grid = new MemoryGrid(memorySite('amani'), { clock, random });
  grid.feed('inverter', { generation_kw: 4 });
  const going: (() => void)[] = [];
  let reads = 0;
  grid.raw = async () => {
    reads += 1;
    await new Promise<void>((resolve) => going.push(resolve));
    return { t: [], value: [], quality: [] };
  };
  const tests = new RuleTests({ realClock: clock, random, log: silentLogger() });
  const selector = { scope: 'figure' as const, metric: 'generation_kw' };
  const body = { rule: { kind: 'threshold', selector, parameters: { above: 3 } } };
  const asked = askedTest(grid, body, clock.nowMs());
  const first = tests.begin(grid, asked);
  const second = tests.begin(grid, asked);
  while (reads === 0) await nextTurn();
  t.equal(tests.cancel('amani', first.test_id).state, 'cancelled');
  const third = tests.begin(grid, asked);
  for (let turn = 0; turn < 5; turn += 1) await nextTurn();
  const states = () => [second, third].map(({ test_id }) => tests.get('amani', test_id).state);
  t.same([reads, states()], [1, ['waiting', 'waiting']]);
  going[0]?.();
  while (reads === 1) await nextTurn();
  t.same(states(), ['running', 'waiting']);
  tests.close();
  for (const go of going) go();
});
