/**
 * The live channel over WebSocket, or as server-sent events where a WebSocket does not open: who asks, snapshot, frames with
 * a sequence, heartbeat, end of the login, and readers that are too slow. Close codes are 4000 plus the HTTP status of the
 * error told before.
 */
import type { WebSocket } from '@fastify/websocket';
import {
  liveAuthenticateWithinMs,
  liveHeartbeatMs,
  VillagridError,
  type Access,
  type Clock,
  type Timer,
} from '@villagrid/contracts';
import { unrefTimer, type Logger } from '@villagrid/runtime';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { GridBoard } from '../board.js';
import type { ApiPorts, GridPort } from '../ports.js';
import { requirePrincipal, requireRole, requireSettled } from '../server/access.js';
import { classifyError } from '../server/problem.js';
import type { RequestCounters } from '../server/request-counters.js';
import { parseStrictJson } from '../server/strict-json.js';
import { eventLine, socketLine, type LiveLine } from './line.js';
import { LiveGrid, type FrameBody, type LiveReader } from './live-grid.js';

/** Most a reader may leave unread, bytes. */
const maxUnreadBytes = 1024 * 1024;
/** Unread bytes from which a client counts as behind. */
const behindBytes = 16 * 1024;
/** How often logins are looked at again, real milliseconds. */
const recheckMs = 60_000;
const maxClients = 1000;
const access: Extract<Access, { kind: 'role' }> = { kind: 'role', role: 'viewer', grid: 'path' };

export interface LiveChannelOptions {
  readonly ports: ApiPorts;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly log: Logger;
  readonly counters: RequestCounters;
  board(grid: GridPort): GridBoard;
}

/** One connection. */
class LiveClient implements LiveReader {
  readonly line: LiveLine;
  readonly gridId: string;
  token: string | undefined;
  grid: LiveGrid | undefined;
  heardMs: number;
  #sequence = 0;
  /** Frames that came while the snapshot was being made. */
  #held: string[] | undefined = [];
  readonly #counters: RequestCounters;

  constructor(line: LiveLine, gridId: string, nowMs: number, counters: RequestCounters) {
    this.line = line;
    this.gridId = gridId;
    this.heardMs = nowMs;
    this.#counters = counters;
  }

  get behind(): boolean {
    return this.line.unreadBytes > behindBytes;
  }

  take(body: FrameBody, text: string): void {
    if (this.#held === undefined) this.#number(text);
    else if (body.type !== 'snapshot') this.#held.push(text);
  }

  /** Sends the first snapshot, then what was held meanwhile. */
  begin(text: string): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#number(text);
    for (const one of held) this.#number(one);
  }

  #number(text: string): void {
    this.#sequence += 1;
    this.send(`{"sequence":${this.#sequence},${text.slice(1)}`);
  }

  send(text: string): void {
    if (!this.line.open) return;
    this.line.send(text);
    this.#counters.liveFrames += 1;
    if (this.line.unreadBytes <= maxUnreadBytes) return;
    this.#counters.liveDropped += 1;
    this.line.terminate();
  }
}

/** All live connections of a server. */
export class LiveChannel {
  readonly #options: LiveChannelOptions;
  readonly #grids = new Map<string, LiveGrid>();
  readonly #clients = new Set<LiveClient>();
  #timers: Timer[] | undefined;

  constructor(options: LiveChannelOptions) {
    this.#options = options;
  }

  /** Takes an upgraded connection; the request's access may have been checked by its Authorization header. */
  accept(socket: WebSocket, request: FastifyRequest): void {
    const { realClock, counters } = this.#options;
    const gridId = (request.params as { grid_id: string }).grid_id;
    const client = new LiveClient(socketLine(socket), gridId, realClock.monotonicMs(), counters);
    if (!this.#add(client)) return;
    const patience = realClock.after(liveAuthenticateWithinMs, () =>
      refuse(client, new VillagridError('E_LOGIN_REQUIRED', 'No token came within 5 s.')),
    );
    const open = (token: string | undefined) => {
      patience.cancel();
      this.#open(client, token).catch((error: unknown) => this.#fail(client, error));
    };
    let asked = false;
    socket.on('error', () => socket.terminate());
    socket.on('pong', () => {
      client.heardMs = realClock.monotonicMs();
    });
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      client.heardMs = realClock.monotonicMs();
      try {
        const message = isBinary ? undefined : (parseStrictJson(data) as { type?: unknown; token?: unknown } | null);
        if (!asked) {
          asked = true;
          const token =
            message?.type === 'authenticate' && typeof message.token === 'string' ? message.token : undefined;
          open(token);
        } else if (message?.type === 'ping') client.send(this.#ping());
      } catch (error) {
        this.#fail(client, error);
      }
    });
    socket.on('close', () => {
      patience.cancel();
      this.#remove(client);
    });
    if (request.granted?.token !== undefined) {
      asked = true;
      open(request.granted.token);
    }
  }

  /** Answers a call with server-sent events: the same frames, for a token that the call's header carried. */
  stream(request: FastifyRequest, reply: FastifyReply): void {
    const { realClock, counters } = this.#options;
    if (this.#clients.size >= maxClients) throw new VillagridError('E_BUSY', 'Too many live channels are open.');
    const gridId = (request.params as { grid_id: string }).grid_id;
    const client = new LiveClient(eventLine(reply), gridId, realClock.monotonicMs(), counters);
    this.#add(client);
    reply.raw.on('close', () => this.#remove(client));
    this.#open(client, request.granted?.token).catch((error: unknown) => this.#fail(client, error));
  }

  #add(client: LiveClient): boolean {
    if (this.#clients.size >= maxClients) {
      refuse(client, new VillagridError('E_BUSY', 'Too many live channels are open.'));
      return false;
    }
    this.#clients.add(client);
    this.#options.counters.liveClients = this.#clients.size;
    this.#startTimers();
    return true;
  }

  #remove(client: LiveClient): void {
    client.grid?.leave(client);
    this.#clients.delete(client);
    this.#options.counters.liveClients = this.#clients.size;
  }

  async #open(client: LiveClient, token: string | undefined): Promise<void> {
    const grid = await this.#admit(client.gridId, token);
    if (!client.line.open) return;
    client.token = token;
    const live = this.#liveGrid(grid);
    client.grid = live;
    live.join(client);
    client.begin(JSON.stringify(await live.snapshot()));
  }

  async #admit(gridId: string, token: string | undefined): Promise<GridPort> {
    const { ports } = this.#options;
    const principal = await requirePrincipal(ports, token);
    requireSettled(principal, { id: 'live' });
    return requireRole(ports, principal, access, { params: { grid_id: gridId }, body: undefined });
  }

  #liveGrid(grid: GridPort): LiveGrid {
    const known = this.#grids.get(grid.gridId);
    if (known?.grid === grid) return known;
    const { realClock, log } = this.#options;
    const made = new LiveGrid({ board: this.#options.board(grid), realClock, log });
    this.#grids.set(grid.gridId, made);
    return made;
  }

  #fail(client: LiveClient, error: unknown): void {
    const { error: known, unexpected } = classifyError(error);
    if (unexpected) this.#options.log.error('a live channel failed', { grid: client.gridId, error });
    refuse(client, known);
  }

  /** Closes the channels of a login that was ended. */
  endToken(token: string): void {
    for (const client of this.#clients)
      if (client.token === token) refuse(client, new VillagridError('E_LOGIN_REQUIRED', 'This login was ended.'));
  }

  #startTimers(): void {
    if (this.#timers !== undefined) return;
    const { realClock } = this.#options;
    this.#timers = [
      unrefTimer(realClock.every(liveHeartbeatMs, () => this.#beat())),
      unrefTimer(realClock.every(recheckMs, () => void this.recheck())),
    ];
  }

  #ping(): string {
    return JSON.stringify({ type: 'ping', now_ms: Math.floor(this.#options.clock.nowMs()) });
  }

  #beat(): void {
    const nowMs = this.#options.realClock.monotonicMs();
    const quietMs = nowMs - 2.5 * liveHeartbeatMs;
    const ping = this.#ping();
    for (const client of this.#clients) {
      // Nobody speaks on a stream of events: what was sent and taken is the sign of life.
      if (client.line.oneWay && client.line.unreadBytes === 0) client.heardMs = nowMs;
      if (client.heardMs < quietMs) client.line.terminate();
      else if (client.grid !== undefined) {
        client.line.ping();
        client.send(ping);
      }
    }
  }

  /** Looks at every login again and closes the channels whose person may no longer read. */
  async recheck(): Promise<void> {
    for (const client of this.#clients) {
      if (client.grid === undefined) continue;
      try {
        const grid = await this.#admit(client.gridId, client.token);
        if (grid !== client.grid.grid) client.line.close(1012, 'open it again');
      } catch (error) {
        this.#fail(client, error);
      }
    }
  }

  /** Closes everything. */
  close(): void {
    for (const timer of this.#timers ?? []) timer.cancel();
    this.#timers = undefined;
    for (const client of this.#clients) {
      client.line.close(1001, 'the server stops');
      client.grid?.leave(client);
      unrefTimer(this.#options.realClock.after(300, () => client.line.terminate()));
    }
    this.#grids.clear();
  }
}

function refuse(client: LiveClient, error: VillagridError): void {
  client.send(JSON.stringify({ type: 'error', code: error.code, detail: error.detail }));
  client.line.close(4000 + error.status, error.code);
}
