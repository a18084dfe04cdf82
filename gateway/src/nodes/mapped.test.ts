/** Payload mappings: those that ship, what is said of a wrong one, what a login may write, and a whole gateway with them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import type { MqttClient } from 'mqtt';
import { stringify } from 'yaml';
import { topics, type ParsedTelemetry } from '@villagrid/contracts';
import { cryptoRandom, hashSecret, seededRandom } from '@villagrid/runtime';
import { tempDir } from '@villagrid/runtime/testing';
import { settingsFiles } from '../backup/parts.js';
import { loadGatewayConfig } from '../config/load.js';
import type { MqttDeviceConfig } from '../config/schema.js';
import { compileMapping, loadMapping, loadMappings, mappingsDirectory, withDefaults } from '../mappings/index.js';
import { connectTo, devicePassword, gatewayFolder, gridId, startHouse, until } from '../testing/house.js';
import { createMappedNodes } from './mapped-nodes.js';

const shipped = loadMappings(mappingsDirectory);
const device = (device_id: string, mapping: string, more: Partial<MqttDeviceConfig> = {}): MqttDeviceConfig => ({
  device_id,
  mapping,
  parameters: {},
  metrics: {},
  commands: [],
  sleeps: false,
  ...more,
});

t.test('every mapping that ships reads its hand-written messages as they are meant', async (t) => {
  t.same(
    [...shipped.keys()],
    ['esphome', 'generic-json', 'prototype', 'shelly-gen1', 'shelly-gen2', 'shelly-ht', 'tasmota'],
  );
  for (const [id, mapping] of shipped) {
    t.ok(mapping.examples.length >= mapping.messages.length, `${id}: an example for each message`);
    const metrics = new Set(mapping.examples.flatMap(({ gives }) => Object.keys(gives ?? {})));
    for (const { values } of mapping.messages)
      for (const { metric } of values)
        if (!metrics.has(metric) && metric !== 'equipment_temp_c.3' && metric !== 'equipment_temp_c.4')
          t.fail(`${id}: no example gives ${metric}`);
  }
});

t.test("the prototype's message is taken as it always was", async (t) => {
  const compiled = compileMapping(shipped.get('prototype')!, {});
  const read = (payload: string): ParsedTelemetry => {
    const said = compiled.read(topics.legacyData, payload);
    if (said.kind !== 'reading') throw new Error('no reading');
    return said.parsed;
  };
  t.same(
    read(
      '{"timestamp":"2026-01-01 00:00:00","live_power_consumption":5.5,"live_generation":"7","battery_soc":null,"temp_equipment":451,"solar_irradiance":62.5}',
    ),
    {
      ok: true,
      resent: false,
      findings: [
        { code: 'wrong_type', metric: 'generation_kw' },
        { code: 'out_of_range', metric: 'equipment_temp_c' },
      ],
      readings: [
        {
          boot: undefined,
          seq: undefined,
          upMs: undefined,
          timeMs: 1_767_225_600_000,
          values: [
            { metric: 'consumption_kw', value: 5.5, quality: 0 },
            { metric: 'generation_kw', value: null, quality: 69 },
            { metric: 'battery_soc_pct', value: null, quality: 66 },
            { metric: 'equipment_temp_c', value: 451, quality: 64 },
            { metric: 'irradiance_w_m2', value: 625, quality: 0 },
          ],
        },
      ],
    },
  );
  for (const [payload, code] of [
    ['{"timestamp":1}', 'E_PAYLOAD_SCHEMA'],
    ['[]', 'E_PAYLOAD_SCHEMA'],
    ['{', 'E_PAYLOAD_NOT_JSON'],
  ] as const)
    t.match(read(payload), { ok: false, code });
});

t.test('a wrong mapping is told with file, line and what to do', async (t) => {
  const right = readFileSync(join(mappingsDirectory, 'generic-json.yaml'), 'utf8');
  const told = (change: (text: string) => string): string => {
    const changed = change(right);
    if (changed === right) throw new Error('nothing was changed');
    try {
      loadMapping('/site/generic-json.yaml', changed);
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
    return 'accepted';
  };
  const lineOf = (text: string) => right.slice(0, right.indexOf(text)).split('\n').length;
  const cases: [string, string, string, RegExp][] = [
    ['path: power_w', 'paht: power_w', 'path: power_w', /unknown setting; did you mean path\?/],
    ['unit: W }', 'unit: V }', 'path: power_w', /"V" cannot become kW, the unit of consumption_kw/],
    ['metric: humidity_pct', 'metric: humidity', 'path: humidity_pct', /"humidity" is not in the metric catalogue/],
    ['temperatures_c[0]', 'temperatures_c[*]', 'temperatures_c[0]', /say with \[\*\], and only then, whether the sum/],
    ['path: ambient_c', 'path: ambient..c', 'path: ambient_c', /"ambient..c" is no path/],
    ['"{node}/{topic}"', '"data/{topic}"', '"{node}/{topic}"', /not below what the mapping publishes/],
    ['"{node}/{topic}"', '"{node}/{thing}"', '"{node}/{topic}"', /\{thing\} is not among parameters/],
    ['["{node}/#"]', '["microgrid/{node}/#"]', '["{node}/#"]', /below microgrid\/ are Villagrid’s own/],
    ['["{node}/#"]', '["+/{node}/#"]', '["{node}/#"]', /name a \{parameter\} before any \+ or #/],
    ['consumption_kw: 1.283', 'consumption_kw: 1.284', 'consumption_kw: 1.283', /the message gives 1.283 here/],
    ['irradiance_w_m2: 713.5,', '', 'topic: mill/data', /the message gives 713.5 here/],
    ['link: down', 'link: up', 'payload: offline, link', /the message says down/],
    ['id: generic-json', 'id: other', 'id: generic-json', /it must be the file's name, "generic-json"/],
    ['"{node}/#"]', '"{node}/#"]\nsubscribes: ["{node}/+"]', '', /but "\{node\}\/\+" would be told of it/],
  ];
  for (const [from, to, at, what] of cases) {
    const message = told((text) => text.replace(from, to));
    t.match(message, what, `${from} > ${to}`);
    if (at !== '' && at !== 'topic: mill/data')
      t.match(message, `/site/generic-json.yaml:${lineOf(at)}:`, `${to}: line`);
  }
});

t.test(
  'a login writes below its own devices only, two cannot share a prefix, and a meter may be of something else',
  async (t) => {
    const said: [string, ParsedTelemetry | string][] = [];
    const bind = (...devices: MqttDeviceConfig[]) =>
      createMappedNodes(devices, shipped, {
        reading: async (deviceId, parsed) => void said.push([deviceId, parsed]),
        link: async (deviceId, state) => void said.push([deviceId, state]),
        answer: () => {},
      });
    const nodes = bind(
      device('shop', 'tasmota', { node: 'shop_meter' }),
      device('panels', 'shelly-gen1', {
        node: 'shellyem-1',
        metrics: { consumption_kw: { metric: 'generation_kw', negate: true } },
      }),
      device('panels-2', 'shelly-gen1', {
        node: 'shellyem-2',
        login: 'panels',
        metrics: { ac_output_voltage_v: null },
      }),
      device('hut', 'esphome'),
    );
    for (const [login, topic, may] of [
      ['shop', 'tele/shop_meter/SENSOR', true],
      ['shop', 'tasmota/discovery/4C752534A1B2/sensors', true],
      ['shop', 'tele/other/SENSOR', false],
      ['shop', 'tele', false],
      ['shop', 'shellies/shellyem-1/emeter/0/power', false],
      ['panels', 'shellies/shellyem-1/emeter/0/power', true],
      ['panels', 'shellies/shellyem-2/emeter/0/power', true],
      ['panels', 'shellies/shellyem-3/emeter/0/power', false],
      ['hut', 'hut/sensor/power/state', true],
      ['hut', 'hut2/sensor/power/state', false],
      ['stranger', 'hut/sensor/power/state', false],
    ] as const)
      t.equal(nodes.mayPublish(login, topic), may, `${login} writes ${topic}`);
    for (const [login, filter, may] of [
      ['shop', 'cmnd/shop_meter/#', true],
      ['shop', 'cmnd/+/#', false],
      ['shop', 'tele/shop_meter/SENSOR', false],
      ['shop', '#', false],
      ['hut', 'hut/switch/pump/command', true],
      ['hut', 'hut/#', false],
    ] as const)
      t.equal(nodes.maySubscribe(login, filter), may, `${login} hears ${filter}`);
    const say = (login: string, topic: string, payload: string) => nodes.publish(login, topic, Buffer.from(payload));
    await say('panels', 'shellies/shellyem-1/emeter/0/power', '-4210');
    await say('panels', 'shellies/shellyem-2/emeter/0/voltage', '231');
    await say('panels', 'shellies/shellyem-2/online', 'false');
    await say('shop', 'tele/shop_meter/STATE', '{"POWER":"ON"}');
    await say('shop', 'tele/shop_meter/SENSOR', '{"ENERGY":');
    t.match(said, [
      ['panels', { readings: [{ values: [{ metric: 'generation_kw', value: 4.21, quality: 0 }] }] }],
      ['panels-2', 'down'],
      ['shop', { ok: false, code: 'E_PAYLOAD_NOT_JSON' }],
    ]);
    t.equal(nodes.ignored(), 2);
    t.same(nodes.devicesOf('panels'), ['panels', 'panels-2']);
    for (const [wrong, what] of [
      [
        [device('a', 'tasmota', { node: 'x' }), device('b', 'tasmota', { node: 'x' })],
        /a and b would write to the same topics/,
      ],
      [[device('a', 'esphome', { node: 'tele' }), device('b', 'tasmota')], /would write to the same topics/],
      [[device('a', 'esphome', { node: '#' })], /"#" as node cannot be part of a topic/],
      [[device('a', 'esphome', { parameters: { powr: 'x' } })], /no parameter "powr"/],
      [[device('a', 'esphome', { metrics: { consumption_kw: { metric: 'humidity_pct' } } })], /not in the same unit/],
      [[device('a', 'esphome', { metrics: { fuel_level_pct: null } })], /does not give it/],
      [[device('a', 'nothing')], /there is no mapping "nothing"/],
    ] as const)
      t.throws(() => bind(...wrong), { code: 'E_CONFIG_INVALID', message: what });
  },
);

t.test('of 5,000 random topics and filters none lets a login reach beyond its own prefix', async (t) => {
  const random = seededRandom(Number(process.env.SEED ?? 7));
  const pick = <T>(some: readonly T[]): T => some[Math.floor(random.float() * some.length)] as T;
  const nothing = async () => {};
  const nodes = createMappedNodes(
    [
      device('a', 'tasmota', { node: 'one' }),
      device('b', 'tasmota', { node: 'two' }),
      device('c', 'shelly-gen1', { node: 'one' }),
      device('d', 'esphome', { node: 'house/one' }),
    ],
    shipped,
    { reading: nothing, link: nothing, answer() {} },
  );
  const own: Record<string, RegExp> = {
    a: /^((tele|stat|cmnd)\/one(\/.*)?|tasmota\/discovery\/[^/]*\/[^/]*)$/,
    b: /^((tele|stat|cmnd)\/two(\/.*)?|tasmota\/discovery\/[^/]*\/[^/]*)$/,
    c: /^shellies\/(one(\/.*)?|announce)$/,
    d: /^(house\/one(\/.*)?|homeassistant(\/.*)?|esphome\/discover\/[^/]*)$/,
  };
  const heard: Record<string, RegExp> = {
    a: /^cmnd\/(one|tasmotas)(\/.*)?$/,
    b: /^cmnd\/(two|tasmotas)(\/.*)?$/,
    c: /^shellies\/(command|one\/.*command)$/,
    d: /^(house\/one\/.*command|homeassistant\/status|esphome\/(discover|ping\/.*))$/,
  };
  const parts = [
    'tele',
    'stat',
    'cmnd',
    'one',
    'two',
    'tasmotas',
    'shellies',
    'house',
    '',
    'SENSOR',
    'POWER',
    'microgrid',
    'kisima',
    'device',
    'relay',
    '0',
    'command',
    'announce',
    'esphome',
    'ping',
    'discover',
    'homeassistant',
    'status',
    'tasmota',
    'discovery',
    '$SYS',
  ];
  let allowed = 0;
  for (let tries = 0; tries < 5000; tries += 1) {
    const words = Array.from({ length: 1 + Math.floor(random.float() * 5) }, () => pick(parts));
    const topic = words.join('/');
    const filter = words.map((one) => (random.float() < 0.2 ? pick(['+', '#', '$share']) : one)).join('/');
    for (const login of Object.keys(own)) {
      if (nodes.mayPublish(login, topic)) {
        allowed += 1;
        t.match(topic, own[login] as RegExp, `${login} writes`);
      }
      if (nodes.maySubscribe(login, filter)) {
        allowed += 1;
        t.match(filter, heard[login] as RegExp, `${login} hears`);
        for (const reader of Object.keys(own))
          if (nodes.isTaken(reader, filter)) t.fail(`${login} hears what ${reader} measures`);
      }
    }
  }
  t.ok(allowed > 20, `${allowed} were allowed`);
});

t.test('no message breaks a mapping: what is read is a number of its metric, or none', async (t) => {
  const random = seededRandom(Number(process.env.SEED ?? 11));
  const pick = <T>(some: readonly T[]): T => some[Math.floor(random.float() * some.length)] as T;
  const deep = `${'['.repeat(7000)}${']'.repeat(7000)}`;
  const odd = [
    '',
    '1e999',
    '-0',
    'NaN',
    '{',
    '[]',
    'null',
    '"x"',
    '{"ENERGY":[[1],{}]}',
    '{"__proto__":{"Power":1}}',
    '\u0000',
    deep,
  ];
  let readings = 0;
  for (const mapping of shipped.values()) {
    const compiled = compileMapping(mapping, withDefaults(mapping, mapping.example_parameters));
    for (let tries = 0; tries < 700; tries += 1) {
      const { topic, payload } = pick(mapping.examples);
      const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
      const at = Math.floor(random.float() * text.length);
      const value = pick(['1e400', '"a"', 'null', 'true', '[1,"2"]', '{"x":1}', '-999999', deep]);
      const changed = pick([
        () => pick(odd),
        () => text.slice(0, at),
        () => text.slice(0, at) + String.fromCharCode(Math.floor(random.float() * 256)) + text.slice(at + 1),
        () =>
          text.replace(/(:\s*)("[^"]*"|[-\d.]+|true|false)/g, (whole, colon: string) =>
            random.float() < 0.5 ? colon + value : whole,
          ),
      ])();
      const said = compiled.read(topic, changed);
      if (said.kind !== 'reading' || !said.parsed.ok) continue;
      readings += 1;
      for (const { value: number, quality } of said.parsed.readings[0]?.values ?? [])
        if (number === null ? quality < 64 : !Number.isFinite(number))
          t.fail(`${mapping.id}: ${changed.slice(0, 100)}`);
    }
  }
  const generic = compileMapping(shipped.get('generic-json')!, { node: 'mill', topic: 'data' });
  t.match(generic.read('mill/data', `{"mains":${deep}}`), {
    parsed: { readings: [{ values: [{ metric: 'grid_tie_connected', value: null }] }] },
  });
  t.ok(readings > 1000, `${readings} were readings`);
});

/** A gateway with a Tasmota meter, a Shelly and a node of a mapping that the site made itself. */
async function mappedFolder(t: Parameters<typeof gatewayFolder>[0]): Promise<string> {
  const ids = ['shop', 'panels', 'mill', 'meter-1'];
  const path = await gatewayFolder(t, {
    site: {
      grid_id: gridId,
      gateway_id: 'gw-kisima',
      name: 'Kisima',
      plant: {},
      devices: ids.map((device_id) => ({ device_id, name: device_id, protocol: 'mqtt' })),
      wiring: { consumption_kw: { terms: [{ device_id: 'shop', metric: 'consumption_kw' }] } },
    },
    mqtt_devices: {
      mappings_dir: 'mappings',
      devices: [
        { device_id: 'shop', mapping: 'tasmota', node: 'shop_meter' },
        { device_id: 'panels', mapping: 'shelly-gen2', node: 'shellypro3em-1' },
        { device_id: 'mill', mapping: 'mill', node: 'mill', sleeps: true },
      ],
    },
  });
  const folder = dirname(path);
  const secret = await hashSecret(devicePassword, cryptoRandom(), { logN: 10 });
  writeFileSync(
    join(folder, 'device-credentials.json'),
    JSON.stringify({ devices: Object.fromEntries(ids.map((id) => [id, { secret }])) }),
    { mode: 0o600 },
  );
  mkdirSync(join(folder, 'mappings'));
  writeFileSync(
    join(folder, 'mappings', 'mill.yaml'),
    stringify({
      mapping: 1,
      id: 'mill',
      title: 'The mill',
      parameters: { node: { help: 'its name' } },
      publishes: ['farm/{node}/#'],
      messages: [{ topic: 'farm/{node}/kw', form: 'number', values: [{ metric: 'consumption_kw', unit: 'kW' }] }],
      example_parameters: { node: 'mill' },
      examples: [{ topic: 'farm/mill/kw', payload: '1.5', gives: { consumption_kw: 1.5 } }],
      sources: {},
    }),
  );
  return path;
}

t.test(
  'nodes with their own firmware are stored, shown and watched like any other, each under its own prefix',
  async (t) => {
    const path = await mappedFolder(t);
    const backedUp = settingsFiles(dirname(path), path, loadGatewayConfig({ path })).files.map(({ name }) => name);
    t.ok(backedUp.includes('mappings/mill.yaml'), 'a backup holds what the site wrote itself');
    const { gateway, connect, lines } = await startHouse(t, path);
    const grid = gateway.api.grids.list()[0]!;
    const value = (deviceId: string, metric: string) => grid.latest(deviceId, metric)?.value;
    const shop = await connect('shop', {
      will: { topic: 'tele/shop_meter/LWT', payload: Buffer.from('Offline'), qos: 1, retain: true },
    });
    for (const [topic, payload, options] of [
      ['tele/shop_meter/LWT', 'Online', { retain: true }],
      ['cmnd/shop_meter/POWER', '', {}],
      ['tasmota/discovery/4C752534A1B2/config', '{}', { retain: true }],
      ['tele/shop_meter/INFO1', '{"Info1":{"Module":"x"}}', {}],
    ] as const)
      await shop.publishAsync(topic, payload, options);
    await shop.subscribeAsync('cmnd/shop_meter/#');
    await t.rejects(shop.subscribeAsync('tele/#'));
    await shop.publishAsync('tele/shop_meter/SENSOR', '{"ENERGY":{"Power":1283,"Voltage":229}}', { qos: 1 });
    t.equal(value('shop', 'consumption_kw'), 1.283);
    t.ok(
      gateway.log
        .read(1, { maxFrames: 1000, maxBytes: 1e8 })
        .some(({ frame }) => frame.samples.some((one) => one.deviceId === 'shop')),
      'durable when acknowledged',
    );
    const panels = await connect('panels');
    await panels.publishAsync('shellypro3em-1/status/em:0', '{"total_act_power":-120.4,"a_voltage":231.5}');
    t.ok(await until(() => value('panels', 'ac_output_voltage_v') === 231.5));
    const mill = await connect('mill');
    await mill.publishAsync('farm/mill/kw', '3.25', { qos: 1 });
    t.equal(value('mill', 'consumption_kw'), 3.25);
    await mill.publishAsync(topics.telemetry(gridId, 'mill'), '{"metrics":{"humidity_pct":50}}', { qos: 1 });
    t.equal(value('mill', 'humidity_pct'), 50, 'its own topic of ours stays open to it');

    const closing = (client: MqttClient) => new Promise<void>((resolve) => client.once('close', () => resolve()));
    for (const topic of ['tele/shop_meter/SENSOR', 'farm/other/kw', 'shellypro3em-1/status/em:0']) {
      const intruder = await connect('mill');
      const closed = closing(intruder);
      intruder.publish(topic, '{"ENERGY":{"Power":9}}', { qos: 1 }, () => {});
      await closed;
    }
    t.equal(value('shop', 'consumption_kw'), 1.283, 'nobody writes for another');
    t.ok(lines.some((line) => line.code === 'E_TOPIC_FORBIDDEN'));

    t.equal(grid.link('shop'), 'up');
    await shop.publishAsync('tele/shop_meter/LWT', 'Offline', { qos: 1 });
    t.equal(grid.link('shop'), 'down');
    await shop.publishAsync('tele/shop_meter/LWT', 'Online', { qos: 1 });
    t.equal(grid.link('shop'), 'up');
    const again = await connect('shop');
    shop.stream.destroy();
    await closing(shop);
    await again.publishAsync('tele/shop_meter/SENSOR', '{"ENERGY":{"Power":1000}}', { qos: 1 });
    t.equal(grid.link('mill'), 'up', 'one that sleeps is not gone');
    t.equal(grid.link('shop'), 'up', 'the will of a connection that was replaced is not heard');
  },
);

t.test(
  'without TLS only devices named for it are let in from the network, and it is said where people look',
  async (t) => {
    const own = Object.values(networkInterfaces())
      .flatMap((some) => some ?? [])
      .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
    if (own === undefined) return void t.pass('this machine has no network');
    const port = { host: '127.0.0.1', port: 0 };
    const closed = await startHouse(t, await gatewayFolder(t, { mqtt_plain: port }));
    const at = (url: string) => url.replace('127.0.0.1', own);
    await t.rejects(connectTo(t, at(closed.addresses.mqtt), 'meter-1'), 'closed as shipped');
    const said = async (house: typeof closed) => JSON.stringify(await house.gateway.api.health.check());
    t.notMatch(await said(closed), /without TLS/);

    const path = await gatewayFolder(t, {
      mqtt_plain: { ...port, lan: true, lan_devices: ['battery-1'] },
      mqtt_devices: { devices: [{ device_id: 'meter-1', mapping: 'shelly-gen1', node: 'shellyem-1' }] },
    });
    const open = await startHouse(t, path);
    const shelly = await connectTo(t, at(open.addresses.mqtt), 'meter-1');
    await shelly.publishAsync('shellies/shellyem-1/emeter/0/power', '1500', { qos: 1 });
    t.equal(open.gateway.api.grids.list()[0]?.latest('meter-1', 'consumption_kw')?.value, 1.5);
    await connectTo(t, at(open.addresses.mqtt), 'battery-1');
    await t.rejects(connectTo(t, at(open.addresses.mqtt), 'meter-1', { password: 'wrong' }), { code: 5 });
    await t.rejects(connectTo(t, at(open.addresses.mqtt), 'cabinet-1'), { code: 5 });
    await t.rejects(connectTo(t, at(open.addresses.mqtt)), { code: 5 }, 'nobody without a login');
    t.ok(open.lines.some(({ reason }) => String(reason).startsWith('this device must use TLS')));
    t.ok(open.lines.some(({ level, msg }) => level === 'warn' && msg.startsWith('MQTT without TLS listens')));
    t.match(await said(open), /MQTT without TLS is open to the network, for 2 devices/);
    t.match(open.gateway.api.health.prometheus(), /villagrid_gateway_mqtt_plain_lan 1/);
  },
);

t.test('a missing mapping is told by name, with those there are', async (t) => {
  const path = join(tempDir(t), 'mappings');
  t.throws(() => loadMappings(path), { code: 'E_CONFIG_READ' });
  await t.rejects(
    startHouse(
      t,
      await gatewayFolder(t, { mqtt_devices: { devices: [{ device_id: 'meter-1', mapping: 'tasmoto' }] } }),
    ),
    { code: 'E_PROFILE_INVALID', message: /there is no mapping "tasmoto".*esphome, generic-json/s },
  );
});
