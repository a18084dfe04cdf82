/** What people are told of the reference village, by all default rules together, as a gateway feeds them. */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from '@villagrid/runtime/testing';
import t from 'tap';
import { faultsOf, liveThrough } from './village-faults.js';
import { watchVillage } from './watched-village.js';

t.setTimeout(300_000);

const dayMs = 86_400_000;
/** The village's local midnight. */
const firstMs = Date.UTC(2026, 4, 1) - 3 * 3_600_000;
const seed = 7001;

/** Found by what was learnt; the others are told by a gateway that has just begun. */
const needLearning = ['sensor stuck', 'voltage sags within its limits', 'cloudy day (no fault)'];

t.test(
  'a week without a fault rings twice at most; then each fault is told in its time, by the right device',
  async (t) => {
    const folder = tempDir(t);
    const village = watchVillage({ folder: mkdtempSync(join(folder, 'week-')), seed, startMs: firstMs });
    await village.live(firstMs + 7 * dayMs, 120_000);
    t.ok(village.told.length <= 2, village.told.map(({ what }) => what).join('\n'));
    const ended = await village.end();
    for (const fault of faultsOf('tuning', seed, ended.atMs)) {
      const { minutes, isNamed, others } = await liveThrough({
        ...(needLearning.includes(fault.name) ? { ended } : {}),
        seed,
        fault,
        folder,
        untilTold: true,
        beforeStepMs: 120_000,
        leadMs: 5 * 60_000,
      });
      const name = `${fault.name}, ${fault.shape}`;
      if (fault.withinMinutes === undefined) t.same(others, [], name);
      else {
        t.ok(minutes !== undefined && minutes <= fault.withinMinutes, `${name}: ${minutes} min`);
        t.ok(isNamed, `${name}: the first device named, ${others[0]?.what ?? 'and it alone'}`);
      }
    }
  },
);
