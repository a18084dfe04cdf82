/** Archive, ledger and dead letters over SQLite: everything of one `accept` in one transaction. */
import { createHash } from 'node:crypto';
import type { Receipt } from '@villagrid/contracts';
import type { SqliteDatabase } from '@villagrid/runtime';
import { hashTerm, Ledger } from '../receipts/ledger.js';
import { makeReceipt, mostBadTold, type BadNumber } from '../receipts/receipt.js';
import type {
  Accepted,
  ArchivedFrame,
  DeadLetter,
  FramesToAccept,
  FrameToArchive,
  KeptDeadLetter,
  LogFacts,
  NumberRange,
  RefusedNumber,
  UplinkStore,
} from './uplink-store.js';

/** Most dead letters kept per gateway; beyond it the oldest go. */
export const mostDeadLetters = 2000;

/** The store over SQLite answers at once, within the caller's transaction when there is one. */
export interface SqliteUplinkStore extends UplinkStore {
  accept(batches: readonly FramesToAccept[], deadLetters: readonly DeadLetter[], nowMs: number): readonly Accepted[];
  giveUp(
    gatewayId: string,
    gridId: string,
    epoch: string,
    last: number,
    nowMs: number,
  ): ReadonlyArray<readonly [first: number, last: number]>;
  noteNewest(gatewayId: string, epoch: string, number: number, nowMs: number): void;
  logs(gatewayId: string): readonly LogFacts[];
  timesAround(
    gatewayId: string,
    epoch: string,
    range: NumberRange,
  ): { readonly beforeMs: number | null; readonly afterMs: number | null };
  frameCount(gridId: string, fromMs: number, toMs: number): number;
  receipt(gatewayId: string, epoch: string): Receipt;
  framesAfter(seq: number, limit: number): readonly ArchivedFrame[];
  framesBetween(gridId: string, fromMs: number, toMs: number, upToSeq: number): Iterable<Uint8Array>;
  /** Whether a gateway recorded anything of a stretch of time. */
  hasFramesBetween(gridId: string, fromMs: number, toMs: number): boolean;
  /**
   * Good frames of one log that stand for any number from `first` to `last`, up to a place in the order of arrival; `number`
   * is the last one of those that a frame stands for. Samples of withdrawn ones were never projected, and `withdrawn` says so.
   */
  framesNumbered(
    log: Pick<ArchivedFrame, 'gatewayId' | 'epoch' | 'gridId'>,
    first: number,
    last: number,
    limit: number,
    upToSeq: number,
  ): ReadonlyArray<Pick<ArchivedFrame, 'number' | 'bytes'> & { readonly withdrawn: boolean }>;
  /** Takes a good frame out of reading by time: its samples could not be projected. */
  withdraw(seq: number): void;
  /** To be called when a transaction of the caller's failed: ledgers that were read may say more than was committed. */
  forget(): void;
  /** How far a log is here, without going through it; undefined for an unknown one. */
  progress(gatewayId: string, epoch: string): LogProgress | undefined;
  /** Whether samples of a stretch of time were removed. */
  hasRemovedBetween(gridId: string, fromMs: number, toMs: number): boolean;
  /** Every log that was ever heard of. */
  allLogs(): ReadonlyArray<{ readonly gatewayId: string; readonly epoch: string }>;
  /** Looks at the next frames of a log in one transaction and removes those that may go. Numbers stay explained. */
  removeFrames(gatewayId: string, epoch: string, step: RemovalStep): Removed;
  /**
   * Forgets a log of which no frame is left, and does `also` in the same transaction; gives whether it did. What was removed
   * of it stays known by grid and time. Its numbers are explained no longer: never for the log of a gateway.
   */
  forgetLog(gatewayId: string, epoch: string, also: () => void): boolean;
  keepDeadLetter(letter: DeadLetter, nowMs: number): void;
  deadLetters(limit: number): readonly KeptDeadLetter[];
  deadLetterCount(): number;
  deadLetter(id: number): KeptDeadLetter | undefined;
  removeDeadLetter(id: number): void;
  /**
   * Puts a frame of the archive that was refused, or could not be projected, at the end of the order of arrival as a good
   * one, so that it is projected; false when it is not there. The ledger stays: the number is explained already.
   */
  putBack(
    letter: Pick<DeadLetter, 'gatewayId' | 'epoch' | 'number' | 'bytes'>,
    times: Pick<FrameToArchive, 'fromMs' | 'toMs'>,
  ): boolean;
}

/** How far a log is here. */
export interface LogProgress {
  readonly explainedUpTo: number;
  /** Newest number the gateway told of, or that came. */
  readonly newestNumber: number;
  /** Numbers after `explainedUpTo` that are not here. */
  readonly missing: number;
}

/** Which frames of a log may go in one step. */
export interface RemovalStep {
  /** Looks at frames with numbers after this one. */
  readonly afterNumber: number;
  /** Those that came before this time go, the village's Unix ms. */
  readonly receivedBeforeMs: number;
  /** Place in the order of arrival up to which all is projected. */
  readonly upToSeq: number;
  /** Start of the grid's local day that holds a time. */
  readonly dayOf: (timeMs: number) => number;
  /** Most frames looked at. */
  readonly limit: number;
}

/** What a step did. Refused frames stay, so that what they are refused for stays told; only their bytes go. */
export interface Removed {
  readonly removed: number;
  /** Frames that are old enough, removed or not; with none of them what follows is younger. */
  readonly old: number;
  /** Last number looked at; undefined when there was none. */
  readonly lastNumber: number | undefined;
}

interface Log {
  readonly id: number;
  readonly ledger: Ledger;
  /** Last number that was removed; 0 for none. */
  removedUpTo: number;
  /** As noted; undefined until it is asked for. */
  newestNumber?: number;
}

/** Consecutive numbers that were removed; times are those of their samples. */
interface RemovedRange {
  readonly first: number;
  last: number;
  frames: number;
  from_ms: number | null;
  to_ms: number | null;
}

/** A pause between frames that parts what was removed: a gateway that was off must not look as if it had run. */
const pauseMs = 300_000;

/** Opens the store; the database must have the tables of `cloudMigrations`. */
export function createSqliteUplinkStore(database: SqliteDatabase): SqliteUplinkStore {
  const sql = statements(database);
  /** Ledgers read so far; dropped as a whole when a transaction fails, for they may say more than was committed. */
  const logs = new Map<string, Log>();

  const keyOf = (gatewayId: string, epoch: string): string => `${gatewayId} ${epoch}`;
  const findLog = (gatewayId: string, epoch: string): Log | undefined => {
    const key = keyOf(gatewayId, epoch);
    const known = logs.get(key);
    if (known) return known;
    const id = sql.findLog.get(gatewayId, epoch);
    if (id === undefined) return undefined;
    const ranges = sql.ranges.all(id).map((row) => ({ first: row.first, last: row.last, sum: BigInt(`0x${row.sum}`) }));
    const log = { id, ledger: new Ledger(ranges), removedUpTo: sql.removedUpTo.get(id) ?? 0 };
    logs.set(key, log);
    return log;
  };
  const openLog = (gatewayId: string, epoch: string, nowMs: number): Log => {
    const known = findLog(gatewayId, epoch);
    if (known) return known;
    const { lastInsertRowid } = sql.addLog.run(gatewayId, epoch, nowMs);
    const log = { id: Number(lastInsertRowid), ledger: new Ledger(), removedUpTo: 0 };
    logs.set(keyOf(gatewayId, epoch), log);
    return log;
  };
  const saveLedger = ({ id, ledger }: Log): void => {
    sql.clearRanges.run(id);
    for (const { first, last, sum } of ledger.ranges) sql.addRange.run(id, first, last, sum.toString(16));
  };

  const keepDeadLetter = (letter: DeadLetter, nowMs: number): void => {
    const { stage, gatewayId, gridId, epoch, number, code, reason, bytes } = letter;
    const key = createHash('sha256')
      .update(`${stage} ${gatewayId} ${gridId} ${epoch} ${number} `)
      .update(bytes)
      .digest();
    const kept = sql.keepLetter.run(
      key,
      stage,
      gatewayId,
      gridId,
      epoch,
      number,
      code,
      reason.slice(0, 500),
      bytes,
      nowMs,
      nowMs,
    );
    if (kept.changes > 0) sql.trimLetters.run(gatewayId, gatewayId, mostDeadLetters);
  };

  const acceptOne = ({ gatewayId, gridId, epoch, frames }: FramesToAccept, nowMs: number): Accepted => {
    const log = openLog(gatewayId, epoch, nowMs);
    const holesBefore = log.ledger.later.length;
    let added = 0;
    let repeated = 0;
    let explained = false;
    const conflicts: number[] = [];
    for (const { number, last = number, bytes, hash, bad, fromMs, toMs } of frames) {
      const gone = number <= log.removedUpTo ? sql.removedFrom.get(log.id, last) : undefined;
      if (gone !== undefined && gone.first <= number && gone.last >= last) {
        // It was here once and projected; what it held then can no longer be compared.
        repeated += 1;
        continue;
      }
      // A sealed frame is taken as a whole or not at all: of what a part says already, it would say twice.
      const near = log.ledger.hasAny(number, last) ? sql.nearest.get(log.id, last) : undefined;
      const isPart = near !== undefined && near.last >= number && (near.number !== number || near.last !== last);
      if (isPart || (gone !== undefined && gone.last >= number)) {
        conflicts.push(number);
        const reason = `log numbers ${number} to ${last} came with other content of a part of them; the first stays`;
        keepDeadLetter(
          { stage: 'conflict', gatewayId, gridId, epoch, number, code: 'E_ENVELOPE_CONFLICT', reason, bytes },
          nowMs,
        );
        // What no frame stands for is explained all the same: sent again, the same would come again.
        const missing = log.ledger.missingUpTo(last).filter(([, to]) => to >= number);
        for (const [from, to] of missing) {
          log.ledger.giveUp(Math.max(from, number), to);
          sql.addGivenUp.run(log.id, Math.max(from, number), to);
          explained = true;
        }
        continue;
      }
      const inserted = sql.addFrame.run(
        log.id,
        number,
        gridId,
        hash,
        bytes,
        nowMs,
        bad === null ? fromMs : null,
        bad === null ? toMs : null,
        bad,
        last === number ? null : last,
      );
      if (inserted.changes > 0) {
        // A refused frame is explained, but proves nothing: it does not count in the sum.
        log.ledger.add(number, bad === null ? hashTerm(hash) : 0n, last);
        added += 1;
        if (bad !== null)
          keepDeadLetter(
            { stage: 'frame', gatewayId, gridId, epoch, number, code: 'E_ENVELOPE_INVALID', reason: bad, bytes },
            nowMs,
          );
        continue;
      }
      const before = sql.hashOf.get(log.id, number);
      if (before !== undefined && Buffer.compare(before, hash) === 0) {
        repeated += 1;
        continue;
      }
      conflicts.push(number);
      const reason = `log number ${number} came with other content; the first stays`;
      keepDeadLetter(
        { stage: 'conflict', gatewayId, gridId, epoch, number, code: 'E_ENVELOPE_CONFLICT', reason, bytes },
        nowMs,
      );
    }
    if (added > 0 || explained) saveLedger(log);
    return { added, repeated, conflicts, upTo: log.ledger.upTo, gapClosed: log.ledger.later.length < holesBefore };
  };

  /** Adds a frame to what was removed before it, or begins a new range. */
  const extend = (ranges: RemovedRange[], row: RemovableRow, dayOf: RemovalStep['dayOf']): void => {
    const { number, from_ms, to_ms } = row;
    const last = ranges.at(-1);
    const frames = to_ms === null ? 0 : 1;
    const follows =
      last !== undefined &&
      last.last === number - 1 &&
      (from_ms === null ||
        to_ms === null ||
        last.to_ms === null ||
        (dayOf(to_ms) === dayOf(last.to_ms) && Math.abs(from_ms - last.to_ms) <= pauseMs));
    if (!follows) {
      ranges.push({ first: number, last: row.last, frames, from_ms, to_ms });
      return;
    }
    last.last = row.last;
    last.frames += frames;
    last.from_ms ??= from_ms;
    last.to_ms = to_ms ?? last.to_ms;
  };

  const removeFrames = (log: Log, { afterNumber, receivedBeforeMs, upToSeq, dayOf, limit }: RemovalStep): Removed => {
    const rows = sql.removable.all(log.id, afterNumber, limit);
    const old = rows.filter(({ seq, received_ms }) => received_ms < receivedBeforeMs && seq <= upToSeq);
    const byGrid = new Map<string, RemovedRange[]>();
    let removed = 0;
    for (const row of old) {
      if (row.bad !== null) {
        sql.clearBytes.run(row.seq);
        continue;
      }
      let ranges = byGrid.get(row.grid_id);
      if (!ranges) {
        const before = sql.removedFrom.get(log.id, row.number);
        const joins = before?.last === row.number - 1 && before.grid_id === row.grid_id;
        byGrid.set(row.grid_id, (ranges = joins ? [before] : []));
      }
      extend(ranges, row, dayOf);
      sql.deleteFrame.run(row.seq);
      log.removedUpTo = Math.max(log.removedUpTo, row.last);
      removed += 1;
    }
    for (const [gridId, ranges] of byGrid)
      for (const { first, last, frames, from_ms, to_ms } of ranges)
        sql.putRemoved.run(log.id, first, last, gridId, frames, from_ms, to_ms);
    return { removed, old: old.length, lastNumber: rows.at(-1)?.number };
  };

  /** Time of the newest sample before a number of a log, and of the oldest after it. */
  const timeBefore = (id: number | undefined, number: number): number | null =>
    id === undefined ? null : (sql.timeBefore.get(id, number, id, number) ?? null);
  const timeAfter = (id: number | undefined, number: number): number | null =>
    id === undefined ? null : (sql.timeAfter.get(id, number, id, number) ?? null);

  const guarded = <T>(run: () => T): T => {
    try {
      return database.transaction(run).immediate();
    } catch (error) {
      logs.clear();
      throw error;
    }
  };

  return {
    accept: (batches, deadLetters, nowMs) =>
      guarded(() => {
        for (const letter of deadLetters) keepDeadLetter(letter, nowMs);
        return batches.map((batch) => acceptOne(batch, nowMs));
      }),
    giveUp: (gatewayId, _gridId, epoch, last, nowMs) =>
      guarded(() => {
        const log = openLog(gatewayId, epoch, nowMs);
        const missing = log.ledger.missingUpTo(last);
        for (const [from, to] of missing) {
          log.ledger.giveUp(from, to);
          sql.addGivenUp.run(log.id, from, to);
        }
        if (missing.length > 0) saveLedger(log);
        return missing;
      }),
    noteNewest: (gatewayId, epoch, number, nowMs) =>
      guarded(() => {
        const log = openLog(gatewayId, epoch, nowMs);
        sql.noteNewest.run(number, log.id);
        log.newestNumber = number;
      }),
    logs: (gatewayId) =>
      sql.logsOf.all(gatewayId).map(({ id, epoch, newest_number }): LogFacts => {
        const ledger = findLog(gatewayId, epoch)?.ledger ?? new Ledger();
        const newestNumber = Math.max(newest_number ?? 0, ledger.ranges.at(-1)?.last ?? 0);
        const refused = [
          ...sql.allBad.all(id).flatMap(({ number, last, bad }) => refusedNumbers(number, last, bad)),
          ...sql.refusedLater.all(gatewayId, epoch),
        ];
        return {
          epoch,
          newestNumber,
          explainedUpTo: ledger.upTo,
          missing: ledger.missingUpTo(newestNumber),
          givenUp: sql.givenUp.all(id).flatMap(({ first, last }) =>
            without(
              first,
              last,
              [
                ...sql.numbersIn.all(id, first, last).map(({ number, last }) => ({ first: number, last })),
                ...sql.removedIn.all(id, first, last),
              ].sort((a, b) => a.first - b.first),
            ),
          ),
          refused: refused.sort((a, b) => a.number - b.number),
        };
      }),
    timesAround(gatewayId, epoch, [first, last]) {
      const id = findLog(gatewayId, epoch)?.id;
      if (id === undefined) return { beforeMs: null, afterMs: null };
      return {
        beforeMs: timeBefore(id, first) ?? timeBefore(sql.logBefore.get(gatewayId, id), Number.MAX_SAFE_INTEGER),
        afterMs: timeAfter(id, last) ?? timeAfter(sql.logAfter.get(gatewayId, id), 0),
      };
    },
    frameCount: (gridId, fromMs, toMs) =>
      (sql.frameCount.get(gridId, fromMs, toMs) ?? 0) + (sql.removedCount.get(gridId, fromMs, toMs) ?? 0),
    receipt(gatewayId, epoch) {
      const log = findLog(gatewayId, epoch);
      if (!log) return makeReceipt(epoch, new Ledger(), []);
      const bad = sql.bad.all(log.id, mostBadTold).map(({ number, bad }): BadNumber => [number, bad]);
      return makeReceipt(epoch, log.ledger, bad.reverse());
    },
    framesAfter: (seq, limit) =>
      sql.framesAfter.all(seq, limit).map((row) => ({
        seq: row.seq,
        gatewayId: row.gateway_id,
        gridId: row.grid_id,
        epoch: row.epoch,
        number: row.number,
        last: row.last_number ?? row.number,
        bytes: row.bytes,
      })),
    // Read as a whole: the caller may write while it walks, which an open cursor would forbid.
    framesBetween: (gridId, fromMs, toMs, upToSeq) => sql.framesBetween.all(gridId, fromMs, toMs, upToSeq),
    hasFramesBetween: (gridId, fromMs, toMs) =>
      sql.hasFramesBetween.get(gridId, fromMs, toMs) === 1 || sql.hasRemovedBetween.get(gridId, fromMs, toMs) === 1,
    framesNumbered: ({ gatewayId, epoch, gridId }, first, last, limit, upToSeq) => {
      const log = findLog(gatewayId, epoch);
      if (!log) return [];
      return sql.framesNumbered
        .all(log.id, log.id, first, last, first, gridId, upToSeq, limit)
        .map(({ number, bytes, from_ms }) => ({ number: Math.min(number, last), bytes, withdrawn: from_ms === null }));
    },
    withdraw: (seq) => void sql.withdraw.run(seq),
    forget: () => logs.clear(),
    progress(gatewayId, epoch) {
      const log = findLog(gatewayId, epoch);
      if (log === undefined) return undefined;
      const { upTo, ranges } = log.ledger;
      log.newestNumber ??= sql.newestOf.get(log.id) ?? 0;
      const newestNumber = Math.max(log.newestNumber, ranges.at(-1)?.last ?? 0);
      const later = log.ledger.later.reduce((sum, { first, last }) => sum + last - first + 1, 0);
      return { explainedUpTo: upTo, newestNumber, missing: newestNumber - upTo - later };
    },
    hasRemovedBetween: (gridId, fromMs, toMs) => sql.hasRemovedBetween.get(gridId, fromMs, toMs) === 1,
    allLogs: () => sql.allLogs.all().map(({ gateway_id, epoch }) => ({ gatewayId: gateway_id, epoch })),
    removeFrames: (gatewayId, epoch, step) =>
      guarded(() => {
        const log = findLog(gatewayId, epoch);
        // Every log is looked at, and of most nothing comes any more.
        logs.delete(keyOf(gatewayId, epoch));
        return log === undefined ? { removed: 0, old: 0, lastNumber: undefined } : removeFrames(log, step);
      }),
    forgetLog: (gatewayId, epoch, also) =>
      guarded(() => {
        const id = sql.forgetLog.get(gatewayId, epoch);
        if (id === undefined) return false;
        sql.clearRanges.run(id);
        sql.clearGivenUp.run(id);
        logs.delete(keyOf(gatewayId, epoch));
        also();
        return true;
      }),
    keepDeadLetter: (letter, nowMs) => guarded(() => keepDeadLetter(letter, nowMs)),
    deadLetters: (limit) => sql.letters.all(limit).map(letterOf),
    deadLetter(id) {
      const row = sql.letter.get(id);
      return row && letterOf(row);
    },
    removeDeadLetter: (id) => void sql.removeLetter.run(id),
    putBack: ({ gatewayId, epoch, number, bytes }, { fromMs, toMs }) =>
      guarded(() => {
        const log = epoch === null || number === null ? undefined : findLog(gatewayId, epoch);
        const row = log && number !== null ? sql.takeOut.get(log.id, number) : undefined;
        if (row === undefined) return false;
        // Of one that was kept long enough only the letter has the bytes.
        sql.insertAgain.run({ ...row, bytes, from_ms: fromMs, to_ms: toMs });
        return true;
      }),
    deadLetterCount: () => sql.letterCount.get() ?? 0,
  };
}

/** A refused frame may stand for several numbers: each of them is refused. */
function refusedNumbers(first: number, last: number, reason: string): RefusedNumber[] {
  return Array.from({ length: last - first + 1 }, (_, at) => ({ number: first + at, stage: 'frame', reason }));
}

/** What is left of a range without ranges within and around it, which are in order. */
function without(
  first: number,
  last: number,
  ranges: ReadonlyArray<{ readonly first: number; readonly last: number }>,
): NumberRange[] {
  const left: NumberRange[] = [];
  let next = first;
  for (const range of [...ranges, { first: last + 1, last: last + 1 }]) {
    if (range.first > next) left.push([next, Math.min(last, range.first - 1)]);
    next = Math.max(next, range.last + 1);
    if (next > last) break;
  }
  return left;
}

interface RemovableRow {
  readonly seq: number;
  readonly number: number;
  /** Last number it stands for. */
  readonly last: number;
  readonly grid_id: string;
  readonly received_ms: number;
  readonly from_ms: number | null;
  readonly to_ms: number | null;
  readonly bad: string | null;
}
interface NumberedRow {
  readonly number: number;
  readonly last: number;
}
interface FrameRow {
  readonly seq: number;
  readonly gateway_id: string;
  readonly grid_id: string;
  readonly epoch: string;
  readonly number: number;
  readonly last_number: number | null;
  readonly bytes: Buffer;
}
interface TakenOutRow {
  readonly log_id: number;
  readonly number: number;
  readonly grid_id: string;
  readonly hash: Buffer;
  readonly received_ms: number;
  readonly last_number: number | null;
}
interface LetterRow {
  readonly id: number;
  readonly stage: DeadLetter['stage'];
  readonly gateway_id: string;
  readonly grid_id: string;
  readonly epoch: string | null;
  readonly number: number | null;
  readonly code: string;
  readonly reason: string;
  readonly bytes: Buffer;
  readonly first_ms: number;
  readonly last_ms: number;
  readonly times: number;
}

const letterOf = ({ gateway_id, grid_id, first_ms, last_ms, ...row }: LetterRow): KeptDeadLetter => ({
  ...row,
  gatewayId: gateway_id,
  gridId: grid_id,
  firstMs: first_ms,
  lastMs: last_ms,
});

function statements(database: SqliteDatabase) {
  return {
    findLog: database
      .prepare<[string, string], number>('SELECT id FROM cloud_log WHERE gateway_id = ? AND epoch = ?')
      .pluck(),
    addLog: database.prepare<[string, string, number]>(
      'INSERT INTO cloud_log (gateway_id, epoch, first_ms) VALUES (?, ?, ?)',
    ),
    // The last id of all stays, so that none is given out again: what was removed is kept under it.
    forgetLog: database
      .prepare<[string, string], number>(
        `DELETE FROM cloud_log WHERE gateway_id = ? AND epoch = ? AND id < (SELECT max(id) FROM cloud_log)
         AND NOT EXISTS (SELECT 1 FROM cloud_frame WHERE log_id = cloud_log.id) RETURNING id`,
      )
      .pluck(),
    clearGivenUp: database.prepare<[number]>('DELETE FROM cloud_given_up WHERE log_id = ?'),
    noteNewest: database.prepare<[number, number]>('UPDATE cloud_log SET newest_number = ? WHERE id = ?'),
    newestOf: database.prepare<[number], number | null>('SELECT newest_number FROM cloud_log WHERE id = ?').pluck(),
    logsOf: database.prepare<[string], { id: number; epoch: string; newest_number: number | null }>(
      'SELECT id, epoch, newest_number FROM cloud_log WHERE gateway_id = ? ORDER BY id',
    ),
    addGivenUp: database.prepare<[number, number, number]>('INSERT INTO cloud_given_up VALUES (?, ?, ?)'),
    givenUp: database.prepare<[number], { first: number; last: number }>(
      'SELECT first, last FROM cloud_given_up WHERE log_id = ? ORDER BY first',
    ),
    numbersIn: database.prepare<[number, number, number], NumberedRow>(
      `SELECT number, coalesce(last_number, number) AS last FROM cloud_frame
       WHERE log_id = ? AND number >= ? AND number <= ? ORDER BY number`,
    ),
    removedIn: database.prepare<[number, number, number], { first: number; last: number }>(
      'SELECT first, last FROM cloud_removed WHERE log_id = ? AND last >= ? AND first <= ?',
    ),
    removedUpTo: database
      .prepare<[number], number | null>('SELECT max(last) FROM cloud_removed WHERE log_id = ?')
      .pluck(),
    removedFrom: database.prepare<[number, number], RemovedRange & { readonly grid_id: string }>(
      `SELECT first, last, frames, from_ms, to_ms, grid_id FROM cloud_removed
       WHERE log_id = ? AND first <= ? ORDER BY first DESC LIMIT 1`,
    ),
    putRemoved: database.prepare<[number, number, number, string, number, number | null, number | null]>(
      `INSERT INTO cloud_removed (log_id, first, last, grid_id, frames, from_ms, to_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (log_id, first) DO UPDATE SET
         last = excluded.last, frames = excluded.frames, from_ms = excluded.from_ms, to_ms = excluded.to_ms`,
    ),
    removedCount: database
      .prepare<[string, number, number], number | null>(
        'SELECT sum(frames) FROM cloud_removed WHERE grid_id = ? AND to_ms >= ? AND to_ms < ?',
      )
      .pluck(),
    hasRemovedBetween: database
      .prepare<[string, number, number], number>(
        'SELECT EXISTS (SELECT 1 FROM cloud_removed WHERE grid_id = ? AND to_ms >= ? AND from_ms < ?)',
      )
      .pluck(),
    removable: database.prepare<[number, number, number], RemovableRow>(
      `SELECT seq, number, coalesce(last_number, number) AS last, grid_id, received_ms, from_ms, to_ms, bad FROM cloud_frame
       WHERE log_id = ? AND number > ? ORDER BY number LIMIT ?`,
    ),
    deleteFrame: database.prepare<[number]>('DELETE FROM cloud_frame WHERE seq = ?'),
    clearBytes: database.prepare<[number]>("UPDATE cloud_frame SET bytes = x'' WHERE seq = ? AND length(bytes) > 0"),
    allLogs: database.prepare<[], { gateway_id: string; epoch: string }>(
      'SELECT gateway_id, epoch FROM cloud_log ORDER BY id',
    ),
    allBad: database.prepare<[number], { number: number; last: number; bad: string }>(
      'SELECT number, coalesce(last_number, number) AS last, bad FROM cloud_frame WHERE log_id = ? AND bad IS NOT NULL',
    ),
    refusedLater: database.prepare<[string, string], RefusedNumber>(
      `SELECT number, stage, reason FROM cloud_dead_letter
       WHERE gateway_id = ? AND epoch = ? AND number IS NOT NULL AND stage IN ('conflict', 'projection')`,
    ),
    timeBefore: database
      .prepare<[number, number, number, number], number>(
        `SELECT time FROM (
           SELECT * FROM (SELECT number, to_ms AS time FROM cloud_frame
             WHERE log_id = ? AND number < ? AND to_ms IS NOT NULL ORDER BY number DESC LIMIT 1)
           UNION ALL SELECT * FROM (SELECT last, to_ms FROM cloud_removed
             WHERE log_id = ? AND first < ? AND to_ms IS NOT NULL ORDER BY first DESC LIMIT 1)
         ) ORDER BY number DESC LIMIT 1`,
      )
      .pluck(),
    timeAfter: database
      .prepare<[number, number, number, number], number>(
        `SELECT time FROM (
           SELECT * FROM (SELECT number, from_ms AS time FROM cloud_frame
             WHERE log_id = ? AND number > ? AND from_ms IS NOT NULL ORDER BY number LIMIT 1)
           UNION ALL SELECT * FROM (SELECT first, from_ms FROM cloud_removed
             WHERE log_id = ? AND first > ? AND from_ms IS NOT NULL ORDER BY first LIMIT 1)
         ) ORDER BY number LIMIT 1`,
      )
      .pluck(),
    logBefore: database
      .prepare<[string, number], number>(
        'SELECT id FROM cloud_log WHERE gateway_id = ? AND id < ? ORDER BY id DESC LIMIT 1',
      )
      .pluck(),
    logAfter: database
      .prepare<[string, number], number>('SELECT id FROM cloud_log WHERE gateway_id = ? AND id > ? ORDER BY id LIMIT 1')
      .pluck(),
    frameCount: database
      .prepare<[string, number, number], number>(
        'SELECT count(*) FROM cloud_frame WHERE grid_id = ? AND to_ms >= ? AND to_ms < ?',
      )
      .pluck(),
    ranges: database.prepare<[number], { first: number; last: number; sum: string }>(
      'SELECT first, last, sum FROM cloud_ledger_range WHERE log_id = ?',
    ),
    clearRanges: database.prepare<[number]>('DELETE FROM cloud_ledger_range WHERE log_id = ?'),
    addRange: database.prepare<[number, number, number, string]>('INSERT INTO cloud_ledger_range VALUES (?, ?, ?, ?)'),
    addFrame: database.prepare<
      [
        number,
        number,
        string,
        Uint8Array,
        Uint8Array,
        number,
        number | null,
        number | null,
        string | null,
        number | null,
      ]
    >(
      `INSERT INTO cloud_frame (log_id, number, grid_id, hash, bytes, received_ms, from_ms, to_ms, bad, last_number)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (log_id, number) DO NOTHING`,
    ),
    nearest: database.prepare<[number, number], NumberedRow>(
      `SELECT number, coalesce(last_number, number) AS last FROM cloud_frame
       WHERE log_id = ? AND number <= ? ORDER BY number DESC LIMIT 1`,
    ),
    hashOf: database
      .prepare<[number, number], Buffer>('SELECT hash FROM cloud_frame WHERE log_id = ? AND number = ?')
      .pluck(),
    bad: database.prepare<[number, number], { number: number; bad: string }>(
      'SELECT number, bad FROM cloud_frame WHERE log_id = ? AND bad IS NOT NULL ORDER BY number DESC LIMIT ?',
    ),
    framesAfter: database.prepare<[number, number], FrameRow>(
      `SELECT seq, gateway_id, grid_id, epoch, number, last_number, bytes FROM cloud_frame JOIN cloud_log ON cloud_log.id = log_id
       WHERE seq > ? AND bad IS NULL ORDER BY seq LIMIT ?`,
    ),
    hasFramesBetween: database
      .prepare<[string, number, number], number>(
        'SELECT EXISTS (SELECT 1 FROM cloud_frame WHERE grid_id = ? AND to_ms >= ? AND from_ms < ?)',
      )
      .pluck(),
    framesBetween: database
      .prepare<[string, number, number, number], Buffer>(
        'SELECT bytes FROM cloud_frame WHERE grid_id = ? AND to_ms >= ? AND from_ms < ? AND seq <= ?',
      )
      .pluck(),
    framesNumbered: database.prepare<
      [number, number, number, number, number, string, number, number],
      { number: number; bytes: Buffer; from_ms: number | null }
    >(
      `SELECT coalesce(last_number, number) AS number, bytes, from_ms FROM cloud_frame
       WHERE log_id = ? AND number >= coalesce((SELECT max(number) FROM cloud_frame WHERE log_id = ? AND number <= ?), 0)
         AND number <= ? AND coalesce(last_number, number) >= ? AND grid_id = ? AND seq <= ? AND bad IS NULL
       ORDER BY cloud_frame.number LIMIT ?`,
    ),
    withdraw: database.prepare<[number]>('UPDATE cloud_frame SET from_ms = NULL, to_ms = NULL WHERE seq = ?'),
    keepLetter: database.prepare<
      [Uint8Array, string, string, string, string | null, number | null, string, string, Uint8Array, number, number]
    >(
      `INSERT INTO cloud_dead_letter (key, stage, gateway_id, grid_id, epoch, number, code, reason, bytes, first_ms, last_ms, times)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
       ON CONFLICT (key) DO UPDATE SET last_ms = excluded.last_ms, times = times + 1`,
    ),
    trimLetters: database.prepare<[string, string, number]>(
      `DELETE FROM cloud_dead_letter WHERE gateway_id = ? AND id <=
         (SELECT id FROM cloud_dead_letter WHERE gateway_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`,
    ),
    letters: database.prepare<[number], LetterRow>(
      `SELECT id, stage, gateway_id, grid_id, epoch, number, code, reason, bytes, first_ms, last_ms, times
       FROM cloud_dead_letter ORDER BY id DESC LIMIT ?`,
    ),
    letter: database.prepare<[number], LetterRow>(
      `SELECT id, stage, gateway_id, grid_id, epoch, number, code, reason, bytes, first_ms, last_ms, times
       FROM cloud_dead_letter WHERE id = ?`,
    ),
    removeLetter: database.prepare<[number]>('DELETE FROM cloud_dead_letter WHERE id = ?'),
    takeOut: database.prepare<[number, number], TakenOutRow>(
      `DELETE FROM cloud_frame WHERE log_id = ? AND number = ?
       RETURNING log_id, number, grid_id, hash, received_ms, last_number`,
    ),
    insertAgain: database.prepare<
      [TakenOutRow & { readonly bytes: Uint8Array; readonly from_ms: number | null; readonly to_ms: number | null }]
    >(
      `INSERT INTO cloud_frame (log_id, number, grid_id, hash, bytes, received_ms, from_ms, to_ms, last_number)
       VALUES (@log_id, @number, @grid_id, @hash, @bytes, @received_ms, @from_ms, @to_ms, @last_number)`,
    ),
    letterCount: database.prepare<[], number>('SELECT count(*) FROM cloud_dead_letter').pluck(),
  };
}
