/** The road between gateway and cloud: a TCP proxy that can be cut, made slow, or left half-open. */
import { createServer, connect, type Server, type Socket } from 'node:net';
import { type Clock, type RandomSource, VillagridError } from '@villagrid/contracts';

/** How the road is now. */
export interface WanCondition {
  /** Cut: open connections are reset and new ones closed at once. */
  readonly cut: boolean;
  /** Half-open: connections stay, nothing gets through, nobody is told. */
  readonly halfOpen: boolean;
  /** Delay each way, ms, give or take `jitterMs`; rate each way in bytes per second, 0 for unlimited. */
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly bytesPerS: number;
}

/** A good road. */
export const clearRoad: WanCondition = { cut: false, halfOpen: false, delayMs: 0, jitterMs: 0, bytesPerS: 0 };
/** A weak mobile link: 600 ms each way, 4 kB/s. */
export const slowRoad: Partial<WanCondition> = { delayMs: 600, jitterMs: 200, bytesPerS: 4000 };

/** A running proxy. */
export interface WanProxy {
  readonly port: number;
  condition(): WanCondition;
  set(change: Partial<WanCondition>): void;
  /** Connections now, and bytes carried both ways since the start. */
  stats(): { readonly connections: number; readonly bytes: number };
  close(): Promise<void>;
}

const longestQueueBytes = 65_536;
const sliceBytes = 1400;

/** Listens on loopback and forwards. Rejects with E_PORT_IN_USE when the port is taken; port 0 takes any free one. */
export async function startWanProxy(options: {
  readonly listenHost?: string;
  readonly listenPort: number;
  readonly targetHost: string;
  readonly targetPort: number;
  readonly clock: Clock;
  readonly random: RandomSource;
}): Promise<WanProxy> {
  const { clock, random } = options;
  let condition = clearRoad;
  let bytes = 0;
  const pairs = new Set<{ readonly end: () => void; readonly wake: () => void }>();

  /** One direction: chunks queue up, each leaves after the delay and at the rate. */
  const pump = (from: Socket, to: Socket): (() => void) => {
    const queue: { readonly chunk: Buffer; readonly dueMs: number }[] = [];
    let queued = 0;
    let waiting = false;
    let freeAtMs = 0;
    let lastDueMs = 0;
    let ended = false;
    const run = (): void => {
      waiting = false;
      if (condition.halfOpen || condition.cut) return;
      const nowMs = clock.monotonicMs();
      for (;;) {
        const head = queue[0];
        if (head === undefined) break;
        const startMs = Math.max(head.dueMs, freeAtMs);
        if (startMs > nowMs) return wait(startMs - nowMs);
        queue.shift();
        queued -= head.chunk.length;
        if (condition.bytesPerS > 0) freeAtMs = nowMs + (head.chunk.length / condition.bytesPerS) * 1000;
        bytes += head.chunk.length;
        if (!to.destroyed) to.write(head.chunk);
      }
      if (queued < longestQueueBytes) from.resume();
      if (ended) to.end();
    };
    const wait = (delayMs: number): void => {
      if (waiting) return;
      waiting = true;
      clock.after(delayMs, run);
    };
    from.on('data', (data: Buffer) => {
      for (let at = 0; at < data.length; at += sliceBytes) {
        const delayMs = condition.delayMs + (2 * random.float() - 1) * condition.jitterMs;
        lastDueMs = Math.max(lastDueMs, clock.monotonicMs() + Math.max(0, delayMs));
        const chunk = data.subarray(at, at + sliceBytes);
        queue.push({ chunk, dueMs: lastDueMs });
        queued += chunk.length;
      }
      if (queued >= longestQueueBytes) from.pause();
      if (!waiting) run();
    });
    from.on('end', () => {
      ended = true;
      if (!waiting) run();
    });
    return () => {
      if (!waiting) run();
    };
  };

  const server: Server = createServer({ noDelay: true, allowHalfOpen: true }, (inner) => {
    inner.on('error', () => undefined);
    if (condition.cut) return void inner.resetAndDestroy();
    const outer = connect({ host: options.targetHost, port: options.targetPort, noDelay: true, allowHalfOpen: true });
    outer.on('error', () => inner.destroy());
    const wakes = [pump(inner, outer), pump(outer, inner)];
    const pair = {
      end: () => {
        inner.resetAndDestroy();
        outer.resetAndDestroy();
      },
      wake: () => {
        for (const wake of wakes) wake();
      },
    };
    pairs.add(pair);
    const gone = (): void => {
      // While the road is half-open the other side must not learn that this one is gone.
      if (condition.halfOpen) return;
      pairs.delete(pair);
      inner.destroy();
      outer.destroy();
    };
    inner.on('close', gone);
    outer.on('close', gone);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new VillagridError('E_PORT_IN_USE', `Port ${options.listenPort}, wanted for the virtual WAN.`)
          : error,
      ),
    );
    server.listen(options.listenPort, options.listenHost ?? '127.0.0.1', resolve);
  });
  const address = server.address();

  const endAll = (): void => {
    for (const pair of pairs) pair.end();
    pairs.clear();
  };
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.listenPort,
    condition: () => condition,
    set(change) {
      const before = condition;
      condition = { ...condition, ...change };
      if (condition.cut && !before.cut) endAll();
      // Connections that were half-open are stale: real routers drop them when the road comes back.
      if (before.halfOpen && !condition.halfOpen) endAll();
      for (const pair of pairs) pair.wake();
    },
    stats: () => ({ connections: pairs.size, bytes }),
    close: () =>
      new Promise((resolve) => {
        endAll();
        server.close(() => resolve());
      }),
  };
}
