/** The overview of a fleet of a thousand grids, over HTTP, with alerts, gaps and samples of each. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  acceleratedClock,
  createAccounts,
  createAlertStore,
  cryptoRandom,
  openDatabase,
  realClock,
  silentLogger,
} from '@villagrid/runtime';
import type { Bench, Figure } from '@villagrid/tools/bench';
import { createCloud, loadCloudConfig } from '../src/index.js';
import { examineFrame } from '../src/etl/frame.js';
import { cloudFiles, openCloudDatabase } from '../src/stores/database.js';
import { createGatewayStore } from '../src/stores/gateway-store.js';
import { createSqliteUplinkStore } from '../src/stores/sqlite-uplink-store.js';
import { cloudFixture } from '../src/testing/cloud-fixture.js';
import { raisedEvent, testFrame, testSite, testStartMs } from '../src/testing/gateway-side.js';

const gridCount = 1000;
const framesEach = 12;
const questions = 60;
const names = Array.from({ length: gridCount }, (_, at) => {
  const number = String(at).padStart(4, '0');
  return { gateway_id: `gw-${number}`, grid_id: `grid-${number}`, organisation_id: `org-${at % 10}` };
});

/** Puts what every gateway said into the cloud's database. */
function fill(dataDir: string): void {
  const database = openCloudDatabase(dataDir);
  const gateways = createGatewayStore(database);
  const store = createSqliteUplinkStore(database);
  const alerts = createAlertStore({ database });
  const nowMs = testStartMs + 120_000;
  database.transaction(() => {
    for (const [at, { gateway_id, grid_id }] of names.entries()) {
      const site = testSite(grid_id, gateway_id);
      gateways.hello(
        {
          ...{
            y: 'hello',
            gateway_id,
            boot: 'b1',
            version: '0.1.0',
            epoch: 'E1',
            newest_number: framesEach,
            oldest_number: 1,
          },
          ...{ receipted_number: 0, clock_ms: nowMs, clock_trust: 'ntp', plan: 'raw', disk_used_pct: 40, site },
        },
        grid_id,
        site,
        nowMs,
      );
      // Every tenth has a hole, every fifth an alert.
      const numbers = Array.from({ length: framesEach }, (_, index) => index + 1);
      const frames = numbers
        .filter((number) => at % 10 !== 0 || number !== 5)
        .map((number) => {
          const bytes = testFrame(number);
          const examined = examineFrame(bytes, grid_id);
          if (!examined.ok) throw new Error(examined.reason);
          const hash = createHash('sha256').update(bytes).digest();
          return { number, bytes, hash, bad: null, fromMs: examined.fromMs, toMs: examined.toMs };
        });
      store.accept([{ gatewayId: gateway_id, gridId: grid_id, epoch: 'E1', frames }], [], nowMs);
      if (at % 5 === 0) alerts.append(raisedEvent(`E${at}`, `A${at}`, grid_id, gateway_id));
    }
  })();
  database.close();
}

/** Asks for the overview and gives the median time of an answer, milliseconds. */
async function overview(folder: string): Promise<Figure> {
  const clock = realClock();
  const fixture = await cloudFixture(folder, { gateways: names });
  const config = loadCloudConfig({ path: fixture.configPath });
  fill(config.data_dir);
  const database = openDatabase({ path: cloudFiles(config.data_dir).accounts });
  const accounts = createAccounts({ database, realClock: clock, random: cryptoRandom(), log: silentLogger() });
  const person = { username: 'bench', password: 'a password of the bench' };
  await accounts.addUser({
    ...person,
    displayName: 'Bench',
    grants: [{ role: 'admin', scope: { kind: 'everything' } }],
  });
  database.close();
  const village = { realEpochMs: clock.nowMs(), villageEpochMs: testStartMs + 150_000, speed: 1 };
  const ports = { clock: acceleratedClock(village), realClock: clock, random: cryptoRandom(), log: silentLogger() };
  const cloud = createCloud(config, ports);
  const { http } = await cloud.start();
  try {
    for (let tries = 0; cloud.counters.framesProjected < gridCount * (framesEach - 0.1); tries += 1) {
      if (tries > 600) throw new Error(`only ${cloud.counters.framesProjected} frames are projected`);
      await clock.sleep(100);
    }
    const login = await fetch(`${http}/api/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(person),
    });
    const { token } = (await login.json()) as { readonly token: string };
    const took: number[] = [];
    const cpuBefore = process.cpuUsage();
    let bytes = 0;
    for (let question = 0; question < questions; question += 1) {
      const startMs = clock.monotonicMs();
      const answer = await fetch(`${http}/api/grids`, { headers: { authorization: `Bearer ${token}` } });
      const text = await answer.text();
      took.push(clock.monotonicMs() - startMs);
      bytes = text.length;
      const { grids } = JSON.parse(text) as { readonly grids: readonly { readonly needs: readonly string[] }[] };
      if (grids.length !== gridCount) throw new Error(`answered for ${grids.length} grids`);
      const wanting = grids.filter(({ needs }) => needs.includes('alert')).length;
      if (wanting !== gridCount / 5) throw new Error(`${wanting} grids want somebody for an alert`);
    }
    const { user, system } = process.cpuUsage(cpuBefore);
    const cpuMs = (user + system) / 1000 / questions;
    const [first] = took;
    took.sort((a, b) => a - b);
    const at = (share: number) => took[Math.floor(took.length * share)] ?? Number.NaN;
    return {
      value: at(0.5),
      beside: { first_ms: first ?? Number.NaN, p95_ms: at(0.95), cpu_ms: cpuMs, kb: bytes / 1000 },
    };
  } finally {
    await cloud.stop();
  }
}

export const benches: readonly Bench[] = [
  {
    id: 'cloud.fleet',
    unit: 'ms',
    what: `The overview of ${gridCount} grids (GET /api/grids) over HTTP: state, needs, completeness and gateway of each; median.`,
    own: {
      what: 'the single-process cloud, its client in the same process',
      run: ({ folder }) => overview(join(folder, 'cloud')),
    },
  },
];
