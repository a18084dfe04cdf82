/** Documents from a real cloud to a real gateway over the real broker, and back what people change there. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCloud, loadCloudConfig, type Cloud } from '@villagrid/cloud';
import { createGateway, loadGatewayConfig, type Gateway } from '@villagrid/gateway';
import {
  topics,
  type CommandAnswer,
  type CommandList,
  type DesiredDocument,
  type Audit,
  type DesiredHistory,
  type DesiredState,
} from '@villagrid/contracts';
import {
  addDevice,
  addGatewayToCloud,
  initCloud,
  initGateway,
  issueDeviceCredential,
  setSetting,
  withAccounts,
} from '@villagrid/provisioning';
import { cryptoRandom, realClock, silentLogger } from '@villagrid/runtime';
import { memoryLog, tempDir } from '@villagrid/runtime/testing';
import mqtt from 'mqtt';
import t, { type Test } from 'tap';
import { cli, until } from './installer.js';
import { freePortBase } from './port-base.js';

t.setTimeout(180_000);
const [clock, random] = [realClock(), cryptoRandom()];
const [gridId, gatewayId] = ['kisima', 'gw-kisima'];
const person = { username: 'juma', password: 'canary of Juma 1' };

/** A cloud and a gateway in folders, with an administrator on both. */
async function site(t: Test) {
  const folder = tempDir(t);
  const [cloudFolder, box, base] = [join(folder, 'cloud'), join(folder, 'box'), await freePortBase(1)];
  const realNowMs = clock.nowMs();
  const ports = { http: base + 10, https: base + 11, mqtts: base + 13 };
  const cloudFiles = await initCloud({ folder: cloudFolder, ports, realNowMs });
  const wire = { terms: [{ device_id: 'inv-1', metric: 'consumption_kw', factor: 1 }] };
  const files = await initGateway({
    folder: box,
    site: {
      grid_id: gridId,
      gateway_id: gatewayId,
      name: 'Kisima',
      zone: 'UTC',
      devices: [],
      wiring: {},
      plant: { battery_floor_pct: 20, has_genset: false, has_mains: false },
    },
    ports: { http: 0, https: 0, mqtt: 0, mqtts: 0 },
    host: '127.0.0.1',
    realNowMs,
  });
  setSetting(files.config, ['log', 'hold_ms'], 5);
  setSetting(files.config, ['log', 'ballast_mb'], 0);
  setSetting(files.config, ['commands', 'enabled'], true);
  addDevice(box, { device_id: 'inv-1', name: 'Inverter', protocol: 'mqtt', kind: 'inverter', period_s: 5 } as never);
  setSetting(files.config, ['site', 'wiring', 'consumption_kw'], wire);
  const { password } = await issueDeviceCredential(box, 'inv-1', random);
  await addGatewayToCloud({
    cloudFolder,
    gatewayFolder: box,
    url: `mqtts://127.0.0.1:${ports.mqtts}`,
    realNowMs,
  });
  const grants = [{ role: 'admin' as const, scope: { kind: 'everything' as const } }];
  for (const config of [files.config, cloudFiles.config])
    await withAccounts(config, { realClock: clock, random, log: silentLogger() }, async (accounts) => {
      await accounts.addUser({ ...person, displayName: 'Juma', grants });
    });
  const startCloud = async (): Promise<Cloud> => {
    const config = loadCloudConfig({ path: cloudFiles.config });
    const cloud = createCloud(config, { clock, realClock: clock, random, log: silentLogger() });
    await cloud.start();
    t.teardown(() => cloud.stop());
    return cloud;
  };
  const startGateway = async (): Promise<Gateway & { readonly lines: ReturnType<typeof memoryLog>['lines'] }> => {
    const { log, lines } = memoryLog({ level: 'info', foldAfter: 10_000 });
    const config = loadGatewayConfig({ path: files.config });
    const gateway = createGateway(config, { clock, realClock: clock, random, log, documentTrialMs: 300 });
    t.teardown(() => gateway.stop());
    await gateway.start();
    return { ...gateway, lines };
  };
  return {
    url: `http://127.0.0.1:${ports.http}`,
    cloudFolder,
    box,
    cloudConfig: cloudFiles.config,
    password,
    startCloud,
    startGateway,
  };
}

/** Asks the API of a server as the administrator. */
async function asking(url: string) {
  const json = { 'content-type': 'application/json' };
  const login = await fetch(`${url}/api/auth/login`, { method: 'POST', headers: json, body: JSON.stringify(person) });
  const { token } = (await login.json()) as { token: string };
  return async <T>(path: string, body?: unknown, method = body === undefined ? 'GET' : 'PUT') => {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { ...json, authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, json: (await answer.json()) as T };
  };
}

t.test(
  'rules, limits, names and people go down, are tried, told up, and merged with what is changed there',
  async (t) => {
    const { url, box, cloudConfig, password, startCloud, startGateway } = await site(t);
    await startCloud();
    const ask = await asking(url);
    const path = (name: string) => `/api/desired/${gridId}/${name}`;
    const put = (name: string, based_on: number, body: object) =>
      ask<DesiredDocument & { present?: DesiredDocument }>(path(name), { based_on, body });
    const document = async (name: string) => (await ask<DesiredDocument>(path(name))).json;
    const comes = (name: string, state: string, rev?: number) =>
      until(`${name} ${rev ?? ''} ${state}`, async () => {
        const now = await document(name);
        return now.state === state && (rev === undefined || now.rev === rev);
      });

    // While the gateway is away, several revisions: it gets the newest alone.
    for (const [at, consumption_high_kw] of [5, 4, 3].entries())
      t.equal((await put('limits', at, { consumption_high_kw })).status, 200);
    const stale = await put('limits', 1, { consumption_high_kw: 9 });
    t.equal(stale.status, 409);
    t.match(stale.json, { code: 'E_CONFLICT', present: { rev: 3 }, yours: { consumption_high_kw: 9 } });
    // Rules can be held against the site only once the gateway told of it; then it says itself what is wrong.
    t.equal((await put('rules', 0, { nonsense: { id: 'nonsense' } })).status, 200);
    let gateway = await startGateway();
    await comes('limits', 'applied', 3);
    const history = (await ask<DesiredHistory>(`${path('limits')}/history`)).json;
    t.same(
      history.revisions.map(({ rev, state }) => [rev, state]),
      [
        [3, 'applied'],
        [2, 'waiting'],
        [1, 'waiting'],
      ],
    );
    const audited = (await ask<Audit>(`/api/audit/${gridId}?area=settings&search=limits`)).json.entries;
    t.same(
      audited.map(({ kind, about, actor, detail }) => [kind, about, actor.name, detail?.split(';')[0]]),
      [3, 2, 1].map((rev) => ['document_changed', 'limits', 'Juma', `revision ${rev}`]),
      'who moved a limit is in the audit',
    );

    // In force without a restart: what was no alarm is one.
    const connect = async () => {
      const client = mqtt.connect(gateway.addresses().mqtt, {
        username: 'inv-1',
        password,
        clientId: 'inv-1',
        reconnectPeriod: 0,
      });
      t.teardown(() => void client.end(true));
      await new Promise<void>((resolve, reject) => {
        client.once('connect', () => resolve());
        client.once('error', reject);
      });
      return client;
    };
    let seq = 0;
    const publish = (client: mqtt.MqttClient, consumption_kw: number) =>
      client.publishAsync(
        topics.telemetry(gridId, 'inv-1'),
        JSON.stringify({
          v: 1,
          boot: 'n1',
          seq: (seq += 1),
          ts: Math.round(clock.nowMs()),
          metrics: { consumption_kw },
        }),
        { qos: 1 },
      );
    await until('the reason', async () => {
      const { state, reason } = await document('rules');
      return state === 'refused' && reason !== null;
    });
    t.match((await document('rules')).reason, /^rule nonsense: kind, severity, .* missing/);
    t.match(await put('rules', 1, { other: { id: 'other' } }), { status: 400 });

    const client = await connect();
    await publish(client, 2);
    const mine = {
      id: 'mill_runs',
      kind: 'threshold',
      severity: 'low',
      selector: { scope: 'figure', metric: 'consumption_kw' },
      parameters: { above: 1.5 },
      message: 'the mill runs',
      what: 'Load is {value} {unit}.',
      why: 'It is loud.',
      steps: ['Close the window.'],
    };
    t.equal((await put('rules', (await document('rules')).rev, { mill_runs: mine })).status, 200);
    await comes('rules', 'applied');
    await until('its alert', async () => {
      await publish(client, 2);
      const alerts = await gateway.api.grids.get(gridId)!.alerts({ status: 'active' });
      return alerts.some(({ rule_id }) => rule_id === 'mill_runs');
    });
    await put('grid', 0, { name: 'Kisima cha Juu' });
    await comes('grid', 'applied');
    t.equal(gateway.api.grids.get(gridId)!.site().name, 'Kisima cha Juu');
    await until('the cloud shows the name', async () => {
      const { json } = await ask<{ grids: { name: string }[] }>('/api/grids');
      return json.grids[0]?.name === 'Kisima cha Juu';
    });

    // People: who is added at the cloud can log in in the village; who is shut out there is shut out at both ends.
    await until('the gateway told of its people', async () => (await document('users')).body.juma !== undefined);
    const users = await document('users');
    const asha = { display_name: 'Asha', role: 'operator', disabled: false };
    await put('users', users.rev, { ...users.body, asha: { ...asha, password: 'canary of Asha 1' } });
    await comes('users', 'applied');
    t.ok(await gateway.accounts.login('asha', 'canary of Asha 1', '10.0.0.1'));
    t.notMatch(JSON.stringify(await document('users')), /scrypt|canary/);
    await gateway.stop();
    const config = join(box, 'gateway.yaml');
    await withAccounts(config, { realClock: clock, random, log: silentLogger() }, async (accounts) =>
      accounts.disable('asha'),
    );
    const before = await document('users');
    // Two that are shut out at the cloud: one of this village, one of another who only has the name of somebody here.
    const viewer = (display_name: string) => ({ display_name, role: 'viewer', disabled: false });
    const named = { neema: viewer('Neema'), baraka: viewer('Baraka') };
    await withAccounts(cloudConfig, { realClock: clock, random, log: silentLogger() }, async (accounts) => {
      for (const [username, grid_id] of [
        ['neema', gridId],
        ['baraka', 'elsewhere'],
      ] as const) {
        const grants = [{ role: 'viewer' as const, scope: { kind: 'grid' as const, grid_id } }];
        await accounts.addUser({ username, displayName: username, password: `canary of ${username}`, grants });
        accounts.disable(username);
      }
    });
    await put('users', before.rev, { ...before.body, ...named, asha: { ...asha, role: 'admin' } });
    gateway = await startGateway();
    await until('disabled at the cloud', async () => {
      const { asha: now } = (await document('users')).body as Record<string, { disabled: boolean; role: string }>;
      return now?.disabled === true && now.role === 'operator';
    });
    await until('Neema is shut out', async () => {
      const { neema } = (await document('users')).body as Record<string, { disabled: boolean }>;
      return neema?.disabled === true;
    });
    await comes('users', 'applied');
    t.match((await document('users')).body, { baraka: { disabled: false } });
    t.equal(await gateway.accounts.login('asha', 'canary of Asha 1', '10.0.0.1'), undefined);
    t.ok(
      gateway.api.grids
        .get(gridId)!
        .rules()
        .some(({ id }) => id === 'mill_runs'),
      'rules outlive a restart',
    );
    t.equal(gateway.api.grids.get(gridId)!.site().name, 'Kisima cha Juu');
    const list = (await ask<{ documents: DesiredState[] }>(`/api/desired/${gridId}`)).json;
    t.match(
      list.documents.map(({ name, state }) => [name, state]),
      [
        ['rules', 'applied'],
        ['limits', 'applied'],
        ['grid', 'applied'],
        ['users', 'applied'],
      ],
    );

    // A command: confirmed here, checked and written down there, its end known on both sides.
    const command = async (device: string, what: object) => {
      const post = async (body: object) => {
        const answer = await ask<CommandAnswer>(
          `/api/device/${device}/command`,
          { grid_id: gridId, ...what, ...body },
          'POST',
        );
        return answer.json;
      };
      const question = await post({});
      if (question.state !== 'needs_confirmation') throw new Error(JSON.stringify(question));
      return post({ confirmation: question.confirmation });
    };
    const diagnosis = await command(gatewayId, { command: 'diagnose', value: 'now' });
    t.match(diagnosis, { state: 'finished', record: { state: 'acknowledged', read_back: /"status":/ } });
    const refused = await command('inv-1', { command: 'explode', value: 1 });
    t.match(refused, { state: 'finished', record: { state: 'refused', reason: 'Commands of inv-1: none.' } });
    const audit = () =>
      gateway.log
        .read(1, { maxFrames: 10_000, maxBytes: 1e8 })
        .flatMap(({ frame }) => frame.entries.flatMap((one) => (one.type === 'command' ? [one] : [])));
    await until('both are in the log', () => audit().length === 2);
    t.match(audit(), [
      { command: 'diagnose', state: 'acknowledged', actor: { name: 'Juma' } },
      { command: 'explode', state: 'refused', actor: { name: 'Juma' } },
    ]);
    const { records } = (await ask<CommandList>(`/api/device/${gridId}/commands`)).json;
    t.same(
      records.map(({ command_id, state }) => [command_id, state]),
      audit()
        .map(({ id, state }) => [id, state])
        .reverse(),
    );

    // The same on the command line.
    const desired = (words: string[]) =>
      cli(['desired', ...words, '--url', url, '--username', person.username, '--password-stdin'], person.password);
    t.match(await desired(['list', gridId]), { code: 0, out: /limits +3 +1 .* in force/ });
    const shown = await desired(['show', gridId, 'limits']);
    t.match(shown, { code: 0, out: /^# limits of kisima, revision 3: in force\nconsumption_high_kw: 3$/ });
    const file = join(box, 'limits.yaml');
    writeFileSync(file, 'consumption_high_kw: 6\nbattery_low_pct: 35\n');
    t.match(await desired(['set', gridId, 'limits', '--file', file, '--based-on', '2']), {
      code: 2,
      err: /revision 3, not 2/,
    });
    t.match(await desired(['set', gridId, 'limits', '--file', file, '--based-on', '3']), {
      code: 0,
      out: /revision 4/,
    });
    await comes('limits', 'applied', 4);
    t.match(gateway.api.grids.get(gridId)!.limits(), { consumption_kw: { high: 6 }, battery_soc_pct: { low: 35 } });
    t.match(await desired(['history', gridId, 'limits']), { code: 0, out: /^ +4 .* Juma .* in force/ });
    t.match(JSON.parse((await desired(['history', gridId, 'limits', '--json'])).out), { revisions: [{ rev: 4 }] });
    const told = (words: string[]) =>
      cli(
        ['command', gridId, ...words, '--url', url, '--username', person.username, '--password-stdin'],
        person.password,
      );
    t.match(await told([gatewayId, 'diagnose', 'now']), { code: 3, out: /how it does\? Say --yes/ });
    t.match(await told([gatewayId, 'diagnose', 'now', '--yes']), { code: 0, out: /acknowledged; it says: \{"status"/ });
    t.match(await told(['inv-1', 'explode', '1', '--yes']), { code: 1, out: /refused; Commands of inv-1: none\./ });
    t.match(await told([]), { code: 0, out: /can be told: gw-kisima diagnose[^]*inv-1 explode 1 \(Juma\): refused/ });
    t.match(await desired(['show', gridId, 'nothing']), { code: 2, err: /no document "nothing"/ });
  },
);
