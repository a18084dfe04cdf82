/** The process of `npm run village`. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { realClock } from '@villagrid/runtime';
import { runVillage } from './village.js';

process.exitCode = await runVillage(process.argv.slice(2), {
  clock: realClock(),
  defaultData: join(dirname(fileURLToPath(import.meta.url)), '../../../.village'),
  print: (text) => process.stdout.write(`${text}\n`),
  printError: (text) => process.stderr.write(`${text}\n`),
});
