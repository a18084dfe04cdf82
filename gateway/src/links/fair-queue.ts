/** One job at a time, in turn between units: whoever asks much waits longer, not the others. */

interface Job {
  readonly run: () => Promise<void>;
}

/** A queue with a lane per unit, served round robin. Jobs must not reject. */
export class FairQueue {
  readonly #lanes = new Map<number, Job[]>();
  #running = false;

  /** Adds a job to a unit's lane. */
  add(unit: number, run: () => Promise<void>): void {
    const lane = this.#lanes.get(unit);
    if (lane) lane.push({ run });
    else this.#lanes.set(unit, [{ run }]);
    if (!this.#running) void this.#serve();
  }

  /** Jobs that wait. */
  get length(): number {
    let total = 0;
    for (const lane of this.#lanes.values()) total += lane.length;
    return total;
  }

  async #serve(): Promise<void> {
    this.#running = true;
    for (let next = this.#takeNext(); next; next = this.#takeNext()) await next.run();
    this.#running = false;
  }

  /** The first job of the lane that waited longest; its lane then goes to the end. */
  #takeNext(): Job | undefined {
    for (const [unit, lane] of this.#lanes) {
      const job = lane.shift();
      this.#lanes.delete(unit);
      if (lane.length > 0) this.#lanes.set(unit, lane);
      if (job) return job;
    }
    return undefined;
  }
}
