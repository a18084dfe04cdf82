#!/usr/bin/env node
// `npm start`: installs and builds what is missing, then runs the whole village. Plain Node, since nothing may be installed yet.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkWords, prepare } from './prepare.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const words = process.argv.slice(2);
await checkWords(root, 'start', words);
if (!words.includes('--help') && !words.includes('-h')) await prepare(root, { app: true });
else await prepare(root, { app: false });

const child = spawn(process.execPath, [join(root, 'tools/dist/start/main.js'), ...words], {
  cwd: root,
  stdio: 'inherit',
});
// Ctrl-C reaches both of us, a signal sent by a program only this one; told twice, the village stops once.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
