/**
 * Ingest alone, in a process of its own: envelopes of many gateways into archive, ledger, minutes, quarter hours and hours
 * over SQLite, as fast as one core goes. Frames are made before the time is taken.
 *
 * node --import=tsx cloud/bench/ingest-load.ts <folder> [minutes] [gateways]
 */
import { brotliCompressSync, constants } from 'node:zlib';
import { encodeEnvelopeBody, encodeFrame, envelopeBrotli, qualityCodes, type Sample } from '@villagrid/contracts';
import { ClockLedger, createAlertStore, cryptoRandom, realClock, silentLogger } from '@villagrid/runtime';
import { createAcceptor } from '../src/ingest/accept.js';
import { createProjector } from '../src/ingest/project.js';
import { newCounters } from '../src/observe/counters.js';
import { createActStore } from '../src/stores/act-store.js';
import { openCloudDatabase } from '../src/stores/database.js';
import { createLinkStore } from '../src/stores/link-store.js';
import { createSqliteUplinkStore } from '../src/stores/sqlite-uplink-store.js';
import { createProjectedTelemetry } from '../src/stores/telemetry.js';
import { startMs, villageSample, villageSeries } from './ingest-village.js';

/** Said at the end. */
export interface IngestReport {
  readonly samples: number;
  readonly wallMs: number;
  readonly cpuMs: number;
  /** Memory of the process, MB: after a fifth, and at the end. */
  readonly earlyMb: number;
  readonly lateMb: number;
}

const [folder = '', minutesText = '60', gatewaysText = '20'] = process.argv.slice(2);
const minutes = Number(minutesText);
const gateways = Array.from({ length: Number(gatewaysText) }, (_, at) => ({
  gateway_id: `gw-${at}`,
  grid_id: `grid-${at}`,
}));
const minuteMs = 60_000;
const periodMs = 5000;

/** The envelope of one minute of a village, every sample of it: sealed as the gateway does at plan raw with 60 s gathered. */
function envelopeOf(gateway: number, minute: number): Uint8Array {
  const fromMs = startMs + minute * minuteMs;
  const samples: Sample[] = villageSeries.flatMap(({ deviceId, metric }, series) =>
    Array.from({ length: minuteMs / periodMs }, (_, tick) => {
      const timeMs = fromMs + tick * periodMs + series;
      return { deviceId, metric, timeMs, value: villageSample(series, gateway, timeMs), quality: qualityCodes.good };
    }),
  );
  const frame = encodeFrame({
    boot: 'b1',
    monotonicMs: minute * minuteMs,
    wallMs: fromMs + minuteMs,
    trust: 'ntp',
    samples,
    events: [],
    entries: [],
    received: [],
  });
  const body = encodeEnvelopeBody({
    epoch: 'E1',
    first: minute + 1,
    plan: 'raw',
    receiptWanted: minute % 5 === 4,
    frames: [frame],
  });
  const packed = brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } });
  return Buffer.concat([Buffer.of(envelopeBrotli), packed]);
}

const clock = realClock();
const log = silentLogger();
const database = openCloudDatabase(folder);
const store = createSqliteUplinkStore(database);
const ledger = new ClockLedger(database);
const counters = newCounters();
const telemetry = createProjectedTelemetry({
  database,
  frames: ledger.reader({ framesOverlapping: () => [] }),
  zoneOf: () => 'Africa/Nairobi',
});
const projector = createProjector({
  ...{ database, store, telemetry, ledger, clock, realClock: clock, random: cryptoRandom(), log, counters },
  alerts: createAlertStore({ database }),
  links: createLinkStore(database),
  acts: createActStore(database),
  onProjected: () => undefined,
});
const acceptor = createAcceptor({
  ...{ store, clock, realClock: clock, log, counters },
  sendReceipt: () => undefined,
  onAccepted: () => projector.run(),
});
const settled = async (): Promise<void> => {
  await acceptor.drained();
  while (projector.behind) await clock.sleep(1);
};

let wallMs = 0;
let cpuMs = 0;
let earlyMb = 0;
const memoryMb = () => process.memoryUsage().rss / 1e6;
const portion = 10;
for (let minute = 0; minute < minutes; minute += portion) {
  const all = Array.from({ length: Math.min(portion, minutes - minute) }, (_, at) =>
    gateways.map((gateway, index) => ({ gateway, lane: 'live' as const, payload: envelopeOf(index, minute + at) })),
  );
  const beganMs = clock.monotonicMs();
  const before = process.cpuUsage();
  for (const round of all) await Promise.all(round.map((arrival) => acceptor.accept(arrival)));
  await settled();
  wallMs += clock.monotonicMs() - beganMs;
  const { user, system } = process.cpuUsage(before);
  cpuMs += (user + system) / 1000;
  if (minute <= minutes / 5) earlyMb = memoryMb();
}
const samples = minutes * gateways.length * villageSeries.length * (minuteMs / periodMs);
if (counters.samplesProjected !== samples)
  throw new Error(`${counters.samplesProjected} of ${samples} samples are there`);
const report: IngestReport = { samples, wallMs, cpuMs, earlyMb, lateMb: memoryMb() };
process.stdout.write(`${JSON.stringify(report)}\n`);
projector.stop();
database.close();
