/** One question and one answer as JSON lines over a Unix socket, for talking to a running start. */
import { rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { messageOf } from '@villagrid/contracts';

/** Serves questions; the handler's answer (or error) goes back. Only the owner of the data folder can reach it. */
export function serveLines(
  path: string,
  answer: (question: Record<string, unknown>) => Promise<unknown>,
): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer((socket) => {
    let text = '';
    socket.on('error', () => socket.destroy());
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.length > 65_536) socket.destroy();
      const end = text.indexOf('\n');
      if (end < 0) return;
      const line = text.slice(0, end);
      text = '';
      Promise.resolve()
        .then(() => answer(JSON.parse(line) as Record<string, unknown>))
        .then(
          (result) => socket.end(`${JSON.stringify({ ok: true, result })}\n`),
          (error: unknown) => socket.end(`${JSON.stringify({ ok: false, error: messageOf(error) })}\n`),
        );
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve(server));
  });
}

/** Asks one question; undefined when nobody listens there. Rejects with what was answered, or when there was no answer. */
export function askLine(path: string, question: Record<string, unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = '';
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' || error.code === 'ECONNREFUSED' ? resolve(undefined) : reject(error),
    );
    socket.on('connect', () => socket.write(`${JSON.stringify(question)}\n`));
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('close', () => {
      if (!text.endsWith('\n')) return reject(new Error('The start that runs this village ended without an answer.'));
      const reply = JSON.parse(text) as { ok: boolean; result?: unknown; error?: string };
      if (reply.ok) resolve(reply.result ?? null);
      else reject(new Error(reply.error));
    });
  });
}
