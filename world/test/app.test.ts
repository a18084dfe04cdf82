/** The app in a real Chromium, served by a real gateway and a real cloud of two villages. SCREENS=docs keeps the pictures. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tempDir } from '@villagrid/runtime/testing';
import t from 'tap';
import { chromiumPath, runAppChecks } from '../../mobile-pwa/e2e/run-app-checks.js';
import { acknowledgeAtBothEnds } from '../../mobile-pwa/e2e/run-two-phones.js';
import { freePortBase } from './port-base.js';

t.setTimeout(230_000);
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const missing = [chromiumPath, '/usr/bin/mosquitto_pub'].find((path) => !existsSync(path));

t.test(
  'every screen works in a browser against real servers',
  { skip: missing ? `${missing} is not installed` : false },
  async (t) => {
    const data = tempDir(t);
    const portBase = await freePortBase(2);
    const child: ChildProcess = spawn(
      process.execPath,
      [
        join(root, 'tools/dist/start/main.js'),
        '--data',
        data,
        '--port-base',
        String(portBase),
        '--speed',
        '60',
        '--grids',
        '2',
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    t.teardown(async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    });
    const ready = await new Promise<{
      gateway: { http: string; mqtts: string };
      cloud: { http: string };
      credentials: string;
    }>((resolve, reject) => {
      let out = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        out += chunk.toString();
        const line = out.split('\n').find((one) => one.startsWith('{"villagrid"') && one.endsWith('}'));
        if (line !== undefined) resolve(JSON.parse(line));
      });
      child.once('exit', (code) => reject(new Error(`the start ended with ${code}`)));
    });
    const { admin, operator, spare_node: spare } = JSON.parse(readFileSync(ready.credentials, 'utf8'));
    let seq = 0;
    const publish = (value: number) => {
      seq += 1;
      const words = [
        '-h',
        '127.0.0.1',
        '-p',
        new URL(ready.gateway.mqtts).port,
        '--cafile',
        spare.ca,
        '-u',
        spare.username,
        '-P',
        spare.password,
        '-i',
        spare.username,
      ];
      execFileSync('mosquitto_pub', [
        ...words,
        '-t',
        spare.topic,
        '-q',
        '1',
        '-m',
        JSON.stringify({ v: 1, boot: 'app', seq, metrics: { equipment_temp_c: value } }),
      ]);
    };
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    // A minute of the village's time below the limit ends the former alert, so that the next is a new one.
    const raiseAlert = async () => {
      publish(41);
      await pause(1500);
      publish(41.5);
      await pause(600);
      publish(75.25);
    };
    const screensDirectory = process.env.SCREENS === 'docs' ? join(root, 'docs/screens') : undefined;
    // The stub's test checks accessibility at both sizes; here each server's screens are checked at one.
    for (const [prefix, baseUrl, accessibleAt] of [
      ['gateway', ready.gateway.http, ['360x640']],
      ['cloud', ready.cloud.http, ['1280x800']],
    ] as const) {
      const report = await runAppChecks({
        baseUrl,
        accessibleAt,
        ...operator,
        gridId: spare.grid_id,
        screensDirectory,
        prefix,
        raiseAlert,
        changeValue: raiseAlert,
      });
      if (!report) throw new Error('Chromium went away while the test ran');
      t.same(
        report.problems,
        [],
        `${prefix}: nothing overflows, no NaN, no number without unit, nothing the accessibility check objects to`,
      );
      t.ok(report.pictures.length > 15, `${prefix}: ${report.pictures.length} pictures`);
    }
    await raiseAlert();
    const timelines = await acknowledgeAtBothEnds(spare.grid_id, [
      { url: ready.gateway.http, ...operator },
      { url: ready.cloud.http, ...admin },
    ]);
    t.equal(timelines[0]?.length, 2, 'two phones acknowledge one alert at the two ends: both are kept, each once');
    t.same(timelines[0], timelines[1], 'and both ends name them in the same order');
  },
);
