import { roles } from '@villagrid/contracts';
import { cryptoRandom, realClock, silentLogger } from '@villagrid/runtime';
import t from 'tap';
import { createApiServer } from './index.js';
import { apiConformanceSuite, fakePorts, memoryPerson, memorySite, type ConformanceServer } from './testing/index.js';

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
