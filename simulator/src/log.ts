/** The little that the simulator needs of a log, so that its parts take any. */

/** Writes one event with its fields. */
export interface Log {
  info(event: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(event: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** A log that says nothing. */
export const quietLog: Log = { info: () => undefined, warn: () => undefined };
