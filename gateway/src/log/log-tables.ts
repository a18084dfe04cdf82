/** The log's tables in SQLite: the only room that knows their SQL. */
import { crc32 } from '@villagrid/contracts';
import type { SqliteDatabase } from '@villagrid/runtime';
import type { CursorMove, StateWrite } from './journal-record.js';

/** A row of the log. */
export interface FrameRow {
  readonly number: number;
  readonly bytes: Buffer;
}

/** A commit on its way into the tables. */
export interface StoredCommit extends FrameRow {
  /** Unix milliseconds of its first and last sample. */
  readonly fromMs: number | null;
  readonly toMs: number | null;
  readonly states: readonly StateWrite[];
}

/** Rows among the cursors: up to which number frames have come here, where they come through a journal; and that one stands before the tables. */
export const movedReader = 'moved';
const journal = 'journal';

/** The tables of one opening of the database. */
export class LogTables {
  readonly #sql: ReturnType<typeof statements>;

  constructor(database: SqliteDatabase) {
    this.#sql = statements(database);
  }

  /** Newest number that is here or was here. */
  newest(): number {
    return Math.max(this.#sql.newest.get() ?? 0, this.#sql.cursor.get(movedReader) ?? 0);
  }

  /** Oldest number that is here; undefined when none is. */
  oldest(): number | undefined {
    return this.#sql.oldest.get() ?? undefined;
  }

  one(number: number): FrameRow | undefined {
    return this.#sql.one.get(number);
  }

  read(fromNumber: number, maxFrames: number): IterableIterator<FrameRow> {
    return this.#sql.read.iterate(fromNumber, maxFrames);
  }

  epoch(): string | undefined {
    return this.#sql.epoch.get();
  }

  /** Notes a new life of the log; it is the newest whatever the clock says. */
  addEpoch(epoch: string, nowMs: number): void {
    this.#sql.addEpoch.run(epoch, Math.round(nowMs));
  }

  cursor(reader: string): number {
    return this.#sql.cursor.get(reader) ?? 0;
  }

  setCursor(reader: string, number: number): void {
    this.#sql.setCursor.run(reader, number);
  }

  /** Whether a journal stands before these tables, which a start must not do without. */
  hasJournal(): boolean {
    return this.#sql.cursor.get(journal) !== undefined;
  }

  /** Notes that a journal does, or that none does any more. */
  noteJournal(stands: boolean): void {
    const { whole, setCursor, dropCursor } = this.#sql;
    whole(() => {
      // Numbers go on from what came here, also when nothing of it is left.
      setCursor.run(movedReader, this.newest());
      if (stands) setCursor.run(journal, 1);
      else dropCursor.run(journal);
    });
  }

  state(name: string): { readonly number: number; readonly value: string | undefined } | undefined {
    const kept = this.#sql.state.get(name);
    return kept && { number: kept.number, value: unsealed(kept.value) };
  }

  /**
   * Writes commits and cursors, all or nothing and durable when it returns. Frames up to `without` are not wanted any
   * more: only what they kept is. `also` writes what is made of each commit.
   */
  store<T extends StoredCommit>(
    commits: readonly T[],
    {
      cursors = [],
      without = 0,
      also,
    }: { readonly cursors?: readonly CursorMove[]; readonly without?: number; readonly also?: (commit: T) => void },
  ): void {
    const { whole, addFrame, putState, setCursor } = this.#sql;
    whole(() => {
      const states = new Map<string, StateWrite>();
      for (const commit of commits) {
        const { number, fromMs, toMs, bytes } = commit;
        if (number > without) addFrame.run(number, fromMs, toMs, bytes);
        for (const state of commit.states) states.set(state.name, state);
        also?.(commit);
      }
      for (const { name, number, value } of states.values()) putState.run(name, number, sealed(value));
      for (const { reader, number } of cursors) setCursor.run(reader, number);
      const last = commits.at(-1);
      if (last && this.hasJournal()) setCursor.run(movedReader, last.number);
    });
  }

  /** Deletes frames up to a number, with what goes with it; gives how many went. */
  prune(upTo: number, cursors: readonly CursorMove[]): number {
    const { whole, prune, setCursor } = this.#sql;
    let gone = 0;
    whole(() => {
      gone = prune.run(upTo).changes;
      for (const { reader, number } of cursors) setCursor.run(reader, number);
    });
    return gone;
  }
}

/** A text with its checksum before it. */
export const sealed = (text: string): string => `${crc32(Buffer.from(text)).toString(16).padStart(8, '0')} ${text}`;

/** A sealed text; undefined when it is not what was sealed. */
function unsealed(text: string): string | undefined {
  const inside = text.slice(9);
  return sealed(inside) === text ? inside : undefined;
}

function statements(database: SqliteDatabase) {
  const whole = database.transaction((work: () => void) => work());
  return {
    /** All or nothing, begun at once. */
    whole: (work: () => void): void => whole.immediate(work),
    newest: database.prepare<[], number | null>('SELECT max(number) FROM frame').pluck(),
    oldest: database.prepare<[], number | null>('SELECT min(number) FROM frame WHERE number > 0').pluck(),
    epoch: database.prepare<[], string>('SELECT epoch FROM epoch ORDER BY made_at_ms DESC LIMIT 1').pluck(),
    addEpoch: database.prepare<[string, number]>(
      'INSERT INTO epoch VALUES (?, max(?, (SELECT ifnull(max(made_at_ms), 0) + 1 FROM epoch)))',
    ),
    addFrame: database.prepare<[number, number | null, number | null, Buffer]>('INSERT INTO frame VALUES (?, ?, ?, ?)'),
    read: database.prepare<[number, number], FrameRow>(
      'SELECT number, bytes FROM frame WHERE number >= ? ORDER BY number LIMIT ?',
    ),
    prune: database.prepare<[number]>('DELETE FROM frame WHERE number <= ?'),
    one: database.prepare<[number], FrameRow>('SELECT number, bytes FROM frame WHERE number = ?'),
    cursor: database.prepare<[string], number>('SELECT number FROM cursor WHERE reader = ?').pluck(),
    setCursor: database.prepare<[string, number]>(
      'INSERT INTO cursor VALUES (?, ?) ON CONFLICT (reader) DO UPDATE SET number = excluded.number',
    ),
    dropCursor: database.prepare<[string]>('DELETE FROM cursor WHERE reader = ?'),
    state: database.prepare<[string], { number: number; value: string }>(
      'SELECT number, value FROM state WHERE name = ?',
    ),
    putState: database.prepare<[string, number, string]>(
      'INSERT INTO state VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET number = excluded.number, value = excluded.value',
    ),
  };
}
