/** Ingest of the single-machine cloud: samples a second on one core, and memory with two hundred gateways. */
import { execFile, spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { encodeFrame, qualityCodes, type Sample } from '@villagrid/contracts';
import { realClock } from '@villagrid/runtime';
import type { Bench, Figure } from '@villagrid/tools/bench';
import { cloudFixture } from '../src/testing/cloud-fixture.js';
import { GatewaySide, testSite } from '../src/testing/gateway-side.js';
import type { IngestReport } from './ingest-load.js';
import { startMs, villageSample, villageSeries } from './ingest-village.js';

const clock = realClock();
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const minutes = 180;
const villages = 20;
const gatewayCount = 200;
const minuteMs = 60_000;
/** Envelopes of each gateway: two hours at plan standard. */
const envelopes = 24;

async function throughput(folder: string): Promise<Figure> {
  mkdirSync(folder, { recursive: true });
  const args = ['--import=tsx', here('ingest-load.ts'), folder, String(minutes), String(villages)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const { samples, wallMs, cpuMs, earlyMb, lateMb } = JSON.parse(
    stdout.trim().split('\n').at(-1) ?? '',
  ) as IngestReport;
  return {
    value: (samples / cpuMs) * 1000,
    beside: {
      by_the_clock: (samples / wallMs) * 1000,
      early_mb: earlyMb,
      late_mb: lateMb,
      million_samples: samples / 1e6,
    },
  };
}

/** Environment of the cloud's process as systemd starts it. */
function unitEnvironment(): Record<string, string> {
  const unit = readFileSync(here('../../systemd/villagrid-cloud.service'), 'utf8');
  return Object.fromEntries(
    [...unit.matchAll(/^Environment=([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  );
}

/** A process's memory, MB: now, and the most it had. */
function memoryOf(pid: number): { readonly nowMb: number; readonly mostMb: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1000;
  return { nowMb: of('VmRSS'), mostMb: of('VmHWM') };
}

/** Five minutes of minute means of a village, as plan standard seals them. */
function standardFrame(village: number, envelope: number): Uint8Array {
  const fromMs = startMs + envelope * 5 * minuteMs;
  const samples = villageSeries.flatMap(({ deviceId, metric }, series) =>
    Array.from({ length: 5 }, (_, minute): Sample => {
      const timeMs = fromMs + minute * minuteMs;
      return { deviceId, metric, timeMs, value: villageSample(series, village, timeMs), quality: qualityCodes.good };
    }),
  );
  const wallMs = fromMs + 5 * minuteMs;
  const nothing = { events: [], entries: [], received: [] };
  return encodeFrame({ boot: 'b1', monotonicMs: wallMs - startMs, wallMs, trust: 'ntp', samples, ...nothing });
}

async function memory(folder: string): Promise<Figure> {
  const names = Array.from({ length: gatewayCount }, (_, at) => ({ gateway_id: `gw-${at}`, grid_id: `grid-${at}` }));
  const fixture = await cloudFixture(folder, { gateways: names });
  const epochMs = startMs + envelopes * 5 * minuteMs;
  appendFileSync(
    fixture.configPath,
    `clock: {real_epoch_ms: ${Math.round(clock.nowMs())}, village_epoch_ms: ${epochMs}, speed: 1}\n`,
  );
  const cloud = spawn(process.execPath, [here('../dist/main-local.js'), '--config', fixture.configPath], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, ...unitEnvironment() },
  });
  const sides: GatewaySide[] = [];
  try {
    const ready = await new Promise<string>((resolve, reject) => {
      createInterface(cloud.stdout).once('line', resolve);
      cloud.once('exit', () => reject(new Error('the cloud ended')));
    });
    const { mqtts: url } = JSON.parse(ready) as { mqtts: string };
    const idle = memoryOf(cloud.pid as number);
    for (const { gateway_id: gatewayId, grid_id: gridId } of names) {
      const certificate = await fixture.certificate(gatewayId);
      const side = await GatewaySide.connect({
        url,
        gatewayId,
        gridId,
        certificate,
        caPem: fixture.authority.certificatePem,
      });
      sides.push(side);
      const devices = [...new Set(villageSeries.map(({ deviceId }) => deviceId))].map((device_id) => ({
        ...{
          device_id,
          name: device_id,
          kind: 'meter' as const,
          protocol: 'mqtt' as const,
          period_s: 5,
          expected: true,
        },
      }));
      await side.hello({ plan: 'standard', site: testSite(gridId, gatewayId, { devices }) });
    }
    const beganMs = clock.monotonicMs();
    for (let envelope = 0; envelope < envelopes; envelope += 1)
      await Promise.all(
        sides.map((side, village) =>
          side.publish(
            'live',
            side.envelope(envelope + 1, [standardFrame(village, envelope)], { receipt: envelope % 12 === 11 }),
          ),
        ),
      );
    await Promise.all(sides.map((side) => side.receipt(envelopes)));
    const tookS = (clock.monotonicMs() - beganMs) / 1000;
    await clock.sleep(1000);
    const { nowMb, mostMb } = memoryOf(cloud.pid as number);
    return {
      value: nowMb,
      beside: { most_mb: mostMb, idle_mb: idle.nowMb, envelopes_per_s: (gatewayCount * envelopes) / tookS },
    };
  } finally {
    await Promise.all(sides.map((side) => side.end()));
    const ended = new Promise((resolve) => cloud.once('exit', resolve));
    cloud.kill('SIGTERM');
    await ended;
  }
}

export const benches: readonly Bench[] = [
  {
    id: 'cloud.ingest',
    unit: 'samples/s of processor',
    what: `Envelopes of a minute (${villageSeries.length} series every 5 s) of ${villages} gateways into archive, ledger and windows over SQLite, per second of processor time of the process.`,
    own: {
      what: 'acceptor and projection of the cloud, without its broker',
      run: ({ folder }) => throughput(join(folder, 'ingest')),
    },
  },
  {
    id: 'cloud.memory',
    unit: 'MB',
    what: `Memory (RSS) of the single-machine cloud with ${gatewayCount} gateways connected by TLS, each having sent two hours at plan standard.`,
    own: {
      what: 'the compiled cloud, its gateways in another process',
      run: ({ folder }) => memory(join(folder, 'memory')),
    },
  },
];
