/** A Modbus TCP endpoint as a link: connects when something is to be read, once at a time, and waits longer after each failure. */
import { messageOf, type Clock, type RandomSource } from '@villagrid/contracts';
import { backoffDelayMs, type Logger } from '@villagrid/runtime';
import { FairQueue } from './fair-queue.js';
import { type Link, LinkError, type ReadRequest, type WriteRequest } from './port.js';
import { ReplyTimes } from './reply-times.js';
import { StateTeller } from './state-teller.js';
import { openTcpSession, type TcpSession } from './tcp-session.js';

/** Longest wait for a connection, real milliseconds. */
const connectTimeoutMs = 3000;
/** Bounds of the wait between tries to connect, real milliseconds. */
const reconnectMs = { minMs: 500, maxMs: 15_000 } as const;
/** So many requests without an answer, one after the other, and the connection is taken for half open and made anew. */
const timeoutsBeforeReconnect = 3;

/** What a TCP link is made from. `clock` is real time: networks do not run faster in a faster village. */
export interface TcpLinkOptions {
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
}

/** Makes the link; it connects at the first read. */
export function tcpLink({ host, port, clock, random, log }: TcpLinkOptions): Link {
  const name = `${host}:${port}`;
  const times = new ReplyTimes();
  const queue = new FairQueue((unit) => times.inDoubt(unit));
  const states = new StateTeller();
  let session: TcpSession | undefined;
  let stopped = false;
  let failures = 0;
  let timeouts = 0;
  let quietUntilMs = 0;
  let retryAtMs = 0;
  let lastFailure = new LinkError('unreachable', `${name} was not tried yet`);
  const stop = new AbortController();

  const connected = async (): Promise<TcpSession> => {
    if (session && !session.closed) return session;
    // Between tries whoever asks hears at once why; nobody waits for a host that is not there.
    if (clock.monotonicMs() < retryAtMs) throw lastFailure;
    try {
      session = await openTcpSession({ host, port, clock, timeoutMs: connectTimeoutMs });
      if (stopped) session.destroy();
      failures = 0;
      timeouts = 0;
      log.debug('connected', { endpoint: name });
      states.tell('up', 'it is connected');
      return session;
    } catch (error) {
      lastFailure = asLinkError(error);
      retryAtMs = clock.monotonicMs() + backoffDelayMs(failures, { ...reconnectMs, random });
      failures += 1;
      log.debug('cannot connect', { endpoint: name, reason: lastFailure.message, failures });
      states.tell('down', lastFailure.message);
      throw lastFailure;
    }
  };

  /** One question in its turn; `run` asks it over the open connection. */
  const exchange = async <T>(
    request: ReadRequest | WriteRequest,
    run: (open: TcpSession) => Promise<T>,
  ): Promise<T> => {
    if (stopped) throw new LinkError('stopped', `the link to ${name} was closed`);
    const open = await connected();
    const waitMs = quietUntilMs + request.gapMs - clock.monotonicMs();
    if (waitMs > 0) await clock.sleep(waitMs, stop.signal);
    const sentMs = clock.monotonicMs();
    try {
      const answer = await run(open);
      timeouts = 0;
      // What a write takes says nothing of reads.
      if ('count' in request) times.answered(request.unit, clock.monotonicMs() - sentMs);
      return answer;
    } catch (error) {
      const failure = asLinkError(error);
      if (failure.failure === 'exception') times.answered(request.unit, clock.monotonicMs() - sentMs);
      else if (failure.failure === 'timeout' || failure.failure === 'mismatch') times.failed(request.unit);
      if (failure.failure === 'timeout') timeouts += 1;
      if (failure.failure === 'exception') timeouts = 0;
      // After an answer that does not fit, nothing that may still come on this connection is believed.
      if (failure.failure === 'mismatch' || timeouts >= timeoutsBeforeReconnect) {
        open.destroy();
        timeouts = 0;
      }
      throw failure;
    } finally {
      quietUntilMs = clock.monotonicMs();
    }
  };

  const inTurn = <T>(unit: number, run: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      queue.add(unit, () =>
        run().then(resolve, (error: unknown) => {
          reject(stopped ? new LinkError('stopped', `the link to ${name} was closed`) : asLinkError(error));
        }),
      );
    });

  return {
    name,
    read: (request) =>
      inTurn(request.unit, () =>
        exchange(request, (open) =>
          open.read({ ...request, timeoutMs: times.timeoutMs(request.unit, request.timeoutMs) }),
        ),
      ),
    write: (request) => inTurn(request.unit, () => exchange(request, (open) => open.write(request))),
    health: (unit) => times.health(unit),
    onState: (listener) => states.add(listener),
    async close() {
      stopped = true;
      stop.abort();
      session?.destroy();
    },
  };
}

const asLinkError = (error: unknown): LinkError =>
  error instanceof LinkError ? error : new LinkError('unreachable', messageOf(error));
