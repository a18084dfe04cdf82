// Makes a clone ready to run: installs by the lock file when needed, compiles, builds the app. Says what takes long.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const oldest = [20, 19];

function run(root, title, command, args) {
  const begun = Date.now();
  process.stderr.write(`${title} …\n`);
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, npm_config_fund: 'false', npm_config_audit: 'false' },
  });
  if (result.status !== 0) {
    process.stderr.write(`${title} failed: ${command} ${args.join(' ')}\n`);
    process.exit(result.status ?? 1);
  }
  process.stderr.write(`${title}: done in ${((Date.now() - begun) / 1000).toFixed(1)} s\n`);
}

const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

/** Newest change below a folder, without node_modules and dist. */
function newest(folder) {
  let latest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.name === 'dist' || entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    latest = Math.max(latest, entry.isDirectory() ? newest(path) : modified(path));
  }
  return latest;
}

/** Prepares the clone at `root`; `app: true` builds the phone app too. */
export async function prepare(root, { app }) {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
    process.stderr.write(`Node ${oldest.join('.')} or later is needed; this is ${process.version}.\n`);
    process.exit(1);
  }
  const installed = join(root, 'node_modules/.package-lock.json');
  if (modified(installed) === 0 || modified(join(root, 'package-lock.json')) > modified(installed) + 1000) {
    run(root, 'Installing packages (about two minutes the first time: the database is compiled)', 'npm', [
      'ci',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
    ]);
  }
  run(root, 'Compiling', process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b']);
  const built = modified(join(root, 'mobile-pwa/dist/index.html'));
  if (
    app &&
    existsSync(join(root, 'mobile-pwa/vite.config.ts')) &&
    Math.max(newest(join(root, 'mobile-pwa')), newest(join(root, 'contracts/src'))) > built
  ) {
    run(root, 'Building the app', 'npm', ['run', '--silent', 'build', '--workspace', 'mobile-pwa']);
  }
}
