/** Long calculations in steps: whoever runs them decides when others have their turn. */

/** A calculation that pauses between its steps. */
export type Steps<T> = Generator<undefined, T, undefined>;

/** Runs a calculation to its end without a pause. */
export function finished<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
