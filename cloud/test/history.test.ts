import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Clock } from '@villagrid/contracts';
import { cryptoRandom, openDatabase, realClock, seededRandom } from '@villagrid/runtime';
import { memoryLog, tempDir } from '@villagrid/runtime/testing';
import { createCloud, loadCloudConfig, type Cloud } from '../src/index.js';
import { createInfluxClient } from '../src/stores/influxdb/client.js';
import { foldParts } from '../src/stores/influxdb/lines.js';
import { createInfluxHistory } from '../src/stores/influxdb/history.js';
import { createProjectedTelemetry } from '../src/stores/telemetry.js';
import { createSqliteHistory } from '../src/stores/window-history.js';
import { startInflux, withoutInflux, type InfluxTrouble, type TestInflux } from '../src/testing/influxdb.js';
import { cloudFixture } from '../src/testing/cloud-fixture.js';
import { GatewaySide, testFrame, testStartMs } from '../src/testing/gateway-side.js';
import {
  cloudTelemetrySuite,
  newDatabase,
  openPipeline,
  type HistoryContext,
  type HistoryUnderTest,
  type NumberedBytes,
} from '../src/testing/telemetry-store-suite.js';

cloudTelemetrySuite(t, 'SQLite', async () => ({
  open({ database, frames, zoneOf, log }) {
    const telemetry = createProjectedTelemetry({ database, frames, zoneOf });
    return { telemetry, history: createSqliteHistory({ database, telemetry, log }) };
  },
  breakDown(_how, { name }) {
    const other = openDatabase({ path: name });
    other.exec('BEGIN IMMEDIATE');
    return () => {
      other.exec('ROLLBACK');
      other.close();
    };
  },
}));

function openInflux(influx: TestInflux, bucket: string, context: HistoryContext, token = influx.token) {
  const { database, frames, zoneOf, store, clock, log, keepDays } = context;
  const telemetry = createProjectedTelemetry({ database, frames, zoneOf }, bucket);
  if (!telemetry.outbox) throw new Error('no outbox');
  const settings = { url: influx.url, org: 'o', bucket, database: bucket, token };
  const history = createInfluxHistory({
    client: createInfluxClient(settings, realClock()),
    outbox: telemetry.outbox,
    cloudId: 'cloud',
    zoneOf,
    keepDays,
    clock,
    realClock: realClock(),
    random: seededRandom(1),
    log,
    quarantine: (gridId, line, reason) =>
      store.keepDeadLetter(
        {
          stage: 'history',
          gatewayId: 'gw-1',
          gridId,
          epoch: null,
          number: null,
          code: 'E_TELEMETRY_REFUSED',
          reason,
          bytes: Buffer.from(line),
        },
        clock.nowMs(),
      ),
  });
  return { telemetry, history };
}

function underTest(influx: TestInflux, bucket: string): HistoryUnderTest {
  return {
    open: (context) => openInflux(influx, bucket, context),
    breakDown(how: InfluxTrouble) {
      influx.trouble = how;
      return () => {
        influx.trouble = undefined;
      };
    },
  };
}

t.test(
  'parts make one window; of a point InfluxDB gives twice the fuller counts, and what is here before both',
  (t) => {
    const window = (startMs: number, count: number, min: number) => {
      return { startMs, min, max: 9, sum: count * 2, count, last: min, lastMs: startMs + count };
    };
    const part = (number: number, startMs: number, count: number, min = 1) => {
      return { part: number, startMs, window: count === 0 ? undefined : window(startMs, count, min) };
    };
    const counts = (...args: Parameters<typeof foldParts>) =>
      foldParts(...args).map(({ startMs, count, min, sum }) => [startMs, count, min, sum]);
    t.same(counts([part(0, 60, 3), part(0, 0, 2), part(7, 0, 5, -4)], []), [
      [0, 7, -4, 14],
      [60, 3, 1, 6],
    ]);
    t.same(counts([part(0, 0, 2), part(0, 0, 6), part(0, 0, 4)], []), [[0, 6, 1, 12]]);
    t.same(counts([part(0, 0, 6), part(3, 0, 1)], [part(0, 0, 5)]), [[0, 6, 1, 12]]);
    t.same(counts([part(0, 0, 6)], [part(0, 0, 0)]), [], 'emptied here and not yet there');
    t.end();
  },
);

t.test('InfluxDB', { skip: withoutInflux }, async (t) => {
  const influx = await startInflux(t);
  cloudTelemetrySuite(t, 'InfluxDB', async () => underTest(influx, await influx.database()));

  const frameOf = (number: number, deviceId = 'inv-01', value = number): NumberedBytes => {
    const timeMs = testStartMs + number * 60_000;
    return {
      number,
      bytes: testFrame(number, { samples: [{ deviceId, metric: 'generation_kw', timeMs, value, quality: 0 }] }),
    };
  };
  const from = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => frameOf(first + i));
  const nowMs = testStartMs + 864e5;

  t.test('points are floats under tags that never change, and a repeat adds none', async (t) => {
    const bucket = await influx.database();
    const database = newDatabase(t);
    let pipeline = openPipeline(t, underTest(influx, bucket), { database, nowMs });
    pipeline.accept(from(1, 20));
    await pipeline.settle();
    const all = () => influx.ask(bucket, 'SELECT * FROM ru_15m');
    const before = await all();
    t.match(before, {
      results: [
        {
          series: [
            {
              columns: 'time,count,device,grid,last,last_after_ms,max,mean,metric,min,part'.split(','),
              values: [
                [testStartMs, 14, 'inv-01', 'alpha', 14, 840_000, 14, 7.5, 'generation_kw', 1, '0'],
                [testStartMs + 900_000, 6, 'inv-01', 'alpha', 20, 300_000, 20, 17.5, 'generation_kw', 15, '0'],
              ],
            },
          ],
        },
      ],
    });
    t.match(await influx.ask(bucket, 'SHOW FIELD KEYS FROM ru_15m'), {
      results: [
        { series: [{ values: 'count,last,last_after_ms,max,mean,min'.split(',').map((name) => [name, 'float']) }] },
      ],
    });
    // The same log into the same bucket from a cloud that lost its database.
    const { lines } = influx;
    pipeline = openPipeline(t, underTest(influx, bucket), { nowMs });
    pipeline.accept(from(1, 20));
    await pipeline.settle();
    t.ok(influx.lines > lines, 'they were written again');
    t.same(await all(), before);
  });

  t.test('one refused point goes to the dead letters; all that came with it is written', async (t) => {
    const pipeline = openPipeline(t, underTest(influx, await influx.database()), { nowMs, keepDays: 1 });
    influx.refuses = (line) => line.startsWith('ru_1m') && line.includes('device=bad,');
    t.teardown(() => (influx.refuses = () => false));
    pipeline.accept([...from(1, 10), frameOf(11, 'bad'), ...from(12, 30), frameOf(31, 'bad'), ...from(32, 40)]);
    await pipeline.settle();
    const good = await pipeline.history.windows('alpha', 'inv-01', 'generation_kw', '1m', testStartMs, nowMs);
    t.equal(good.t.length, 38);
    t.match(
      pipeline.store.deadLetters(9).map(({ stage, code, gatewayId, bytes }) => [stage, code, gatewayId, `${bytes}`]),
      [31, 11].map((number) => [
        'history',
        'E_TELEMETRY_REFUSED',
        'gw-1',
        new RegExp(`^ru_1m,device=bad,.* ${testStartMs / 1000 + number * 60}$`),
      ]),
    );
    t.match(pipeline.history.state(), { ok: true, waiting: 0, refused: 2 });
    const [line = ''] = pipeline.store.deadLetters(1).map(({ bytes }) => `${bytes}`);
    await t.rejects(pipeline.history.sendAgain?.(line) ?? Promise.resolve(), 'refused as before');
    const sent: string[] = [];
    influx.refuses = (one) => sent.push(one) < 0;
    await pipeline.history.sendAgain?.(line);
    t.same(sent, [line], 'after the fault was mended it goes there');
    await t.rejects(pipeline.history.sendAgain?.('ru_1m x') ?? Promise.resolve(), /no point of ours/);
    influx.refuses = () => true;
    pipeline.accept(from(41, 44));
    t.match(
      await pipeline.settle().catch((error: unknown) => error),
      { kind: 'settings' },
      'who refuses every point has another reason',
    );
    t.equal(pipeline.store.deadLetterCount(), 2);
    t.match(pipeline.history.state(), { ok: false, detail: /refuses the settings: 400/ });
  });

  t.test(
    'what retention ends is deleted there too; points it lost are sent again before they are let go',
    async (t) => {
      const bucket = await influx.database();
      const database = newDatabase(t);
      const pipeline = openPipeline(t, underTest(influx, bucket), { database, nowMs, keepDays: 1 });
      pipeline.accept(from(1, 30));
      await pipeline.settle();
      const count = async (measurement: string) => {
        const answer = await influx.ask(bucket, `SELECT count("count") FROM ${measurement}`);
        return JSON.stringify(answer).match(/,(\d+)\]/)?.[1];
      };
      t.same([await count('ru_1m'), await count('ru_15m')], ['30', '3']);
      pipeline.telemetry.pruneWindows('1m', testStartMs + 6 * 60_000);
      await pipeline.settle();
      t.same([await count('ru_1m'), await count('ru_15m')], ['25', '3']);

      await influx.ask(bucket, `DELETE FROM ru_15m WHERE time >= ${testStartMs + 900_000}ms`);
      const later = pipeline.restart({ keepDays: 0 });
      await later.settle();
      t.equal(await count('ru_15m'), '1', 'first it is asked');
      await later.settle();
      t.equal(await count('ru_15m'), '3');
      const hours = await later.history.windows('alpha', 'inv-01', 'generation_kw', '15m', testStartMs, nowMs);
      t.same(hours.count, [14, 15, 1]);
    },
  );

  t.test(
    'while InfluxDB is away recent history is shown from here, older says so, and the state tells; then it goes on',
    async (t) => {
      const pipeline = openPipeline(t, underTest(influx, await influx.database()), { nowMs, keepDays: 1 });
      const early = frameOf(0);
      pipeline.accept([{ ...early, number: 1 }]);
      await pipeline.settle();
      influx.trouble = { status: 429, retryAfterS: 7 };
      t.teardown(() => (influx.trouble = undefined));
      pipeline.accept(from(2, 5));
      t.match(await pipeline.settle().catch((error: unknown) => error), { kind: 'away', retryAfterMs: 7000 });
      t.match(pipeline.history.state(), {
        ok: false,
        waiting: 6,
        detail: /away: 429: as the test wants; 6 windows wait/,
      });
      const read = (days: number) =>
        pipeline.history.windows('alpha', 'inv-01', 'generation_kw', '1h', testStartMs - days * 864e5, nowMs);
      t.same((await read(0)).count, [5]);
      await t.rejects(read(3), { code: 'E_TELEMETRY_AWAY' });
      influx.trouble = undefined;
      t.same((await read(3)).count, [5]);
      await pipeline.settle();
      t.match(pipeline.history.state(), { ok: true, waiting: 0 });
    },
  );

  t.test(
    'a cloud whose settings say so keeps history in InfluxDB, and tells how that goes but never its token',
    async (t) => {
      const folder = tempDir(t);
      const fixture = await cloudFixture(folder);
      const bucket = await influx.database();
      const plain = readFileSync(fixture.configPath, 'utf8');
      const settings = (more: string): string => `${plain}telemetry: {kind: influxdb, url: '${influx.url}', ${more}}\n`;
      t.throws(() => loadCloudConfig({ path: fixture.configPath, text: settings('org: o') }), {
        code: 'E_CONFIG_INVALID',
        message: /telemetry\.bucket is missing/,
      });
      const clock: Clock = { ...realClock(), nowMs: () => nowMs };
      const { log, lines } = memoryLog({});
      const open = (more: string): Cloud => {
        const config = loadCloudConfig({ path: fixture.configPath, text: settings(more) });
        return createCloud(config, { clock, realClock: realClock(), random: cryptoRandom(), log, environment: {} });
      };
      t.throws(() => open(`bucket: ${bucket}, token_environment: INFLUX_TOKEN`), {
        code: 'E_TELEMETRY_SETTINGS',
        message: /INFLUX_TOKEN is not set/,
      });
      writeFileSync(join(folder, 'influx.token'), 'not-the-right-one\n');
      await t.rejects(open(`bucket: ${bucket}, token_file: influx.token`).start(), {
        code: 'E_TELEMETRY_SETTINGS',
        message: /401/,
      });
      writeFileSync(join(folder, 'influx.token'), `${influx.token}\n`);
      const cloud = open(`org: o, bucket: ${bucket}, token_file: influx.token`);
      t.teardown(() => cloud.stop());
      const { mqtts, http } = await cloud.start();
      const side = await GatewaySide.connect({
        url: mqtts,
        gatewayId: 'gw-1',
        gridId: 'alpha',
        certificate: await fixture.certificate('gw-1'),
        caPem: fixture.authority.certificatePem,
      });
      t.teardown(() => side.end());
      const metrics = async () => (await fetch(`${http}/metrics`)).text();
      const bring = async (first: number, last: number): Promise<void> => {
        await side.sendFrames(first, last);
        while (cloud.counters.framesProjected < last) await realClock().sleep(20);
      };
      await bring(1, 40);
      await cloud.history.drained();
      t.match(await influx.ask(bucket, `SELECT sum("count") FROM "ru_1h" WHERE "metric" = 'generation_kw'`), {
        results: [{ series: [{ values: [[0, 40]] }] }],
      });
      const grid = cloud.grids.get('alpha');
      t.same((await grid?.windows('inv-01', 'generation_kw', '1h', testStartMs, nowMs))?.count, [40]);
      t.match(await metrics(), /villagrid_cloud_history_up 1\n/);
      influx.trouble = { status: 503 };
      t.teardown(() => (influx.trouble = undefined));
      await bring(41, 60);
      await t.rejects(cloud.history.drained());
      t.match(await metrics(), /villagrid_cloud_history_up 0\n/);
      t.same((await grid?.windows('inv-01', 'generation_kw', '1h', testStartMs, nowMs))?.count, [60]);
      const told = JSON.stringify(lines);
      t.match(told, /InfluxDB does not take history/);
      t.notOk(told.includes(influx.token) || told.includes('not-the-right-one'));
    },
  );

  t.test(
    'what InfluxDB refuses is told at the start with the place to look at; one that is away is waited for',
    async (t) => {
      const bucket = await influx.database();
      const start = async (of: string, token?: string): Promise<unknown> => {
        const { history } = openPipeline(t, {
          ...underTest(influx, of),
          open: (all) => openInflux(influx, of, all, token),
        });
        try {
          await history.start();
          return history.state();
        } catch (error) {
          return error;
        } finally {
          await history.stop();
        }
      };
      t.match(await start(bucket), { ok: true });
      t.match(await start(bucket, 'another'), { code: 'E_TELEMETRY_SETTINGS', message: /401: unauthorized access/ });
      t.match(await start('nowhere'), { code: 'E_TELEMETRY_SETTINGS', message: /404: database not found: "nowhere"/ });
      influx.trouble = { status: 201 };
      t.match(await start(bucket), { code: 'E_TELEMETRY_SETTINGS', message: /only some of the points were taken/ });
      influx.trouble = 'away';
      t.teardown(() => (influx.trouble = undefined));
      t.match(await start(bucket), { ok: false, detail: /^InfluxDB is away: / });
    },
  );
});
