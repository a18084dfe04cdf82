/** Somebody can log in, and somebody can administer. */
import { existsSync } from 'node:fs';
import { highestRole } from '@villagrid/contracts';
import { createLogger, cryptoRandom } from '@villagrid/runtime';
import { settingsDatabase, withAccounts } from '../../site/people.js';
import { at, type Check } from '../check.js';

export const people: Check = {
  id: 'people',
  title: 'People',
  async run({ config, path, configFile, realClock }) {
    if (!existsSync(path(`${String(at(config, 'data_dir') ?? 'data')}/${settingsDatabase}`))) {
      return [
        { state: 'warning', found: 'nobody can log in yet', next: 'Add somebody: villagrid user add --role admin …' },
      ];
    }
    const log = createLogger({ name: 'doctor', level: 'error', clock: realClock });
    return withAccounts(configFile, { realClock, random: cryptoRandom(), log }, async (accounts) => {
      const active = accounts.list().filter((one) => !one.disabled);
      const admins = active.filter(
        (one) => highestRole({ user_id: '', username: '', display_name: '', grants: one.grants }) === 'admin',
      );
      const found = `${active.length} can log in, ${admins.length} of them as admin`;
      return admins.length === 0
        ? [{ state: 'warning', found, next: 'Add an admin: villagrid user add --role admin …' }]
        : [{ state: 'good', found }];
    });
  },
};
