/** A control socket: JSON lines over a Unix-domain socket that only its owner may open, one answer per request. */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf, type Clock } from '@villagrid/contracts';

/** A request: a command and what it needs. */
export interface ControlRequest {
  readonly command: string;
  readonly [key: string]: unknown;
}

/** An answer; `error` says what was wrong and what to do. */
export type ControlAnswer =
  | { readonly ok: true; readonly [key: string]: unknown }
  | { readonly ok: false; readonly error: string };

/** Handles one request; what it throws becomes an error answer. */
export type ControlHandler = (request: ControlRequest) => ControlAnswer | Promise<ControlAnswer>;

/** Longest path a Unix-domain socket takes on every system we know, with some room. */
const longestPathBytes = 100;
const longestLineBytes = 65_536;

/** The path to use for a wanted one: itself, or a short one in the system's temporary folder when it is too long. */
export function controlSocketPath(wanted: string): string {
  if (Buffer.byteLength(wanted) <= longestPathBytes) return wanted;
  return join(tmpdir(), `villagrid-${createHash('sha256').update(wanted).digest('hex').slice(0, 16)}.sock`);
}

/** Listens for commands; only the owner of the process may connect (mode 0600). */
export async function startControl(
  wantedPath: string,
  handle: ControlHandler,
): Promise<{ readonly path: string; close(): Promise<void> }> {
  const path = controlSocketPath(wantedPath);
  rmSync(path, { force: true });
  const sockets = new Set<import('node:net').Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let text = '';
    let chain = Promise.resolve();
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.length > longestLineBytes) return void socket.destroy();
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const line = text.slice(0, end).trim();
        text = text.slice(end + 1);
        if (line === '') continue;
        chain = chain.then(async () => {
          const answer = await answerTo(line, handle);
          if (!socket.destroyed) socket.write(`${JSON.stringify(answer)}\n`);
        });
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // The socket is made within this call. The mask is the whole process's: what others write meanwhile must not get it.
    const mask = process.umask(0o177);
    try {
      server.listen(path, resolve);
    } finally {
      process.umask(mask);
    }
  });
  return {
    path,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

async function answerTo(line: string, handle: ControlHandler): Promise<ControlAnswer> {
  try {
    const request: unknown = JSON.parse(line);
    if (typeof request !== 'object' || request === null || typeof (request as ControlRequest).command !== 'string') {
      return { ok: false, error: 'A request is a JSON object with "command".' };
    }
    return await handle(request as ControlRequest);
  } catch (error) {
    return { ok: false, error: messageOf(error) };
  }
}

/** Asks who listens there; rejects when nobody does or no answer comes within the deadline of the clock (milliseconds). */
export function askControl(
  socketPath: string,
  request: ControlRequest,
  clock: Clock,
  deadlineMs = 5000,
): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(controlSocketPath(socketPath));
    const limit = clock.after(deadlineMs, () => socket.destroy(new Error(`No answer came within ${deadlineMs} ms.`)));
    let text = '';
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end < 0) return;
      limit.cancel();
      socket.end();
      try {
        resolve(JSON.parse(text.slice(0, end)) as ControlAnswer);
      } catch (error) {
        reject(error);
      }
    });
    socket.on('error', (error) => {
      limit.cancel();
      reject(error);
    });
    socket.on('close', () => {
      limit.cancel();
      reject(new Error('The control socket was closed without an answer.'));
    });
  });
}
