/**
 * The file of the log and what shares its commits: opened right, opened anew after the card failed, checkpointed apart
 * from the commits, so that a failing checkpoint is heard of instead of being swallowed by the one that set it off.
 */
import { closeSync, existsSync, fsyncSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { VillagridError, type AlertEvent } from '@villagrid/contracts';
import {
  createAlertStore,
  damageOf,
  markClean,
  openDatabase,
  secureDatabase,
  wasClosedCleanly,
  type AlertStore,
  type Rescue,
  type SqliteDatabase,
} from '@villagrid/runtime';
import { cacheKib, sayIfUncopied } from './data-folder.js';
import { openLog, type DurableLog, type DurableLogOptions, type EventTables } from './log.js';
import { readJournal, type FoundJournal } from './journal.js';
import { LogTables } from './log-tables.js';
import { OverlaidAlerts } from './overlaid-alerts.js';
import { salvageLog } from './salvage.js';

/** Pages in the write-ahead log that are copied into the file together: 4 MB. */
const checkpointPages = 1000;
/** Pages it grows by before a checkpoint that could not finish is tried again. */
const checkpointAgainPages = 128;
/** Commits between two looks at it. */
const lookEvery = 8;

export interface LogStoreOptions extends Omit<DurableLogOptions, 'database' | 'reopen' | 'journal' | 'events'> {
  /** File of the log. */
  readonly path: string;
  /** Folder for a damaged file; `quarantine` beside it when left out. */
  readonly quarantine?: string;
  /** Size of the journal before the tables, bytes; 0 or left out, there is none. */
  readonly journalBytes?: number;
  /**
   * The files are copies that were made one after the other while the log was written, the journal first: where it has a
   * gap, it ended.
   */
  readonly fromCopy?: boolean;
  /** For tests, the control: commits count before the journal is synced. */
  readonly late?: boolean;
  /** For tests: another number of pages in the write-ahead log that are copied into the file together. */
  readonly checkpointPages?: number;
  /** For tests: called with each opening of the database. */
  readonly onOpen?: (database: SqliteDatabase) => void;
}

/** The log, and the alerts that are kept in its commits. */
export interface LogStore {
  readonly log: DurableLog;
  readonly alertStore: AlertStore;
  /** What was set aside when it was opened. */
  readonly rescue: Rescue | undefined;
  /** The present opening of the file: another one after the card failed. */
  database(): SqliteDatabase;
  /** Size of the write-ahead log now, bytes. */
  walBytes(): number;
  /** Commits what waits and closes the file. */
  close(): Promise<void>;
}

/**
 * Opens the file of the log, made when missing. A damaged one is set aside, and what can be read of it goes into a new
 * one with a new epoch. Throws E_STORE_OPEN.
 */
export function openLogStore(options: LogStoreOptions): LogStore {
  const { path, clock, random } = options;
  const wasClean = wasClosedCleanly(path) || options.fromCopy === true;
  const found = readJournal(journalOf(path));
  const secure = (damage?: string) =>
    secureDatabase({
      path,
      quarantine: options.quarantine ?? join(dirname(path), 'quarantine'),
      nowMs: clock.nowMs(),
      log: options.log,
      ...(damage === undefined ? {} : { damage }),
      identity: (database) =>
        database.prepare<[], string>('SELECT epoch FROM epoch ORDER BY made_at_ms DESC LIMIT 1').pluck().get(),
      salvage(into, damaged) {
        const { frames, lastNumber } = salvageLog(into, damaged, {
          clock,
          random,
          journal: found?.records ?? [],
        });
        options.log.warn('frames of a damaged log were taken over', { frames, last_number: lastNumber });
      },
    });
  const rescue = secure();
  try {
    return openSecured(options, { rescue, found, lossy: rescue === undefined && !wasClean });
  } catch (error) {
    // Closed in good order, and damaged since: the card forgets what it holds.
    const damage = error instanceof JournalLost ? error.message : damageOf(error);
    if (damage === undefined) throw error;
    return openSecured(options, { rescue: secure(damage), found, lossy: false });
  }
}

/** The file is whole, and the journal before it is not. */
class JournalLost extends Error {}

/**
 * Brings what the journal of a log holds into its database and removes it, for a log that nobody has open. `fromCopy`
 * when the files are copies made while it was written. Gives what was set aside, if anything.
 */
export async function emptyJournal(
  path: string,
  options: Pick<LogStoreOptions, 'clock' | 'random' | 'log' | 'fromCopy'>,
): Promise<Rescue | undefined> {
  const store = openLogStore({
    ...options,
    path,
    realClock: options.clock,
    trust: () => 'floor',
    holdMs: 0,
    maxSamples: 1,
    maxBytes: 1,
  });
  await store.close();
  return store.rescue;
}

/** The journal before the log of a file. */
export const journalOf = (path: string): string => join(dirname(path), `${basename(path, '.db')}.journal`);

/**
 * What is lost of the journal that a log needs after a stop that was not clean; undefined when nothing is. Its numbers may
 * have been seen by the cloud: they must not be given again in the same epoch.
 */
function lossOf(database: SqliteDatabase, found: FoundJournal | undefined): string | undefined {
  if (database.prepare("SELECT name FROM sqlite_schema WHERE name = 'cursor'").get() === undefined) return undefined;
  const tables = new LogTables(database);
  const epoch = tables.epoch();
  if (!tables.hasJournal() || epoch === undefined) return undefined;
  if (!found) return 'the journal before it is gone';
  if (found.damage !== undefined) return `the journal before it is damaged: ${found.damage}`;
  return found.head?.epoch === epoch ? undefined : 'the journal before it belongs to another log';
}

/**
 * Writes a file's own content to it once more and syncs that. After a failed sync the system takes what it did not write
 * for written: what is appended and synced afterwards would follow a gap.
 */
function writeAgain(path: string): void {
  if (!existsSync(path)) return;
  const file = openSync(path, 'r+');
  try {
    const piece = Buffer.alloc(256 * 1024);
    for (let at = 0; ; ) {
      const length = readSync(file, piece, 0, piece.length, at);
      if (length === 0) break;
      for (let done = 0; done < length; ) done += writeSync(file, piece, done, length - done, at + done);
      at += length;
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

interface Secured {
  readonly rescue: Rescue | undefined;
  readonly found: FoundJournal | undefined;
  /** Whether the log may have needed the journal as it was found. */
  readonly lossy: boolean;
}

function openSecured(options: LogStoreOptions, { rescue, found, lossy }: Secured): LogStore {
  const { path, realClock, journalBytes = 0, late = false } = options;
  const limitPages = options.checkpointPages ?? checkpointPages;
  const open = (): SqliteDatabase => {
    const fresh = openDatabase({ path, cacheKib });
    // By hand below: SQLite's own checkpoint hides its failure.
    fresh.pragma('wal_autocheckpoint = 0');
    options.onOpen?.(fresh);
    return fresh;
  };
  let database = open();
  const make = <T>(what: () => T): T => {
    try {
      return what();
    } catch (error) {
      database.close();
      throw error;
    }
  };
  const loss = lossy ? make(() => lossOf(database, found)) : undefined;
  if (loss !== undefined) {
    database.close();
    throw new JournalLost(loss);
  }
  let alerts = make(() => createAlertStore({ database }));
  const overlaid = new OverlaidAlerts({
    list: (gridId, query) => alerts.list(gridId, query),
    get: (alertId) => alerts.get(alertId),
    gridOfAlert: (alertId) => alerts.gridOfAlert(alertId),
    events: (alertId) => alerts.events(alertId),
    records: (gridId) => alerts.records(gridId),
  });
  const events: EventTables = {
    waiting(all) {
      for (const event of all) overlaid.add(event);
    },
    store(all) {
      for (const event of all) keep(event);
    },
    stored(all) {
      for (const event of all) overlaid.remove(event);
    },
  };
  /** An event that belongs nowhere is not a reason to keep its frame out of the tables for ever. */
  function keep(event: AlertEvent): void {
    try {
      alerts.append(event);
    } catch (error) {
      if (!(error instanceof VillagridError)) throw error;
      options.log.error('an alert event of a frame cannot be kept', { event_id: event.id, error });
    }
  }
  const log = make(() =>
    openLog({
      ...options,
      database,
      events,
      journal: { path: journalOf(path), bytes: journalBytes, found, fromCopy: options.fromCopy ?? false, late },
      reopen() {
        // The last connection of a process that closes would checkpoint through the descriptors that failed, unless it can
        // only read; and as long as one is open, SQLite keeps descriptors of closed ones and uses them again.
        const reader = openDatabase({ path, readonly: true });
        try {
          reader.prepare('SELECT count(*) FROM sqlite_schema').get();
          database.close();
        } finally {
          reader.close();
        }
        let readonlyBecause: unknown;
        try {
          writeAgain(`${path}-wal`);
          database = open();
        } catch (error) {
          readonlyBecause = error;
          database = openDatabase({ path, readonly: true });
        }
        alerts = createAlertStore({ database });
        return { database, readonlyBecause };
      },
    }),
  );

  sayIfUncopied(path, database, options.log);

  const walBytes = (): number => statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  /** What a checkpoint, or a look, leaves to be copied. */
  const leftAfter = (mode: 'PASSIVE' | 'NOOP'): number => {
    const [row] = database.pragma(`wal_checkpoint(${mode})`) as { log: number; checkpointed: number }[];
    return row ? row.log - row.checkpointed : 0;
  };
  let scheduled = false;
  let stuckAtPages = 0;
  let sinceLook = 0;
  const checkpoint = (): void => {
    scheduled = false;
    if (!database.open || !log.trusted()) return;
    try {
      stuckAtPages = leftAfter('PASSIVE');
    } catch (error) {
      log.cardFailed(error);
    }
  };
  log.onStored(() => {
    sinceLook += 1;
    if (scheduled || sinceLook < Math.min(lookEvery, limitPages)) return;
    sinceLook = 0;
    const left = leftAfter('NOOP');
    if (left < limitPages || (stuckAtPages > 0 && left < stuckAtPages + checkpointAgainPages)) return;
    scheduled = true;
    realClock.after(0, checkpoint);
  });

  return {
    log,
    alertStore: {
      append: (event) => alerts.append(event),
      appendAll: (all) => alerts.appendAll(all),
      retime(alertId, eventId, atMs) {
        if (overlaid.has(eventId)) log.settleNow();
        return alerts.retime(alertId, eventId, atMs);
      },
      list: (gridId, query) => overlaid.list(gridId, query),
      get: (alertId) => overlaid.get(alertId),
      gridOfAlert: (alertId) => overlaid.gridOfAlert(alertId),
      events: (alertId) => overlaid.events(alertId),
      records: (gridId) => overlaid.records(gridId),
    },
    rescue,
    database: () => database,
    walBytes,
    async close() {
      await log.close();
      database.close();
      if (log.trusted() && log.waitingFrames() === 0) markClean(path);
    },
  };
}
