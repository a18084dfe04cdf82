/**
 * The log over SQLite: one frame per commit, numbered without holes, synchronous=FULL. What arrives within the hold
 * shares a commit, which makes durability nearly free; an alert or a person's act closes the group at once.
 */
import {
  messageOf,
  VillagridError,
  crc32,
  decodeFrame,
  encodeFrame,
  newId,
  spanOfFrame,
  type Clock,
  type ClockTrust,
  type Frame,
  type RandomSource,
  type Timer,
} from '@villagrid/contracts';
import { migrateModule, type FrameReader, type Logger, type SqliteDatabase } from '@villagrid/runtime';
import { Group } from './group.js';
import type { CommittedFrame, Log, LogBatch } from './port.js';
import { packFrame, unpackFrame } from './packed.js';
import { logMigrations, longFrameMs } from './schema.js';

export interface DurableLogOptions {
  /** A database opened by `openDatabase`. */
  readonly database: SqliteDatabase;
  /** The village's clock: dates frames. */
  readonly clock: Clock;
  /** The real clock: the hold is the card's and the nodes' time, not the village's. */
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly trust: () => ClockTrust;
  /** Longest wait of a group, real milliseconds; 0 commits with the present turn of the event loop. */
  readonly holdMs: number;
  /** Samples, and estimated bytes, that close a group. */
  readonly maxSamples: number;
  readonly maxBytes: number;
  /**
   * Opens the database anew after the card failed, and closes the former opening. After a failed sync the system may
   * have thrown away what was to be written and still report success for the next sync of the same descriptor, so
   * nothing is committed through it any more. One that can only be read says so, and is asked for again. Left out, the
   * database given is used for ever.
   */
  readonly reopen?: () => { readonly database: SqliteDatabase; readonly readonlyBecause?: unknown };
  /** Called when a commit found no space; true when there is some now, and the commit is worth another try. */
  readonly makeRoom?: () => boolean;
}

/** What takes part in a commit: runs inside its transaction, after the frame was written. A throw undoes all of it. */
export type CommitParticipant = (number: number, frame: Frame) => void;

/** Numbers of the log for monitoring. */
export interface LogStats {
  commits: number;
  failedCommits: number;
  samples: number;
  /** Bytes of frames, and what they took in the log. */
  bytes: number;
  storedBytes: number;
  /** Time of the last commit and the longest so far, real milliseconds. */
  lastCommitMs: number;
  longestCommitMs: number;
  totalCommitMs: number;
  /** Whether the last commit failed, or the card since. */
  failing: boolean;
  /** Times the database was opened anew because the card failed. */
  reopened: number;
  /** Frames read whose bytes were not what was written. */
  damagedFrames: number;
}

/** The log with what only its own process uses. */
export interface DurableLog extends Log, FrameReader {
  /** Adds a participant of every commit. */
  join(participant: CommitParticipant): void;
  /** A kept state and the number of the frame it belongs to. */
  state(name: string): { readonly number: number; readonly value: string } | undefined;
  /** Writes a state; call it within a participant so that it agrees with the frame. */
  putState(name: string, number: number, value: string): void;
  /** Deletes the oldest frames up to a number, so many at most and never the newest; gives how many went. */
  prune(upToNumber: number, most: number): number;
  /** Called when commits begin to fail, with the reason, and when one works again, without. Returns the unsubscribe function. */
  onTrouble(listener: (reason: string | undefined) => void): () => void;
  /** Tells of a failure of the card met outside a commit; the database is opened anew before the next one. */
  cardFailed(error: unknown): void;
  /** Whether the present opening has not failed. Through another nothing is written, a checkpoint neither. */
  trusted(): boolean;
  /** Time since this boot, as frames carry it, milliseconds. */
  monotonicMs(): number;
  /** Commits what waits now. */
  flush(): void;
  /** Commits what waits; further appends are rejected. */
  close(): void;
  readonly stats: Readonly<LogStats>;
}

/** Opens the log; makes its tables and epoch when they are missing. Throws E_STORE_OPEN. */
export function openLog(options: DurableLogOptions): DurableLog {
  const { clock, realClock, random, trust } = options;
  migrateModule(options.database, 'log', logMigrations);
  let sql = statements(options.database);
  const boot = newId(clock.nowMs(), random).slice(-8).toLowerCase();
  const bootMonotonicMs = clock.monotonicMs();
  const { epoch, isNew } = openEpoch();
  let newest = sql.newest.get() ?? 0;
  let group = new Group();
  let timer: Timer | undefined;
  let closed = false;
  const participants: CommitParticipant[] = [];
  const listeners = new Set<(committed: CommittedFrame) => void>();
  const stats: LogStats = {
    commits: 0,
    failedCommits: 0,
    samples: 0,
    bytes: 0,
    storedBytes: 0,
    lastCommitMs: 0,
    longestCommitMs: 0,
    totalCommitMs: 0,
    failing: false,
    reopened: 0,
    damagedFrames: 0,
  };
  const troubleListeners = new Set<(reason: string | undefined) => void>();
  /** The card failed under the present opening: nothing is committed through it any more. */
  let suspect = false;

  function openEpoch(): { epoch: string; isNew: boolean } {
    const known = sql.epoch.get();
    if (known !== undefined) return { epoch: known, isNew: false };
    const made = newId(clock.nowMs(), random);
    sql.addEpoch.run(made, Math.round(clock.nowMs()));
    return { epoch: made, isNew: true };
  }

  const write = (number: number, frame: Frame, bytes: Uint8Array): void => {
    const [from, to] = spanOfFrame(frame) ?? [null, null];
    sql.whole(() => {
      const packed = packFrame(bytes);
      stats.storedBytes += packed.length;
      sql.addFrame.run(number, from, to, packed);
      for (const participant of participants) participant(number, frame);
    });
  };

  /** Opens the database anew. Throws when that does not work, or when it is not the log that was written. */
  const renew = (): void => {
    if (!options.reopen) {
      suspect = false;
      return;
    }
    const { database, readonlyBecause } = options.reopen();
    sql = statements(database);
    if (readonlyBecause !== undefined) throw readonlyBecause;
    stats.reopened += 1;
    const found = sql.newest.get() ?? 0;
    if (found < newest) throw new Error(`the log ends at ${found} after it was opened anew; ${newest} was committed`);
    const last = newest === 0 ? undefined : sql.one.get(newest);
    if (last) decodeFrame(unpackFrame(last.bytes));
    suspect = false;
    options.log.warn('the database of the log was opened anew after the card failed', { newest: found });
    // A commit that failed may have reached the file all the same: not acknowledged, yet a frame of the log.
    while (newest < found) {
      newest += 1;
      const row = sql.one.get(newest);
      if (row) tellCommitted(toFrame(row));
    }
  };

  const tellCommitted = (committed: CommittedFrame): void => {
    for (const listener of [...listeners]) {
      try {
        listener(committed);
      } catch (error) {
        options.log.error('a reader of the log failed at a commit', { error });
      }
    }
  };

  const tryRenew = (): void => {
    try {
      renew();
    } catch (error) {
      options.log.error('the database of the log cannot be opened anew yet', { error });
    }
  };

  const inTrouble = (reason: string | undefined): void => {
    const failing = reason !== undefined;
    if (failing === stats.failing) return;
    stats.failing = failing;
    for (const listener of [...troubleListeners]) {
      try {
        listener(reason);
      } catch (error) {
        options.log.error('who watches the card failed', { error });
      }
    }
  };

  const cardFailed = (error: unknown): void => {
    options.log.error('the card failed', { error });
    suspect = true;
    tryRenew();
    inTrouble(messageOf(error));
  };

  /** Writes through an opening that is trusted; with room made once when there is none. */
  const writeDurably = (frame: Frame): { readonly number: number; readonly bytes: Uint8Array } => {
    if (suspect) renew();
    const bytes = encodeFrame(frame);
    const number = newest + 1;
    try {
      write(number, frame, bytes);
    } catch (error) {
      if (!isFull(error) || options.makeRoom?.() !== true) throw error;
      write(number, frame, bytes);
    }
    return { number, bytes };
  };

  const commit = (): void => {
    timer?.cancel();
    timer = undefined;
    if (group.empty) return;
    const closing = group;
    group = new Group();
    const frame = closing.toFrame({
      boot,
      monotonicMs: clock.monotonicMs() - bootMonotonicMs,
      wallMs: clock.nowMs(),
      trust: trust(),
    });
    const beganMs = realClock.monotonicMs();
    let number: number;
    let bytes: Uint8Array;
    try {
      ({ number, bytes } = writeDurably(frame));
    } catch (error) {
      stats.failedCommits += 1;
      const detail = messageOf(error);
      options.log.error('a commit failed; nothing of it was kept and nothing of it is acknowledged', {
        code: 'E_NOT_DURABLE',
        waiting: closing.waiting,
        error,
      });
      const refusal = new VillagridError('E_NOT_DURABLE', `The log could not be written: ${detail}.`, { cause: error });
      closing.reject(refusal);
      if (isCardFailure(error)) cardFailed(error);
      else inTrouble(detail);
      return;
    }
    newest = number;
    inTrouble(undefined);
    stats.commits += 1;
    stats.samples += closing.sampleCount;
    stats.bytes += bytes.length;
    stats.lastCommitMs = realClock.monotonicMs() - beganMs;
    stats.totalCommitMs += stats.lastCommitMs;
    stats.longestCommitMs = Math.max(stats.longestCommitMs, stats.lastCommitMs);
    closing.resolve(number);
    tellCommitted({ number, frame, bytes });
  };

  const append = (batch: LogBatch, { urgent = false }: { readonly urgent?: boolean } = {}): Promise<number> => {
    if (closed) return Promise.reject(new VillagridError('E_NOT_DURABLE', 'The log is closed: the gateway stops.'));
    const first = group.empty;
    const promise = group.add(batch);
    if (urgent || options.holdMs === 0) {
      // With the present task, so that an alert and the sample that caused it share the commit.
      const mine = group;
      queueMicrotask(() => {
        if (mine === group) commit();
      });
    } else if (group.sampleCount >= options.maxSamples || group.bytes >= options.maxBytes) commit();
    else if (first) timer = realClock.after(options.holdMs, commit);
    return promise;
  };

  /** A frame whose bytes the card changed keeps its number, its place in history stays empty, and all else goes on. */
  const toFrame = ({ number, bytes: stored }: FrameRow): CommittedFrame => {
    try {
      const bytes = unpackFrame(stored);
      return { number, bytes, frame: decodeFrame(bytes) };
    } catch (error) {
      stats.damagedFrames += 1;
      options.log.error('a frame was changed by the card and cannot be read', { number, error });
      const nothing = { samples: [], events: [], entries: [], received: [] };
      return { number, bytes: stored, frame: { boot, monotonicMs: 0, wallMs: 0, trust: 'none', ...nothing } };
    }
  };

  if (isNew) {
    void append({
      entries: [{ type: 'epoch', epoch, previous_epoch: null, previous_last_number: null, reason: 'created' }],
    });
    commit();
  }

  return {
    epoch,
    boot,
    stats,
    newestNumber: () => newest,
    oldestNumber: () => sql.oldest.get() ?? 0,
    append,
    read(fromNumber, { maxFrames, maxBytes }) {
      const frames: CommittedFrame[] = [];
      let bytes = 0;
      for (const row of sql.read.iterate(fromNumber, maxFrames)) {
        bytes += row.bytes.length;
        if (frames.length > 0 && bytes > maxBytes) break;
        frames.push(toFrame(row));
      }
      return frames;
    },
    onCommit(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    cursor: (reader) => sql.cursor.get(reader) ?? 0,
    setCursor(reader, number) {
      if (suspect) renew();
      try {
        sql.setCursor.run(reader, number);
      } catch (error) {
        if (isCardFailure(error)) cardFailed(error);
        else if (isFull(error) && options.makeRoom?.() !== true) inTrouble(messageOf(error));
        throw error;
      }
    },
    *framesOverlapping(fromMs, toMs) {
      // Numbers first: a frame may not be written while a statement is being stepped through.
      for (const number of sql.overlapping.all({ fromMs, toMs, long: longFrameMs })) {
        const row = sql.one.get(number);
        if (row) yield toFrame(row).frame;
      }
    },
    join: (participant) => void participants.push(participant),
    prune(upToNumber, most) {
      const oldest = sql.oldest.get();
      if (oldest === undefined || oldest === null) return 0;
      // Numbers go on from the newest frame, also after a start.
      return sql.prune.run(Math.min(upToNumber, newest - 1, oldest + most - 1)).changes;
    },
    state(name) {
      const kept = sql.state.get(name);
      const value = kept && unsealed(kept.value);
      if (kept && value === undefined)
        options.log.error('a kept state was changed by the card; it is made anew from the frames', { name });
      return kept && value !== undefined ? { number: kept.number, value } : undefined;
    },
    putState: (name, number, value) => void sql.putState.run(name, number, sealed(value)),
    onTrouble(listener) {
      troubleListeners.add(listener);
      return () => troubleListeners.delete(listener);
    },
    cardFailed,
    trusted: () => !suspect,
    monotonicMs: () => clock.monotonicMs() - bootMonotonicMs,
    flush: commit,
    close() {
      commit();
      closed = true;
    },
  };
}

interface FrameRow {
  readonly number: number;
  readonly bytes: Buffer;
}

/** Whether an error of SQLite says that the card failed, so that its descriptors are not trusted any more. */
export function isCardFailure(error: unknown): boolean {
  return /^SQLITE_(IOERR|CORRUPT|CANTOPEN|READONLY|NOTADB)/.test(codeOf(error));
}

/** Whether an error of SQLite says that there is no space. */
export function isFull(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE';
}

/** A text with its checksum before it. */
export const sealed = (text: string): string => `${crc32(Buffer.from(text)).toString(16).padStart(8, '0')} ${text}`;

/** A sealed text; undefined when it is not what was sealed. */
function unsealed(text: string): string | undefined {
  const inside = text.slice(9);
  return sealed(inside) === text ? inside : undefined;
}

const codeOf = (error: unknown): string => {
  const code = error instanceof Error ? (error as { readonly code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : '';
};

function statements(database: SqliteDatabase) {
  const whole = database.transaction((work: () => void) => work());
  return {
    /** All or nothing, begun at once. */
    whole: (work: () => void): void => whole.immediate(work),
    newest: database.prepare<[], number | null>('SELECT max(number) FROM frame').pluck(),
    oldest: database.prepare<[], number | null>('SELECT min(number) FROM frame WHERE number > 0').pluck(),
    epoch: database.prepare<[], string>('SELECT epoch FROM epoch ORDER BY made_at_ms DESC LIMIT 1').pluck(),
    addEpoch: database.prepare<[string, number]>('INSERT INTO epoch VALUES (?, ?)'),
    addFrame: database.prepare<[number, number | null, number | null, Buffer]>('INSERT INTO frame VALUES (?, ?, ?, ?)'),
    read: database.prepare<[number, number], FrameRow>(
      'SELECT number, bytes FROM frame WHERE number >= ? ORDER BY number LIMIT ?',
    ),
    prune: database.prepare<[number]>('DELETE FROM frame WHERE number <= ?'),
    one: database.prepare<[number], FrameRow>('SELECT number, bytes FROM frame WHERE number = ?'),
    overlapping: database
      .prepare<[{ fromMs: number; toMs: number; long: number }], number>(
        `SELECT number FROM frame WHERE to_ms IS NOT NULL AND to_ms >= :fromMs AND to_ms < :toMs + :long AND from_ms < :toMs
         UNION
         SELECT number FROM frame WHERE to_ms - from_ms > ${longFrameMs} AND to_ms >= :fromMs AND from_ms < :toMs`,
      )
      .pluck(),
    cursor: database.prepare<[string], number>('SELECT number FROM cursor WHERE reader = ?').pluck(),
    setCursor: database.prepare<[string, number]>(
      'INSERT INTO cursor VALUES (?, ?) ON CONFLICT (reader) DO UPDATE SET number = excluded.number',
    ),
    state: database.prepare<[string], { number: number; value: string }>(
      'SELECT number, value FROM state WHERE name = ?',
    ),
    putState: database.prepare<[string, number, string]>(
      'INSERT INTO state VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET number = excluded.number, value = excluded.value',
    ),
  };
}
