/** What nodes do on the wire: sending again, coming back, leaving; as bare sockets, where a library would hide it. */
import t from 'tap';
import { topics, type Sample } from '@villagrid/contracts';
import { realClock } from '@villagrid/runtime';
import type { Gateway } from './index.js';
import { bareNode, publishPacket } from './testing/bare-node.js';
import { gatewayFolder, gridId, startHouse, until } from './testing/house.js';

const clock = realClock();
const samplesOf = (gateway: Gateway, deviceId: string): Sample[] =>
  gateway.log
    .read(1, { maxFrames: 100_000, maxBytes: 1e9 })
    .flatMap(({ frame }) => frame.samples.filter((one) => one.deviceId === deviceId));
const linkStates = (gateway: Gateway) =>
  gateway.log
    .read(1, { maxFrames: 100_000, maxBytes: 1e9 })
    .flatMap(({ frame }) => frame.entries.flatMap((one) => (one.type === 'link_state' ? [one.state] : [])));
const topic = topics.telemetry(gridId, 'meter-1');
const numbered = (seq: number) =>
  JSON.stringify({ v: 1, boot: 'k3f9', seq, up: seq * 1000, metrics: { consumption_kw: seq } });
const plain = (value: number) => JSON.stringify({ metrics: { consumption_kw: value } });
const values = (gateway: Gateway) => samplesOf(gateway, 'meter-1').map((one) => one.value);

t.test(
  'a node that resends every second what the hold still keeps has each reading stored once and each packet id acknowledged after the commit',
  async (t) => {
    const { gateway, addresses } = await startHouse(t, await gatewayFolder(t, { log: { hold_ms: 500 } }));
    const node = await bareNode(t, addresses.mqtt, 'meter-1');
    const sent: [number, string][] = [
      [1, numbered(1)],
      [2, plain(2)],
      [3, numbered(3)],
      [4, plain(4)],
      [5, plain(4)],
    ];
    for (const [id, payload] of sent) node.socket.write(publishPacket(topic, id, payload));
    for (let round = 0; round < 3; round += 1) {
      await clock.sleep(80);
      t.same(node.acknowledged(), [], 'nothing before the commit');
      for (const [id, payload] of sent) node.socket.write(publishPacket(topic, id, payload, true));
    }
    t.ok(await until(() => node.acknowledged().length === 20), 'every copy is answered, as MQTT asks');
    t.same(node.acknowledged().slice(0, 5), [1, 2, 3, 4, 5]);
    t.same([...new Set(node.acknowledged())].sort(), [1, 2, 3, 4, 5]);
    t.same(values(gateway), [1, 2, 3, 4, 4], 'the same figures in a publish of its own are a reading of their own');
    node.socket.write(publishPacket(topic, 2, plain(9)));
    t.ok(await until(() => values(gateway).length === 6), 'a packet id that comes round again is a new publish');
    node.socket.write(publishPacket(topic, 4, plain(10), true));
    t.ok(await until(() => values(gateway).length === 7), 'so are other bytes, whatever their flag');
  },
);

t.test('what was stored but not acknowledged when the connection broke is known again on the next one', async (t) => {
  const { gateway, addresses } = await startHouse(t, await gatewayFolder(t, { log: { hold_ms: 300 } }));
  const first = await bareNode(t, addresses.mqtt, 'meter-1');
  for (const [id, payload] of [
    [7, numbered(7)],
    [8, plain(8)],
  ] as const)
    first.socket.write(publishPacket(topic, id, payload));
  t.ok(await until(() => gateway.broker.stats().held === 2));
  first.socket.destroy();
  const second = await bareNode(t, addresses.mqtt, 'meter-1');
  second.socket.write(publishPacket(topic, 7, numbered(7), true));
  second.socket.write(publishPacket(topic, 8, plain(8), true));
  t.ok(await until(() => second.acknowledged().length === 2));
  t.same(second.acknowledged(), [7, 8]);
  const third = await bareNode(t, addresses.mqtt, 'meter-1');
  third.socket.write(publishPacket(topic, 8, plain(8), true));
  t.ok(await until(() => third.acknowledged().length === 1), 'also when the acknowledgement itself was lost');
  t.same(values(gateway), [7, 8]);
});

t.test('batches after an outage, out of order and overlapping, are stored once each', async (t) => {
  const { gateway, addresses } = await startHouse(t, await gatewayFolder(t));
  const node = await bareNode(t, addresses.mqtt, 'meter-1');
  const batch = (...seqs: number[]) =>
    JSON.stringify({
      v: 1,
      boot: 'k3f9',
      readings: seqs.map((seq) => ({ seq, up: seq * 1000, metrics: { consumption_kw: seq } })),
    });
  const batches = [batch(5, 6, 7), batch(1, 2, 3), batch(3, 4, 5), batch(7, 1), numbered(8), batch(8, 9, 2, 9)];
  batches.forEach((payload, index) => node.socket.write(publishPacket(topic, index + 1, payload)));
  batches.forEach((payload, index) => node.socket.write(publishPacket(topic, index + 1, payload, true)));
  t.ok(await until(() => node.acknowledged().length === 2 * batches.length));
  t.same(
    values(gateway).sort((a, b) => Number(a) - Number(b)),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
});

t.test('twenty thousand copies of what waits for its commit are held within bounds, and stored once', async (t) => {
  const { gateway, addresses } = await startHouse(
    t,
    await gatewayFolder(t, { log: { hold_ms: 1000 }, mqtt_limits: { packets_per_second: 0 } }),
  );
  const node = await bareNode(t, addresses.mqtt, 'meter-1');
  const copies = Buffer.concat(Array.from({ length: 20_000 }, () => publishPacket(topic, 5, plain(5), true)));
  node.socket.write(copies);
  let most = 0;
  t.ok(
    await until(() => {
      most = Math.max(most, gateway.broker.stats().held);
      return node.acknowledged().length === 20_000;
    }, 20_000),
  );
  t.ok(most > 100 && most <= 2500, `${most} held at once: what one read of the socket brings, no more`);
  t.same(values(gateway), [5]);
});

t.test(
  'a will speaks for its own connection only: one that was replaced, under any client id, is not heard',
  async (t) => {
    const { gateway, addresses } = await startHouse(t, await gatewayFolder(t));
    const link = () => gateway.api.grids.list()[0]?.link('meter-1');
    const status = topics.status(gridId, 'meter-1');
    const will = { topic: status, payload: 'offline' };
    const first = await bareNode(t, addresses.mqtt, 'meter-1', { clientId: 'meter-1-a', will });
    const second = await bareNode(t, addresses.mqtt, 'meter-1', { clientId: 'meter-1-b', will });
    const third = await bareNode(t, addresses.mqtt, 'meter-1', { clientId: 'meter-1-b', will });
    t.ok(await until(() => second.closed()), 'the same client id takes over');
    first.socket.destroy();
    t.ok(await until(() => gateway.broker.stats().clients === 1));
    await clock.sleep(50);
    t.equal(link(), 'up');
    third.socket.write(publishPacket(status, 1, 'who knows'));
    t.ok(await until(() => third.acknowledged().length === 1));
    t.equal(link(), 'up', 'a status that says neither changes nothing');
    const begunMs = clock.monotonicMs();
    third.socket.destroy();
    t.ok(await until(() => link() === 'down'));
    t.ok(clock.monotonicMs() - begunMs < 900, 'the last one is heard at once');
    t.ok(await until(() => linkStates(gateway).at(-1) === 'offline'));
    t.same(linkStates(gateway), ['online', 'offline'], 'and no other was heard for a moment');
  },
);
