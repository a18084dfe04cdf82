/**
 * Holds acknowledgements until the owner has what was published, in order of arrival per client. Made for many publishes
 * that wait for one commit: those that wait for the same promise share everything but their place in the order.
 */
import type { Clock } from '@villagrid/contracts';
import { unrefTimer } from '../clock/real-clock.js';

/** Who acknowledges, or refuses, what was held. */
export interface GateAnswers<T> {
  /** Called once for each publish, in order of arrival. `own` tells that the failure is this publish's own. */
  answer(publish: T, failure: Error | undefined, own: boolean): void;
  /** Called after a run of answers. */
  answered?(): void;
}

/** Takes a publish: its payload is bytes `from` to `to` of a buffer. The promise is that of what it waits for. */
export type TakeBytes = (
  bytes: Uint8Array,
  from: number,
  to: number,
  packetId: number,
  duplicate: boolean,
) => Promise<unknown>;

/** Publishes that wait for one promise, next to each other in the order of arrival. */
interface Group<T> {
  readonly promise: Promise<unknown>;
  readonly publishes: T[];
  readonly dueMs: number;
  state: 'waiting' | 'taken' | 'failed';
  failure: Error | undefined;
}

/** The waiting publishes of one client. */
export class PublishGate<T> {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  readonly #answers: GateAnswers<T>;
  readonly #groups: Group<T>[] = [];
  #broken: Error | undefined;
  #watched = false;

  constructor(clock: Clock, deadlineMs: number, answers: GateAnswers<T>) {
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
    this.#answers = answers;
  }

  /**
   * Runs `take` at once; the publish is answered when its promise and all earlier ones of this client are done. After
   * the first failure everything that waits, and everything later, is refused: nothing is acknowledged out of order.
   * A promise that does not end within the deadline has failed.
   */
  pass(publish: T, take: () => Promise<unknown>): void {
    if (this.#broken) {
      this.#answers.answer(publish, this.#broken, false);
      this.#answers.answered?.();
      return;
    }
    this.#hold(publish, attempt(take));
  }

  /** The same for one of the short way: its place in the order is its packet id, its payload lies within other bytes. */
  passBytes(
    packetId: T & number,
    take: TakeBytes,
    bytes: Uint8Array,
    from: number,
    to: number,
    duplicate: boolean,
  ): void {
    if (this.#broken) {
      this.#answers.answer(packetId, this.#broken, false);
      this.#answers.answered?.();
      return;
    }
    let promise: Promise<unknown>;
    try {
      promise = take(bytes, from, to, packetId, duplicate);
    } catch (error) {
      promise = Promise.reject(toError(error));
    }
    this.#hold(packetId, promise);
  }

  #hold(publish: T, promise: Promise<unknown>): void {
    const last = this.#groups.at(-1);
    if (last?.promise === promise && last.state === 'waiting') {
      last.publishes.push(publish);
      return;
    }
    const dueMs = this.#clock.monotonicMs() + this.#deadlineMs;
    const group: Group<T> = { promise, publishes: [publish], dueMs, state: 'waiting', failure: undefined };
    this.#groups.push(group);
    promise.then(
      () => this.#settle(group, undefined),
      (reason: unknown) => this.#settle(group, toError(reason)),
    );
    if (!this.#watched) this.#watch(this.#deadlineMs);
  }

  #settle(group: Group<T>, failure: Error | undefined): void {
    if (group.state !== 'waiting') return;
    group.state = failure ? 'failed' : 'taken';
    group.failure = failure;
    let answered = false;
    for (let first = this.#groups[0]; first && (this.#broken || first.state !== 'waiting'); first = this.#groups[0]) {
      this.#groups.shift();
      const own = !this.#broken && first.failure !== undefined;
      this.#broken ??= first.failure;
      for (const publish of first.publishes) this.#answers.answer(publish, this.#broken, own);
      answered = true;
    }
    if (answered) this.#answers.answered?.();
  }

  /** One timer for all that wait: the first in the order has waited longest. */
  #watch(delayMs: number): void {
    this.#watched = true;
    unrefTimer(
      this.#clock.after(delayMs, () => {
        this.#watched = false;
        const nowMs = this.#clock.monotonicMs();
        for (let first = this.#groups[0]; first && first.dueMs <= nowMs; first = this.#groups[0])
          this.#settle(first, new Error(`no answer within ${this.#deadlineMs} ms`));
        const next = this.#groups[0];
        if (next) this.#watch(next.dueMs - nowMs);
      }),
    );
  }
}

/** The promise itself, so that one shared by many is known again; a throw is a rejection. */
function attempt(take: () => Promise<unknown>): Promise<unknown> {
  try {
    return Promise.resolve(take());
  } catch (error) {
    return Promise.reject(toError(error));
  }
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason ?? 'refused without a reason'));
}
