/** The units as systemd itself judges them. Without systemd-analyze (a Mac, a slim image) the tests skip and say so. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const folder = fileURLToPath(new URL('.', import.meta.url));

/** Each unit with the worst exposure it may have, in tenths (systemd's own threshold). */
const units = [
  { name: 'villagrid-gateway.service', worstTenths: 15 },
  { name: 'villagrid-cloud.service', worstTenths: 13 },
] as const;

const analyze = (...args: string[]) => spawnSync('systemd-analyze', args, { encoding: 'utf8', timeout: 60_000 });
const text = (name: string): string => readFileSync(join(folder, name), 'utf8');
const missing = analyze('--version').error === undefined ? false : 'systemd-analyze is not on this machine';
// `security --offline` came with systemd 250.
const old =
  missing ||
  (analyze('security', '--help').stdout.includes('--offline') ? false : 'this systemd-analyze knows no --offline');

t.test('systemd-analyze verify finds nothing to say about a unit', { skip: missing }, (t) => {
  const copies = mkdtempSync(join(tmpdir(), 'villagrid-units-'));
  t.teardown(() => rmSync(copies, { recursive: true, force: true }));
  const others = ['villagrid-backup.service', 'villagrid-backup.timer'].map((name) => ({ name }));
  for (const { name } of [...units, ...others]) {
    // The binaries are installed on a box, not here: the copy names ones that exist.
    const copy = text(name)
      .replaceAll('/usr/bin/node', process.execPath)
      .replace(/^Documentation=file:.*$/m, 'Documentation=file:/dev/null');
    writeFileSync(join(copies, name), copy);
    const { status, stdout, stderr } = analyze('verify', '--man=no', join(copies, name));
    // Other units of the test machine may be complained about; only ours count.
    const ours = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('villagrid'));
    t.same(ours, [], name);
    t.equal(status, 0, `${name}: exit code; ${stderr}`);
  }
  // The control: a misspelt setting is noticed, so silence means something.
  const broken = join(copies, 'villagrid-broken.service');
  writeFileSync(broken, '[Service]\nType=exec\nExecStart=/bin/true\nRestrtSec=2\n');
  t.match(analyze('verify', '--man=no', broken).stderr, /RestrtSec/, 'a misspelt setting is noticed');
  t.end();
});

for (const { name, worstTenths } of units) {
  t.test(`exposure of ${name} is at most ${worstTenths / 10}`, { skip: old }, (t) => {
    const { status, stdout, stderr } = analyze(
      'security',
      '--offline=true',
      '--no-pager',
      `--threshold=${worstTenths}`,
      join(folder, name),
    );
    t.equal(status, 0, stdout.trim().split('\n').at(-1) ?? stderr);
    t.end();
  });
}

t.test('a unit never gives up and its user and folders exist', (t) => {
  const users = text('sysusers.d/villagrid.conf');
  const folders = text('tmpfiles.d/villagrid.conf');
  for (const { name } of units) {
    const unit = text(name);
    const setting = (key: string): string | undefined => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1];
    t.equal(setting('Restart'), 'always', `${name}: Restart`);
    t.equal(setting('StartLimitIntervalSec'), '0', `${name}: StartLimitIntervalSec`);
    t.equal(setting('MemoryDenyWriteExecute'), undefined, `${name}: Node could not run with MemoryDenyWriteExecute`);
    t.match(users, new RegExp(`^u +${setting('User')} `, 'm'), `${name}: its user`);
    t.match(folders, new RegExp(`^d +/var/lib/${setting('StateDirectory')} `, 'm'), `${name}: its state`);
    t.match(folders, new RegExp(`^d +/etc/${setting('ConfigurationDirectory')} `, 'm'), `${name}: its settings`);
    const [, file] = /^ExecStart=\/usr\/bin\/node (\S+) --config \S+$/m.exec(unit) ?? [];
    t.match(
      file,
      /^\/opt\/villagrid\/current\/(gateway\/bundle|cloud\/dist)\/main[a-z-]*\.js$/,
      `${name}: what it runs`,
    );
    const source = String(file)
      .replace('/opt/villagrid/current', join(folder, '..'))
      .replace(/\/(dist|bundle)\//, '/src/');
    t.ok(existsSync(source.replace(/\.js$/, '.ts')), `${name}: its source is in this repository`);
  }
  t.end();
});
