/** Conformance: who gets in, and how refusals look. */
import { problemSchema, roleIncludes, roles, routes, type Role, type Route } from '@villagrid/contracts';
import type { Test } from 'tap';
import { ask, logIn, type TestAnswer } from './client.js';
import { errorsOf, type Setting, type Who } from './conformance-setting.js';

/** A request that is valid in itself, for each route. */
function sample(route: Route, { server, alertId }: Setting): { readonly path: string; readonly body?: unknown } {
  const path = route.path
    .replace('{grid_id}', server.gridId)
    .replace('{alert_id}', alertId)
    .replace('{device_id}', 'no-device')
    .replace('{maintenance_id}', 'none')
    .replace('{test_id}', 'no-such-test')
    .replace('{user_id}', 'nobody')
    .replace('{metric}', server.figure)
    .replace('{name}', 'limits');
  if (route.id === 'command') return { path, body: { grid_id: server.gridId, command: 'nothing', value: 0 } };
  if (route.id === 'login' || route.id === 'legacyLogin') return { path, body: { ...server.people.viewer } };
  if (route.id === 'putDesired') return { path, body: { based_on: 0, body: {} } };
  if (route.id === 'acknowledge' || route.id === 'unshelve') return { path, body: {} };
  if (route.id === 'endMaintenance') return { path, body: {} };
  // Far ahead, so that alerts of other tests still speak.
  if (route.id === 'planMaintenance') return { path, body: { reason: 'new fan', from_ms: 4e12, duration_s: 60 } };
  if (route.id === 'assign') return { path, body: { assignee: 'me' } };
  if (route.id === 'shelve') return { path, body: { reason: 'waiting for a part', duration_s: 3600 } };
  if (route.id === 'notifyTest') return { path, body: { channel: 'relay' } };
  if (route.id === 'choosePassword') return { path, body: { present: 'not the present one', password: 'a new one' } };
  // Beyond anybody of this suite.
  if (route.id === 'addUser') {
    const grants = [{ role: 'viewer', scope: { kind: 'everything' } }];
    return { path, body: { username: 'somebody', display_name: 'Somebody', grants } };
  }
  if (route.id === 'changeUser') return { path, body: { disabled: true } };
  if (route.id === 'offerClock') return { path, body: { phone_time_ms: 0 } };
  if (route.id === 'ruleTest') return { path, body: { rule_id: 'device_silent', days: 0.01 } };
  if (route.id === 'export') return { path: `${path}?metric=${server.figure}` };
  if (route.body !== undefined) return { path, body: { note: 'a note of the conformance suite' } };
  return { path };
}

function expectedStatus(route: Route, who: Who, { ownGrid }: Setting): number {
  const { access } = route;
  if (access.kind === 'public') return 200;
  if (who === 'nobody' || who === 'forger') return 401;
  if (route.id === 'choosePassword') return 403;
  if (access.kind === 'authenticated') return 200;
  if (access.kind === 'anywhere') {
    if (who !== 'foreign' && !roleIncludes(who, access.role)) return 403;
    return route.id === 'users' ? 200 : route.id === 'addUser' ? 403 : 404;
  }
  if (who === 'foreign' || (access.grid === 'own' && !ownGrid)) return 404;
  if (!roleIncludes(who, access.role)) return 403;
  if (route.id === 'endMaintenance') return 404;
  // No test has this id.
  if (route.id === 'ruleTestState' || route.id === 'cancelRuleTest') return 404;
  // Nobody switched commands on.
  if (route.id === 'command') return 409;
  // No way of telling people is set up.
  if (route.id === 'notifyTest') return 400;
  // A plain request to a WebSocket is understood and refused.
  return route.websocket === true ? 400 : 200;
}

/** Every route for everybody. */
export async function accessMatrix(t: Test, setting: Setting): Promise<void> {
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

/** Refusals and their form; headers. */
export async function problems(t: Test, { server, tokens }: Setting): Promise<void> {
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
  t.match(
    headers.get('content-security-policy'),
    /connect-src [^;]*http:\/\/10\.77\.0\.1:8080/,
    'the gateway by its address',
  );
  t.equal(headers.get('access-control-allow-origin'), null);
  const discovery = (await ask(server.url, '/.well-known/villagrid')).headers;
  t.equal(discovery.get('access-control-allow-origin'), '*', 'who answers here may be read from another address');
  t.equal(headers.get('strict-transport-security'), null, 'plain HTTP in the village must go on working');
  t.equal(headers.get('x-content-type-options'), 'nosniff');
  t.equal(headers.get('access-control-allow-origin'), null);
}
