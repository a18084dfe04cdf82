/** Documents a grid is to have: read, changed with the revision they are based on, and their history. */
import {
  bodyProblem,
  documentKinds,
  mayOnGrid,
  VillagridError,
  type DocumentName,
  type Principal,
} from '@villagrid/contracts';
import type { DesiredPort, GridPort } from '../ports.js';
import { problemDocument, problemType } from '../server/problem.js';
import { Answer, type Handler } from './handler.js';

function portOf(grid: GridPort): DesiredPort {
  if (!grid.desired) throw new VillagridError('E_NOT_FOUND', `This server keeps no documents of grid ${grid.gridId}.`);
  return grid.desired;
}

/** Documents of people need more than others. Throws E_FORBIDDEN. */
function requireRoleOf(name: DocumentName, grid: GridPort, principal: Principal): void {
  const { role } = documentKinds[name];
  if (!mayOnGrid(principal, role, grid.gridId, grid.site().organisation_id))
    throw new VillagridError('E_FORBIDDEN', `The document "${name}" needs the role ${role} on grid ${grid.gridId}.`);
}

export const desiredList: Handler<'desiredList'> = ({ grid }) => ({
  grid_id: grid.gridId,
  documents: portOf(grid).list(),
});

export const desired: Handler<'desired'> = ({ grid, principal, params, query }) => {
  requireRoleOf(params.name, grid, principal);
  const found = portOf(grid).get(params.name, query.rev);
  if (found === undefined)
    throw new VillagridError(
      'E_NOT_FOUND',
      `There is no revision ${query.rev} of "${params.name}"; the newest 50 are kept.`,
    );
  return found;
};

export const desiredHistory: Handler<'desiredHistory'> = ({ grid, principal, params }) => {
  requireRoleOf(params.name, grid, principal);
  return { grid_id: grid.gridId, name: params.name, revisions: portOf(grid).history(params.name) };
};

export const putDesired: Handler<'putDesired'> = async ({ grid, principal, params, body, correlationId }) => {
  requireRoleOf(params.name, grid, principal);
  const { password, rest } = withoutPasswords(params.name, body.body);
  const problem = bodyProblem(params.name, rest);
  if (problem !== undefined)
    throw new VillagridError('E_REQUEST_INVALID', `body${problem.startsWith('/') ? problem : `: ${problem}`}.`);
  const actor = { user_id: principal.user_id, name: principal.display_name };
  const outcome = await portOf(grid).put(params.name, { basedOn: body.based_on, body: rest, password, actor });
  if (outcome.ok) return outcome.document;
  const { present } = outcome;
  const detail = `The document is at revision ${present.rev}, not ${body.based_on}; "present" is what is there, "yours" what you sent.`;
  return new Answer(JSON.stringify({ ...problemDocument('E_CONFLICT', detail, correlationId), present, yours: rest }), {
    status: 409,
    contentType: problemType,
  });
};

/** Each costs the server a tenth of a second. */
const mostPasswords = 20;

/** New passwords of people, apart from what is kept as it is. Throws E_REQUEST_INVALID. */
function withoutPasswords(name: DocumentName, body: Readonly<Record<string, unknown>>) {
  const password = new Map<string, string>();
  if (name !== 'users') return { password, rest: body };
  const rest: Record<string, unknown> = {};
  for (const [id, value] of Object.entries(body)) {
    if (typeof value !== 'object' || value === null) {
      rest[id] = value;
      continue;
    }
    const { password: given, ...other } = value as Record<string, unknown>;
    if ('password_hash' in other)
      throw new VillagridError('E_REQUEST_INVALID', `body/${id}/password_hash is kept here alone; give a password.`);
    if (given !== undefined) {
      if (typeof given !== 'string' || given.length < 8 || given.length > 1024)
        throw new VillagridError('E_REQUEST_INVALID', `body/${id}/password must have 8 to 1024 characters.`);
      password.set(id, given);
    }
    rest[id] = other;
  }
  if (password.size > mostPasswords)
    throw new VillagridError('E_REQUEST_INVALID', `At most ${mostPasswords} passwords can be set at a time.`);
  return { password, rest };
}
