/** What every destination of the uplink promises, whatever library is behind it. Run it with a way to make one. */
import { connect, createServer, type Socket } from 'node:net';
import { type Clock, topics } from '@villagrid/contracts';
import { acceleratedClock, realClock } from '@villagrid/runtime';
import type { Test } from 'tap';
import type { UplinkDestination } from '../destination.js';
import { type ClientFiles, type FarSide, startFarSide } from './far-side.js';

/** Makes the destination under test for a gateway. `clock` is what it takes for real time. */
export type MakeDestination = (options: {
  readonly url: string;
  readonly gatewayId: string;
  readonly files: ClientFiles;
  readonly clock: Clock;
}) => UplinkDestination;

const clock = realClock();
const gatewayId = 'gw-1';
const up = topics.up('g1', gatewayId, 'live');
const down = topics.down('g1', gatewayId);
const bytes = (text: string) => new TextEncoder().encode(text);

async function until(what: string, met: () => boolean, timeoutMs = 15_000): Promise<void> {
  const endMs = clock.monotonicMs() + timeoutMs;
  while (!met()) {
    if (clock.monotonicMs() > endMs) throw new Error(`waited in vain for: ${what}`);
    await clock.sleep(10);
  }
}

/** Registers the suite's tests. */
export function destinationSuite(t: Test, name: string, make: MakeDestination): void {
  const open = async (t: Test, far: FarSide, over: { url?: string; stranger?: boolean; clock?: Clock } = {}) => {
    const destination = make({
      url: over.url ?? far.url(),
      gatewayId,
      files: await far.files(gatewayId, over.stranger),
      clock: over.clock ?? clock,
    });
    t.teardown(() => destination.close());
    const events: string[] = [];
    destination.open(down, {
      up: () => void events.push('up'),
      down: () => void events.push('down'),
      message: (topic, payload) => void events.push(`${topic} ${new TextDecoder().decode(payload)}`),
    });
    return { destination, events };
  };

  t.test(`${name}: up when subscribed; publishing resolves only after the far side has acknowledged`, async (t) => {
    const far = await startFarSide(t);
    let release: (() => void) | undefined;
    const seen: string[] = [];
    far.onPublish = ({ topic, payload }) => {
      seen.push(`${topic} ${new TextDecoder().decode(payload)}`);
      return new Promise((resolve) => (release = resolve));
    };
    const { destination, events } = await open(t, far);
    await t.rejects(destination.publish(up, bytes('too early')), 'before the link is up');
    await until('up', () => destination.connected);
    t.same(events, ['up']);
    let done = false;
    const publishing = destination.publish(up, bytes('one')).then(() => (done = true));
    await until('it arrived', () => seen.length === 1);
    await clock.sleep(100);
    t.notOk(done, 'arrived is not acknowledged');
    release?.();
    await publishing;
    t.same(seen, [`${up} one`], 'what was published too early was not kept for later');
    await far.broker().publish(down, 'hello', { qos: 1 });
    await until('the message', () => events.length === 2);
    t.equal(events[1], `${down} hello`);
  });

  t.test(
    `${name}: a refused topic and a lost link reject at once, nothing is sent later, and the link comes again`,
    async (t) => {
      const far = await startFarSide(t);
      const seen: string[] = [];
      far.onPublish = async ({ payload }) => void seen.push(new TextDecoder().decode(payload));
      const { destination, events } = await open(t, far);
      await until('up', () => destination.connected);
      await t.rejects(destination.publish(topics.up('g1', 'gw-2', 'live'), bytes('foreign')), 'foreign topic');
      await until('up again', () => destination.connected);
      far.onPublish = () => Promise.reject(new Error('the store is broken'));
      await t.rejects(destination.publish(up, bytes('not stored')), 'not acknowledged');
      far.onPublish = async ({ payload }) => void seen.push(new TextDecoder().decode(payload));
      await until('up again', () => destination.connected);
      await far.die();
      await until('down', () => !destination.connected);
      await t.rejects(destination.publish(up, bytes('while down')));
      await far.comeBack();
      await until('up again', () => destination.connected);
      await destination.publish(up, bytes('after'));
      t.same(seen, ['after']);
      t.equal(events.filter((one) => one === 'up').length, events.filter((one) => one === 'down').length + 1);
    },
  );

  t.test(`${name}: a certificate of a foreign authority never gets up`, async (t) => {
    const far = await startFarSide(t);
    const { destination, events } = await open(t, far, { stranger: true });
    await clock.sleep(1500);
    t.notOk(destination.connected);
    t.same(events, []);
    t.same(far.connects, []);
  });

  t.test(`${name}: a half-open line is noticed by the missing acknowledgement and made anew`, async (t) => {
    const far = await startFarSide(t);
    const proxy = await stallingProxy(t, () => far.port);
    const fast = acceleratedClock({ realEpochMs: 0, villageEpochMs: 0, speed: 40 });
    const { destination, events } = await open(t, far, { url: `mqtts://127.0.0.1:${proxy.port}`, clock: fast });
    await until('up', () => destination.connected);
    proxy.stall();
    await t.rejects(destination.publish(up, bytes('into the void')));
    await until('told down', () => events.includes('down'));
    await until('up again', () => destination.connected);
    await destination.publish(up, bytes('through'));
  });

  t.test(`${name}: close ends the connection, also while it is down, and nothing comes after it`, async (t) => {
    const far = await startFarSide(t);
    const { destination, events } = await open(t, far);
    await until('up', () => destination.connected);
    await destination.close();
    await destination.close();
    t.notOk(destination.connected);
    await t.rejects(destination.publish(up, bytes('closed')));
    const second = await open(t, far);
    await until('up', () => second.destination.connected);
    await far.die();
    await until('down', () => !second.destination.connected);
    await second.destination.close();
    const connects = far.connects.length;
    await far.comeBack();
    await clock.sleep(1200);
    t.equal(far.connects.length, connects, 'no connection after close');
    t.same(events, ['up']);
  });
}

/**
 * A TCP proxy whose lines can go dead without being closed, as on a lost radio link; new lines work. With a rate (bytes a
 * second, each way) and a delay it is a weak mobile link.
 */
export async function stallingProxy(
  t: Test,
  target: () => number,
  { bytesPerS = 0, delayMs = 0 }: { bytesPerS?: number; delayMs?: number } = {},
) {
  let carried = 0;
  const sockets = new Set<Socket>();
  const lines = new Set<{ dead: boolean }>();
  const server = createServer((near) => {
    const distant = connect(target(), '127.0.0.1');
    const line = { dead: false };
    lines.add(line);
    for (const [from, to] of [
      [near, distant],
      [distant, near],
    ] as const) {
      sockets.add(from);
      let freeAtMs = 0;
      from.on('data', (data) => {
        carried += data.length;
        if (bytesPerS === 0 && delayMs === 0) return void (line.dead || to.write(data));
        const nowMs = clock.monotonicMs();
        freeAtMs = Math.max(freeAtMs, nowMs) + (data.length / bytesPerS) * 1000;
        // What is on the way is what the radio has room for; the rest waits at the sender.
        if (freeAtMs - nowMs > 500) from.pause();
        clock.after(freeAtMs - nowMs + delayMs, () => {
          from.resume();
          if (!line.dead && !to.destroyed) to.write(data);
        });
      });
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    /** Bytes that were carried, both ways. */
    carried: () => carried,
    /** Ends all lines: those who had them notice. */
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    stall: () => {
      for (const line of lines) line.dead = true;
    },
  };
}
