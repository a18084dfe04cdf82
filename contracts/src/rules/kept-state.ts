/**
 * How the rules' state is written down: as little as is needed, because it is kept with every commit. A subject at rest is
 * kept as the time of its last sample, which most rules of one source share.
 */
import { isRecord } from '../json/record.js';
import { othersSuffix } from './fold.js';
import { latestSampleMs, type RuleKind } from './kind.js';

/** Entries that are no subject's state. */
const restKey = '~rest';
const figuresKey = '~figures';
const firingKey = '~firing';

/** A condition that is over and stays raised until a time. */
interface Firing {
  readonly untilMs: number;
  readonly value: number | null;
}

/** The newest value of a figure. */
export interface KeptFigure {
  timeMs: number;
  value: number | null;
}

/** Gathers a state to be written. */
export class KeptState {
  readonly #states: [string, unknown][] = [];
  readonly #rest: Record<string, number> = {};
  readonly #firing: Record<string, readonly [number, number | null]> = {};

  /** Adds a subject: `full` is its own key, `source` that of what it watches. */
  add(full: string, source: string, kind: RuleKind<unknown, unknown>, state: unknown, firing?: Firing): void {
    if (firing) this.#firing[full] = [firing.untilMs, firing.value];
    const restingMs = kind.restingMs?.(state);
    if (restingMs !== undefined) {
      const shared = (this.#rest[source] ??= restingMs);
      if (shared === restingMs) return;
    }
    this.#states.push([full, state]);
  }

  /** Times of sources that were not heard since the state was read, but for those that are so old that they change nothing. */
  addUnheard(rest: ReadonlyMap<string, number>, isWatched: (source: string) => boolean): void {
    const newestMs = Math.max(...Object.values(this.#rest), ...rest.values());
    for (const [source, lastMs] of rest)
      if (this.#rest[source] === undefined && newestMs - lastMs <= 2 * latestSampleMs && isWatched(source))
        this.#rest[source] = lastMs;
  }

  addPlain(key: string, state: unknown): void {
    this.#states.push([key, state]);
  }

  /** The JSON text. */
  text(figures: ReadonlyMap<string, KeptFigure>): string {
    const extra: [string, unknown][] = [];
    if (Object.keys(this.#rest).length > 0) extra.push([restKey, this.#rest]);
    if (Object.keys(this.#firing).length > 0) extra.push([firingKey, this.#firing]);
    if (figures.size > 0)
      extra.push([
        figuresKey,
        Object.fromEntries([...figures].map(([metric, { timeMs, value }]) => [metric, [timeMs, value]])),
      ]);
    return JSON.stringify([...this.#states, ...extra]);
  }
}

/** A state that was read: what is damaged in it is left out. */
export interface RestoredState {
  /** States that nothing took yet, by key. */
  readonly states: Map<string, unknown>;
  /** Time of the last sample of each source that was at rest. */
  readonly rest: ReadonlyMap<string, number>;
  readonly kept: ReadonlyMap<string, Firing>;
  readonly figures: Map<string, KeptFigure>;
  /** Takes the state of a subject; undefined when there is none that the kind understands. */
  take(full: string, source: string, kind: RuleKind<unknown, unknown>): unknown;
  /** Notes of which series that were not heard yet one alert stands for many. */
  foldsRaised(isFold: (key: string) => boolean, raised: ReadonlySet<string>): void;
}

/** Reads a state; of a text that is none, nothing. */
export function restoredState(text: string | undefined): RestoredState {
  const states = new Map<string, unknown>(entriesOf(text));
  const special = (key: string): [string, unknown][] => {
    const value = states.get(key);
    states.delete(key);
    return isRecord(value) ? Object.entries(value) : [];
  };
  const rest = new Map(special(restKey).filter((one): one is [string, number] => typeof one[1] === 'number'));
  const pairs = (key: string) =>
    special(key).flatMap(([name, pair]): [string, number, number | null][] => {
      if (!Array.isArray(pair)) return [];
      const [timeMs, value] = pair as unknown[];
      if (typeof timeMs !== 'number' || (value !== null && typeof value !== 'number')) return [];
      return [[name, timeMs, value]];
    });
  return {
    states,
    rest,
    kept: new Map(pairs(firingKey).map(([key, untilMs, value]) => [key, { untilMs, value }])),
    figures: new Map(pairs(figuresKey).map(([metric, timeMs, value]) => [metric, { timeMs, value }])),
    take(full, source, kind) {
      const own = states.get(full);
      states.delete(full);
      if (own !== undefined) return kind.isState(own) ? own : undefined;
      const restingMs = rest.get(source);
      return restingMs === undefined ? undefined : kind.resting?.(restingMs);
    },
    foldsRaised(isFold, raised) {
      for (const key of new Set([...states.keys(), ...raised])) {
        if (!key.endsWith(`.${othersSuffix}`) || !isFold(key)) continue;
        const before = states.get(key);
        states.set(key, { own: [], folded: [], ...(isRecord(before) ? before : {}), raised: raised.has(key) });
      }
    },
  };
}

function entriesOf(text: string | undefined): [string, unknown][] {
  if (text === undefined) return [];
  try {
    const entries: unknown = JSON.parse(text);
    if (!Array.isArray(entries)) return [];
    return entries.filter((entry): entry is [string, unknown] => Array.isArray(entry) && typeof entry[0] === 'string');
  } catch {
    return [];
  }
}
