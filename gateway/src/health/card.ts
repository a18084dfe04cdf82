/** What the gateway tells of its own disk and card. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { diskUsedPct } from './health.js';

/** Part of the life of the box's cards that is used up, per cent, the worst; undefined where none tells (SD cards do not). */
export function cardLifeUsedPct(root = '/sys/block'): number | undefined {
  let worst: number | undefined;
  try {
    for (const name of readdirSync(root).filter((one) => one.startsWith('mmcblk'))) {
      // Two kinds of memory, each in tenths of its life, rounded up: "0x02 0x01"; 0x00 says nothing.
      const tenths = readFileSync(join(root, name, 'device/life_time'), 'utf8')
        .trim()
        .split(/\s+/)
        .map(Number);
      const used = Math.max(0, ...tenths.filter((one) => one > 0 && one <= 11));
      if (used > 0) worst = Math.max(worst ?? 0, used * 10);
    }
  } catch {
    // No such memory, or one that does not tell.
  }
  return worst;
}

/** As HELLO carries it. */
export function storageFigures(dataDir: string): { disk_used_pct?: number; card_life_used_pct?: number } {
  const [disk, card] = [diskUsedPct(dataDir), cardLifeUsedPct()];
  return {
    ...(disk === undefined ? {} : { disk_used_pct: Math.round(disk * 10) / 10 }),
    ...(card === undefined ? {} : { card_life_used_pct: card }),
  };
}
