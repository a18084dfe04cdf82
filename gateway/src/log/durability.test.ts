/** The log over a disk that loses what was not synced, and over one that fails: nothing acknowledged is ever lost. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { realClock, seededRandom } from '@villagrid/runtime';
import { judge } from '../testing/disk/load.js';
import type { LoadPlan } from '../testing/disk/load.main.js';
import { buildShim, memoryDir, noShim, runUnderShim, writeImage } from '../testing/disk/shim.js';
import { DiskModel, readTrace, type TraceRecord } from '../testing/disk/trace.js';

const soak = process.env.VILLAGRID_SOAK === 'full';
const seed = process.env.SEED ?? String(Math.trunc(realClock().nowMs()));
const skip = noShim() ?? false;
const program = fileURLToPath(new URL('../testing/disk/load.main.ts', import.meta.url));

async function traceOf(t: Test, plan: Omit<LoadPlan, 'folder'>): Promise<{ records: TraceRecord[]; said: string }> {
  const folder = memoryDir(t);
  const shim = buildShim(folder);
  const disk = join(folder, 'disk');
  const trace = join(folder, 'trace');
  const said = await runUnderShim({
    shim,
    program,
    args: [JSON.stringify({ ...plan, folder: disk })],
    folder: disk,
    trace,
  });
  return { records: readTrace(trace), said };
}

/** Cuts the power at so many seeded places of a trace; gives what was wrong, by place. */
function cutPower(t: Test, records: readonly TraceRecord[], points: number): { wrong: string[]; acknowledged: number } {
  const random = seededRandom(`${seed} cuts`);
  const places = Array.from({ length: points }, () => 1 + Math.floor(random.float() * records.length)).sort(
    (a, b) => a - b,
  );
  const folder = memoryDir(t);
  const model = new DiskModel();
  const wrong: string[] = [];
  let at = 0;
  for (const [index, place] of places.entries()) {
    for (; at < place; at += 1) model.take(records[at] as TraceRecord);
    const own = join(folder, String(index));
    writeImage(own, model.image(random));
    const found = judge(own, model.marks, { thorough: soak });
    if (found.length > 0)
      wrong.push(`cut after operation ${place} of ${records.length}: ${found.slice(0, 3).join('; ')}`);
    rmSync(own, { recursive: true });
  }
  return { wrong, acknowledged: model.marks.length };
}

const points = soak ? 15_000 : 1000;
t.test(
  `power cut at ${points} places: nothing acknowledged is lost, nothing is corrupt (SEED=${seed})`,
  { skip },
  async (t) => {
    const { records } = await traceOf(t, { seed, batches: soak ? 2000 : 250, sessions: soak ? 5 : 3 });
    const begunMs = realClock().monotonicMs();
    const { wrong, acknowledged } = cutPower(t, records, points);
    t.ok(acknowledged > 100, `${acknowledged} acknowledged`);
    t.same(wrong, []);
    t.comment(
      `${points} cuts in ${records.length} operations, ${((realClock().monotonicMs() - begunMs) / 1000).toFixed(1)} s`,
    );
  },
);

t.test(
  'the same cuts lose acknowledged frames with synchronous=NORMAL, so the test would notice',
  { skip },
  async (t) => {
    const { records } = await traceOf(t, { seed, batches: 60, synchronous: 'NORMAL' });
    const { wrong } = cutPower(t, records, 60);
    t.ok(wrong.filter((one) => one.includes('lost')).length > 10, `${wrong.length} of 60 cuts lost something`);
  },
);
