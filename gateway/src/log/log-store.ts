/**
 * The file of the log and what shares its commits: opened right, opened anew after the card failed, checkpointed apart
 * from the commits, so that a failing checkpoint is heard of instead of being swallowed by the one that set it off.
 */
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  createAlertStore,
  damageOf,
  markClean,
  openDatabase,
  secureDatabase,
  type AlertStore,
  type Rescue,
  type SqliteDatabase,
} from '@villagrid/runtime';
import { openLog, type DurableLog, type DurableLogOptions } from './log.js';
import { salvageLog } from './salvage.js';

/** Pages in the write-ahead log that are copied into the file together: 4 MB. */
const checkpointPages = 1000;
/** Pages it grows by before a checkpoint that could not finish is tried again. */
const checkpointAgainPages = 128;
/** Commits between two looks at it. */
const lookEvery = 8;

export interface LogStoreOptions extends Omit<DurableLogOptions, 'database' | 'reopen'> {
  /** File of the log. */
  readonly path: string;
  /** Folder for a damaged file; `quarantine` beside it when left out. */
  readonly quarantine?: string;
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
  close(): void;
}

/**
 * Opens the file of the log, made when missing. A damaged one is set aside, and what can be read of it goes into a new
 * one with a new epoch. Throws E_STORE_OPEN.
 */
export function openLogStore(options: LogStoreOptions): LogStore {
  const { path, clock, random } = options;
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
        const { frames, lastNumber } = salvageLog(into, damaged, { clock, random });
        options.log.warn('frames of a damaged log were taken over', { frames, last_number: lastNumber });
      },
    });
  const rescue = secure();
  try {
    return openSecured(options, rescue);
  } catch (error) {
    // Closed in good order, and damaged since: the card forgets what it holds.
    const damage = damageOf(error);
    if (damage === undefined) throw error;
    return openSecured(options, secure(damage));
  }
}

function openSecured(options: LogStoreOptions, rescue: Rescue | undefined): LogStore {
  const { path, realClock } = options;
  const limitPages = options.checkpointPages ?? checkpointPages;
  const open = (): SqliteDatabase => {
    const fresh = openDatabase({ path });
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
  let alerts = make(() => createAlertStore({ database }));
  const log = make(() =>
    openLog({
      ...options,
      database,
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
  log.onCommit(() => {
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
      appendAll: (events) => alerts.appendAll(events),
      list: (gridId, query) => alerts.list(gridId, query),
      get: (alertId) => alerts.get(alertId),
      gridOfAlert: (alertId) => alerts.gridOfAlert(alertId),
      events: (alertId) => alerts.events(alertId),
    },
    rescue,
    database: () => database,
    walBytes,
    close() {
      log.close();
      database.close();
      if (log.trusted()) markClean(path);
    },
  };
}
