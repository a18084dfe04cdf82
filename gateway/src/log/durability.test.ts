/** The log over a disk that loses what was not synced, and over one that fails: nothing acknowledged is ever lost. */
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { RandomSource } from '@villagrid/contracts';
import { realClock, seededRandom } from '@villagrid/runtime';
import { judge } from '../testing/disk/load.js';
import type { LoadPlan } from '../testing/disk/load.main.js';
import { buildShim, memoryDir, noShim, runUnderShim, writeImage } from '../testing/disk/shim.js';
import { DiskModel, readTrace, type TraceRecord } from '../testing/disk/trace.js';

const soak = process.env.VILLAGRID_SOAK === 'full';
const seed = process.env.SEED ?? String(Math.trunc(realClock().nowMs()));
const skip = noShim() ?? false;
// Many cuts on a machine that does other things too.
t.setTimeout(soak ? 0 : 200_000);
/** Small, so that it is written round several times. */
const journalBytes = 40 * 4096;
const program = fileURLToPath(new URL('../testing/disk/load.main.ts', import.meta.url));

async function traceOf(
  t: Test,
  plan: Omit<LoadPlan, 'folder'>,
): Promise<{ records: TraceRecord[]; traceBytes: number; said: string }> {
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
  return { records: readTrace(trace), traceBytes: statSync(trace).size, said };
}

interface FaultResult {
  readonly index: number;
  readonly failed: boolean;
  readonly unread: number;
  readonly recovered: boolean;
  readonly reopened: number;
}

/** Cuts the power at so many seeded places of a trace; gives what was wrong, by place. */
async function cutPower(
  t: Test,
  records: readonly TraceRecord[],
  points: number,
): Promise<{ wrong: string[]; acknowledged: number }> {
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
    const found = await judge(own, model.marks, { thorough: soak, journalBytes: index % 2 === 0 ? journalBytes : 0 });
    if (found.length > 0)
      wrong.push(`cut after operation ${place} of ${records.length}: ${found.slice(0, 3).join('; ')}`);
    rmSync(own, { recursive: true });
  }
  return { wrong, acknowledged: model.marks.length };
}

/** CUTS and FAULTS for another number: runs with other seeds add up. */
const points = Number(process.env.CUTS ?? (soak ? 15_000 : 1000));
for (const [how, journal, share] of [
  ['with a journal', journalBytes, 0.75],
  ['without one', 0, 0.25],
] as const)
  t.test(
    `power cut at ${points * share} places, ${how}: nothing acknowledged is lost, nothing is corrupt (SEED=${seed})`,
    { skip },
    async (t) => {
      const { records } = await traceOf(t, {
        seed,
        batches: soak ? 2000 : 250,
        sessions: soak ? 5 : 3,
        journalBytes: journal,
      });
      const begunMs = realClock().monotonicMs();
      const { wrong, acknowledged } = await cutPower(t, records, points * share);
      t.ok(acknowledged > 100, `${acknowledged} acknowledged`);
      t.same(wrong, []);
      t.comment(
        `${points * share} cuts in ${records.length} operations, ${((realClock().monotonicMs() - begunMs) / 1000).toFixed(1)} s`,
      );
    },
  );

for (const [how, plan] of [
  ['with synchronous=NORMAL', { synchronous: 'NORMAL' }],
  ['acknowledged before the journal is synced', { journalBytes, late: true }],
] as const)
  t.test(`the same cuts lose acknowledged frames ${how}, so the test would notice`, { skip }, async (t) => {
    const { records } = await traceOf(t, { seed, batches: 60, ...plan });
    const { wrong } = await cutPower(t, records, 60);
    t.ok(wrong.filter((one) => one.includes('lost')).length > 10, `${wrong.length} of 60 cuts lost something`);
  });

const kinds = ['enospc', 'eio', 'erofs', 'short', 'eiosync'] as const;
const values = Math.ceil(Number(process.env.FAULTS ?? (soak ? 2500 : 60)) / kinds.length);
/** Faults of one process: all are in one trace. */
const faultsPerRun = 60;

interface Played {
  readonly wrong: string[];
  /** Of the largest trace, bytes. */
  traceBytes: number;
  struck: number;
  reopened: number;
  syncsAfterFailure: number;
}

/** Plays faults, each on a log of its own; cuts the power when they strike, now and then afterwards, and at the end. */
async function playFaults(t: Test, faults: readonly string[], random: RandomSource, played: Played): Promise<void> {
  const { records, traceBytes, said } = await traceOf(t, {
    seed,
    batches: 60,
    checkpointPages: 12,
    journalBytes,
    faults,
  });
  played.traceBytes = Math.max(played.traceBytes, traceBytes);
  const folder = memoryDir(t);
  const model = new DiskModel();
  const results = said
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as FaultResult);
  if (results.length !== faults.length) played.wrong.push(`${results.length} of ${faults.length} were played`);
  let at = 0;
  for (const { index, failed, unread, recovered, reopened } of results) {
    const fault = faults[index] as string;
    let hit = false;
    const look = async (when: string) => {
      const own = join(folder, 'image');
      writeImage(own, model.image(random, String(index)));
      const marks = model.marks
        .filter((one) => one.startsWith(`${index} `))
        .map((one) => one.slice(one.indexOf(' ') + 1))
        .filter((one) => one !== 'end');
      const found = await judge(own, marks, { journalBytes });
      if (found.length > 0) played.wrong.push(`${fault}, power cut ${when}: ${found.slice(0, 3).join('; ')}`);
      rmSync(own, { recursive: true });
    };
    for (; at < records.length; at += 1) {
      const record = records[at] as TraceRecord;
      model.take(record);
      if (record.kind === 'fault') {
        if (!hit) await look('at the fault');
        hit = true;
      }
      if (record.kind === 'mark' && record.text === `${index} end`) break;
      if (hit && record.kind === 'mark' && random.float() < 0.1) await look('after the fault');
    }
    await look('at the end');
    if (!hit) continue;
    played.struck += 1;
    played.reopened += reopened;
    // A short write is finished by the next; every other fault must be noticed, and be over when it is over.
    if (!failed && !fault.startsWith('short')) played.wrong.push(`${fault}: nobody was told`);
    if (unread > 0) played.wrong.push(`${fault}: reading failed ${unread} times`);
    if (!recovered) played.wrong.push(`${fault}: it did not work again`);
  }
  played.syncsAfterFailure += model.syncsAfterFailure;
}

t.test(
  `${values} places of each fault of the card: told, never acknowledged what is not kept, works again (SEED=${seed})`,
  { skip },
  async (t) => {
    const random = seededRandom(`${seed} faults`);
    const faults = kinds.flatMap((kind) =>
      Array.from({ length: values }, (_, index) => {
        // Some strike once, some stay until the card is mended.
        const count = kind === 'short' || random.float() < 0.5 ? 1 : 1 + Math.floor(random.float() * 1000);
        // The first places in turn; then the nearer ones more often: a load of this length does some dozens of operations.
        const inTurn = index < 60 && process.env.FAULTS === undefined;
        return `${kind} ${inTurn ? index + 1 : 1 + Math.floor(random.float() ** 3 * 200)} ${count}`;
      }),
    );
    const played: Played = { wrong: [], traceBytes: 0, struck: 0, reopened: 0, syncsAfterFailure: 0 };
    for (let from = 0; from < faults.length; from += faultsPerRun)
      // A subtest's folders go with it.
      await t.test(`faults ${from + 1} to ${Math.min(faults.length, from + faultsPerRun)}`, async (t) => {
        await playFaults(t, faults.slice(from, from + faultsPerRun), random, played);
      });
    const { wrong, struck, reopened, syncsAfterFailure } = played;
    t.same(wrong, []);
    t.equal(syncsAfterFailure, 0, 'no sync of a descriptor on which one had failed');
    t.comment(`the largest trace had ${(played.traceBytes / 1e6).toFixed(0)} MB`);
    t.ok(
      struck > faults.length / (soak ? 3 : 2),
      `${struck} of ${faults.length} struck, opened anew ${reopened} times`,
    );
  },
);
