/** Who may do what: the one table of roles and scopes. */

/** Roles, each with all rights of the one before. */
export const roles = ['viewer', 'operator', 'installer', 'admin'] as const;
export type Role = (typeof roles)[number];

/** What a person is, in words. */
export const roleMeanings: Readonly<Record<Role, string>> = {
  viewer: 'sees everything of the grids in scope',
  operator: 'acknowledges, notes, shelves, assigns, switches maintenance mode, offers the clock, exports',
  installer: 'manages devices, wiring, profiles, rules and limits, backups, commands a profile allows',
  admin: 'manages users, roles, grids, settings, certificates and reads the audit',
};

/** Where a role holds. */
export type Scope =
  | { readonly kind: 'grid'; readonly grid_id: string }
  | { readonly kind: 'organisation'; readonly organisation_id: string }
  | { readonly kind: 'everything' };

/** One role in one scope. */
export interface Grant {
  readonly role: Role;
  readonly scope: Scope;
}

/** An authenticated person. */
export interface Principal {
  readonly user_id: string;
  readonly username: string;
  readonly display_name: string;
  readonly grants: readonly Grant[];
  /** Came with a one-time word: may choose a password and do nothing else. */
  readonly password_due?: true;
}

/** Whether `role` includes everything `needed` allows. */
export function roleIncludes(role: Role, needed: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(needed);
}

/** Whether a principal holds at least `needed` for a grid of an organisation. */
export function mayOnGrid(principal: Principal, needed: Role, gridId: string, organisationId?: string): boolean {
  return principal.grants.some(
    ({ role, scope }) =>
      roleIncludes(role, needed) &&
      (scope.kind === 'everything' ||
        (scope.kind === 'grid' && scope.grid_id === gridId) ||
        (scope.kind === 'organisation' && organisationId !== undefined && scope.organisation_id === organisationId)),
  );
}

/** The highest role a principal holds anywhere; undefined without grants. */
export function highestRole(principal: Principal): Role | undefined {
  return principal.grants.map((grant) => grant.role).sort((a, b) => roles.indexOf(b) - roles.indexOf(a))[0];
}

/** Whether a principal is admin over all of a scope, so that they may give roles in it. */
export function administers(
  principal: Pick<Principal, 'grants'>,
  scope: Scope,
  organisationOf: OrganisationOf,
): boolean {
  return principal.grants.some(({ role, scope: own }) => {
    if (role !== 'admin') return false;
    if (own.kind === 'everything') return true;
    if (scope.kind === 'everything') return false;
    if (own.kind === 'grid') return scope.kind === 'grid' && scope.grid_id === own.grid_id;
    const organisation = scope.kind === 'organisation' ? scope.organisation_id : organisationOf(scope.grid_id);
    return organisation === own.organisation_id;
  });
}

/** The organisation of a grid; undefined for one that has none or is not known. */
export type OrganisationOf = (gridId: string) => string | undefined;
