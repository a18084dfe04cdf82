/** Telling people who have no app open: how it does, and a test. */
import { VillagridError, type NotifyStatus } from '@villagrid/contracts';
import type { Handler, Services } from './handler.js';

export const notifyStatus: Handler<'notifyStatus'> = ({ services, params }): NotifyStatus =>
  services.ports.notify?.status() ?? { grid_id: params.grid_id, people: 0, waiting: 0, channels: [], recent: [] };

export const notifyTest: Handler<'notifyTest'> = ({ services, body }) =>
  portOf(services).test(body.channel, body.to ?? '');

function portOf({ ports }: Services) {
  if (ports.notify) return ports.notify;
  throw new VillagridError('E_REQUEST_INVALID', 'No way of telling people is set up on this server.', {
    next: 'Set notify in gateway.yaml of the gateway; docs/how-to/tell-people.md shows how.',
  });
}
