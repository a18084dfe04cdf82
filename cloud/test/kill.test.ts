import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import t, { type Test } from 'tap';
import type { Receipt } from '@villagrid/contracts';
import { createAccounts, cryptoRandom, openDatabase, realClock, seededRandom, silentLogger } from '@villagrid/runtime';
import { tempDir } from '@villagrid/runtime/testing';
import { cloudFiles, type CloudAddresses } from '../src/index.js';
import { makeDataDir } from '../src/stores/database.js';
import { cloudFixture, type CloudFixture } from '../src/testing/cloud-fixture.js';
import { GatewaySide, raisedEvent, testFrame, testStartMs } from '../src/testing/gateway-side.js';

t.setTimeout(120_000);
const clock = realClock();
const seed = process.env.SEED ?? String(Math.floor(clock.nowMs()));
const password = 'a long enough word';
const room = fileURLToPath(new URL('..', import.meta.url));
/** Bundled once, because a process that translates its sources at the start spends ten times as long on it. */
const built = join(room, 'tmp', `kill-test-${process.pid}`);
t.teardown(() => rmSync(built, { recursive: true, force: true }));
await build({
  entryPoints: ['src/main-local.ts', 'src/testing/killed-cloud.ts'].map((path) => join(room, path)),
  entryNames: '[name]',
  outdir: built,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  conditions: ['villagrid'],
  logLevel: 'warning',
  define: { 'import.meta.url': JSON.stringify(pathToFileURL(join(room, 'src', 'version.ts')).href) },
  plugins: [
    {
      name: 'only ours is bundled',
      setup: (esbuild) =>
        esbuild.onResolve({ filter: /^[^./]/ }, ({ path, kind }) =>
          kind === 'entry-point' || path.startsWith('@villagrid/') ? undefined : { path, external: true },
        ),
    },
  ],
});
const program = (name: string) => join(built, `${name}.mjs`);

interface Child {
  readonly process: ChildProcess;
  readonly addresses: CloudAddresses;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

async function start(t: Test, args: readonly string[], env: Record<string, string> = {}): Promise<Child> {
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let told = '';
  child.stderr.on('data', (chunk: Buffer) => (told = (told + chunk.toString()).slice(-4000)));
  const ended = once(child, 'exit').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
  }));
  t.teardown(() => child.kill('SIGKILL'));
  let text = '';
  const addresses = await new Promise<CloudAddresses>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const end = text.indexOf('\n');
      if (end > 0) resolve(JSON.parse(text.slice(0, end)) as CloudAddresses);
    });
    void ended.then(({ code }) => reject(new Error(`ended with ${code} before it was ready: ${told}`)));
  });
  return { process: child, addresses, ended };
}

const connect = async (fixture: CloudFixture, child: Child): Promise<GatewaySide> =>
  GatewaySide.connect({
    url: child.addresses.mqtts,
    gatewayId: 'gw-1',
    gridId: 'alpha',
    certificate: await fixture.certificate('gw-1'),
    caPem: fixture.authority.certificatePem,
  });

async function addUser(fixture: CloudFixture): Promise<void> {
  makeDataDir(`${fixture.directory}/data`);
  const database = openDatabase({ path: cloudFiles(`${fixture.directory}/data`).accounts });
  const accounts = createAccounts({ database, realClock: clock, random: cryptoRandom(), log: silentLogger() });
  await accounts.addUser({
    username: 'ama',
    displayName: 'Ama',
    password,
    grants: [{ role: 'operator', scope: { kind: 'everything' } }],
  });
  database.close();
}

async function api(child: Child): Promise<(path: string) => Promise<Record<string, unknown>>> {
  const login = await fetch(`${child.addresses.http}/api/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'ama', password }),
  });
  const { token } = (await login.json()) as { token: string };
  return async (path) => {
    const answer = await fetch(`${child.addresses.http}${path}`, { headers: { authorization: `Bearer ${token}` } });
    return (await answer.json()) as Record<string, unknown>;
  };
}

/**
 * Sends frames 1 to `last` as a gateway would: from what HELLO's receipt says, until the connection ends. Gives the last
 * receipt seen.
 */
async function drain(side: GatewaySide, last: number): Promise<Receipt> {
  await side.hello({ newest_number: last });
  const { receipt } = await side.welcome();
  for (let first = receipt.up_to + 1; first <= last; first += 10) {
    const frames = Array.from({ length: Math.min(10, last - first + 1) }, (_, i) => {
      const number = first + i;
      const events = number % 10 === 0 ? [raisedEvent(`E${number}`, `A${number}`, 'alpha', 'gw-1')] : [];
      return testFrame(number, { events });
    });
    await side.publish('live', side.envelope(first, frames));
  }
  return side.receipt(last);
}

t.test(
  'kill -9 between archive, projection and receipt, then a restart: nothing is lost, nothing is there twice',
  async (t) => {
    const fixture = await cloudFixture(tempDir(t));
    await addUser(fixture);
    const last = 120;
    const kills: ReadonlyArray<readonly [step: string, after: number]> = [
      ['archived', 1],
      ['archived', 3],
      ['projected', 1],
      ['archived', 2],
      ['projected', 2],
    ];
    for (const [step, after] of kills) {
      const child = await start(t, [program('killed-cloud'), fixture.configPath], {
        KILL_STEP: step,
        KILL_AFTER: String(after),
      }).catch(() => undefined);
      // What the kill before left unprojected is projected at the start, which may already be the end.
      if (child === undefined) continue;
      const side = await connect(fixture, child);
      await t.rejects(drain(side, last), `the connection breaks at ${step} ${after}`);
      t.equal((await child.ended).signal, 'SIGKILL');
      await side.end();
    }
    const child = await start(t, [program('main-local'), '--config', fixture.configPath]);
    const side = await connect(fixture, child);
    const receipt = await drain(side, last);
    let sum = 0n;
    for (let number = 1; number <= last; number += 1) {
      const events = number % 10 === 0 ? [raisedEvent(`E${number}`, `A${number}`, 'alpha', 'gw-1')] : [];
      sum += createHash('sha256').update(testFrame(number, { events })).digest().readBigUInt64BE(0);
    }
    t.equal(receipt.sum, (sum % (1n << 64n)).toString(16).padStart(16, '0'));
    const get = await api(child);
    const complete = await get(`/api/completeness/alpha?until_ms=${testStartMs + 10_000_000}`);
    t.equal(complete.complete_until_number, last);
    t.same(
      (complete.series as { count: number }[]).map(({ count }) => count),
      [last, last],
    );
    const alerts = (await get('/api/alerts/alpha?limit=200')) as { alerts: { timeline: unknown[] }[] };
    t.equal(alerts.alerts.length, 12);
    t.ok(alerts.alerts.every(({ timeline }) => timeline.length === 1));
    const grids = (await get('/api/grids')) as { grids: { grid_id: string; name: string }[] };
    t.match(grids.grids, [{ grid_id: 'alpha', name: 'Test village' }]);
    const summary = await get('/api/dashboard/summary/alpha');
    t.match(summary, {
      figures: { generation_kw: { value: 2 }, battery_soc_pct: { value: 70 } },
      source: { kind: 'cloud' },
    });
    await side.end();
    const began = clock.monotonicMs();
    child.process.kill('SIGTERM');
    t.same(await child.ended, { code: 0, signal: null });
    t.ok(clock.monotonicMs() - began < 3000, 'stops within 3 s');
  },
);

t.test(
  `kill -9 at any moment while frames stream in: what was acknowledged is there, once (SEED=${seed})`,
  async (t) => {
    const random = seededRandom(seed);
    const fixture = await cloudFixture(tempDir(t));
    await addUser(fixture);
    const last = 3000;
    let told = 0;
    for (let round = 0; round < 2; round += 1) {
      const child = await start(t, [program('main-local'), '--config', fixture.configPath]);
      const side = await connect(fixture, child);
      clock.after(100 + random.float() * 500, () => child.process.kill('SIGKILL'));
      await drain(side, last).catch(() => undefined);
      await child.ended;
      await side.end();
      const first = side.down.find((message) => message.y === 'welcome');
      if (first) t.ok(first.receipt.up_to >= told, `a receipt of ${told} still holds`);
      told = side.down.reduce(
        (most, message) => (message.y === 'receipt' ? Math.max(most, message.up_to) : most),
        told,
      );
    }
    const child = await start(t, [program('main-local'), '--config', fixture.configPath]);
    const side = await connect(fixture, child);
    await drain(side, last);
    const complete = await (await api(child))(`/api/completeness/alpha?until_ms=${testStartMs + 100_000_000}`);
    t.same(
      (complete.series as { count: number }[]).map(({ count }) => count),
      [last, last],
    );
    await side.end();
  },
);

t.test('a wrong configuration ends at once and says what is wrong', async (t) => {
  const child = spawn(process.execPath, [program('main-local'), '--config', '/nowhere.yaml']);
  let told = '';
  child.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()));
  const [code] = (await once(child, 'exit')) as [number];
  t.equal(code, 1);
  t.match(told, /E_CONFIG_READ.*nowhere\.yaml/s);
});
