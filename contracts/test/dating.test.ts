import t from 'tap';
import { Dating, maxAgeMs, maxAheadMs, qualityCodes, type ClockTrust, type Reading } from '@villagrid/contracts';

const now = 1_795_341_600_000;
const second = 1000;
const at = (ms: number, trust: ClockTrust = 'ntp') => ({ nowMs: now + ms, monotonicMs: 50_000 + ms, trust });
const reading = (over: Partial<Reading>): Reading => ({
  boot: 'b',
  seq: 1,
  upMs: undefined,
  timeMs: undefined,
  values: [],
  ...over,
});
const times = (dating: Dating, arrivalMs: number, readings: Partial<Reading>[], resent = false) =>
  dating.date('a', readings.map(reading), resent, at(arrivalMs)).map(({ timeMs, quality }) => [timeMs - now, quality]);

t.test(
  "a node's own clock is believed when it is plausible; otherwise the arrival counts and the time is uncertain",
  async (t) => {
    const dating = new Dating();
    for (const told of [0, -5 * second, -maxAgeMs]) t.same(times(dating, 0, [{ timeMs: now + told }]), [[told, 0]]);
    for (const told of [1, maxAheadMs])
      t.same(times(dating, 0, [{ timeMs: now + told }]), [[0, 0]], 'ahead: no reading is later than its arrival');
    for (const told of [maxAheadMs + 1, -maxAgeMs - 1, 1000 - now, 10 * 365 * 86_400_000])
      t.same(times(dating, 0, [{ timeMs: now + told }]), [[0, qualityCodes.uncertain_clock]], `${told}`);
  },
);

t.test('a node without a clock is dated from its boot by the quickest message, never after its arrival', async (t) => {
  const dating = new Dating();
  t.same(times(dating, 0, [{ seq: 1, upMs: 10_000 }]), [[0, 0]]);
  const [[slow]] = times(dating, 13_000, [{ seq: 2, upMs: 20_000 }]) as [[number, number]];
  t.ok(Math.abs(slow - 10_000) < 10, '3 s on its way');
  t.same(times(dating, 19_500, [{ seq: 3, upMs: 30_000 }]), [[19_500, 0]], 'a quicker one moves the anchor');
  const [[late]] = times(dating, 31_500, [{ seq: 4, upMs: 40_000 }]) as [[number, number]];
  t.ok(Math.abs(late - 29_500) < 10, 'the anchor follows drift only slowly');
});

t.test(
  'readings that were kept get the times they were measured at, also after a restart of the gateway',
  async (t) => {
    const dating = new Dating();
    times(dating, 0, [{ seq: 1, upMs: 100_000 }]);
    const kept = [
      { seq: 2, upMs: 110_000 },
      { seq: 3, upMs: 120_000 },
    ];
    t.same(
      times(dating, 7_200_000, kept, true).map(([ms]) => Math.round((ms as number) / 5000)),
      [2, 4],
      'two hours later',
    );
    const again = new Dating();
    again.importState(dating.exportState(at(7_200_000)), { nowMs: now + 7_300_000, monotonicMs: 5, trust: 'ntp' });
    const [one] = again.date('a', [reading({ seq: 4, upMs: 130_000 })], true, {
      nowMs: now + 7_300_000,
      monotonicMs: 5,
      trust: 'ntp',
    });
    t.ok(Math.abs((one?.timeMs ?? 0) - now - 30_000) < 5000);
    t.same(
      times(
        new Dating(),
        0,
        [
          { seq: 1, upMs: 40_000 },
          { seq: 2, upMs: 50_000 },
        ],
        true,
      ),
      [
        [-10_000, 0],
        [0, 0],
      ],
      'the newest of a publish left at once',
    );
  },
);

t.test('an up that stands still, or that makes a live message old, is not believed', async (t) => {
  const dating = new Dating();
  times(dating, 0, [{ seq: 1, upMs: 10_000 }]);
  t.same(times(dating, 20_000, [{ seq: 2, upMs: 10_000 }]), [[20_000, qualityCodes.uncertain_clock]]);
  t.same(times(dating, 1_000_000, [{ seq: 3, upMs: 20_000 }]), [[1_000_000, qualityCodes.uncertain_clock]]);
  t.same(times(dating, 1_010_000, [{ seq: 4, upMs: 30_000 }]), [[1_010_000, 0]], 'and the anchor is mended');
  t.same(times(dating, 0, [{ seq: 5 }]), [[0, 0]], 'nothing told, live: now');
  t.same(times(dating, 0, [{ seq: 6 }], true), [[0, qualityCodes.uncertain_clock]], 'nothing told, kept: uncertain');
});
