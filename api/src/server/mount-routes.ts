/** Mounts the route table on one Fastify instance: access, checks, handler, answer. Deny by default. */
import { withCorrelation } from '@villagrid/runtime';
import { messageOf, VillagridError, type Route } from '@villagrid/contracts';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Answer, StreamedAnswer, type Call, type Handlers, type Services } from '../handlers/handler.js';
import type { LiveChannel } from '../live/channel.js';
import {
  assertEnforceable,
  bearerToken,
  requireNamedGrid,
  requireAnywhere,
  requirePrincipal,
  requireRole,
  requireSettled,
  type Granted,
} from './access.js';
import { originAllowed } from './security-headers.js';
import { coerceQuery, compileCheck } from './validate.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Path as in the table; also the mark that a route came through the access check. */
    route?: string;
  }
  interface FastifyRequest {
    granted: Granted | undefined;
  }
}

export interface MountOptions {
  readonly app: FastifyInstance;
  readonly routes: readonly Route[];
  readonly handlers: Handlers;
  readonly services: Services;
  readonly live: LiveChannel;
  readonly trustedOrigins: readonly string[];
}

type AnyHandler = (call: Call<never>) => unknown;

/** Mounts every route. Throws TypeError for a route without access or handler, and for a handler without route. */
export function mountRoutes({ app, routes, handlers, services, live, trustedOrigins }: MountOptions): void {
  app.decorateRequest('granted', undefined);
  const table = handlers as unknown as Readonly<Record<string, AnyHandler | undefined>>;
  for (const id of Object.keys(table))
    if (!routes.some((route) => route.id === id)) throw new TypeError(`handler ${id} has no route in the table`);
  for (const route of routes) {
    assertEnforceable(route);
    const handler = Object.hasOwn(table, route.id) ? table[route.id] : undefined;
    if (handler === undefined && route.websocket !== true)
      throw new TypeError(`route ${route.id} (${route.method} ${route.path}) has no handler`);
    const url = route.path.replace(/\{(\w+)\}/g, ':$1');
    const shared = { method: route.method, url, config: { route: route.path } };
    if (route.websocket === true) {
      app.route({
        ...shared,
        exposeHeadRoute: false,
        onRequest: (request) => admitLive(services, route, request, trustedOrigins),
        handler: (request, reply) => {
          if (request.headers.accept?.includes('text/event-stream') !== true)
            throw new VillagridError(
              'E_REQUEST_INVALID',
              'This address is a WebSocket, or server-sent events with accept: text/event-stream.',
            );
          live.stream(request, reply);
        },
        wsHandler: (socket, request) => live.accept(socket, request),
      });
    } else {
      const answer = answerer(route, handler as AnyHandler, services);
      app.route({
        ...shared,
        onRequest(request, _reply, done) {
          const granted = grantNow(services, route, request);
          if (granted === undefined)
            grant(services, route, request).then((late) => {
              request.granted = late;
              done();
            }, done);
          else {
            request.granted = granted;
            done();
          }
        },
        handler: answer,
      });
    }
  }
}

/** The access check before the body is read; a grid named in the body is looked up after that. */
async function grant({ ports }: Services, route: Route, request: FastifyRequest): Promise<Granted> {
  const { access } = route;
  if (access.kind === 'public') return { principal: undefined, token: undefined, grid: undefined };
  const token = bearerToken(request.headers.authorization);
  const principal = await requirePrincipal(ports, token);
  requireSettled(principal, route);
  if (access.kind === 'anywhere') requireAnywhere(principal, access.role);
  if (access.kind !== 'role' || access.grid === 'body') return { principal, token, grid: undefined };
  const grid = await requireRole(ports, principal, access, named(request));
  return { principal, token, grid };
}

/**
 * The same without waiting, where the person is remembered; undefined means that it takes a wait. A promise for each request
 * is a fifth of what a kept answer costs. Throws like `grant`.
 */
function grantNow({ ports }: Services, route: Route, request: FastifyRequest): Granted | undefined {
  const { access } = route;
  if (access.kind === 'public') return { principal: undefined, token: undefined, grid: undefined };
  const token = bearerToken(request.headers.authorization);
  const principal = token === undefined ? undefined : ports.auth.remembered?.(token);
  if (principal === undefined) return undefined;
  requireSettled(principal, route);
  if (access.kind === 'anywhere') requireAnywhere(principal, access.role);
  if (access.kind !== 'role' || access.grid === 'body') return { principal, token, grid: undefined };
  if (access.grid === 'alert') return undefined;
  return { principal, token, grid: requireNamedGrid(ports, principal, access, named(request)) };
}

/** What a program says that passes a request on. */
const forwardingHeaders = ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip', 'cf-connecting-ip'];

const named = (request: FastifyRequest, body?: unknown) => ({
  params: (request.params ?? {}) as Record<string, string>,
  body,
});

/** A live channel: Origin first, then the token if the header has one; otherwise its first message brings it. */
async function admitLive(
  { ports }: Services,
  route: Route,
  request: FastifyRequest,
  trustedOrigins: readonly string[],
): Promise<void> {
  if (request.ws && !originAllowed(request.headers.origin, request.headers.host, trustedOrigins))
    throw new VillagridError('E_FORBIDDEN', 'A page of another origin may not open this channel.');
  if (request.ws && request.headers.authorization === undefined) return;
  const token = bearerToken(request.headers.authorization);
  const principal = await requirePrincipal(ports, token);
  requireSettled(principal, route);
  if (route.access.kind !== 'role') throw new TypeError(`route ${route.id} must declare a role`);
  const grid = await requireRole(ports, principal, route.access, named(request));
  request.granted = { principal, token, grid };
}

function answerer(route: Route, handler: AnyHandler, services: Services) {
  const checkParams = route.params === undefined ? undefined : compileCheck(route.params, 'path');
  const checkQuery = route.query === undefined ? undefined : compileCheck(route.query, 'query');
  const checkBody = route.body === undefined ? undefined : compileCheck(route.body, 'body');
  /** Sends what a handler gave; nothing waits for it. */
  const send = (reply: FastifyReply, result: unknown): void => {
    if (result instanceof StreamedAnswer)
      reply
        .type(result.contentType)
        .header('content-disposition', `attachment; filename="${result.fileName}"`)
        .send(Readable.from(result.parts, { objectMode: false, highWaterMark: 64 * 1024 }));
    else if (result instanceof Answer) reply.code(result.status).type(result.contentType).send(result.body);
    else reply.type('application/json; charset=utf-8').send(JSON.stringify(result));
  };
  // Not an async function: an answer that is there leaves in the same turn.
  return (request: FastifyRequest, reply: FastifyReply): void => {
    const granted = request.granted;
    if (granted === undefined) throw new VillagridError('E_FORBIDDEN', 'The access of this request was not checked.');
    const params = request.params as Record<string, string>;
    checkParams?.(params);
    const query =
      route.query === undefined ? undefined : coerceQuery(route.query, request.query as Record<string, unknown>);
    checkQuery?.(query);
    const body = route.body === undefined ? undefined : (request.body ?? {});
    checkBody?.(body);
    const answer = (grid: Granted['grid']): unknown =>
      withCorrelation(request.id, () =>
        handler({
          params,
          query,
          body,
          principal: granted.principal,
          token: granted.token ?? '',
          grid,
          remoteAddress: request.ip,
          hostname: request.hostname ?? '',
          isForwarded: forwardingHeaders.some((name) => request.headers[name] !== undefined),
          correlationId: request.id,
          services,
        } as unknown as Call<never>),
      );
    let result: unknown;
    if (route.access.kind === 'role' && granted.grid === undefined) {
      if (granted.principal === undefined)
        throw new VillagridError('E_LOGIN_REQUIRED', 'The request carries no token.');
      result = requireRole(services.ports, granted.principal, route.access, named(request, body)).then(answer);
    } else result = answer(granted.grid);
    if (result instanceof Promise)
      result
        .then((made: unknown) => send(reply, made))
        .catch((error: unknown) => reply.send(error instanceof Error ? error : new Error(messageOf(error))));
    else send(reply, result);
  };
}
