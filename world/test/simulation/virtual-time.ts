/**
 * Time that jumps: one heap of what is due, one process. Whoever is killed has a life of its own, whose timers end with
 * it. After each event everything that was begun is brought to its end before time goes on, so a seed is a history.
 */
import type { Clock, Timer } from '@villagrid/contracts';

/** Something that can be killed: from then on none of its timers runs. */
export class Life {
  alive = true;
  /** Timers that wait: a bound on what a life may hold. */
  timers = 0;

  kill(): void {
    this.alive = false;
  }
}

/** Something that is due. A class, because one is made for nearly every event. */
class Entry implements Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly life: Life | undefined;
  run: (() => void) | undefined;

  constructor(dueMs: number, order: number, life: Life | undefined, run: () => void) {
    this.dueMs = dueMs;
    this.order = order;
    this.life = life;
    this.run = run;
    if (life) life.timers += 1;
  }

  cancel(): void {
    if (this.run === undefined) return;
    this.run = undefined;
    if (this.life) this.life.timers -= 1;
  }
}

/** Events between two real turns of the event loop, so that the process stays answerable. */
const eventsPerTurn = 2000;

/** The world's time, milliseconds from its beginning. */
export class VirtualTime {
  ms = 0;
  events = 0;
  readonly #heap: Entry[] = [];
  #order = 0;
  #turns: (() => void)[] = [];
  readonly #realImmediate = globalThis.setImmediate;

  /** Puts `nextTurn` of the code under test under virtual time, until the returned function is called. */
  takeTurns(): () => void {
    const taken = ((run: () => void) => void this.#turns.push(run)) as unknown as typeof setImmediate;
    globalThis.setImmediate = taken;
    return () => {
      globalThis.setImmediate = this.#realImmediate;
    };
  }

  /** Runs something after a delay, unless its life has ended. */
  after(delayMs: number, run: () => void, life?: Life): Timer {
    const entry = new Entry(this.ms + Math.max(0, delayMs), this.#order++, life, run);
    this.#push(entry);
    return entry;
  }

  /** A clock of a life: `speed` times as fast, its wall clock beginning at `startMs()`. */
  clock({ life, speed, wallMs }: { life: Life; speed: number; wallMs: () => number }): Clock {
    const after = (delayMs: number, run: () => void): Timer => this.after(delayMs / speed, run, life);
    return {
      nowMs: wallMs,
      monotonicMs: () => this.ms * speed,
      after,
      every(periodMs, run) {
        let timer = after(periodMs, tick);
        function tick(): void {
          timer = after(periodMs, tick);
          run();
        }
        return { cancel: () => timer.cancel() };
      },
      sleep: (delayMs, signal) =>
        new Promise((resolve, reject) => {
          const timer = after(delayMs, resolve);
          signal?.addEventListener(
            'abort',
            () => {
              timer.cancel();
              reject(new Error('the wait was called off'));
            },
            { once: true },
          );
        }),
    };
  }

  /** Lets all that happens until a time happen; `between` is called after each event that had its whole effect. */
  async runUntil(untilMs: number, between: () => void): Promise<void> {
    await this.settle();
    for (let next = this.#heap[0]; next !== undefined && next.dueMs <= untilMs; next = this.#heap[0]) {
      this.#pop();
      const { run, life } = next;
      if (run === undefined) continue;
      next.run = undefined;
      if (life) life.timers -= 1;
      if (life?.alive === false) continue;
      this.ms = Math.max(this.ms, next.dueMs);
      this.events += 1;
      run();
      await this.settle();
      if (this.events % eventsPerTurn === 0) await new Promise((resolve) => this.#realImmediate(resolve));
      between();
    }
    this.ms = Math.max(this.ms, untilMs);
  }

  /** Waits for something that needs virtual time to go on. */
  async until<T>(what: Promise<T>, withinMs: number, between: () => void): Promise<T> {
    let outcome: { readonly value: T } | { readonly error: unknown } | undefined;
    what.then(
      (value) => (outcome = { value }),
      (error: unknown) => (outcome = { error }),
    );
    const endMs = this.ms + withinMs;
    await this.settle();
    while (outcome === undefined) {
      if (this.ms >= endMs) throw new Error('waited in vain');
      await this.runUntil(Math.min(endMs, this.#heap[0]?.dueMs ?? endMs), between);
    }
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }

  /** Brings everything that was begun to its end: promises, and turns of the event loop. */
  async settle(): Promise<void> {
    await drained();
    while (this.#turns.length > 0) {
      const turns = this.#turns;
      this.#turns = [];
      for (const run of turns) {
        run();
        await drained();
      }
    }
  }

  #isBefore(a: Entry, b: Entry): boolean {
    return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Entry;
      if (!this.#isBefore(entry, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child += 1;
      if (!this.#isBefore(heap[child] as Entry, last)) break;
      heap[at] = heap[child] as Entry;
      at = child;
    }
    heap[at] = last;
  }
}

const whenDrained = (resolve: () => void): void => process.nextTick(resolve);
/** Node runs this queue when no promise is left to go on. */
const drained = (): Promise<void> => new Promise(whenDrained);
