/** What every Clock promises, run against the real, the accelerated and the virtual one. */
import type { Clock } from '@villagrid/contracts';
import type { Test } from 'tap';

/** A clock under test, and how its time is made to pass (in the clock's own milliseconds). */
export interface ClockUnderTest {
  readonly clock: Clock;
  pass(delayMs: number): Promise<void>;
}

/** Runs the suite. `unitMs` is a short time of this clock, long enough not to be lost in noise. */
export function clockSuite(t: Test, name: string, unitMs: number, make: () => ClockUnderTest): void {
  t.test(`${name}: time goes forward, wall and monotonic alike`, async (t) => {
    const { clock, pass } = make();
    const wall = clock.nowMs();
    const monotonic = clock.monotonicMs();
    await pass(2 * unitMs);
    t.ok(clock.nowMs() - wall >= 1.9 * unitMs, 'the wall clock went on');
    t.ok(clock.monotonicMs() - monotonic >= 1.9 * unitMs, 'monotonic time went on');
  });

  t.test(`${name}: a timer runs once, never early, in order of its time`, async (t) => {
    const { clock, pass } = make();
    const start = clock.monotonicMs();
    const ran: string[] = [];
    clock.after(2 * unitMs, () => ran.push('second'));
    clock.after(unitMs, () => {
      ran.push('first');
      t.ok(clock.monotonicMs() - start >= unitMs, 'not before its time');
    });
    await pass(4 * unitMs);
    t.same(ran, ['first', 'second']);
  });

  t.test(`${name}: a cancelled timer does not run, and cancelling twice is harmless`, async (t) => {
    const { clock, pass } = make();
    let ran = 0;
    const timer = clock.after(unitMs, () => (ran += 1));
    timer.cancel();
    timer.cancel();
    await pass(2 * unitMs);
    t.equal(ran, 0);
  });

  t.test(`${name}: a period repeats until cancelled, also from within`, async (t) => {
    const { clock, pass } = make();
    let ran = 0;
    const timer = clock.every(unitMs, () => {
      ran += 1;
      if (ran === 3) timer.cancel();
    });
    await pass(7 * unitMs);
    t.equal(ran, 3);
  });

  t.test(`${name}: sleep resolves after its time and rejects when called off`, async (t) => {
    const { clock, pass } = make();
    let woke = false;
    void clock.sleep(unitMs).then(() => (woke = true));
    await pass(2 * unitMs);
    t.ok(woke);
    const abort = new AbortController();
    const sleeping = clock.sleep(1000 * unitMs, abort.signal);
    const rejected = t.rejects(sleeping, { message: 'enough' });
    abort.abort(new Error('enough'));
    await rejected;
    await t.rejects(clock.sleep(unitMs, abort.signal), { message: 'enough' }, 'a signal already given');
  });
}
