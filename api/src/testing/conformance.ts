/** What every server of this API promises, run against gateway, cloud and the ports in memory, over real sockets. */
import { newId, problemSchema, roleIncludes, roles, routes, type Role, type Route } from '@villagrid/contracts';
import { cryptoRandom, realClock } from '@villagrid/runtime';
import type { Test } from 'tap';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { ask, logIn, openLive, type TestAnswer } from './client.js';

/** A person of the server under test. */
export interface ConformancePerson {
  readonly username: string;
  readonly password: string;
}

/** A running server with a grid that has data, and hands to make things happen in it. */
export interface ConformanceServer {
  /** Address without a slash at the end, e.g. `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly gridId: string;
  /** One person per role on the grid; `foreign` exists, but may see nothing of this grid. */
  readonly people: Readonly<Record<Role | 'foreign', ConformancePerson>>;
  /** A wired figure with values in the last minutes, which `feed` changes. */
  readonly figure: string;
  /** Makes this the newest value of the figure, by the server's real way in. */
  feed(value: number): Promise<void>;
  /** Two different values of the figure that `feed` may be given. */
  readonly values: readonly [number, number];
  /** Makes a new alert of the grid active; gives its id. */
  raiseAlert(): Promise<string>;
  stop(): Promise<void>;
}

type Who = 'nobody' | 'forger' | 'foreign' | Role;

interface Setting {
  readonly server: ConformanceServer;
  readonly tokens: Readonly<Record<Who, string | undefined>>;
  readonly alertId: string;
  /** Whether the prototype's calls have a grid here. */
  readonly ownGrid: boolean;
}

const checks = new Map<TSchema, ReturnType<typeof Compile>>();
function errorsOf(schema: TSchema, value: unknown): string {
  const check = checks.get(schema) ?? Compile(schema);
  checks.set(schema, check);
  return check.Check(value)
    ? ''
    : [...check.Errors(value)]
        .slice(0, 3)
        .map((error) => `${error.instancePath} ${error.message}`)
        .join('; ');
}

/** Runs all promises; `makeServer` is called once. */
export async function apiConformanceSuite(t: Test, makeServer: () => Promise<ConformanceServer>): Promise<void> {
  const server = await makeServer();
  t.teardown(() => server.stop());
  const tokens: Record<Who, string | undefined> = {
    nobody: undefined,
    forger: 'x'.repeat(32),
    foreign: await logIn(server.url, server.people.foreign),
    viewer: await logIn(server.url, server.people.viewer),
    operator: await logIn(server.url, server.people.operator),
    installer: await logIn(server.url, server.people.installer),
    admin: await logIn(server.url, server.people.admin),
  };
  await server.feed(server.values[0]);
  const alertId = await server.raiseAlert();
  const discovery = await ask(server.url, '/.well-known/villagrid');
  const setting: Setting = { server, tokens, alertId, ownGrid: discovery.json.grid_id !== null };
  await t.test('nobody gets further than the route table says', (t) => accessMatrix(t, setting));
  await t.test('errors are problem documents', (t) => problems(t, setting));
  await t.test('a person acknowledges and notes; the same act twice has effect once', (t) => acts(t, setting));
  await t.test('alerts are filtered and paged', (t) => pages(t, setting));
  await t.test('history comes in columns of one length, in order of time', (t) => history(t, setting));
  await t.test('the live channel gives a snapshot, then what changes', (t) => live(t, setting));
  await t.test('the live channel is closed to who may not read', (t) => liveRefusals(t, setting));
}

/** A request that is valid in itself, for each route. */
function sample(route: Route, { server, alertId }: Setting): { readonly path: string; readonly body?: unknown } {
  const path = route.path
    .replace('{grid_id}', server.gridId)
    .replace('{alert_id}', alertId)
    .replace('{metric}', server.figure);
  if (route.id === 'login' || route.id === 'legacyLogin') return { path, body: { ...server.people.viewer } };
  if (route.id === 'acknowledge') return { path, body: {} };
  if (route.body !== undefined) return { path, body: { note: 'a note of the conformance suite' } };
  return { path };
}

function expectedStatus(route: Route, who: Who, { ownGrid }: Setting): number {
  const { access } = route;
  if (access.kind === 'public') return 200;
  if (who === 'nobody' || who === 'forger') return 401;
  if (access.kind === 'authenticated') return 200;
  if (who === 'foreign' || (access.grid === 'own' && !ownGrid)) return 404;
  if (!roleIncludes(who, access.role)) return 403;
  // A plain request to a WebSocket is understood and refused.
  return route.websocket === true ? 400 : 200;
}

async function accessMatrix(t: Test, setting: Setting): Promise<void> {
  const { server, tokens } = setting;
  const people: readonly Who[] = ['nobody', 'forger', 'foreign', ...roles];
  for (const route of routes as readonly Route[]) {
    for (const who of people) {
      // Logging out must not end the logins of the tests that follow.
      const endsLogin = route.id === 'logout' && tokens[who] !== undefined && who !== 'forger';
      const person = server.people[who as Role | 'foreign'];
      const token = endsLogin ? await logIn(server.url, person) : tokens[who];
      const { path, body } = sample(route, setting);
      const answer = await ask(server.url, path, { method: route.method, token, body });
      const name = `${route.method} ${route.path} as ${who}`;
      t.equal(answer.status, expectedStatus(route, who, setting), `${name}: ${answer.text.slice(0, 200)}`);
      if (answer.status >= 400) isProblem(t, answer, name);
      else if (route.produces === undefined) t.equal(errorsOf(route.response, answer.json), '', `${name}: document`);
      if (endsLogin)
        t.equal((await ask(server.url, '/api/auth/me', { token })).status, 401, `${name}: the login is ended`);
    }
  }
}

function isProblem(t: Test, answer: TestAnswer, name: string): void {
  t.match(answer.headers.get('content-type'), /^application\/problem\+json/, `${name}: content type`);
  t.equal(errorsOf(problemSchema, answer.json), '', `${name}: problem document`);
  t.equal(answer.json?.correlation_id, answer.headers.get('x-correlation-id'), `${name}: correlation id`);
  t.notMatch(answer.text, /node_modules|\.[jt]s:\d+|\bat \w+ \(/, `${name}: no stack`);
}

async function problems(t: Test, { server, tokens }: Setting): Promise<void> {
  const token = tokens.viewer;
  const secret = 'hunter2-must-not-be-told';
  const login = (body: unknown, headers: Record<string, string> = {}) =>
    ask(server.url, '/api/auth/login', { method: 'POST', body, headers });
  const cases: readonly [string, Promise<TestAnswer>, number, string][] = [
    ['an unknown address', ask(server.url, '/api/nothing', { token }), 404, 'E_NOT_FOUND'],
    ['an unknown method', ask(server.url, '/api/grids', { method: 'DELETE', token }), 404, 'E_NOT_FOUND'],
    ['an unknown grid', ask(server.url, '/api/dashboard/summary/nowhere', { token }), 404, 'E_GRID_NOT_FOUND'],
    ['an unknown alert', ask(server.url, `/api/alerts/${server.gridId}/nothing`, { token }), 404, 'E_ALERT_NOT_FOUND'],
    ['a wrong password', login({ ...server.people.viewer, password: secret }), 401, 'E_LOGIN_FAILED'],
    ['a missing field', login({ username: 'somebody' }), 400, 'E_REQUEST_INVALID'],
    ['broken JSON', login(`{"username": "a", "password": "${secret}"`), 400, 'E_REQUEST_INVALID'],
    ['a doubled key', login('{"username":"a","username":"b","password":"c"}'), 400, 'E_REQUEST_INVALID'],
    ['__proto__', login('{"username":"a","password":"c","__proto__":{"x":1}}'), 400, 'E_REQUEST_INVALID'],
    ['1e999', login('{"username":"a","password":"c","n":1e999}'), 400, 'E_REQUEST_INVALID'],
    ['100,000 levels', login('['.repeat(100_000)), 400, 'E_REQUEST_INVALID'],
    ['plain text', login('hello', { 'content-type': 'text/plain' }), 415, 'E_MEDIA_TYPE'],
    ['1 MiB and a byte', login(`"${'a'.repeat(1024 * 1024)}"`), 413, 'E_PAYLOAD_TOO_LARGE'],
  ];
  for (const [name, pending, status, code] of cases) {
    const answer = await pending;
    t.equal(answer.status, status, name);
    t.equal(answer.json?.code, code, name);
    isProblem(t, answer, name);
    t.notMatch(answer.text, secret, `${name}: nothing of the request is repeated`);
  }
  const given = 'conformance-0001';
  const echoed = await ask(server.url, '/api/grids', { headers: { 'x-correlation-id': given } });
  t.equal(echoed.json.correlation_id, given, 'a correlation id that was given is kept');
  const headers = (await ask(server.url, '/health')).headers;
  t.match(headers.get('content-security-policy'), /default-src 'self'/);
  t.notMatch(headers.get('content-security-policy'), /unsafe|upgrade-insecure/);
  t.equal(headers.get('strict-transport-security'), null, 'plain HTTP in the village must go on working');
  t.equal(headers.get('x-content-type-options'), 'nosniff');
  t.equal(headers.get('access-control-allow-origin'), null);
}

const actId = (): string => newId(realClock().nowMs(), cryptoRandom());

async function acts(t: Test, { server, tokens }: Setting): Promise<void> {
  const alertId = await server.raiseAlert();
  const token = tokens.operator;
  const act_id = actId();
  const acknowledge = () =>
    ask(server.url, `/api/alerts/${alertId}/acknowledge`, {
      method: 'PUT',
      token,
      body: { act_id, note: ' fan was blocked ' },
    });
  const first = await acknowledge();
  const again = await acknowledge();
  for (const answer of [first, again]) {
    t.equal(answer.status, 200, answer.text);
    t.equal(answer.json.acknowledged, true);
    t.equal(answer.json.status, 'active', 'acknowledged is not resolved');
    t.equal(answer.json.notes.length, 1, 'one note');
    t.equal(answer.json.notes[0].text, 'fan was blocked');
    t.equal(answer.json.timeline.filter((entry: { kind: string }) => entry.kind === 'acknowledged').length, 1);
  }
  t.ok(first.json.acknowledged_by.name, 'it says who');
  const noted = await ask(server.url, `/api/alerts/${alertId}/notes`, {
    method: 'POST',
    token,
    body: { note: '<script>alert(1)</script>' },
  });
  t.equal(noted.json.notes[1].text, '<script>alert(1)</script>', 'a note is kept as written');
  const other = await ask(server.url, `/api/alerts/${alertId}/notes`, {
    method: 'POST',
    token,
    body: { act_id, note: 'another act under the same id' },
  });
  t.equal(other.status, 409, 'an act id stands for one act');
  const blank = await ask(server.url, `/api/alerts/${alertId}/notes`, { method: 'POST', token, body: { note: '  ' } });
  t.equal(blank.status, 400);
  const seen = await ask(server.url, `/api/alerts/${server.gridId}/${alertId}`, { token: tokens.viewer });
  t.equal(seen.json.notes.length, 2, 'a viewer sees both notes');
}

async function pages(t: Test, { server, tokens }: Setting): Promise<void> {
  const token = tokens.viewer;
  await server.raiseAlert();
  const list = (query: string) => ask(server.url, `/api/alerts/${server.gridId}${query}`, { token });
  const all = await list('?limit=200');
  const ids = all.json.alerts.map((alert: { alert_id: string }) => alert.alert_id);
  t.ok(ids.length >= 2, 'there are alerts');
  t.equal(new Set(ids).size, ids.length, 'none twice');
  const walked: string[] = [];
  let cursor: string | null = '';
  while (cursor !== null && walked.length <= ids.length) {
    const page: TestAnswer = await list(`?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`);
    walked.push(...page.json.alerts.map((alert: { alert_id: string }) => alert.alert_id));
    cursor = page.json.next_cursor;
  }
  t.same(walked, ids, 'pages of one give the same list');
  const active = await list('?status=active&limit=200');
  t.ok(active.json.alerts.every((alert: { status: string }) => alert.status === 'active'));
  t.equal(active.json.open, active.json.alerts.length);
  const seen = await list('?acknowledged=true');
  t.ok(seen.json.alerts.every((alert: { acknowledged: boolean }) => alert.acknowledged));
  for (const query of [
    '?status=open',
    '?cursor=bm8',
    '?severity=loud',
    '?limit=0',
    '?limit=201',
    '?nothing=1',
    '?from=today',
  ])
    t.equal((await list(query)).status, 400, query);
}

interface Columns {
  readonly times_ms: readonly number[];
  readonly [column: string]: unknown;
}

async function history(t: Test, { server, tokens }: Setting): Promise<void> {
  const token = tokens.viewer;
  const get = (metric: string, query: string) =>
    ask(server.url, `/api/historical/${server.gridId}/${metric}${query}`, { token });
  for (const query of [
    '',
    '?period=1h',
    '?period=7d',
    '?period=30d',
    '?period=1h&granularity=1m',
    '?period=1y&granularity=1d',
  ]) {
    const answer = await get(server.figure, query);
    t.equal(answer.status, 200, `${query} ${answer.text.slice(0, 200)}`);
    const [series] = answer.json.series as Columns[];
    const times = series?.times_ms ?? [];
    for (const column of ['mean', 'min', 'max', 'last', 'count'])
      t.equal((series?.[column] as unknown[]).length, times.length, `${query} ${column}`);
    t.ok(
      times.every((time, at) => at === 0 || time > (times[at - 1] as number)),
      `${query} is in order`,
    );
    t.ok(
      times.every((time) => time >= answer.json.from_ms && time < answer.json.to_ms + 1),
      `${query} lies in the range`,
    );
  }
  const last = await get(server.figure, '?period=1h&granularity=raw');
  t.ok(last.json.series[0].times_ms.length > 0, 'what was fed is there');
  t.equal((await get('no_such_metric', '')).json.code, 'E_METRIC_UNKNOWN');
  t.equal((await get(server.figure, '?device=no-such-device')).json.code, 'E_DEVICE_NOT_FOUND');
  const bad = [
    '?period=3h',
    '?from=2026-01-02&to=2026-01-01',
    '?from=yesterday',
    '?period=1h&from=0',
    '?granularity=2m',
    '?from=0&granularity=raw',
  ];
  for (const query of bad) t.equal((await get(server.figure, query)).status, 400, query);
}

async function live(t: Test, { server, tokens }: Setting): Promise<void> {
  for (const tokenIn of ['message', 'header'] as const) {
    const probe = await openLive(server.url, server.gridId, { token: tokens.viewer, tokenIn });
    const snapshot = await probe.next('snapshot');
    const summary = routes.find(({ id }) => id === 'summary') as Route;
    t.equal(errorsOf(summary.response, snapshot.summary), '', 'the summary in it is the summary');
    t.ok(snapshot.devices.length > 0);
    const value = server.values[tokenIn === 'message' ? 1 : 0];
    await server.feed(value);
    const frame = await probe.next('values', ({ figures }) => figures[server.figure]?.value === value);
    t.ok(frame.sequence > snapshot.sequence);
    const alertId = await server.raiseAlert();
    const raised = await probe.next('alert', ({ alert }) => alert.alert_id === alertId);
    t.equal(raised.alert.status, 'active');
    await ask(server.url, `/api/alerts/${alertId}/acknowledge`, { method: 'PUT', token: tokens.operator, body: {} });
    await probe.next('alert', ({ alert }) => alert.alert_id === alertId && alert.acknowledged);
    const numbers = probe.frames.flatMap((one) => ('sequence' in one ? [one.sequence] : []));
    t.same(
      numbers,
      numbers.map((_, at) => at + 1),
      'the sequence rises by one',
    );
    probe.close();
    await probe.closed;
  }
}

async function liveRefusals(t: Test, { server, tokens }: Setting): Promise<void> {
  const cases: readonly [string, string | undefined, string, number][] = [
    ['a forged token', tokens.forger, server.gridId, 4401],
    ['another grid’s person', tokens.foreign, server.gridId, 4404],
    ['an unknown grid', tokens.admin, 'nowhere', 4404],
  ];
  for (const [name, token, gridId, code] of cases) {
    const probe = await openLive(server.url, gridId, { token });
    t.equal(await probe.closed, code, name);
    t.same(
      probe.frames.map((frame) => frame.type),
      ['error'],
      `${name}: an error and nothing else`,
    );
  }
  const silent = await openLive(server.url, server.gridId);
  silent.send({ type: 'hello' });
  t.equal(await silent.closed, 4401, 'a first message without token');
  const headerCases: readonly [string, Parameters<typeof openLive>[2], number][] = [
    ['a forged token in the header', { token: tokens.forger, tokenIn: 'header' }, 401],
    ['another grid’s person by header', { token: tokens.foreign, tokenIn: 'header' }, 404],
    ['a page of another origin', { token: tokens.viewer, origin: 'https://elsewhere.example' }, 403],
  ];
  for (const [name, options, status] of headerCases)
    await t.rejects(openLive(server.url, server.gridId, options), new RegExp(`refused with ${status}`), name);
  const own = await openLive(server.url, server.gridId, { token: tokens.viewer, origin: new URL(server.url).origin });
  await own.next('snapshot');
  own.close();
}
