// Makes a clone ready to run: installs by the lock file when needed, compiles, builds the app. Says what takes long.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { takeLock } from './lock.mjs';

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

/** What the gateway's bundle is made of. */
const bundled = ['contracts', 'runtime', 'api', 'gateway'];

/** Bundles the gateway where its bundle is missing or older than what it is made of. */
function bundle(root) {
  const made = modified(join(root, 'gateway/bundle/main.js'));
  const sources = [join(root, 'package-lock.json'), join(root, 'tools/bundle.mjs')].map(modified);
  if (Math.max(...sources, ...bundled.map((name) => newest(join(root, name, 'src')))) > made)
    run(root, 'Bundling the gateway', process.execPath, [join(root, 'tools/bundle.mjs')]);
}

/**
 * Refuses a wrong command line before anything is compiled, and answers --help, when that part is compiled already as it
 * is; else the command itself does, later. `part` is the folder of its options.ts.
 */
export async function checkWords(root, part, words) {
  const built = join(root, 'tools/dist', part, 'options.js');
  if (modified(built) === 0 || modified(join(root, 'tools/src', part, 'options.ts')) > modified(built)) return;
  const { help, readOptions } = await import(built);
  try {
    if (!readOptions(words, root).help) return;
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${help}`);
    process.exit(2);
  }
  process.stdout.write(help);
  process.exit(0);
}

/** Waits until no other command prepares this clone: two at once would read each other's half-written files. */
async function alone(root) {
  for (let told = false; ; told = true) {
    let lock;
    try {
      lock = takeLock(join(root, '.prepare.lock'));
    } catch (error) {
      // A clone that cannot be written has to be complete already.
      if (['EACCES', 'EROFS', 'EPERM'].includes(error.code)) return;
      throw error;
    }
    if (lock.pid === undefined) {
      process.on('exit', () => lock.release());
      return lock;
    }
    if (!told) process.stderr.write(`Another command (pid ${lock.pid}) prepares this clone; waiting for it.\n`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Prepares the clone at `root`; `app: true` builds the phone app too. */
export async function prepare(root, wanted) {
  const lock = await alone(root);
  prepareAlone(root, wanted);
  lock?.release();
}

function prepareAlone(root, { app }) {
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
  bundle(root);
  const built = modified(join(root, 'mobile-pwa/dist/index.html'));
  if (
    app &&
    existsSync(join(root, 'mobile-pwa/vite.config.ts')) &&
    Math.max(newest(join(root, 'mobile-pwa')), newest(join(root, 'contracts/src'))) > built
  ) {
    run(root, 'Building the app', 'npm', ['run', '--silent', 'build', '--workspace', 'mobile-pwa']);
  }
}
