/** The server under test and what every case of the conformance suite uses. */
import type { Role } from '@villagrid/contracts';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

/** A person of the server under test. */
export interface ConformancePerson {
  readonly username: string;
  readonly password: string;
}

/** A running server with a grid that has data, and hands to make things happen in it. */
export interface ConformanceServer {
  /** Address without a slash at the end, e.g. `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly gridId: string;
  /** One person per role on the grid; `foreign` exists, but may see nothing of this grid. */
  readonly people: Readonly<Record<Role | 'foreign', ConformancePerson>>;
  /** A wired figure with values in the last minutes, which `feed` changes. */
  readonly figure: string;
  /** Makes this the newest value of the figure, by the server's real way in. */
  feed(value: number): Promise<void>;
  /** Two different values of the figure that `feed` may be given. */
  readonly values: readonly [number, number];
  /** Makes a new alert of the grid active; gives its id. */
  raiseAlert(): Promise<string>;
  stop(): Promise<void>;
}

/** Who asks: without a token, with a made-up one, of another grid, or by role. */
export type Who = 'nobody' | 'forger' | 'foreign' | Role;

/** What every case gets. */
export interface Setting {
  readonly server: ConformanceServer;
  readonly tokens: Readonly<Record<Who, string | undefined>>;
  readonly alertId: string;
  /** Whether the prototype's calls have a grid here. */
  readonly ownGrid: boolean;
}

const checks = new Map<TSchema, ReturnType<typeof Compile>>();
/** What is wrong with a document by its schema; empty when nothing is. */
export function errorsOf(schema: TSchema, value: unknown): string {
  const check = checks.get(schema) ?? Compile(schema);
  checks.set(schema, check);
  return check.Check(value)
    ? ''
    : [...check.Errors(value)]
        .slice(0, 3)
        .map((error) => `${error.instancePath} ${error.message}`)
        .join('; ');
}
