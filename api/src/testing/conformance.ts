/** What every server of this API promises, run against gateway, cloud and the ports in memory, over real sockets. */
import type { Test } from 'tap';
import { ask, logIn } from './client.js';
import { accessMatrix, problems } from './conformance-access.js';
import { acts, history, live, liveRefusals, pages } from './conformance-cases.js';
import { ruleTests } from './conformance-rules.js';
import { people } from './conformance-people-cases.js';
import type { ConformanceServer, Setting, Who } from './conformance-setting.js';

/** Runs all promises; `makeServer` is called once. */
export async function apiConformanceSuite(t: Test, makeServer: () => Promise<ConformanceServer>): Promise<void> {
  // Every route for everybody, with real password hashes, on a busy machine.
  t.setTimeout(300_000);
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
  await t.test('nobody gets further than the route table says', { timeout: 120_000 }, (t) => accessMatrix(t, setting));
  await t.test('errors are problem documents', (t) => problems(t, setting));
  await t.test('a person acknowledges and notes; the same act twice has effect once', (t) => acts(t, setting));
  await t.test('alerts are filtered and paged', (t) => pages(t, setting));
  await t.test('history comes in columns of one length, in order of time', (t) => history(t, setting));
  await t.test('a rule is tried on the past, with other limits beside it', (t) => ruleTests(t, setting));
  await t.test('an administrator adds, changes, shuts out; nobody goes beyond their own rights', (t) =>
    people(t, setting),
  );
  await t.test('the live channel gives a snapshot, then what changes', (t) => live(t, setting));
  await t.test('the live channel is closed to who may not read', (t) => liveRefusals(t, setting));
}
