/** Conformance: people are administered within one's own rights, and everything that was done is told. */
import { routes, type Route } from '@villagrid/contracts';
import type { Test } from 'tap';
import { ask } from './client.js';
import { errorsOf, type Setting } from './conformance-setting.js';

/** Adding, changing, shutting out; who may not; the audit. */
export async function people(t: Test, { server, tokens, alertId }: Setting): Promise<void> {
  const token = tokens.admin;
  const call = (method: string, path: string, body?: unknown, as = token) =>
    ask(server.url, path, { method, token: as, body });
  const own = { kind: 'grid', grid_id: server.gridId };
  const grants = [{ role: 'operator', scope: own }];
  const listed = await call('GET', '/api/users');
  const self = listed.json.users.find((one: { self: boolean }) => one.self);
  t.equal(self.may_change, false);
  t.notOk(
    listed.json.users.some((one: { username: string }) => one.username === 'foreign'),
    'another grid’s people are not seen',
  );
  t.notMatch(listed.text, /scrypt|hash|token/i, 'no secret in the list');
  for (const body of [{ disabled: true }, { grants: [{ role: 'viewer', scope: own }] }])
    t.equal((await call('PUT', `/api/users/${self.user_id}`, body)).json.code, 'E_CONFLICT', 'nobody changes oneself');
  t.equal((await call('POST', `/api/users/${self.user_id}/one-time-word`)).json.code, 'E_CONFLICT');

  const fresh = { username: 'newcomer', display_name: 'Newcomer', grants };
  const beyond = [
    { role: 'viewer', scope: { kind: 'everything' } },
    { role: 'viewer', scope: { kind: 'grid', grid_id: 'elsewhere' } },
  ];
  for (const one of beyond)
    t.equal((await call('POST', '/api/users', { ...fresh, grants: [...grants, one] })).status, 403, 'beyond one’s own');
  t.equal((await call('POST', '/api/users', { ...fresh, grants: [] })).status, 400, 'without a role');
  t.equal((await call('POST', '/api/users', fresh, tokens.installer)).status, 403);
  const added = await call('POST', '/api/users', fresh);
  t.equal(added.status, 200, added.text);
  t.match(added.json.one_time_word, /^[a-z2-9]{5}(-[a-z2-9]{5}){2}$/);
  const { user_id } = added.json.user;
  t.equal((await call('POST', '/api/users', fresh)).json.code, 'E_CONFLICT', 'the name is taken');
  t.equal((await call('PUT', `/api/users/${user_id}`, { disabled: true }, tokens.foreign)).status, 404, 'not theirs');
  t.equal((await call('PUT', `/api/users/${user_id}`, { disabled: true }, tokens.viewer)).status, 403);

  const names = await call('GET', `/api/people/${server.gridId}`, undefined, tokens.operator);
  t.ok(names.json.people.some((one: { user_id: string }) => one.user_id === user_id));
  t.notOk(
    names.json.people.some((one: { name: string }) => /viewer/.test(one.name)),
    'who may only look is given nothing',
  );
  t.same(Object.keys(names.json.people[0]).sort(), ['name', 'user_id'], 'names only');
  const raised = await call('PUT', `/api/users/${user_id}`, { grants: [{ role: 'admin', scope: own }] });
  t.equal(raised.json.role, 'admin');
  t.equal((await call('PUT', `/api/users/${user_id}`, { disabled: true })).json.disabled, true);
  const after = await call('GET', `/api/people/${server.gridId}`, undefined, tokens.operator);
  t.notOk(after.json.people.some((one: { user_id: string }) => one.user_id === user_id));

  const audit = (query = '', as = token) => call('GET', `/api/audit/${server.gridId}${query}`, undefined, as);
  const done = await audit();
  t.equal(errorsOf((routes.find(({ id }) => id === 'audit') as Route).response, done.json), '');
  const of = done.json.entries.filter(({ about }: { about: string }) => about === 'Newcomer');
  t.same(
    of.map(({ kind }: { kind: string }) => kind),
    ['account_disabled', 'grants_changed', 'account_added'],
  );
  t.ok(done.json.entries.some((one: { alert_id: string | null }) => one.alert_id === alertId));
  const found = await audit('?search=newcomer%20added');
  t.same([found.json.entries.length, found.json.entries[0]?.actor.user_id], [1, self.user_id]);
  t.ok((await audit('?area=alerts')).json.entries.every((one: { area: string }) => one.area === 'alerts'));
  const file = await audit('?area=people&format=csv');
  t.match(file.headers.get('content-disposition'), /villagrid_audit_.*\.csv/);
  t.match(file.text.split('\r\n')[1], /account_disabled,Newcomer/);
  t.equal((await audit('?area=secrets')).status, 400);
  t.equal((await audit('', tokens.installer)).status, 403);
}
