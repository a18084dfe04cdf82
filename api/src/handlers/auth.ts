/** Login, logout, who am I. */
import { highestRole, VillagridError, type LoginResponse, type Principal } from '@villagrid/contracts';
import type { Login } from '../ports.js';
import { requirePeople } from './people.js';
import type { Handler, Services } from './handler.js';

/** A person as the API shows them. */
export function userView(principal: Principal): LoginResponse['user'] {
  return {
    user_id: principal.user_id,
    username: principal.username,
    display_name: principal.display_name,
    role: highestRole(principal) ?? null,
    grants: principal.grants.map(({ role, scope }) => ({ role, scope: { ...scope } })),
    ...(principal.password_due === true ? { password_due: true } : {}),
  };
}

async function logIn(
  { ports }: Services,
  { username, password }: { readonly username: string; readonly password: string },
  remoteAddress: string,
): Promise<LoginResponse> {
  const login = await ports.auth.login(username, password, remoteAddress);
  if (login === undefined) throw new VillagridError('E_LOGIN_FAILED', 'No account has this name and password.');
  return loginView(login);
}

const loginView = (login: Login): LoginResponse => ({
  token: login.token,
  token_type: 'Bearer',
  expires_in_s: login.expiresInS,
  user: userView(login.principal),
});

export const choosePassword: Handler<'choosePassword'> = async ({ services, principal, body }) => {
  const { ports, clock } = services;
  const { user_id } = principal;
  const login = await requirePeople(ports).choosePassword(user_id, body.present, body.password, clock.nowMs());
  if (login === undefined)
    throw new VillagridError('E_FORBIDDEN', 'The present password is another one.', {
      next: 'Type the present one again.',
    });
  return loginView(login);
};

export const login: Handler<'login'> = ({ services, body, remoteAddress }) => logIn(services, body, remoteAddress);

export const legacyLogin: Handler<'legacyLogin'> = ({ services, body, remoteAddress }) =>
  logIn(services, body, remoteAddress);

export const logout: Handler<'logout'> = async ({ services, token }) => {
  await services.ports.auth.logout(token);
  services.endLive(token);
  return { ok: true };
};

export const me: Handler<'me'> = ({ principal }) => userView(principal);
