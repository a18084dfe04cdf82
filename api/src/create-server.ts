/** The one server: several listeners (plain, TLS) over the same handlers, boards and live channel. */
import { routes as routeTable, VillagridError, type Clock, type RandomSource, type Route } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { FastifyInstance } from 'fastify';
import { GridBoard } from './board.js';
import type { Handlers, Services } from './handlers/handler.js';
import { handlers as allHandlers } from './handlers/index.js';
import { LiveChannel } from './live/channel.js';
import { openapiDocument } from './openapi/document.js';
import type { ApiPorts, GridPort } from './ports.js';
import { buildListener } from './server/listener.js';
import { RuleTests } from './rule-tests/rule-tests.js';
import { RequestCounters } from './server/request-counters.js';

/** An address to listen on; port 0 takes a free one. Key and certificate are PEM texts. */
export interface Listen {
  readonly host: string;
  readonly port: number;
  readonly tls?: { readonly key: string; readonly cert: string } | undefined;
}

/** An address that is listened on. */
export interface ApiAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** For people and clients; a wildcard host is shown as 127.0.0.1. */
  readonly url: string;
}

export interface ApiServerOptions {
  readonly ports: ApiPorts;
  /** The village's clock: times of samples, alerts and acts. */
  readonly clock: Clock;
  /** The machine's clock: heartbeats, limits, caches, correlation ids. */
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly listen: readonly Listen[];
  /** Folder with the built app, served at `/`; without it only the API is served. */
  readonly appDirectory?: string | undefined;
  /** Origins, beside the server's own, whose pages may open the live channel, e.g. `https://app.example.org`. */
  readonly trustedOrigins?: readonly string[] | undefined;
  /** Village milliseconds per real millisecond; 1 when left out. */
  readonly speed?: number | undefined;
  /** For tests of the server itself: another table, other handlers. */
  readonly routes?: readonly Route[] | undefined;
  readonly handlers?: Handlers | undefined;
}

export interface ApiServer {
  /** Listens on every address. Throws E_PORT_IN_USE, E_CERTIFICATE, or TypeError for a route without access or handler. */
  start(): Promise<{ readonly addresses: readonly ApiAddress[] }>;
  /** Closes connections and listeners; harmless before the start and twice. */
  stop(): Promise<void>;
  /** Addresses as texts, once started. */
  readonly urls: readonly string[];
}

/** Makes the server; nothing is opened before `start`. */
export function createApiServer(options: ApiServerOptions): ApiServer {
  const { ports, clock, realClock, random, log, speed = 1 } = options;
  const routes = options.routes ?? routeTable;
  const counters = new RequestCounters();
  const boards = new Map<string, GridBoard>();
  const board = (grid: GridPort): GridBoard => {
    const known = boards.get(grid.gridId);
    if (known?.grid === grid) return known;
    known?.close();
    const made = new GridBoard({ grid, identity: ports.identity, clock, realClock });
    boards.set(grid.gridId, made);
    return made;
  };
  const live = new LiveChannel({ ports, clock, realClock, log, counters, board });
  const ruleTests = new RuleTests({ realClock, random, log });
  let openapiText: string | undefined;
  const services: Services = {
    ports,
    clock,
    realClock,
    random,
    speed,
    startedMs: realClock.monotonicMs(),
    counters,
    ruleTests,
    board,
    endLive: (token) => live.endToken(token),
    openapi: () => (openapiText ??= JSON.stringify(openapiDocument(routes, ports.identity.version))),
  };

  const apps: FastifyInstance[] = [];
  const addresses: ApiAddress[] = [];
  const stop = async (): Promise<void> => {
    live.close();
    ruleTests.close();
    await Promise.all(apps.splice(0).map((app) => app.close()));
    addresses.length = 0;
    for (const one of boards.values()) one.close();
    boards.clear();
  };

  return {
    async start() {
      try {
        for (const listen of options.listen) {
          const app = await buildListener({
            tls: listen.tls,
            routes,
            handlers: options.handlers ?? allHandlers,
            services,
            live,
            realClock,
            random,
            log,
            appDirectory: options.appDirectory,
            trustedOrigins: options.trustedOrigins ?? [],
          });
          apps.push(app);
          await app.listen({ host: listen.host, port: listen.port });
          addresses.push(addressOf(app, listen));
        }
      } catch (error) {
        await stop();
        throw explain(error, options.listen);
      }
      log.info('listening', { urls: addresses.map(({ url }) => url) });
      return { addresses: [...addresses] };
    },
    stop,
    get urls() {
      return addresses.map(({ url }) => url);
    },
  };
}

function addressOf(app: FastifyInstance, { host, port, tls }: Listen): ApiAddress {
  const bound = app.server.address();
  const actual = typeof bound === 'object' && bound !== null ? bound.port : port;
  const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  const secure = tls !== undefined;
  return { host, port: actual, tls: secure, url: `${secure ? 'https' : 'http'}://${shown}:${actual}` };
}

function explain(error: unknown, listen: readonly Listen[]): unknown {
  const { code, port } = (typeof error === 'object' && error !== null ? error : {}) as {
    code?: unknown;
    port?: unknown;
  };
  if (code === 'EADDRINUSE')
    return new VillagridError('E_PORT_IN_USE', `HTTP port ${String(port)} is taken.`, { cause: error });
  if (typeof code === 'string' && code.startsWith('ERR_OSSL'))
    return new VillagridError(
      'E_CERTIFICATE',
      `The certificate or key for port ${listen.find(({ tls }) => tls !== undefined)?.port} cannot be used.`,
      { cause: error },
    );
  return error;
}
