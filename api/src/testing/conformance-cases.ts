/** Conformance: what the answers hold. */
import { newId, routes, type Route } from '@villagrid/contracts';
import { cryptoRandom, realClock } from '@villagrid/runtime';
import type { Test } from 'tap';
import { ask, openLive, type TestAnswer } from './client.js';
import { errorsOf, type Setting } from './conformance-setting.js';

const actId = (): string => newId(realClock().nowMs(), cryptoRandom());

/** Acts of people. */
export async function acts(t: Test, { server, tokens }: Setting): Promise<void> {
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
  await taken(t, alertId, server.url, token);
}

/** Who takes care of an alert, and its pause. */
async function taken(t: Test, alertId: string, url: string, token: string | undefined): Promise<void> {
  const post = (what: string, body: unknown) =>
    ask(url, `/api/alerts/${alertId}/${what}`, { method: 'POST', token, body });
  const mine = await post('assign', { assignee: 'me' });
  t.equal(mine.json.assignee.name, mine.json.timeline.at(-1).actor.name, 'taken by who asks');
  const [first] = mine.json.timeline.filter((entry: { kind: string }) => entry.kind === 'assigned');
  // By a phone whose clock is a year behind, but that knew of the first: it is the later word.
  const given = await post('assign', {
    assignee: { name: ' Esi ' },
    occurred_at_ms: 1,
    replaces: [first.event_id],
  });
  t.equal(given.json.assignee.name, 'Esi');
  t.equal((await post('assign', { assignee: null })).json.assignee, null, 'given back');
  t.equal((await post('assign', { assignee: { name: '  ' } })).status, 400);

  const act_id = actId();
  const pause = { act_id, reason: 'waiting for a part', duration_s: 3600 };
  for (const answer of [await post('shelve', pause), await post('shelve', pause)]) {
    t.equal(answer.json.shelved_reason, 'waiting for a part');
    t.equal(answer.json.timeline.filter((entry: { kind: string }) => entry.kind === 'shelved').length, 1);
    t.equal(answer.json.status, 'active', 'a paused alert is still one');
  }
  t.equal((await post('shelve', { reason: 'for ever', duration_s: 86_401 })).status, 400, 'never longer than a day');
  t.equal((await post('shelve', { reason: ' ', duration_s: 60 })).status, 400, 'not without a reason');
  await post('shelve', { reason: 'another one', duration_s: 7200 });
  const end = actId();
  for (const answer of [await post('unshelve', { act_id: end }), await post('unshelve', { act_id: end })])
    t.equal(answer.json.shelved_until_ms, null, 'every pause is ended');
}

/** Lists of alerts. */
export async function pages(t: Test, { server, tokens }: Setting): Promise<void> {
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

/** History. */
export async function history(t: Test, { server, tokens }: Setting): Promise<void> {
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
      t.equal((series?.[column] as unknown[] | undefined)?.length, times.length, `${query} ${column}`);
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
  t.match(
    (await get(server.figure, '?period=3h')).json.detail,
    /period must be one of .*24h.*1y/,
    'what may be chosen',
  );
  t.match((await get(server.figure, '?perod=24h')).json.detail, /perod is no field/);
}

/** The live channel. */
export async function live(t: Test, { server, tokens }: Setting): Promise<void> {
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

/** Who the live channel refuses. */
export async function liveRefusals(t: Test, { server, tokens }: Setting): Promise<void> {
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
