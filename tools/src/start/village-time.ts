/** The village's time across starts: never backwards, real time whenever it can be. */
import { existsSync, readFileSync } from 'node:fs';
import { writePublic } from '@villagrid/provisioning';

/** How village time follows real time. */
export interface VillageTime {
  readonly real_epoch_ms: number;
  readonly village_epoch_ms: number;
  readonly speed: number;
}

/** Village time at a real time. */
export const villageNow = (time: VillageTime, realNowMs: number): number =>
  time.village_epoch_ms + (realNowMs - time.real_epoch_ms) * time.speed;

/** The mapping of a new start: goes on after the last moment the file knows. */
export function continueTime(file: string, speed: number, realNowMs: number): VillageTime {
  let last = 0;
  if (existsSync(file)) {
    try {
      last = Number((JSON.parse(readFileSync(file, 'utf8')) as { last_village_ms?: number }).last_village_ms ?? 0);
    } catch {
      last = 0;
    }
  }
  return { real_epoch_ms: realNowMs, village_epoch_ms: Math.max(realNowMs, last + 1000), speed };
}

/** Remembers how far the village's time has come. */
export function keepTime(file: string, time: VillageTime, realNowMs: number): void {
  writePublic(file, `${JSON.stringify({ ...time, last_village_ms: Math.round(villageNow(time, realNowMs)) })}\n`);
}
