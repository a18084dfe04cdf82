import { createHash } from 'node:crypto';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { addConformancePeople, apiConformanceSuite } from '@villagrid/api/testing';
import {
  decodeFrame,
  digestHex,
  emptyDigest,
  localDays,
  seriesHasher,
  topics,
  type ActsDown,
  type AlertEvent,
  type DownMessage,
  type Receipt,
  type SeriesDigest,
  type Site,
} from '@villagrid/contracts';
import {
  createAccounts,
  createAuthority,
  cryptoRandom,
  issueClientCertificate,
  openDatabase,
  realClock,
  silentLogger,
} from '@villagrid/runtime';
import { memoryLog, tempDir } from '@villagrid/runtime/testing';
import { createCloud, loadCloudConfig, type Cloud, type CloudAddresses } from '../src/index.js';
import { cloudFiles } from '../src/stores/database.js';
import { cloudFixture, type CloudFixture } from '../src/testing/cloud-fixture.js';
import { GatewaySide, raisedEvent, testFrame, testSite, testStartMs } from '../src/testing/gateway-side.js';

const clock = realClock();
const untilMs = testStartMs + 10_000_000;

interface Running {
  readonly fixture: CloudFixture;
  readonly cloud: Cloud;
  readonly addresses: CloudAddresses;
  readonly lines: ReturnType<typeof memoryLog>['lines'];
  gateway(gatewayId?: string, gridId?: string, more?: { clientId?: string }): Promise<GatewaySide>;
}

async function run(t: Test, fixture?: CloudFixture): Promise<Running> {
  const known =
    fixture ??
    (await cloudFixture(tempDir(t), {
      gateways: [
        { gateway_id: 'gw-1', grid_id: 'alpha' },
        { gateway_id: 'gw-2', grid_id: 'beta' },
      ],
    }));
  const { log, lines } = memoryLog({ foldAfter: 1000 });
  const cloud = createCloud(loadCloudConfig({ path: known.configPath }), {
    clock,
    realClock: clock,
    random: cryptoRandom(),
    log,
  });
  const addresses = await cloud.start();
  t.teardown(() => cloud.stop());
  return {
    fixture: known,
    cloud,
    addresses,
    lines,
    async gateway(gatewayId = 'gw-1', gridId = 'alpha', more = {}) {
      const side = await GatewaySide.connect({
        url: addresses.mqtts,
        gatewayId,
        gridId,
        certificate: await known.certificate(gatewayId),
        caPem: known.authority.certificatePem,
        ...more,
      });
      t.teardown(() => side.end());
      return side;
    },
  };
}

/** What completeness must say of test frames with these numbers. */
function expectedSeries(numbers: Iterable<number>) {
  const digests = new Map<string, { deviceId: string; metric: string; digest: SeriesDigest }>();
  for (const number of numbers) {
    for (const { deviceId, metric, timeMs, value, quality } of decodeFrame(testFrame(number)).samples) {
      const key = `${deviceId} ${metric}`;
      const entry = digests.get(key) ?? { deviceId, metric, digest: emptyDigest() };
      digests.set(key, entry);
      seriesHasher(deviceId, metric)(entry.digest, timeMs, value, quality);
    }
  }
  return [...digests.values()]
    .map(({ deviceId, metric, digest }) => ({ deviceId, metric, count: digest.count, hash: digestHex(digest) }))
    .sort((a, b) => (a.deviceId < b.deviceId ? -1 : 1));
}

function expectedSum(numbers: Iterable<number>): string {
  let sum = 0n;
  for (const number of numbers) sum += createHash('sha256').update(testFrame(number)).digest().readBigUInt64BE(0);
  return (sum % (1n << 64n)).toString(16).padStart(16, '0');
}

const span = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);
const isReceipt = (message: DownMessage): message is Receipt => message.y === 'receipt';
const until = async (t: Test, what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
  for (let i = 0; i < 400; i += 1) {
    if (await holds()) return;
    await clock.sleep(20);
  }
  t.fail(`did not come to pass: ${what}`);
};

t.test('HELLO is answered with the server time, the receipt for that log and the site is kept', async (t) => {
  const { gateway, cloud } = await run(t);
  const side = await gateway();
  await side.hello();
  const welcome = await side.welcome();
  t.same(welcome.receipt, { y: 'receipt', epoch: 'EPOCH1', up_to: 0, sum: '0000000000000000', also: [], bad: [] });
  t.ok(Math.abs(welcome.server_time_ms - clock.nowMs()) < 60_000);
  t.equal(cloud.grids.get('alpha')?.site().name, 'Test village');
  t.equal(cloud.grids.get('alpha')?.link('gw-1'), 'up');
  await side.hello({ version: '2.0.0', newest_number: 5, clock_trust: 'rtc', disk_used_pct: 71.5 });
  await side.sendFrames(1, 2);
  await side.sendFrames(4, 4);
  await until(t, 'three frames', () => cloud.counters.framesProjected === 3);
  t.match(cloud.grids.get('alpha')?.gateway?.(), {
    ...{ version: '2.0.0', clockTrust: 'rtc', diskUsedPct: 71.5, cardLifeUsedPct: null, backlogFrames: 2 },
    completeUntilMs: testStartMs + 2 * 5000 + 1,
  });

  const changes: string[] = [];
  cloud.grids.get('alpha')?.subscribe((change) => changes.push(change.type));
  await side.hello({ site: testSite('alpha', 'gw-1', { name: 'Renamed' }) });
  await until(t, 'the new name', () => cloud.grids.get('alpha')?.site().name === 'Renamed');
  t.ok(changes.includes('site'));
  await side.hello({ site: { ...testSite('alpha', 'gw-1'), zone: 'Mars/Base' } as Site });
  await until(t, 'a refusal that is kept', () => cloud.store.deadLetterCount() === 1);
  t.equal(cloud.grids.get('alpha')?.site().name, 'Renamed', 'a wrong site keeps the one before');
  await until(
    t,
    'the gateway is welcome all the same',
    () => side.down.filter(({ y }) => y === 'welcome').length === 4,
  );
});

t.test('who watches a grid has its gateway send more, for a while, unless it sends every sample anyway', async (t) => {
  const { gateway, cloud } = await run(t);
  const side = await gateway();
  const boosts = () => side.down.filter(({ y }) => y === 'boost');
  await side.hello({ plan: 'raw' });
  await side.welcome();
  cloud.grids.get('alpha')?.watched?.(true);
  await side.hello({ plan: 'standard' });
  const boost = await side.next(({ y }) => y === 'boost');
  t.same([boost, boosts().length], [{ y: 'boost', for_s: 120 }, 1], 'told what it sends, it is asked at once');
  cloud.grids.get('alpha')?.watched?.(false);
  cloud.grids.get('alpha')?.watched?.(true);
  await until(t, 'somebody new', () => boosts().length === 2);
});

t.test(
  'frames that come twice, in any order and in other cuts are there once; receipt and completeness are exact',
  async (t) => {
    const { gateway, cloud } = await run(t);
    const side = await gateway();
    await side.hello({ newest_number: 60 });
    await side.sendFrames(31, 60, { lane: 'backfill' });
    const early = await side.next(isReceipt);
    t.same([early.up_to, early.also], [0, [[31, 60]]]);
    await side.sendFrames(11, 20, { receipt: false, deflate: false });
    await Promise.all([side.sendFrames(5, 25), side.sendFrames(1, 10), side.sendFrames(18, 35, { lane: 'backfill' })]);
    const receipt = await side.receipt(60);
    t.same([receipt.sum, receipt.also, receipt.bad], [expectedSum(span(1, 60)), [], []]);
    await side.sendFrames(1, 60);
    const grid = cloud.grids.get('alpha');
    await until(t, 'all projected', async () => (await grid?.completeness(untilMs))?.series[0]?.count === 60);
    t.same(await grid?.completeness(untilMs), {
      epoch: 'EPOCH1',
      completeUntilNumber: 60,
      series: expectedSeries(span(1, 60)),
    });
    const middleMs = testStartMs + 30 * 5000;
    t.same((await grid?.completeness(middleMs))?.series, expectedSeries(span(1, 29)));
    t.same(grid?.latest('inv-01', 'generation_kw'), { timeMs: testStartMs + 300_000, value: 6, quality: 0 });
    t.same((await grid?.raw('inv-01', 'generation_kw', testStartMs, middleMs))?.t.length, 29);
    t.ok(((await grid?.windows('inv-01', 'generation_kw', '1m', testStartMs, untilMs))?.t.length ?? 0) >= 5);
  },
);

t.test(
  'a bad frame is explained as bad and kept apart; the good ones beside it land, and nothing is sent for ever',
  async (t) => {
    const { gateway, cloud } = await run(t);
    const side = await gateway();
    await side.hello();
    const broken = Uint8Array.from([9, 9, 9]);
    const cut = testFrame(4).slice(0, 20);
    const envelope = side.envelope(1, [testFrame(1), broken, testFrame(3), cut, testFrame(5)]);
    await side.publish('live', envelope);
    const receipt = await side.receipt(5);
    t.same(
      receipt.bad.map(([number]) => number),
      [2, 4],
    );
    t.match(receipt.bad[0]?.[1], /E_ENVELOPE_INVALID: frame version 9/);
    t.equal(receipt.sum, expectedSum([1, 3, 5]), 'refused ones do not count in the sum');
    await until(t, 'three projected', () => cloud.counters.framesProjected === 3);
    t.same((await cloud.grids.get('alpha')?.completeness(untilMs))?.series, expectedSeries([1, 3, 5]));
    t.same(
      cloud.store.deadLetters(10).map(({ stage, number }) => [stage, number]),
      [
        ['frame', 4],
        ['frame', 2],
      ],
    );
    await side.publish('live', envelope);
    t.equal(cloud.store.deadLetterCount(), 2, 'the same again is no new dead letter');

    // Things that are no envelope at all: kept, acknowledged, everything goes on.
    const bomb = side.envelope(6, [new Uint8Array(1_100_000)]);
    for (const junk of [Buffer.of(), Buffer.from('hello'), Buffer.of(3, 1, 2, 3), Buffer.of(2), bomb])
      await side.publish('live', junk);
    await side.publish('session', 'not json');
    await side.publish('alerts', '{"y":"alerts","events":"many"}');
    t.equal(cloud.store.deadLetterCount(), 9);
    await side.sendFrames(6, 6);
    await side.receipt(6);
  },
);

t.test('what is proven, missing, given up and refused is told by number and by day of the village', async (t) => {
  const { gateway, cloud, fixture } = await run(t);
  const dayMs = 86_400_000;
  const tombstone = { type: 'tombstone', first: 1, last: 2, samples: 9, from_ms: 1, to_ms: 2, reason: 'disk' } as const;
  const frameOfDay = (number: number, day: number) => {
    const timeMs = testStartMs + (day - 1) * dayMs + number * 1000;
    return testFrame(number, {
      samples: [{ deviceId: 'inv-01', metric: 'generation_kw', timeMs, value: 1, quality: 0 }],
      entries: number === 3 ? [tombstone] : [],
    });
  };
  const side = await gateway();
  await side.hello({ newest_number: 12, oldest_number: 3 });
  await side.welcome();
  const frames = [frameOfDay(3, 1), frameOfDay(4, 2), Uint8Array.of(9, 9), frameOfDay(6, 2), frameOfDay(7, 3)];
  await side.publish('live', side.envelope(3, frames));
  await side.publish('live', side.envelope(9, [frameOfDay(9, 3), frameOfDay(10, 4), frameOfDay(11, 5)]));
  const grid = cloud.grids.get('alpha');
  const days = localDays('Africa/Nairobi', testStartMs, testStartMs + 5 * dayMs);
  const proof = await grid?.proof?.(days);
  const refused = { number: 5, stage: 'frame', reason: /frame version 9/ };
  const counts = { missing_count: 2, given_up_count: 2, refused_count: 1 };
  t.match(proof?.logs, [
    {
      epoch: 'EPOCH1',
      newest_number: 12,
      explained_up_to: 7,
      missing: [
        [8, 8],
        [12, 12],
      ],
      given_up: [[1, 2]],
      refused: [refused],
      ...counts,
    },
  ]);
  const told = (one: typeof proof) => one?.days.map(({ state, frames }) => [state, frames]);
  t.same(told(proof), [
    ['given_up', 1],
    ['refused', 2],
    ['missing', 2],
    ['proven', 1],
    ['missing', 1],
    ['missing', 0],
  ]);
  t.match(proof?.days, [{ given_up: 2 }, { refused: 1 }, { missing: 1 }, {}, { missing: 1 }, { missing: 1 }]);

  // The rest comes, one that was given up too; then the gateway goes on with a new log.
  await side.publish('live', side.envelope(8, [frameOfDay(8, 3)]));
  await side.publish('live', side.envelope(12, [frameOfDay(12, 5)]));
  await side.publish('live', side.envelope(2, [frameOfDay(2, 1)]));
  t.match(await grid?.proof?.(days), { logs: [{ missing: [], explained_up_to: 12, given_up: [[1, 1]] }] });
  t.same(told(await grid?.proof?.(days))?.slice(2), [
    ['proven', 3],
    ['proven', 1],
    ['open', 2],
    ['open', 0],
  ]);
  side.epoch = 'EPOCH2';
  await side.hello({ newest_number: 1 });
  await side.publish('live', side.envelope(1, [frameOfDay(1, 8)]));
  const after = async (of: Cloud) => {
    const all = await of.grids.get('alpha')?.proof?.(days);
    return [all?.logs.map(({ epoch, given_up_count }) => [epoch, given_up_count]), told(all)?.slice(4)];
  };
  const expected = [
    [
      ['EPOCH1', 1],
      ['EPOCH2', 0],
    ],
    [
      ['proven', 2],
      ['empty', 0],
    ],
  ];
  t.same(await after(cloud), expected);
  await until(t, 'all projected', () => cloud.counters.framesProjected === 11);
  t.equal(cloud.store.deadLetterCount(), 1, 'the refused frame; a tombstone is no dead letter');
  await cloud.stop();
  t.same(await after((await run(t, fixture)).cloud), expected, 'also after a restart');
});

t.test('a log number with other content is a conflict: the first stays, the second is quarantined', async (t) => {
  const { gateway, cloud, lines } = await run(t);
  const side = await gateway();
  await side.sendFrames(1, 3);
  const first = await side.receipt(3);
  const other = testFrame(2, {
    samples: [{ deviceId: 'inv-01', metric: 'generation_kw', timeMs: testStartMs, value: 9.9, quality: 0 }],
  });
  const before = side.down.length;
  await side.publish('live', side.envelope(2, [other, testFrame(3), testFrame(4)]));
  const receipt = (await side.next((message) => isReceipt(message) && message.up_to === 4, before)) as Receipt;
  t.equal(receipt.sum, expectedSum(span(1, 4)));
  t.not(receipt.sum, first.sum);
  t.match(cloud.store.deadLetters(1)[0], { stage: 'conflict', code: 'E_ENVELOPE_CONFLICT', number: 2 });
  t.same(Buffer.from(cloud.store.deadLetters(1)[0]?.bytes ?? []), Buffer.from(other));
  await until(t, 'projected', () => cloud.counters.framesProjected === 4);
  t.same((await cloud.grids.get('alpha')?.completeness(untilMs))?.series, expectedSeries(span(1, 4)));
  t.ok(lines.some((line) => line.code === 'E_ENVELOPE_CONFLICT'));
});

t.test(
  'who has no certificate, a foreign one, or another name is not let in; nobody writes or reads for another',
  async (t) => {
    const { gateway, fixture, addresses, cloud, lines } = await run(t);
    const base = { url: addresses.mqtts, gatewayId: 'gw-1', gridId: 'alpha', caPem: fixture.authority.certificatePem };
    const foreign = await createAuthority({ name: 'somebody else', nowMs: clock.nowMs() });
    const forged = await issueClientCertificate(foreign, { commonName: 'gw-1', nowMs: clock.nowMs(), days: 2 });
    await t.rejects(GatewaySide.connect({ ...base, certificate: forged }), 'a certificate of another authority');
    await t.rejects(
      GatewaySide.connect({ ...base, certificate: { certificatePem: '', privateKeyPem: '' } }),
      'no certificate',
    );
    await t.rejects(
      GatewaySide.connect({ ...base, certificate: await fixture.certificate('gw-2') }),
      'the client id of another gateway',
    );
    const stranger = await fixture.certificate('gw-9');
    await t.rejects(GatewaySide.connect({ ...base, gatewayId: 'gw-9', certificate: stranger }), 'not registered');
    t.ok(lines.some((line) => String(line.reason).startsWith('E_GATEWAY_UNKNOWN: gw-9')));

    for (const topic of [
      topics.up('beta', 'gw-2', 'live'),
      topics.up('beta', 'gw-1', 'live'),
      topics.up('alpha', 'gw-2', 'live'),
      topics.down('alpha', 'gw-1'),
      topics.gatewayStatus('beta', 'gw-2'),
      topics.telemetry('alpha', 'inv-01'),
      topics.alerts('alpha'),
    ]) {
      const side = await gateway();
      await t.rejects(side.publishTo(topic, side.envelope(1, [testFrame(1)])), `publish to ${topic}`);
    }
    t.ok(lines.some((line) => line.code === 'E_GATEWAY_UNKNOWN' && line.grid_id === 'beta'));
    const side = await gateway();
    for (const filter of [
      '#',
      topics.down('beta', 'gw-2'),
      'microgrid/alpha/gateway/+/down',
      topics.up('alpha', 'gw-1', 'live'),
    ]) {
      const granted = await side.client.subscribeAsync(filter).catch((error: unknown) => error);
      t.ok(granted instanceof Error || (granted as { qos: number }[])[0]?.qos === 128, `subscribe to ${filter}`);
    }
    t.equal(cloud.counters.framesAdded, 0);
    await side.sendFrames(1, 1);
    await side.receipt(1);
    const large = await gateway();
    await t.rejects(large.publish('live', new Uint8Array(200_000)), 'a packet above 128 KB');
  },
);

t.test('a gateway added to the directory while the cloud runs is let in; one taken out is shut out', async (t) => {
  const { gateway, fixture, cloud, addresses } = await run(t);
  const side = await gateway();
  fixture.setGateways([
    { gateway_id: 'gw-2', grid_id: 'beta' },
    { gateway_id: 'gw-3', grid_id: 'gamma' },
  ]);
  await until(t, 'the directory is read again', () => cloud.grids.get('gamma') !== undefined);
  await until(t, 'the removed gateway is disconnected', () => side.closed);
  t.equal(cloud.grids.get('alpha'), undefined);
  const base = { url: addresses.mqtts, caPem: fixture.authority.certificatePem };
  const gw1 = await fixture.certificate('gw-1');
  await t.rejects(GatewaySide.connect({ ...base, gatewayId: 'gw-1', gridId: 'alpha', certificate: gw1 }));
  const added = await gateway('gw-3', 'gamma');
  await added.hello();
  await added.welcome();
});

t.test('an alert is at subscribers within a second, by its lane or by a frame, once', async (t) => {
  const { gateway, cloud } = await run(t);
  const side = await gateway();
  const grid = cloud.grids.get('alpha');
  const told: string[] = [];
  grid?.subscribe((change) => change.type === 'alert' && told.push(change.alertId));
  const beganMs = clock.monotonicMs();
  const event = raisedEvent('EVENT1', 'ALERT1', 'alpha', 'gw-1');
  await side.publish('alerts', JSON.stringify({ y: 'alerts', events: [event] }));
  await until(t, 'told', () => told.length === 1);
  t.ok(clock.monotonicMs() - beganMs < 1000);
  await side.publish('alerts', JSON.stringify({ y: 'alerts', events: [event] }));
  const second = raisedEvent('EVENT2', 'ALERT2', 'alpha', 'gw-1');
  await side.publish('live', side.envelope(1, [testFrame(1, { events: [event, second] })]));
  await until(t, 'the second', () => told.includes('ALERT2'));
  t.same(told, ['ALERT1', 'ALERT2']);
  t.match(await grid?.alert('ALERT1'), { status: 'active', severity: 'high', timeline: [{ event_id: 'EVENT1' }] });
  t.equal(await cloud.grids.gridOfAlert('ALERT2'), 'alpha');

  // Another grid's gateway can neither raise, clear nor acknowledge here.
  const other = await gateway('gw-2', 'beta');
  const cleared = { ...event, id: 'EVENT3', kind: 'cleared', value: 1, subject: undefined };
  const disguised = { ...cleared, id: 'EVENT4', grid_id: 'beta' };
  await other.publish(
    'alerts',
    JSON.stringify({ y: 'alerts', events: [cleared, disguised, { kind: 'nonsense' }, null] }),
  );
  await other.publish(
    'live',
    other.envelope(1, [
      testFrame(1, { events: [disguised as unknown as AlertEvent, cleared as unknown as AlertEvent] }),
    ]),
  );
  await until(t, 'refusals', () => cloud.store.deadLetters(20).length === 6);
  t.equal((await grid?.alert('ALERT1'))?.status, 'active');
  t.same(
    (await cloud.grids.get('beta')?.completeness(untilMs))?.series,
    expectedSeries([1]),
    'the frame itself counts',
  );
});

t.test('an act at the cloud goes down at once and at every HELLO until it comes up in a frame', async (t) => {
  const { gateway, cloud, fixture } = await run(t);
  const side = await gateway();
  const isActs = (message: DownMessage): message is ActsDown => message.y === 'acts';
  await side.publish(
    'live',
    side.envelope(1, [testFrame(1, { events: [raisedEvent('EVENT1', 'ALERT1', 'alpha', 'gw-1')] })]),
  );
  const grid = cloud.grids.get('alpha');
  await until(t, 'the alert', async () => (await grid?.alert('ALERT1')) !== undefined);
  const act: AlertEvent = {
    id: 'ACT1',
    alert_id: 'ALERT1',
    grid_id: 'alpha',
    at_ms: clock.nowMs(),
    origin: { kind: 'cloud', id: 'cloud' },
    kind: 'acknowledged',
    actor: { user_id: 'u1', name: 'Ama' },
    note: 'fan cleaned',
  };
  await grid?.append(act);
  t.same(await side.next(isActs), { y: 'acts', events: [act] });
  t.equal((await grid?.alert('ALERT1'))?.acknowledged, true);
  await grid?.append(act);
  await side.end();
  await until(t, 'its absence is noticed', () => grid?.link('gw-1') === 'down');
  await grid?.append({ ...act, id: 'ACT2', kind: 'noted', note: 'while it was away' });
  await t.rejects(grid?.append(raisedEvent('X', 'Y', 'alpha', 'cloud')) ?? Promise.resolve(), 'nothing is raised here');

  // Over a restart of the cloud, too.
  await cloud.stop();
  const again = await run(t, fixture);
  for (let i = 0; i < 2; i += 1) {
    const back = await again.gateway();
    await back.hello({ newest_number: 1 });
    const acts = await back.next(isActs);
    t.same(
      acts.events.map((event) => event.id),
      ['ACT1', 'ACT2'],
    );
    t.equal(back.down.filter(isActs).length, 1);
    await back.end();
  }
  const last = await again.gateway();
  await last.publish('live', last.envelope(2, [testFrame(2, { events: [act] })]));
  await until(t, 'projected', () => again.cloud.counters.framesProjected === 1);
  await last.hello({ newest_number: 2 });
  const rest = await last.next(isActs);
  t.same(
    rest.events.map((event) => event.id),
    ['ACT2'],
  );
});

t.test(
  'a new epoch is taken beside the old one; numbers the gateway no longer has do not hold the receipt up',
  async (t) => {
    const { gateway, cloud, lines } = await run(t);
    const side = await gateway();
    await side.hello({ newest_number: 3 });
    await side.sendFrames(1, 3);
    await side.receipt(3);
    side.epoch = 'EPOCH2';
    const from = side.down.length;
    await side.hello({ newest_number: 120, oldest_number: 101 });
    t.equal((await side.welcome(from)).receipt.up_to, 100);
    t.ok(lines.some((line) => line.level === 'error' && String(line.msg).startsWith('log numbers are lost')));
    await side.sendFrames(101, 120);
    const receipt = await side.receipt(120);
    t.equal(receipt.sum, expectedSum(span(101, 120)));
    await until(t, 'projected', () => cloud.counters.framesProjected === 23);
    const facts = await cloud.grids.get('alpha')?.completeness(untilMs);
    t.same([facts?.epoch, facts?.completeUntilNumber], ['EPOCH2', 120]);
    t.same(facts?.series, expectedSeries([...span(1, 3), ...span(101, 120)]));
    t.equal(cloud.store.receipt('gw-1', 'EPOCH1').up_to, 3);
  },
);

t.test(
  'link states come from frames, a broken connection from the last will; health and metrics tell numbers',
  async (t) => {
    const { gateway, cloud, addresses } = await run(t);
    const side = await gateway();
    await side.hello();
    const changed: string[] = [];
    const grid = cloud.grids.get('alpha');
    grid?.subscribe((change) => change.type === 'device' && changed.push(change.deviceId));
    const entry = (state: 'online' | 'offline', timeMs: number) =>
      ({ type: 'link_state', device_id: 'inv-01', state, time_ms: timeMs }) as const;
    await side.publish('live', side.envelope(1, [testFrame(1, { entries: [entry('offline', testStartMs + 5)] })]));
    await until(t, 'down', () => grid?.link('inv-01') === 'down');
    await side.publish('live', side.envelope(3, [testFrame(3, { entries: [entry('online', testStartMs + 9)] })]));
    await until(t, 'up', () => grid?.link('inv-01') === 'up');
    await side.publish('live', side.envelope(2, [testFrame(2, { entries: [entry('offline', testStartMs + 12)] })]));
    await until(t, 'all three', () => cloud.counters.framesProjected === 3);
    t.equal(grid?.link('inv-01'), 'up', 'what came late is older, whatever its clock said');
    t.same(changed, ['inv-01', 'inv-01']);
    t.ok(Math.abs((grid?.lastReportedMs() ?? 0) - clock.nowMs()) < 60_000);
    side.client.stream.destroy();
    await until(t, 'gateway down', () => grid?.link('gw-1') === 'down');
    t.equal(grid?.link('inv-01'), undefined, 'nobody vouches for it now');

    const metrics = await (await fetch(`${addresses.http}/metrics`)).text();
    for (const line of [
      'envelopes_total 3',
      'frames_total 3',
      'samples_total 6',
      'projection_lag_frames 0',
      'gateways 2',
      'gateways_connected 0',
    ])
      t.match(metrics, `villagrid_cloud_${line}\n`);
    const health = (await (await fetch(`${addresses.http}/health`)).json()) as { status: string; kind: string };
    t.same([health.kind, health.status], ['cloud', 'degraded']);
    t.match(await (await fetch(`${addresses.http}/.well-known/villagrid`)).json(), { kind: 'cloud', grid_id: null });
    const began = clock.monotonicMs();
    await cloud.stop();
    t.ok(clock.monotonicMs() - began < 3000);
  },
);

t.test(
  'times a gateway puts right are put right here alike, whichever comes first, frames or correction',
  async (t) => {
    const wrongMs = 3 * 365 * 86_400_000;
    const clockEntry = {
      type: 'clock',
      boot: 'b1',
      correction_ms: -wrongMs,
      trust: 'phone',
      first_number: 1,
      until_ms: 51 * 5000,
    } as const;
    const events = [raisedEvent('E1', 'A1', 'alpha', 'gw-1')].map((event) => ({
      ...event,
      at_ms: event.at_ms + wrongMs,
    }));
    const wrong = (number: number) =>
      testFrame(number, {
        trust: 'floor',
        wrongMs,
        events: number === 20 ? events : [],
        entries:
          number === 30
            ? [{ type: 'link_state', device_id: 'inv-01', state: 'offline', time_ms: testStartMs + wrongMs }]
            : [],
      });
    const right = (number: number) =>
      testFrame(number, {
        trust: 'phone',
        entries:
          number === 51
            ? [clockEntry]
            : number === 60
              ? [{ type: 'link_state', device_id: 'inv-01', state: 'online', time_ms: testStartMs + 300_000 }]
              : [],
      });
    const orders = [
      [
        [1, 50],
        [51, 60],
      ],
      [
        [51, 60],
        [1, 50],
      ],
      [
        [31, 40],
        [1, 10],
        [51, 60],
        [41, 50],
        [11, 30],
      ],
    ] as const;
    for (const [index, order] of orders.entries()) {
      const { gateway, cloud } = await run(t);
      const side = await gateway();
      await side.hello();
      const grid = cloud.grids.get('alpha');
      if (index === 0) await side.publish('alerts', JSON.stringify({ y: 'alerts', events }));
      for (const [first, last] of order) {
        const frames = span(first, last).map((number) => (number <= 50 ? wrong(number) : right(number)));
        await side.publish('live', side.envelope(first, frames));
        await clock.sleep(30);
      }
      await until(t, 'complete', async () => (await grid?.completeness(untilMs))?.completeUntilNumber === 60);
      t.same((await grid?.completeness(untilMs))?.series, expectedSeries(span(1, 60)), `order ${index}`);
      t.equal(grid?.latest('inv-01', 'generation_kw')?.timeMs, testStartMs + 300_000, 'the newest value is the newest');
      t.equal((await grid?.alert('A1'))?.raised_at_ms, testStartMs, 'its alert has the right time');
      t.equal(grid?.link('inv-01'), 'up', 'a link state from the future has not the last word');
      const raw = await grid?.raw('inv-01', 'generation_kw', testStartMs, untilMs);
      t.same(
        raw?.t,
        span(1, 60).map((number) => testStartMs + number * 5000),
      );
      const receipt = await side.receipt(60);
      t.ok(Math.abs((receipt.server_time_ms ?? 0) - clock.nowMs()) < 60_000, 'a receipt tells the time');
      await cloud.stop();
    }
  },
);

t.test('a cloud answers as the API says', (t) =>
  apiConformanceSuite(t, async () => {
    const { fixture, cloud, addresses, gateway } = await run(t);
    const database = openDatabase({ path: cloudFiles(join(fixture.directory, 'data')).accounts });
    const accounts = createAccounts({ database, realClock: clock, random: cryptoRandom(), log: silentLogger() });
    const people = await addConformancePeople(accounts, 'alpha');
    database.close();
    const side = await gateway();
    await side.hello();
    await side.welcome();
    let number = 0;
    let alerts = 0;
    return {
      url: addresses.http,
      gridId: 'alpha',
      people,
      figure: 'generation_kw',
      values: [4.25, 5.5],
      async feed(value) {
        const timeMs = Math.round(clock.nowMs());
        const sample = { deviceId: 'inv-01', metric: 'generation_kw', timeMs, value, quality: 0 };
        number += 1;
        await side.publish('live', side.envelope(number, [testFrame(number, { samples: [sample] })]));
        await side.receipt(number);
      },
      async raiseAlert() {
        alerts += 1;
        const event = { ...raisedEvent(`E${alerts}`, `A${alerts}`, 'alpha', 'gw-1'), at_ms: Math.round(clock.nowMs()) };
        await side.publish('alerts', JSON.stringify({ y: 'alerts', events: [event] }));
        return event.alert_id;
      },
      stop: () => cloud.stop(),
    };
  }),
);
