#!/usr/bin/env node
// `npm run village -- ...`: talks to a running village. See tools/src/village/main.ts.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';

const main = join(dirname(fileURLToPath(import.meta.url)), 'dist/village/main.js');
if (!existsSync(main)) {
  process.stderr.write('Nothing is built yet: run `npm start` first.\n');
  process.exit(1);
}
await import(main);
