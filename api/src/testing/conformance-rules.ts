/** Conformance: rules, and trying them on the past. */
import { routes, type Route } from '@villagrid/contracts';
import { realClock } from '@villagrid/runtime';
import type { Test } from 'tap';
import { ask, type TestAnswer } from './client.js';
import { errorsOf, type Setting } from './conformance-setting.js';

const route = (id: string): Route => routes.find((one) => one.id === id) as Route;

/** Rules in plain words, and tests of them. */
export async function ruleTests(t: Test, { server, tokens }: Setting): Promise<void> {
  const path = `/api/rules/${server.gridId}/tests`;
  const token = tokens.operator;
  const begin = (body: unknown) => ask(server.url, path, { method: 'POST', token, body });
  const done = async (begun: TestAnswer): Promise<TestAnswer> => {
    for (;;) {
      const answer = await ask(server.url, `${path}/${begun.json.test_id}`, { token });
      if (!['waiting', 'running'].includes(answer.json.state)) return answer;
      await realClock().sleep(20);
    }
  };
  const listed = await ask(server.url, `/api/rules/${server.gridId}`, { token: tokens.viewer });
  const silent = listed.json.rules.find((one: { rule_id: string }) => one.rule_id === 'device_silent');
  t.match(silent, {
    description: 'nothing heard for 10 min',
    testable: true,
    limits: [{ value: 600_000, unit: 'ms' }],
  });
  const disk = listed.json.rules.find((one: { rule_id: string }) => one.rule_id === 'disk_filling');
  t.equal(disk.testable, false, 'no history keeps how full the disk is');

  const [low] = [...server.values].sort((a, b) => a - b) as [number, number];
  const rule = {
    kind: 'threshold',
    selector: { scope: 'figure', metric: server.figure },
    parameters: { above: low - 1, on_delay_ms: 0 },
  };
  const tried = await done(await begin({ rule, variants: [{}, { set: { 'parameters.above': 1e6 } }], days: 1 }));
  t.equal(tried.json.state, 'done', tried.text.slice(0, 300));
  t.equal(errorsOf(route('ruleTest').response, tried.json), '', 'the document is as the contract says');
  const [asIs, higher] = tried.json.result.variants;
  t.ok(asIs.count >= 1, asIs.sentence);
  t.equal(higher.count, 0);
  t.match(higher.comparison, /instead of|as often/);
  t.same(
    tried.json.result.granularities.map((one: { granularity: string }) => one.granularity),
    ['raw'],
  );
  t.equal(tried.json.result.live, null, 'a rule that does not run has nothing to be held against');
  const known = await done(await begin({ rule_id: 'device_silent', days: 0.5 }));
  t.equal(known.json.state, 'done', known.text.slice(0, 300));
  t.ok(known.json.result.live, 'what a rule of the grid really raised stands beside');

  const refusals: readonly [unknown, number, string][] = [
    [{ rule_id: 'no_such_rule' }, 404, 'E_RULE_NOT_FOUND'],
    [{}, 400, 'E_REQUEST_INVALID'],
    [{ rule, rule_id: 'device_silent' }, 400, 'E_REQUEST_INVALID'],
    [{ rule: { ...rule, kind: 'magic' } }, 400, 'E_REQUEST_INVALID'],
    [{ rule, variants: [{ set: { severity: 'low' } }] }, 400, 'E_REQUEST_INVALID'],
    [{ rule: { ...rule, selector: { scope: 'figure', metric: 'not_wired_kw' } } }, 400, 'E_REQUEST_INVALID'],
    [{ rule_id: 'disk_filling' }, 400, 'E_REQUEST_INVALID'],
    [{ rule, days: 401 }, 400, 'E_REQUEST_INVALID'],
    [{ rule, from: '2020-01-01' }, 400, 'E_REQUEST_INVALID'],
    [{ rule, from: '2999-01-01' }, 400, 'E_REQUEST_INVALID'],
  ];
  for (const [body, status, code] of refusals) {
    const answer = await begin(body);
    t.same([answer.status, answer.json.code], [status, code], JSON.stringify(body).slice(0, 80));
  }
  const long = await begin({ rule, days: 400 });
  const ended = await ask(server.url, `${path}/${long.json.test_id}`, { method: 'DELETE', token });
  t.match(ended.json.state, /cancelled|done/);
}
