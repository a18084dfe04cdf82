/** A stub API server over `Village`: serves the built app and the routes it uses, by real HTTP and WebSocket. */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { AlertView, RuleTest, RuleTestRequest, Summary } from '@villagrid/contracts';
import { WebSocketServer } from 'ws';
import { fleetOf, StubOffice } from './office.js';
import { stubRules, stubRuleTest } from './rules.js';
import { Village, type Scenario } from './village.js';

/** A running stub. */
export interface Stub {
  readonly url: string;
  readonly villages: Village[];
  /** Ids of acts in the order they took effect; a repeat is not listed again. */
  readonly acts: string[];
  /** Sets a figure and sends it to everybody who follows. */
  set(gridId: string, metric: string, value: number): void;
  raise(gridId: string, alert: Parameters<Village['raise']>[0]): AlertView;
  /** Answers every call with 500 while true. */
  broken: boolean;
  /** Why acts are refused; null when they are taken. */
  refusing: string | null;
  /** How far its clock is from the phone's, ms. */
  clockOffMs: number;
  /** Lets no WebSocket through, as some networks do. */
  noSockets: boolean;
  /** Ends all logins. */
  endLogins(): void;
  stop(): Promise<void>;
}

/** One who follows a grid live, by either way. */
interface Follower {
  send(text: string): void;
  close(): void;
  terminate(): void;
}

/** The policy the real servers send. */
const policy =
  "default-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss: http://10.77.0.1:8080; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webmanifest': 'application/manifest+json',
};

/** Starts the stub. `every` is the timer of the composition root. */
export async function startStub(options: {
  dist: string;
  scenario: Scenario;
  nowMs: () => number;
  every: (ms: number, run: () => void) => { cancel(): void };
  port?: number;
  username?: string;
  password?: string;
  /** Grids beside the villages, of which only the state is known. */
  fleet?: number;
  /** The other end of the same village: it knows what that one knows, and has logins of its own. */
  beside?: Stub;
}): Promise<Stub> {
  const { scenario } = options;
  let clockOffMs = 0;
  const nowMs = () => options.nowMs() + clockOffMs;
  const many = scenario === 'many';
  const kind = many || options.beside !== undefined ? 'cloud' : 'gateway';
  const make = (id: string, name: string, state: Scenario, seed: number) =>
    new Village({ id, name, scenario: state, nowMs, seed, kind });
  const villages =
    options.beside?.villages ??
    (many
      ? [
          make('kisima', 'Kisima', 'alert', 1),
          make('mlimani', 'Mlimani', 'dark', 2),
          make('bondeni', 'Bondeni', 'stale', 3),
          make('tumaini', 'Tumaini', 'normal', 4),
          make('makuti', 'Makuti', 'normal', 5),
          make('ngarenaro', 'Ngarenaro', 'young', 6),
        ]
      : [make('kisima', 'Kisima', scenario, 1)]);
  if (many)
    villages[4]?.raise({
      severity: 'low',
      rule: 'clock',
      message: 'clock is not trusted',
      what: 'The clock of the gateway is not certain.',
      why: 'Times of this grid may be off.',
      steps: ['Open the app once beside the gateway.'],
      device: null,
      metric: null,
      value: null,
      limit: null,
      unit: null,
      atMs: nowMs() - 20 * 3_600_000,
    });
  const summaryOf = (village: Village): Summary => {
    const summary = village.summary();
    return { ...summary, now_ms: nowMs(), source: { ...summary.source, kind } };
  };
  const snapshotOf = (village: Village): string =>
    JSON.stringify({
      type: 'snapshot',
      sequence: 0,
      summary: summaryOf(village),
      alerts: village.alerts.filter(({ status }) => status === 'active'),
      devices: village.devices(),
    });
  let tokens = new Set<string>();
  let serial = 0;
  let ruleTest: RuleTest | undefined;
  const acts = options.beside?.acts ?? [];
  const office = new StubOffice(nowMs);
  const sockets = new Map<Follower, { gridId: string; sequence: number; ready: boolean }>();
  const serverId = kind === 'cloud' ? 'cloud-1' : 'gw-kisima';
  const username = options.username ?? 'amina';

  const json = (response: ServerResponse, status: number, body: unknown) => {
    response.writeHead(status, {
      'content-type': status >= 400 ? 'application/problem+json' : 'application/json',
      'cache-control': 'no-store',
    });
    response.end(JSON.stringify(body));
  };
  const problem = (response: ServerResponse, status: number, code: string, detail: string) =>
    json(response, status, { type: 'about:blank', title: code, status, code, detail, next: '', correlation_id: '' });
  const body = async (request: IncomingMessage): Promise<Record<string, unknown>> => {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  };
  const tell = (gridId: string, frame: (sequence: number) => unknown) => {
    for (const [socket, state] of sockets)
      if (state.ready && state.gridId === gridId) {
        state.sequence += 1;
        socket.send(JSON.stringify(frame(state.sequence)));
      }
  };

  async function api(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const path = url.pathname;
    if (stub.broken) return problem(response, 500, 'internal', 'broken on purpose');
    if (path === '/.well-known/villagrid')
      return json(response, 200, {
        kind,
        server_id: serverId,
        grid_id: kind === 'cloud' ? null : 'kisima',
        api_version: 1,
        build: '0.1.0',
        now_ms: nowMs(),
        clock_trust: 'ntp',
        login: ['password'],
      });
    if (path === '/api/auth/login') {
      const { username: name, password } = await body(request);
      const due = name === 'neema' && password === office.wordOfNeema;
      if (due) tokens.add('token-of-a-word');
      if (due)
        return json(response, 200, {
          token: 'token-of-a-word',
          token_type: 'Bearer',
          expires_in_s: 3600,
          user: {
            user_id: 'neema',
            username: 'neema',
            display_name: 'Neema',
            role: 'operator',
            grants: [],
            password_due: true,
          },
        });
      if (name !== username || password !== (options.password ?? 'kisima-1'))
        return problem(response, 401, 'credentials_wrong', 'name or password is not right');
      serial += 1;
      const token = `token-${serverId}-${serial}`;
      tokens.add(token);
      return json(response, 200, {
        token,
        token_type: 'Bearer',
        expires_in_s: 3600,
        user: { user_id: 'amina', username, display_name: 'Amina', role: 'admin', grants: [] },
      });
    }
    if (!tokens.has((request.headers.authorization ?? '').replace('Bearer ', '')))
      return problem(response, 401, 'unauthenticated', 'log in first');
    if (path === '/api/auth/password') {
      if (
        request.headers.authorization !== 'Bearer token-of-a-word' ||
        (await body(request)).present !== office.wordOfNeema
      )
        return problem(response, 403, 'E_FORBIDDEN', 'The present password is another one.');
      office.wordOfNeema = undefined;
      tokens.add('token-of-neema');
      return json(response, 200, {
        token: 'token-of-neema',
        token_type: 'Bearer',
        expires_in_s: 3600,
        user: { user_id: 'neema', username: 'neema', display_name: 'Neema', role: 'operator', grants: [] },
      });
    }
    if (path === '/api/auth/logout') return json(response, 200, { ok: true });
    if (path === '/api/grids')
      return json(response, 200, {
        grids: [
          ...villages.map((village) => village.gridState()),
          ...fleetOf(options.fleet ?? 0, (villages[0] as Village).gridState(), nowMs()),
        ],
        now_ms: nowMs(),
      });
    if (path.startsWith('/api/users')) {
      const [, , , userId, word] = path.split('/');
      const input = await body(request);
      if (request.method === 'GET') return json(response, 200, { now_ms: nowMs(), users: office.users });
      if (userId === undefined) return json(response, 200, office.add(input as never));
      const user = office.users.find((one) => one.user_id === userId);
      if (user === undefined) return problem(response, 404, 'E_USER_NOT_FOUND', 'There is no person of this id.');
      return json(response, 200, word === undefined ? office.change(userId, input) : office.word(user));
    }
    const parts = path.split('/').slice(2).map(decodeURIComponent);
    const village = villages.find(({ id }) => parts.includes(id));
    if (parts[0] === 'alerts' && (request.method === 'PUT' || request.method === 'POST')) {
      const owner = villages.find(({ alerts }) => alerts.some(({ alert_id }) => alert_id === parts[1]));
      const alert = owner?.alerts.find(({ alert_id }) => alert_id === parts[1]);
      if (owner === undefined || alert === undefined) return problem(response, 404, 'not_found', 'no such alert');
      const input = await body(request);
      const id = String(input.act_id);
      if (stub.refusing !== null) return problem(response, 403, 'E_FORBIDDEN', stub.refusing);
      if (!acts.includes(id)) acts.push(id);
      const note = typeof input.note === 'string' ? input.note : null;
      const said = { event_id: id, at_ms: Number(input.occurred_at_ms), note: null, about: null, until_ms: null };
      const until = nowMs() + Number(input.duration_s) * 1000;
      const assignee =
        input.assignee === 'me' ? { user_id: 'amina', name: 'Amina' } : (input.assignee as { name: string } | null);
      const given = assignee && { user_id: '', ...assignee };
      const next =
        parts[2] === 'assign'
          ? owner.change(alert, 'assigned', { assignee: given }, { ...said, about: given?.name ?? null })
          : parts[2] === 'shelve'
            ? owner.change(
                alert,
                'shelved',
                { shelved_until_ms: until, shelved_reason: String(input.reason) },
                { ...said, note: String(input.reason), until_ms: until },
              )
            : parts[2] === 'unshelve'
              ? owner.change(alert, 'unshelved', { shelved_until_ms: null, shelved_reason: null }, said)
              : request.method === 'PUT'
                ? owner.acknowledge(alert, id, 'Amina', note, Number(input.occurred_at_ms))
                : owner.note(alert, id, 'Amina', note ?? '', Number(input.occurred_at_ms));
      tell(owner.id, (sequence) => ({ type: 'alert', sequence, alert: next }));
      return json(response, 200, next);
    }
    if (parts[0] === 'device' && parts[2] === 'command') {
      const input = await body(request);
      const device = villages[0]?.devices().find(({ device_id }) => device_id === parts[1]);
      return json(response, 200, office.command(parts[1] ?? '', device?.name ?? '', input));
    }
    if (village === undefined) return problem(response, 404, 'not_found', 'no such grid');
    if (parts[0] === 'live') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const follower: Follower = {
        send: (text) => response.write(`data: ${text}\n\n`),
        close: () => response.end(),
        terminate: () => response.destroy(),
      };
      sockets.set(follower, { gridId: village.id, sequence: 0, ready: true });
      response.on('close', () => sockets.delete(follower));
      return follower.send(snapshotOf(village));
    }
    if (parts[0] === 'handover') {
      if (request.method === 'POST') {
        const { note } = await body(request);
        for (const one of village.handOver) one.current = false;
        const actor = { user_id: 'amina', name: 'Amina' };
        village.handOver.unshift({ event_id: `h${nowMs()}`, at_ms: nowMs(), actor, note: String(note), current: true });
      }
      return json(response, 200, { grid_id: village.id, now_ms: nowMs(), notes: village.handOver });
    }
    if (parts[0] === 'maintenance') {
      if (request.method === 'POST' && parts[3] !== 'end') {
        const { reason, duration_s, device_ids } = await body(request);
        village.works.unshift({
          maintenance_id: `m${nowMs()}`,
          reason: String(reason),
          device_ids: (device_ids as string[] | undefined) ?? null,
          from_ms: nowMs(),
          until_ms: nowMs() + Number(duration_s) * 1000,
          planned_by: { user_id: 'amina', name: 'Amina' },
          ended_by: null,
          state: 'now',
        });
      }
      return json(response, 200, { grid_id: village.id, now_ms: nowMs(), maintenance: village.works });
    }
    if (parts[0] === 'rules') {
      if (parts[2] === undefined) return json(response, 200, stubRules(village.id));
      if (request.method === 'POST') {
        const input = (await body(request)) as RuleTestRequest;
        const { zone } = summaryOf(village);
        ruleTest = stubRuleTest(village.id, zone, input, nowMs(), (metric, timeMs) => village.value(metric, timeMs));
        return json(response, 200, { ...ruleTest, state: 'running', progress: 0.4, result: null });
      }
      return json(response, 200, ruleTest);
    }
    if (parts[0] === 'uplink')
      return json(response, 200, {
        grid_id: village.id,
        uplink: {
          connected: true,
          plan: 'standard',
          boosted: false,
          waiting_frames: 120,
          waiting_since_ms: nowMs() - 3_600_000,
          held: null,
          complete_at_ms: nowMs() + 7_200_000,
          day: new Date(nowMs()).toISOString().slice(0, 10),
          used_bytes: 3_100_000,
          budget_bytes: 20_000_000,
        },
      });
    if (parts[0] === 'people')
      return json(response, 200, {
        grid_id: village.id,
        people: office.users
          .filter(({ disabled, role }) => !disabled && role !== 'viewer')
          .map(({ user_id, display_name }) => ({ user_id, name: display_name })),
      });
    if (parts[0] === 'audit') return json(response, 200, office.audit(village.id, url.searchParams));
    if (parts[0] === 'completeness') return json(response, 200, office.completeness(village.id, kind));
    if (parts[0] === 'device' && parts[2] === 'commands')
      return json(
        response,
        200,
        many ? { ...office.commands(village.id), enabled: false } : office.commands(village.id),
      );
    if (parts[0] === 'dashboard') return json(response, 200, summaryOf(village));
    if (parts[0] === 'device')
      return json(response, 200, { grid_id: village.id, now_ms: nowMs(), devices: village.devices() });
    if (parts[0] === 'reports') return json(response, 200, village.report(url.searchParams));
    if (parts[0] === 'export') {
      response.writeHead(200, {
        'content-type': 'text/csv; charset=utf-8',
        'content-disposition': 'attachment; filename="villagrid_stub.csv"',
      });
      response.end('time Africa/Nairobi,time UTC,consumption_kw mean [kW]\r\n');
      return;
    }
    if (parts[0] === 'historical') return json(response, 200, village.history(parts[2] ?? '', url.searchParams));
    if (parts[0] === 'alerts' && parts[2]) {
      const alert = village.alerts.find(({ alert_id }) => alert_id === parts[2]);
      return alert === undefined ? problem(response, 404, 'not_found', 'no such alert') : json(response, 200, alert);
    }
    if (parts[0] === 'alerts')
      return json(response, 200, { alerts: village.alerts, next_cursor: null, open: 0, unacknowledged: 0 });
    problem(response, 404, 'not_found', path);
  }
  function file(response: ServerResponse, path: string): void {
    const full = join(options.dist, normalize(path === '/' ? '/index.html' : path));
    if (!full.startsWith(options.dist) || !existsSync(full) || !statSync(full).isFile()) {
      response.writeHead(404).end('not found');
      return;
    }
    response.writeHead(200, {
      'content-type': types[extname(full)] ?? 'application/octet-stream',
      'cache-control': path === '/sw.js' ? 'no-cache' : 'max-age=60',
      'content-security-policy': policy,
    });
    createReadStream(full).pipe(response);
  }
  const server: Server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://stub');
    if (url.pathname.startsWith('/api') || url.pathname.startsWith('/.well-known')) void api(request, response, url);
    else file(response, url.pathname);
  });
  const live = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    if (stub.noSockets) return void socket.destroy();
    const gridId = decodeURIComponent((request.url ?? '').split('/').at(-1) ?? '');
    live.handleUpgrade(request, socket, head, (client) => {
      sockets.set(client, { gridId, sequence: 0, ready: false });
      client.on('close', () => sockets.delete(client));
      client.on('message', (data) => {
        const message = JSON.parse(String(data)) as { type: string; token: string };
        const state = sockets.get(client);
        const village = villages.find(({ id }) => id === gridId);
        if (state === undefined || village === undefined || stub.broken) return client.close();
        if (!tokens.has(message.token)) {
          client.send(JSON.stringify({ type: 'error', code: 'unauthenticated', detail: 'log in first' }));
          return client.close();
        }
        state.ready = true;
        client.send(snapshotOf(village));
      });
    });
  });
  const sendValues = (village: Village) => {
    const summary = summaryOf(village);
    tell(village.id, (sequence) => ({
      type: 'values',
      sequence,
      now_ms: summary.now_ms,
      figures: summary.figures,
      verdict: summary.verdict,
      last_reported_ms: summary.source.last_reported_ms,
    }));
  };
  const ticking = options.every(2000, () => {
    for (const village of villages) sendValues(village);
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const stub: Stub = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    villages,
    acts,
    broken: false,
    refusing: null,
    noSockets: false,
    get clockOffMs() {
      return clockOffMs;
    },
    set clockOffMs(next) {
      clockOffMs = next;
    },
    set(gridId, metric, value) {
      const village = villages.find(({ id }) => id === gridId);
      village?.override(metric, value);
      if (village !== undefined) sendValues(village);
    },
    raise(gridId, input) {
      const village = villages.find(({ id }) => id === gridId) ?? (villages[0] as Village);
      const alert = village.raise(input);
      tell(gridId, (sequence) => ({ type: 'alert', sequence, alert }));
      return alert;
    },
    endLogins() {
      tokens = new Set();
      for (const socket of sockets.keys()) socket.close();
    },
    async stop() {
      ticking.cancel();
      for (const socket of sockets.keys()) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return stub;
}
