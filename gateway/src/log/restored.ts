/**
 * A restored log goes on in a new epoch: the box it comes from may have written, and the cloud may have taken, other frames
 * under the numbers that come next. Numbers in the file go on as they were, so that cursors, states and what was put right
 * stay true; on the wire each epoch counts from 1.
 */
import { encodeFrame, newId, type Clock, type RandomSource } from '@villagrid/contracts';
import type { SqliteDatabase } from '@villagrid/runtime';
import { readJournal } from './journal.js';
import { committedAfter } from './journal-record.js';
import type { DurableLog } from './log.js';
import { LogTables, sealed } from './log-tables.js';
import { epochFrame } from './epoch-frame.js';
import { packFrame } from './packed.js';

/** An epoch that ended with a restore: its frames in this file go up to `last`, numbered as the file numbers them. */
export interface FormerEpoch {
  readonly epoch: string;
  readonly last: number;
}

const formerState = 'former_epochs';

/** The epochs before the present one whose frames are in the file, oldest first. */
export function formerEpochs(log: Pick<DurableLog, 'state'>): readonly FormerEpoch[] {
  const kept = log.state(formerState);
  return kept ? (JSON.parse(kept.value) as FormerEpoch[]) : [];
}

/**
 * Where a log ends whose files were copied one after the other, the journal before the tables, and how
 * many frames there are from its first gap on, because it was written while it was copied. Throws when it has no epoch.
 */
export function endOfCopy(
  database: SqliteDatabase,
  journalPath: string,
): { readonly epoch: string; readonly newest: number; readonly after: number } {
  const tables = new LogTables(database);
  const epoch = tables.epoch();
  if (epoch === undefined) throw new Error('the log has no epoch');
  const newest = tables.newest();
  const records = readJournal(journalPath)?.records ?? [];
  const more = (fromCopy: boolean) => committedAfter(records, { epoch, newest, fromCopy }).length;
  return { epoch, newest: newest + more(true), after: more(false) - more(true) };
}

/** What a restore began. */
export interface RestoredEpoch {
  readonly epoch: string;
  readonly previousEpoch: string;
  /** Last number of the former epoch, as the cloud knows it. */
  readonly previousLastNumber: number;
}

/**
 * Begins the new epoch in the file of a log that nobody has open, all or nothing. The file has the tables of `logMigrations`
 * and everything that was committed. Throws when it has no epoch.
 */
export function beginRestoredEpoch(
  database: SqliteDatabase,
  { clock, random }: { readonly clock: Clock; readonly random: RandomSource },
): RestoredEpoch {
  const tables = new LogTables(database);
  const previousEpoch = tables.epoch();
  if (previousEpoch === undefined) throw new Error('the log has no epoch');
  const nowMs = Math.round(clock.nowMs());
  const epoch = newId(nowMs, random);
  const last = tables.newest();
  const kept = database.prepare<[string], string>('SELECT value FROM state WHERE name = ?').pluck().get(formerState);
  const earlier = kept === undefined ? [] : (JSON.parse(kept.slice(kept.indexOf(' ') + 1)) as FormerEpoch[]);
  const previousLastNumber = last - (earlier.at(-1)?.last ?? 0);
  const entry = epochFrame(
    { epoch, previous_epoch: previousEpoch, previous_last_number: previousLastNumber, reason: 'restored' },
    nowMs,
    random,
  );
  database
    .transaction(() => {
      // One row: which epoch is the present one is no question of what a clock said.
      database.prepare('DELETE FROM epoch').run();
      database.prepare('INSERT INTO epoch VALUES (?, ?)').run(epoch, nowMs);
      database
        .prepare('INSERT OR REPLACE INTO state VALUES (?, ?, ?)')
        .run(formerState, last, sealed(JSON.stringify([...earlier, { epoch: previousEpoch, last }])));
      database.prepare('INSERT INTO frame VALUES (?, NULL, NULL, ?)').run(last + 1, packFrame(encodeFrame(entry)));
    })
    .immediate();
  return { epoch, previousEpoch, previousLastNumber };
}

/** What this needs of a store of history. */
export interface HistoryOfEpochs {
  cursor(source: string, epoch: string): number;
  appliedRanges(source: string, epoch: string): readonly (readonly [number, number])[];
  skipNumbers(source: string, epoch: string, first: number, last: number): void;
}

/** Tells a restored history, once, that it has the frames of the former epoch already: they keep their numbers in the new one. */
export function settleRestored(
  log: Pick<DurableLog, 'epoch' | 'state'>,
  history: HistoryOfEpochs,
  gatewayId: string,
): void {
  const former = formerEpochs(log).at(-1);
  if (former === undefined || history.cursor(gatewayId, log.epoch) > 0) return;
  for (const [first, last] of history.appliedRanges(gatewayId, former.epoch))
    history.skipNumbers(gatewayId, log.epoch, Math.max(1, first), Math.min(last, former.last));
}
