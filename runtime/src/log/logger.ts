/**
 * Structured logs: one JSON line per event with time, level, name, message, fields and, within `withCorrelation`, a
 * correlation id. Secrets are taken out by field name; lines that repeat are folded into one with a count.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Clock } from '@villagrid/contracts';
import { pino } from 'pino';
import { LineFolder } from './folding.js';
import { redactFields, redactText } from './redaction.js';

/** Levels, most talkative first. */
export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** What a line tells beside its message. An Error under any name becomes type, message, code and stack. */
export type LogFields = Readonly<Record<string, unknown>>;

/** The log as every part sees it. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger for a part: its name is appended (`gateway/uplink`), its fields are on every line. */
  child(name: string, fields?: LogFields): Logger;
}

/** The log of a process, as its composition root sees it. */
export interface RootLogger extends Logger {
  /** Writes what is still folded; call at the very end. */
  flush(): void;
}

export interface LoggerOptions {
  readonly name: string;
  readonly level?: LogLevel;
  readonly clock: Clock;
  /** Where lines go, each ended by a newline; standard output when left out. */
  readonly destination?: { write(line: string): void };
  /** Identical lines within a minute that are written in full before folding starts; default 5. */
  readonly foldAfter?: number;
}

const correlation = new AsyncLocalStorage<string>();

/** Runs `fn`; every line logged in it, also later in its promises and timers, carries this id. */
export function withCorrelation<T>(id: string, fn: () => T): T {
  return correlation.run(id, fn);
}

/** The correlation id of the running task, if any. */
export function correlationId(): string | undefined {
  return correlation.getStore();
}

/** Names of a line's own parts; a field of such a name gets a `field_` before it. */
const reserved = new Set(['level', 'time', 'name', 'msg', 'correlation_id', 'repeated']);

/** Makes the log of a process. */
export function createLogger({ name, level = 'info', clock, destination, foldAfter = 5 }: LoggerOptions): RootLogger {
  const out = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date(clock.nowMs()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination ?? pino.destination({ dest: 1, sync: true }),
  );
  const folder = new LineFolder(clock, foldAfter, (line, repeated) => {
    out[line.level]({ ...line.fields, repeated }, line.message);
  });
  const make = (path: string, inherited: LogFields): RootLogger => {
    const write = (lineLevel: 'debug' | 'info' | 'warn' | 'error') => (message: string, fields?: LogFields) => {
      if (!out.isLevelEnabled(lineLevel)) return;
      const own: Record<string, unknown> = { name: path };
      for (const [key, value] of Object.entries(redactFields({ ...inherited, ...fields }))) {
        own[reserved.has(key) ? `field_${key}` : key] = value;
      }
      const line = { level: lineLevel, message: redactText(message), fields: own };
      if (!folder.passes(line)) return;
      const id = correlation.getStore();
      out[lineLevel](id === undefined ? own : { ...own, correlation_id: id }, line.message);
    };
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      child: (part, fields) => make(`${path}/${part}`, { ...inherited, ...fields }),
      flush: () => folder.flush(),
    };
  };
  return make(name, {});
}

/** A log that says nothing. */
export function silentLogger(): Logger {
  const nothing = () => {};
  const logger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => logger };
  return logger;
}
