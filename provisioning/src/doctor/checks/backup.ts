/** The last backup: there is one, and it is not old. */
import { existsSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { lastBackup, sizeOf } from '../../site/last-backup.js';
import { at, type Check } from '../check.js';

/** Days after which a backup counts as old; the timer makes one each night. */
const oldDays = 8;
const dayMs = 86_400_000;

export const backup: Check = {
  id: 'backup',
  title: 'Backup',
  async run({ config, configFile, path, realClock }) {
    if (basename(configFile) !== 'gateway.yaml')
      return [{ state: 'skipped', found: 'the cloud’s databases are backed up by other means' }];
    const data = path(String(at(config, 'data_dir') ?? 'data'));
    if (!existsSync(data) || !readdirSync(data).includes('log.db'))
      return [{ state: 'skipped', found: 'nothing measured yet' }];
    const next =
      'Put a stick in and run: villagrid backup /media/stick --folder …; docs/installers.md tells how to do it each night.';
    const last = lastBackup(configFile);
    if (last === undefined) return [{ state: 'warning', found: 'no backup was ever made', next }];
    const days = (realClock.nowMs() - last.made_at_ms) / dayMs;
    const found = `made ${days < 1 ? 'within the last day' : `${Math.floor(days)} days ago`}: ${last.file} (${sizeOf(last.bytes)})`;
    return days > oldDays ? [{ state: 'warning', found, next }] : [{ state: 'good', found }];
  },
};
