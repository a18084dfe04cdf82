import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { realClock, seededRandom } from '@villagrid/runtime';
import t, { type Test } from 'tap';
import { clearRoad, startWanProxy } from '../src/index.js';

const seed = Number(process.env.SEED ?? 99);
t.comment(`SEED=${seed}`);
const clock = realClock();

/** An echo server behind the road, and a way to open a connection through it. */
async function road(t: Test) {
  const held = new Set<Socket>();
  const echo = createServer((socket) => {
    held.add(socket);
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  const proxy = await startWanProxy({
    listenPort: 0,
    targetHost: '127.0.0.1',
    targetPort: (echo.address() as AddressInfo).port,
    clock,
    random: seededRandom(seed),
  });
  t.teardown(async () => {
    await proxy.close();
    for (const socket of held) socket.destroy();
    await new Promise((resolve) => echo.close(resolve));
  });
  const open = () =>
    new Promise<{ socket: Socket; closed: Promise<void>; receive: (bytes: number) => Promise<Buffer> }>(
      (resolve, reject) => {
        const socket = connect(proxy.port, '127.0.0.1');
        t.teardown(() => socket.destroy());
        let got = Buffer.alloc(0);
        socket.on('data', (data) => {
          got = Buffer.concat([got, data]);
        });
        const closed = new Promise<void>((done) => socket.on('close', () => done()));
        socket.on('error', reject);
        socket.on('connect', () =>
          resolve({
            socket,
            closed,
            receive: async (bytes) => {
              const endMs = clock.monotonicMs() + 20_000;
              while (got.length < bytes) {
                if (clock.monotonicMs() > endMs) throw new Error(`${got.length} of ${bytes} bytes`);
                await clock.sleep(5);
              }
              return got;
            },
          }),
        );
      },
    );
  return { proxy, open };
}

t.test('a clear road carries every byte both ways, in order', async (t) => {
  const { proxy, open } = await road(t);
  const sent = Buffer.from(seededRandom(seed).bytes(300_000));
  const { socket, receive } = await open();
  socket.write(sent);
  t.ok(sent.equals(await receive(sent.length)));
  t.equal(proxy.stats().bytes, 2 * sent.length);
  t.equal(proxy.stats().connections, 1);
});

t.test('a cut resets what is open and refuses what is new, until it is mended', async (t) => {
  const { proxy, open } = await road(t);
  const before = await open();
  before.socket.on('error', () => undefined);
  before.socket.write('a');
  await before.receive(1);
  proxy.set({ cut: true });
  await before.closed;
  const during = await open().catch(() => undefined);
  await during?.closed;
  t.equal(proxy.stats().connections, 0);
  proxy.set({ cut: false });
  const after = await open();
  after.socket.write('b');
  t.equal((await after.receive(1)).toString(), 'b');
});

t.test('a slow road delays and throttles but loses nothing', async (t) => {
  const { proxy, open } = await road(t);
  const { socket, receive } = await open();
  proxy.set({ delayMs: 150, bytesPerS: 20_000 });
  let fromMs = clock.monotonicMs();
  socket.write('x');
  await receive(1);
  const roundTripMs = clock.monotonicMs() - fromMs;
  t.ok(roundTripMs >= 290 && roundTripMs < 3000, `round trip ${roundTripMs.toFixed(0)} ms`);
  fromMs = clock.monotonicMs();
  const sent = Buffer.from(seededRandom(seed).bytes(20_000));
  socket.write(sent);
  t.ok(sent.equals((await receive(20_001)).subarray(1)));
  const tookMs = clock.monotonicMs() - fromMs;
  t.ok(tookMs > 900, `20 kB at 20 kB/s took ${tookMs.toFixed(0)} ms`);
  proxy.set(clearRoad);
});

t.test(
  'a half-open road swallows everything and tells nobody; when it is mended the stale connection is reset',
  async (t) => {
    const { proxy, open } = await road(t);
    const stale = await open();
    stale.socket.on('error', () => undefined);
    stale.socket.write('a');
    await stale.receive(1);
    proxy.set({ halfOpen: true });
    let closed = false;
    void stale.closed.then(() => (closed = true));
    stale.socket.write('lost');
    await clock.sleep(300);
    t.equal((await stale.receive(1)).length, 1, 'nothing came back');
    t.notOk(closed, 'and nobody was told');
    proxy.set({ halfOpen: false });
    await stale.closed;
    const fresh = await open();
    fresh.socket.write('b');
    t.equal((await fresh.receive(1)).toString(), 'b');
  },
);
