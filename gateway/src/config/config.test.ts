import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cryptoRandom, hashSecret, describeConfig } from '@villagrid/runtime';
import { tempDir } from '@villagrid/runtime/testing';
import { gatewayConfigSchema, loadGatewayConfig, readDeviceCredentials, readNotifySecrets } from '../index.js';
import { mostParts, packSeptets, smsCount, smsForm } from '../notify/modem/sms-form.js';

const minimal = `
site:
  grid_id: kisima
  gateway_id: gw-kisima
  name: Kisima
  plant: {}
  devices:
    - { device_id: meter-1, name: Meter, protocol: modbus }
    - { device_id: cabinet-1, name: Cabinet, protocol: mqtt }
  wiring:
    consumption_kw: { terms: [{ device_id: meter-1, metric: consumption_kw }] }
`;
const load = (text: string) => loadGatewayConfig({ path: '/etc/villagrid/gateway.yaml', text });
const message = (text: string): string => {
  try {
    load(text);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

t.test('a short file is enough: defaults are filled in and paths are absolute', async (t) => {
  const config = load(`${minimal}https: { certificate_file: pki/a.crt, key_file: pki/a.key }\n`);
  t.match(config, {
    data_dir: '/etc/villagrid/data',
    device_credentials_file: '/etc/villagrid/device-credentials.json',
    http: { host: '0.0.0.0', port: 8080 },
    https: { host: '0.0.0.0', port: 8443, certificate_file: '/etc/villagrid/pki/a.crt' },
    mqtt_plain: { host: '127.0.0.1', port: 1883 },
    log: { hold_ms: 5000 },
    mqtt_limits: { packets_per_second: 2000, max_connections: 500, max_connections_per_address: 100 },
    clock_trust: 'auto',
    limits: {},
  });
  t.equal(config.site.devices[0]?.period_s, 10);
  t.equal(config.site.wiring.consumption_kw?.terms[0]?.factor, 1);
  t.equal(config.uplink, undefined);
  t.ok(describeConfig(gatewayConfigSchema).every((row) => row.path.length > 0));
});

t.test('a site words texts of the app itself: plain text of a bounded length', async (t) => {
  const words = (text: string) => message(`${minimal}  words: { sw: { tab.grid: ${JSON.stringify(text)} } }\n`);
  t.equal(words('Mtambo wetu: {n} kW'), '');
  t.match(words('<b>Mtambo</b>'), /site\.words/);
  t.match(words('two\nlines'), /site\.words/);
  t.match(words('x'.repeat(201)), /site\.words/);
});

t.test('what does not fit together is told with its place and what is known', async (t) => {
  const wired = minimal.replace('device_id: meter-1, metric: consumption_kw', 'device_id: meter-9, metric: Power');
  t.match(
    message(wired),
    /site\.wiring\.consumption_kw\.terms\[0\]: device "meter-9" is not among site\.devices \(meter-1, cabinet-1\)/,
  );
  t.match(message(wired), /"Power" is not a metric id/);
  t.match(message(minimal.replace('cabinet-1', 'meter-1')), /device id "meter-1" is there more than once/);
  t.match(
    message(`${minimal.replace('name: Kisima', 'name: Kisima\n  zone: Mars/Base')}`),
    /"Mars\/Base" is not a time zone/,
  );
  const modbus = (device: string) =>
    `${minimal}modbus:\n  connections:\n    - name: a\n      host: 10.0.0.9\n      devices: [{ device_id: ${device}, profile: x }]\n`;
  t.equal(message(modbus('meter-1')), '');
  t.match(message(modbus('cabinet-1')), /has protocol mqtt in site\.devices; it must be modbus/);
  t.match(message(modbus('nobody')), /device "nobody" is not among site\.devices/);
  t.match(message(`${minimal}htttp: {}\n`), /did you mean http/);
  const plain = (settings: string) => message(`${minimal}mqtt_plain: { ${settings} }\n`);
  t.match(plain('host: 0.0.0.0'), /0\.0\.0\.0 is not this machine alone; .*mqtt_plain\.lan: true/);
  t.equal(plain('host: 0.0.0.0, lan: true, lan_devices: [cabinet-1]'), '');
  t.match(plain('lan: true, lan_devices: [meter-1]'), /"meter-1" is not among the MQTT devices/);
  const foreign = (device: string) => message(`${minimal}mqtt_devices: { devices: [${device}] }\n`);
  t.equal(foreign('{ device_id: cabinet-1, mapping: tasmota }'), '');
  t.match(foreign('{ device_id: meter-1, mapping: tasmota }'), /has protocol modbus in site\.devices; it must be mqtt/);
  t.match(
    foreign('{ device_id: cabinet-1, mapping: tasmota, login: nobody }'),
    /\.login: device "nobody" is not among/,
  );
});

t.test('credentials: a missing file is empty, a broken one is refused without showing a secret', async (t) => {
  const path = join(tempDir(t), 'device-credentials.json');
  t.equal(readDeviceCredentials(path).size, 0);
  const secret = await hashSecret('x', cryptoRandom(), { logN: 12 });
  writeFileSync(path, JSON.stringify({ devices: { 'cabinet-1': { secret } } }));
  t.equal(readDeviceCredentials(path).get('cabinet-1'), secret);
  for (const bad of [
    '{',
    '[]',
    '{"devices":{"cabinet-1":{"secret":"canary"}}}',
    '{"devices":{"A B":{"secret":"canary"}}}',
  ]) {
    writeFileSync(path, bad);
    t.throws(() => readDeviceCredentials(path), /^((?!canary).)*$/s);
  }
});

t.test('telling people: what does not fit together is told with its place', async (t) => {
  const people = (ways: string, more = '') =>
    `${minimal}notify:\n  people:\n    - { name: Asha, ways: [${ways}] ${more} }\n  sms: { path: /dev/ttyUSB0 }\n`;
  const sms = '{ channel: sms, to: "+255712345678" }';
  t.equal(message(people(sms, ', hours: ["mon-fri 06:00-22:00"], on_call: 1, language: sw')), '');
  const { notify } = load(people(sms));
  t.match(notify, { gather_s: 30, secrets_file: '/etc/villagrid/notify-secrets.json', sms: { baud: 115_200 } });
  t.match(notify?.people, [{ language: 'en', ways: [{ least_severity: 'high' }] }]);
  t.match(
    message(people('{ channel: sms, to: "0712345678" }')),
    /notify\.people\[0\]\.ways\[0\]\.to: "0712345678" is no telephone number/,
  );
  t.match(message(people('{ channel: email, to: a@b.example }')), /email needs a mail server: set notify\.email/);
  t.match(message(people(sms, ', hours: [night]')), /hours\[0\]: "night" is no span of hours/);
  t.match(
    message(`${people(sms)}  relay: { serial: { path: /dev/ttyUSB0 } }\n`),
    /is there as notify\.sms too; a port has one owner/,
  );
  t.match(message(`${people(sms)}  relay: {}\n`), /give either serial or gpio/);
  const path = join(tempDir(t), 'notify-secrets.json');
  t.same(readNotifySecrets(path), {});
  for (const bad of ['{', '[]', '{"sms_pin": 1234}', '{"other":"canary"}']) {
    writeFileSync(path, bad);
    t.throws(() => readNotifySecrets(path), /^((?!canary).)*$/s);
  }
});

t.test('a text becomes the SMS that books show', (t) => {
  // "hellohello" to +46708251358 as an SMS-SUBMIT, an example in many descriptions of 23.040; here with a validity of 24 h.
  t.same(packSeptets([...'hellohello'].map((letter) => letter.charCodeAt(0))), [
    ...Buffer.from('E8329BFD4697D9EC37', 'hex'),
  ]);
  t.same(smsForm('+46708251358', 'hellohell@', 1), {
    mode: 'pdu',
    pdus: [{ hex: '0011000B916407281553F80000A70AE8329BFD4697D96C00', length: 23 }],
  });
  t.equal(smsForm('+1', 'a'.repeat(160), 1).mode, 'text');
  for (const [letters, parts] of [
    ['a'.repeat(161), 2],
    ['a'.repeat(306), 2],
    ['a'.repeat(307), 3],
    ['{'.repeat(153), 3],
    ['ж'.repeat(71), 2],
    ['ж'.repeat(135), 3],
    ['ж'.repeat(2000), mostParts],
  ] as const)
    t.equal(smsCount(smsForm('+255712345678', letters, 1)), parts, `${letters.slice(0, 3)} ${letters.length}`);
  t.end();
});
