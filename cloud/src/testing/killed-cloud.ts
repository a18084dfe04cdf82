/**
 * A cloud process for tests that ends itself by SIGKILL right after the commit number KILL_AFTER of step KILL_STEP,
 * that is between archive and receipt, or between projection and what follows. Without these it just runs.
 */
import { cryptoRandom, realClock, runUntilSignal, silentLogger } from '@villagrid/runtime';
import { createCloud } from '../app.js';
import { loadCloudConfig } from '../config/load.js';

const [path = ''] = process.argv.slice(2);
const { KILL_STEP, KILL_AFTER } = process.env;
let left = Number(KILL_AFTER ?? 0);
const clock = realClock();
const cloud = createCloud(loadCloudConfig({ path }), {
  clock,
  realClock: clock,
  random: cryptoRandom(),
  log: silentLogger(),
  afterCommit(step) {
    if (step !== KILL_STEP) return;
    left -= 1;
    if (left === 0) process.kill(process.pid, 'SIGKILL');
  },
});
await runUntilSignal(cloud.lifecycle, { log: silentLogger() });
process.stdout.write(`${JSON.stringify({ cloud: 'ready', ...cloud.addresses() })}\n`);
