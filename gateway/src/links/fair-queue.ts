/**
 * One job at a time, in turn between units: whoever asks much waits longer, not the others. Units in doubt (they did not
 * answer the last time) come when nobody else waits, so that of many dead ones no more than one stands before a live one.
 */
interface Job {
  readonly run: () => Promise<void>;
}

/** After so many jobs of others a unit in doubt has its turn all the same. */
const longestPatience = 30;

/** A queue with a lane per unit, served round robin. Jobs must not reject. */
export class FairQueue {
  readonly #lanes = new Map<number, Job[]>();
  readonly #inDoubt: (unit: number) => boolean;
  #running = false;
  #passedOver = 0;

  /** `inDoubt` is asked each time a job is chosen. */
  constructor(inDoubt: (unit: number) => boolean = () => false) {
    this.#inDoubt = inDoubt;
  }

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
    const units = [...this.#lanes.keys()];
    const doubtful = units.find((unit) => this.#inDoubt(unit));
    let unit = doubtful === undefined ? units[0] : units.find((one) => !this.#inDoubt(one));
    if (doubtful !== undefined && (unit === undefined || this.#passedOver >= longestPatience)) unit = doubtful;
    if (unit === undefined) return undefined;
    this.#passedOver = doubtful === undefined || unit === doubtful ? 0 : this.#passedOver + 1;
    const lane = this.#lanes.get(unit) ?? [];
    const job = lane.shift();
    this.#lanes.delete(unit);
    if (lane.length > 0) this.#lanes.set(unit, lane);
    return job;
  }
}
