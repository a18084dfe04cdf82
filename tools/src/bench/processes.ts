/** Real processes of a bench: started, waited for until they are ready, and ended with their run. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { join } from 'node:path';

/** How to start a process. */
export interface StartOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** A process that runs. */
export interface Running {
  readonly pid: number;
  /** Lines of its output from now on, objects of JSON only. */
  next(key: string, withinMs: number): Promise<Record<string, unknown>>;
  /** Ends it by a signal and resolves when it is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/** The processes of one run. */
export class Processes {
  readonly #folder: string;
  readonly #running = new Set<ChildProcess>();

  /** Their output goes to `<folder>/<name>.log`. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Starts a process whose output is lines; `next` waits for those of JSON that have a key. */
  start({ name, command, args, env = {} }: StartOptions): Running {
    const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.#running.add(child);
    const file = join(this.#folder, `${name}.log`);
    const log = createWriteStream(file, { flags: 'a' });
    child.stderr.pipe(log, { end: false });
    const found: Record<string, unknown>[] = [];
    const waiting = new Set<() => void>();
    let ended: string | undefined;
    const wake = () => {
      for (const one of waiting) one();
    };
    createInterface({ input: child.stdout }).on('line', (line) => {
      log.write(`${line}\n`);
      if (!line.startsWith('{')) return;
      found.push(JSON.parse(line) as Record<string, unknown>);
      wake();
    });
    const gone = new Promise<void>((resolve) => {
      const over = (how: string) => {
        ended ??= how;
        this.#running.delete(child);
        wake();
        resolve();
      };
      child.once('error', (error) => over(error.message));
      child.once('exit', (code, signal) => over(signal ?? `code ${code}`));
    });
    return {
      pid: child.pid ?? 0,
      async next(key, withinMs) {
        const late = performance.now() + withinMs;
        for (;;) {
          const at = found.findIndex((line) => key in line);
          if (at >= 0) return found.splice(at, 1)[0] as Record<string, unknown>;
          if (ended !== undefined) throw new Error(`${name} ended (${ended}) without saying "${key}"; see ${file}`);
          const left = late - performance.now();
          if (left <= 0) throw new Error(`${name} did not say "${key}" within ${withinMs / 1000} s; see ${file}`);
          await new Promise<void>((resolve) => {
            const timer = setTimeout(done, left);
            function done() {
              clearTimeout(timer);
              waiting.delete(done);
              resolve();
            }
            waiting.add(done);
          });
        }
      },
      end(signal) {
        if (ended === undefined) child.kill(signal);
        return gone;
      },
    };
  }

  /** Ends all at once. */
  killAll(): void {
    for (const child of this.#running) child.kill('SIGKILL');
  }
}

/** A free port of the loopback, below those that the system gives to clients. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const free = await new Promise<boolean>((resolve) => {
      const server = net.createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
  throw new Error('no free port from 20000 to 31999');
}

/** Resolves once something accepts connections on a port of the loopback. */
export async function untilListening(port: number, withinMs = 10_000): Promise<void> {
  const late = performance.now() + withinMs;
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (open) return;
    if (performance.now() > late) throw new Error(`nothing listens on port ${port} after ${withinMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
