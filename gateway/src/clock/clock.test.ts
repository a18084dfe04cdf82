import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { ask, logIn } from '@villagrid/api/testing';
import { freshness, qualityCodes, topics, type Alert, type ClockTrust, type Sample } from '@villagrid/contracts';
import { createAccounts, cryptoRandom, openDatabase, realClock, seededRandom, silentLogger } from '@villagrid/runtime';
import { testClock, type TestClock } from '@villagrid/runtime/testing';
import { openLog } from '../log/log.js';
import { connectTo, gatewayFolder, gridId, startHouse, type House } from '../testing/house.js';
import { boundBoots } from './bounds.js';
import { buildDateMs } from './build-date.js';
import { createClockKeeper, createVillageClock, type ClockChange } from './keeper.js';
import { chronySynchronised, type TimeSources } from './sources.js';

const minute = 60_000;
const hour = 3_600_000;
const day = 86_400_000;
const year = 365 * day;
const devices = [
  ['meter-1', 'consumption_kw'],
  ['battery-1', 'battery_soc_pct'],
  ['cabinet-1', 'equipment_temp_c'],
] as const;

/** A source of time that a test turns on. */
interface Sources extends TimeSources {
  synchronised: boolean;
  hardwareMs: number | undefined;
}
const sources = (): Sources => ({
  synchronised: false,
  hardwareMs: undefined,
  ntp() {
    return this.synchronised;
  },
  rtcMs() {
    return this.hardwareMs;
  },
});

const settings = (more: object = {}) => ({ clock_trust: 'auto', ...more });
const gridOf = ({ gateway }: House) => gateway.api.grids.list()[0]!;
const eventsOf = ({ gateway }: House) =>
  gateway.log.read(1, { maxFrames: 1e6, maxBytes: 1e9 }).flatMap(({ frame }) => [...frame.events]);
const offer = ({ gateway }: House, ms: number) => gateway.api.clock!.offerPhone(ms);
const alerts = async (house: House): Promise<readonly Alert[]> => gridOf(house).alerts({});

/** Runs a house for some virtual minutes with a reading of every device each; gives the monotonic times of the readings. */
async function live(house: House, clock: TestClock, minutes: number, values = (at: number) => 20 + (at % 7)) {
  const at: number[] = [];
  for (let i = 0; i < minutes; i += 1) {
    await clock.advance(minute);
    at.push(clock.monotonicMs());
    const now = gateNow(house);
    for (const [deviceId, metric] of devices)
      house.gateway.sink.reading({ deviceId, timeMs: now, values: { [metric]: values(i) } });
  }
  await house.gateway.log.flush();
  return at;
}
/** What the gateway's own clock shows. */
const gateNow = (house: House): number => clocks.get(house)!();
const clocks = new WeakMap<House, () => number>();

async function start(t: Test, path: string, clock: TestClock, timeSources: Sources): Promise<House> {
  const house = await startHouse(t, path, { clock, timeSources });
  clocks.set(house, () => house.gateway.clock.nowMs());
  return house;
}

const cases: readonly [name: string, trueMs: number, systemMs: number][] = [
  ['1970', Date.UTC(2026, 10, 28, 3), 1000],
  ['two years ago', Date.UTC(2027, 2, 28, 0, 50), Date.UTC(2027, 2, 28) - 2 * year],
  ['nine years ahead, on a leap day', Date.UTC(2028, 1, 29, 23, 40), Date.UTC(2028, 1, 29) + 9 * year],
  ['ten years ahead and more', Date.UTC(2026, 9, 25, 0, 30), Date.UTC(2026, 9, 25) + 11 * year],
  ['1970 again, after 2038', Date.UTC(2040, 0, 19, 3), 0],
  ['2037, while it is 2040', Date.UTC(2040, 1, 29, 22, 30), Date.UTC(2037, 0, 1)],
];

for (const [name, trueMs, systemMs] of cases) {
  t.test(`a boot in ${name} harms nothing, and a phone's time puts all of it right`, async (t) => {
    const clock = testClock(systemMs);
    const path = await gatewayFolder(t, settings());
    const knew = trueMs > Date.UTC(2035, 0, 1);
    if (knew) {
      // A gateway as old as that has known the time before; its last day is the floor.
      const known = sources();
      known.synchronised = true;
      const earlier = await start(t, path, testClock(trueMs - day), known);
      earlier.gateway.sink.reading({ deviceId: 'meter-1', timeMs: trueMs - day, values: { consumption_kw: 1 } });
      await earlier.gateway.stop();
    }
    const house = await start(t, path, clock, sources());
    const { gateway } = house;
    const right = (monotonicMs: number) => trueMs + monotonicMs;
    t.equal(gateway.api.identity.clockTrust(), 'floor');
    t.ok(gateNow(house) >= buildDateMs, 'no time before the floor is shown');
    const before = await live(house, clock, 20, (i) => (i >= 10 && i < 15 ? 75 : 20 + i));
    const grid = gridOf(house);
    t.equal(grid.latest('meter-1', 'consumption_kw')?.quality, qualityCodes.uncertain_clock);
    const raised = eventsOf(house).filter((event) => event.kind === 'raised');
    t.ok(raised.length <= 6, `no flood of alerts: ${raised.length}`);

    // A hand that steps the system's clock, or a clock that goes on wrong, is not noticed.
    const shown = gateNow(house);
    clock.stepWall(5 * hour);
    await clock.advance(10_000);
    t.ok(Math.abs(gateNow(house) - shown - 10_000) < 5, 'a step nobody vouches for moves nothing');

    t.match(offer(house, buildDateMs - 1), { taken: false, reason: /before/ });
    t.match(offer(house, right(0) + 40 * year), { taken: false, reason: /ten years/ });
    // A reading that waits for its commit while the time comes was dated by the old clock.
    before.push(clock.monotonicMs());
    for (const [deviceId, metric] of devices)
      house.gateway.sink.reading({ deviceId, timeMs: gateNow(house), values: { [metric]: 21 } });
    t.equal(offer(house, right(clock.monotonicMs())).taken, true);
    t.equal(gateway.api.identity.clockTrust(), 'phone');
    const after = await live(house, clock, 5);
    const untilMs = right(clock.monotonicMs()) + minute;
    const facts = await grid.completeness(untilMs);
    t.same(
      facts.series.map(({ deviceId, count }) => count - (knew && deviceId === 'meter-1' ? 1 : 0)),
      [26, 26, 26],
    );
    for (const [deviceId, metric] of devices) {
      const raw = await grid.raw(deviceId, metric, right(0), untilMs);
      t.same(
        raw.t.map((ms) => Math.round(ms - trueMs)),
        [...before, ...after],
        'every reading has the time it was taken at',
      );
      t.ok(
        raw.quality.every((code) => code !== qualityCodes.uncertain_clock),
        'and none is uncertain any more',
      );
      for (const resolution of ['1m', '15m', '1h'] as const) {
        const windows = await grid.windows(deviceId, metric, resolution, right(-2 * hour), untilMs);
        const usable = raw.quality.filter((code) => code < 64).length;
        t.equal(
          windows.count.reduce((sum, count) => sum + count, 0),
          usable,
          `${metric} ${resolution}`,
        );
      }
      t.ok(Math.abs((grid.latest(deviceId, metric)?.timeMs ?? 0) - right(after.at(-1) as number)) < 5, 'newest value');
      t.equal(grid.latest(deviceId, metric)?.quality, qualityCodes.good, metric);
      const wrong = await grid.windows(deviceId, metric, '1h', buildDateMs - hour, right(-2 * day));
      const later = await grid.windows(deviceId, metric, '1h', untilMs + hour, untilMs + 20 * year);
      t.same([...wrong.t, ...later.t], [], 'nothing is left at the wrong place');
    }
    const all = await alerts(house);
    t.match(
      all.find((one) => one.type === 'clock_corrected'),
      { status: 'resolved', what: /clock was wrong by .* from .* to .*; times were put right\./ },
    );
    t.match(
      all.find((one) => one.type === 'clock_not_trusted'),
      { status: 'resolved' },
    );
    const hot = all.find((one) => one.type === 'high_equipment_temperature');
    t.ok(hot && Math.abs(hot.raised_at_ms - right(before[10] as number)) < 5, 'alerts have right times too');
    t.equal(all.filter((one) => one.type === 'device_silent').length, 0, 'a step makes no device silent');
    const numbers = gateway.log.read(1, { maxFrames: 1e6, maxBytes: 1e9 });
    t.ok(
      numbers.every(({ number }, index) => number === index + 1),
      'order is by number',
    );
  });
}

t.test(
  'time service: what was dated before is put right, the system is followed, and a step then is only followed',
  async (t) => {
    const trueMs = Date.UTC(2026, 10, 28, 3);
    const clock = testClock(trueMs - 3 * hour);
    const from = sources();
    const house = await start(t, await gatewayFolder(t, settings()), clock, from);
    const before = await live(house, clock, 12);
    clock.stepWall(3 * hour);
    from.synchronised = true;
    await clock.advance(5000);
    t.equal(house.gateway.api.identity.clockTrust(), 'ntp');
    t.ok(Math.abs(gateNow(house) - clock.nowMs()) < 1);
    const raw = async () => {
      await house.gateway.log.flush();
      await gridOf(house).completeness(0);
      return gridOf(house).raw('meter-1', 'consumption_kw', trueMs - day, trueMs + day);
    };
    t.same(
      (await raw()).t,
      before.map((ms) => trueMs + ms),
    );
    const alert = (await alerts(house)).find((one) => one.type === 'clock_corrected');
    t.match(alert?.what, /wrong by 3 hours from 28 Nov, 03:00 to 28 Nov, 03:12; times were put right/);
    // The machine slept for an hour: both sides of that are right.
    clock.stepWall(hour);
    await clock.advance(5000);
    const after = await live(house, clock, 3);
    t.same((await raw()).t, [...before.map((ms) => trueMs + ms), ...after.map((ms) => trueMs + hour + ms)]);
    t.equal((await alerts(house)).filter((one) => one.type === 'device_silent').length, 0);
    t.match(offer(house, trueMs), { taken: false, reason: /better time/ });
  },
);

t.test('without a clock, runs are in order after one another, and are bounded when a run knows the time', async (t) => {
  const path = await gatewayFolder(t, settings());
  const trueMs = Date.UTC(2026, 10, 28, 3);
  const run = async (systemMs: number, minutes: number, synchronised = false, temperature = 20) => {
    const clock = testClock(systemMs);
    const from = sources();
    from.synchronised = synchronised;
    const house = await start(t, path, clock, from);
    const startMs = gateNow(house);
    await live(house, clock, minutes, () => temperature);
    return { house, startMs, endMs: gateNow(house), stop: () => house.gateway.stop() };
  };
  const one = await run(trueMs, 10, true);
  await one.stop();
  const two = await run(1000, 10);
  t.ok(two.startMs >= one.endMs - 1, 'the last known time is the floor of the next run');
  await two.stop();
  const three = await run(trueMs + 5 * year, 10);
  t.ok(three.startMs > trueMs + 4 * year, 'a plausible time is shown, but not believed');
  await three.stop();
  const four = await run(2000, 10, false, 75);
  t.ok(four.startMs >= two.endMs - 1 && four.startMs < trueMs + day, 'what was only plausible is no floor');
  t.ok(
    Math.abs((gridOf(four.house).latest('meter-1', 'consumption_kw')?.timeMs ?? 0) - four.endMs) < 5,
    'the newest value is the newest, whatever an earlier run believed',
  );
  t.ok(
    (await gridOf(four.house).alerts({ status: 'active' })).some((one) => one.type === 'high_equipment_temperature'),
    'and rules go on although the run before was years ahead',
  );
  await four.stop();
  const nextMs = trueMs + 2 * hour;
  const five = await run(nextMs, 5, true);
  const grid = gridOf(five.house);
  const facts = await grid.completeness(nextMs + day);
  t.equal(facts.series.find(({ deviceId }) => deviceId === 'meter-1')?.count, 45);
  const { t: times, quality } = await grid.raw('meter-1', 'consumption_kw', trueMs, nextMs + day);
  t.equal(times.length, 45, 'all lie between the runs that knew the time');
  t.same(quality, [...Array(10).fill(0), ...Array(30).fill(qualityCodes.uncertain_clock), ...Array(5).fill(0)]);
  t.ok((times[39] as number) <= nextMs);
  t.ok((await grid.windows('meter-1', 'consumption_kw', '1h', nextMs + day, nextMs + 6 * year)).t.length === 0);
  t.ok((grid.latest('meter-1', 'consumption_kw')?.timeMs ?? Infinity) <= nextMs + hour);
});

t.test(
  "while the gateway's clock is wrong no node's clock is judged by it; what nodes kept gets its right time",
  async (t) => {
    const trueMs = Date.UTC(2026, 10, 28, 3);
    // Three hours behind, so that a node's time of yesterday would be plausible.
    const clock = testClock(trueMs - 3 * hour);
    const house = await start(t, await gatewayFolder(t, settings()), clock, sources());
    const client = await house.connect('meter-1');
    const send = (body: object) =>
      client.publishAsync(topics.telemetry(gridId, 'meter-1'), JSON.stringify({ v: 1, boot: 'n', ...body }), {
        qos: 1,
      });
    await clock.advance(2 * hour);
    const nowMs = trueMs + clock.monotonicMs();
    await send({ seq: 4, up: 500_000, ts: nowMs, metrics: { consumption_kw: 4 } });
    await send({ readings: [1, 2, 3].map((seq) => ({ seq, up: seq * 100_000, metrics: { consumption_kw: seq } })) });
    const wall = await house.connect('battery-1');
    const kept = [1, 2, 3].map((seq) => ({
      seq,
      ts: nowMs - day - (3 - seq) * 600_000,
      metrics: { battery_soc_pct: 50 + seq },
    }));
    await wall.publishAsync(
      topics.telemetry(gridId, 'battery-1'),
      JSON.stringify({ v: 1, boot: 'w', readings: kept }),
      { qos: 1 },
    );
    t.ok(
      house.gateway.log
        .read(1, { maxFrames: 1000, maxBytes: 1e9 })
        .flatMap(({ frame }) => frame.samples)
        .every((one: Sample) => one.quality === qualityCodes.uncertain_clock),
    );
    offer(house, nowMs);
    // What was offered is in the log with the next commit.
    await house.gateway.log.flush();
    await gridOf(house).completeness(0);
    const told = async (deviceId: string, metric: string) =>
      (await gridOf(house).raw(deviceId, metric, trueMs - day, nowMs + day)).t.map((ms) =>
        Math.round((ms - nowMs) / 1000),
      );
    t.same(await told('meter-1', 'consumption_kw'), [-400, -300, -200, 0]);
    t.same(await told('battery-1', 'battery_soc_pct'), [-1200, -600, 0]);
    // From now on a node's own clock is judged again.
    await clock.advance(minute);
    await send({ seq: 5, ts: nowMs + 9000, metrics: { consumption_kw: 5 } });
    t.equal(gridOf(house).latest('meter-1', 'consumption_kw')?.timeMs, nowMs + 9000);
  },
);

t.test('after a power cut without a clock nothing from before is taken for now, until the time is known', async (t) => {
  const path = await gatewayFolder(t, settings());
  const trueMs = Date.UTC(2026, 10, 28, 3);
  const known = sources();
  known.synchronised = true;
  const running = testClock(trueMs);
  const before = await start(t, path, running, known);
  await live(before, running, 10);
  await before.gateway.stop();
  const clock = testClock(1000);
  const house = await start(t, path, clock, sources());
  const grid = gridOf(house);
  const [[deviceId, metric]] = devices;
  const newest = () => grid.latest(deviceId, metric) ?? { timeMs: NaN, quality: NaN };
  t.ok(Math.abs(gateNow(house) - newest().timeMs) < minute, 'by its time alone it would be of now');
  t.equal(newest().quality, qualityCodes.uncertain_last_known);
  t.equal(freshness(newest().timeMs, gateNow(house), minute, newest().quality), 'stale');
  house.gateway.sink.reading({ deviceId, timeMs: gateNow(house) - minute, values: { [metric]: 7 } });
  t.match(
    newest(),
    { value: 7, quality: qualityCodes.uncertain_clock },
    'what comes now is newer, whatever the clock says',
  );
  const [, [other, otherMetric]] = devices;
  t.equal(offer(house, trueMs + 10 * hour).taken, true);
  t.match(grid.latest(other, otherMetric), { quality: qualityCodes.good });
  t.equal(freshness(grid.latest(other, otherMetric)?.timeMs ?? null, gateNow(house), minute), 'stale');
});

const faketime = '/usr/bin/faketime';
t.test(
  'a real process whose system stands in 1970 shows no time before the floor, and takes an operator’s time',
  { skip: existsSync(faketime) ? false : `no ${faketime} on this machine` },
  async (t) => {
    const real = realClock();
    const path = await gatewayFolder(t, settings({ logging: { level: 'error' }, data_dir: 'data' }));
    const person = { username: 'asha', password: 'correct horse battery' };
    mkdirSync(join(dirname(path), 'data'), { mode: 0o700 });
    const database = openDatabase({ path: join(dirname(path), 'data', 'settings.db') });
    await createAccounts({ database, realClock: real, random: cryptoRandom(), log: silentLogger() }).addUser({
      ...person,
      displayName: 'Asha',
      grants: [{ role: 'operator', scope: { kind: 'grid', grid_id: gridId } }],
    });
    database.close();
    const main = fileURLToPath(new URL('../main.ts', import.meta.url));
    const node = [process.execPath, '--conditions=villagrid', '--import=tsx', main, '--config', path];
    const child = spawn(faketime, ['-f', '@1970-01-01 00:00:30', ...node], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    t.teardown(() => process.kill(-(child.pid as number), 'SIGKILL'));
    let ready: { http: string; mqtt: string } | undefined;
    for await (const line of createInterface({ input: child.stdout })) {
      const said = JSON.parse(line) as { gateway?: string; http: string; mqtt: string };
      if (said.gateway === 'ready') {
        ready = said;
        break;
      }
    }
    child.stdout.resume();
    const { http = '', mqtt = '' } = ready ?? {};
    const health = await ask(http, '/health');
    t.match(health.json, { clock_trust: 'floor' });
    t.ok(health.json.now_ms >= buildDateMs && health.json.now_ms < buildDateMs + hour);
    const meter = await connectTo(t, mqtt, 'meter-1');
    const publish = (seq: number) =>
      meter.publishAsync(
        topics.telemetry(gridId, 'meter-1'),
        JSON.stringify({ v: 1, boot: 'n', seq, up: seq * 100, metrics: { consumption_kw: seq } }),
        { qos: 1 },
      );
    for (const seq of [1, 2, 3]) await publish(seq);
    const token = await logIn(http, person);
    const offered = await ask(http, `/api/clock/${gridId}`, {
      method: 'POST',
      token,
      body: { phone_time_ms: real.nowMs() },
    });
    t.match(offered.json, { taken: true, clock_trust: 'phone' });
    await publish(4);
    const nowMs = real.nowMs();
    const { json } = await ask(http, `/api/completeness/${gridId}?until_ms=${nowMs + minute}`, { token });
    t.match(json.series, [{ count: 4 }]);
    const history = await ask(
      http,
      `/api/historical/${gridId}/consumption_kw?from=${nowMs - 5 * minute}&to=${nowMs + minute}&granularity=1m`,
      { token },
    );
    const counts = history.json.series[0].count as number[];
    t.equal(
      counts.reduce((sum, one) => sum + one, 0),
      4,
      'everything is where it belongs',
    );
  },
);

/** A keeper over a log in memory. */
function keeperOf(systemMs: number, from: Sources | undefined, setting: ClockTrust | 'auto' = 'auto') {
  const clock = testClock(systemMs);
  const village = createVillageClock(clock, setting);
  const log = openLog({
    database: openDatabase({ path: ':memory:' }),
    clock: village,
    realClock: clock,
    random: seededRandom(1),
    log: silentLogger(),
    trust: () => village.trust(),
    holdMs: 5000,
    maxSamples: 500,
    maxBytes: 1e6,
  });
  const keeper = createClockKeeper({
    system: clock,
    clock: village,
    log,
    random: seededRandom(2),
    realClock: clock,
    logger: silentLogger(),
    sources: from,
  });
  const changes: ClockChange[] = [];
  keeper.onChange((change) => changes.push(change));
  void keeper.start();
  return { clock, village, log, keeper, changes };
}

t.test('sources are taken in order of trust, within bounds, and a better one puts a worse one right', async (t) => {
  const trueMs = Date.UTC(2026, 10, 28, 3);
  const from = sources();
  const { clock, village, keeper, changes, log } = keeperOf(0, from);
  t.equal(village.trust(), 'floor');
  from.hardwareMs = Date.UTC(2000, 0, 1);
  await clock.advance(5000);
  t.equal(village.trust(), 'floor', 'a hardware clock without its cell begins in 2000');
  t.same(keeper.offerPhone(trueMs + 2 * year).taken, true, 'a phone that is two years ahead');
  t.same(keeper.offerPhone(trueMs).taken, true, 'is put right by another');
  from.hardwareMs = trueMs + 30_000;
  await clock.advance(5000);
  t.match([village.trust(), village.nowMs()], ['rtc', trueMs + 30_000]);
  t.match(keeper.offerPhone(trueMs), { taken: false, reason: /hardware clock/ });
  const now = village.nowMs();
  t.match(keeper.offerCloud(now + 50_000, 100), { taken: false }, 'a minute is no quarrel with a hardware clock');
  t.match(keeper.offerCloud(now + 3 * hour, 9000), { taken: false }, 'an answer that took too long');
  t.match(keeper.offerCloud(1000, 100), { taken: false }, 'no plausible time');
  t.match(keeper.offerCloud(now + 3 * hour, 100), { taken: true, correctionMs: 3 * hour });
  await clock.advance(5000);
  t.equal(village.trust(), 'cloud', 'the hardware clock that was wrong is not asked again');
  clock.stepWall(trueMs + hour - clock.nowMs());
  from.synchronised = true;
  await clock.advance(5000);
  t.equal(village.trust(), 'ntp');
  t.equal(village.nowMs(), clock.nowMs());
  t.match(keeper.offerCloud(now + 5 * hour, 0), { taken: false });
  const entries = log.read(1, { maxFrames: 100, maxBytes: 1e9 }).flatMap(({ frame }) => frame.entries);
  t.same(
    entries.flatMap((entry) => (entry.type === 'clock' ? [entry.trust] : [])),
    ['phone', 'phone', 'rtc', 'cloud', 'ntp'],
  );
  t.same(
    changes.map(({ to, restamps }) => [to, restamps]),
    [
      ['phone', true],
      ['phone', true],
      ['rtc', true],
      ['cloud', true],
      ['ntp', true],
    ],
  );
  const told = keeperOf(trueMs, undefined, 'ntp');
  t.match(told.keeper.offerPhone(trueMs), { taken: false, reason: /settings/ });
  t.equal(keeperOf(trueMs, from).village.trust(), 'ntp', 'at the start too');
});

t.test('a service that stops leaves the time as it was, whatever hands do to the system', async (t) => {
  const from = sources();
  from.synchronised = true;
  const trueMs = Date.UTC(2026, 10, 28, 3);
  const { clock, village } = keeperOf(trueMs, from);
  await clock.advance(5000);
  from.synchronised = false;
  await clock.advance(5000);
  clock.stepWall(-10 * year);
  await clock.advance(5000);
  t.match([village.trust(), village.nowMs()], ['ntp', trueMs + 15_000]);
});

t.test('bounds: in order, after one another, before the run that knows; what fits stays', async (t) => {
  const boot = (start_ms: number, end_ms: number) => ({
    boot: `b${start_ms}`,
    first_number: 1,
    last_number: 2,
    start_ms,
    end_ms,
  });
  const moved = (boots: ReturnType<typeof boot>[], next: number) =>
    boundBoots(boots, next).map(({ boot: name, correction_ms }) => [name, correction_ms]);
  t.same(moved([boot(0, 10), boot(20, 30)], 100), []);
  t.same(moved([boot(0, 10), boot(5, 15)], 100), [['b5', 5]]);
  t.same(moved([boot(0, 10), boot(500, 510), boot(20, 30)], 100), [
    ['b500', -420],
    ['b20', 70],
  ]);
});

t.test('chronyd says whether it is synchronised', async (t) => {
  const line = (stratum: number, leap: string, reference = 'CB007103') =>
    `${reference},203.0.113.3,${stratum},1795834370.1,0.000012,-0.00001,0.00003,-4.5,0.001,0.03,0.02,0.001,64.2,${leap}`;
  t.equal(chronySynchronised(line(3, 'Normal')), true);
  t.equal(chronySynchronised(line(8, 'Normal', '7F7F0101')), false, 'by its own clock');
  t.equal(chronySynchronised(line(0, 'Not synchronised')), false);
  t.equal(chronySynchronised('506 Cannot talk to daemon'), false);
});
