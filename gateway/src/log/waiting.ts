/** What is committed in the journal and not yet in the tables: in memory, so that readers see one log. */
import { spanOfFrame, type AlertEvent, type Frame } from '@villagrid/contracts';
import type { CursorMove, StateWrite } from './journal-record.js';
import type { FrameRow, StoredCommit } from './log-tables.js';

/** A commit that waits. */
export interface WaitingCommit extends StoredCommit {
  readonly events: readonly AlertEvent[];
  readonly cursors: readonly CursorMove[];
}

/** The first and last time of a frame's samples, Unix milliseconds; null without samples. */
export function spanOf(frame: Frame): Pick<StoredCommit, 'fromMs' | 'toMs'> {
  const [fromMs, toMs] = spanOfFrame(frame) ?? [null, null];
  return { fromMs, toMs };
}

/** The commits that wait, in order and without holes, and what they keep. */
export class Waiting {
  #commits: WaitingCommit[] = [];
  readonly #states = new Map<string, StateWrite & { readonly commit: number }>();

  get length(): number {
    return this.#commits.length;
  }

  add(commit: WaitingCommit): void {
    this.#commits.push(commit);
    for (const state of commit.states) this.#states.set(state.name, { ...state, commit: commit.number });
  }

  /** The oldest ones, so many bytes at most but always one. */
  oldest(mostBytes: number): readonly WaitingCommit[] {
    let bytes = 0;
    const end = this.#commits.findIndex((one) => (bytes += one.bytes.length) > mostBytes);
    return end < 0 ? this.#commits.slice() : this.#commits.slice(0, Math.max(1, end));
  }

  /** Forgets commits up to a number: they are in the tables. Gives them. */
  forget(upTo: number): readonly WaitingCommit[] {
    const stays = this.#commits.findIndex((one) => one.number > upTo);
    const gone = this.#commits.splice(0, stays < 0 ? this.#commits.length : stays);
    for (const [name, { commit }] of this.#states) if (commit <= upTo) this.#states.delete(name);
    return gone;
  }

  /** Frames from a number on. */
  *from(number: number): Generator<FrameRow> {
    const first = this.#commits[0]?.number;
    if (first === undefined) return;
    for (let index = Math.max(0, number - first); index < this.#commits.length; index += 1)
      yield this.#commits[index] as FrameRow;
  }

  state(name: string): StateWrite | undefined {
    return this.#states.get(name);
  }

  /** Number of the oldest that waits. */
  get first(): number | undefined {
    return this.#commits[0]?.number;
  }
}
