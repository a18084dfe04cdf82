import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { brotliDecompressSync, inflateRawSync } from 'node:zlib';
import {
  type AlertEvent,
  type AlertsUp,
  type Clock,
  decodeEnvelopeBody,
  decodeFrame,
  type DownMessage,
  type Envelope,
  envelopeAbilities,
  envelopeBrotli,
  envelopeDeflated,
  type Goodbye,
  type Hello,
  parseTopic,
  type Receipt,
  type Sample,
  type Site,
  topics,
} from '@villagrid/contracts';
import {
  acceleratedClock,
  type BrokerPublish,
  cryptoRandom,
  NumberRanges,
  openDatabase,
  realClock,
  seededRandom,
  silentLogger,
} from '@villagrid/runtime';
import { memoryLog, tempDir } from '@villagrid/runtime/testing';
import t, { type Test } from 'tap';
import { openLog } from '../log/log.js';
import { completeAtMs, DayBudget, localDay } from './budget.js';
import { createSealStore } from '../log/seal-store.js';
import { createMqttDestination, createUplink, type UplinkOptions, type UplinkStats } from './index.js';
import { memorySealStore } from './memory-seal-store.js';
import { stallingProxy } from './testing/destination-suite.js';
import { type FarSide, startFarSide } from './testing/far-side.js';

const clock = realClock();
const [gridId, gatewayId] = ['g1', 'gw-1'];
const downTopic = topics.down(gridId, gatewayId);
const until = async (what: string, met: () => boolean, timeoutMs = 30_000) => {
  const endMs = clock.monotonicMs() + timeoutMs;
  while (!met()) {
    if (clock.monotonicMs() > endMs) throw new Error(`waited in vain for: ${what}`);
    await clock.sleep(10);
  }
};

/** A cloud that speaks the protocol and can be made to misbehave. */
function fakeCloud(far: FarSide) {
  const frames = new Map<number, Uint8Array>();
  /** Last numbers of sealed frames. */
  const lasts = new Map<number, number>();
  const cloud = {
    frames,
    lasts,
    takes: undefined as undefined | typeof envelopeAbilities,
    hellos: [] as Hello[],
    goodbyes: [] as Goodbye[],
    alerts: [] as AlertEvent[],
    envelopes: [] as Array<Envelope & { lane: string; count: number; bytes: number; atMs: number }>,
    foreign: [] as string[],
    conflicts: 0,
    /** What to do with the next ones: true means that it goes wrong. */
    loseReceipt: (): boolean => false,
    loseEnvelope: (): boolean => false,
    cutLine: (): boolean => false,
    repeat: 1,
    spoilSum: false,
    answersHello: true,
    acts: [] as AlertEvent[],
    epoch: '',
    upTo: () => {
      let number = 0;
      while (frames.has(number + 1)) number = lasts.get(number + 1) ?? number + 1;
      return number;
    },
    /** What is there beyond a hole. */
    also(): [number, number][] {
      const ranges = new NumberRanges([...frames.keys()].map((first) => [first, lasts.get(first) ?? first] as const));
      return ranges.ranges.filter(([first]) => first > cloud.upTo()).map(([first, last]) => [first, last]);
    },
    receipt(): Receipt {
      const upTo = cloud.upTo();
      let sum = cloud.spoilSum ? 1n : 0n;
      for (const [number, bytes] of frames)
        if (number <= upTo) sum += createHash('sha256').update(bytes).digest().readBigUInt64BE(0);
      return {
        y: 'receipt',
        epoch: cloud.epoch,
        up_to: upTo,
        sum: (sum % 2n ** 64n).toString(16).padStart(16, '0'),
        also: cloud.also(),
        bad: [],
      };
    },
    send: (message: DownMessage) => far.broker().publish(downTopic, JSON.stringify(message), { qos: 1 }),
  };
  far.onPublish = async ({ topic, payload }: BrokerPublish) => {
    const parsed = parseTopic(topic);
    if (parsed?.kind !== 'up' || parsed.gridId !== gridId || parsed.gatewayId !== gatewayId) {
      if (parsed?.kind !== 'gatewayStatus') cloud.foreign.push(topic);
      return;
    }
    if (parsed.lane === 'session' || parsed.lane === 'alerts') {
      const message = JSON.parse(new TextDecoder().decode(payload)) as Hello | Goodbye | AlertsUp;
      if (message.y === 'alerts') cloud.alerts.push(...message.events);
      else if (message.y === 'goodbye') cloud.goodbyes.push(message);
      else {
        cloud.hellos.push(message);
        cloud.epoch = message.epoch;
        if (!cloud.answersHello) return;
        await cloud.send({
          y: 'welcome',
          server_time_ms: clock.nowMs(),
          receipt: cloud.receipt(),
          ...(cloud.takes ? { takes: cloud.takes } : {}),
        });
        if (cloud.acts.length > 0) await cloud.send({ y: 'acts', events: cloud.acts });
      }
      return;
    }
    if (cloud.cutLine()) throw new Error('the line is cut');
    const body = payload.subarray(1);
    const unpack = { [envelopeDeflated]: inflateRawSync, [envelopeBrotli]: brotliDecompressSync }[payload[0] as number];
    const envelope = decodeEnvelopeBody(unpack ? unpack(body) : body);
    cloud.envelopes.push({
      ...envelope,
      lane: parsed.lane,
      count: envelope.frames.length,
      bytes: payload.length,
      atMs: clock.monotonicMs(),
    });
    if (cloud.loseEnvelope()) return;
    let number = envelope.first;
    for (const [i, bytes] of envelope.frames.entries()) {
      const known = frames.get(number);
      if (known && Buffer.compare(known, bytes) !== 0) cloud.conflicts += 1;
      frames.set(number, Uint8Array.from(bytes));
      const count = envelope.counts?.[i] ?? 1;
      if (count > 1) lasts.set(number, number + count - 1);
      number += count;
    }
    if (!envelope.receiptWanted || cloud.loseReceipt()) return;
    for (let i = 0; i < cloud.repeat; i += 1) await cloud.send(cloud.receipt());
  };
  return cloud;
}

const sample = (timeMs: number, value: number): Sample => ({
  deviceId: 'inv-1',
  metric: 'generation_kw',
  timeMs,
  value,
  quality: 0,
});
const noted = (id: string): AlertEvent => ({
  kind: 'noted',
  id,
  alert_id: 'a1',
  grid_id: gridId,
  at_ms: 1,
  origin: { kind: 'gateway', id: gatewayId },
  actor: { user_id: 'u', name: 'Operator' },
  note: 'looked at it',
});

/** A gateway's log and uplink; `speed` makes what the uplink takes for real time faster. */
async function gateway(
  t: Test,
  far: FarSide,
  over: { path?: string; url?: string; speed?: number; site?: () => Site; clock?: Clock } & Partial<
    Pick<UplinkOptions, 'plan' | 'gatherS' | 'dailyBytes'>
  > = {},
) {
  const village = over.clock ?? clock;
  const path = over.path ?? join(tempDir(t), 'log.db');
  const network: Clock =
    over.speed === undefined ? clock : acceleratedClock({ realEpochMs: 0, villageEpochMs: 0, speed: over.speed });
  const database = openDatabase({ path });
  const log = openLog({
    database,
    clock: village,
    realClock: clock,
    random: cryptoRandom(),
    log: silentLogger(),
    trust: () => 'ntp',
    holdMs: 5,
    maxSamples: 1000,
    maxBytes: 1_000_000,
  });
  const { log: logger, lines } = memoryLog({ foldAfter: 1000 });
  const acts: AlertEvent[] = [];
  const times: { offMs: number; exactToMs: number }[] = [];
  let refuseActs = false;
  const uplink = createUplink({
    destination: createMqttDestination({
      url: over.url ?? far.url(),
      ...(await far.files(gatewayId)),
      clientId: gatewayId,
      realClock: network,
      random: seededRandom(3),
      log: logger,
      backoff: { minMs: 50, maxMs: 400 },
    }),
    log,
    gatewayId,
    gridId,
    version: '0.1.0',
    plan: 'raw',
    seals: createSealStore(database, log.epoch),
    ...over,
    site: over.site ?? (() => ({ name: 'Test' }) as unknown as Site),
    clockTrust: () => 'ntp',
    onCloudTime: (nowMs, exactToMs) => times.push({ offMs: Math.abs(nowMs - clock.nowMs()), exactToMs }),
    clock: village,
    realClock: network,
    logger,
    onActs: async (events) => {
      if (refuseActs) throw new Error('the card is full');
      acts.push(...events);
    },
  });
  let stopped: Promise<void> | undefined;
  const stop = () =>
    (stopped ??= uplink.stop().then(async () => {
      await log.close?.();
      database.close();
    }));
  t.teardown(stop);
  const self = {
    path,
    log,
    uplink,
    lines,
    acts,
    times,
    stop,
    stats: (): UplinkStats => uplink.stats(),
    refuseActs: (refuse: boolean) => void (refuseActs = refuse),
    /** Appends so many frames, each its own commit. */
    async frames(count: number) {
      for (let i = 0; i < count; i += 1)
        await log.append({ samples: [sample(clock.nowMs(), log.newestNumber())] }, { urgent: true });
    },
    /** Whether the cloud holds exactly the log, and the cursor says so. */
    complete(cloud: ReturnType<typeof fakeCloud>) {
      const newest = log.newestNumber();
      return cloud.upTo() === newest && log.cursor('uplink') === newest;
    },
    same(cloud: ReturnType<typeof fakeCloud>) {
      const all = log.read(1, { maxFrames: 1e6, maxBytes: 1e9 });
      return all.every(({ number, bytes }) => Buffer.compare(bytes, cloud.frames.get(number) ?? Buffer.alloc(0)) === 0);
    },
  };
  return self;
}

t.test(
  'HELLO first, then a backlog in few envelopes, then what is new; every frame arrives as the log keeps it',
  async (t) => {
    const far = await startFarSide(t);
    const cloud = fakeCloud(far);
    const house = await gateway(t, far);
    await house.frames(700);
    house.uplink.start();
    await until('the backlog is receipted', () => house.complete(cloud));
    t.match(cloud.hellos[0], {
      y: 'hello',
      gateway_id: gatewayId,
      epoch: house.log.epoch,
      receipted_number: 0,
      plan: 'raw',
    });
    t.equal(cloud.hellos.length, 1);
    t.match(house.times.length, 1, 'the welcome told the time, half of its way added');
    t.ok(house.times.every(({ offMs, exactToMs }) => offMs <= exactToMs + 50 && exactToMs < 5000));
    t.ok(cloud.envelopes.length <= 15, `${cloud.envelopes.length} envelopes for 701 frames`);
    t.equal(cloud.envelopes[0]?.lane, 'backfill');
    const before = cloud.envelopes.length;
    const startMs = clock.monotonicMs();
    await house.frames(20);
    await until('the new ones too', () => house.complete(cloud));
    t.ok(clock.monotonicMs() - startMs < 5000);
    t.ok(cloud.envelopes.length - before <= 5, 'new frames wait a little for company');
    t.equal(cloud.envelopes.at(-1)?.lane, 'live');
    t.ok(house.same(cloud));
    t.equal(decodeFrame(cloud.frames.get(2) ?? new Uint8Array()).samples[0]?.deviceId, 'inv-1');
    t.match(house.stats(), { connected: true, backlogFrames: 0, backlogAgeS: 0, sumMismatches: 0 });
    t.equal(house.stats().receiptedNumber, house.log.newestNumber());
    await house.stop();
    t.equal(cloud.goodbyes.length, 1, 'a clean stop says goodbye');
    t.same(cloud.foreign, [], 'nothing on any other topic');
    t.ok(cloud.envelopes.every(({ bytes }) => bytes <= 96 * 1024));
  },
);

t.test(
  'a cloud that loses receipts and envelopes, repeats receipts and cuts the line gets everything, once',
  async (t) => {
    const seed = process.env.SEED ?? String(clock.nowMs() % 1e6);
    t.comment(`SEED=${seed}`);
    const random = seededRandom(seed);
    const far = await startFarSide(t);
    const cloud = fakeCloud(far);
    const trouble = (chance: number) => () => random.float() < chance;
    cloud.loseReceipt = trouble(0.3);
    cloud.loseEnvelope = trouble(0.15);
    cloud.cutLine = trouble(0.1);
    cloud.repeat = 2;
    const house = await gateway(t, far, { speed: 20 });
    await house.frames(300);
    house.uplink.start();
    for (let i = 0; i < 30; i += 1) {
      await house.frames(10);
      await clock.sleep(40);
    }
    cloud.loseReceipt = cloud.loseEnvelope = cloud.cutLine = () => false;
    await until('everything is receipted', () => house.complete(cloud));
    t.ok(house.same(cloud));
    t.equal(cloud.conflicts, 0, 'what came twice was the same');
    t.equal(house.stats().sumMismatches, 0);
    t.ok(cloud.hellos.length > 1, 'each new connection begins with HELLO');
  },
);

t.test('an envelope the cloud acknowledged and lost is sent again although later ones keep coming', async (t) => {
  const far = await startFarSide(t);
  const cloud = fakeCloud(far);
  const house = await gateway(t, far, { speed: 20 });
  house.uplink.start();
  await until('welcome', () => house.complete(cloud));
  let lose = 1;
  cloud.loseEnvelope = () => lose-- > 0;
  const startMs = clock.monotonicMs();
  let healed: number | undefined;
  // The village never falls silent: each receipt for something later must not put off the resend of the hole.
  while (healed === undefined && clock.monotonicMs() - startMs < 8000) {
    await house.frames(1);
    await clock.sleep(30);
    if (lose < 1 && cloud.upTo() >= house.log.newestNumber() - 5 && cloud.upTo() > 2)
      healed = clock.monotonicMs() - startMs;
  }
  t.ok(healed !== undefined, 'the hole is closed while traffic goes on');
  await until('complete', () => house.complete(cloud));
});

t.test(
  'a cloud that was dead for a while is told everything since; a restarted gateway goes on where receipts ended',
  async (t) => {
    const far = await startFarSide(t);
    const cloud = fakeCloud(far);
    const house = await gateway(t, far);
    house.uplink.start();
    await house.frames(10);
    await until('complete', () => house.complete(cloud));
    await far.die();
    await until('noticed', () => !house.stats().connected);
    await house.frames(150);
    t.equal(house.stats().backlogFrames, 150);
    await clock.sleep(50);
    t.ok(house.stats().backlogAgeS > 0);
    await far.comeBack();
    await until('complete again', () => house.complete(cloud));
    await far.die();
    await house.frames(40);
    await house.stop();
    const cursor = cloud.upTo();
    await far.comeBack();
    const again = await gateway(t, far, { path: house.path });
    t.equal(again.log.cursor('uplink'), cursor, 'the cursor is durable');
    const before = cloud.envelopes.length;
    again.uplink.start();
    await until('the rest', () => again.complete(cloud));
    t.ok(
      cloud.envelopes.slice(before).every(({ first }) => first > cursor),
      'nothing receipted is sent again',
    );
    t.ok(again.same(cloud));
    t.equal(again.stats().sumMismatches, 0);
  },
);

t.test('a cloud that lost its ledger gets everything the log still has', async (t) => {
  const far = await startFarSide(t);
  const cloud = fakeCloud(far);
  const house = await gateway(t, far);
  house.uplink.start();
  await house.frames(30);
  await until('complete', () => house.complete(cloud));
  cloud.frames.clear();
  far.broker().disconnect(gatewayId);
  await until('complete again', () => cloud.upTo() === house.log.newestNumber());
  t.ok(house.same(cloud));
});

t.test('alert events go ahead at once, also out of a long backlog; they come in their frames too', async (t) => {
  const far = await startFarSide(t);
  const cloud = fakeCloud(far);
  const house = await gateway(t, far);
  await house.frames(100);
  await house.log.append({ events: [noted('e1')] }, { urgent: true });
  await house.frames(100);
  cloud.loseReceipt = () => true;
  house.uplink.start();
  await until('the waiting event', () => cloud.alerts.some(({ id }) => id === 'e1'));
  cloud.loseReceipt = () => false;
  const startMs = clock.monotonicMs();
  await house.log.append({ events: [noted('e2')] }, { urgent: true });
  await until('the new event', () => cloud.alerts.some(({ id }) => id === 'e2'));
  t.ok(clock.monotonicMs() - startMs < 1500, 'without waiting for telemetry');
  await until('complete', () => house.complete(cloud));
  const inFrames = [...cloud.frames.values()].flatMap((bytes) => decodeFrame(bytes).events.map(({ id }) => id));
  t.same(inFrames.sort(), ['e1', 'e2']);
});

t.test('acts come down; what cannot be stored harms nothing and comes again', async (t) => {
  const far = await startFarSide(t);
  const cloud = fakeCloud(far);
  const house = await gateway(t, far);
  cloud.acts = [noted('act-1')];
  house.refuseActs(true);
  house.uplink.start();
  await until('complete', () => house.complete(cloud));
  t.same(house.acts, []);
  house.refuseActs(false);
  await cloud.send({ y: 'acts', events: cloud.acts });
  await until('the act', () => house.acts.length === 1);
  t.equal(house.acts[0]?.id, 'act-1');
  // In the log an event that is none would stop everybody who reads it.
  const strange = { ...noted('act-2'), kind: 'sung' } as unknown as AlertEvent;
  const foreign = { ...noted('act-3'), grid_id: 'elsewhere' };
  await cloud.send({ y: 'acts', events: [strange, foreign, noted('act-4')] });
  await until('the good one of three', () => house.acts.length > 1);
  t.same(
    house.acts.map(({ id }) => id),
    ['act-1', 'act-4'],
  );
  t.match(
    house.lines.filter(({ msg }) => /act from the cloud was left aside/.test(msg)).map(({ reason }) => reason),
    [/unknown kind sung/, /of grid elsewhere/],
  );
});

t.test('a sum that differs is told and counted and stops nothing; nonsense from above is left aside', async (t) => {
  const far = await startFarSide(t);
  const cloud = fakeCloud(far);
  const house = await gateway(t, far);
  house.uplink.start();
  await house.frames(5);
  await until('complete', () => house.complete(cloud));
  cloud.spoilSum = true;
  await house.frames(5);
  await until('it is noticed', () => house.stats().sumMismatches > 0);
  t.ok(house.lines.some(({ level, msg }) => level === 'error' && /sum differs/.test(msg)));
  cloud.spoilSum = false;
  const cursor = () => house.log.cursor('uplink');
  await until('complete', () => house.complete(cloud));
  const before = cursor();
  const nonsense = [
    'not json',
    'null',
    '7',
    '{}',
    '{"y":"receipt"}',
    JSON.stringify({ ...cloud.receipt(), epoch: 'another life', up_to: 1e6 }),
    JSON.stringify({ ...cloud.receipt(), sum: 'xyz', up_to: before }),
    '{"y":"acts"}',
    '{"y":"welcome"}',
  ];
  for (const text of nonsense) await far.broker().publish(downTopic, text, { qos: 1 });
  await house.frames(5);
  await until('it goes on', () => house.complete(cloud));
  t.equal(cursor(), before + 5);
});

t.test(
  'after a long outage, over a slow link that breaks: the alert first, live soon, history beside it, all once',
  async (t) => {
    const far = await startFarSide(t);
    const proxy = await stallingProxy(t, () => far.port, { bytesPerS: 8000, delayMs: 150 });
    const cloud = fakeCloud(far);
    const house = await gateway(t, far, { url: `mqtts://127.0.0.1:${proxy.port}` });
    const random = seededRandom(5);
    const busy = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ ...sample(clock.nowMs(), random.float()), deviceId: `inv-${i}` }));
    for (let i = 0; i < 500; i += 1) {
      if (i === 250) await house.log.append({ events: [noted('e1')] }, { urgent: true });
      await house.log.append({ samples: busy(20) }, { urgent: true });
    }
    const history = house.log.newestNumber();
    let beforeAlert: number | undefined;
    const take = far.onPublish;
    far.onPublish = (publish) => {
      if (cloud.alerts.length > 0) beforeAlert ??= cloud.envelopes.filter(({ lane }) => lane === 'backfill').length;
      return take(publish);
    };
    house.uplink.start();
    await until('welcome', () => house.stats().connected);
    const startMs = clock.monotonicMs();
    const born = new Map<number, number>();
    let cuts = 0;
    while (cloud.upTo() < history && clock.monotonicMs() - startMs < 60_000) {
      const bornMs = clock.monotonicMs();
      born.set(await house.log.append({ samples: busy(3) }, { urgent: true }), bornMs);
      await clock.sleep(250);
      if (cloud.frames.size > history / 3 && cuts === 0) {
        cuts += 1;
        proxy.cut();
      }
    }
    const tookMs = clock.monotonicMs() - startMs;
    t.ok(cloud.upTo() >= history, 'the backlog is there');
    await until('all', () => house.complete(cloud));
    t.equal(beforeAlert, 0, 'the alert was there before any history');
    const arrived = new Map<number, number>();
    for (const { first, count, atMs } of [...cloud.envelopes].reverse())
      for (let number = first; number < first + count; number += 1) arrived.set(number, atMs);
    const lags = [...born]
      .map(([number, ms]) => (arrived.get(number) ?? Number.POSITIVE_INFINITY) - ms)
      .sort((a, b) => a - b);
    const [half, worst] = [lags[Math.floor(lags.length / 2)] ?? 0, lags.at(-1) ?? 0];
    t.comment(
      `${history} frames in ${Math.round(tookMs)} ms; live lag ${Math.round(half)} ms, at worst ${Math.round(worst)} ms`,
    );
    t.ok(tookMs > 2000, 'the backlog took a while');
    t.ok(half < Math.max(2500, tookMs / 4) && worst < Math.max(6000, tookMs / 2), 'live did not wait for it');
    t.ok(house.same(cloud));
    t.equal(cloud.conflicts, 0);
    t.equal(house.stats().sumMismatches, 0);
    const counted = house.stats().dayBytes;
    t.ok(
      counted >= proxy.carried() && counted < proxy.carried() * 1.5 + 10_000,
      `${counted} counted, ${proxy.carried()} carried`,
    );
  },
);

/** A clock that is turned by hand. */
function handClock(startMs: number): Clock & { turn(ms: number): void } {
  let offMs = 0;
  return { ...clock, nowMs: () => startMs + offMs, monotonicMs: () => offMs, turn: (ms) => void (offMs += ms) };
}

t.test(
  'plan standard: one value a minute, five minutes a frame that stands for all its numbers, the same bytes after a restart',
  async (t) => {
    const far = await startFarSide(t);
    const cloud = fakeCloud(far);
    cloud.takes = envelopeAbilities;
    const village = handClock(1_795_341_600_000);
    const house = await gateway(t, far, { plan: 'standard', clock: village });
    const live = async (frames: number, toHouse = house) => {
      for (let i = 0; i < frames; i += 1) {
        village.turn(15_000);
        const nowMs = village.nowMs();
        const counter: Sample = { ...sample(nowMs, i), metric: 'generation_energy_kwh' };
        await toHouse.log.append({ samples: [sample(nowMs, i % 4), counter] }, { urgent: true });
      }
    };
    await live(50);
    house.uplink.start();
    await until('ten of 12.5 minutes', () => cloud.frames.size === 2 && house.log.cursor('uplink') === 40);
    const first = [...cloud.frames.keys()][1] as number;
    const frame = decodeFrame(cloud.frames.get(first) as Uint8Array);
    const of = (metric: string) => frame.samples.filter((one) => one.metric === metric);
    t.equal(of('generation_kw').length, 5);
    t.equal(of('generation_kw')[1]?.value, 1.5, 'a mean of 0 to 3');
    t.ok(of('generation_energy_kwh').every(({ value }, i, all) => i === 0 || value === (all[i - 1]?.value ?? 0) + 4));
    await live(3);
    await clock.sleep(400);
    t.equal(house.stats().backlogFrames, 14, 'what may still grow is not sealed');
    const before = cloud.envelopes.length;
    cloud.loseEnvelope = () => true;
    await live(20);
    await until('it was sent', () => cloud.envelopes.length > before);
    const lost = cloud.envelopes.at(-1);
    await house.stop();
    cloud.loseEnvelope = () => false;
    const again = await gateway(t, far, { path: house.path, plan: 'standard', clock: village });
    await live(10, again);
    again.uplink.start();
    await until('what was lost', () => again.log.cursor('uplink') > (lost?.first ?? 0));
    t.same(
      Buffer.from(cloud.frames.get(lost?.first as number) as Uint8Array),
      Buffer.from(lost?.frames[0] as Uint8Array),
    );
    t.equal(cloud.conflicts, 0);
    t.equal(again.stats().sumMismatches, 0);
  },
);

t.test('while somebody watches from afar more is sent, and sooner; it ends by itself', async (t) => {
  const far = await startFarSide(t);
  const cloud = fakeCloud(far);
  cloud.takes = envelopeAbilities;
  const village = handClock(1_795_341_600_000);
  const house = await gateway(t, far, { plan: 'metered', clock: village, speed: 20 });
  const append = async (count: number) => {
    for (let i = 0; i < count; i += 1) {
      village.turn(2000);
      await house.log.append({ samples: [sample(village.nowMs(), i)] }, { urgent: true });
    }
  };
  house.uplink.start();
  await until('welcome', () => house.stats().connected);
  await append(30);
  await clock.sleep(300);
  t.equal(cloud.envelopes.length, 0, 'a quarter of an hour is not over');
  await cloud.send({ y: 'boost', for_s: 60 });
  await until('what waited', () => cloud.upTo() >= 25);
  t.match(house.stats(), { plan: 'metered', boosted: true });
  t.match(cloud.envelopes[0], { plan: 'boost', lane: 'live' });
  t.equal(decodeFrame(cloud.frames.get(6) as Uint8Array).samples.length, 1, 'one of ten seconds');
  await until('it ends', () => !house.stats().boosted);
  const before = cloud.envelopes.length;
  await append(30);
  await clock.sleep(300);
  t.equal(cloud.envelopes.length, before);
});

t.test(
  'a day’s bytes: history waits when they are used, alerts never do, and what is promised keeps to them',
  async (t) => {
    const [nowMs, hour] = [1_795_341_600_000, 3_600_000];
    const store = memorySealStore();
    const budget = new DayBudget({ store, zone: () => 'Africa/Nairobi', dailyBytes: 1_000_000 });
    t.same(localDay(nowMs, 'Africa/Nairobi'), { day: '2026-11-22', endMs: Date.UTC(2026, 10, 22, 21) });
    budget.count(100_000, nowMs);
    t.ok(budget.allows('backfill', nowMs));
    // Live alone will take the rest of the day: history gets nothing.
    budget.countLive(1, nowMs);
    budget.countLive(100_000, nowMs + hour);
    budget.count(162_500, nowMs + hour);
    t.notOk(budget.allows('backfill', nowMs + hour));
    t.ok(budget.allows('live', nowMs + hour));
    budget.count(1_000_000, nowMs + hour);
    t.notOk(budget.allows('live', nowMs + hour));
    budget.save();
    const later = new DayBudget({ store, zone: () => 'Africa/Nairobi', dailyBytes: 1_000_000 });
    t.equal(later.usedBytes(nowMs + hour), 1_000_000, 'a restart forgets nothing');
    t.equal(later.usedBytes(nowMs + 24 * hour), 0, 'a new day');

    const facts = {
      nowMs,
      dayEndMs: nowMs + 10 * hour,
      dailyBytes: 1_000_000,
      usedBytes: 500_000,
      reserveBytes: 100_000,
      livePerDayBytes: 240_000,
      bytesPerMs: 100_000 / hour,
      waitingBytes: 300_000,
    };
    t.equal(completeAtMs(facts), nowMs + 3 * hour);
    t.equal(completeAtMs({ ...facts, dailyBytes: null, waitingBytes: 2_000_000 }), nowMs + 20 * hour);
    // 400 kB today, 760 kB tomorrow, the rest of 240 kB the day after.
    t.equal(completeAtMs({ ...facts, waitingBytes: 1_400_000 }), facts.dayEndMs + 24 * hour + 2.4 * hour);
    t.equal(completeAtMs({ ...facts, waitingBytes: 1_400_000, livePerDayBytes: 1_000_000 }), null);
    t.equal(completeAtMs({ ...facts, bytesPerMs: 0 }), null);

    const far = await startFarSide(t);
    const cloud = fakeCloud(far);
    const house = await gateway(t, far, { dailyBytes: 100 });
    await house.frames(100);
    await house.log.append({ events: [noted('e1')] }, { urgent: true });
    house.uplink.start();
    await until('the alert', () => cloud.alerts.length === 1);
    await until('it is held', () => house.stats().held === 'budget');
    t.ok(house.stats().dayBytes > 100);
    t.equal(cloud.envelopes.length, 0);
  },
);

t.test('HELLO is repeated until it is answered, and sent anew when the site changes', async (t) => {
  const far = await startFarSide(t);
  const cloud = fakeCloud(far);
  let name = 'Before';
  const house = await gateway(t, far, { speed: 40, site: () => ({ name }) as unknown as Site });
  cloud.answersHello = false;
  house.uplink.start();
  await until('again', () => cloud.hellos.length >= 2);
  t.equal(cloud.envelopes.length, 0, 'nothing is sent before WELCOME');
  cloud.answersHello = true;
  await until('complete', () => house.complete(cloud));
  name = 'After';
  const before = cloud.hellos.length;
  house.uplink.siteChanged();
  await until('a new HELLO', () => cloud.hellos.length > before);
  t.match(cloud.hellos.at(-1)?.site, { name: 'After' });
});
