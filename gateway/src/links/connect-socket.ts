/** A TCP connection with a deadline, and its failures in plain words. */
import { Socket } from 'node:net';
import type { Clock } from '@villagrid/contracts';
import { LinkError } from './port.js';

/**
 * Connects, or rejects with LinkError `unreachable`; afterwards `lost` is told why the connection ended, and may be told
 * more than once. Times are real milliseconds.
 */
export async function connectSocket(options: {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly lost: (error: LinkError) => void;
}): Promise<Socket> {
  const { host, port, timeoutMs, clock } = options;
  const where = `${host}:${port}`;
  const socket = new Socket();
  let lose = options.lost;
  socket.on('error', (error) => lose(new LinkError('unreachable', connectionText(where, error))));
  socket.on('close', () => lose(new LinkError('unreachable', `${where} closed the connection`)));
  await new Promise<void>((resolve, reject) => {
    const timer = clock.after(timeoutMs, () =>
      lose(new LinkError('unreachable', `${where} did not answer within ${timeoutMs} ms`)),
    );
    lose = (error) => {
      timer.cancel();
      socket.destroy();
      reject(error);
    };
    socket.once('connect', () => {
      timer.cancel();
      lose = options.lost;
      resolve();
    });
    socket.connect({ host, port, noDelay: true, keepAlive: true });
  });
  return socket;
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refuses the connection: is Modbus TCP switched on there, and the port right?',
  EHOSTUNREACH: 'cannot be reached: is it on this network?',
  ENETUNREACH: 'cannot be reached: is it on this network?',
  ENOTFOUND: 'is a name nobody knows here',
  ECONNRESET: 'broke the connection',
  EPIPE: 'broke the connection',
  ETIMEDOUT: 'does not answer',
};

function connectionText(where: string, error: NodeJS.ErrnoException): string {
  return `${where} ${reasons[error.code ?? ''] ?? `failed: ${error.message}`}`;
}
