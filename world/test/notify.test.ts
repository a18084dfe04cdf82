/** Telling people over real wires: a modem and a relay board on pseudo-terminals, a mail server on a socket, a whole gateway. */
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { notifyTestText, type NotifyText } from '@villagrid/contracts';
import { createGateway, loadGatewayConfig } from '@villagrid/gateway';
import { serialLine } from '@villagrid/gateway/field';
import {
  amountIn,
  ChannelError,
  createModem,
  emailChannel,
  gpioPin,
  relayChannel,
  serialBoard,
  smsChannel,
  type ModemOptions,
  type NotifyChannel,
} from '@villagrid/gateway/notify';
import { runCli, withAccounts } from '@villagrid/provisioning';
import { cryptoRandom, realClock, silentLogger } from '@villagrid/runtime';
import { memoryLog, tempDir } from '@villagrid/runtime/testing';
import { canOpenPty, gsmModem, openPty, type GsmModem, type GsmModemSettings } from '@villagrid/simulator';
import t, { type Test } from 'tap';
import { freePortBase } from './port-base.js';

t.setTimeout(300_000);
const clock = realClock();
const random = cryptoRandom();
const skip = canOpenPty() ? false : 'pseudo-terminals need python3';
const waits = { answer: 5000, sending: 5000, network: 1500, ussd: 5000, between: 50 };
const text: NotifyText = notifyTestText({ place: 'Kisima', zone: 'UTC', language: 'en' });
const until = async (what: string, met: () => boolean | Promise<boolean>): Promise<void> => {
  const endMs = clock.monotonicMs() + 60_000;
  while (!(await met())) {
    if (clock.monotonicMs() > endMs) throw new Error(`waited in vain for: ${what}`);
    await clock.sleep(10);
  }
};
const failure = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no failure',
    (error: Error) => (error instanceof ChannelError ? error.message : `no words: ${error.stack}`),
  );

/** A modem on a pseudo-terminal; unplugging closes it, and it comes back at the same name. */
async function modemAt(t: Test, given: Partial<GsmModemSettings> = {}) {
  const path = join(tempDir(t), 'ttyUSB-modem');
  let pty = await openPty(path);
  const modem: GsmModem = gsmModem((bytes) => pty.write(bytes), clock, given);
  pty.onBytes((data) => modem.receive(data));
  t.teardown(() => pty.close());
  return {
    path,
    modem,
    unplug: () => pty.close(),
    async plug() {
      modem.restart();
      pty = await openPty(path);
      pty.onBytes((data) => modem.receive(data));
    },
  };
}

function pinMemory() {
  let tried: string | undefined;
  return {
    wasTried: (pin: string) => tried === pin,
    trying: (pin: string) => void (tried = pin),
    right: () => void (tried = undefined),
  };
}

const modemOn = (t: Test, path: string, over: Partial<ModemOptions> = {}) => {
  const modem = createModem({
    open: serialLine({ path, baud: 115_200, parity: 'none', stopBits: 1 }),
    pin: undefined,
    pins: pinMemory(),
    serviceCentre: undefined,
    balanceCode: undefined,
    clock,
    logger: silentLogger(),
    waits,
    ...over,
  });
  t.teardown(() => modem.close());
  return modem;
};

t.test('a modem is told exactly what 3GPP TS 27.005 and 27.007 say', { skip }, async (t) => {
  const { path, modem: far } = await modemAt(t, { pin: '0742' });
  const modem = modemOn(t, path, { pin: '0742', serviceCentre: '+255700000001' });
  t.equal(await modem.send('+255712345678', 'Kisima: battery is low'), 1);
  t.same(far.received, [{ to: '+255712345678', text: 'Kisima: battery is low', parts: 1 }]);
  t.same(far.told, [
    'AT', // V.250: is anybody there
    'ATE0', // V.250 6.2.4: no echo
    'AT+CMEE=1', // 27.007 9.1: errors as numbers
    'AT+CREG=0', // 27.007 7.2: registration only when asked
    'AT+CPIN?', // 27.007 8.3: SIM PIN
    'AT+CPIN="0742"',
    'AT+CPIN?',
    'AT+CREG?', // registered, home
    'AT+CSCA="+255700000001"', // 27.005 3.3.1: service centre
    'AT+CMGF=1', // 27.005 3.2.3: text mode
    'AT+CSCS="IRA"', // 27.007 5.5
    'AT+CSMP=17,167,0,0', // 27.005 3.3.2: SMS-SUBMIT with a validity of 24 h, GSM alphabet
    'AT+CMGS="+255712345678"', // 27.005 3.5.1, and the text ended by Ctrl-Z
    'Kisima: battery is low',
  ]);
  far.told.length = 0;
  await modem.send('+255712345678', 'बैटरी कम है');
  t.same(far.received.at(-1), { to: '+255712345678', text: 'बैटरी कम है', parts: 1 });
  t.same(far.told.slice(3), [
    'AT+CMGF=1',
    'AT+CSCS="UCS2"',
    'AT+CSMP=17,167,0,8', // UCS-2 (23.038 4)
    'AT+CMGS="002B003200350035003700310032003300340035003600370038"',
    '092C0948091F0930094000200915092E002009390948',
  ]);
  const long = `Kisima: ${'the inverter stopped because it is too hot. '.repeat(8)}`;
  t.equal(await modem.send('+255712345678', long), 3);
  t.same(far.received.at(-1), { to: '+255712345678', text: long, parts: 3 });
  t.match(
    far.told.join('\n'),
    /AT\+CMGF=0\nAT\+CMGS=154\n0051000C915275214365870000A7A0050003\w\w0301\w+\nAT\+CMGS=154\n/,
  );
  const wide = 'Batería: 21 % 🔋 '.repeat(12);
  await modem.send('+34600000000', wide);
  t.same([far.received.at(-1)?.text, far.received.at(-1)?.to], [wide, '+34600000000']);
  await modem.send('+34600000000', 'Señal débil {1} €5, 61 °C – “hot”');
  t.equal(far.received.at(-1)?.text, 'Señal débil {1} €5, 61 C - "hot"', 'the GSM alphabet is enough, in a PDU');
});

t.test('slow, echoing and talkative modems are understood; signal and credit are told', { skip }, async (t) => {
  const { path, modem: far } = await modemAt(t, {
    delayMs: 60,
    unsolicited: ['RING', '+CMTI: "SM",3', '^RSSI: 17', '+CREG: 1', 'NO CARRIER'],
    signal: 9,
    ussd: {
      '*102#': '0,"Your balance is TZS 1,234.50.\r\nValid until\r\n31 Dec",15',
      '*100#': '1,"0031003200330020004B0053",72',
    },
    registration: 5,
  });
  const modem = modemOn(t, path, { balanceCode: '*102#' });
  await modem.send('+255712345678', 'OK');
  t.equal(far.received[0]?.text, 'OK');
  t.same(await modem.look(), { signalDbm: -95, operator: 'Village Net', roaming: true });
  t.equal(await modem.balance(), 'Your balance is TZS 1,234.50. Valid until 31 Dec');
  t.same(['TZS 1,234.50', '1.234,50 KES', 'KES 12', '1.500', 'none'].map(amountIn), [1234.5, 1234.5, 12, 1500, null]);
  await modem.close();
  const other = modemOn(t, path, { balanceCode: '*100#' });
  t.equal(await other.balance(), '123 KS', 'hexadecimal UCS-2, and its menu is ended');
  t.ok(far.told.includes('AT+CUSD=2'));
});

t.test('what a modem refuses is told in plain words, and a wrong PIN is never given twice', { skip }, async (t) => {
  const { path, modem: far } = await modemAt(t, { pin: '1111' });
  const pins = pinMemory();
  const wrong = modemOn(t, path, { pin: '2222', pins });
  t.match(await failure(wrong.send('+255712345678', 'x')), /the PIN is wrong \(\+CME ERROR: 16\)/);
  t.match(await failure(wrong.send('+255712345678', 'x')), /is not given it again/);
  await wrong.close();
  const again = modemOn(t, path, { pin: '2222', pins });
  t.match(await failure(again.send('+255712345678', 'x')), /is not given it again/, 'nor after a restart');
  t.equal(far.wrongPins(), 1);
  await again.close();
  const none = modemOn(t, path);
  t.match(await failure(none.send('+255712345678', 'x')), /wants its PIN/);
  await none.close();
  const modem = modemOn(t, path, { pin: '1111', pins });
  far.settings.failures.push('+CMS ERROR: 38', '+CMS ERROR: 1', '+CMS ERROR: 500', 'ERROR', '+CMS ERROR: 777');
  const said = [];
  for (let i = 0; i < 5; i += 1) said.push(await failure(modem.send('+255712345678', 'x')));
  t.match(said, [
    /network is out of order/,
    /does not know this number/,
    /often there is no credit/,
    /says ERROR/,
    /777/,
  ]);
  t.notMatch(said.join(), /1111/);
  far.settings.free = 0;
  await modem.send('+255712345678', 'after the memory was full');
  t.ok(far.told.includes('AT+CMGD=1,4'));
  t.equal(far.received.at(-1)?.text, 'after the memory was full');
  far.settings.registration = 2;
  t.match(await failure(modem.send('+255712345678', 'x')), /there is no network/);
  far.settings.registration = 3;
  t.match(await failure(modem.send('+255712345678', 'x')), /refuses this SIM/);
  far.settings.registration = 1;
  const hasty = modemOn(t, path, { pin: '1111', waits: { ...waits, sending: 300 } });
  await modem.close();
  far.settings.failures.push('silent');
  t.match(await failure(hasty.send('+255712345678', 'lost')), /did not answer within/);
  await hasty.send('+255712345678', 'in step again');
  t.equal(far.received.at(-1)?.text, 'in step again');
  far.settings.failures.push('late +CMS ERROR: 38');
  t.match(await failure(hasty.send('+255712345678', 'late')), /did not answer within/);
  await hasty.send('+255712345678', 'not taken for the late answer');
  t.equal(far.received.at(-1)?.text, 'not taken for the late answer');
  t.match(await failure(modemOn(t, join(path, '..', 'nothing')).look()), /is the adapter plugged in/);
});

/** A mail server on a socket: RFC 5321 with AUTH PLAIN. */
async function mailServer(t: Test) {
  const mails: { to: string; data: string }[] = [];
  const logins: string[] = [];
  const self = { port: 0, mails, logins, up: true, refuse: '' };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    if (!self.up) return socket.destroy();
    let held = '';
    let data: string | undefined;
    let to = '';
    const say = (line: string) => socket.write(`${line}\r\n`);
    say('220 mail.example.org ESMTP');
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      held += chunk;
      for (let end = held.indexOf('\r\n'); end >= 0; end = held.indexOf('\r\n')) {
        const line = held.slice(0, end);
        held = held.slice(end + 2);
        if (data !== undefined) {
          if (line === '.') {
            mails.push({ to, data });
            data = undefined;
            say('250 taken');
          } else data += `${line}\n`;
        } else if (/^EHLO/i.test(line)) say('250-mail.example.org\r\n250 AUTH PLAIN');
        else if (/^STARTTLS/i.test(line)) say('502 not here');
        else if (/^AUTH PLAIN/i.test(line)) {
          logins.push(Buffer.from(line.slice(11), 'base64').toString());
          if (line.endsWith(Buffer.from('\0village\0right-secret').toString('base64'))) say('235 welcome');
          else say(`535 wrong: ${line.slice(11)} wrong-secret`);
        } else if (/^RCPT TO/i.test(line)) {
          to = /<(.*)>/.exec(line)?.[1] ?? '';
          say(self.refuse !== '' && to.startsWith(self.refuse) ? '550 no such person' : '250 fine');
        } else if (/^DATA/i.test(line)) {
          data = '';
          say('354 go on');
        } else if (/^QUIT/i.test(line)) {
          say('221 bye');
          socket.end();
        } else say('250 fine');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  self.port = (server.address() as { port: number }).port;
  return self;
}

interface Rig {
  readonly channel: NotifyChannel;
  readonly to: string;
  /** What arrived at the far side, one text each. */
  arrived(): readonly string[];
  expected: string;
  breakIt(): Promise<void>;
  mendIt(): Promise<void>;
}

/** What every channel must do. */
function channelSuite(name: string, make: (t: Test) => Promise<Rig>): void {
  t.test(`channel ${name}`, { skip }, async (t) => {
    const rig = await make(t);
    const { channel, to } = rig;
    const send = () => channel.send({ to, severity: 'critical', text });
    t.match(await channel.check(), { state: 'ok', detail: /.+/ }, 'a look tells that it works');
    const before = rig.arrived().length;
    t.notOk(rig.arrived().includes(rig.expected), 'and tells nobody anything');
    await send();
    await until('the message arrives', () => rig.arrived().includes(rig.expected));
    await Promise.all([send(), send()]);
    t.ok(rig.arrived().length > before, 'two at once are put in turn');
    await rig.breakIt();
    const said = await failure(send());
    t.ok(said !== 'no failure' && !said.startsWith('no words'), `broken: ${said}`);
    t.ok((await failure(channel.check())) !== 'no failure', 'a look tells it too');
    await rig.mendIt();
    const count = rig.arrived().length;
    await until('it works again by itself', async () => (await failure(send())) === 'no failure');
    await until('and it arrives', () => rig.arrived().length > count);
    await channel.hush();
    await channel.close();
    await channel.close();
  });
}

channelSuite('sms', async (t) => {
  const { path, modem, unplug, plug } = await modemAt(t);
  const channel = smsChannel({
    open: serialLine({ path, baud: 115_200, parity: 'none', stopBits: 1 }),
    pin: undefined,
    pins: pinMemory(),
    serviceCentre: undefined,
    balanceCode: undefined,
    clock,
    realClock: clock,
    logger: silentLogger(),
    waits,
  });
  return {
    channel,
    to: '+255712345678',
    arrived: () => modem.received.map((one) => one.text),
    expected: text.short,
    breakIt: unplug,
    mendIt: plug,
  };
});

channelSuite('email', async (t) => {
  const server = await mailServer(t);
  const { log } = memoryLog({ level: 'debug' });
  const channel = emailChannel({
    host: '127.0.0.1',
    port: server.port,
    security: 'none',
    from: 'kisima@example.org',
    username: 'village',
    password: 'right-secret',
    logger: log,
    timeoutMs: 10_000,
  });
  return {
    channel,
    to: 'asha@example.org',
    arrived: () => server.mails.map(({ to, data }) => `${to} ${/^Subject: .*$/m.exec(data)?.[0]}`),
    expected: 'asha@example.org Subject: Kisima: Villagrid',
    async breakIt() {
      server.up = false;
    },
    async mendIt() {
      server.up = true;
    },
  };
});

channelSuite('relay on a serial board', async (t) => {
  const path = join(tempDir(t), 'ttyUSB-relay');
  const got: number[] = [];
  let pty = await openPty(path, 9600);
  const listen = () => pty.onBytes((data) => got.push(...data));
  listen();
  t.teardown(() => pty.close());
  const board = serialBoard(path, serialLine({ path, baud: 9600, parity: 'none', stopBits: 1 }), 1, clock);
  const words = () =>
    got.reduce<string[]>(
      (all, byte, i) => (i % 4 === 0 ? [...all, hex(byte)] : [...all.slice(0, -1), `${all.at(-1)} ${hex(byte)}`]),
      [],
    );
  const hex = (byte: number) => byte.toString(16).toUpperCase().padStart(2, '0');
  return {
    channel: relayChannel({ switch: board, soundMs: 200, realClock: clock }),
    to: '',
    arrived: words,
    expected: 'A0 01 01 A2',
    breakIt: () => pty.close(),
    async mendIt() {
      got.length = 0;
      pty = await openPty(path, 9600);
      listen();
    },
  };
});

t.test(
  'a relay goes off by itself and when somebody acknowledges; a pin is held by gpioset of either version',
  { skip },
  async (t) => {
    for (const [version, on, off] of [
      [
        'gpioset (libgpiod) v1.6.3',
        '--mode=signal --active-low gpiochip0 17=1',
        '--mode=signal --active-low gpiochip0 17=0',
      ],
      ['gpioset (libgpiod) v2.1.3', '--chip gpiochip0 --active-low 17=1', '--chip gpiochip0 --active-low 17=0'],
    ] as const) {
      const folder = tempDir(t);
      const program = join(folder, 'gpioset');
      const calls = join(folder, 'calls');
      // Stands for the tool: holds the line until it is ended, as both versions do.
      writeFileSync(
        program,
        `#!/bin/sh\nif [ "$1" = --version ]; then echo '${version}'; exit; fi\necho "$*" >> ${calls}\nwhile :; do sleep 0.05; done\n`,
      );
      chmodSync(program, 0o755);
      const pin = gpioPin({ chip: 'gpiochip0', line: 17, activeLow: true, program, realClock: clock });
      const channel = relayChannel({ switch: pin, soundMs: 400, realClock: clock });
      const said = () => (existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n') : []);
      await channel.send({ to: '', severity: 'critical', text });
      await until('it goes off by itself', () => said().length === 2);
      t.same(said(), [on, off]);
      await channel.send({ to: '', severity: 'critical', text });
      await channel.hush();
      t.same(said().slice(2), [on, off]);
      await channel.close();
      rmSync(program);
    }
    const gone = gpioPin({
      chip: 'gpiochip0',
      line: 1,
      activeLow: false,
      program: '/nowhere/gpioset',
      realClock: clock,
    });
    t.match(await failure(gone.set(true)), /install the package gpiod/);
  },
);

t.test('a mail server that refuses is told in words, without the password', async (t) => {
  const server = await mailServer(t);
  const { log, lines } = memoryLog({ level: 'debug' });
  const mail = (password: string, security: 'none' | 'starttls' = 'none') =>
    emailChannel({
      host: '127.0.0.1',
      port: server.port,
      security,
      from: 'kisima@example.org',
      username: 'village',
      password,
      logger: log,
    });
  const wrong = await failure(mail('wrong-secret').send({ to: 'asha@example.org', severity: 'high', text }));
  t.match(wrong, /does not know this name and password/);
  server.refuse = 'nobody';
  const refused = mail('right-secret').send({ to: 'nobody@example.org', severity: 'high', text });
  await t.rejects(refused, { receiver: true, message: /does not take mail for this address/ });
  t.match(await failure(mail('right-secret', 'starttls').check()), /STARTTLS|cannot be reached/);
  t.notMatch(`${wrong} ${JSON.stringify(lines)}`, /-secret/);
  await mail('right-secret').send({
    to: 'asha@example.org',
    severity: 'high',
    text: { ...text, body: 'Première ligne\n.\nlast' },
  });
  t.match(server.mails.at(-1)?.data, /Auto-Submitted: auto-generated/);
});

t.test(
  'a gateway tells of an alert once, falls back, and is asked by one command',
  { skip, timeout: 240_000 },
  async (t) => {
    const { path: modemPath, modem } = await modemAt(t, { pin: '1234' });
    const server = await mailServer(t);
    const folder = tempDir(t);
    const freePort = await freePortBase(1);
    const settings = {
      site: {
        grid_id: 'kisima',
        gateway_id: 'gw-kisima',
        name: 'Kisima',
        zone: 'Africa/Nairobi',
        plant: { pv_kwp: 20 },
        devices: [{ device_id: 'cabinet-1', name: 'Cabinet', protocol: 'mqtt', expected: false }],
        wiring: {},
      },
      http: { host: '127.0.0.1', port: freePort },
      mqtt_plain: { host: '127.0.0.1', port: 0 },
      log: { hold_ms: 20 },
      clock_trust: 'ntp',
      notify: {
        gather_s: 0,
        least_gap_min: 0,
        people: [
          {
            name: 'Asha',
            ways: [
              { channel: 'email', to: 'asha@example.org', least_severity: 'medium' },
              { channel: 'sms', to: '+255712345678' },
            ],
          },
        ],
        sms: { path: modemPath },
        email: {
          host: '127.0.0.1',
          port: server.port,
          security: 'none',
          from: 'kisima@example.org',
          username: 'village',
        },
      },
    };
    const config = join(folder, 'gateway.yaml');
    writeFileSync(config, JSON.stringify(settings));
    const { log, lines } = memoryLog({ level: 'debug', foldAfter: 1000 });
    const out: string[] = [];
    const cli = (words: string[], stdin: string) => {
      out.length = 0;
      return runCli([...words, '--folder', folder], {
        realClock: clock,
        random,
        log,
        print: (line) => void out.push(line),
        printError: (line) => void out.push(line),
        readStdin: async () => stdin,
        ask: async () => undefined,
      });
    };
    t.equal(await cli(['notify', 'secret', 'email-password', '--stdin'], 'right-secret\n'), 0, out.join());
    t.equal(await cli(['notify', 'secret', 'sms-pin', '--stdin'], '12'), 2, 'a PIN has four digits at least');
    t.equal(await cli(['notify', 'secret', 'sms-pin', '--stdin'], '1234'), 0, out.join());
    t.equal(statSync(join(folder, 'notify-secrets.json')).mode & 0o077, 0);
    t.equal(await cli(['notify', 'test', 'sms', '--to', '0712'], ''), 1);
    t.match(out.join('\n'), /E_NOTIFY_FAILED.*no telephone number/);

    const start = async () => {
      const gateway = createGateway(loadGatewayConfig({ path: config }), {
        clock,
        realClock: clock,
        random,
        log,
        modemWaits: waits,
      });
      t.teardown(() => gateway.stop());
      await gateway.start();
      return gateway;
    };
    let gateway = await start();
    await withAccounts(config, { realClock: clock, random, log }, async (accounts) => {
      await accounts.addUser({
        username: 'juma',
        displayName: 'Juma',
        password: 'a long password',
        grants: [{ role: 'installer', scope: { kind: 'everything' } }],
      });
    });
    const heat = (value: number) =>
      gateway.sink.reading({ deviceId: 'cabinet-1', timeMs: clock.nowMs(), values: { equipment_temp_c: value } });
    const subjects = () =>
      server.mails.map(({ data }) => (/^Subject: (.*(?:\n .*)*)$/m.exec(data)?.[1] ?? '').replaceAll('\n', ''));
    heat(75);
    await until('a mail about the heat', () => subjects().some((one) => one.includes('high temperature on equipment')));
    t.match(server.mails.at(-1)?.data, /Cabinet[\s\S]*75[\s\S]*1\. Check that fans turn/);
    t.equal(modem.received.length, 0, 'the first way was enough');

    await gateway.stop();
    server.up = false;
    gateway = await start();
    gateway.sink.reading({ deviceId: 'cabinet-1', timeMs: clock.nowMs(), values: { 'equipment_temp_c.inverter': 80 } });
    await until('an SMS, because mail does not go', () => modem.received.length > 0);
    t.match(modem.received[0]?.text, /^Kisima: HIGH: high temperature on equipment \(Cabinet\)/);
    t.equal(
      subjects().filter((one) => one.includes('temperature')).length,
      1,
      'what was told is not told again after a restart',
    );

    const asked = ['--username', 'juma', '--password-stdin'];
    t.equal(
      await cli(['notify', 'test', 'sms', '--to', '+255700000009', '--json', ...asked], 'a long password'),
      0,
      out.join(),
    );
    t.match(JSON.parse(out.join('')), { channel: 'sms', state: 'ok', signal_dbm: -77 });
    t.match(modem.received.at(-1), { to: '+255700000009', text: /Test message/ });
    t.equal(await cli(['notify', 'status', '--json', ...asked], 'a long password'), 1, 'mail does not work');
    const status = JSON.parse(out.join('')) as { recent: unknown[]; channels: unknown[] };
    t.match(status.channels, [
      { channel: 'sms', state: 'ok' },
      { channel: 'email', state: 'failing' },
    ]);
    t.match(status.recent[0], { recipient: 'Asha', channel: 'sms', error: null });
    t.equal(await cli(['notify', 'test', 'email', '--to', 'a@example.org', ...asked], 'a long password'), 1);
    t.match(out.join('\n'), /E_NOTIFY_FAILED.*cannot be reached/);
    t.equal(await cli(['notify', 'test', 'relay', ...asked], 'a long password'), 1, 'not set up');
    const metrics = await (await fetch(`http://127.0.0.1:${freePort}/metrics`)).text();
    t.match(metrics, /villagrid_gateway_notify_sent_total\{channel="sms"\} 2/);
    t.match(metrics, /villagrid_gateway_notify_signal_dbm\{channel="sms"\} -77/);
    t.match(metrics, /villagrid_gateway_notify_failing\{channel="email"\} 1/);

    await gateway.stop();
    t.equal(await cli(['notify', 'test', 'sms', '--to', '+255700000009'], ''), 0, 'and without a gateway, by itself');
    t.notMatch(`${JSON.stringify(lines)}`, /right-secret|1234"/);
  },
);
