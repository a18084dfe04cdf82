/** Logins of several servers behind one address: the village's gateway at home, the cloud elsewhere. Pure. */
import type { SavedLogin } from '../local/database.js';

/** Whether a login may call its server; one whose token ended only says who it was. */
export const valid = (login: SavedLogin | null): login is SavedLogin => login !== null && login.token !== '';

/** A login whose token ended: the person stays known, so that what they do meanwhile is kept under their name. */
export const ended = (login: SavedLogin): SavedLogin => ({ ...login, token: '' });

/**
 * The login to use at the server that answers now. Each server has its own token and never gets another's: without one
 * the person stays known and is asked to log in.
 */
export function loginAt(
  serverId: string,
  present: SavedLogin | null,
  kept: ReadonlyMap<string, SavedLogin>,
): SavedLogin | null {
  return kept.get(serverId) ?? (present === null ? null : { ...ended(present), server_id: serverId, elsewhere: true });
}
