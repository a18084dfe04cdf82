/**
 * Hours of the reference village sent over a real line: a log, the uplink and mqtt over TLS to a broker that answers as
 * the cloud does. The village's clock is turned by hand, so hours take seconds; the bytes are those of the line.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync, inflateRawSync } from 'node:zlib';
import {
  type Clock,
  decodeEnvelopeBody,
  decodeFrame,
  envelopeAbilities,
  envelopeBrotli,
  envelopeDeflated,
  type Hello,
  parseTopic,
  type Plan,
  type Receipt,
  type Sample,
  type Site,
  topics,
} from '@villagrid/contracts';
import {
  acceleratedClock,
  createAuthority,
  createGuardedBroker,
  cryptoRandom,
  issueClientCertificate,
  issueServerCertificate,
  openDatabase,
  realClock,
  silentLogger,
} from '@villagrid/runtime';
import { openLog } from '../src/log/log.js';
import { createMqttDestination, createUplink, uplinkKeepaliveS } from '../src/uplink/index.js';
import { headersOf } from '../src/uplink/line-bytes.js';
import { createReadings } from './village.js';

const [gridId, gatewayId] = ['bench', 'gw-bench'];
const deviceCount = 10;
const periodMs = 5000;
const hourMs = 3_600_000;
/** From nine in the morning on: sun, clouds and people at work are the hours with the most to tell. */
const startHour = 9;
const hours = 3;
/** A ping and its answer on the line, both ways, bytes: two of MQTT, a record of TLS, a segment and its acknowledgement. */
const pingBytes = 2 * (2 + 22) + 2 * (headersOf(2).along + headersOf(2).back);

/** What a plan took for those hours. */
export interface UplinkDay {
  readonly samples: number;
  /** Samples of the village that arrived as they were; fewer on a plan that thins. */
  readonly arrived: number;
  readonly payloadBytes: number;
  /** Both ways, TLS, TCP and IP, receipts and pings included; the connection's beginning is left out, it is one a day. */
  readonly lineBytes: number;
  /** Units of 5 KB of payload and topic up; receipts down. */
  readonly unitsUp: number;
  readonly receipts: number;
  readonly hours: number;
}

/** Sends them. Throws when what came is not what was measured. */
export async function sendDay(folder: string, plan: Plan, gatherS: number | undefined): Promise<UplinkDay> {
  const real = realClock();
  const startMs = Date.UTC(2026, 5, 1, startHour);
  let nowMs = startMs;
  const village: Clock = { ...real, nowMs: () => nowMs, monotonicMs: () => nowMs - startMs };
  // What waits on the line waits a tenth of its time: nothing of it is measured here.
  const network = acceleratedClock({ realEpochMs: 0, villageEpochMs: 0, speed: 10 });
  const { files, broker, far } = await cloud(folder);
  const database = openDatabase({ path: join(folder, 'log.db') });
  const log = openLog({
    database,
    clock: village,
    realClock: real,
    random: cryptoRandom(),
    log: silentLogger(),
    trust: () => 'ntp',
    holdMs: 0,
    maxSamples: 10_000,
    maxBytes: 10_000_000,
  });
  const destination = createMqttDestination({
    url: `mqtts://127.0.0.1:${broker.ports.mqtts}`,
    ...files,
    clientId: gatewayId,
    keepaliveS: uplinkKeepaliveS(plan, gatherS),
    realClock: network,
    random: cryptoRandom(),
    log: silentLogger(),
  });
  const uplink = createUplink({
    destination,
    log,
    gatewayId,
    gridId,
    version: '0.1.0',
    plan,
    gatherS,
    site: () => ({ name: 'Bench', zone: 'UTC' }) as unknown as Site,
    clockTrust: () => 'ntp',
    clock: village,
    realClock: network,
    logger: silentLogger(),
    onActs: async () => undefined,
  });
  const readings = createReadings(deviceCount, periodMs);
  for (let at = 0; at < (startHour * hourMs) / periodMs; at += 1) readings.next();
  let samples = 0;
  const append = async () => {
    nowMs += periodMs;
    const batch = readings.next().flatMap((row, device): Sample[] =>
      Object.entries(row).map(([metric, value]) => ({
        deviceId: `node-${String(device + 1).padStart(2, '0')}`,
        metric,
        timeMs: nowMs - 2000 + device * 7,
        value,
        quality: 0,
      })),
    );
    samples += batch.length;
    await log.append({ samples: batch }, { urgent: true });
  };
  const until = async (what: string, met: () => boolean) => {
    const endMs = real.monotonicMs() + 60_000;
    while (!met()) {
      if (real.monotonicMs() > endMs) throw new Error(`waited in vain for: ${what}`);
      await real.sleep(5);
    }
  };
  const stepMs = (gatherS ?? { metered: 900, standard: 300, full: 300, raw: 60, boost: 10 }[plan]) * 1000;
  uplink.start();
  await until('welcome', () => uplink.stats().connected);
  // The first one asks for a receipt, and is not of those that are measured.
  const first = stepMs + periodMs;
  while (nowMs - startMs < first) await append();
  await until('the first', () => far.numbers > 0);
  await real.sleep(300);
  const before = { ...destination.traffic(), ...far, samples };
  for (let step = 1; step * stepMs <= hours * hourMs; step += 1) {
    while (nowMs - startMs < first + step * stepMs) await append();
    await until('what is due', () => uplink.stats().sentEnvelopes > 0 && far.envelopes >= before.envelopes + step);
  }
  await real.sleep(300);
  const { sentBytes, receivedBytes } = destination.traffic();
  await uplink.stop();
  await log.close?.();
  database.close();
  await broker.stop();
  const measured = samples - before.samples;
  const arrived = far.arrived - before.arrived;
  if (plan === 'raw' && arrived !== measured) throw new Error(`${arrived} of ${measured} samples arrived`);
  const pings = Math.floor(stepMs / 1000 / uplinkKeepaliveS(plan, gatherS)) * (far.envelopes - before.envelopes);
  return {
    samples: measured,
    arrived,
    payloadBytes: far.bytes - before.bytes,
    lineBytes: sentBytes + receivedBytes - before.sentBytes - before.receivedBytes + pings * pingBytes,
    unitsUp: far.units - before.units,
    // Those hours have a receipt each three; at most one more than in a month's mean.
    receipts: far.receipts - before.receipts,
    hours,
  };
}

/** A broker that answers as the cloud does, and counts. */
async function cloud(folder: string) {
  mkdirSync(folder, { recursive: true });
  const nowMs = realClock().nowMs();
  const authority = await createAuthority({ name: 'Bench', nowMs, days: 2 });
  const server = await issueServerCertificate(authority, { names: ['127.0.0.1'], nowMs, days: 2 });
  const client = await issueClientCertificate(authority, { commonName: gatewayId, nowMs, days: 2 });
  const files = {
    caFile: join(folder, 'ca.pem'),
    certificateFile: join(folder, 'cert.pem'),
    keyFile: join(folder, 'key.pem'),
  };
  writeFileSync(files.caFile, authority.certificatePem);
  writeFileSync(files.certificateFile, client.certificatePem);
  writeFileSync(files.keyFile, client.privateKeyPem, { mode: 0o600 });
  const far = { envelopes: 0, bytes: 0, units: 0, numbers: 0, receipts: 0, arrived: 0 };
  let sum = 0n;
  let epoch = '';
  const receipt = (): Receipt => ({
    y: 'receipt',
    epoch,
    up_to: far.numbers,
    sum: (sum % 2n ** 64n).toString(16).padStart(16, '0'),
    also: [],
    bad: [],
    server_time_ms: realClock().nowMs(),
  });
  const down = (message: object) => broker.publish(topics.down(gridId, gatewayId), JSON.stringify(message), { qos: 1 });
  const broker = createGuardedBroker<{ id: string }>({
    listeners: [
      {
        name: 'mqtts',
        host: '127.0.0.1',
        port: 0,
        tls: {
          key: server.privateKeyPem,
          cert: server.certificatePem,
          ca: authority.certificatePem,
          clientCertificate: 'required',
        },
      },
    ],
    log: silentLogger(),
    clock: realClock(),
    limits: { maxPacketBytes: 128 * 1024 },
    authenticate: async ({ clientId }) => ({ identity: { id: clientId } }),
    mayPublish: () => true,
    maySubscribe: () => true,
    async onPublish(_, { topic, payload }) {
      const parsed = parseTopic(topic);
      if (parsed?.kind !== 'up') return;
      if (parsed.lane === 'session') {
        const hello = JSON.parse(new TextDecoder().decode(payload)) as Hello;
        if (hello.y !== 'hello') return;
        epoch = hello.epoch;
        return void (await down({ y: 'welcome', server_time_ms: 0, receipt: receipt(), takes: envelopeAbilities }));
      }
      if (parsed.lane === 'alerts') return;
      const unpack = { [envelopeDeflated]: inflateRawSync, [envelopeBrotli]: brotliDecompressSync }[payload[0] ?? 0];
      const envelope = decodeEnvelopeBody(unpack ? unpack(payload.subarray(1)) : payload.subarray(1));
      far.envelopes += 1;
      far.bytes += payload.length;
      // On AWS the topic has the prefix of a rule besides.
      far.units += Math.ceil((payload.length + topic.length + '$aws/rules/villagrid_uplink/'.length) / 5120);
      for (const [at, bytes] of envelope.frames.entries()) {
        far.numbers += envelope.counts?.[at] ?? 1;
        far.arrived += decodeFrame(bytes).samples.length;
        sum += createHash('sha256').update(bytes).digest().readBigUInt64BE(0);
      }
      if (!envelope.receiptWanted) return;
      far.receipts += 1;
      await down(receipt());
    },
  });
  await broker.start();
  return { files, broker, far };
}
