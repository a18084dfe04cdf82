/**
 * From a device's publish to a phone's screen, both in this process so that one clock measures: devices publish at a steady
 * pace, and a WebSocket of the live channel tells when each value, and each alert, arrives. A value that a newer one of the same
 * figure overtook counts as arrived with it.
 *
 * node --import=tsx gateway/bench/live-load.ts <settings.json>
 */
import { readFileSync } from 'node:fs';
import net from 'node:net';
import WebSocket from 'ws';
import { connectPacket, metricsOfMessage, publishPacket } from './packets.js';

/** What the settings file holds. */
export interface LiveLoadSettings {
  readonly mqttPort: number;
  readonly liveUrl: string;
  readonly token: string;
  readonly devices: ReadonlyArray<{ deviceId: string; username: string; password: string; topic: string }>;
  /** The figure that each of the first devices is wired to. */
  readonly figures: readonly string[];
  readonly perSecond: number;
  /** Every so many messages one makes a series too hot that never was before. */
  readonly alertEvery: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
}

/** The last line; milliseconds. */
export interface LiveLoadReport {
  readonly live: 'done';
  readonly values: Spread;
  readonly alerts: Spread;
  readonly frames: number;
}
export interface Spread {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

/** A figure's values by count: middle, step, how many before it begins again. None of them raises an alert. */
const codes: Readonly<Record<string, readonly [from: number, step: number, cycle: number]>> = {
  consumption_kw: [5, 0.001, 400],
  generation_kw: [5, 0.001, 400],
  battery_soc_pct: [60, 0.1, 200],
  mains_power_kw: [1, 0.001, 400],
  genset_power_kw: [1, 0.001, 400],
  fuel_level_pct: [40, 0.1, 200],
  ac_frequency_hz: [49.7, 0.01, 60],
  irradiance_w_m2: [200, 1, 200],
  ambient_temp_c: [20, 0.1, 100],
  humidity_pct: [30, 0.1, 300],
};
const settings = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as LiveLoadSettings;

function fail(reason: string): never {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

/** What was published and has not arrived, per figure in order; and alerts by metric. */
const pending = new Map<string, { value: number; sentMs: number }[]>();
const alerts = new Map<string, number>();
const valueTimes: number[] = [];
const alertTimes: number[] = [];
let frames = 0;
let counting = false;

const socket = new WebSocket(settings.liveUrl, { headers: { authorization: `Bearer ${settings.token}` } });
socket.on('error', (error) => fail(error.message));
socket.on('close', () => fail('the live channel was closed'));
await new Promise<void>((resolve) => socket.once('message', () => resolve()));
socket.on('message', (data) => {
  const nowMs = performance.now();
  frames += 1;
  const frame = JSON.parse((data as Buffer).toString('utf8')) as {
    type: string;
    figures?: Record<string, { value: number | null }>;
    alert?: { metric: string | null };
  };
  if (frame.type === 'alert') {
    const sentMs = alerts.get(frame.alert?.metric ?? '');
    if (sentMs !== undefined && counting) alertTimes.push(nowMs - sentMs);
    alerts.delete(frame.alert?.metric ?? '');
  }
  for (const [metric, { value }] of Object.entries(frame.figures ?? {})) {
    const waiting = pending.get(metric) ?? [];
    const at = waiting.findIndex((one) => Math.abs(one.value - (value ?? Number.NaN)) < 1e-7);
    for (const { sentMs } of waiting.splice(0, at + 1)) if (counting) valueTimes.push(nowMs - sentMs);
  }
});

const sockets = await Promise.all(
  settings.devices.map(
    ({ deviceId, username, password }) =>
      new Promise<net.Socket>((resolve) => {
        const one = net.connect({ port: settings.mqttPort, host: '127.0.0.1', noDelay: true });
        one.once('connect', () => one.write(connectPacket({ clientId: deviceId, username, password })));
        one.once('data', () => resolve(one));
        one.on('error', (error) => fail(`${deviceId}: ${error.message}`));
        one.on('close', () => fail(`${deviceId}: the connection was closed`));
      }),
  ),
);
for (const one of sockets) one.on('data', () => {});

const beganMs = performance.now();
let sent = 0;
function send(): void {
  const due = ((performance.now() - beganMs) * settings.perSecond) / 1000;
  for (; sent < due; sent += 1) {
    const index = sent % settings.devices.length;
    const round = Math.floor(sent / settings.devices.length);
    const figure = settings.figures[index];
    const [from, step, cycle] = codes[figure ?? ''] ?? [1, 0, 1];
    const value = Number((from + step * (round % cycle)).toFixed(3));
    const metrics: Record<string, number> = metricsOfMessage(index, round);
    if (figure !== undefined) metrics[figure] = value;
    const hot = sent % settings.alertEvery === 0 ? `equipment_temp_c.m${sent / settings.alertEvery}` : undefined;
    if (hot !== undefined) metrics[hot] = 75;
    const seq = round + 1;
    const up = Math.floor(performance.now() - beganMs) + 1;
    const body = JSON.stringify({ v: 1, boot: 'live', seq, up, metrics });
    const sentMs = performance.now();
    if (figure !== undefined) {
      const waiting = pending.get(figure);
      if (waiting) waiting.push({ value, sentMs });
      else pending.set(figure, [{ value, sentMs }]);
    }
    if (hot !== undefined) alerts.set(hot, sentMs);
    sockets[index]?.write(publishPacket(settings.devices[index]?.topic ?? '', (sent % 65_535) + 1, body));
  }
}
const timer = setInterval(send, 1);
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
await sleep(settings.warmUpMs);
counting = true;
frames = 0;
process.stdout.write('{"window":"begins"}\n');
await sleep(settings.windowMs);
clearInterval(timer);
const framesOfWindow = frames;
// What is still on its way counts too; what never comes makes the run void.
await sleep(1000);
const lost = [...pending.values()].reduce((sum, { length }) => sum + length, 0);
if (lost > 0 || alerts.size > 0) fail(`${lost} values and ${alerts.size} alerts never arrived`);
const spread = (times: number[]): Spread => {
  const sorted = [...times].sort((a, b) => a - b);
  const part = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return { count: sorted.length, p50: part(0.5), p99: part(0.99), longest: sorted.at(-1) ?? Number.NaN };
};
const report: LiveLoadReport = {
  live: 'done',
  values: spread(valueTimes),
  alerts: spread(alertTimes),
  frames: framesOfWindow,
};
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
