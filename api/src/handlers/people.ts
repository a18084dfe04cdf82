/** Accounts of people: an administrator adds, changes and shuts out those whose rights lie within their own. */
import {
  administers,
  highestRole,
  mayOnGrid,
  VillagridError,
  type AccountView,
  type AccountWithWord,
  type Grant,
  type OrganisationOf,
  type Principal,
} from '@villagrid/contracts';
import { makePassword } from '@villagrid/runtime';
import type { ApiPorts, PeoplePort, PersonAccount, PersonAct } from '../ports.js';
import { auditCsv, readAudit } from '../views/audit.js';
import { parseTime } from '../views/history-request.js';
import { StreamedAnswer, type Handler, type Services } from './handler.js';

/** Groups of a one-time word: 15 characters, about 74 bits, still told by telephone. */
const wordGroups = 3;
/** How long a one-time word is good, seconds. */
const wordLifeS = 7 * 24 * 3600;
/** Time of an audit that nobody asked further about, milliseconds. */
const auditPeriodMs = 30 * 86_400_000;

/** The accounts of this server. Throws E_NOT_IMPLEMENTED where they are kept by somebody else. */
export function requirePeople(ports: ApiPorts): PeoplePort {
  if (ports.people === undefined)
    throw new VillagridError('E_NOT_IMPLEMENTED', 'Accounts are not kept by this server; change them where they are.');
  return ports.people;
}

const organisationOf =
  (ports: ApiPorts): OrganisationOf =>
  (gridId) =>
    ports.grids.get(gridId)?.site().organisation_id;

const asPrincipal = ({ userId, username, displayName, grants }: PersonAccount): Principal => ({
  user_id: userId,
  username,
  display_name: displayName,
  grants,
});

/** An administrator at work: what they may see and change, by their rights of this moment. */
interface Administrator {
  readonly people: PeoplePort;
  readonly by: PersonAct;
  sees(account: PersonAccount): boolean;
  mayGive(grants: readonly Grant[]): boolean;
  view(account: PersonAccount): AccountView;
  /** Somebody whom they may change. Throws E_USER_NOT_FOUND, E_FORBIDDEN, E_CONFLICT for themselves. */
  changeable(userId: string): PersonAccount;
}

/**
 * Asks again for the rights of who asks: they may have gone since the request came. Nobody changes themselves, so that an
 * administrator is always left: the one who made the last change.
 */
function administrator({ ports, clock }: Services, { user_id }: Principal): Administrator {
  const people = requirePeople(ports);
  const asker = people.list().find(({ userId }) => userId === user_id);
  if (asker === undefined || asker.disabled || highestRole(asPrincipal(asker)) !== 'admin')
    throw new VillagridError('E_FORBIDDEN', 'This needs the role admin.');
  const own = asPrincipal(asker);
  const mayGive = (grants: readonly Grant[]) =>
    grants.every(({ scope }) => administers(own, scope, organisationOf(ports)));
  const everywhere = administers(own, { kind: 'everything' }, organisationOf(ports));
  // Who holds nothing anywhere is nobody's in particular.
  const covers = ({ grants }: PersonAccount) => mayGive(grants) && (grants.length > 0 || everywhere);
  const over = ports.grids.list().filter((grid) => mayOnGrid(own, 'admin', grid.gridId, grid.site().organisation_id));
  const sees = (account: PersonAccount) =>
    account.userId === user_id ||
    covers(account) ||
    over.some((grid) => mayOnGrid(asPrincipal(account), 'viewer', grid.gridId, grid.site().organisation_id));
  const mayChange = (account: PersonAccount) => account.userId !== user_id && covers(account);
  return {
    people,
    by: { actor: { user_id, name: asker.displayName }, atMs: Math.floor(clock.nowMs()) },
    sees,
    mayGive,
    view: (account) => ({
      user_id: account.userId,
      username: account.username,
      display_name: account.displayName,
      role: highestRole(asPrincipal(account)) ?? null,
      grants: account.grants.map(({ role, scope }) => ({ role, scope: { ...scope } })),
      disabled: account.disabled,
      password_due: account.passwordDue,
      created_at_ms: account.createdAtMs,
      self: account.userId === user_id,
      may_change: mayChange(account),
    }),
    changeable(userId) {
      const account = people.list().find((one) => one.userId === userId);
      if (account === undefined || !sees(account))
        throw new VillagridError('E_USER_NOT_FOUND', 'There is no person of this id that you may see.');
      if (userId === user_id)
        throw new VillagridError(
          'E_CONFLICT',
          'Nobody changes their own account here, so that nobody shuts themselves out; another administrator does.',
          { next: 'Ask another administrator.' },
        );
      if (!mayChange(account))
        throw new VillagridError('E_FORBIDDEN', 'This person also has rights where you are not an administrator.');
      return account;
    },
  };
}

function requireGivable({ mayGive }: Administrator, grants: readonly Grant[]): void {
  if (!mayGive(grants))
    throw new VillagridError('E_FORBIDDEN', 'A role is given only where you are an administrator yourself.');
  if (grants.length === 0)
    throw new VillagridError('E_REQUEST_INVALID', 'body.grants must hold a role; to shut somebody out, disable them.');
}

const again = ({ people }: Administrator, userId: string): PersonAccount =>
  people.list().find((one) => one.userId === userId) as PersonAccount;

export const users: Handler<'users'> = ({ services, principal }) => {
  const admin = administrator(services, principal);
  return {
    now_ms: Math.floor(services.clock.nowMs()),
    users: admin.people.list().filter(admin.sees).map(admin.view),
  };
};

export const addUser: Handler<'addUser'> = async ({ services, principal, body }): Promise<AccountWithWord> => {
  const admin = administrator(services, principal);
  requireGivable(admin, body.grants);
  const word = makePassword(services.random, wordGroups);
  const added = await admin.people.addUser(
    {
      username: body.username,
      displayName: body.display_name,
      password: word,
      grants: body.grants,
      oneTime: true,
    },
    admin.by,
  );
  return { user: admin.view(added), one_time_word: word, word_life_s: wordLifeS };
};

export const changeUser: Handler<'changeUser'> = ({ services, principal, params, body }) => {
  const admin = administrator(services, principal);
  const account = admin.changeable(params.user_id);
  if (body.grants !== undefined) {
    requireGivable(admin, body.grants);
    admin.people.setGrants(account.username, body.grants, admin.by);
  }
  if (body.disabled !== undefined && body.disabled !== account.disabled) {
    if (body.disabled) admin.people.disable(account.username, admin.by);
    else admin.people.enable(account.username, admin.by);
  }
  return admin.view(again(admin, account.userId));
};

export const giveWord: Handler<'giveWord'> = async ({ services, principal, params }): Promise<AccountWithWord> => {
  const admin = administrator(services, principal);
  const account = admin.changeable(params.user_id);
  const word = makePassword(services.random, wordGroups);
  await admin.people.setOneTimeWord(account.username, word, admin.by);
  return { user: admin.view(again(admin, account.userId)), one_time_word: word, word_life_s: wordLifeS };
};

export const assignees: Handler<'assignees'> = ({ services, grid }) => ({
  grid_id: grid.gridId,
  people: requirePeople(services.ports)
    .list()
    .filter(
      (account) =>
        !account.disabled && mayOnGrid(asPrincipal(account), 'operator', grid.gridId, grid.site().organisation_id),
    )
    .map(({ userId, displayName }) => ({ user_id: userId, name: displayName }))
    .sort((a, b) => a.name.localeCompare(b.name)),
});

export const audit: Handler<'audit'> = async ({ services, principal, grid, query }) => {
  const { ports, clock } = services;
  const nowMs = Math.floor(clock.nowMs());
  const { zone, organisation_id } = grid.site();
  const toMs = query.to === undefined ? nowMs + 1 : parseTime(query.to, 'to', zone);
  const fromMs = query.from === undefined ? toMs - auditPeriodMs : parseTime(query.from, 'from', zone);
  if (fromMs >= toMs) throw new VillagridError('E_REQUEST_INVALID', 'query.from must be before query.to.');
  const found = await readAudit({
    grid,
    people: (ports.people?.audit(fromMs, toMs) ?? []).filter(
      ({ grants, grantsBefore }) =>
        administers(principal, { kind: 'everything' }, organisationOf(ports)) ||
        [grants, grantsBefore].some((one) =>
          mayOnGrid(
            { user_id: '', username: '', display_name: '', grants: one },
            'viewer',
            grid.gridId,
            organisation_id,
          ),
        ),
    ),
    fromMs,
    toMs,
    area: query.area,
    search: query.search,
  });
  if (query.format === 'csv')
    return new StreamedAnswer(
      auditCsv(found.entries, zone),
      'text/csv; charset=utf-8',
      `villagrid_audit_${grid.gridId}.csv`,
    );
  return { grid_id: grid.gridId, now_ms: nowMs, from_ms: fromMs, to_ms: toMs, ...found };
};
