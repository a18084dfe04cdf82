/** One process of the village: started, watched, restarted when it should run on, stopped in time. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import type { Clock, Timer } from '@villagrid/contracts';

/** A process under care. */
export interface Child {
  readonly name: string;
  pid(): number | undefined;
  /** Starts it unless it runs; resolves with its ready line, an object parsed from JSON. */
  start(): Promise<Record<string, unknown>>;
  /** Stops it and keeps it stopped; it is killed when it has not ended within so many milliseconds. */
  stop(withinMs?: number): Promise<void>;
  running(): boolean;
}

/** How long a process may take to say it is ready, and to stop before it is killed, milliseconds. */
const readyWithinMs = 60_000;
const stopWithinMs = 3500;
/** How long to wait before a process that died is started again, milliseconds. */
const restartAfterMs = 1000;

/** Makes a process that runs `node file args`. `readyKey` is the key of its ready line; `keepRunning` restarts it when it dies. */
export function makeChild(options: {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly readyKey: string;
  readonly logFile: string;
  readonly clock: Clock;
  readonly keepRunning: boolean;
  /** The command that starts it again when it is not restarted. */
  readonly startAgain: string;
  readonly onChange: (what: string) => void;
}): Child {
  const { name, clock } = options;
  let process: ChildProcess | undefined;
  let wanted = false;
  let restart: Timer | undefined;
  let ready: Promise<Record<string, unknown>> | undefined;

  const begin = (): Promise<Record<string, unknown>> => {
    const log: WriteStream = createWriteStream(options.logFile, { flags: 'a', mode: 0o600 });
    // Its own process group: Ctrl-C reaches only the starter, which stops the parts in order.
    const child = spawn(globalThis.process.execPath, ['--enable-source-maps', options.file, ...options.args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    process = child;
    let last = '';
    child.stderr.pipe(log, { end: false });
    return new Promise((resolve, reject) => {
      const late = clock.after(readyWithinMs, () =>
        reject(new Error(`${name} is not ready after ${readyWithinMs / 1000} s; see ${options.logFile}`)),
      );
      let text = '';
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        log.write(chunk);
        text += chunk;
        for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
          const line = text.slice(0, end);
          text = text.slice(end + 1);
          last = line;
          if (!line.startsWith(`{"${options.readyKey}":"ready"`)) continue;
          late.cancel();
          resolve(JSON.parse(line) as Record<string, unknown>);
        }
      });
      child.on('exit', (code, signal) => {
        late.cancel();
        log.end();
        if (process === child) process = undefined;
        reject(
          new Error(
            `${name} ended (${signal ?? code}) before it was ready: ${last.slice(0, 300)}; see ${options.logFile}`,
          ),
        );
        if (!wanted) return;
        options.onChange(
          `${name} ended (${signal ?? `code ${code}`})${options.keepRunning ? ', starting it again' : `; start it again with: ${options.startAgain}`}`,
        );
        if (!options.keepRunning) {
          wanted = false;
          return;
        }
        restart = clock.after(restartAfterMs, () => {
          // Somebody else may have started it meanwhile.
          if (!wanted || process !== undefined) return;
          ready = begin();
          ready.then(
            () => options.onChange(`${name} runs again, pid ${process?.pid}`),
            (error: unknown) => options.onChange(String(error)),
          );
        });
      });
    });
  };

  return {
    name,
    pid: () => process?.pid,
    running: () => process !== undefined,
    start() {
      wanted = true;
      restart?.cancel();
      if (process === undefined || ready === undefined) ready = begin();
      return ready;
    },
    async stop(withinMs = stopWithinMs) {
      wanted = false;
      restart?.cancel();
      const child = process;
      if (child === undefined || child.exitCode !== null) return;
      await new Promise<void>((resolve) => {
        const kill = clock.after(withinMs, () => child.kill('SIGKILL'));
        child.once('exit', () => {
          kill.cancel();
          resolve();
        });
        child.kill('SIGTERM');
      });
    },
  };
}
