/** A phone away from its servers: the rules as pure functions, then the built app in a real Chromium. */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AlertView, History } from '@villagrid/contracts';
import t from 'tap';
import { build } from 'vite';
import { keptAlerts } from '../src/live/apply.js';
import { framesIn } from '../src/live/server-events.js';
import { told, type Act } from '../src/local/acts.js';
import { answerFrom, chunksFor, chunksOf, merged, toForget, type ChunkInfo } from '../src/local/chunks.js';
import type { SavedLogin } from '../src/local/database.js';
import { actRequest, actsToSend, afterSending, outcomeOf, retryDelayMs, unknownForMs } from '../src/local/deliver.js';
import { ApiFailure } from '../src/origin/api.js';
import { ended, loginAt, valid } from '../src/origin/roaming.js';
import { cacheNameOf, mayInstall, numberOf, standsForFile, toDelete, wayOf } from '../src/sw/rules.js';
import { openFront } from './front.js';
import { chromiumPath } from './run-app-checks.js';
import { runAwayChecks } from './run-away-checks.js';
import { startStub } from './stub/server.js';

t.setTimeout(240_000);
const dayMs = 86_400_000;
const noon = Date.UTC(2026, 5, 10, 12);
const act = (id: string, more: Partial<Act> = {}): Act => ({
  id,
  gridId: 'kisima',
  alertId: 'A1',
  type: 'acknowledge',
  note: null,
  occurredAtMs: noon,
  username: 'amina',
  displayName: 'Amina',
  tries: 0,
  state: 'waiting',
  refusal: null,
  ...more,
});

/** The next build: its page carries a mark, and a screen of the former one is no longer part of it. */
function newerBuild(dist: string): { readonly dist: string; readonly mark: string } {
  const next = mkdtempSync(join(tmpdir(), 'villagrid-newer-'));
  cpSync(dist, next, { recursive: true });
  const mark = 'name="next-build"';
  const page = join(next, 'index.html');
  writeFileSync(page, readFileSync(page, 'utf8').replace('<title>', `<meta ${mark} /><title>`));
  const gone = readdirSync(join(next, 'assets')).filter((file) => file.startsWith('devices-'));
  const worker = join(next, 'sw.js');
  let text = readFileSync(worker, 'utf8');
  for (const file of gone) {
    rmSync(join(next, 'assets', file));
    text = text.replace(new RegExp(`\\\\?"/assets/${file}\\\\?",`), '');
  }
  text = text.replace(/(number\\?":)(\d+)/, (_, name: string, number: string) => `${name}${Number(number) + 1}`);
  writeFileSync(worker, text.replace(/(build\\?":\\?")\w+/, '$1next'));
  return { dist: next, mark };
}

t.test('acts go oldest first, under the name of who did them, and a refusal does not hold up the others', async (t) => {
  const acts = [act('3'), act('1'), act('2', { username: 'juma' }), act('0', { state: 'refused' })];
  t.same(
    actsToSend(acts, 'amina').map(({ id }) => id),
    ['1', '3'],
  );
  const refused = afterSending(acts, '1', { kind: 'refused', reason: 'no' }, noon);
  t.match(refused[1], { state: 'refused', refusal: 'no', tries: 1 });
  t.same(
    actsToSend(refused, 'amina').map(({ id }) => id),
    ['3'],
  );
  t.equal(afterSending(acts, '1', { kind: 'taken', alert: {} as AlertView }, noon).length, 3);
  t.match(afterSending(acts, '1', { kind: 'unreachable' }, noon)[1], { state: 'waiting', tries: 1 });
});

t.test(
  'an alert that a server does not know yet keeps its acts waiting for a week, then they are told as refused',
  async (t) => {
    const unknown = outcomeOf(new ApiFailure('refused', 404, { detail: 'no such alert' }));
    t.match(unknown, { kind: 'unknown' });
    t.match(afterSending([act('1')], '1', unknown, noon + unknownForMs), [{ state: 'waiting' }]);
    t.match(afterSending([act('1')], '1', unknown, noon + unknownForMs + 1), [
      { state: 'refused', refusal: 'no such alert' },
    ]);
    for (const [error, kind] of [
      [new ApiFailure('refused', 403, { detail: 'role' }), 'refused'],
      [new ApiFailure('refused', 429), 'unreachable'],
      [new ApiFailure('server', 503), 'unreachable'],
      [new ApiFailure('unauthorised', 401), 'unauthorised'],
      [new Error('?'), 'unreachable'],
    ] as const)
      t.equal(outcomeOf(error).kind, kind);
  },
);

t.test('an act goes by its ordinary route with the id it was born with, each time the same', async (t) => {
  t.same(actRequest(act('1', { note: 'hot' })), {
    method: 'PUT',
    path: '/api/alerts/A1/acknowledge',
    body: { act_id: '1', occurred_at_ms: noon, note: 'hot' },
  });
  t.match(actRequest(act('1', { type: 'shelve', note: 'known', durationS: 3600 })), {
    path: '/api/alerts/A1/shelve',
    body: { act_id: '1', reason: 'known', duration_s: 3600 },
  });
  t.match(actRequest(act('1', { type: 'assign', assignee: 'Juma', replaces: ['x'] })).body, {
    assignee: { name: 'Juma' },
    replaces: ['x'],
  });
  t.ok(retryDelayMs(0, () => 1) <= 2000);
  t.ok(retryDelayMs(50, () => 1) <= 30_000, 'never more than half a minute');
  t.ok(retryDelayMs(50, () => 0) >= 1000);
});

t.test('an act that stands in a timeline is done, whoever carried it there', async (t) => {
  const alert = { timeline: [{ event_id: '2' }, { event_id: 'raised' }] } as AlertView;
  t.same([...told([act('1'), act('2')], [alert])], ['2']);
});

t.test('each server has its own login; without one the person stays known, and no token goes elsewhere', async (t) => {
  const gateway: SavedLogin = {
    server_id: 'gw',
    token: 'g',
    username: 'amina',
    displayName: 'Amina',
    role: 'operator',
  };
  const cloud = { ...gateway, server_id: 'cloud', token: 'c' };
  t.equal(loginAt('cloud', gateway, new Map([['cloud', cloud]])), cloud);
  const stranger = loginAt('cloud', gateway, new Map([['gw', gateway]]));
  t.match(stranger, { server_id: 'cloud', token: '', username: 'amina' });
  t.notOk(valid(stranger));
  t.equal(loginAt('gw', null, new Map()), null);
  t.notOk(valid(ended(gateway)));
});

t.test(
  'past alerts stay for 90 days; what a server no longer lists goes, what another server knew stays',
  async (t) => {
    const alert = (alert_id: string, status: string, ageDays = 1) =>
      ({ alert_id, status, raised_at_ms: noon - ageDays * dayMs, timeline: [] }) as unknown as AlertView;
    const before = [alert('open', 'active', 200), alert('past', 'resolved', 89), alert('old', 'resolved', 91)];
    const ids = (whole: boolean, sameServer: boolean) =>
      keptAlerts([alert('new', 'active')], before, before, { whole, sameServer, nowMs: noon })
        .map(({ alert_id }) => alert_id)
        .sort();
    t.same(ids(false, true), ['new', 'past'], 'beyond the page');
    t.same(ids(true, true), ['new'], 'the list was whole');
    t.same(ids(true, false), ['new', 'open', 'past']);
  },
);

const history = (fromMs: number, toMs: number, stepMs: number, metric = 'consumption_kw'): History => {
  const times = Array.from({ length: Math.ceil((toMs - fromMs) / stepMs) }, (_, i) => fromMs + i * stepMs);
  const values = times.map((time) => (time % (stepMs * 7) === 0 ? null : (time / stepMs) % 50));
  const counts = times.map(() => 1);
  const series = { metric, unit: 'kW', times_ms: times, mean: values, min: values, max: values, last: values };
  return {
    grid_id: 'kisima',
    from_ms: fromMs,
    to_ms: toMs,
    zone: 'Africa/Nairobi',
    granularity: '1m',
    step_ms: stepMs,
    metric,
    series: [{ ...series, count: counts, expected: null, gaps: [], completeness_pct: 100 }],
  };
};

t.test('history that was seen is drawn again without a server: closed windows, holes as holes', async (t) => {
  const step = 300_000;
  const answer = history(noon - dayMs, noon + 100_000, step);
  const parts = chunksOf(answer, noon);
  t.equal(parts.length, 2, 'a chunk for each UTC day');
  const again = answerFrom(parts, { fromMs: noon - dayMs, toMs: noon });
  t.same(again?.series[0]?.times_ms, answer.series[0]?.times_ms.slice(0, -1), 'the window that is filling is not kept');
  t.same(again?.series[0]?.mean, answer.series[0]?.mean.slice(0, -1));
  const half = answerFrom(parts, { fromMs: noon - 2 * dayMs, toMs: noon });
  t.ok((half?.series[0]?.completeness_pct ?? 100) < 50, 'it tells how much of the period is here');
  t.equal(answerFrom(parts, { fromMs: noon - 9 * dayMs, toMs: noon - 8 * dayMs }), undefined);
  t.same(chunksOf({ ...answer, step_ms: null }, noon), [], 'raw samples are not kept');
});

t.test('newer windows replace those they overlap, also when the raster moved', async (t) => {
  const hour = 3_600_000;
  const [first] = chunksOf(history(noon, noon + 5 * hour, hour), noon);
  const [next] = chunksOf(history(noon + 2.5 * hour, noon + 4.5 * hour, hour), noon);
  if (first === undefined || next === undefined) return t.fail('no chunks');
  const both = merged(first.chunk, { ...next.chunk, key: first.chunk.key }, hour);
  t.same(
    [...both.times].map((time) => (time - noon) / hour),
    [0, 1, 2.5, 3.5],
  );
});

t.test('of several widths the one that covers most of a period is drawn', async (t) => {
  const info = (stepMs: number, startMs: number, windows: number): ChunkInfo => ({
    key: `${stepMs}|${startMs}`,
    gridId: 'kisima',
    metric: 'consumption_kw',
    unit: 'kW',
    zone: 'UTC',
    stepMs,
    startMs,
    bytes: 300 + windows * 20,
    usedAtMs: noon,
  });
  const today = noon - dayMs / 2;
  const infos = [info(300_000, today, 144), info(1_800_000, today - dayMs, 48), info(1_800_000, today, 24)];
  const steps = (fromMs: number) =>
    chunksFor(infos, { gridId: 'kisima', metrics: ['generation_kw', 'consumption_kw'], fromMs, toMs: noon }).map(
      ({ stepMs }) => stepMs,
    );
  t.same(steps(noon - dayMs), [1_800_000, 1_800_000]);
  t.same(steps(today), [300_000], 'the finer of two');
  t.same(chunksFor(infos, { gridId: 'other', metrics: ['consumption_kw'], fromMs: 0, toMs: noon }), []);
});

t.test(
  'the budget: what is too old goes; then the finest of a grid beyond its share; then grids nobody looks at',
  async (t) => {
    const info = (gridId: string, stepMs: number, ageDays: number, bytes: number, usedAtMs = noon): ChunkInfo => ({
      key: [gridId, stepMs, ageDays].join('|'),
      gridId,
      metric: 'm',
      unit: '',
      zone: 'UTC',
      stepMs,
      startMs: noon - ageDays * dayMs,
      bytes,
      usedAtMs,
    });
    const minute = 60_000;
    t.same(toForget([info('a', minute, 9, 1), info('a', minute, 7, 1), info('a', 3_600_000, 200, 1)], noon), [
      `a|${minute}|9`,
    ]);
    t.same(toForget([info('a', minute, 2, 3_000_000), info('a', 30 * minute, 3, 3_000_000)], noon), [`a|${minute}|2`]);
    const many = Array.from({ length: 11 }, (_, i) => info(`g${i}`, 30 * minute, 3, 4_900_000, noon + ((i + 5) % 11)));
    t.same(toForget(many, noon), [`g6|${30 * minute}|3`], 'of the grid that was looked at longest ago');
    t.equal(toForget(many, noon, 0).length, 11);
  },
);

t.test('events are read frame by frame, whatever pieces they come in', async (t) => {
  const ping = (now_ms: number) => `data: ${JSON.stringify({ type: 'ping', now_ms })}`;
  const whole = framesIn(`: hello\n\n${ping(1)}\n\nevent: x\n${ping(2)}\n\ndata: {broken\n\n${ping(3)}`);
  t.same(
    whole.frames.map((frame) => 'now_ms' in frame && frame.now_ms),
    [1, 2],
  );
  t.equal(framesIn(`${whole.rest}\n\n`).frames.length, 1, 'what is not whole yet waits for its end');
});

t.test(
  'the worker answers for the shell alone; servers, logins and other origins are never its business',
  async (t) => {
    const origin = 'https://kisima.example';
    const way = (address: string, mode = 'cors', method = 'GET') =>
      wayOf({ method, mode, url: new URL(address, origin), origin });
    for (const address of ['/api/grids', '/api', '/health', '/.well-known/villagrid', '/metrics', '/plain', '/sw.js'])
      t.equal(way(address), 'network', address);
    t.equal(way('/plain', 'navigate'), 'network');
    t.equal(way('/', 'navigate'), 'page');
    t.equal(way('/index.html?from=icon', 'navigate'), 'page');
    t.equal(way('/somewhere', 'navigate'), 'network', 'a page of the server');
    t.equal(way('/assets/core-1234.js'), 'file');
    t.equal(way('/apiary.js'), 'file');
    t.equal(way('/assets/core-1234.js', 'cors', 'POST'), 'network');
    t.equal(way('https://elsewhere.example/assets/core.js'), 'network');
    t.notOk(standsForFile('/assets/core.js', 'text/html; charset=utf-8'), 'the page of a Wi-Fi that wants a login');
    t.ok(standsForFile('/assets/core.js', 'text/javascript'));
  },
);

t.test(
  'a phone takes only newer builds, keeps the one before, and never flips between those of two servers',
  async (t) => {
    const shell = (number: number) => ({ build: `b${number}`, number, files: [] });
    const names = [5, 7].map((number) => cacheNameOf(shell(number)));
    t.notOk(mayInstall(shell(6), names, true), 'older than the newest here');
    t.notOk(mayInstall({ ...shell(7), build: 'other' }, names, true), 'not newer');
    t.ok(mayInstall(shell(7), names, true), 'the same again, after an interrupted try');
    t.ok(mayInstall(shell(8), names, true));
    t.ok(mayInstall(shell(1), names, false), 'better than nothing');
    t.same(toDelete(shell(8), [...names, cacheNameOf(shell(8)), 'something else']), [names[0]]);
    t.same(
      toDelete(shell(8), ['villagrid-shell-0a1b2c', cacheNameOf(shell(8))]),
      [],
      'one of before numbers is the one before',
    );
    t.equal(numberOf('villagrid-shell-0a1b2c3d4e5f'), 0);
    t.equal(numberOf('something else'), undefined);
  },
);

t.test(
  'away from its servers the app opens, keeps what is done, sends it once, and follows whoever answers',
  { timeout: 180_000, skip: existsSync(chromiumPath) ? false : `no ${chromiumPath} on this machine` },
  async (t) => {
    const dist = mkdtempSync(join(tmpdir(), 'villagrid-away-'));
    const room = new URL('..', import.meta.url).pathname;
    await build({
      root: room,
      configFile: join(room, 'vite.config.ts'),
      logLevel: 'error',
      build: { outDir: dist, emptyOutDir: true },
    });
    const nowMs = () => Date.now();
    const every = (ms: number, run: () => void) => {
      const timer = setInterval(run, ms);
      return { cancel: () => clearInterval(timer) };
    };
    const gateway = await startStub({ dist, scenario: 'alert', nowMs, every });
    const newer = newerBuild(dist);
    const cloud = await startStub({ dist: newer.dist, scenario: 'alert', nowMs, every, beside: gateway });
    const front = await openFront();
    t.teardown(async () => {
      await Promise.all([front.stop(), gateway.stop(), cloud.stop()]);
      for (const folder of [dist, newer.dist]) rmSync(folder, { recursive: true, force: true });
    });
    await runAwayChecks({ front, gateway, cloud, mark: newer.mark, screensDirectory: process.env.SCREENS });
    t.pass('everything as promised');
  },
);
