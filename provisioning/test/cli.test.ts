import { X509Certificate } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { createGateway, loadGatewayConfig } from '@villagrid/gateway';
import { loadProfile } from '@villagrid/gateway/field';
import { createLogger, cryptoRandom, describeCertificate, realClock, verifySecret } from '@villagrid/runtime';
import { tempDir, testClock } from '@villagrid/runtime/testing';
import t, { type Test } from 'tap';
import { playedCase, startPlayedDevice } from '../src/commands/profile-play.js';
import { spanOf } from '../src/commands/maintenance.js';
import { momentOf } from '../src/site/village-time.js';
import { runCli, setSetting, withAccounts } from '../src/index.js';

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
    ask: async () => undefined,
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
  const untold = await cli(['notify', 'test', 'sms', '--to', '+255712345678', '--folder', folder]);
  t.match(untold, { code: 1, err: /No way is set up\.\n-> docs\/how-to\/tell-people\.md/ });

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
  t.equal((await cli(['device', 'credential', '--folder', folder, '--device', 'nobody'])).code, 1);
  if (process.getuid?.() === 0) {
    const credentials = join(folder, 'device-credentials.json');
    chownSync(credentials, 65_534, 65_534);
    await cli(['device', 'credential', '--folder', folder, '--device', 'cabinet-1']);
    t.equal(statSync(credentials).uid, 65_534, "what root changes stays the daemon's");
    chownSync(credentials, 0, 0);
  }

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

  const twice = await cli(['user', 'add', '--folder', folder, '--username', 'Asha', '--role', 'viewer']);
  t.equal(twice.code, 1, 'a person who is there is not changed by adding');
  t.match(twice.err, /taken.*\n-> .*villagrid user password/);
  t.equal((await cli(['user', 'role', '--folder', folder, '--username', 'asha', '--role', 'viewer'])).code, 0);
  t.equal((await cli(['user', 'password', '--folder', folder, '--username', 'nobody'])).code, 2);
  const fresh = await cli(['user', 'password', '--folder', folder, '--username', 'asha', '--json']);
  const { password: made2 } = JSON.parse(fresh.out) as { password: string };
  await withAccounts(join(folder, 'gateway.yaml'), { realClock: clock, random, log }, async (accounts) => {
    t.notOk(await accounts.login('asha', 'a long enough password', '127.0.0.1'));
    t.equal((await accounts.login('asha', made2, '127.0.0.1'))?.principal.grants[0]?.role, 'viewer');
  });
  await cli(['user', 'role', '--folder', folder, '--username', 'asha', '--role', 'admin']);

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

t.test('a device without a gateway gets a certificate of its own and its place in the directory, once', async (t) => {
  const dir = tempDir(t);
  const cloud = join(dir, 'cloud');
  const out = join(dir, 'meter-7');
  await cli(['cloud', 'init', '--folder', cloud, '--name', 'cloud.example.org']);
  const add = (...more: string[]) => cli(['cloud', 'device', 'add', '--folder', cloud, '--out', out, ...more]);
  const meter = [
    '--grid',
    'gamma',
    '--device',
    'meter-7',
    '--kind',
    'meter',
    '--figure',
    'consumption_kw=consumption_kw',
  ];
  const early = await add(...meter);
  t.equal(early.code, 1);
  t.match(early.err, /grid "gamma" is not in .*\n-> .*villagrid cloud grid own/);
  t.equal((await cli(['cloud', 'grid', 'own', '--folder', cloud, '--grid', 'gamma', '--name', 'Gamma'])).code, 0);
  t.match(JSON.parse((await add(...meter, '--json')).out), {
    client_id: 'meter-7',
    telemetry: 'microgrid/gamma/device/meter-7/telemetry',
    alerts: 'microgrid/gamma/alerts',
  });
  const first = readFileSync(join(out, 'meter-7.crt'), 'utf8');
  t.match((await describeCertificate(first)).subject, /meter-7/);
  t.equal(statSync(join(out, 'meter-7.key')).mode & 0o077, 0);
  t.equal((await add(...meter)).code, 0);
  t.not(readFileSync(join(out, 'meter-7.crt'), 'utf8'), first, 'again, it gets a new certificate');
  t.equal(readFileSync(join(cloud, 'directory.yaml'), 'utf8').match(/device_id: meter-7/g)?.length, 1);
  t.equal((await add('--grid', 'other', '--device', 'meter-7')).code, 1);
  const acl = await cli(['cloud', 'device', 'acl', '--folder', cloud]);
  t.match(acl.out, /user meter-7\ntopic write microgrid\/gamma\/alerts/);
  t.match((await cli(['cloud', 'letters', '--folder', cloud])).err, /does not answer/);
});

/** Every file below a folder with its content. */
function contents(folder: string): Record<string, string> {
  if (!existsSync(folder)) return {};
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    names
      .filter((name) => statSync(join(folder, name)).isFile())
      .map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
  );
}

t.test('registering a gateway does all of it or nothing, and says what to do first', async (t) => {
  const dir = tempDir(t);
  const [cloud, gateway] = [join(dir, 'cloud'), join(dir, 'kisima')];
  t.equal((await cli(['init', '--folder', gateway, '--grid', 'kisima', '--name', 'Kisima'])).code, 0);
  const add = (...more: string[]) =>
    cli(['cloud', 'grid', 'add', '--folder', cloud, '--gateway-folder', gateway, ...more]);
  const url = ['--url', 'mqtts://cloud.example.org:9883'];
  const before = contents(dir);
  const none = await add(...url);
  t.equal(none.code, 1);
  t.match(none.err, new RegExp(`cloud.yaml is missing.*\\n-> .*villagrid cloud init --folder ${cloud} --name`));
  t.same(contents(dir), before, 'no key, no authority, no setting was written');

  await cli(['cloud', 'init', '--folder', cloud, '--name', 'cloud.example.org']);
  const made = contents(dir);
  const wrong = await add('--url', 'http://cloud.example.org');
  t.equal(wrong.code, 2);
  t.match(wrong.err, /^--url: .*mqtts:/);
  t.equal((await add(...url, '--organisation', 'No Id')).code, 2);
  renameSync(join(cloud, 'pki/authority.key'), join(dir, 'safe'));
  t.match((await add(...url)).err, /authority.key is missing.*\n-> Put it back/);
  renameSync(join(dir, 'safe'), join(cloud, 'pki/authority.key'));
  const twin = join(dir, 'twin');
  await cli(['init', '--folder', twin, '--grid', 'kisima', '--gateway', 'gw-other', '--name', 'Twin']);
  t.equal((await cli(['cloud', 'grid', 'add', '--folder', cloud, '--gateway-folder', twin, ...url])).code, 0);
  const clash = await add(...url);
  t.equal(clash.code, 1);
  t.match(clash.err, /grid "kisima" belongs to gateway "gw-other"/);
  t.same(
    contents(gateway),
    Object.fromEntries(
      Object.entries(made).flatMap(([name, text]) => (name.startsWith('kisima/') ? [[name.slice(7), text]] : [])),
    ),
    'the gateway is as it was after every refusal',
  );
});

t.test(
  'values the daemon would refuse are refused before anything is written, by the option that gave them',
  async (t) => {
    const dir = tempDir(t);
    const folder = join(dir, 'kisima');
    const init = (...more: string[]) => cli(['init', '--folder', folder, ...more]);
    for (const [words, reason] of [
      [['--grid', 'BAD id', '--name', 'x'], /^--grid: .*BAD id/],
      [['--grid', 'kisima', '--name', ''], /^--name: /],
      [['--grid', 'kisima', '--name', 'x', '--zone', 'Moon/Base'], /^--zone: .*Moon\/Base/],
      [['--grid', 'kisima', '--name', 'x', '--pv-kwp', '-3'], /^--pv-kwp: /],
      [['--grid', 'kisima', '--name', 'x', '--port-base', '70000'], /port from 1 to 65000/],
      [['--grid', 'kisima', '--name', 'x', '--certificate-name', 'no name'], /"no name" is no name or address/],
    ] as const) {
      const refused = await init(...words);
      t.equal(refused.code, 2, words.join(' '));
      t.match(refused.err, reason);
    }
    t.notOk(existsSync(folder));
    t.equal(
      (await init('--grid', 'kisima', '--name', 'Kisima', '--certificate-name', 'box.example.org', '192.168.1.20'))
        .code,
      0,
    );
    const { subjectAltName } = new X509Certificate(readFileSync(join(folder, 'pki/gateway.crt')));
    t.match(subjectAltName, /DNS:box\.example\.org.*IP Address:192\.168\.1\.20/);
    const before = contents(folder);
    const device = (...more: string[]) => cli(['device', 'add', '--folder', folder, ...more]);
    for (const [words, reason] of [
      [['--device', 'Not An Id', '--name', 'x'], /^--device: /],
      [['--device', 'a', '--name', 'x', '--period', '0'], /^--period: /],
      [
        ['--device', 'a', '--name', 'x', '--wire', 'consumption=foo'],
        /consumption=foo: "consumption" is no metric.*consumption_kw/,
      ],
      [['--device', 'a', '--name', 'x', '--wire', 'consumption_kw=foo'], /"foo" is no metric/],
      [['--device', 'a', '--name', 'x', '--wire', 'consumption_kw=equipment_temp_c'], /is in kW, the metric in °C/],
      [['--device', 'a', '--name', 'x', '--wire', 'consumption_kw'], /give figure=metric/],
    ] as const) {
      const refused = await device(...words);
      t.equal(refused.code, 2, words.join(' '));
      t.match(refused.err, reason);
    }
    const user = (...more: string[]) =>
      cli(['user', 'add', '--folder', folder, '--username', 'asha', '--role', 'viewer', ...more], 'short');
    t.match(await user('--password-stdin'), { code: 2 });
    t.match(await user('--grid', 'elsewhere'), { code: 2, err: /this gateway has the grid "kisima"/ });
    const { 'data/settings.db': _made, ...after } = contents(folder);
    t.same(after, before);
  },
);

t.test('the balance and the test of a rule are asked of the running gateway, by a person it knows', async (t) => {
  const folder = join(tempDir(t), 'kisima');
  await cli(['init', '--folder', folder, '--grid', 'kisima', '--name', 'Kisima']);
  const config = join(folder, 'gateway.yaml');
  for (const section of ['http', 'https', 'mqtt_plain', 'mqtts']) setSetting(config, [section, 'port'], 0);
  await cli(
    ['user', 'add', '--folder', folder, '--username', 'asha', '--role', 'operator', '--password-stdin'],
    'a long password',
  );
  const gateway = createGateway(loadGatewayConfig({ path: config }), { clock, realClock: clock, random, log });
  t.teardown(() => gateway.stop());
  const { http } = await gateway.start();
  setSetting(config, ['http', 'port'], Number(new URL(http ?? '').port));
  const asked = (password: string, ...more: string[]) =>
    cli(['balance', '--folder', folder, '--username', 'asha', '--password-stdin', ...more], `${password}\n`);

  const table = await asked('a long password');
  t.equal(table.code, 3, 'nothing was measured yet');
  t.match(table.out, /cannot be checked against each other[^]*no meter for[^]*1\. /);
  const json = await asked('a long password', '--json');
  t.match(JSON.parse(json.out), { grid_id: 'kisima', state: 'unknown', relations: [], lacks: [/no meter for/] });
  const tested = (...words: string[]) =>
    cli(['rule', 'test', ...words, '--folder', folder, '--username', 'asha', '--password-stdin'], 'a long password\n');
  const file = join(folder, 'hot.yaml');
  writeFileSync(
    file,
    'kind: threshold\nselector: { scope: series, metric: equipment_temp_c }\nparameters: { above: 70, on_delay_ms: 60000 }\n',
  );
  const tried = await tested(file, '--days', '2', '--set', 'parameters.above=65', '--compare', '--list');
  t.equal(tried.code, 0, tried.err);
  t.match(tried.out, /tried: above 70 °C for 60 s\n[^]* at night [^]*as it is +0 +0 [^]*above 65 °C +0 +0/);
  t.match(tried.out, /With above 65 °C it would have been as often[^]*Nothing that this rule watches was measured/);
  const document = await tested('device_silent', '--json');
  t.match(JSON.parse(document.out), {
    rule_id: 'device_silent',
    variants: [{ count: 0 }],
    live: { count: 0, whole: true },
  });
  const cases: readonly (readonly [RegExp, ...string[]])[] = [
    [/no rule of this id[^]*-> Choose a rule/, 'no_such_rule'],
    [/on_delay_ms/, file, '--set', 'parameters.on_delay_ms=soon'],
    [/has no value/, file, '--set', 'parameters.above'],
    [/--compare needs a change/, file, '--compare'],
    [/--days is never/, file, '--days', 'never'],
    [/nowhere\.yaml cannot be read/, 'nowhere.yaml'],
    [/No history keeps gateway_disk_used_pct/, 'disk_filling'],
  ];
  for (const [expected, ...words] of cases) {
    const refused = await tested(...words);
    t.equal(refused.code, 2, words.join(' '));
    t.match(refused.err, expected);
  }
  const proof = await cli(
    ['completeness', 'kisima', '--folder', folder, '--username', 'asha', '--password-stdin'],
    'a long password\n',
  );
  t.equal(proof.code, 3, proof.err);
  t.match(proof.out, /log of this gateway holds everything up to number \d+[^]*ask the cloud/);
  const wrong = await asked('another password');
  t.equal(wrong.code, 1);
  t.match(wrong.err, /does not know this name and password/);
  await gateway.stop();
  const silent = await asked('a long password');
  t.equal(silent.code, 1);
  t.match(silent.err, /Nothing answers at[^]*-> Start it/);
});

t.test('planned work and the hand-over are said to the running gateway, in the time of the village', async (t) => {
  const folder = join(tempDir(t), 'kisima');
  await cli(['init', '--folder', folder, '--grid', 'kisima', '--name', 'Kisima', '--zone', 'Africa/Nairobi']);
  await cli(['device', 'add', '--folder', folder, '--device', 'cabinet-1', '--name', 'Cabinet']);
  const config = join(folder, 'gateway.yaml');
  for (const section of ['http', 'https', 'mqtt_plain', 'mqtts']) setSetting(config, [section, 'port'], 0);
  for (const [name, role] of [
    ['asha', 'operator'],
    ['juma', 'viewer'],
  ] as const)
    await cli(
      ['user', 'add', '--folder', folder, '--username', name, '--role', role, '--password-stdin'],
      'a long password',
    );
  const nowMs = Date.UTC(2026, 10, 28, 12);
  const gateway = createGateway(loadGatewayConfig({ path: config }), {
    clock: testClock(nowMs),
    realClock: clock,
    random,
    log,
  });
  t.teardown(() => gateway.stop());
  const { http } = await gateway.start();
  setSetting(config, ['http', 'port'], Number(new URL(http ?? '').port));
  const by = (username: string, ...words: string[]) =>
    cli([...words, '--folder', folder, '--username', username, '--password-stdin'], 'a long password\n');
  const start = (...words: string[]) => by('asha', 'maintenance', 'start', ...words);
  const list = async (...more: string[]) => (await by('juma', 'maintenance', 'list', ...more)).out;

  const first = await start('--devices', 'cabinet-1', '--for', '1h30min', '--reason', 'new fan', '--json');
  t.equal(first.code, 0, first.err);
  const made = JSON.parse(first.out) as { maintenance_id: string };
  t.match(made, {
    state: 'now',
    device_ids: ['cabinet-1'],
    from_ms: nowMs,
    until_ms: nowMs + 5_400_000,
    planned_by: { name: 'asha' },
  });
  const second = await start('--whole-grid', '--from', '22:00', '--until', '00:30', '--reason', 'generator');
  t.equal(second.code, 0, second.err);
  t.match(second.out, /the whole grid from 28 Nov 2026, 22:00 until 29 Nov 2026, 00:30 \(Africa\/Nairobi\)/);
  t.match(await list(), /ahead +28 Nov 2026, 22:00[^]*now +28 Nov 2026, 15:00 +28 Nov 2026, 16:30 +cabinet-1 +asha/);

  const cases: readonly (readonly [RegExp, ...string[]])[] = [
    [/either --devices or --whole-grid/, '--for', '2h'],
    [/either --for or --until/, '--whole-grid'],
    [/--reason is empty/, '--whole-grid', '--for', '2h', '--reason', ' '],
    [/no device pump-9/, '--devices', 'pump-9', '--for', '2h'],
  ];
  for (const [expected, ...words] of cases) {
    const refused = await start('--reason', 'fan', ...words);
    t.match([refused.code, refused.err], [2, expected], words.join(' '));
  }
  const viewer = await by('juma', 'maintenance', 'start', '--whole-grid', '--for', '2h', '--reason', 'sleep');
  t.match([viewer.code, viewer.err], [2, /who may do this/]);

  const ended = await by('asha', 'maintenance', 'end');
  t.match([ended.code, ended.out], [0, /on cabinet-1 \(new fan\) is ended/]);
  t.match((await by('asha', 'maintenance', 'end', made.maintenance_id)).out, /was over already/);
  t.match(await list('--all'), /over +28 Nov 2026, 15:00 .* asha, ended by asha .* new fan/);

  const wrote = await by('asha', 'handover', 'write', 'Battery 2 runs warm.\n\u001b[2JLook at 14:00');
  t.match([wrote.code, wrote.out], [0, /^Written\.$/], wrote.err);
  const later = await by('asha', 'handover', 'write', 'All is well');
  t.match(later.out, /takes the place of:\n28 Nov 2026, 15:00 \(Africa\/Nairobi\), asha/);
  t.equal(
    (await by('juma', 'handover', 'show')).out,
    '28 Nov 2026, 15:00 (Africa/Nairobi), asha:\n  All is well',
    'only what is current',
  );
  const all = await by('juma', 'handover', 'show', '--all');
  t.match(all.out, /All is well\n.*, earlier:\n  Battery 2 runs warm\.\n   \[2JLook/, 'no control characters');
  t.equal((await by('asha', 'handover', 'write', '  ')).code, 2);
});

t.test('a time that somebody types is of the village, also where its clock is put forward', async (t) => {
  const at = (text: string, after: string, zone = 'Africa/Nairobi') =>
    new Date(momentOf(text, '--until', { zone, afterMs: Date.parse(after) })).toISOString();
  const noon = '2026-11-28T09:00:00Z';
  t.equal(at('17:30', noon), '2026-11-28T14:30:00.000Z');
  t.equal(at('12:00', noon), '2026-11-29T09:00:00.000Z', 'now is not ahead: the next day');
  t.equal(at('6:05', noon), '2026-11-29T03:05:00.000Z');
  t.equal(at('2026-11-29', noon), '2026-11-28T21:00:00.000Z');
  t.equal(at('2026-11-29 06:00', noon), '2026-11-29T03:00:00.000Z');
  t.equal(at('2026-11-29T06:00:00+01:00', noon), '2026-11-29T05:00:00.000Z');
  t.equal(at('2026-11-29T06:00Z', noon), '2026-11-29T06:00:00.000Z');
  t.equal(at('08:00', '2026-03-28T20:00:00Z', 'Europe/Berlin'), '2026-03-29T06:00:00.000Z', 'after the change');
  t.equal(at('00:15', '2026-11-28T20:00:00Z'), '2026-11-28T21:15:00.000Z', 'past the local midnight');
  const span = (options: Parameters<typeof spanOf>[0]) =>
    spanOf(options, { zone: 'Africa/Nairobi', nowMs: Date.parse(noon) });
  t.equal(span({ for: '1h30min' }).untilMs, Date.parse(noon) + 5_400_000);
  t.equal(span({ from: '22:00', for: '1 d' }).untilMs, Date.parse('2026-11-29T19:00:00Z'));
  const refusals: readonly (readonly [RegExp, Parameters<typeof spanOf>[0]])[] = [
    [/--for is "2"/, { for: '2' }],
    [/--for is "2h or so"/, { for: '2h or so' }],
    [/--until is "tonight"/, { until: 'tonight' }],
    [/over already, at 28 Nov 2026, 09:00/, { from: '2026-11-28T08:00', for: '1h' }],
    [/less than a minute/, { from: '22:00', until: '2026-11-28T21:00' }],
    [/more than a day back/, { from: '2026-11-01', for: '2h' }],
    [/last 8 days; at most 7/, { for: '8d' }],
  ];
  for (const [message, options] of refusals) t.throws(() => span(options), { code: 'E_REQUEST_INVALID', message });
  for (const bad of ['24:00', '12:60', '2026-02-31', '2026-13-01', '2026-11-29T25:00', 'soon', ''])
    t.throws(() => at(bad, noon), { code: 'E_REQUEST_INVALID' }, bad);
});

t.test('completeness asks a cloud what it can prove, and ends with 0 only when all of it is there', async (t) => {
  const day = { day: '2026-11-22', from_ms: 1, to_ms: 2, frames: 2880, missing: 0, given_up: 0, refused: 0 };
  const log = {
    epoch: '01EPOCH',
    newest_number: 20,
    explained_up_to: 20,
    ...{ missing: [] as number[][], missing_count: 0, given_up: [] as number[][], given_up_count: 0 },
    ...{ refused: [] as object[], refused_count: 0 },
  };
  const whole = {
    grid_id: 'kisima',
    side: 'cloud',
    until_ms: 2,
    complete_until_number: 20,
    epoch: '01EPOCH',
    series: [],
  };
  let answer: object = {};
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.end(JSON.stringify(request.method === 'POST' ? { token: 'x' } : answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const ask = (...words: string[]) =>
    cli(['completeness', 'kisima', ...words, '--url', url, '--username', 'asha', '--password-stdin'], 'a password\n');

  const counted = { state: 'equal', told_until_number: 9, samples: 77, samples_here: 77, differing_count: 0 };
  const kept = [
    { granularity: 'raw', since_ms: Date.UTC(2026, 9, 29) },
    { granularity: '1h', since_ms: null },
  ];
  answer = { ...whole, kept, logs: [log], days: [{ ...day, state: 'proven', manifest: counted }] };
  const proven = await ask('2026-11-22');
  t.equal(proven.code, 0, proven.err);
  t.equal(asked.at(-1), 'GET /api/completeness/kisima?day=2026-11-22');
  t.match(proven.out, /2026-11-22 +proven +2880 .* the same 77 samples/);
  t.match(proven.out, /samples as measured since 2026-10-29, hours for ever/);

  const holes = {
    ...{ explained_up_to: 7, missing: [[8, 8]], missing_count: 1, given_up: [[1, 2]], given_up_count: 2 },
    ...{ refused: [{ number: 5, stage: 'frame', reason: 'frame version 9' }], refused_count: 1 },
  };
  answer = { ...whole, logs: [{ ...log, ...holes }], days: [{ ...day, state: 'missing', missing: 1 }] };
  const missing = await ask();
  t.equal(missing.code, 1);
  t.match(
    missing.out,
    /explained up to 7 of 20[^]*missing +1 +8\n[^]*given up +2 +1-2\n[^]*refused +1 +5: frame version 9/,
  );
  t.match(missing.out, /2026-11-22 +missing[^]*cannot be known/);
  t.match(JSON.parse((await ask('--json')).out), { logs: [{ missing: [[8, 8]] }] });
  // The day asked for is what counts, not what is missing elsewhere.
  answer = { ...whole, logs: [{ ...log, ...holes }], days: [{ ...day, state: 'proven' }] };
  t.equal((await ask('2026-11-22')).code, 0);
  t.equal((await ask()).code, 1);
  answer = { ...whole, logs: [log], days: [{ ...day, state: 'open' }] };
  t.equal((await ask('2026-11-22')).code, 3, 'more may come');
  const other = { ...counted, state: 'differs', samples_here: 70, differing_count: 2 };
  answer = { ...whole, logs: [log], days: [{ ...day, state: 'proven', manifest: other }] };
  const differs = await ask('2026-11-22');
  t.equal(differs.code, 1, 'the frames are there, but not the same samples');
  t.match(differs.out, /differs: 77 samples, here 70 \(2 series\)/);
  const both = await ask('--folder', 'x');
  t.equal(both.code, 2);
  t.match(both.err, /one of --folder and --url/);
});

t.test('fleet lists the grids of a cloud, those that want somebody first', async (t) => {
  const asked: string[] = [];
  const gateway = {
    version: '1.4.0',
    clock_trust: 'ntp',
    disk_used_pct: 40,
    backlog_age_s: 7300,
    complete_until_ms: 0,
  };
  const grids = [
    { grid_id: 'alpha', needs: [], state: 'powered, no alerts' },
    { grid_id: 'beta', needs: ['silent', 'card'], state: 'not reached for 3 h', gateway },
  ];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.end(JSON.stringify(request.method === 'POST' ? { token: 'x' } : { grids, now_ms: 1 }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const fleet = (...words: string[]) =>
    cli(['fleet', '--url', url, '--username', 'asha', '--password-stdin', ...words], 'a password\n');
  const all = await fleet();
  t.equal(all.code, 1, all.err);
  t.match(all.out, /beta +silent card +1970-01-01T00:00Z +2 h +1\.4\.0 +ntp +40 % +- +not reached[^]*alpha +- /);
  t.match(all.out, /1 of 2 want somebody/);
  await fleet('--needs', 'silent', '--search', 'b');
  t.equal(asked.at(-1), 'GET /api/grids?search=b&needs=silent');
  await fleet('--needs');
  t.equal(asked.at(-1), 'GET /api/grids?needs=any');
  t.equal((await fleet('--needs', 'money')).code, 2);
  t.same(JSON.parse((await fleet('--json')).out).grids[0].grid_id, 'beta');
});

t.test('the doctor tells our server on a port from another program', async (t) => {
  const folder = join(tempDir(t), 'kisima');
  await cli(['init', '--folder', folder, '--grid', 'kisima', '--name', 'Kisima']);
  let answer = '<html>';
  const http = createServer((_, response) => response.end(answer));
  const tls = createTlsServer({
    cert: readFileSync(join(folder, 'pki/gateway.crt')),
    key: readFileSync(join(folder, 'pki/gateway.key')),
  });
  for (const server of [http, tls]) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => [http, tls].map((server) => server.close()));
  const portOf = (server: typeof http | typeof tls) => (server.address() as AddressInfo).port;
  const states = async (ports: Record<string, number>) => {
    for (const [section, port] of Object.entries(ports))
      setSetting(join(folder, 'gateway.yaml'), [section, 'port'], port);
    const { out } = await cli(['doctor', '--folder', folder, '--json']);
    const all = JSON.parse(out) as { check: string; findings: { state: string; found: string }[] }[];
    return all.find((one) => one.check === 'listening')?.findings;
  };
  t.match(await states({ http: portOf(http), https: portOf(tls), mqtt_plain: 1, mqtts: portOf(http) }), [
    { state: 'bad', found: /another program/ },
    { state: 'good', found: /https: this server answers/ },
    { state: 'warning', found: /nothing answers on port 1/ },
    { state: 'bad', found: /without TLS/ },
  ]);
  answer = JSON.stringify({ kind: 'gateway', server_id: 'gw-other' });
  t.match((await states({}))?.[0], { state: 'bad', found: /another Villagrid server, gw-other/ });
  answer = JSON.stringify({ kind: 'gateway', server_id: 'gw-kisima' });
  t.match((await states({}))?.[0], { state: 'good', found: /this server answers/ });
  const plain = async () => {
    const { out } = await cli(['doctor', '--folder', folder, '--json']);
    const all = JSON.parse(out) as { check: string; findings: { state: string; found: string }[] }[];
    return all.find((one) => one.check === 'plain-mqtt')?.findings;
  };
  t.match(await plain(), [{ state: 'good', found: 'for this machine only' }]);
  setSetting(join(folder, 'gateway.yaml'), ['mqtt_plain', 'lan'], true);
  t.match(await plain(), [{ state: 'warning', found: /no device may use it/ }]);
  setSetting(join(folder, 'gateway.yaml'), ['mqtt_plain', 'lan_devices'], ['cabinet-1']);
  t.match(await plain(), [{ state: 'warning', found: /open to the network for cabinet-1: whoever/ }]);
});

/** A Modbus TCP device that holds these registers (function 3) and refuses all others. */
async function modbusDevice(t: Test, registers: Readonly<Record<number, number>>): Promise<number> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (request) => {
      const [functionCode = 0, address, count] = [request[7], request.readUInt16BE(8), request.readUInt16BE(10)];
      const words = Array.from({ length: count }, (_, i) => registers[address + i]);
      const refused = functionCode !== 3 || words.includes(undefined);
      const body = refused ? Buffer.from([functionCode | 0x80, 2]) : Buffer.alloc(2 + 2 * count);
      if (!refused) {
        body[0] = functionCode;
        body[1] = 2 * count;
        for (const [i, word] of words.entries()) body.writeUInt16BE(word ?? 0, 2 + 2 * i);
      }
      const head = Buffer.from(request.subarray(0, 7));
      head.writeUInt16BE(body.length + 1, 4);
      socket.write(Buffer.concat([head, body]));
    });
  });
  t.teardown(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const ownProfile = `profile: 1
id: own-meter
vendor: Own
models: ["One"]
kind: meter
transport: { tcp: { port: 502, unit: 1 }, rtu: { baud: 9600, parity: none, stop_bits: 1, unit: 1 } }
points:
  - { key: power, printed: "40011", address: 10, type: s32, word_order: lsw_first, scale: 0.1, unit: W, metric: consumption_kw, metric_factor: 0.001 }
  - { key: state, printed: "40013", address: 12, type: enum16, values: { "2": running } }
  - { key: absent, printed: "40020", address: 19, type: u16, unit: V }
sources: { "manual": "2024" }
`;

t.test('a profile is checked and tried before a gateway uses it', async (t) => {
  const folder = tempDir(t);
  const file = join(folder, 'own-meter.yaml');
  writeFileSync(file, ownProfile);
  const checked = await cli(['profile', 'check', file]);
  t.equal(checked.code, 0, checked.err);
  t.match(checked.out, /own-meter: the form is right. 3 points/);
  t.match(checked.out, /A poll asks once for 2 registers \(10-11\), 2[78] ms of the line at 9600 baud/);
  t.match(checked.out, /No vectors/);

  writeFileSync(file, ownProfile.replace('type: enum16', 'type: enum17'));
  const wrong = await cli(['profile', 'check', file]);
  t.equal(wrong.code, 1);
  t.match(wrong.err, /own-meter.yaml:9: points\[1\].type: found "enum17"; it must be one of/);
  writeFileSync(file, ownProfile);

  mkdirSync(join(folder, 'vectors'));
  writeFileSync(
    join(folder, 'vectors/own-meter.yaml'),
    'cases:\n  - name: one\n    read: [{ address: 10, words: [0xEC78, 0xFFFF, 2] }]\n    points: { power: 500, state: 2, stat: 2, absent: 1 }\n',
  );
  const differs = await cli(['profile', 'check', file, '--json']);
  t.equal(differs.code, 1);
  t.same((JSON.parse(differs.out) as { vectors: string[] }).vectors, [
    'case "one": power is -500, it should be 500',
    'case "one": the profile has no point stat',
    'case "one": absent has no registers under read, by function and address',
    'no case has a negative value of the signed: power',
    'no case compares the metrics consumption_kw',
  ]);

  const port = await modbusDevice(t, { 10: 0xec78, 11: 0xffff, 12: 2 });
  const place = ['--host', '127.0.0.1', '--port', String(port)];
  const tried = await cli(['profile', 'try', file, ...place]);
  t.equal(tried.code, 0, tried.err);
  t.match(tried.out, /40011 +power +ec78 ffff +-500 W/);
  t.match(tried.out, /state +0002 +2 \(running\)/);
  t.match(tried.out, /absent +not read/);
  t.match(tried.out, /consumption_kw +-0.5/);
  t.match(tried.out, /look +registers 19 to 19: the device refused \(exception 2/);
  const asJson = await cli(['profile', 'try', file, ...place, '--json']);
  t.same((JSON.parse(asJson.out) as { metrics: object }).metrics, { consumption_kw: -0.5 });
  const noSunSpec = await cli(['profile', 'try', 'sunspec', ...place]);
  t.equal(noSunSpec.code, 1);
  t.match(noSunSpec.err, /E_DEVICE_SILENT.*no "SunS" at 40000, 50000, 0/s);

  const limits =
    'function: 3\nlimits: { max_registers: 3, max_gap: 2, forbidden: [[30, 31]] }\nmissing: { u16: [0xFFFF] }\n';
  writeFileSync(file, ownProfile.replace('points:\n', `${limits}points:\n`));
  const vectors =
    'cases:\n  - name: two\n    read: [{ address: 10, words: [1, 0, 2] }, { address: 15, words: [7] }, { address: 19, words: [230] }]\n    points: { absent: 230 }\n';
  writeFileSync(join(folder, 'vectors/own-meter.yaml'), vectors);
  t.match((await cli(['profile', 'check', file])).out, /BAD  no case shows the code of no value of: absent\./);
  const { name, read } = playedCase(file, loadProfile(file));
  t.equal(name, 'two');
  t.same(read(3, 10, 3), [1, 0, 2], 'a played device has the registers of the case');
  t.same(read(3, 12, 3), [2, 0, 0], 'and those that may be read along');
  t.same([read(3, 16, 1), read(3, 15, 4), read(3, 30, 1), read(4, 10, 1)], [2, 3, 2, 1], 'and refuses the others');
  const played = await startPlayedDevice(read, { port: 0, unit: 1 });
  t.teardown(() => played.close());
  const there = ['--host', '127.0.0.1', '--port', String(played.port)];
  const own = await cli(['profile', 'try', file, ...there]);
  t.match(own.out, /absent +00e6 +230 V/, own.err);
  const wrongUnit = await cli(['profile', 'try', file, ...there, '--unit', '9']);
  t.match(wrongUnit.err, /E_DEVICE_SILENT.*unit 9: .*the unit behind the gateway does not answer/);
  t.throws(() => playedCase(file, loadProfile(file), 'three'), /no case "three"; there are "two"/);
  t.equal((await cli(['profile', 'play', 'sunspec'])).code, 2);

  const nowhere = await cli(['profile', 'try', file]);
  t.equal(nowhere.code, 2);
  t.match(nowhere.err, /--host <address>, or --serial <port>/);
  const noPort = await cli(['profile', 'try', file, '--serial', join(folder, 'no-such-port')]);
  t.equal(noPort.code, 1);
  t.match(noPort.err, /E_DEVICE_SILENT.*no-such-port, unit 1/);

  const listed = await cli(['profile', 'list', '--profiles-dir', folder]);
  t.match(listed.out, /^own-meter +meter +Own: One$/m);
  t.match(listed.out, /^victron-gx-system /m);
  t.equal((await cli(['profile', 'check', 'nonesuch'])).code, 2);
});

t.test('a scan says plainly whether it wrote anything, and what to give so that it does', async (t) => {
  const folder = join(tempDir(t), 'kisima');
  await cli(['init', '--folder', folder, '--grid', 'kisima', '--name', 'Kisima']);
  const port = await modbusDevice(t, { 30_201: 0, 30_202: 307 });
  const scan = async (...more: string[]) => {
    const { code, out, err } = await cli(['scan', `127.0.0.1:${port}`, '--units', '3', '--gap', '1', ...more]);
    t.equal(code, 0, err);
    return out;
  };
  t.match(await scan(), /sma-sunny-boy.*For gateway\.yaml:.*Nothing was written\. .*give --folder .*and --write\.$/s);
  t.match(await scan('--folder', folder), /Nothing was written\. To write this into gateway\.yaml, give --write\.$/);
  t.match(await scan('--folder', folder, '--write'), /Written into .*kisima.gateway\.yaml\. Restart the gateway/);
  const again = await scan('--folder', folder, '--write');
  t.match(again, /Nothing was written: what was found is in gateway\.yaml already/);
  t.notMatch(again, /For gateway|Restart/);
});

t.test('a wrong command line says what is wrong and ends with 2', async (t) => {
  const wrong = await cli(['user', 'add', '--folder', '/nowhere', '--username', 'x', '--role', 'king']);
  t.equal(wrong.code, 2);
  t.match(wrong.err, /king.*viewer.*admin/s);
  t.equal((await cli(['init'])).code, 2);
  t.equal((await cli(['--help'])).code, 0);
});

t.test('a site changes a default rule and adds its own; what is wrong is told with file and line', async (t) => {
  const folder = join(tempDir(t), 'kisima');
  t.equal((await cli(['init', '--folder', folder, '--grid', 'kisima', '--name', 'Kisima'])).code, 0);
  const rules = join(folder, 'rules');
  mkdirSync(rules);
  const write = (name: string, text: string) => writeFileSync(join(rules, name), text);
  const check = (...more: string[]) => cli(['rule', 'check', ...more, '--folder', folder]);
  t.match((await check()).out, /no files of rules/);
  write('high_consumption.yaml', 'id: high_consumption\nseverity: medium\nparameters:\n  above: 9\n');
  write('clock_not_trusted.yaml', 'id: clock_not_trusted\nenabled: false\n');
  const mill = `id: mill_at_night
kind: expression
severity: low
selector:
  scope: device
  device_class: meter
schedule:
  hours:
    - { from: '21:00', to: '05:00' }
parameters:
  when: consumption_kw > 5 && soc < 50
  inputs:
    soc: { metric: battery_soc_pct, of: grid, otherwise: 0 }
  on_delay_ms: 600000
message: the mill runs at night
what: '{device} takes {value} {unit}.'
why: The battery is for the clinic.
steps:
  - Ask the miller to wait for the sun.
`;
  write('mill_at_night.yaml', mill);
  const good = await check();
  t.equal(good.code, 0, good.out);
  t.match(good.out, /ok {3}high_consumption: consumption_kw: above 9 kW/);
  t.match(
    good.out,
    /ok {3}mill_at_night: devices, device_class meter: consumption_kw > 5 && soc < 50 .*\(21:00 to 05:00\)/,
  );
  const listed = await cli(['rule', 'list', '--folder', folder]);
  t.match(listed.out, /high_consumption +medium +consumption_kw: above 9 kW for 60 s {2}\[own file\]/);
  t.match(listed.out, /clock_not_trusted +off/);
  t.match(listed.out, /device_silent +medium +devices: nothing heard for 10 min/);
  t.match(listed.out, /mill_at_night +low/);

  for (const [change, expected] of [
    [
      mill.replace('> 5', '> [5].all(x, x > 1)'),
      /mill_at_night\.yaml:11: parameters\.when: .*line 1, column \d+: .*list/,
    ],
    [mill.replace('severity: low', 'severity: loud'), /mill_at_night\.yaml:3: severity: found "loud"/],
    [mill.replace('on_delay_ms: 600000', 'on_delay_ms: soon'), /mill_at_night\.yaml:14: parameters\.on_delay_ms/],
    [
      mill.replace('device_class: meter', 'device_id: mill-9'),
      /mill_at_night\.yaml:6: selector\.device_id: device "mill-9"/,
    ],
    [mill.replace(', otherwise: 0', ''), /mill_at_night\.yaml:13: .*no figure "battery_soc_pct"/],
    [
      mill.replace('severity: low', 'severity: low\npart_of: no_powr'),
      /mill_at_night\.yaml:4: part_of: there is no rule "no_powr"; did you mean no_power\?/,
    ],
    [
      mill.replace('severity: low', 'severity: low\npart_of: [no_power, mill_at_night]'),
      /mill_at_night\.yaml:4: part_of\[1\]: a rule is no part of itself/,
    ],
    [mill.replace('id: mill_at_night', 'id: mill'), /mill_at_night\.yaml:1: id: found "mill"/],
    [mill.replace(/^message.*\nwhat.*\n/m, ''), /mill_at_night\.yaml:1: message, what: missing/],
    [mill.replace('kind: expression', 'kind: magic'), /mill_at_night\.yaml:2: kind: .*threshold/],
    [mill.replace("'21:00'", '25'), /mill_at_night\.yaml:9: schedule\.hours\[0\]\.from/],
    [mill.replace('why: The', 'why: The: x: y'), /mill_at_night\.yaml:\d+: /],
    [
      mill.replace('severity: low', 'severity: loud').replace('> 5', '> ').replace('on_delay_ms', 'on_delay'),
      /mill_at_night\.yaml:3: severity: .*\n(.*\n)*.*mill_at_night\.yaml:14: parameters\.on_delay: there is no parameter/,
    ],
    [
      mill.replace('consumption_kw > 5', 'consumption_kw > ').replace(', otherwise: 0', ', fold: mean'),
      /yaml:11: parameters\.when: .*\n.*yaml:13: parameters\.inputs\.soc: .*no window_ms/,
    ],
    [
      mill
        .replace('expression', 'deviation')
        .replace(/  when[\s\S]*otherwise: 0 }\n/, '')
        .replace('device\n', 'series\n  metric: power_factor\n'),
      /yaml:6: selector\.metric: what is usual of "power_factor" is not learnt, so a deviation rule would conclude nothing/,
    ],
  ] as const) {
    write('mill_at_night.yaml', change);
    const bad = await check();
    t.equal(bad.code, 1, change);
    t.match(bad.out, expected, bad.out);
    t.match(bad.out, /ok {3}high_consumption/, 'the others are told all the same');
  }
  const asJson = JSON.parse((await check('--json', join(rules, 'high_consumption.yaml'))).out) as { rule: object }[];
  t.match(asJson, [{ rule: { id: 'high_consumption', parameters: { above: 9, deadband: 1 } } }]);
});
