import t from 'tap';
import { clockSuite, testClock } from '../testing/index.js';
import { acceleratedClock, cryptoRandom, realClock, seededRandom } from '../index.js';

const waitReal = (ms: number) => realClock().sleep(ms);

clockSuite(t, 'real clock', 20, () => ({ clock: realClock(), pass: waitReal }));
clockSuite(t, 'accelerated clock', 2000, () => ({
  clock: acceleratedClock({ realEpochMs: realClock().nowMs(), villageEpochMs: 1e12, speed: 100 }),
  pass: (ms) => waitReal(ms / 100),
}));
clockSuite(t, 'test clock', 1000, () => {
  const clock = testClock();
  return { clock, pass: (ms) => clock.advance(ms) };
});

t.test('speed 1 with equal epochs is real time', async (t) => {
  const clock = acceleratedClock({ realEpochMs: 5, villageEpochMs: 5, speed: 1 });
  t.ok(Math.abs(clock.nowMs() - realClock().nowMs()) < 50);
});

t.test('village time starts at its epoch and a speed must be a positive number', async (t) => {
  const real = realClock();
  const clock = acceleratedClock({ realEpochMs: real.nowMs() - 1000, villageEpochMs: 0, speed: 60 });
  t.ok(Math.abs(clock.nowMs() - 60_000) < 60 * 50);
  for (const speed of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => acceleratedClock({ realEpochMs: 0, villageEpochMs: 0, speed }), RangeError);
  }
});

t.test('a step of the wall clock moves neither timers nor monotonic time', async (t) => {
  const clock = testClock(1000);
  let ran = false;
  clock.after(100, () => (ran = true));
  clock.stepWall(1e9);
  await clock.advance(50);
  t.notOk(ran);
  t.equal(clock.monotonicMs(), 50);
  t.equal(clock.nowMs(), 1000 + 1e9 + 50);
});

t.test('the same seed gives the same numbers, another seed others, spread evenly', async (t) => {
  const numbers = (seed: number | string) => {
    const random = seededRandom(seed);
    return Array.from({ length: 5 }, () => random.float());
  };
  t.same(numbers(7), numbers(7));
  t.not(numbers(7)[0], numbers(8)[0]);
  t.same([...seededRandom('a').bytes(9)], [...seededRandom('a').bytes(9)]);
  for (const random of [seededRandom(1), cryptoRandom()]) {
    const bins = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i += 1) {
      const value = random.float();
      if (value < 0 || value >= 1) t.fail(`${value} is out of range`);
      bins[Math.floor(value * 10)] = (bins[Math.floor(value * 10)] ?? 0) + 1;
    }
    t.ok(
      bins.every((count) => count > 800 && count < 1200),
      `bins ${bins}`,
    );
    t.equal(random.bytes(33).length, 33);
  }
});

t.test('a sleep that was called off leaves no timer behind', async (t) => {
  const clock = testClock();
  const abort = new AbortController();
  const sleeping = clock.sleep(1000, abort.signal);
  t.equal(clock.pendingTimers, 1);
  abort.abort();
  await t.rejects(sleeping);
  t.equal(clock.pendingTimers, 0);
});
