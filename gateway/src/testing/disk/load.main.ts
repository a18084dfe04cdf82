/**
 * The process under the disk shim: writes a real log and tells the shim each acknowledgement. One argument, JSON:
 * folder, seed, batches, sessions (how often the log is closed and opened), synchronous, checkpointPages,
 * journalBytes, late, and `faults`,
 * each played in a folder of its own (`0`, `1`, ...) in the middle of its load, each third one without the journal.
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { realClock, seededRandom } from '@villagrid/runtime';
import { openLoadStore, runLoad } from './load.js';

export interface LoadPlan {
  readonly folder: string;
  readonly seed: string;
  readonly batches: number;
  readonly sessions?: number;
  readonly synchronous?: 'FULL' | 'NORMAL';
  readonly checkpointPages?: number;
  readonly journalBytes?: number;
  readonly late?: boolean;
  readonly faults?: readonly string[];
}

const plan = JSON.parse(process.argv[2] ?? '') as LoadPlan;
const { folder, seed, batches, sessions = 1, faults } = plan;
const shim = openSync(join(folder, 'disk-shim-control'), 'w');
const say = (line: string) => writeSync(shim, `${line}\n`);

async function cut(): Promise<void> {
  const random = seededRandom(seed);
  for (let session = 0; session < sessions; session += 1) {
    const store = openLoadStore({ ...plan, seed: `${seed} ${session}` });
    const at = (part: number) => Math.floor((batches * part) / sessions);
    await runLoad(store, random, [at(session), at(session + 1)], (mark) => say(`mark ${mark}`));
    await store.close();
  }
}

/** Each fault strikes after a third of the load and is taken away after two thirds. */
async function spoil(all: readonly string[]): Promise<void> {
  for (const [index, fault] of all.entries()) {
    const own = join(folder, String(index));
    mkdirSync(own);
    const random = seededRandom(`${seed} ${index}`);
    const journalBytes = index % 3 === 2 ? 0 : (plan.journalBytes ?? 0);
    const store = openLoadStore({ ...plan, folder: own, seed: `${seed} ${index}`, journalBytes });
    const tell = (mark: string) => say(`mark ${index} ${mark}`);
    const third = Math.floor(batches / 3);
    await runLoad(store, random, [0, third], tell);
    // The journal is made beside the commits, in real time: a fault of its making is put off, and nobody is told.
    for (let token = batches; journalBytes > 0 && store.log.stats.journalled === 0; token += 1) {
      await realClock().sleep(5);
      await runLoad(store, random, [token, token + 1], tell);
    }
    let failed = false;
    let unread = 0;
    store.log.onTrouble((reason) => (failed ||= reason !== undefined));
    say(`fault ${fault}`);
    for (let token = third; token < 2 * third; token += 1) {
      await runLoad(store, random, [token, token + 1], tell);
      try {
        if (store.log.read(1, { maxFrames: 3, maxBytes: 1e6 }).length === 0) unread += 1;
      } catch {
        unread += 1;
      }
    }
    say('fault off');
    const before = store.log.newestNumber();
    await runLoad(store, random, [2 * third, batches], tell);
    const { newestNumber, stats } = store.log;
    process.stdout.write(
      `${JSON.stringify({ index, failed, unread, recovered: newestNumber() > before && !stats.failing, reopened: stats.reopened, failedCommits: stats.failedCommits })}\n`,
    );
    // The replay cuts here, as when the power fails. Closed only then: what it still does in the background, such as
    // making another journal, would meet the fault of the next.
    say(`mark ${index} end`);
    await store.close();
  }
}

await (faults ? spoil(faults) : cut());
closeSync(shim);
