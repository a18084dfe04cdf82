import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cryptoRandom, hashSecret, describeConfig } from '@villagrid/runtime';
import { tempDir } from '@villagrid/runtime/testing';
import { gatewayConfigSchema, loadGatewayConfig, readDeviceCredentials } from '../index.js';

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
