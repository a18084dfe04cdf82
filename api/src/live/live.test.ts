import type { LiveFrame } from '@villagrid/contracts';
import { cryptoRandom, realClock, silentLogger } from '@villagrid/runtime';
import { testClock, type TestClock } from '@villagrid/runtime/testing';
import t, { type Test } from 'tap';
import { GridBoard } from '../board.js';
import { createApiServer } from '../index.js';
import { LiveGrid, type FrameBody } from './live-grid.js';
import { ask, fakePorts, logIn, memoryPerson, memorySite, openLive } from '../testing/index.js';

const wall = realClock();
const random = cryptoRandom();

/** A server whose both clocks stand still until told. */
async function setting(t: Test) {
  const clock: TestClock = testClock();
  const people = [memoryPerson('viewer', 'viewer', 'amani'), memoryPerson('operator', 'operator', 'amani')];
  const ports = fakePorts({ clock, random, sites: [memorySite('amani')], people });
  const log = silentLogger();
  const server = createApiServer({
    ports,
    clock,
    realClock: clock,
    random,
    log,
    listen: [{ host: '127.0.0.1', port: 0 }],
  });
  const { addresses } = await server.start();
  t.teardown(() => server.stop());
  const url = addresses[0]?.url ?? '';
  const token = await logIn(url, { username: 'viewer', password: 'pass-viewer' });
  const grid = ports.grid('amani');
  grid.feed('inverter', { generation_kw: 1 });
  return { clock, ports, grid, url, token };
}

/** Lets sockets deliver what was sent. */
const settle = () => wall.sleep(60);

t.test('the first change is sent at once, further ones are gathered', async (t) => {
  const { clock, grid, url, token } = await setting(t);
  const probe = await openLive(url, 'amani', { token });
  await probe.next('snapshot');
  grid.feed('inverter', { generation_kw: 2 });
  const first = await probe.next('values');
  t.equal(first.figures.generation_kw?.value, 2);
  t.same(Object.keys(first.figures), ['generation_kw'], 'only what changed');
  for (let i = 3; i <= 50; i += 1) grid.feed('inverter', { generation_kw: i, 'equipment_temp_c.inverter': i });
  grid.feed('spare', { generation_kw: 99 });
  await settle();
  t.equal(probe.frames.filter(({ type }) => type === 'values').length, 1, 'nothing more at once');
  await clock.advance(1000);
  const second = await probe.next('values');
  t.equal(second.figures.generation_kw?.value, 50);
  t.equal(second.figures.equipment_temp_c?.value, 50, 'the hottest follows its component');
  t.equal(second.sequence, 3);
  await clock.advance(5000);
  await settle();
  t.equal(probe.frames.filter(({ type }) => type === 'values').length, 2, 'an unwired series changes no figure');
});

t.test('while a line cannot take what is sent, changes are gathered for a second', async (t) => {
  const { clock, ports, grid } = await setting(t);
  const board = new GridBoard({ grid, identity: ports.identity, clock, realClock: clock });
  const live = new LiveGrid({ board, realClock: clock, log: silentLogger() });
  const taken: FrameBody[] = [];
  const reader = { behind: false, take: (body: FrameBody) => void taken.push(body) };
  live.join(reader);
  t.teardown(() => (live.leave(reader), board.close()));
  const frames = async (advanceMs: number) => {
    await clock.advance(advanceMs);
    await settle();
    return taken.filter(({ type }) => type === 'values').length;
  };
  grid.feed('inverter', { generation_kw: 1 });
  t.equal(await frames(0), 1);
  grid.feed('inverter', { generation_kw: 2 });
  t.equal(await frames(10), 2, 'a moment later');
  reader.behind = true;
  grid.feed('inverter', { generation_kw: 3 });
  t.equal(await frames(900), 2);
  t.equal(await frames(100), 3);
});

t.test('what happens while the snapshot is made comes after it', async (t) => {
  const { grid, url, token } = await setting(t);
  const alerts = grid.alerts.bind(grid);
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  grid.alerts = async (query) => {
    const found = await alerts(query);
    await gate;
    return found;
  };
  const probe = await openLive(url, 'amani', { token });
  await settle();
  const alertId = grid.raise();
  await settle();
  t.same(probe.frames, [], 'nothing before the snapshot');
  release();
  await probe.next('alert', ({ alert }) => alert.alert_id === alertId);
  t.equal(probe.frames[0]?.type, 'snapshot');
});

t.test('ages count: a silent device and its figures are told without a new sample; a last will at once', async (t) => {
  const { clock, grid, url, token } = await setting(t);
  const probe = await openLive(url, 'amani', { token });
  const snapshot = await probe.next('snapshot');
  t.equal(snapshot.devices.find(({ device_id }) => device_id === 'inverter')?.link_state, 'connected');
  await clock.advance(24_000);
  const late = await probe.next('devices');
  t.match(late.devices, [{ device_id: 'inverter', link_state: 'late' }]);
  const values = await probe.next('values', ({ figures }) => figures.generation_kw?.freshness === 'late');
  t.equal(values.figures.generation_kw?.value, 1);
  grid.setLink('inverter', 'down');
  t.match((await probe.next('devices')).devices, [{ device_id: 'inverter', link_state: 'offline' }]);
  grid.feed('inverter', { generation_kw: 1 });
  await clock.advance(2000);
  t.match((await probe.next('devices')).devices, [{ device_id: 'inverter', link_state: 'connected' }]);
  grid.setSite({ ...grid.site(), name: 'New name' });
  t.equal((await probe.next('snapshot')).summary.name, 'New name', 'a changed site is told whole');
});

t.test('both sides ping; a dead line is closed', async (t) => {
  const { clock, url, token } = await setting(t);
  const probe = await openLive(url, 'amani', { token });
  await probe.next('snapshot');
  await clock.advance(20_000);
  await probe.next('ping');
  probe.send({ type: 'ping' });
  await probe.next('ping');
  // From now on this client answers nothing.
  (probe.socket as unknown as { _receiver: { removeAllListeners(event: string): void } })._receiver.removeAllListeners(
    'ping',
  );
  for (let beat = 0; beat < 4; beat += 1) {
    await clock.advance(20_000);
    await settle();
  }
  t.equal(await probe.closed, 1006);
});

t.test(
  'the channel ends with the login: logout at once, a disabled account or lost role within a minute',
  async (t) => {
    const { clock, ports, url, token } = await setting(t);
    const probe = await openLive(url, 'amani', { token });
    await probe.next('snapshot');
    await ask(url, '/api/auth/logout', { method: 'POST', token });
    t.equal(await probe.closed, 4401);
    const operator = await logIn(url, { username: 'operator', password: 'pass-operator' });
    const second = await openLive(url, 'amani', { token: operator });
    await second.next('snapshot');
    const principal = ports.auth.tokens.get(operator);
    ports.auth.tokens.set(operator, { ...(principal as NonNullable<typeof principal>), grants: [] });
    await clock.advance(61_000);
    t.equal((await second.next('error')).code, 'E_GRID_NOT_FOUND');
    t.equal(await second.closed, 4404);
  },
);

t.test(
  'who says nothing is closed after 5 s; a too large or broken message closes; the last reader ends the watching',
  async (t) => {
    const { clock, grid, url, token } = await setting(t);
    const silent = await openLive(url, 'amani');
    await clock.advance(5001);
    t.equal(await silent.closed, 4401);
    const large = await openLive(url, 'amani', { token });
    await large.next('snapshot');
    large.send('x'.repeat(20_000));
    t.equal(await large.closed, 1009);
    const broken = await openLive(url, 'amani', { token });
    await broken.next('snapshot');
    broken.socket.send('{"type":');
    t.equal(await broken.closed, 4400);
    await settle();
    t.equal(grid.subscribers, 1, 'only the board still listens');
    t.match((await ask(url, '/metrics')).text, 'villagrid_live_clients 0');
  },
);

t.test('a reader that does not read is dropped and does not slow the others', async (t) => {
  const { grid, url, token } = await setting(t);
  const slow = await openLive(url, 'amani', { token });
  const quick = await openLive(url, 'amani', { token });
  await Promise.all([slow.next('snapshot'), quick.next('snapshot')]);
  slow.socket.pause();
  // Each alert is sent at once, with a long note to fill the buffers.
  const alertId = grid.raise({ what: 'x'.repeat(200_000) });
  const untilMs = wall.monotonicMs() + 10_000;
  let dropped = false;
  let last = alertId;
  while (!dropped && wall.monotonicMs() < untilMs) {
    last = grid.raise({ what: 'x'.repeat(200_000) });
    await wall.sleep(5);
    dropped = (await ask(url, '/metrics')).text.includes('villagrid_live_dropped_total 1');
  }
  t.ok(dropped, 'it was dropped');
  await quick.next('alert', ({ alert }) => alert.alert_id === last);
  slow.socket.resume();
  t.equal(await slow.closed, 1006);
  t.equal(quick.socket.readyState, quick.socket.OPEN);
});

/** Frames of a stream of server-sent events, as they come. */
async function openEvents(url: string, token: string | undefined) {
  const stop = new AbortController();
  const response = await fetch(`${url}/api/live/amani`, {
    signal: stop.signal,
    headers: { accept: 'text/event-stream', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  return {
    response,
    stop: () => stop.abort(),
    /** The next frame; undefined when the stream ended. */
    async next(): Promise<LiveFrame | undefined> {
      for (;;) {
        const end = text.indexOf('\n\n');
        if (end >= 0) {
          const frame = JSON.parse(text.slice(0, end).replace(/^data: /, '')) as LiveFrame;
          text = text.slice(end + 2);
          return frame;
        }
        const chunk = await reader?.read();
        if (chunk?.value === undefined) return undefined;
        text += chunk.value;
      }
    },
  };
}

t.test('where no WebSocket opens the same frames come as server-sent events, for the same people', async (t) => {
  const { clock, grid, url, token } = await setting(t);
  const stranger = await openEvents(url, undefined);
  t.equal(stranger.response.status, 401);
  t.equal((await ask(url, '/api/live/amani', { token })).status, 400, 'who asks for neither gets an explanation');
  const events = await openEvents(url, token);
  t.match(events.response.headers.get('content-type'), /^text\/event-stream/);
  t.equal(events.response.headers.get('cache-control'), 'no-store');
  t.ok(events.response.headers.get('content-security-policy'));
  const snapshot = await events.next();
  t.match(snapshot, { type: 'snapshot', sequence: 1, summary: { grid_id: 'amani' } });
  grid.feed('inverter', { generation_kw: 2 });
  t.match(await events.next(), { type: 'values', sequence: 2, figures: { generation_kw: { value: 2 } } });
  const alertId = grid.raise();
  t.match(await events.next(), { type: 'alert', alert: { alert_id: alertId } });
  for (let beat = 0; beat < 4; beat += 1) {
    await clock.advance(20_000);
    let frame = await events.next();
    while (frame?.type !== 'ping') frame = await events.next();
    t.equal(frame.type, 'ping', 'who takes what is sent is alive');
  }
  await ask(url, '/api/auth/logout', { method: 'POST', token });
  let last = await events.next();
  while (last !== undefined && last.type !== 'error') last = await events.next();
  t.match(last, { type: 'error', code: 'E_LOGIN_REQUIRED' }, 'it ends with the login');
  t.equal(await events.next(), undefined);
});

t.test('who turns away from a stream of events is no reader any more', async (t) => {
  const { grid, url, token } = await setting(t);
  const events = await openEvents(url, token);
  await events.next();
  events.stop();
  const untilMs = wall.monotonicMs() + 20_000;
  const clients = async () => /villagrid_live_clients (\d+)/.exec((await ask(url, '/metrics')).text)?.[1];
  while ((await clients()) !== '0' && wall.monotonicMs() < untilMs) await wall.sleep(20);
  t.equal(await clients(), '0');
  t.equal(grid.subscribers, 1, 'only the board still listens');
});
