#!/usr/bin/env node
// `npm run check`: format, lint, types, and who may import whom. Says which of them failed.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name) => join(root, 'node_modules/.bin', name);
const steps = [
  ['format', bin('biome'), ['format', '.']],
  ['lint', bin('oxlint'), ['--quiet', '.']],
  ['types', bin('tsc'), ['-b']],
  ['types of the app', bin('tsc'), ['--noEmit', '-p', 'mobile-pwa']],
  ['types of tests', bin('tsc'), ['-p', 'tsconfig.tests.json']],
  ['imports', process.execPath, ['tools/imports.mjs']],
];

const failed = [];
for (const [title, command, args] of steps) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  process.stdout.write(`${status === 0 ? 'ok    ' : 'FAILED'} ${title}\n`);
  if (status !== 0) failed.push(title);
}
if (failed.length > 0)
  process.stdout.write(`\nFailed: ${failed.join(', ')}. \`npx biome format --write .\` mends the format.\n`);
process.exit(failed.length > 0 ? 1 : 0);
