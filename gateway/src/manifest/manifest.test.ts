import t from 'tap';
import type { ClockTrust, FrameEntry } from '@villagrid/contracts';
import { silentLogger } from '@villagrid/runtime';
import { testClock } from '@villagrid/runtime/testing';
import { createManifests } from './manifest.js';

const hourMs = 3_600_000;
const hash = (lanes: number) => lanes.toString(16).padStart(8, '0').repeat(2);

t.test(
  'a day is told once it is over, and again when samples of it came later; not by a clock that is not trusted',
  async (t) => {
    // Two in the morning of 2 March in Kathmandu.
    const clock = testClock(Date.UTC(2026, 2, 1, 20, 15));
    const told: FrameEntry[] = [];
    /** Hours of the samples, one sample each. */
    const samples = [-40, -30, -20, -10, -5].map((hours) => clock.nowMs() + hours * hourMs);
    let trust: ClockTrust = 'none';
    const manifests = createManifests({
      log: {
        append: async ({ entries = [] }) => {
          told.push(...entries);
          return told.length;
        },
      },
      zone: 'Asia/Kathmandu',
      countsBefore: async (times) => ({
        number: 77,
        counts: times.map((timeMs) => {
          const count = samples.filter((one) => one < timeMs).length;
          return count === 0 ? [] : [{ deviceId: 'a', metric: 'm', count, hash: hash(count * 3) }];
        }),
      }),
      trust: () => trust,
      clock,
      realClock: clock,
      logger: silentLogger(),
    });
    await manifests.look();
    t.same(told, []);
    trust = 'ntp';
    await manifests.look();
    const startMs = Date.UTC(2026, 1, 28, 18);
    const day = (daysOn: number, count: number) => ({
      type: 'manifest',
      from_ms: startMs + daysOn * 24 * hourMs,
      to_ms: startMs + (daysOn + 1) * 24 * hourMs,
      up_to: 77,
      series: [['a', 'm', count, hash(count * 3)]],
    });
    t.same(told.splice(0), [day(-1, 2), day(0, 3)], 'whole hours around the local day; the day before had none');
    await manifests.look();
    t.same(told, [], 'once');
    samples.push(startMs + hourMs);
    await manifests.look();
    t.same(told.splice(0), [day(0, 4)]);
    manifests.start();
    samples.push(clock.nowMs() + hourMs);
    await clock.advance(22 * hourMs);
    t.same(told, [], 'the day is over but for half an hour');
    await clock.advance(hourMs);
    await manifests.look();
    t.same(told, [day(1, 1)]);
    await manifests.stop();
  },
);
