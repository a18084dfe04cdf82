/**
 * How long this server has run in all its lives, milliseconds. The life of a login is counted in it: a village box whose
 * clock jumps from 2020 to today (or back) must neither end every login nor make one last for years.
 */
import type { Clock } from '@villagrid/contracts';
import type { SqliteDatabase } from '../sqlite/open.js';

/** Written at most this often, so that looking after logins does not wear the card. */
const writeEveryMs = 10 * 60 * 1000;

/** Running time, kept in table `account_running_time`. */
export interface RunningTime {
  nowMs(): number;
  /** Keeps the present time when the last kept one is old enough, or when `force`. */
  keep(force?: boolean): void;
}

/** Starts counting where the last life of the server stopped writing. */
export function createRunningTime(database: SqliteDatabase, clock: Clock): RunningTime {
  const read = database.prepare<[], number>('SELECT elapsed_ms FROM account_running_time').pluck();
  // Another process (the command line) may have the database open too: time never goes back.
  const write = database.prepare<[number]>('UPDATE account_running_time SET elapsed_ms = max(elapsed_ms, ?)');
  const atStart = read.get() ?? 0;
  const startedMs = clock.monotonicMs();
  let keptMs = atStart;
  const nowMs = () => atStart + Math.floor(clock.monotonicMs() - startedMs);
  return {
    nowMs,
    keep(force = false) {
      const now = nowMs();
      if (!force && now - keptMs < writeEveryMs) return;
      keptMs = now;
      try {
        write.run(now);
      } catch (error) {
        // A card that takes nothing shuts nobody out: this life's time is right, and is kept the next time.
        if (force) throw error;
      }
    },
  };
}
