/** Free ports for a village of a test, below those that the system gives to outgoing connections. */
import { createServer } from 'node:net';

/** Ports a village takes from its base on, at most, for each grid. */
const span = 60;

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '0.0.0.0', () => server.close(() => resolve(true)));
  });

/** A base for `--port-base` of which nothing is taken now. Each process begins its search elsewhere. */
export async function freePortBase(grids: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const base = 12_000 + ((process.pid * 3 + attempt) % 180) * 100;
    const ports = Array.from({ length: grids }, (_, grid) =>
      Array.from({ length: span }, (_, i) => base + grid * 100 + i),
    );
    const free = await Promise.all(ports.flat().map(isFree));
    if (free.every(Boolean)) return base;
  }
  throw new Error('no free range of ports between 12000 and 30000');
}
