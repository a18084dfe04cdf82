/** What this server is and how it is. */
import type { Discovery, Health } from '@villagrid/contracts';
import { Answer, type Handler } from './handler.js';

/** Version of this API; the app supports the present one and two before. */
export const apiVersion = 1;

export const discovery: Handler<'discovery'> = ({ services }): Discovery => {
  const { identity } = services.ports;
  return {
    kind: identity.kind,
    server_id: identity.serverId,
    grid_id: identity.gridId,
    api_version: apiVersion,
    build: identity.version,
    now_ms: Math.floor(services.clock.nowMs()),
    clock_trust: identity.clockTrust(),
    login: ['password'],
  };
};

export const health: Handler<'health'> = async ({ services }) => {
  const { identity } = services.ports;
  const { status, checks } = await services.ports.health.check();
  const document: Health = {
    status,
    kind: identity.kind,
    id: identity.serverId,
    version: identity.version,
    uptime_s: Math.round((services.realClock.monotonicMs() - services.startedMs) / 100) / 10,
    now_ms: Math.floor(services.clock.nowMs()),
    clock_trust: identity.clockTrust(),
    checks: checks.map((check) => ({ ...check })),
  };
  return new Answer(JSON.stringify(document), { status: status === 'down' ? 503 : 200 });
};

export const metrics: Handler<'metrics'> = ({ services }) => {
  const others = services.ports.health.prometheus();
  const text = services.counters.prometheus() + (others === '' || others.endsWith('\n') ? others : `${others}\n`);
  return new Answer(text, { contentType: 'text/plain; version=0.0.4; charset=utf-8' });
};

export const openapi: Handler<'openapi'> = ({ services }) => new Answer(services.openapi());
