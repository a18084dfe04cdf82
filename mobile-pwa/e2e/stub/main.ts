/** Runs the stub by hand: `node --conditions=villagrid --import=tsx mobile-pwa/e2e/stub/main.ts [scenario] [port] [grids beside]`. Composition root. */
import { startStub } from './server.js';
import type { Scenario } from './village.js';

const [scenario = 'normal', port = '4173', fleet = '0'] = process.argv.slice(2);
const stub = await startStub({
  dist: new URL('../../dist', import.meta.url).pathname,
  scenario: scenario as Scenario,
  nowMs: () => Date.now(),
  every: (ms, run) => {
    const timer = setInterval(run, ms);
    return { cancel: () => clearInterval(timer) };
  },
  port: Number(port),
  fleet: Number(fleet),
});
console.log(`${stub.url} (${scenario}), log in as amina with kisima-1`);
