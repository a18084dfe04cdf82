/**
 * The log over SQLite: one frame per commit, numbered without holes, synchronous=FULL. What arrives within the hold
 * shares a commit, which makes durability nearly free; an alert or a person's act closes the group at once.
 */
import {
  VillagridError,
  decodeFrame,
  encodeFrame,
  newId,
  type Clock,
  type ClockTrust,
  type Frame,
  type RandomSource,
  type Timer,
} from '@villagrid/contracts';
import { migrateModule, type FrameReader, type Logger, type SqliteDatabase } from '@villagrid/runtime';
import { Group } from './group.js';
import type { CommittedFrame, Log, LogBatch } from './port.js';
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
}

/** What takes part in a commit: runs inside its transaction, after the frame was written. A throw undoes all of it. */
export type CommitParticipant = (number: number, frame: Frame) => void;

/** Numbers of the log for monitoring. */
export interface LogStats {
  commits: number;
  failedCommits: number;
  samples: number;
  bytes: number;
  /** Time of the last commit and the longest so far, real milliseconds. */
  lastCommitMs: number;
  longestCommitMs: number;
  totalCommitMs: number;
  /** Whether the last commit failed. */
  failing: boolean;
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
  /** Commits what waits now. */
  flush(): void;
  /** Commits what waits; further appends are rejected. */
  close(): void;
  readonly stats: Readonly<LogStats>;
}

/** Opens the log; makes its tables and epoch when they are missing. Throws E_STORE_OPEN. */
export function openLog(options: DurableLogOptions): DurableLog {
  const { database, clock, realClock, random, trust } = options;
  migrateModule(database, 'log', logMigrations);
  const sql = statements(database);
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
    lastCommitMs: 0,
    longestCommitMs: 0,
    totalCommitMs: 0,
    failing: false,
  };

  function openEpoch(): { epoch: string; isNew: boolean } {
    const known = sql.epoch.get();
    if (known !== undefined) return { epoch: known, isNew: false };
    const made = newId(clock.nowMs(), random);
    sql.addEpoch.run(made, Math.round(clock.nowMs()));
    return { epoch: made, isNew: true };
  }

  const write = database.transaction((number: number, frame: Frame, bytes: Uint8Array) => {
    let [from, to]: [number | null, number | null] = [null, null];
    for (const { timeMs } of frame.samples) {
      if (from === null || timeMs < from) from = timeMs;
      if (to === null || timeMs > to) to = timeMs;
    }
    sql.addFrame.run(number, from, to, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    for (const participant of participants) participant(number, frame);
  });

  const commit = (): void => {
    timer?.cancel();
    timer = undefined;
    if (group.empty) return;
    const closing = group;
    group = new Group();
    const number = newest + 1;
    const frame: Frame = {
      boot,
      monotonicMs: clock.monotonicMs() - bootMonotonicMs,
      wallMs: clock.nowMs(),
      trust: trust(),
      samples: closing.samples,
      events: closing.events,
      entries: closing.entries,
      received: closing.received,
    };
    const beganMs = realClock.monotonicMs();
    let bytes: Uint8Array;
    try {
      bytes = encodeFrame(frame);
      write.immediate(number, frame, bytes);
    } catch (error) {
      stats.failedCommits += 1;
      stats.failing = true;
      const detail = error instanceof Error ? error.message : String(error);
      options.log.error('a commit failed; nothing of it was kept and nothing of it is acknowledged', {
        code: 'E_NOT_DURABLE',
        waiting: closing.waiting,
        error,
      });
      const refusal = new VillagridError('E_NOT_DURABLE', `The log could not be written: ${detail}.`, { cause: error });
      closing.reject(refusal);
      return;
    }
    newest = number;
    stats.failing = false;
    stats.commits += 1;
    stats.samples += frame.samples.length;
    stats.bytes += bytes.length;
    stats.lastCommitMs = realClock.monotonicMs() - beganMs;
    stats.totalCommitMs += stats.lastCommitMs;
    stats.longestCommitMs = Math.max(stats.longestCommitMs, stats.lastCommitMs);
    closing.resolve(number);
    const committed: CommittedFrame = { number, frame, bytes };
    for (const listener of [...listeners]) {
      try {
        listener(committed);
      } catch (error) {
        options.log.error('a reader of the log failed at a commit', { error });
      }
    }
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
    } else if (group.samples.length >= options.maxSamples || group.bytes >= options.maxBytes) commit();
    else if (first) timer = realClock.after(options.holdMs, commit);
    return promise;
  };

  const toFrame = (row: { number: number; bytes: Buffer }): CommittedFrame => ({
    number: row.number,
    frame: decodeFrame(row.bytes),
    bytes: row.bytes,
  });

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
    setCursor: (reader, number) => void sql.setCursor.run(reader, number),
    *framesOverlapping(fromMs, toMs) {
      // Numbers first: a frame may not be written while a statement is being stepped through.
      for (const number of sql.overlapping.all({ fromMs, toMs, long: longFrameMs })) {
        const row = sql.one.get(number);
        if (row) yield toFrame(row).frame;
      }
    },
    join: (participant) => void participants.push(participant),
    state: (name) => sql.state.get(name),
    putState: (name, number, value) => void sql.putState.run(name, number, value),
    prune(upToNumber, most) {
      const oldest = sql.oldest.get();
      if (oldest === undefined || oldest === null) return 0;
      // Numbers go on from the newest frame, also after a start.
      return sql.prune.run(Math.min(upToNumber, newest - 1, oldest + most - 1)).changes;
    },
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

function statements(database: SqliteDatabase) {
  return {
    newest: database.prepare<[], number | null>('SELECT max(number) FROM frame').pluck(),
    oldest: database.prepare<[], number | null>('SELECT min(number) FROM frame').pluck(),
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
