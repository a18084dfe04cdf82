/**
 * Debian's InfluxDB 1.6 for tests, in a folder of its own on free ports. It does not know /api/v2/write, so a small server
 * before it says the same as its /write; everything else is InfluxDB itself. The server can also fail as networks do.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { tempDir } from '@villagrid/runtime/testing';
import type { Test } from 'tap';

const program = '/usr/bin/influxd';

/** Says why a test that needs InfluxDB is skipped; false where it is installed. */
export const withoutInflux = existsSync(program)
  ? false
  : 'influxdb is not installed: history in InfluxDB is not tried';

/** How the server before InfluxDB fails: no answer at all, an answer that is lost after the work was done, or a status. */
export type InfluxTrouble = 'away' | 'answer lost' | { readonly status: number; readonly retryAfterS?: number };

export interface TestInflux {
  /** Address with /api/v2/write. */
  readonly url: string;
  readonly token: string;
  /** Makes an empty database and gives its name, which is also the bucket's. */
  database(): Promise<string>;
  /** What InfluxDB says to a statement. */
  ask(database: string, statement: string): Promise<unknown>;
  trouble: InfluxTrouble | undefined;
  /** Whether a line is refused, as one of a wrong type would be, with all that came with it. */
  refuses: (line: string) => boolean;
  /** Lines written since the start, repeats too. */
  lines: number;
}

/** Starts it; it ends with the test. */
export async function startInflux(t: Test): Promise<TestInflux> {
  const folder = tempDir(t);
  const path = (name: string): string => JSON.stringify(join(folder, name));
  writeFileSync(
    join(folder, 'influxdb.conf'),
    `reporting-enabled = false
bind-address = "127.0.0.1:0"
[meta]
dir = ${path('meta')}
[data]
dir = ${path('data')}
wal-dir = ${path('wal')}
query-log-enabled = false
[monitor]
store-enabled = false
[retention]
enabled = false
[continuous_queries]
enabled = false
[http]
bind-address = "127.0.0.1:0"
log-enabled = false
`,
  );
  const child = spawn(program, ['-config', join(folder, 'influxdb.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  const inner = await new Promise<string>((resolve, reject) => {
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      const found = /Listening on HTTP.*?addr=(\S+)/.exec(said);
      if (found) resolve(`http://${found[1]}`);
    });
    child.on('error', reject).on('exit', (code) => reject(new Error(`influxd ended with ${code}: ${said}`)));
  });
  let databases = 0;
  const influx: TestInflux = {
    url: '',
    token: 'a-token-of-the-test',
    trouble: undefined,
    refuses: () => false,
    lines: 0,
    async database() {
      const name = `test_${(databases += 1)}`;
      await influx.ask('', `CREATE DATABASE "${name}"`);
      return name;
    },
    async ask(database, statement) {
      const query = new URLSearchParams({ db: database, epoch: 'ms', q: statement });
      return (await fetch(`${inner}/query?${query}`, { method: 'POST' })).json();
    },
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { trouble } = influx;
    if (trouble === 'away') return void request.socket.destroy();
    if (typeof trouble === 'object') {
      const after = trouble.retryAfterS === undefined ? {} : { 'retry-after': String(trouble.retryAfterS) };
      return void response.writeHead(trouble.status, after).end('{"message":"as the test wants"}');
    }
    if (request.headers.authorization !== `Token ${influx.token}`)
      return void response.writeHead(401).end('{"code":"unauthorized","message":"unauthorized access"}');
    const url = new URL(request.url ?? '/', inner);
    let body = Buffer.concat(parts);
    if (url.pathname === '/api/v2/write') {
      if (request.headers['content-encoding'] === 'gzip') body = gunzipSync(body);
      const lines = body.toString().split('\n');
      if (lines.some(influx.refuses))
        return void response.writeHead(400).end('{"message":"partial write: as the test wants"}');
      influx.lines += lines.length;
      url.pathname = '/write';
      url.search = `?${new URLSearchParams({ db: url.searchParams.get('bucket') ?? '', precision: url.searchParams.get('precision') ?? '' })}`;
    }
    const withBody = body.length > 0 ? { body: new Uint8Array(body) } : {};
    const told = await fetch(url, { method: request.method ?? 'GET', ...withBody });
    const text = await told.text();
    if (influx.trouble === 'answer lost') return void request.socket.destroy();
    response.writeHead(told.status, { 'content-type': 'application/json' }).end(told.status === 204 ? undefined : text);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.writeHead(502).end(String(error)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(async () => {
    server.closeAllConnections();
    server.close();
    child.kill('SIGKILL');
    await ended;
  });
  return Object.assign(influx, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}
