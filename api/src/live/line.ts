/** What a live channel is carried by: a WebSocket, or an answer that goes on as server-sent events. */
import type { WebSocket } from '@fastify/websocket';
import type { FastifyReply } from 'fastify';
import type { OutgoingHttpHeaders } from 'node:http';

/** A line to one reader. */
export interface LiveLine {
  readonly open: boolean;
  /** Bytes that wait to be read. */
  readonly unreadBytes: number;
  /** Whether the reader cannot answer on it. */
  readonly oneWay: boolean;
  /** Sends one frame, a JSON text. */
  send(text: string): void;
  /** Asks for a sign of life, where the carrier has one. */
  ping(): void;
  close(code: number, reason: string): void;
  /** Ends it without goodbye. */
  terminate(): void;
}

/** A WebSocket as a line. */
export const socketLine = (socket: WebSocket): LiveLine => ({
  oneWay: false,
  get open() {
    return socket.readyState === socket.OPEN;
  },
  get unreadBytes() {
    return socket.bufferedAmount;
  },
  send: (text) => socket.send(text),
  ping: () => socket.ping(),
  close: (code, reason) => socket.close(code, reason),
  terminate: () => socket.terminate(),
});

/** Answers with server-sent events, each frame a `data:` line. The answer's headers are sent at once. */
export function eventLine(reply: FastifyReply): LiveLine {
  const headers = reply.getHeaders() as OutgoingHttpHeaders;
  reply.hijack();
  const { raw } = reply;
  raw.on('error', () => raw.destroy());
  raw.writeHead(200, {
    ...headers,
    'content-type': 'text/event-stream; charset=utf-8',
    // Proxies that gather answers would hold frames back.
    'x-accel-buffering': 'no',
  });
  raw.flushHeaders();
  return {
    oneWay: true,
    get open() {
      return !raw.writableEnded && !raw.destroyed;
    },
    get unreadBytes() {
      return raw.writableLength;
    },
    send: (text) => raw.write(`data: ${text}\n\n`),
    ping() {},
    close: () => raw.end(),
    terminate: () => raw.destroy(),
  };
}
