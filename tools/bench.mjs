#!/usr/bin/env node
// `npm run bench`: installs and builds what is missing, then measures. Plain Node, since nothing may be installed yet.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkWords, prepare } from './prepare.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
await checkWords(root, 'bench', process.argv.slice(2));
await prepare(root, { app: false });

// Benches are TypeScript and run from source; what they measure is the compiled build.
const child = spawn(
  process.execPath,
  ['--import=tsx', join(root, 'tools/dist/bench/main.js'), ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => signal === 'SIGINT' || child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
