/** Holds acknowledgements until the owner has what was published, in order of arrival per client. */
import type { Clock } from '@villagrid/contracts';

/** Says yes (no argument) or no (an error) to one publish. */
export type Answer = (error?: Error) => void;

/** The waiting publishes of one client. */
export class PublishGate {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  #previous: Promise<unknown> = Promise.resolve();
  #broken: Error | undefined;

  constructor(clock: Clock, deadlineMs: number) {
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
  }

  /**
   * Runs `take` at once and answers when it and all earlier ones of this client are done. After the first failure every
   * later publish is refused too, so that nothing is acknowledged out of order. Resolves with the failure, if any.
   */
  pass(take: () => Promise<void>, answer: Answer): Promise<Error | undefined> {
    const own = this.#attempt(take);
    const settled = Promise.all([own, this.#previous]).then(([failure]) => {
      this.#broken ??= failure;
      if (this.#broken) answer(this.#broken);
      else answer();
      return failure;
    });
    this.#previous = settled;
    return settled;
  }

  /** Ends with undefined or the failure; never rejects, never throws, never hangs. */
  #attempt(take: () => Promise<void>): Promise<Error | undefined> {
    return new Promise((resolve) => {
      const deadline = this.#clock.after(this.#deadlineMs, () =>
        resolve(new Error(`no answer within ${this.#deadlineMs} ms`)),
      );
      const finish = (failure?: unknown) => {
        deadline.cancel();
        if (failure === undefined) resolve(undefined);
        else resolve(failure instanceof Error ? failure : new Error(String(failure)));
      };
      try {
        Promise.resolve(take()).then(
          () => finish(),
          (reason: unknown) => finish(reason ?? new Error('refused without a reason')),
        );
      } catch (error) {
        finish(error ?? new Error('thrown without a reason'));
      }
    });
  }
}
