/** Free ports for a village of a test, below those that the system gives to outgoing connections. */
import { createServer, type Server } from 'node:net';

/** Ports a village takes from its base on, at most, for each grid. */
const span = 60;

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '0.0.0.0', () => server.close(() => resolve(true)));
  });

/** Takes a port for as long as this process lives, or until it is given back; undefined when somebody has it. It keeps no process running. */
const claim = (port: number): Promise<Server | undefined> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      server.unref();
      resolve(server);
    });
  });

/** The port of a range that no village takes: who holds it owns the range, also while its village is being restarted. */
const claimAt = 99;

/**
 * A base for `--port-base` of which nothing is taken now. The range belongs to this process until it ends: another one
 * that looks for ports neither takes nor probes it, so that a village which stops and starts again finds it free.
 */
export async function freePortBase(grids: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const base = 12_000 + ((process.pid * 3 + attempt) % 180) * 100;
    const bases = Array.from({ length: grids }, (_, grid) => base + grid * 100);
    const claims = await Promise.all(bases.map((one) => claim(one + claimAt)));
    const ports = bases.flatMap((one) => Array.from({ length: span }, (_, i) => one + i));
    if (claims.every((one) => one !== undefined) && (await Promise.all(ports.map(isFree))).every(Boolean)) return base;
    // Given back: else the next attempt finds its ranges taken by this one.
    for (const one of claims) one?.close();
  }
  throw new Error('no free range of ports between 12000 and 30000');
}
