/** One listener: a Fastify instance with the hooks that hold for every request. */
import fastifyCompress from '@fastify/compress';
import fastifyWebsocket from '@fastify/websocket';
import { newId, VillagridError, type Clock, type RandomSource, type Route } from '@villagrid/contracts';
import { withCorrelation, type Logger } from '@villagrid/runtime';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { constants } from 'node:zlib';
import type { Handlers, Services } from '../handlers/handler.js';
import type { LiveChannel } from '../live/channel.js';
import { mountRoutes } from './mount-routes.js';
import { classifyError, problemDocument, problemType, retryAfterS } from './problem.js';
import { openHeaders, securityHeaders } from './security-headers.js';
import { isNavigation, serveApp } from './static-app.js';
import { parseStrictJson } from './strict-json.js';

/** Largest body, bytes. */
const bodyLimit = 1024 * 1024;
/** Longest a request may take to arrive, milliseconds. */
const requestTimeoutMs = 30_000;
/** Largest message a client may send on the live channel, bytes. */
const maxMessageBytes = 16 * 1024;

export interface ListenerOptions {
  readonly tls?: { readonly key: string; readonly cert: string } | undefined;
  readonly routes: readonly Route[];
  readonly handlers: Handlers;
  readonly services: Services;
  readonly live: LiveChannel;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly appDirectory?: string | undefined;
  readonly trustedOrigins: readonly string[];
}

const noCompiler = () => () => {
  throw new TypeError('a route has a schema of its own instead of the table’s');
};

/** Builds the instance; it does not listen yet. Throws TypeError for a table that cannot be enforced. */
export async function buildListener(options: ListenerOptions): Promise<FastifyInstance> {
  const { tls, services, realClock, random, log } = options;
  const app = fastify({
    ...(tls === undefined ? {} : { https: { key: tls.key, cert: tls.cert, minVersion: 'TLSv1.2' as const } }),
    logger: false,
    bodyLimit,
    requestTimeout: requestTimeoutMs,
    forceCloseConnections: true,
    trustProxy: false,
    routerOptions: { maxParamLength: 700 },
    // Checks are those of the route table, see validate.ts; without this the library loads its own two compilers.
    schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
    genReqId: (raw) => {
      const given = raw.headers['x-correlation-id'];
      return typeof given === 'string' && /^[A-Za-z0-9_-]{8,64}$/.test(given)
        ? given
        : newId(realClock.nowMs(), random);
    },
    frameworkErrors: (error, request, reply) =>
      sendProblem(error, request as FastifyRequest, reply as FastifyReply, log),
    clientErrorHandler: (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    },
  }) as unknown as FastifyInstance;

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) =>
    parseStrictJson(body),
  );
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, log));

  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(securityHeaders(request.headers.host));
    reply.header('x-correlation-id', request.id);
    const { route } = request.routeOptions.config;
    if (route !== undefined) reply.header('cache-control', 'no-store');
    if (route === '/.well-known/villagrid') reply.headers(openHeaders);
    withCorrelation(request.id, done);
  });
  app.addHook('onResponse', (request, reply, done) => {
    const { route = request.is404 ? '(none)' : '(app)' } = request.routeOptions.config;
    const durationMs = reply.elapsedTime;
    services.counters.answered(route, knownMethod(request.method), reply.statusCode, durationMs);
    const fields = {
      method: request.method,
      route,
      status: reply.statusCode,
      took_ms: Math.round(durationMs),
    };
    withCorrelation(request.id, () => {
      if (reply.statusCode >= 500) log.warn('request failed', fields);
      else if (request.method !== 'GET' && request.method !== 'HEAD') log.info('request', fields);
      else log.debug('request', fields);
    });
    done();
  });

  let appRoutes = false;
  app.addHook('onRoute', (route) => {
    // Nothing gets an address without having come through the route table, but the app's public files.
    if (route.config?.route === undefined && !appRoutes)
      throw new TypeError(`${String(route.method)} ${route.url} does not come from the route table`);
  });

  await app.register(fastifyCompress, {
    threshold: 2048,
    encodings: ['br', 'gzip'],
    brotliOptions: { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } },
    // Nobody needs to send us packed bodies, and unpacking them invites bombs.
    globalDecompression: false,
  });
  await app.register(fastifyWebsocket, {
    options: { maxPayload: maxMessageBytes, perMessageDeflate: false },
    preClose: (done) => {
      options.live.close();
      done();
    },
    errorHandler: (_error, socket) => socket.terminate(),
  });
  mountRoutes({
    app,
    routes: options.routes,
    handlers: options.handlers,
    services,
    live: options.live,
    trustedOrigins: options.trustedOrigins,
  });
  let served = false;
  if (options.appDirectory !== undefined) {
    appRoutes = true;
    served = await serveApp(app, options.appDirectory);
    appRoutes = false;
    if (!served) log.warn('the app is not there; only the API is served', { directory: options.appDirectory });
  }
  app.setNotFoundHandler((request, reply) => {
    if (served && isNavigation(request)) return reply.sendFile('index.html');
    throw new VillagridError('E_NOT_FOUND', 'No route has this method and path.');
  });
  return app;
}

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']);
/** Bounds what a stranger can make the counters grow by. */
const knownMethod = (method: string): string => (methods.has(method) ? method : 'other');

function sendProblem(thrown: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): FastifyReply {
  const { error, unexpected } = classifyError(thrown);
  if (unexpected) withCorrelation(request.id, () => log.error('a request met an unexpected error', { error: thrown }));
  const wait = retryAfterS(error.code);
  if (wait !== undefined) reply.header('retry-after', wait);
  if (error.status === 401) reply.header('www-authenticate', 'Bearer');
  return reply
    .code(error.status)
    .headers(securityHeaders(request.headers.host))
    .header('x-correlation-id', request.id)
    .header('cache-control', 'no-store')
    .type(problemType)
    .send(JSON.stringify(problemDocument(error.code, error.detail, request.id, error.next)));
}
