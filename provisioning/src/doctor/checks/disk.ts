/** The disk the data lies on: enough room, and writable. */
import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { at, type Check } from '../check.js';

/** Shares of the disk in use at which it is worth a warning, and bad. */
const warnPct = 85;
const badPct = 95;

export const disk: Check = {
  id: 'disk',
  title: 'Disk',
  async run({ config, path }) {
    const wanted = path(String(at(config, 'data_dir') ?? 'data'));
    const folder = existsSync(wanted) ? wanted : dirname(wanted);
    try {
      accessSync(folder, constants.W_OK);
    } catch {
      return [
        { state: 'bad', found: `${folder} cannot be written`, next: 'Give the service’s user the folder (chown).' },
      ];
    }
    const { bsize, blocks, bavail } = statfsSync(folder);
    const used = Math.round((1 - bavail / Math.max(1, blocks)) * 100);
    const free = Math.round((bavail * bsize) / 1e6);
    const found = `${used} % used, ${free} MB free`;
    if (used >= badPct)
      return [{ state: 'bad', found, next: 'Free space now: when it is full, new measurements cannot be kept.' }];
    return used >= warnPct ? [{ state: 'warning', found, next: 'Free space soon.' }] : [{ state: 'good', found }];
  },
};
