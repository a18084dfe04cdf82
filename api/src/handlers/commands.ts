/** Remote commands: what devices can be told, and what became of it. */
import { mayOnGrid, VillagridError, type Role } from '@villagrid/contracts';
import type { Handler } from './handler.js';

export const command: Handler<'command'> = ({ grid, principal, params, body }) => {
  if (!grid.commands)
    throw new VillagridError('E_COMMANDS_OFF', 'Commands are sent in the village, at the gateway itself.');
  return grid.commands.request({
    deviceId: params.device_id,
    command: body.command,
    value: body.value,
    confirmation: body.confirmation,
    expiresInS: body.expires_in_s,
    actor: { user_id: principal.user_id, name: principal.display_name },
    holds: (role) => mayOnGrid(principal, role, grid.gridId, grid.site().organisation_id),
  });
};

export const commands: Handler<'commands'> = ({ grid, principal }) => {
  const { enabled, offers, records } = grid.commands?.list() ?? { enabled: false, offers: [], records: [] };
  const holds = (role: string) => mayOnGrid(principal, role as Role, grid.gridId, grid.site().organisation_id);
  return { grid_id: grid.gridId, enabled, offers: offers.filter(({ role }) => holds(role)), records };
};
