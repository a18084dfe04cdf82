/** A socket as a line: RTU frames through a converter that passes bytes on as they are (RTU over TCP). */
import type { Clock } from '@villagrid/contracts';
import type { ByteLine, ByteLineEvents, OpenLine } from './byte-line.js';
import { connectSocket } from './connect-socket.js';

/** Connects each time anew. `timeoutMs` is the longest wait for the connection, real milliseconds. */
export function socketLine(options: {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
}): OpenLine {
  return async (events: ByteLineEvents): Promise<ByteLine> => {
    let over = false;
    const socket = await connectSocket({
      ...options,
      lost: (error) => {
        if (over) return;
        over = true;
        events.lost(error.message);
      },
    });
    socket.on('data', (data: Uint8Array) => {
      if (!over) events.bytes(data);
    });
    return {
      write(data) {
        if (!over) socket.write(data);
      },
      async close() {
        over = true;
        socket.destroy();
      },
    };
  };
}
