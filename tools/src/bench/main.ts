/** The process of `npm run bench`. */
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Processes } from './processes.js';
import { runBench } from './run.js';

let running: Processes | undefined;
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(signal, () => {
    running?.killAll();
    process.exit(code);
  });
}
const code = await runBench(process.argv.slice(2), {
  root: resolve(dirname(fileURLToPath(import.meta.url)), '../../..'),
  print: (text) => process.stdout.write(`${text}\n`),
  say: (text) => process.stderr.write(`${text}\n`),
  onProcesses: (processes) => (running = processes),
});
process.exit(code);
