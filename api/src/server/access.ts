/** Who may call what: the one place that turns a route's declared access into an answer or an error. Deny by default. */
import {
  highestRole,
  mayOnGrid,
  roleIncludes,
  VillagridError,
  type Access,
  type Principal,
  type Role,
  type Route,
} from '@villagrid/contracts';
import type { ApiPorts, GridPort } from '../ports.js';

/** Longest token that is looked at; a longer one is nobody's. */
const longestToken = 4096;

/** What the access check found out, for the handler. */
export interface Granted {
  readonly principal: Principal | undefined;
  readonly token: string | undefined;
  readonly grid: GridPort | undefined;
}

/** Throws TypeError when a route of the table declares no access that this server can enforce. */
export function assertEnforceable(route: Route): void {
  const access = route.access as Access | undefined;
  if (access?.kind === 'public' || access?.kind === 'authenticated' || access?.kind === 'anywhere') return;
  const parameters = [...route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  const found =
    access?.kind === 'role' &&
    (access.grid === 'own' ||
      (access.grid === 'path' && parameters.includes('grid_id')) ||
      (access.grid === 'alert' && parameters.includes('alert_id')) ||
      (access.grid === 'body' && route.body !== undefined));
  if (!found)
    throw new TypeError(`route ${route.id} (${route.method} ${route.path}) declares no access it can be held to`);
}

/** The token of an Authorization header; undefined when there is none. */
export function bearerToken(header: string | undefined): string | undefined {
  const token = /^Bearer +([\x21-\x7e]+)$/i.exec(header ?? '')?.[1];
  return token === undefined || token.length > longestToken ? undefined : token;
}

/** The person behind a token. Throws E_LOGIN_REQUIRED. */
export async function requirePrincipal(ports: ApiPorts, token: string | undefined): Promise<Principal> {
  const principal =
    token === undefined || token.length > longestToken ? undefined : await ports.auth.authenticate(token);
  if (principal === undefined)
    throw new VillagridError(
      'E_LOGIN_REQUIRED',
      token === undefined ? 'The request carries no token.' : 'The token is unknown or its login has ended.',
    );
  return principal;
}

/** Throws E_FORBIDDEN for who holds a role nowhere. */
export function requireAnywhere(principal: Principal, role: Role): void {
  const highest = highestRole(principal);
  if (highest === undefined || !roleIncludes(highest, role))
    throw new VillagridError('E_FORBIDDEN', `This needs the role ${role}.`);
}

/** Calls that a person may make who has not chosen a password yet. */
const beforeAPassword: readonly string[] = ['choosePassword', 'logout', 'me'];

/** Throws E_PASSWORD_DUE for a person who came with a one-time word, except for choosing a password. */
export function requireSettled(principal: Principal, route: Pick<Route, 'id'>): void {
  if (principal.password_due === true && !beforeAPassword.includes(route.id))
    throw new VillagridError('E_PASSWORD_DUE', 'This login came by a one-time word.');
}

/** A grid this person holds a role on. Throws E_GRID_NOT_FOUND when they may not see it, E_FORBIDDEN when the role is too low. */
export function requireGrid(ports: ApiPorts, principal: Principal, role: Role, gridId: string): GridPort {
  const grid = ports.grids.get(gridId);
  if (grid === undefined || !mayOnGrid(principal, 'viewer', gridId, grid.site().organisation_id))
    throw new VillagridError('E_GRID_NOT_FOUND', 'There is no grid of this id that you may see.');
  if (!mayOnGrid(principal, role, gridId, grid.site().organisation_id))
    throw new VillagridError('E_FORBIDDEN', `This needs the role ${role} on grid ${gridId}.`);
  return grid;
}

/** Where a request names what it is about. */
export interface Named {
  readonly params: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** Enforces a role on a grid that the address names, or on the server's own. Throws like `requireGrid`. */
export function requireNamedGrid(
  ports: ApiPorts,
  principal: Principal,
  access: Extract<Access, { kind: 'role' }>,
  named: Named,
): GridPort {
  if (access.grid === 'path') return requireGrid(ports, principal, access.role, named.params.grid_id ?? '');
  const own = ports.identity.gridId;
  if (own === null)
    throw new VillagridError(
      'E_GRID_NOT_FOUND',
      'This server has no grid of its own; the prototype’s calls work at a gateway. Use /api/dashboard/summary/{grid_id}.',
    );
  return requireGrid(ports, principal, access.role, own);
}

/** Enforces a role declared in the table; the grid is found as the table says. */
export async function requireRole(
  ports: ApiPorts,
  principal: Principal,
  access: Extract<Access, { kind: 'role' }>,
  named: Named,
): Promise<GridPort> {
  switch (access.grid) {
    case 'path':
    case 'own':
      return requireNamedGrid(ports, principal, access, named);
    case 'body': {
      const gridId = (named.body as { grid_id?: unknown } | undefined)?.grid_id;
      return requireGrid(ports, principal, access.role, typeof gridId === 'string' ? gridId : '');
    }
    case 'alert': {
      const gridId = await ports.grids.gridOfAlert(named.params.alert_id ?? '');
      const grid = gridId === undefined ? undefined : ports.grids.get(gridId);
      if (grid === undefined || !mayOnGrid(principal, 'viewer', grid.gridId, grid.site().organisation_id))
        throw new VillagridError('E_ALERT_NOT_FOUND', 'There is no alert of this id that you may see.');
      return requireGrid(ports, principal, access.role, grid.gridId);
    }
  }
}
