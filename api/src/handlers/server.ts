/** What this server is and how it is. */
import { standsAlone, VillagridError, type Discovery, type Health } from '@villagrid/contracts';
import { isOwnName, isPrivateAddress } from '../server/private-address.js';
import { alertView } from '../views/alerts.js';
import { noVillagePage, plainPage } from '../views/plain-page.js';
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

export const plain: Handler<'plain'> = async ({ services, remoteAddress, hostname, isForwarded }) => {
  const contentType = 'text/html; charset=utf-8';
  const { gridId } = services.ports.identity;
  const grid = gridId === null ? undefined : services.ports.grids.get(gridId);
  if (grid === undefined) return new Answer(noVillagePage, { contentType });
  // Behind a proxy everybody comes from this machine, and a foreign name may have been bent to a private address.
  if (!isPrivateAddress(remoteAddress) || isForwarded || !isOwnName(hostname))
    throw new VillagridError('E_FORBIDDEN', 'The plain page is for the network of the village.');
  const board = services.board(grid);
  const [summary, active] = await Promise.all([board.summary(), board.active()]);
  const open = active.filter(standsAlone).map((alert) => alertView(alert, summary.now_ms));
  return new Answer(plainPage(summary, open), { contentType });
};

export const metrics: Handler<'metrics'> = ({ services }) => {
  const others = services.ports.health.prometheus();
  const text = services.counters.prometheus() + (others === '' || others.endsWith('\n') ? others : `${others}\n`);
  return new Answer(text, { contentType: 'text/plain; version=0.0.4; charset=utf-8' });
};

export const openapi: Handler<'openapi'> = ({ services }) => new Answer(services.openapi());
