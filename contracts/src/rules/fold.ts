/**
 * Bounds the alerts of one rule about one device: a device with a hundred hot series is one trouble, not a hundred
 * alerts. The first few series have alerts of their own; all further ones share one.
 */
import { latestSampleMs, type Transition } from './kind.js';

/** Series of one device that have an alert of their own under one rule. */
export const ownAlertsPerDevice = 8;
/** Suffix of the metric that stands for the further series; no component can have this name. */
export const othersSuffix = '_others';

/** What is kept of the series of one rule and device that are raised; JSON. */
export interface FoldState {
  /** Whether the shared alert is raised. */
  readonly raised: boolean;
  readonly own: readonly string[];
  readonly folded: readonly string[];
}

/** Decides which transitions of series are told, and as what. */
export class Fold {
  readonly #own: Set<string>;
  readonly #folded: Set<string>;
  #raised: boolean;
  /** Since when it is raised with no series known behind it, as after a restart; ms of samples. */
  #emptySinceMs: number | undefined;

  constructor(saved: unknown) {
    const { raised, own, folded } = (saved ?? {}) as Partial<Record<keyof FoldState, unknown>>;
    const texts = (list: unknown) =>
      new Set(Array.isArray(list) ? list.filter((one): one is string => typeof one === 'string') : []);
    this.#raised = raised === true;
    this.#own = texts(own);
    this.#folded = texts(folded);
  }

  state(): FoldState {
    return { raised: this.#raised, own: [...this.#own], folded: [...this.#folded] };
  }

  /** After a restart: the open alerts say whether the shared one is raised, and which series have one of their own. */
  restarted(raised: boolean, hasOwn: (metric: string) => boolean): void {
    this.#raised = raised;
    for (const metric of this.#own) if (!hasOwn(metric)) this.#own.delete(metric);
  }

  /** Whether a series is raised within the shared alert, with none of its own. */
  holds(metric: string): boolean {
    return this.#raised && this.#folded.has(metric);
  }

  /** Whether nothing is raised: then a series that is not either has nothing to tell. */
  get isQuiet(): boolean {
    return !this.#raised && this.#own.size === 0 && this.#folded.size === 0;
  }

  /** Takes what a series concluded at a sample; gives what is told of the series itself and of all further ones. */
  take(
    metric: string,
    raised: boolean,
    atMs: number,
    transition: Transition | undefined,
  ): { readonly own?: Transition; readonly others?: Transition } {
    if (raised) {
      if (this.#own.has(metric)) return {};
      // Raised without a transition: from before a restart, with an alert of its own.
      if (!this.#folded.has(metric) && (transition === undefined || this.#own.size < ownAlertsPerDevice)) {
        this.#own.add(metric);
        return transition === undefined ? {} : { own: transition };
      }
      this.#folded.add(metric);
      this.#emptySinceMs = undefined;
      if (this.#raised || transition === undefined) return {};
      this.#raised = true;
      return { others: transition };
    }
    this.#own.delete(metric);
    const wasFolded = this.#folded.delete(metric);
    const own = wasFolded || transition === undefined ? {} : { own: transition };
    if (!this.#raised || this.#folded.size > 0) return own;
    // Its last series ends it at once; with none known behind it, it ends when all have had time to speak.
    this.#emptySinceMs ??= atMs;
    if (!wasFolded && atMs - this.#emptySinceMs < latestSampleMs) return own;
    this.#raised = false;
    this.#emptySinceMs = undefined;
    return { ...own, others: { type: 'clear', atMs, value: transition?.value ?? null } };
  }
}
