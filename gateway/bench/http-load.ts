/**
 * Asks over HTTP, in a process of its own, over bare sockets: either one request after the other, for how long each takes,
 * or over many connections at once, for how many are answered a second. Ends with an error at any answer that is not 200.
 *
 * node --import=tsx gateway/bench/http-load.ts <settings.json>
 */
import { readFileSync } from 'node:fs';
import net from 'node:net';

/** What the settings file holds. */
export interface HttpLoadSettings {
  readonly port: number;
  readonly path: string;
  readonly token?: string;
  /** With 1, times of single requests; with more, requests a second. */
  readonly connections: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
}

/** The last line. */
export interface HttpLoadReport {
  readonly http: 'done';
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
  readonly answerBytes: number;
  readonly requests: number;
}

const settings = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as HttpLoadSettings;
const request = Buffer.from(
  `GET ${settings.path} HTTP/1.1\r\nHost: 127.0.0.1:${settings.port}\r\nAccept: application/json\r\n${
    settings.token === undefined ? '' : `Authorization: Bearer ${settings.token}\r\n`
  }\r\n`,
);
const headEnd = Buffer.from('\r\n\r\n');
let answerBytes = 0;

function fail(reason: string): never {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

/** One connection; `next` is called at each whole answer, and says whether to ask again. */
function client(next: () => boolean): void {
  const socket = net.connect({ port: settings.port, host: '127.0.0.1', noDelay: true }, () => socket.write(request));
  let pieces: Buffer[] = [];
  let have = 0;
  let wanted = -1;
  socket.on('data', (chunk) => {
    pieces.push(chunk);
    have += chunk.length;
    if (wanted < 0) {
      const all = pieces.length === 1 ? chunk : Buffer.concat(pieces);
      pieces = [all];
      const end = all.indexOf(headEnd);
      if (end < 0) return;
      const head = all.toString('latin1', 0, end);
      if (!head.startsWith('HTTP/1.1 200')) fail(all.toString('utf8').slice(0, 600));
      const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
      if (length === undefined) fail(`an answer of unknown length: ${head}`);
      wanted = end + 4 + Number(length);
      answerBytes = Number(length);
    }
    if (have < wanted) return;
    pieces = [];
    have = 0;
    wanted = -1;
    if (next()) socket.write(request);
  });
  socket.on('error', (error) => fail(error.message));
}

const times: number[] = [];
let done = 0;
for (let i = 0; i < settings.connections; i += 1) {
  let askedMs = performance.now();
  client(() => {
    const nowMs = performance.now();
    if (settings.connections === 1) times.push(nowMs - askedMs);
    askedMs = nowMs;
    done += 1;
    return true;
  });
}
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
await sleep(settings.warmUpMs);
process.stdout.write('{"window":"begins"}\n');
times.length = 0;
const [beganMs, before] = [performance.now(), done];
await sleep(settings.windowMs);
const perSecond = ((done - before) / (performance.now() - beganMs)) * 1000;
const sorted = times.sort((a, b) => a - b);
const part = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
const report: HttpLoadReport = {
  http: 'done',
  perSecond,
  p50Ms: part(0.5),
  p99Ms: part(0.99),
  longestMs: sorted.at(-1) ?? 0,
  answerBytes,
  requests: done - before,
};
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
