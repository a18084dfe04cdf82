/** What a doctor's check is. One file per check in checks/, and its line in the registry. */
import type { Clock } from '@villagrid/contracts';

/** What a check found. */
export interface Finding {
  readonly state: 'good' | 'warning' | 'bad' | 'skipped';
  /** What was found, in plain words. */
  readonly found: string;
  /** What to do; empty when good. */
  readonly next?: string;
}

/** What checks are run on: the folder of a gateway or cloud and its configuration as plain data. */
export interface CheckContext {
  readonly folder: string;
  readonly configFile: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** An absolute path from one relative to the folder. */
  readonly path: (relative: string) => string;
  readonly realClock: Clock;
}

export interface Check {
  readonly id: string;
  readonly title: string;
  run(context: CheckContext): Promise<Finding[]>;
}

/** A value deep in plain data by its path; undefined where a step is missing. */
export function at(value: unknown, ...path: string[]): unknown {
  let here: unknown = value;
  for (const key of path) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = (here as Record<string, unknown>)[key];
  }
  return here;
}
