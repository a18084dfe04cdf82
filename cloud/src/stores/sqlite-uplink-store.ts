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
   * Good frames of one log by number from `first` to `last`, up to a place in the order of arrival; samples of withdrawn
   * ones were never projected, and `withdrawn` says so.
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
  keepDeadLetter(letter: DeadLetter, nowMs: number): void;
  deadLetters(limit: number): readonly KeptDeadLetter[];
  deadLetterCount(): number;
}

interface Log {
  readonly id: number;
  readonly ledger: Ledger;
}

/** Opens the store; the database must have the tables of `cloudMigrations`. */
export function createSqliteUplinkStore(database: SqliteDatabase): SqliteUplinkStore {
  const sql = statements(database);
  /** Ledgers read so far; dropped as a whole when a transaction fails, for they may say more than was committed. */
  const logs = new Map<string, Log>();

  const findLog = (gatewayId: string, epoch: string): Log | undefined => {
    const key = `${gatewayId} ${epoch}`;
    const known = logs.get(key);
    if (known) return known;
    const id = sql.findLog.get(gatewayId, epoch);
    if (id === undefined) return undefined;
    const ranges = sql.ranges.all(id).map((row) => ({ first: row.first, last: row.last, sum: BigInt(`0x${row.sum}`) }));
    const log = { id, ledger: new Ledger(ranges) };
    logs.set(key, log);
    return log;
  };
  const openLog = (gatewayId: string, epoch: string, nowMs: number): Log => {
    const known = findLog(gatewayId, epoch);
    if (known) return known;
    const log = { id: Number(sql.addLog.run(gatewayId, epoch, nowMs).lastInsertRowid), ledger: new Ledger() };
    logs.set(`${gatewayId} ${epoch}`, log);
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
      // A sealed frame is taken as a whole or not at all: of what a part says already, it would say twice.
      const near = log.ledger.hasAny(number, last) ? sql.nearest.get(log.id, last) : undefined;
      if (near !== undefined && near.last >= number && (near.number !== number || near.last !== last)) {
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
      guarded(() => void sql.noteNewest.run(number, openLog(gatewayId, epoch, nowMs).id)),
    logs: (gatewayId) =>
      sql.logsOf.all(gatewayId).map(({ id, epoch, newest_number }): LogFacts => {
        const ledger = findLog(gatewayId, epoch)?.ledger ?? new Ledger();
        const newestNumber = Math.max(newest_number ?? 0, ledger.ranges.at(-1)?.last ?? 0);
        const refused = [
          ...sql.allBad.all(id).map(({ number, bad }): RefusedNumber => ({ number, stage: 'frame', reason: bad })),
          ...sql.refusedLater.all(gatewayId, epoch),
        ];
        return {
          epoch,
          newestNumber,
          explainedUpTo: ledger.upTo,
          missing: ledger.missingUpTo(newestNumber),
          givenUp: sql.givenUp
            .all(id)
            .flatMap(({ first, last }) => without(first, last, sql.numbersIn.all(id, first, last))),
          refused: refused.sort((a, b) => a.number - b.number),
        };
      }),
    timesAround(gatewayId, epoch, [first, last]) {
      const id = findLog(gatewayId, epoch)?.id;
      if (id === undefined) return { beforeMs: null, afterMs: null };
      return {
        beforeMs: sql.timeBefore.get(id, first) ?? sql.timeBeforeLog.get(gatewayId, id) ?? null,
        afterMs: sql.timeAfter.get(id, last) ?? sql.timeAfterLog.get(gatewayId, id) ?? null,
      };
    },
    frameCount: (gridId, fromMs, toMs) => sql.frameCount.get(gridId, fromMs, toMs) ?? 0,
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
    hasFramesBetween: (gridId, fromMs, toMs) => sql.hasFramesBetween.get(gridId, fromMs, toMs) === 1,
    framesNumbered: ({ gatewayId, epoch, gridId }, first, last, limit, upToSeq) => {
      const log = findLog(gatewayId, epoch);
      if (!log) return [];
      return sql.framesNumbered
        .all(log.id, first, last, gridId, upToSeq, limit)
        .map(({ number, bytes, from_ms }) => ({ number, bytes, withdrawn: from_ms === null }));
    },
    withdraw: (seq) => void sql.withdraw.run(seq),
    keepDeadLetter: (letter, nowMs) => guarded(() => keepDeadLetter(letter, nowMs)),
    deadLetters: (limit) =>
      sql.letters.all(limit).map(({ gateway_id, grid_id, first_ms, last_ms, ...row }) => ({
        ...row,
        gatewayId: gateway_id,
        gridId: grid_id,
        firstMs: first_ms,
        lastMs: last_ms,
      })),
    deadLetterCount: () => sql.letterCount.get() ?? 0,
  };
}

/** What is left of a range without what frames stand for, which are in order. */
function without(first: number, last: number, frames: readonly NumberedRow[]): NumberRange[] {
  const left: NumberRange[] = [];
  let next = first;
  for (const frame of [...frames, { number: last + 1, last }]) {
    if (frame.number > next) left.push([next, frame.number - 1]);
    next = Math.max(next, frame.last + 1);
  }
  return left;
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

function statements(database: SqliteDatabase) {
  return {
    findLog: database
      .prepare<[string, string], number>('SELECT id FROM cloud_log WHERE gateway_id = ? AND epoch = ?')
      .pluck(),
    addLog: database.prepare<[string, string, number]>(
      'INSERT INTO cloud_log (gateway_id, epoch, first_ms) VALUES (?, ?, ?)',
    ),
    noteNewest: database.prepare<[number, number]>('UPDATE cloud_log SET newest_number = ? WHERE id = ?'),
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
    allBad: database.prepare<[number], { number: number; bad: string }>(
      'SELECT number, bad FROM cloud_frame WHERE log_id = ? AND bad IS NOT NULL',
    ),
    refusedLater: database.prepare<[string, string], RefusedNumber>(
      `SELECT number, stage, reason FROM cloud_dead_letter
       WHERE gateway_id = ? AND epoch = ? AND number IS NOT NULL AND stage IN ('conflict', 'projection')`,
    ),
    timeBefore: database
      .prepare<[number, number], number>(
        'SELECT to_ms FROM cloud_frame WHERE log_id = ? AND number < ? AND to_ms IS NOT NULL ORDER BY number DESC LIMIT 1',
      )
      .pluck(),
    timeAfter: database
      .prepare<[number, number], number>(
        'SELECT from_ms FROM cloud_frame WHERE log_id = ? AND number > ? AND from_ms IS NOT NULL ORDER BY number LIMIT 1',
      )
      .pluck(),
    timeBeforeLog: database
      .prepare<[string, number], number>(
        `SELECT to_ms FROM cloud_frame WHERE log_id = (SELECT max(id) FROM cloud_log WHERE gateway_id = ? AND id < ?)
         AND to_ms IS NOT NULL ORDER BY number DESC LIMIT 1`,
      )
      .pluck(),
    timeAfterLog: database
      .prepare<[string, number], number>(
        `SELECT from_ms FROM cloud_frame WHERE log_id = (SELECT min(id) FROM cloud_log WHERE gateway_id = ? AND id > ?)
         AND from_ms IS NOT NULL ORDER BY number LIMIT 1`,
      )
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
      [number, number, number, string, number, number],
      { number: number; bytes: Buffer; from_ms: number | null }
    >(
      `SELECT number, bytes, from_ms FROM cloud_frame
       WHERE log_id = ? AND number >= ? AND number <= ? AND grid_id = ? AND seq <= ? AND bad IS NULL ORDER BY number LIMIT ?`,
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
    letterCount: database.prepare<[], number>('SELECT count(*) FROM cloud_dead_letter').pluck(),
  };
}
