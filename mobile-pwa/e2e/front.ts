/** One address whose server changes: the village's name, which leads to the gateway on its Wi-Fi and to the cloud elsewhere. */
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';

/** The address, and what it leads to. */
export interface Front {
  readonly url: string;
  /** Leads to this server from now on; null leads nowhere. What is open breaks, as when a phone changes its network. */
  to(url: string | null): void;
  stop(): Promise<void>;
}

/** Opens the address. */
export async function openFront(): Promise<Front> {
  let target: URL | null = null;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    if (target === null) return void socket.destroy();
    const beyond = connect(Number(target.port), target.hostname);
    for (const [one, other] of [
      [socket, beyond],
      [beyond, socket],
    ] as const) {
      open.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
    }
    socket.pipe(beyond).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    to(url) {
      target = url === null ? null : new URL(url);
      cut();
    },
    async stop() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
