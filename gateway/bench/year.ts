/**
 * Fills a gateway's data folder with a year of history through the store's own code, in a process of its own:
 * 10 devices of 12 metrics. The series that are asked have a sample a minute, all others one in a quarter hour: what a year's
 * answer reads are hours and days, which are as many and nearly as long whatever their samples were.
 *
 * node --import=tsx gateway/bench/year.ts <settings.json>
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sample } from '@villagrid/contracts';
import { openDatabase, silentLogger, type NumberedFrame } from '@villagrid/runtime';
import { createHistoryStore } from '../src/store/store.js';
import { metricsOfMessage } from './packets.js';

/** What the settings file holds. */
export interface YearSettings {
  readonly dataDirectory: string;
  readonly gridId: string;
  readonly devices: readonly string[];
  /** Series with a sample a minute: device and metric. */
  readonly asked: ReadonlyArray<readonly [deviceId: string, metric: string]>;
  readonly days: number;
  /** End of the year, Unix ms. */
  readonly untilMs: number;
  /** Days whose samples stay; older ones have minutes, as after a year of retention. */
  readonly rawDays: number;
}

const settings = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as YearSettings;
const minuteMs = 60_000;
const dayMs = 86_400_000;
const { gridId, untilMs, days } = settings;
const asked = new Set(settings.asked.map(([deviceId, metric]) => `${deviceId} ${metric}`));
const database = openDatabase({ path: join(settings.dataDirectory, 'telemetry.db'), migrations: [] });
const store = createHistoryStore({ database, zoneOf: () => 'UTC', log: silentLogger() });
let number = 0;
for (let dayStart = untilMs - days * dayMs; dayStart < untilMs; dayStart += dayMs) {
  const frames: NumberedFrame[] = [];
  for (let minute = 0; minute < 1440; minute += 1) {
    const timeMs = dayStart + minute * minuteMs;
    const samples: Sample[] = [];
    for (const [at, deviceId] of settings.devices.entries()) {
      const values = metricsOfMessage(at, timeMs / minuteMs);
      for (const [metric, value] of Object.entries(values))
        if (minute % 15 === 0 || asked.has(`${deviceId} ${metric}`))
          samples.push({ deviceId, metric, timeMs: timeMs + at * 7, value, quality: 0 });
    }
    number += 1;
    frames.push({
      number,
      frame: {
        boot: 'year',
        monotonicMs: 0,
        wallMs: timeMs,
        trust: 'ntp',
        samples,
        events: [],
        entries: [],
        received: [],
      },
    });
  }
  store.applyFrames(gridId, 'year', 'year', frames);
  store.sealNow(dayStart + dayMs);
  store.packNow(dayStart + dayMs);
}
await store.pruneRaw(untilMs - settings.rawDays * dayMs);
database.pragma('wal_checkpoint(TRUNCATE)');
database.close();
process.stdout.write(`${JSON.stringify({ year: 'done' })}\n`);
