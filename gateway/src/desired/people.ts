/** Brings the accounts of a gateway to what the document of people says. */
import type { DocumentBody, UserValue } from '@villagrid/contracts';
import type { Accounts } from '@villagrid/runtime';
import { peopleOf } from './in-force.js';

/** Accounts become what the document says; who was in `before` and is not now is shut out. Accounts it never named stay. */
export function applyPeople(accounts: Accounts, gridId: string, before: DocumentBody, body: DocumentBody): void {
  const present = peopleOf(accounts.list(), gridId);
  for (const [username, value] of Object.entries(body) as [string, UserValue][]) {
    const known = present[username] as UserValue | undefined;
    const { display_name: displayName, role, disabled } = value;
    const former = before[username] as UserValue | undefined;
    // One that was set in the village since stays.
    const passwordHash = value.password_hash === former?.password_hash ? undefined : value.password_hash;
    const isSame = known?.display_name === displayName && known.role === role && known.disabled === disabled;
    if (isSame && passwordHash === undefined) continue;
    accounts.put({
      username,
      displayName,
      grants: [{ role, scope: { kind: 'grid', grid_id: gridId } }],
      disabled,
      ...(passwordHash === undefined ? {} : { passwordHash }),
    });
  }
  for (const username of Object.keys(before))
    if (body[username] === undefined && present[username] !== undefined) accounts.disable(username);
}
