/** The databases: they open, and SQLite's own check finds nothing. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '@villagrid/runtime';
import { at, type Check, type Finding } from '../check.js';
import { messageOf } from '@villagrid/contracts';

export const databases: Check = {
  id: 'databases',
  title: 'Databases',
  async run({ config, path }) {
    const folder = path(String(at(config, 'data_dir') ?? 'data'));
    const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.db')) : [];
    if (files.length === 0) return [{ state: 'skipped', found: 'no database yet: the server has not run' }];
    return files.map((name): Finding => {
      try {
        const database = openDatabase({ path: join(folder, name), migrations: [], readonly: true });
        try {
          const answer = database.pragma('quick_check', { simple: true });
          return answer === 'ok'
            ? { state: 'good', found: `${name}: sound` }
            : {
                state: 'bad',
                found: `${name}: ${String(answer)}`,
                next: 'Stop the server and restore a backup; keep the broken file.',
              };
        } finally {
          database.close();
        }
      } catch (error) {
        return {
          state: 'bad',
          found: `${name}: ${messageOf(error)}`,
          next: 'Check the file’s owner and the disk.',
        };
      }
    });
  },
};
