#!/usr/bin/env node
// `npm run soak`: the tests that have a full form, in it. Hours where `npm test` takes minutes; each prints its seed, and
// SEED=n replays it. `npm run soak -- gateway/src/log/durability.test.ts` runs only that file.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepare } from './prepare.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const asked = process.argv.slice(2);

/** Test files that ask for the full form, themselves or by a suite that does. */
const asks = /VILLAGRID_SOAK|migrationSuite/;
function* withFullForm(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!['node_modules', 'dist', '.git', '.tap'].includes(entry.name)) yield* withFullForm(path);
    } else if (entry.name.endsWith('.test.ts') && asks.test(readFileSync(path, 'utf8'))) yield path;
  }
}

await prepare(root, { app: false });
const files = asked.length > 0 ? asked.map((one) => join(root, one)) : [...withFullForm(root)];
const failed = [];
for (const file of files) {
  const name = relative(root, file);
  process.stdout.write(`\n# ${name}\n`);
  const begun = Date.now();
  const { status } = spawnSync(process.execPath, ['--conditions=villagrid', '--import=tsx', file], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, VILLAGRID_SOAK: 'full', TAP_TIMEOUT: '0' },
  });
  if (status !== 0) failed.push(name);
  process.stdout.write(`# ${name} took ${((Date.now() - begun) / 1000).toFixed(0)} s\n`);
}
process.stdout.write(
  `\n${files.length - failed.length} files passed, ${failed.length} failed: ${failed.join(', ') || 'none'}\n`,
);
process.exit(failed.length > 0 ? 1 : 0);
