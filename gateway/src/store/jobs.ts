/** Long work in small steps, one after another: generators that yield where the event loop may breathe. */
import { nextTurn } from '@villagrid/runtime';

/** Runs generators in turn; each may also be brought to its end at once. */
export class Jobs {
  #current: Generator<void, unknown> | undefined;
  /** Whether the present job is within a step: then it ends by what the step throws. */
  #stepping = false;
  #before: Promise<unknown> = Promise.resolve();

  /** Runs a job after those before it, a step per turn of the event loop. */
  run<T>(make: () => Generator<void, T>): Promise<T> {
    const done = this.#before.then(() => this.#drive(make()));
    this.#before = done.catch(() => {});
    return done;
  }

  /** Brings the job that is under way to its end. */
  finish(): void {
    const job = this.#current;
    if (job) while (!this.#step(job));
  }

  /** Ends the job that is under way where it stands: what it worked on is not what is true any more. */
  abandon(): void {
    if (!this.#stepping) this.#current?.return(undefined);
  }

  /** Runs a job to its end in one go; nothing else may be under way. */
  runNow<T>(job: Generator<void, T>): T {
    for (;;) {
      const step = job.next();
      if (step.done) return step.value;
    }
  }

  async #drive<T>(job: Generator<void, T>): Promise<T> {
    let result: T | undefined;
    // Whoever finishes the job at once takes its last step: its result is noted by the job itself.
    const noted = (function* () {
      result = yield* job;
    })();
    this.#current = noted;
    try {
      while (!this.#step(noted)) await nextTurn();
      return result as T;
    } finally {
      this.#current = undefined;
    }
  }

  #step(job: Generator<void, unknown>): boolean {
    this.#stepping = true;
    try {
      return job.next().done === true;
    } finally {
      this.#stepping = false;
    }
  }
}
