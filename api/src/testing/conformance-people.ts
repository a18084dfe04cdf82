/** The people of a conformance run, in the accounts of a real server. */
import { roles, type Role } from '@villagrid/contracts';
import type { Accounts } from '@villagrid/runtime';
import type { ConformanceServer } from './conformance-setting.js';

/** Adds one person per role on the grid, and one who is admin of another grid. */
export async function addConformancePeople(accounts: Accounts, gridId: string): Promise<ConformanceServer['people']> {
  const add = async (name: Role | 'foreign') => {
    const [role, grid] = name === 'foreign' ? (['admin', `not-${gridId}`] as const) : [name, gridId];
    const password = `long enough for ${name}`;
    const grants = [{ role, scope: { kind: 'grid' as const, grid_id: grid } }];
    await accounts.addUser({ username: name, displayName: `The ${name}`, password, grants });
    return [name, { username: name, password }] as const;
  };
  return Object.fromEntries(await Promise.all([...roles, 'foreign' as const].map(add))) as ConformanceServer['people'];
}
