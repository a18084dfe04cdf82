/** What a bench declares. A file `<workspace>/bench/<name>.bench.ts` that exports `benches` is found by `npm run bench`. */
import type { Processes } from './processes.js';

/** One run: its own empty folder and processes, both gone when it is over. */
export interface Lap {
  readonly folder: string;
  readonly processes: Processes;
  /** Folder for CPU profiles, when they are wanted. */
  readonly profile: string | undefined;
  /** Folder that stays between runs, for data that take long to make. What is in it must not depend on the run. */
  readonly kept: string;
  /** Where software that peers need is installed, `node_modules` below it; undefined when nothing was said. */
  readonly peers: string | undefined;
}

/** A figure with others that explain it, by name, units in the names. */
export interface Figure {
  readonly value: number;
  readonly beside: Readonly<Record<string, number>>;
}

/** Somebody who is measured: ourselves, the limit of what is possible, or what people use today. */
export interface Contestant {
  /** What it is, in a few words. */
  readonly what: string;
  /** Why it cannot run on this machine, a sentence; undefined when it can. Of ourselves it leaves the bench out. */
  missing?(around: Pick<Lap, 'peers'>): string | undefined;
  /** Runs once and gives the figure. Throws when the figure would be worth nothing, saying why. */
  run(lap: Lap): Promise<number | Figure>;
}

/** One figure, beside the limit and the peers, which run in turn with it so that noise hits all alike. */
export interface Bench {
  /** Dotted, stable: results are compared over time by it. */
  readonly id: string;
  readonly unit: string;
  /** What is measured, one sentence. */
  readonly what: string;
  readonly own: Contestant;
  readonly limit?: Contestant;
  readonly peers?: Readonly<Record<string, Contestant>>;
}

/** What a bench file exports. */
export interface BenchFile {
  readonly benches: readonly Bench[];
}
