import { mkdirSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { routes, VillagridError, type Route, type TimeSpan } from '@villagrid/contracts';
import {
  createAuthority,
  createLogger,
  cryptoRandom,
  issueServerCertificate,
  realClock,
  seededRandom,
  silentLogger,
} from '@villagrid/runtime';
import t, { type Test } from 'tap';
import { Type } from 'typebox';
import { handlers } from '../handlers/index.js';
import { createApiServer, openapiDocument, type ApiServerOptions } from '../index.js';
import { ask, fakePorts, logIn, memoryPerson, memorySite, openLive, type FakePorts } from '../testing/index.js';
import { isNavigation } from './static-app.js';

const clock = realClock();
const random = cryptoRandom();
const viewer = { username: 'viewer', password: 'pass-viewer' };

function makePorts(): FakePorts {
  const people = [memoryPerson('viewer', 'viewer', 'amani'), memoryPerson('admin', 'admin')];
  return fakePorts({ clock, random, sites: [memorySite('amani')], people });
}

function make(options: Partial<ApiServerOptions> = {}) {
  const listen = [{ host: '127.0.0.1', port: 0 }];
  return createApiServer({
    ports: makePorts(),
    clock,
    realClock: clock,
    random,
    log: silentLogger(),
    listen,
    ...options,
  });
}

async function started(t: Test, options: Partial<ApiServerOptions> = {}): Promise<string> {
  const server = make(options);
  const { addresses } = await server.start();
  t.teardown(() => server.stop());
  return addresses[0]?.url ?? '';
}

t.test(
  'a table with a hole does not start: no access, no handler, no way to find the grid, a handler without route',
  async (t) => {
    const extra = (route: object) => [...routes, { ...route } as unknown as Route];
    const base = { id: 'extra', method: 'GET', path: '/api/extra', summary: '', response: Type.Unknown() };
    const withExtra = { ...handlers, extra: () => ({}) } as typeof handlers;
    const refuses = (options: Partial<ApiServerOptions>, reason: RegExp) => t.rejects(make(options).start(), reason);
    await refuses({ routes: extra(base), handlers: withExtra }, /declares no access/);
    await refuses(
      { routes: extra({ ...base, access: { kind: 'anything' } }), handlers: withExtra },
      /declares no access/,
    );
    const pathless = { ...base, access: { kind: 'role', role: 'viewer', grid: 'path' } };
    await refuses({ routes: extra(pathless), handlers: withExtra }, /declares no access/);
    await refuses({ routes: extra({ ...base, access: { kind: 'public' } }) }, /has no handler/);
    await refuses({ handlers: withExtra }, /has no route/);
    await refuses({ routes: extra({ ...base, id: 'constructor', access: { kind: 'public' } }) }, /has no handler/);
  },
);

t.test('a role on a grid that the body names is enforced', async (t) => {
  const body = Type.Object({ grid_id: Type.String() });
  const access = { kind: 'role', role: 'operator', grid: 'body' } as const;
  const route: Route = {
    id: 'extra',
    method: 'POST',
    path: '/api/extra',
    summary: '',
    access,
    body,
    response: Type.Unknown(),
  };
  const url = await started(t, {
    routes: [...routes, route],
    handlers: { ...handlers, extra: () => ({ ok: true }) } as typeof handlers,
  });
  const token = await logIn(url, viewer);
  const admin = await logIn(url, { username: 'admin', password: 'pass-admin' });
  const post = async (given: unknown, as?: string) =>
    (await ask(url, '/api/extra', { method: 'POST', token: as, body: given })).status;
  t.equal(await post({ grid_id: 'amani' }), 401);
  t.equal(await post({ grid_id: 'amani' }, token), 403);
  t.equal(await post({ grid_id: 'other' }, token), 404);
  t.equal(await post({ grid_id: 'amani' }, admin), 200);
  t.equal(await post({ grid_id: ['amani'] }, admin), 400);
});

t.test(
  'an unexpected failure is a problem without inner words, and is in the log with its correlation id',
  async (t) => {
    const lines: string[] = [];
    const log = createLogger({ name: 'api', clock, destination: { write: (line) => void lines.push(line) } });
    const ports = makePorts();
    const url = await started(t, { ports, log });
    const token = await logIn(url, viewer);
    ports.grid('amani').completeness = async () => {
      throw new Error('disk of sorrow');
    };
    const answer = await ask(url, '/api/completeness/amani', { token });
    t.equal(answer.status, 500);
    t.equal(answer.json.code, 'E_INTERNAL');
    t.notMatch(answer.text, /sorrow|\.ts/);
    const told = lines.map((line) => JSON.parse(line)).find((line) => line.error?.message === 'disk of sorrow');
    t.equal(told?.correlation_id, answer.json.correlation_id);
    await ask(url, '/api/auth/login', { method: 'POST', body: { ...viewer, password: 'secret-of-somebody' } });
    const all = lines.join('');
    t.notMatch(all, /secret-of-somebody|pass-viewer/, 'no password in the log');
    t.notOk(all.includes(token), 'no token in the log');
  },
);

t.test('completeness takes its end as `to`, like every other question, or as until_ms', async (t) => {
  const url = await started(t);
  const token = await logIn(url, viewer);
  const end = async (query: string) =>
    (await ask(url, `/api/completeness/amani?${query}`, { token })).json.until_ms as number | undefined;
  t.equal(await end('to=2026-01-01T00:00:00Z'), 1_767_225_600_000);
  t.equal(await end('to=1767225600000'), 1_767_225_600_000);
  t.equal(await end('until_ms=1767225600000'), 1_767_225_600_000);
  for (const query of ['to=1767225600000&until_ms=5', 'to=yesterday', 'until=5'])
    t.equal((await ask(url, `/api/completeness/amani?${query}`, { token })).status, 400, query);
});

t.test('the link to the cloud is told where there is one, and is null elsewhere', async (t) => {
  const ports = makePorts();
  const url = await started(t, { ports });
  const token = await logIn(url, viewer);
  const get = () => ask(url, '/api/uplink/amani', { token });
  t.same((await get()).json, { grid_id: 'amani', uplink: null });
  const uplink = {
    connected: true,
    plan: 'standard' as const,
    boosted: false,
    waiting_frames: 7,
    waiting_since_ms: 5,
    held: null,
    complete_at_ms: 9,
    day: '2026-11-26',
    used_bytes: 3_100_000,
    budget_bytes: 20_000_000,
  };
  ports.grid('amani').uplink = () => uplink;
  t.same((await get()).json, { grid_id: 'amani', uplink });
});

t.test('completeness tells what the cloud can prove, for a day of the grid or the last seven', async (t) => {
  const ports = makePorts();
  const spans: (readonly TimeSpan[])[] = [];
  ports.grid('amani').proof = async (days) => {
    spans.push(days);
    const nothing = { frames: 1, state: 'proven', missing: 0, given_up: 0, refused: 0 } as const;
    return { logs: [], days: days.map(({ fromMs, toMs }) => ({ from_ms: fromMs, to_ms: toMs, ...nothing })) };
  };
  const url = await started(t, { ports });
  const token = await logIn(url, viewer);
  const get = async (query: string) => ask(url, `/api/completeness/amani${query}`, { token });
  const one = (await get('?day=2026-03-08')).json as { days?: { day: string; state: string }[] };
  t.match(one.days, [{ day: '2026-03-08', state: 'proven' }]);
  t.equal(new Date(spans[0]?.[0]?.fromMs ?? 0).toISOString(), '2026-03-07T21:00:00.000Z', 'midnight in Nairobi');
  const week = (await get('?to=2026-03-08')).json as { days?: { day: string }[] };
  t.same([week.days?.length, week.days?.at(-1)?.day], [7, '2026-03-07']);
  for (const day of ['2026-02-30', 'today', '1767225600000']) t.equal((await get(`?day=${day}`)).status, 400, day);
});

t.test('a login that the accounts refuse for too many tries is answered with 429 and how long to wait', async (t) => {
  const ports = makePorts();
  const asked: string[] = [];
  ports.auth.login = async (username, _password, remoteAddress) => {
    asked.push(`${username} ${remoteAddress}`);
    throw new VillagridError('E_LOGIN_SLOW_DOWN', 'Ten tries failed.');
  };
  const url = await started(t, { ports });
  for (const path of ['/api/auth/login', '/api/login']) {
    const slowed = await ask(url, path, { method: 'POST', body: { username: 'viewer', password: 'x' } });
    t.equal(slowed.status, 429);
    t.equal(slowed.json.code, 'E_LOGIN_SLOW_DOWN');
    t.ok(Number(slowed.headers.get('retry-after')) > 0);
  }
  t.same(asked, ['viewer 127.0.0.1', 'viewer 127.0.0.1'], 'the accounts are told who asks from where');
});

t.test(
  'the app: index for navigations only, hashes for ever, packed files when there are some, no way out of the folder',
  async (t) => {
    const app = t.testdir({ 'index.html': '<title>app</title>', 'sw.js': 'sw', '.secret': 'no' });
    mkdirSync(join(app, 'assets'));
    writeFileSync(join(app, 'assets', 'index-B3x9kQ1a.js'), 'plain()');
    writeFileSync(join(app, 'assets', 'index-B3x9kQ1a.js.gz'), gzipSync('packed()'));
    writeFileSync(join(app, '..', 'outside.txt'), 'outside');
    const url = await started(t, { appDirectory: app });
    const page = await ask(url, '/');
    t.equal(page.text, '<title>app</title>');
    t.equal(page.headers.get('cache-control'), 'no-cache');
    t.match(page.headers.get('content-security-policy'), /frame-ancestors 'none'/);
    t.equal((await ask(url, '/grid/amani/alerts', { headers: { accept: 'text/html' } })).text, '<title>app</title>');
    for (const path of [
      '/assets/gone-12345678.js',
      '/gone.png',
      '/api/gone',
      '/.well-known/gone',
      '/assets/',
      '/.secret',
    ])
      t.equal((await ask(url, path, { headers: { accept: 'text/html' } })).json?.code, 'E_NOT_FOUND', path);
    t.equal((await ask(url, '/grid/amani', { headers: { accept: 'application/json' } })).status, 404);
    t.equal((await ask(url, '/sw.js')).headers.get('cache-control'), 'no-cache');
    const asset = await ask(url, '/assets/index-B3x9kQ1a.js', { headers: { 'accept-encoding': 'gzip' } });
    t.equal(asset.text, 'packed()');
    t.equal(asset.headers.get('cache-control'), 'public, max-age=31536000, immutable');
    t.equal(asset.headers.get('x-content-type-options'), 'nosniff');
    const plain = await ask(url, '/assets/index-B3x9kQ1a.js', { headers: { 'accept-encoding': 'identity' } });
    t.equal(plain.text, 'plain()');
    for (const path of [
      '/../outside.txt',
      '/..%2foutside.txt',
      '/%2e%2e/outside.txt',
      '/assets/..%5c..%5coutside.txt',
      '//outside.txt',
      '/%00',
    ]) {
      const answer = await rawGet(url, path);
      t.notMatch(answer, /^HTTP\/1\.1 2/, path);
      t.notMatch(answer, /outside$/, path);
    }
    t.ok(isNavigation({ method: 'GET', url: '/grid?x=1.5', headers: { 'sec-fetch-mode': 'navigate' } }));
    t.notOk(isNavigation({ method: 'POST', url: '/grid', headers: { accept: 'text/html' } }));
  },
);

/** Sends a path exactly as written; gives the whole answer. */
function rawGet(url: string, path: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(Number(port), hostname, () =>
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`),
    );
    socket.on('data', (data) => {
      text += data.toString();
    });
    socket.on('close', () => resolve(text.trim()));
    socket.on('error', reject);
  });
}

t.test('plain and TLS listeners serve the same, the live channel too; a taken port is said by name', async (t) => {
  const authority = await createAuthority({ name: 'test', nowMs: clock.nowMs() });
  const { certificatePem: cert, privateKeyPem: key } = await issueServerCertificate(authority, {
    names: ['127.0.0.1'],
    nowMs: clock.nowMs(),
    days: 1,
  });
  const host = '127.0.0.1';
  const server = make({
    listen: [
      { host, port: 0 },
      { host, port: 0, tls: { key, cert } },
    ],
  });
  const { addresses } = await server.start();
  t.teardown(() => server.stop());
  t.same(
    server.urls,
    addresses.map(({ url }) => url),
  );
  const [plain, secure] = addresses;
  t.match(secure?.url, /^https:/);
  const ca = authority.certificatePem;
  const status = await new Promise((resolve, reject) =>
    httpsRequest(`${secure?.url}/health`, { ca }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end(),
  );
  t.equal(status, 200);
  const token = await logIn(plain?.url ?? '', viewer);
  const probe = await openLive(secure?.url ?? '', 'amani', { token, ca, origin: secure?.url ?? '' });
  await probe.next('snapshot');
  await t.rejects(make({ listen: [{ host, port: plain?.port ?? 0 }] }).start(), { code: 'E_PORT_IN_USE' });
  const bad = { host, port: 0, tls: { key: 'no key', cert: 'no certificate' } };
  await t.rejects(make({ listen: [bad] }).start(), { code: 'E_CERTIFICATE' });
  await server.stop();
  t.ok([1000, 1001, 1006].includes(await probe.closed), 'stopping closes the channels');
  await t.rejects(ask(plain?.url ?? '', '/health'), 'and the listeners');
});

t.test('health answers 503 when down; metrics count by route, never by address; garbage is answered', async (t) => {
  const ports = makePorts();
  const url = await started(t, { ports });
  ports.setHealth('degraded');
  t.equal((await ask(url, '/health')).status, 200);
  ports.setHealth('down');
  const down = await ask(url, '/health');
  t.equal(down.status, 503);
  t.equal(down.json.status, 'down');
  await ask(url, '/api/dashboard/summary/stranger-1');
  await ask(url, '/stranger-2');
  const { text, headers } = await ask(url, '/metrics');
  t.match(headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  t.match(text, 'villagrid_http_requests_total{route="/api/dashboard/summary/{grid_id}",method="GET",status="401"} 1');
  t.match(text, 'villagrid_http_requests_total{route="(none)",method="GET",status="404"} 1');
  t.match(text, 'villagrid_memory 1');
  t.notMatch(text, /stranger/);
  t.match(await rawGet(url, '/%zz'), /^HTTP\/1\.1 400[\s\S]*E_REQUEST_INVALID/);
  t.match(await rawGet(url, '/ HTTP/1.1\r\nbroken header\r\n'), /^HTTP\/1\.1 400/);
});

const seed = process.env.SEED ?? 'hostile';
t.test(`whatever is sent, no answer is a 5xx and every refusal is a problem (SEED=${seed})`, async (t) => {
  const ports = makePorts();
  const url = await started(t, { ports });
  const token = await logIn(url, { username: 'admin', password: 'pass-admin' });
  ports.grid('amani').feed('inverter', { generation_kw: 1 });
  const alertId = ports.grid('amani').raise();
  const dice = seededRandom(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(dice.float() * values.length)] as T;
  const odd = [
    '',
    '0',
    '-1',
    '1e9',
    'NaN',
    'null',
    '__proto__',
    'constructor',
    "'",
    '%00',
    '%F0%9F%98%80',
    '%ff',
    'a'.repeat(650),
    '..%2f',
    '[]',
    '2026-02-30',
  ];
  const words = [...odd, 'amani', alertId, 'generation_kw', 'raw', '1d', '24h', 'active', 'inverter'];
  const names = [
    'period',
    'from',
    'to',
    'granularity',
    'points',
    'device',
    'status',
    'severity',
    'limit',
    'cursor',
    'until_ms',
    'x',
  ];
  const bodies: unknown[] = [
    null,
    [],
    0,
    '',
    {},
    '{',
    { note: 'x' },
    { note: 1 },
    { username: {}, password: [] },
    { act_id: 'Z'.repeat(26), note: 'n' },
    { occurred_at_ms: 1e308, note: 'n' },
    '\ufeff{}',
    '{"note":"\\ud800"}',
    { note: '\u0000' },
  ];
  const types = [
    'application/json',
    'application/json; charset=utf-16',
    'application/json\t',
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'APPLICATION/JSON',
    'a',
  ];
  for (let i = 0; i < 600; i += 1) {
    const route = pick(routes as readonly Route[]);
    if (route.id === 'logout') continue;
    const path = route.path.replace(/\{(\w+)\}/g, (_, name) =>
      dice.float() < 0.5
        ? pick(words)
        : { grid_id: 'amani', alert_id: alertId, metric: 'generation_kw' }[name as 'metric'],
    );
    const query = dice.float() < 0.6 ? '' : `?${pick(names)}=${pick(words)}&${pick(names)}=${pick(words)}`;
    const body = route.method === 'GET' ? {} : { body: pick(bodies), headers: { 'content-type': pick(types) } };
    const answer = await ask(url, path + query, { method: route.method, token, ...body }).catch((error: unknown) => ({
      status: 599,
      json: undefined,
      text: String(error),
    }));
    const name = `${route.method} ${path}${query} ${JSON.stringify(body)}`;
    if (answer.status >= 500) t.fail(`${name}: ${answer.status} ${answer.text}`);
    if (answer.status >= 400 && answer.json?.code === undefined) t.fail(`${name}: ${answer.text}`);
  }
  t.equal(({} as { x?: unknown }).x, undefined);
  t.equal((await ask(url, '/health')).status, 200);
});

t.test('the OpenAPI document has every route, no dangling reference and no open role', async (t) => {
  const document = openapiDocument(routes, '1.2.3') as {
    openapi: string;
    paths: Record<
      string,
      Record<string, { operationId: string; security: unknown[]; responses: Record<string, unknown> }>
    >;
    components: { schemas: Record<string, unknown> };
  };
  t.equal(document.openapi, '3.1.0');
  for (const route of routes as readonly Route[]) {
    const operation = document.paths[route.path]?.[route.method.toLowerCase()];
    t.equal(operation?.operationId, route.id);
    t.equal(operation?.security.length, route.access.kind === 'public' ? 0 : 1, route.id);
    t.ok(route.access.kind === 'public' || operation?.responses['401'], route.id);
  }
  const text = JSON.stringify(document);
  for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g))
    t.ok(document.components.schemas[name as string], name as string);
  for (const name of ['Alert', 'AlertPage', 'Summary', 'Problem', 'History'])
    t.ok(Object.hasOwn(document.components.schemas, name), name);
});

t.test('who came with a one-time word chooses a password and does nothing else', async (t) => {
  const person = memoryPerson('newcomer', 'admin');
  const due = { ...person, principal: { ...person.principal, password_due: true as const } };
  const ports = fakePorts({ clock, random, sites: [memorySite('amani')], people: [due] });
  const url = await started(t, { ports });
  const token = await logIn(url, { username: 'newcomer', password: due.password });
  for (const path of ['/api/grids', '/api/dashboard/summary/amani', '/api/users'])
    t.equal((await ask(url, path, { token })).json.code, 'E_PASSWORD_DUE', path);
  t.equal((await ask(url, '/api/auth/me', { token })).json.password_due, true);
  const probe = await openLive(url, 'amani', { token });
  t.equal(await probe.closed, 4403);
  t.equal((await ask(url, '/api/auth/logout', { method: 'POST', token })).status, 200);
});

t.test('of two administrators who demote each other at once, one is left', async (t) => {
  const people = ['first', 'second'].map((name) => memoryPerson(name, 'admin'));
  const ports = fakePorts({ clock, random, sites: [memorySite('amani')], people });
  const url = await started(t, { ports });
  const grants = [{ role: 'viewer', scope: { kind: 'everything' } }];
  const demote = async ([who, whom]: readonly [string, string]) => {
    const token = await logIn(url, { username: who, password: `pass-${who}` });
    return () => ask(url, `/api/users/id-${whom}`, { method: 'PUT', token, body: { grants } });
  };
  const both = await Promise.all([demote(['first', 'second']), demote(['second', 'first'])]);
  const answers = await Promise.all(both.map((one) => one()));
  t.same(answers.map(({ status }) => status).sort(), [200, 403]);
  const left = ports.people?.list().filter((one) => one.grants.some(({ role }) => role === 'admin'));
  t.equal(left?.length, 1);
});
