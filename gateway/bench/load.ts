/**
 * The load's own process: many connections, each with so many QoS 1 publishes in flight, over bare sockets, because a
 * client library would take more of the machine than the broker that is measured. Counts acknowledgements in a window
 * after a warm-up, then stops and waits for the last ones. Ends with an error when one is missing or out of order.
 *
 * node --import=tsx gateway/bench/load.ts <settings.json>
 */
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { connectPacket, payload, PublishRing, type Login } from './packets.js';

/** What the settings file holds. */
export interface LoadSettings {
  readonly port: number;
  /** PEM text of the authority; TLS when given. */
  readonly ca?: string;
  readonly clients: ReadonlyArray<Login & { readonly topic: string; readonly boot: string }>;
  readonly inFlight: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
  /** Messages of each client, then it ends; until the window ends when left out. */
  readonly most?: number;
}

/** The last line of a load. */
export interface LoadReport {
  readonly load: 'done';
  /** Acknowledgements a second in the window. */
  readonly perSecond: number;
  /** Messages of each client, all acknowledged. */
  readonly sent: readonly number[];
  readonly messageBytes: number;
}

/** Different messages of one client; several times what is in flight. */
const ringSize = 120;
const lastAcknowledgementsMs = 20_000;

const settings = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as LoadSettings;
let acknowledged = 0;
let going = true;

/** One connection. `connected` resolves at CONNACK; `begin` sends, and resolves when all that was sent is acknowledged. */
function client(one: LoadSettings['clients'][number], node: number) {
  const ring = new PublishRing(
    one.topic,
    Array.from({ length: ringSize }, (_, step) => payload(one.boot, node, step)),
  );
  const { port, ca } = settings;
  const socket =
    ca === undefined
      ? net.connect({ port, host: '127.0.0.1', noDelay: true })
      : tls.connect({ port, host: '127.0.0.1', ca, servername: 'localhost' }).setNoDelay(true);
  socket.once(ca === undefined ? 'connect' : 'secureConnect', () => socket.write(connectPacket(one)));
  let done = 0;
  let rest: Buffer = Buffer.alloc(0);
  let over: (() => void) | undefined;
  let welcome: (() => void) | undefined;

  const send = (wanted: number): void => {
    const count = Math.min(wanted, (settings.most ?? Number.POSITIVE_INFINITY) - ring.sent);
    if (count <= 0) return;
    for (const piece of ring.take(count)) socket.write(piece);
  };
  const take = (chunk: Buffer): void => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    const before = done;
    // CONNACK and PUBACK are four bytes each.
    for (; at + 4 <= bytes.length; at += 4) {
      const type = bytes[at];
      if (type === 0x20 && bytes[at + 3] === 0) welcome?.();
      else if (type === 0x40 && bytes.readUInt16BE(at + 2) === PublishRing.idOf(done)) done += 1;
      else fail(`${one.clientId}: ${bytes.subarray(at, at + 4).toString('hex')} instead of the next acknowledgement`);
    }
    rest = bytes.subarray(at);
    acknowledged += done - before;
    if (going) send(done - before);
    if ((!going || done === settings.most) && done === ring.sent) over?.();
  };
  socket.on('data', take);
  socket.on('error', (error) => fail(`${one.clientId}: ${error.message}`));
  socket.on('close', () => fail(`${one.clientId}: the connection was closed`));
  return {
    ring,
    connected: new Promise<void>((resolve) => (welcome = resolve)),
    begin: () =>
      new Promise<void>((resolve) => {
        over = resolve;
        send(settings.inFlight);
      }),
  };
}

function fail(reason: string): never {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const clients = settings.clients.map(client);
await Promise.all(clients.map((one) => one.connected));
const all = clients.map((one) => one.begin());
await sleep(settings.warmUpMs);
process.stdout.write('{"window":"begins"}\n');
const [beganMs, before] = [performance.now(), acknowledged];
await (settings.most === undefined ? sleep(settings.windowMs) : Promise.all(all));
process.stdout.write('{"window":"ends"}\n');
const perSecond = ((acknowledged - before) / (performance.now() - beganMs)) * 1000;
going = false;
setTimeout(() => fail('some messages were never acknowledged'), lastAcknowledgementsMs);
await Promise.all(all);
const report: LoadReport = {
  load: 'done',
  perSecond,
  sent: clients.map((one) => one.ring.sent),
  messageBytes: Buffer.byteLength(payload(settings.clients[0]?.boot ?? '', 0, 0)),
};
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
