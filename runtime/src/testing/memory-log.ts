/** A real log whose lines are kept, so that a test can say what was told. */
import type { Clock } from '@villagrid/contracts';
import { createLogger, type LogLevel, type RootLogger } from '../log/logger.js';
import { realClock } from '../clock/real-clock.js';

/** A line as it was written. */
export interface LoggedLine {
  readonly level: string;
  readonly name: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** Makes a log and the growing list of its lines. */
export function memoryLog(options: { clock?: Clock; level?: LogLevel; foldAfter?: number } = {}): {
  log: RootLogger;
  lines: LoggedLine[];
} {
  const lines: LoggedLine[] = [];
  const log = createLogger({
    name: 'test',
    level: options.level ?? 'debug',
    clock: options.clock ?? realClock(),
    ...(options.foldAfter === undefined ? {} : { foldAfter: options.foldAfter }),
    destination: { write: (line) => void lines.push(JSON.parse(line) as LoggedLine) },
  });
  return { log, lines };
}
