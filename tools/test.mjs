#!/usr/bin/env node
// `npm test`: installs and builds what tests need, runs them all, and ends with `N passed, N failed`.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepare } from './prepare.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const words = process.argv.slice(2);
const files = words.filter((word) => !word.startsWith('-'));

/** Debian packages some tests need, and a file by which each is known. */
const packages = [
  ['chromium', '/usr/bin/chromium', 'the tests of the app in a browser'],
  ['python3-pymodbus', '/usr/share/doc/python3-pymodbus', 'the test with a foreign Modbus device'],
  ['python3-serial-asyncio', '/usr/share/doc/python3-serial-asyncio', 'the same on a serial line'],
  ['mosquitto-clients', '/usr/bin/mosquitto_pub', 'the tests with a foreign MQTT client'],
  ['influxdb', '/usr/bin/influxd', 'the tests of history in InfluxDB'],
];
const missing = packages.filter(([, file]) => !existsSync(file));
if (missing.length > 0) {
  const names = missing.map(([name]) => name);
  const command = `apt-get install -y --no-install-recommends ${names.join(' ')}`;
  if (process.getuid?.() === 0 && (process.env.CI === 'true' || words.includes('--install'))) {
    process.stderr.write(`Installing ${names.join(', ')} …\n`);
    spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit' });
    const install = (line) =>
      spawnSync('sh', ['-c', `DEBIAN_FRONTEND=noninteractive ${line} >/dev/null`], { stdio: 'inherit' });
    // Where one of them is not to be had, the others still are.
    if (install(command).status !== 0) for (const name of names) install(command.replace(names.join(' '), name));
  } else {
    for (const [name, , what] of missing) process.stderr.write(`${name} is not installed: ${what} will be skipped.\n`);
    process.stderr.write(`To run them too: sudo ${command}\n`);
  }
}

await prepare(root, { app: true });
const tap = join(root, 'node_modules/.bin/tap');
// tap keeps what it built in node_modules, so a new installation needs it again.
const tapBuilt = join(root, 'node_modules/.tap-built');
if (!existsSync(tapBuilt) && spawnSync(tap, ['build'], { cwd: root, stdio: ['ignore', 2, 2] }).status === 0)
  writeFileSync(tapBuilt, '');

const begun = Date.now();
const run = spawn(tap, ['run', '--reporter=tap', ...files], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
let [passed, failed, skipped] = [0, 0, 0];
let rest = '';
let inFailure = false;
run.stdout.setEncoding('utf8').on('data', (chunk) => {
  rest += chunk;
  for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
    take(rest.slice(0, end));
    rest = rest.slice(end + 1);
  }
});

/** One line of the protocol: whole files are shown at the margin, each assertion inside is counted, failures are shown in full. */
function take(line) {
  const result = /^(\s*)(not )?ok \d+(?: - (.*))?$/.exec(line);
  if (result) {
    const [, indent = '', not, title = ''] = result;
    inFailure = not !== undefined && !/# (SKIP|TODO)/.test(title);
    if (indent === '')
      process.stdout.write(`${not ? 'FAILED' : 'ok    '} ${relative(root, join(root, title.replace(/ \{$/, '')))}\n`);
    else if (indent.length === 4) {
      if (/# SKIP/.test(title)) {
        skipped += 1;
        process.stdout.write(`   skipped: ${title}\n`);
      } else if (not) failed += 1;
      else passed += 1;
    }
    if (inFailure && indent !== '') process.stdout.write(`${line}\n`);
    return;
  }
  if (inFailure && /^\s+/.test(line)) process.stdout.write(`${line}\n`);
  else inFailure = false;
}
run.on('close', (code) => {
  // A file that dies has no failing assertion of its own.
  if (code !== 0 && failed === 0) failed = 1;
  process.stdout.write(
    `\nTests of contracts, runtime, api, gateway, cloud, provisioning, simulator, app and the whole, in ${((Date.now() - begun) / 1000).toFixed(0)} s\n`,
  );
  process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
  process.exit(code === 0 && failed === 0 ? 0 : 1);
});
