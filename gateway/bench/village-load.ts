/**
 * The reference village in a process of its own: devices of twelve metrics that report every 5 s of village time over MQTT
 * (QoS 1), at the values of a simulated village with the noise of meters. Faster than life when asked.
 *
 * node --import=tsx gateway/bench/village-load.ts <settings.json>
 */
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { connectPacket, publishPacket } from './packets.js';
import { createReadings } from './village.js';

/** What the settings file holds. */
export interface VillageLoadSettings {
  readonly port: number;
  readonly devices: ReadonlyArray<{ deviceId: string; username: string; password: string; topic: string }>;
  /** Village time per real time. */
  readonly speed: number;
  /** Messages of each device. */
  readonly messages: number;
}

/** Said when all are connected, and at the end. */
export interface VillageLoadReport {
  readonly village: 'begins' | 'done';
  readonly acknowledged: number;
}

const periodMs = 5000;
/** Messages of one device that wait for their acknowledgement at most: what a node keeps. */
const mostWaiting = 2000;
const settings = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as VillageLoadSettings;

function fail(reason: string): never {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

const sockets: net.Socket[] = [];
const waiting: number[] = settings.devices.map(() => 0);
let acknowledged = 0;
await Promise.all(
  settings.devices.map(
    ({ deviceId, username, password }, index) =>
      new Promise<void>((resolve) => {
        const socket = net.connect({ port: settings.port, host: '127.0.0.1', noDelay: true });
        sockets.push(socket);
        socket.once('connect', () => socket.write(connectPacket({ clientId: deviceId, username, password })));
        let rest: Buffer = Buffer.alloc(0);
        socket.on('data', (chunk) => {
          rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
          let at = 0;
          for (; at + 2 <= rest.length; ) {
            const length = 2 + (rest[at + 1] ?? 0);
            if (at + length > rest.length) break;
            const type = (rest[at] ?? 0) >> 4;
            if (type === 2) resolve();
            else if (type === 4) {
              acknowledged += 1;
              waiting[index] = (waiting[index] ?? 0) - 1;
            }
            at += length;
          }
          rest = rest.subarray(at);
        });
        socket.on('error', (error) => fail(`${deviceId}: ${error.message}`));
        socket.on('close', () => fail(`${deviceId}: the connection was closed`));
      }),
  ),
);
const say = (line: VillageLoadReport, then?: () => void) => process.stdout.write(`${JSON.stringify(line)}\n`, then);

const readings = createReadings(settings.devices.length, periodMs);
const beganMs = performance.now();
let round = 0;
const ids = settings.devices.map(() => 0);
/** Sends every round that is due; devices report one after the other within their period. */
function send(): void {
  const due = Math.min(settings.messages, ((performance.now() - beganMs) * settings.speed) / periodMs + 1);
  while (round + 1 <= due) {
    if (waiting.some((count) => count >= mostWaiting)) break;
    const values = readings.next();
    for (const [index, { topic }] of settings.devices.entries()) {
      ids[index] = ((ids[index] ?? 0) % 65_535) + 1;
      const body = JSON.stringify({
        v: 1,
        boot: 'v',
        seq: round + 1,
        up: round * periodMs + index * 400,
        metrics: values[index],
      });
      waiting[index] = (waiting[index] ?? 0) + 1;
      sockets[index]?.write(publishPacket(topic, ids[index] as number, body));
    }
    round += 1;
  }
  if (round === 1) say({ village: 'begins', acknowledged });
  if (round < settings.messages) setTimeout(send, 10);
  else finish();
}
/** Waits for what is not acknowledged yet. */
function finish(): void {
  if (waiting.some((count) => count > 0)) setTimeout(finish, 50);
  else say({ village: 'done', acknowledged }, () => process.exit(0));
}
send();
