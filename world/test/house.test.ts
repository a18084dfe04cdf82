/** The whole house as somebody starts it: real processes, real wires, a foreign MQTT client where it is installed. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { realClock } from '@villagrid/runtime';
import { tempDir } from '@villagrid/runtime/testing';
import { runVillage } from '@villagrid/tools/village';
import mqtt from 'mqtt';
import t from 'tap';
import { WebSocket } from 'ws';
import { freePortBase } from './port-base.js';

t.setTimeout(220_000);
const run = promisify(execFile);
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const data = tempDir(t);
const portBase = await freePortBase(1);

interface Ready {
  readonly gateway: { readonly http: string; readonly mqtt: string; readonly mqtts: string };
  readonly cloud: { readonly http: string };
  readonly pids: Readonly<Record<string, number>>;
  readonly credentials: string;
}
interface Credentials {
  readonly operator: { readonly username: string; readonly password: string };
  readonly spare_node: {
    readonly grid_id: string;
    readonly username: string;
    readonly password: string;
    readonly topic: string;
    readonly ca: string;
  };
}
type Json = Record<string, never> & { [key: string]: Json } & Json[];

let child: ChildProcess | undefined;
const running = () => child as ChildProcess;

/** Starts the village and gives its ready line. */
function start(): Promise<Ready> {
  const made = spawn(
    process.execPath,
    [join(root, 'tools/dist/start/main.js'), '--data', data, '--port-base', String(portBase)],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  child = made;
  let [out, err] = ['', ''];
  made.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  return new Promise((resolve, reject) => {
    made.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      const line = out.split('\n').find((one) => one.startsWith('{"villagrid":"ready"') && one.endsWith('}'));
      if (line !== undefined) resolve(JSON.parse(line) as Ready);
    });
    made.once('exit', (code) => reject(new Error(`the start ended with ${code}: ${err}`)));
  });
}

/** Waits until the probe gives something; undefined when it does not within the limit. */
async function until<T>(probe: () => Promise<T | undefined | false>, limitMs = 20_000): Promise<T | undefined> {
  for (const begun = Date.now(); Date.now() - begun < limitMs; await pause(100)) {
    const found = await probe().catch(() => undefined);
    if (found) return found;
  }
  return undefined;
}

let ready: Ready;
let credentials: Credentials;
const tokens: Record<string, string> = {};
async function call(
  base: string,
  path: string,
  init: { method?: string; body?: object } = {},
): Promise<{ status: number; json: Json }> {
  const response = await fetch(base + path, {
    method: init.method ?? 'GET',
    headers: {
      ...(tokens[base] ? { authorization: `Bearer ${tokens[base]}` } : {}),
      ...(init.body ? { 'content-type': 'application/json' } : {}),
    },
    ...(init.body ? { body: JSON.stringify(init.body) } : {}),
  });
  return { status: response.status, json: (await response.json()) as Json };
}
async function logIn(base: string): Promise<void> {
  const { json } = await call(base, '/api/auth/login', { method: 'POST', body: credentials.operator });
  tokens[base] = json.token as unknown as string;
}
const figure = async (
  base: string,
  metric: string,
): Promise<{ value: number; unit: string; freshness: string; age_s: number } | undefined> =>
  (await call(base, '/api/dashboard/summary/kisima')).json.figures?.[metric] as never;

const boot = `t${process.pid}`;
let seq = 0;
const reading = (metrics: object) => JSON.stringify({ v: 1, boot, seq: (seq += 1), up: seq * 1000, metrics });

/** Publishes once as the spare node, with mosquitto's client where there is one; false when it was refused. */
async function publish(
  payload: string,
  change: { topic?: string; password?: string; port?: string; plain?: boolean } = {},
): Promise<boolean> {
  const { username, password, topic, ca } = credentials.spare_node;
  const url = new URL(change.plain ? ready.gateway.mqtt : ready.gateway.mqtts);
  const login = change.plain ? {} : { username, password: change.password ?? password };
  if (existsSync('/usr/bin/mosquitto_pub')) {
    const words = ['-h', '127.0.0.1', '-p', url.port, '-t', change.topic ?? topic, '-q', '1', '-m', payload];
    if (!change.plain) words.push('--cafile', ca, '-u', username, '-P', change.password ?? password, '-i', username);
    return run('mosquitto_pub', words, { timeout: 20_000 }).then(
      () => true,
      () => false,
    );
  }
  const client = mqtt.connect(url.href, {
    ...login,
    ...(change.plain ? {} : { ca: readFileSync(ca) }),
    clientId: change.plain ? 'legacy-test' : username,
    reconnectPeriod: 0,
  });
  return new Promise((resolve) => {
    client.on('error', () => resolve(false));
    client.on('close', () => resolve(false));
    client.on('connect', () => client.publish(change.topic ?? topic, payload, { qos: 1 }, (error) => resolve(!error)));
  }).then((done) => {
    client.end(true);
    return done as boolean;
  });
}

/** Runs a start to its end. */
function startAnother(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  return run(process.execPath, [join(root, 'tools/dist/start/main.js'), ...words], { timeout: 90_000 }).then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      out: error.stdout,
      err: error.stderr,
    }),
  );
}
/** Runs `npm run village` for this village, in this process: a new one for each would take long. */
async function village(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runVillage(words, {
    clock: realClock(),
    defaultData: data,
    print: (text: string) => (out += `${text}\n`),
    printError: (text: string) => (err += `${text}\n`),
  });
  return { code, out, err };
}

let second: Awaited<ReturnType<typeof startAnother>>;
t.before(async () => {
  const starting = start();
  // As soon as the first has the folder to itself, which is long before anything answers.
  await until(async () => existsSync(join(data, 'start.lock')));
  const sameMoment = startAnother('--data', data, '--port-base', String(portBase), '--speed', '60');
  ready = await starting;
  second = await sameMoment;
  credentials = JSON.parse(readFileSync(ready.credentials, 'utf8')) as Credentials;
  await logIn(ready.gateway.http);
  await logIn(ready.cloud.http);
});
t.teardown(() => {
  for (const pid of Object.values(ready?.pids ?? {})) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
  child?.kill('SIGKILL');
});

t.test(
  'a second start at the same moment waits for the first, shows its village, and says what it ignores',
  async (t) => {
    t.equal(second.code, 0, second.err);
    t.match(second.err, /runs already/);
    t.match(second.err, /--speed 60 is ignored: it runs with 1/);
    t.notMatch(second.err, /--port-base/, 'what is the same is not spoken of');
    const shown = JSON.parse(second.out.trim().split('\n').at(-1) ?? '') as Ready;
    t.same([shown.gateway, shown.cloud, shown.pids], [ready.gateway, ready.cloud, ready.pids]);
  },
);

t.test('a start that cannot be says why in a sentence and leaves nothing behind', async (t) => {
  const elsewhere = join(data, 'elsewhere');
  const ports = await startAnother('--data', elsewhere, '--port-base', String(portBase));
  t.equal(ports.code, 1);
  for (const [part, port] of [
    ['gateway of Kisima: app and API', portBase],
    ['cloud: uplink of gateways', portBase + 13],
    ['simulator: pv-inverter-1 of Kisima', portBase + 20],
  ] as const)
    t.match(ports.err, new RegExp(`\\b${port} +${part}`));
  t.match(ports.err, /Stop the other program, or take other ports: npm start -- --data .+elsewhere --port-base \d+/);
  t.notOk(existsSync(elsewhere));
  const file = await startAnother('--data', join(data, 'clock.json'), '--port-base', String(portBase));
  t.equal(file.code, 1);
  t.match(file.err, /^[^\n]+clock\.json is a file[^\n]+--data DIR\.\n$/, 'one sentence, no stack');
  const word = await startAnother('--sped', '60');
  t.equal(word.code, 2);
  t.match(word.err, /^There is no option --sped\.\n\nRuns a whole village/);
});

t.test('the village command answers people in a table and programs in JSON, and refuses with a code', async (t) => {
  const people = await village('status');
  t.equal(people.code, 0, people.err);
  t.match(people.out, /gateway +runs, pid \d+/);
  t.match(people.out, /Kisima \(kisima\)\n.*consumption +\d+\.\d\d kW/s);
  t.ok(people.out.split('\n').length < 45, 'it fits on a screen');
  const programs = await village('status', '--json');
  t.match(JSON.parse(programs.out), {
    parts: [{ part: 'cloud' }, {}, {}],
    village: { grids: [{ grid_id: 'kisima' }] },
  });
  t.notMatch(programs.out, /"[a-z]+[A-Z]\w*":/, 'one spelling of names');
  for (const [words, reason] of [
    [['fault', 'nope'], /no fault "nope"/],
    [['fault', 'inverter-overheats', 'xyz'], /Name an inverter: pv-inverter-1/],
    [['fault', 'wan-cut', 'foo'], /whole village: leave "foo" out/],
    [['status', '--grid', 'nope'], /no village "nope". Villages are kisima/],
    [['stop', 'moon'], /no part "moon"/],
  ] as const) {
    const refused = await village(...words);
    t.equal(refused.code, 1, words.join(' '));
    t.match(refused.err, reason);
  }
  t.match(JSON.parse((await village('fault', 'nope', '--json')).out), { ok: false, error: /nope/ });
  for (const [words, reason] of [
    [['fault', 'wan-cut', '--of'], /^There is no option --of\.\n\nTalks to/],
    [['dance'], /^There is no command "dance"/],
    [['fault'], /^fault needs a NAME/],
    [['faults', '--grid', 'kisima'], /^faults takes no --grid/],
  ] as const) {
    const wrong = await village(...words);
    t.equal(wrong.code, 2, words.join(' '));
    t.match(wrong.err, reason);
  }
  t.match((await village('fault', 'wan-slow')).out, /^wan-slow is on\. Faults of kisima now: wan-slow\.\n/);
  t.match((await village('fault', 'wan-slow', '--off')).out, /now: none\./);
  const nobody = await village('--data', join(data, 'elsewhere'), 'faults');
  t.equal(nobody.code, 1);
  t.match(nobody.err, /No village runs on this data folder: run `npm start -- --data .+elsewhere` first/);
});

t.test('live, plausible and agreeing figures with unit and age, at the gateway and at the cloud', async (t) => {
  const wanted = {
    consumption_kw: 'kW',
    generation_kw: 'kW',
    battery_soc_pct: '%',
    battery_power_kw: 'kW',
    dc_bus_voltage_v: 'V',
    dc_bus_current_a: 'A',
    ac_output_voltage_v: 'V',
    ac_frequency_hz: 'Hz',
    grid_tie_enabled: '',
    grid_tie_connected: '',
    equipment_temp_c: '°C',
    irradiance_w_m2: 'W/m²',
    ambient_temp_c: '°C',
    humidity_pct: '% RH',
  };
  for (const base of [ready.gateway.http, ready.cloud.http]) {
    for (const [metric, unit] of Object.entries(wanted)) {
      const found = await until(async () => {
        const one = await figure(base, metric);
        return one !== undefined && one.value !== null && one.freshness === 'live' && one;
      }, 40_000);
      t.ok(found, `${metric} is live at ${base}`);
      t.equal(found?.unit, unit, `${metric} has its unit`);
    }
    const balanced = await until(async () => {
      const value = async (metric: string) => (await figure(base, metric))?.value as number;
      const [made, used, stored] = [
        await value('generation_kw'),
        await value('consumption_kw'),
        await value('battery_power_kw'),
      ];
      return Math.abs(made - used - stored) <= Math.max(1, 0.12 * Math.max(made, used));
    });
    t.ok(balanced, 'generation is consumption, battery and losses');
  }
});

t.test(
  'a foreign client changes the summary and an open dashboard; a hot cabinet rings on both sides; acts meet',
  async (t) => {
    const [gateway, cloud] = [ready.gateway.http, ready.cloud.http];
    const socket = new WebSocket(`${gateway.replace('http', 'ws')}/api/live/kisima`);
    const frames: Json[] = [];
    socket.on('open', () => socket.send(JSON.stringify({ type: 'authenticate', token: tokens[gateway] })));
    socket.on('message', (text) => frames.push(JSON.parse(String(text)) as Json));
    t.ok(
      await until(async () => frames.some((frame) => (frame.type as unknown) === 'snapshot')),
      'the live channel begins with a snapshot',
    );
    t.ok(await publish(reading({ equipment_temp_c: 41.25 })), 'the publish is acknowledged');
    const seen = (base: string) => until(async () => (await figure(base, 'equipment_temp_c.cabinet'))?.value === 41.25);
    t.ok(await seen(gateway), 'the gateway shows it');
    t.ok(await seen(cloud), 'the cloud shows it');
    const live = () =>
      frames.some(
        (frame) =>
          (frame.type as unknown) === 'values' &&
          (frame.figures as unknown as Record<string, { value: unknown }> | undefined)?.['equipment_temp_c.cabinet']
            ?.value === 41.25,
      );
    t.ok(await until(async () => live()), 'the open dashboard is told');
    socket.close();

    t.ok(await publish(reading({ equipment_temp_c: 75.25 })));
    const alertAt = (base: string) =>
      until(async () => {
        const { json } = await call(base, '/api/alerts/kisima?status=active');
        return (
          json.alerts as unknown as { alert_id: string; message: string; device_id: string; value: number }[]
        ).find((one) => one.message === 'high temperature on equipment' && one.device_id === 'spare-1');
      });
    const raised = await alertAt(gateway);
    t.match(raised, { value: 75.25 }, 'raised at the gateway');
    t.equal((await alertAt(cloud))?.alert_id, raised?.alert_id, 'the same alert at the cloud');
    const id = raised?.alert_id ?? '';
    t.equal(
      (await call(cloud, `/api/alerts/${id}/acknowledge`, { method: 'PUT', body: { note: 'going there' } })).status,
      200,
    );
    const at = async (base: string) =>
      (await call(base, `/api/alerts/kisima/${id}`)).json as unknown as { acknowledged: boolean; notes: unknown[] };
    t.ok(await until(async () => (await at(gateway)).acknowledged), 'acknowledged at the cloud, shown at the gateway');
    t.equal(
      (await call(gateway, `/api/alerts/${id}/notes`, { method: 'POST', body: { note: 'fan blocked' } })).status,
      200,
    );
    t.ok(await until(async () => (await at(cloud)).notes.length === 2), 'noted at the gateway, shown at the cloud');
  },
);

t.test('foreign topics, wrong passwords and bad payloads are refused or counted and harm nobody', async (t) => {
  t.notOk(
    await publish(reading({ generation_kw: 1 }), { topic: 'microgrid/kisima/device/meteo-1/telemetry' }),
    "another device's topic",
  );
  t.notOk(await publish(reading({ equipment_temp_c: 1 }), { password: 'wrong' }), 'a wrong password');
  await publish('{"v":1,"metr');
  await publish(`{"v":1,"boot":"${boot}","seq":${(seq += 1)},"up":${seq * 1000},"metrics":{"equipment_temp_c":1e999}}`);
  t.notOk(await publish('x'.repeat(100_000)), 'a packet that is too large');
  t.ok(await publish(reading({ equipment_temp_c: 44.5 })), 'the next good one goes through');
  t.ok(await until(async () => (await figure(ready.gateway.http, 'equipment_temp_c.cabinet'))?.value === 44.5));
  t.equal((await figure(ready.gateway.http, 'irradiance_w_m2'))?.freshness, 'live', 'the other devices go on');
  const log = readFileSync(join(data, 'logs/gateway.log'), 'utf8');
  for (const code of ['E_TOPIC_FORBIDDEN', 'E_PAYLOAD_NOT_JSON', 'E_PACKET_TOO_LARGE'])
    t.match(log, code, `${code} is in the log`);
});

t.test("the prototype's topics and calls go on working", async (t) => {
  const message = {
    timestamp: new Date().toISOString(),
    live_power_consumption: 5.2,
    live_generation: 3.1,
    battery_soc: 61,
    temp_equipment: 38,
    solar_irradiance: 42,
  };
  t.ok(await publish(JSON.stringify(message), { topic: 'microgrid/data', plain: true }));
  t.ok(await publish('Unusual load increase detected', { topic: 'microgrid/alerts', plain: true }));
  const gateway = ready.gateway.http;
  const legacy = await until(async () => {
    const { json } = await call(gateway, '/api/alerts/kisima?status=active');
    return (json.alerts as unknown as { message: string; severity: string }[]).find((one) =>
      /Unusual load increase detected/i.test(one.message),
    );
  });
  t.equal(legacy?.severity, 'high', "the prototype's alert text is an alert of severity high");
  const login = await call(gateway, '/api/login', { method: 'POST', body: credentials.operator });
  t.ok(login.json.token);
  const realtime = await call(gateway, '/api/dashboard/realtime');
  t.hasProps(realtime.json, [
    'timestamp',
    'live_power_consumption',
    'live_generation',
    'battery_soc',
    'temp_equipment',
    'solar_irradiance',
  ]);
  t.equal((await call(gateway, '/api/dashboard/alerts')).status, 200);
  t.equal((await call(gateway, '/api/dashboard/historical?period=24h')).status, 200);
  const devices = (await call(gateway, '/api/device/kisima/list')).json.devices as unknown as { device_id: string }[];
  t.ok(devices.length >= 11);
});

/** Count of stored samples of the spare node at a side. */
async function stored(base: string): Promise<number> {
  const { json } = await call(base, `/api/completeness/kisima?until_ms=${Date.now() + 1e10}`);
  return (
    (json.series as unknown as { device_id: string; metric: string; count: number }[]).find(
      (one) => one.device_id === 'spare-1' && one.metric === 'equipment_temp_c',
    )?.count ?? 0
  );
}

t.test('kill -9 of the gateway under load: every acknowledged publish is there, once', async (t) => {
  const before = await stored(ready.gateway.http);
  const { username, password, topic, ca } = credentials.spare_node;
  const waiting = new Map<number, string>();
  let acknowledged = 0;
  let killed = false;
  const over = () => killed;
  const gatewayPid = () => {
    const { parts } = JSON.parse(readFileSync(join(data, 'running.json'), 'utf8')) as {
      parts: { name: string; pid?: number }[];
    };
    return parts.find((one) => one.name === 'gateway')?.pid;
  };
  const killing = (async () => {
    let [last, wanted]: [number | undefined, number] = [undefined, 0];
    for (let i = 0; i < 3; i += 1) {
      wanted = acknowledged + 100;
      const pid = await until(async () => acknowledged >= wanted && gatewayPid() !== last && gatewayPid(), 40_000);
      if (!pid) throw new Error(`after ${i} kills ${acknowledged} were acknowledged, not ${wanted}`);
      await pause(Math.random() * 500);
      process.kill(pid, 'SIGKILL');
      last = pid;
    }
  })().finally(() => (killed = true));
  const connectOnce = () =>
    new Promise<void>((resolve) => {
      const client = mqtt.connect(ready.gateway.mqtts, {
        ca: readFileSync(ca),
        username,
        password,
        clientId: username,
        reconnectPeriod: 0,
      });
      let open = true;
      client.on('error', () => undefined);
      client.on('close', () => {
        open = false;
        client.end(true);
        resolve();
      });
      const send = (number: number, payload: string) =>
        client.publish(topic, payload, { qos: 1 }, (error) => {
          if (error || !waiting.delete(number)) return;
          acknowledged += 1;
        });
      client.on('connect', async () => {
        for (const [number, payload] of waiting) send(number, payload);
        while (open && !(over() && waiting.size === 0)) {
          for (let i = 0; i < 5 && !over() && waiting.size < 100; i += 1) {
            const payload = reading({ equipment_temp_c: 40 + (seq % 50) / 10 });
            waiting.set(seq, payload);
            send(seq, payload);
          }
          await pause(20);
        }
        client.end();
      });
    });
  while (!over() || waiting.size > 0) {
    await connectOnce();
    await pause(200);
  }
  await killing;
  t.ok(acknowledged >= 300, `${acknowledged} were acknowledged`);
  t.ok(
    await until(async () => (await stored(ready.gateway.http)) - before === acknowledged, 30_000),
    'each is stored exactly once',
  );
});

t.test('the cloud is killed, stays away, comes back: both sides are equal, series by series', async (t) => {
  process.kill(ready.pids.cloud as number, 'SIGKILL');
  await publish(reading({ equipment_temp_c: 42 }));
  await pause(3000);
  const again = await run(
    process.execPath,
    [join(root, 'tools/dist/start/main.js'), '--data', data, '--port-base', String(portBase)],
    { timeout: 60_000 },
  );
  t.match(
    again.stdout.trim().split('\n').at(-1),
    /^\{"villagrid":"ready"/,
    'a second start brings back what had ended',
  );
  await until(async () => {
    await logIn(ready.cloud.http);
    return tokens[ready.cloud.http];
  });
  const untilMs = Date.now();
  const series = async (base: string) =>
    (await call(base, `/api/completeness/kisima?until_ms=${untilMs}`)).json.series as unknown as object[];
  const equal = await until(async () => {
    const [ours, theirs] = [await series(ready.gateway.http), await series(ready.cloud.http)];
    return ours.length > 20 && JSON.stringify(ours) === JSON.stringify(theirs);
  }, 45_000);
  t.ok(equal, 'counts and hashes of all series agree');
});

t.test('Ctrl-C stops everything within 5 s; a second start goes on with the data', async (t) => {
  const before = await stored(ready.gateway.http);
  const begun = Date.now();
  const ended = new Promise((resolve) => running().once('exit', resolve));
  running().kill('SIGINT');
  t.equal(await ended, 0);
  // A machine that does other things too is given some more.
  t.ok(Date.now() - begun < 8000, `${Date.now() - begun} ms`);
  ready = await start();
  await until(async () => {
    await logIn(ready.gateway.http);
    return tokens[ready.gateway.http];
  });
  t.equal(await stored(ready.gateway.http), before, 'nothing was lost and nothing came twice');
  // Also when every part hangs.
  for (const pid of Object.values(ready.pids)) process.kill(pid, 'SIGSTOP');
  const last = new Promise((resolve) => running().once('exit', resolve));
  const lastBegun = Date.now();
  running().kill('SIGTERM');
  t.equal(await last, 0);
  t.ok(Date.now() - lastBegun < 8000, `${Date.now() - lastBegun} ms with parts that hang`);
});
