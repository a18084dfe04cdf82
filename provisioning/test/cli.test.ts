import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLogger, cryptoRandom, describeCertificate, realClock, verifySecret } from '@villagrid/runtime';
import { tempDir } from '@villagrid/runtime/testing';
import t from 'tap';
import { runCli, withAccounts } from '../src/index.js';

const clock = realClock();
const log = createLogger({ name: 'test', level: 'error', clock, destination: { write: () => undefined } });
const random = cryptoRandom();

/** Runs a command line and gives what it printed. */
async function cli(words: string[], stdin = '') {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli(words, {
    realClock: clock,
    random,
    log,
    print: (text) => void out.push(text),
    printError: (text) => void err.push(text),
    readStdin: async () => stdin,
  });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

t.test('an installer makes a gateway, its devices and people, and the doctor finds it sound', async (t) => {
  const folder = join(tempDir(t), 'kisima');
  const made = await cli([
    'init',
    '--folder',
    folder,
    '--grid',
    'kisima',
    '--name',
    'Kisima',
    '--zone',
    'Africa/Nairobi',
    '--pv-kwp',
    '45',
  ]);
  t.equal(made.code, 0, made.err);
  t.ok(existsSync(join(folder, 'gateway.yaml')));
  t.equal(statSync(join(folder, 'pki/gateway.key')).mode & 0o077, 0, 'only the owner reads the key');
  const { notAfterMs } = await describeCertificate(readFileSync(join(folder, 'pki/gateway.crt'), 'utf8'));
  t.ok(notAfterMs > clock.nowMs() + 300 * 86_400_000);

  const again = await cli(['init', '--folder', folder, '--grid', 'kisima', '--name', 'Kisima']);
  t.equal(again.code, 1, 'a folder that is there is never overwritten');
  t.match(again.err, /E_CONFIG_INVALID.*there already/);

  const device = await cli([
    'device',
    'add',
    '--folder',
    folder,
    '--device',
    'cabinet-1',
    '--name',
    'Cabinet',
    '--wire',
    'equipment_temp_c.cabinet=equipment_temp_c',
    '--json',
  ]);
  t.equal(device.code, 0, device.err);
  const sheet = JSON.parse(device.out.split('\n')[0] as string) as { password: string; topic: string };
  t.equal(sheet.topic, 'microgrid/kisima/device/cabinet-1/telemetry');
  const stored = JSON.parse(readFileSync(join(folder, 'device-credentials.json'), 'utf8')) as {
    devices: Record<string, { secret: string }>;
  };
  const secret = stored.devices['cabinet-1']?.secret ?? '';
  t.ok(await verifySecret(sheet.password, secret), 'the credential file holds the hash of the password shown');
  t.notMatch(secret, sheet.password, 'and not the password');
  t.match(readFileSync(join(folder, 'gateway.yaml'), 'utf8'), /# Settings of the gateway/, 'comments survive a change');
  t.equal((await cli(['device', 'add', '--folder', folder, '--device', 'cabinet-1', '--name', 'Twice'])).code, 1);
  t.equal((await cli(['device', 'add', '--folder', folder, '--device', 'Not An Id', '--name', 'x'])).code, 1);

  const person = await cli(
    ['user', 'add', '--folder', folder, '--username', 'asha', '--role', 'admin', '--password-stdin'],
    'a long enough password\n',
  );
  t.equal(person.code, 0, person.err);
  t.notMatch(person.out, /a long enough/, 'a password given is not printed');
  await withAccounts(join(folder, 'gateway.yaml'), { realClock: clock, random, log }, async (accounts) => {
    t.ok(await accounts.login('asha', 'a long enough password', '127.0.0.1'), 'she can log in');
  });
  t.match((await cli(['user', 'list', '--folder', folder])).out, /asha\s+admin/);

  const doctor = await cli(['doctor', '--folder', folder, '--json']);
  const found = JSON.parse(doctor.out) as { check: string; findings: { state: string }[] }[];
  const states = (check: string) => found.find((one) => one.check === check)?.findings.map((one) => one.state);
  t.match(states('certificates'), ['good', 'good', 'good', 'good']);
  t.match(states('devices'), ['good']);
  t.match(states('people'), ['good']);
  t.match(states('databases'), ['good']);

  writeFileSync(join(folder, 'pki/gateway.crt'), 'not a certificate');
  const sick = await cli(['doctor', '--folder', folder]);
  t.equal(sick.code, 1, 'a broken certificate is bad');
  t.match(sick.out, /BAD.*no certificate/);
});

t.test('a gateway is registered in a cloud with a certificate of its own', async (t) => {
  const dir = tempDir(t);
  const [cloud, gateway] = [join(dir, 'cloud'), join(dir, 'kisima')];
  t.equal((await cli(['cloud', 'init', '--folder', cloud, '--name', 'cloud.example.org'])).code, 0);
  t.equal((await cli(['init', '--folder', gateway, '--grid', 'kisima', '--name', 'Kisima'])).code, 0);
  const added = await cli([
    'cloud',
    'grid',
    'add',
    '--folder',
    cloud,
    '--gateway-folder',
    gateway,
    '--url',
    'mqtts://cloud.example.org:9883',
  ]);
  t.equal(added.code, 0, added.err);
  t.match(readFileSync(join(cloud, 'directory.yaml'), 'utf8'), /gateway_id: gw-kisima/);
  t.match(readFileSync(join(gateway, 'gateway.yaml'), 'utf8'), /url: mqtts:\/\/cloud.example.org:9883/);
  t.match((await describeCertificate(readFileSync(join(gateway, 'pki/uplink.crt'), 'utf8'))).subject, /gw-kisima/);
});

t.test('a wrong command line says what is wrong and ends with 2', async (t) => {
  const wrong = await cli(['user', 'add', '--folder', '/nowhere', '--username', 'x', '--role', 'king']);
  t.equal(wrong.code, 2);
  t.match(wrong.err, /king.*viewer.*admin/s);
  t.equal((await cli(['init'])).code, 2);
  t.equal((await cli(['--help'])).code, 0);
});
