/**
 * Fills a gateway's data folder with the past of the reference village through the store's own code, in a process of its
 * own: every device of twelve metrics every 5 s. One simulated day is repeated; each is packed by itself.
 *
 * node --import=tsx gateway/bench/past.ts <settings.json>
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DeviceSeries, frameOfPieces, ReadingBlock } from '@villagrid/contracts';
import { openDatabase, silentLogger } from '@villagrid/runtime';
import { createHistoryStore } from '../src/store/store.js';
import { createReadings } from './village.js';

/** What the settings file holds. */
export interface PastSettings {
  readonly dataDirectory: string;
  readonly gridId: string;
  readonly devices: readonly string[];
  readonly days: number;
  /** End of the past, Unix ms. */
  readonly untilMs: number;
}

const settings = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as PastSettings;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const periodMs = 5000;
const readingsOfHour = hourMs / periodMs;
const { gridId, untilMs, days, devices } = settings;

const readings = createReadings(devices.length, periodMs);
const first = readings.next();
const series = devices.map((deviceId, index) => new DeviceSeries(deviceId, Object.keys(first[index] ?? {})));
/** A day of each device, reading by reading, scaled. */
const day = devices.map(() => [] as Float64Array[]);
for (let at = 0; at < dayMs / periodMs; at += 1) {
  const rows = at === 0 ? first : readings.next();
  for (const [index, { metrics, factors }] of series.entries())
    day[index]?.push(
      Float64Array.from(metrics, (metric, of) => Math.round((rows[index]?.[metric] ?? 0) * (factors[of] as number))),
    );
}

const database = openDatabase({ path: join(settings.dataDirectory, 'telemetry.db'), migrations: [] });
const store = createHistoryStore({ database, zoneOf: () => 'UTC', log: silentLogger() });
let number = 0;
for (let dayStart = untilMs - days * dayMs; dayStart < untilMs; dayStart += dayMs) {
  for (let hour = 0; hour < 24; hour += 1) {
    const startMs = dayStart + hour * hourMs;
    const blocks = series.map((one, index) => {
      const block = new ReadingBlock(one);
      for (let at = 0; at < readingsOfHour; at += 1)
        block.add(startMs + at * periodMs + index * 7, day[index]?.[hour * readingsOfHour + at] as Float64Array, 0);
      return block;
    });
    const facts = { boot: 'past', monotonicMs: 0, wallMs: startMs, trust: 'ntp' as const };
    const frame = frameOfPieces({ ...facts, events: [], entries: [], received: [] }, blocks);
    number += 1;
    store.applyFrames(gridId, 'past', 'past', [{ number, frame }]);
  }
  store.sealNow(dayStart + dayMs);
  store.packNow(dayStart + dayMs);
}
database.pragma('wal_checkpoint(TRUNCATE)');
database.close();
process.stdout.write(`${JSON.stringify({ past: 'done' })}\n`);
