/**
 * Our API's server with one address that is open to everybody and answers a text of the asked length: what any answer of
 * the API costs at least. A process of its own.
 *
 * node --import=tsx gateway/bench/empty-server.ts <settings.json>
 */
import { readFileSync } from 'node:fs';
import { routes, type Route } from '@villagrid/contracts';
import { Answer, createApiServer, type ApiPorts, type Handlers } from '@villagrid/api';
import { cryptoRandom, realClock, silentLogger } from '@villagrid/runtime';

const { bytes } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as { bytes: number };
const text = JSON.stringify({ empty: 'x'.repeat(Math.max(0, bytes - 12)) });
const discovery = routes.find(({ id }) => id === 'discovery') as Route;
const nobody = async () => undefined;
const ports: ApiPorts = {
  identity: {
    kind: 'gateway',
    serverId: 'empty',
    version: '0',
    gridId: null,
    silentAfterMs: null,
    clockTrust: () => 'ntp',
  },
  auth: { login: nobody, authenticate: nobody, logout: nobody },
  grids: { list: () => [], get: () => undefined, gridOfAlert: nobody },
  health: { check: async () => ({ status: 'ok', checks: [] }), prometheus: () => '' },
};
const clock = realClock();
const server = createApiServer({
  ports,
  clock,
  realClock: clock,
  random: cryptoRandom(),
  log: silentLogger(),
  listen: [{ host: '127.0.0.1', port: 0 }],
  routes: [{ ...discovery, path: '/empty' }],
  handlers: { discovery: () => new Answer(text) } as unknown as Handlers,
});
const { addresses } = await server.start();
process.stdout.write(`${JSON.stringify({ ready: true, port: addresses[0]?.port })}\n`);
