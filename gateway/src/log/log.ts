/**
 * The log: one frame per commit, numbered without holes. What arrives within the hold shares a commit, which makes
 * durability nearly free; an alert or a person's act closes the group at once. A commit is durable in the journal, whose
 * frames come into SQLite later and many at a time; without a journal each one is a transaction of synchronous=FULL.
 */
import {
  messageOf,
  VillagridError,
  decodeFrame,
  encodeFrame,
  newId,
  type AlertEvent,
  type Clock,
  type ClockTrust,
  type Frame,
  type RandomSource,
  type Timer,
} from '@villagrid/contracts';
import { migrateModule, nextTurn, type Logger, type SqliteDatabase } from '@villagrid/runtime';
import { Group } from './group.js';
import { JournalKeeper, removeJournal, type JournalSettings } from './journal-keeper.js';
import { committedAfter, type CursorMove, type JournalRecord, type StateWrite } from './journal-record.js';
import { LogTables, type FrameRow } from './log-tables.js';
import type { CommittedFrame, Log, LogBatch } from './port.js';
import { packFrame, unpackFrame } from './packed.js';
import { logMigrations } from './schema.js';
import { spanOf, Waiting, type WaitingCommit } from './waiting.js';

/** Bytes of frames that are brought into the tables at a time, so that the event loop stays free. */
const storeBytes = 128 * 1024;
/** Share of the journal that is taken when frames begin to go into the tables. */
const fullAbove = 0.9;

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
  /** The journal before the tables; left out, there is none. */
  readonly journal?: JournalSettings;
  /** Where alert events are kept that come with frames. */
  readonly events?: EventTables;
}

/** Tables of the log's database that are made of frames. */
export interface EventTables {
  /** Events that are committed and not yet in the tables. */
  waiting(events: readonly AlertEvent[]): void;
  /** Writes events, inside the transaction that stores their frame. They may have been written before. */
  store(events: readonly AlertEvent[]): void;
  /** Events that waited are in the tables. */
  stored(events: readonly AlertEvent[]): void;
}

/**
 * What takes part in a commit: runs when the frame is made, and may put states that are as durable as the frame. The
 * number is its own unless the commit fails. A throw undoes all of it.
 */
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
  /** Whether the last commit failed, or frames could not be brought from the journal into the tables, or the card failed since. */
  failing: boolean;
  /** Whether the last commit failed: nothing is acknowledged. */
  refusing: boolean;
  /** Commits that were made durable by the journal, and times it failed. */
  journalled: number;
  journalFailures: number;
  /** Times the database was opened anew because the card failed. */
  reopened: number;
  /** Frames read whose bytes were not what was written. */
  damagedFrames: number;
}

/** The log with what only its own process uses. */
export interface DurableLog extends Log {
  /** Adds a participant of every commit; `last` is asked after all others, because it follows what they put. */
  join(participant: CommitParticipant, order?: 'last'): void;
  /** A kept state and the number of the frame it belongs to. */
  state(name: string): { readonly number: number; readonly value: string } | undefined;
  /** Writes a state with the present commit; only within a participant. */
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
  /** Closes the group that waits, now; resolves when it is durable, or has failed. */
  flush(): Promise<void>;
  /** Brings everything committed so far into the tables, in small steps. Rejects when that does not work. */
  settle(): Promise<void>;
  /** The same at once, for what cannot wait. Throws when that does not work. */
  settleNow(): void;
  /** Called after each change of the tables. */
  onStored(listener: () => void): void;
  /** Frames that are committed and not yet in the tables. */
  waitingFrames(): number;
  /** Commits what waits and brings it into the tables; further appends are rejected. */
  close(): Promise<void>;
  readonly stats: Readonly<LogStats>;
}

/** A group that was closed, with its number. */
interface Closed {
  readonly group: Group;
  readonly frame: Frame;
  readonly bytes: Uint8Array;
  readonly commit: WaitingCommit;
}

/** Opens the log; makes its tables and epoch when they are missing. Throws E_STORE_OPEN. */
export function openLog(options: DurableLogOptions): DurableLog {
  const { clock, realClock, random, trust, events } = options;
  migrateModule(options.database, 'log', logMigrations);
  let tables = new LogTables(options.database);
  const boot = newId(clock.nowMs(), random).slice(-8).toLowerCase();
  const bootMonotonicMs = clock.monotonicMs();
  const { epoch, isNew } = openEpoch();
  /** Newest number in the tables, newest that is durable, and newest that was given to a closed group. */
  let stored = tables.newest();
  let newest = stored;
  let assigned = stored;
  const waiting = new Waiting();
  let prunedTo = 0;
  let group = new Group();
  let queue: Closed[] = [];
  let flight: Promise<void> | undefined;
  /** The group that waits is to be closed as soon as the write under way has ended. */
  let due = false;
  let timer: Timer | undefined;
  let storing: Timer | undefined;
  let closed = false;
  const participants: CommitParticipant[] = [];
  const lastParticipants: CommitParticipant[] = [];
  /** States that participants of the present commit put. */
  let collected: StateWrite[] | undefined;
  /** Cursors that are not in the tables, and those of them that are in no commit either. */
  const cursors = new Map<string, number>();
  const unrecorded = new Set<string>();
  const listeners = new Set<(committed: CommittedFrame) => void>();
  const storedListeners: (() => void)[] = [];
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
    refusing: false,
    journalled: 0,
    journalFailures: 0,
    reopened: 0,
    damagedFrames: 0,
  };
  const troubleListeners = new Set<(reason: string | undefined) => void>();
  const trouble: { commit: string | undefined; store: string | undefined } = { commit: undefined, store: undefined };
  /** The card failed under the present opening: nothing is written through it any more. */
  let suspect = false;
  /** A commit that failed may be in the tables all the same: until that is known, its number is given to no other. */
  let uncertain = false;

  function openEpoch(): { epoch: string; isNew: boolean } {
    const known = tables.epoch();
    if (known !== undefined) return { epoch: known, isNew: false };
    const made = newId(clock.nowMs(), random);
    tables.addEpoch(made, clock.nowMs());
    return { epoch: made, isNew: true };
  }

  /** Opens the database anew. Throws when that does not work, or when it is not the log that was written. */
  const renew = (): void => {
    if (!options.reopen) {
      suspect = uncertain = false;
      return;
    }
    const { database, readonlyBecause } = options.reopen();
    tables = new LogTables(database);
    if (readonlyBecause !== undefined) throw readonlyBecause;
    stats.reopened += 1;
    const found = tables.newest();
    if (found < stored) throw new Error(`the log ends at ${found} after it was opened anew; ${stored} was stored`);
    const last = found === 0 ? undefined : tables.one(found);
    if (last) decodeFrame(unpackFrame(last.bytes));
    suspect = uncertain = false;
    options.log.warn('the database of the log was opened anew after the card failed', { newest: found });
    forgetStored(Math.min(found, newest));
    // A commit that failed may have reached the file all the same: not acknowledged, yet a frame of the log.
    while (newest < found) {
      newest += 1;
      assigned = stored = newest;
      const row = tables.one(newest);
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

  const inTrouble = (where: keyof typeof trouble, reason: string | undefined): void => {
    trouble[where] = reason;
    stats.refusing = trouble.commit !== undefined;
    const failing = trouble.commit !== undefined || trouble.store !== undefined;
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
    try {
      renew();
    } catch (again) {
      options.log.error('the database of the log cannot be opened anew yet', { error: again });
    }
    inTrouble('store', messageOf(error));
  };

  /** Commits up to a number are in the tables. */
  const forgetStored = (upTo: number): void => {
    const gone = waiting.forget(upTo);
    keeper?.current?.release(upTo);
    if (upTo > stored) stored = upTo;
    events?.stored(gone.flatMap((one) => one.events));
  };

  /** Cursors as the tables may have them: never ahead of their frames, so that a copy of them is whole by itself. */
  const movesUpTo = (last: number): CursorMove[] =>
    [...cursors].map(([reader, number]) => ({ reader, number: Math.min(number, last) }));

  const tellStored = (): void => {
    for (const listener of storedListeners) listener();
  };

  /** Writes commits into the tables, through an opening that is trusted; with room made once when there is none. */
  const store = (commits: readonly WaitingCommit[]): void => {
    if (suspect) renew();
    // What the renewal found to be there.
    const missing = commits.filter(({ number }) => number > stored);
    const moves = movesUpTo(missing.at(-1)?.number ?? stored);
    const write = () =>
      tables.store(missing, {
        cursors: moves,
        without: prunedTo,
        also: (commit) => events?.store(commit.events),
      });
    try {
      write();
    } catch (error) {
      if (!isFull(error) || options.makeRoom?.() !== true) throw error;
      write();
    }
    for (const { reader, number } of moves) if (cursors.get(reader) === number) cursors.delete(reader);
    inTrouble('store', undefined);
    tellStored();
  };

  /** Brings the oldest commits that wait into the tables. Throws when that does not work. */
  const storeOldest = (mostBytes: number): void => {
    const commits = waiting.oldest(mostBytes);
    const last = commits.at(-1);
    if (!last) return;
    try {
      store(commits);
    } catch (error) {
      storeFailed(error);
      throw error;
    }
    forgetStored(last.number);
  };

  const storeFailed = (error: unknown): void => {
    options.log.error('frames of the journal could not be brought into the database; the journal keeps them', {
      error,
    });
    if (isCardFailure(error)) cardFailed(error);
    else inTrouble('store', messageOf(error));
  };

  const settleNow = (): void => {
    while (waiting.length > 0) storeOldest(Number.POSITIVE_INFINITY);
  };

  const trySettle = (): void => {
    try {
      settleNow();
    } catch {
      // Told; it is tried again with the next commit.
    }
  };

  /** One step, and further ones while the journal is too full. */
  const storeSoon = (): void => {
    if (storing || closed || waiting.length === 0) return;
    if (trouble.store === undefined && (keeper?.current?.used ?? 1) <= fullAbove) return;
    storing = realClock.after(0, () => {
      storing = undefined;
      try {
        storeOldest(storeBytes);
      } catch {
        return;
      }
      storeSoon();
    });
  };

  const refuse = (groups: readonly Group[], error: unknown): void => {
    stats.failedCommits += groups.length;
    const detail = messageOf(error);
    options.log.error('a commit failed; nothing of it was kept and nothing of it is acknowledged', {
      code: 'E_NOT_DURABLE',
      waiting: groups.reduce((sum, one) => sum + one.waiting, 0),
      error,
    });
    for (const one of groups)
      one.reject(new VillagridError('E_NOT_DURABLE', `The log could not be written: ${detail}.`, { cause: error }));
    if (isCardFailure(error)) cardFailed(error);
    inTrouble('commit', detail);
  };

  /** Refuses what was closed: numbers go on from the last commit. */
  const refuseAll = (batch: readonly Closed[], error: unknown): void => {
    const refused = [...batch, ...queue];
    queue = [];
    assigned = newest;
    for (const reader of cursors.keys()) unrecorded.add(reader);
    refuse(
      refused.map((one) => one.group),
      error,
    );
  };

  const committed = ({ group: closing, frame, bytes, commit }: Closed): void => {
    newest = commit.number;
    stats.commits += 1;
    stats.samples += closing.sampleCount;
    stats.bytes += bytes.length;
    stats.storedBytes += commit.bytes.length;
    inTrouble('commit', undefined);
    closing.resolve(newest);
    tellCommitted({ number: newest, frame, bytes });
  };

  const took = (beganMs: number): void => {
    stats.lastCommitMs = realClock.monotonicMs() - beganMs;
    stats.totalCommitMs += stats.lastCommitMs;
    stats.longestCommitMs = Math.max(stats.longestCommitMs, stats.lastCommitMs);
  };

  /** Commits by a transaction, with all that waits before it. */
  const commitDirectly = (batch: readonly Closed[]): void => {
    const beganMs = realClock.monotonicMs();
    const last = batch.at(-1)?.commit.number ?? 0;
    try {
      store([...waiting.oldest(Number.POSITIVE_INFINITY), ...batch.map((one) => one.commit)]);
    } catch (error) {
      if (isCardFailure(error)) uncertain = true;
      refuseAll(batch, error);
      return;
    }
    forgetStored(last);
    took(beganMs);
    for (const one of batch) committed(one);
    keeper?.wake();
  };

  /** Writes what is closed: beside the event loop where there is a journal. */
  const pump = (): void => {
    while (flight === undefined && queue.length > 0) {
      const journal = keeper?.current;
      const prepared = journal?.prepare(
        queue.map((one) => recordOf(one.commit)),
        newest,
      );
      if (journal && prepared && prepared.count > 0) {
        const batch = queue.splice(0, prepared.count);
        const beganMs = realClock.monotonicMs();
        flight = prepared.run().then(
          () => landed(batch, beganMs),
          (error: unknown) => crashed(batch, error),
        );
        return;
      }
      if (prepared?.fits === true) {
        try {
          storeOldest(storeBytes);
        } catch (error) {
          refuseAll([], error);
        }
      } else commitDirectly(queue.splice(0, journal ? 1 : queue.length));
    }
  };

  const recordOf = ({ number, bytes, states, cursors: moves }: WaitingCommit) => ({
    number,
    frame: bytes,
    states,
    cursors: moves,
  });

  const landed = (batch: readonly Closed[], beganMs: number): void => {
    took(beganMs);
    keeper?.worked();
    stats.journalled += batch.length;
    for (const one of batch) {
      waiting.add(one.commit);
      events?.waiting(one.commit.events);
      committed(one);
    }
    flight = undefined;
    if (due) closeGroup();
    pump();
    storeSoon();
  };

  const crashed = (batch: readonly Closed[], error: unknown): void => {
    stats.journalFailures += 1;
    keeper?.failed(error);
    refuseAll(batch, error);
    flight = undefined;
    // So that nothing hangs on a journal that fails.
    trySettle();
    if (due) closeGroup();
    pump();
  };

  /** Makes the group that waits a frame with a number. */
  const closeGroup = (): void => {
    timer?.cancel();
    timer = undefined;
    due = false;
    if (group.empty) return;
    const closing = group;
    group = new Group();
    const frame = closing.toFrame({
      boot,
      // Whole, as the frame is read again: a correction of the clock parts frames by the millisecond.
      monotonicMs: Math.round(clock.monotonicMs() - bootMonotonicMs),
      wallMs: Math.round(clock.nowMs()),
      trust: trust(),
    });
    try {
      if (uncertain) renew();
      const number = assigned + 1;
      const bytes = encodeFrame(frame);
      const states: StateWrite[] = [];
      collected = states;
      for (const participant of [...participants, ...lastParticipants]) participant(number, frame);
      const moves = [...unrecorded].map((reader) => ({ reader, number: cursors.get(reader) ?? 0 }));
      unrecorded.clear();
      const commit = {
        number,
        bytes: packFrame(bytes),
        ...spanOf(frame),
        states,
        cursors: moves,
        events: frame.events,
      };
      assigned = number;
      queue.push({ group: closing, frame, bytes, commit });
    } catch (error) {
      refuse([closing], error);
    } finally {
      collected = undefined;
    }
  };

  const commitNow = (): void => {
    closeGroup();
    pump();
  };

  /** Closes the group now, or when the write under way has ended: until then more may share its commit. */
  const commitSoon = (): void => {
    if (flight === undefined) commitNow();
    else due = true;
  };

  const append = (batch: LogBatch, { urgent = false }: { readonly urgent?: boolean } = {}): Promise<number> => {
    if (closed) return Promise.reject(new VillagridError('E_NOT_DURABLE', 'The log is closed: the gateway stops.'));
    const first = group.empty;
    const promise = group.add(batch);
    if (urgent || options.holdMs === 0) {
      // With the present task, so that an alert and the sample that caused it share the commit.
      const mine = group;
      queueMicrotask(() => {
        if (mine === group) commitSoon();
      });
    } else if (group.sampleCount >= options.maxSamples || group.bytes >= options.maxBytes) commitNow();
    else if (first) timer = realClock.after(options.holdMs, commitSoon);
    return promise;
  };

  const flush = async (): Promise<void> => {
    commitNow();
    while (flight !== undefined) await flight;
  };

  /** A frame whose bytes the card changed keeps its number, its place in history stays empty, and all else goes on. */
  const toFrame = ({ number, bytes: packed }: FrameRow): CommittedFrame => {
    try {
      const bytes = unpackFrame(packed);
      return { number, bytes, frame: decodeFrame(bytes) };
    } catch (error) {
      stats.damagedFrames += 1;
      options.log.error('a frame was changed by the card and cannot be read', { number, error });
      const nothing = { samples: [], events: [], entries: [], received: [] };
      return { number, bytes: packed, frame: { boot, monotonicMs: 0, wallMs: 0, trust: 'none', ...nothing } };
    }
  };

  /** Frames in the tables and then those that wait. */
  function* rows(fromNumber: number, maxFrames: number): Generator<FrameRow> {
    const from = prunedTo > 0 ? Math.max(fromNumber, prunedTo + 1) : fromNumber;
    let left = maxFrames;
    if (from <= stored)
      for (const row of tables.read(from, maxFrames)) {
        left -= 1;
        yield row;
      }
    for (const row of waiting.from(from)) {
      if (left <= 0) return;
      left -= 1;
      yield row;
    }
  }

  /** Takes over what the journal holds and the tables do not. */
  const takeOver = (records: readonly JournalRecord[]): void => {
    for (const [index, record] of committedAfter(records, {
      epoch,
      newest,
      fromCopy: options.journal?.fromCopy ?? false,
    }).entries()) {
      waiting.add(waitingOf(record, stored + 1 + index));
      for (const move of record?.cursors ?? []) cursors.set(move.reader, move.number);
    }
    if (waiting.length === 0) return;
    newest = assigned = stored + waiting.length;
    events?.waiting(waiting.oldest(Number.POSITIVE_INFINITY).flatMap((one) => one.events));
    options.log.info('commits were taken over from the journal', { frames: waiting.length, newest });
    trySettle();
  };

  /** A commit of the journal; one in whose place the journal was changed is a frame that cannot be read. */
  const waitingOf = (record: JournalRecord | undefined, number: number): WaitingCommit => {
    const nothing = { fromMs: null, toMs: null, events: [] };
    const bytes = Buffer.from(record?.frame ?? []);
    const kept = { number, bytes, states: record?.states ?? [], cursors: record?.cursors ?? [] };
    try {
      const frame = decodeFrame(unpackFrame(bytes));
      return { ...kept, ...spanOf(frame), events: frame.events };
    } catch {
      return { ...kept, ...nothing };
    }
  };

  let keeper: JournalKeeper | undefined;
  if (options.journal) {
    takeOver(options.journal.found?.records ?? []);
    if (options.journal.bytes > 0)
      keeper = new JournalKeeper({
        ...options.journal,
        epoch,
        realClock,
        log: options.log,
        mayBegin: () => waiting.length === 0 && !uncertain && !closed,
        begins() {
          if (!tables.hasJournal()) tables.noteJournal(true);
        },
      });
    else if (waiting.length === 0) {
      if (tables.hasJournal()) tables.noteJournal(false);
      removeJournal(options.journal.path);
    }
  }
  if (isNew) {
    void append({
      entries: [{ type: 'epoch', epoch, previous_epoch: null, previous_last_number: null, reason: 'created' }],
    });
    commitNow();
  }
  keeper?.wake();

  return {
    epoch,
    boot,
    stats,
    newestNumber: () => newest,
    oldestNumber: () => tables.oldest() ?? (waiting.first === undefined ? 0 : Math.max(waiting.first, prunedTo + 1)),
    append,
    read(fromNumber, { maxFrames, maxBytes }) {
      const frames: CommittedFrame[] = [];
      let bytes = 0;
      for (const row of rows(fromNumber, maxFrames)) {
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
    cursor: (reader) => cursors.get(reader) ?? tables.cursor(reader),
    setCursor(reader, number) {
      if (keeper) {
        cursors.set(reader, number);
        unrecorded.add(reader);
        return;
      }
      if (suspect) renew();
      try {
        tables.setCursor(reader, number);
      } catch (error) {
        if (isCardFailure(error)) cardFailed(error);
        else if (isFull(error) && options.makeRoom?.() !== true) inTrouble('store', messageOf(error));
        throw error;
      }
      tellStored();
    },
    join: (participant, order) => void (order === 'last' ? lastParticipants : participants).push(participant),
    prune(upToNumber, most) {
      const oldest = tables.oldest() ?? waiting.first;
      if (oldest === undefined) return 0;
      // Numbers go on from the newest frame, also after a start.
      const upTo = Math.min(upToNumber, newest - 1, Math.max(oldest, prunedTo + 1) + most - 1);
      let gone = 0;
      if (oldest <= stored) {
        gone = tables.prune(Math.min(upTo, stored), movesUpTo(stored));
        tellStored();
      }
      // What waits is not brought into the tables at all.
      gone += Math.max(0, upTo - Math.max(stored, prunedTo));
      prunedTo = Math.max(prunedTo, upTo);
      return gone;
    },
    state(name) {
      const kept = waiting.state(name) ?? tables.state(name);
      if (kept && kept.value === undefined)
        options.log.error('a kept state was changed by the card; it is made anew from the frames', { name });
      return kept?.value === undefined ? undefined : { number: kept.number, value: kept.value };
    },
    putState(name, number, value) {
      if (!collected) throw new Error('a state is put outside of a commit');
      collected.push({ name, number, value });
    },
    onTrouble(listener) {
      troubleListeners.add(listener);
      return () => troubleListeners.delete(listener);
    },
    onStored: (listener) => void storedListeners.push(listener),
    cardFailed,
    trusted: () => !suspect,
    monotonicMs: () => clock.monotonicMs() - bootMonotonicMs,
    flush,
    async settle() {
      await flush();
      while (waiting.length > 0) {
        storeOldest(storeBytes);
        await nextTurn();
      }
    },
    settleNow,
    waitingFrames: () => waiting.length,
    async close() {
      commitNow();
      closed = true;
      storing?.cancel();
      while (flight !== undefined) await flight;
      trySettle();
      if (cursors.size > 0) tryTo(() => store([]));
      await keeper?.stop();
    },
  };

  function tryTo(work: () => void): void {
    try {
      work();
    } catch (error) {
      options.log.error('the log could not be brought up to date at its close', { error });
    }
  }
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

const codeOf = (error: unknown): string => {
  const code = error instanceof Error ? (error as { readonly code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : '';
};
