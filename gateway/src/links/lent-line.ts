/**
 * Lines lent to tools on the same box while the gateway goes on polling: each question takes its turn in the line's queue.
 * Only reads, only lines the gateway has, only for who may open the socket in its data folder.
 */
import { messageOf, type Clock } from '@villagrid/contracts';
import { askControl, type ControlAnswer, type ControlRequest, startControl } from '@villagrid/runtime';
import { type Link, LinkError, type LinkFailure, type ReadRequest } from './port.js';

/** Name of the socket in the gateway's data folder. */
export const linesSocket = 'lines.sock';
/** How long a question may wait for its turn and its answer, milliseconds. */
const patienceMs = 60_000;
const longestTimeoutMs = 5000;
const failures: readonly LinkFailure[] = ['unreachable', 'timeout', 'exception', 'mismatch', 'stopped'];

/** Lends lines until stopped; `lineOf` gives a line by what it is called (`endpointOf`). Rejects when it cannot listen. */
export async function lendLines(
  path: string,
  lineOf: (endpoint: string) => Pick<Link, 'read'> | undefined,
): Promise<{ close(): Promise<void> }> {
  return startControl(path, async (request): Promise<ControlAnswer> => {
    if (request.command !== 'read') throw new Error(`There is no command "${request.command}"; there is read.`);
    const line = lineOf(String(request.endpoint));
    if (!line) throw new Error(`The gateway has no line ${String(request.endpoint)}.`);
    try {
      return { ok: true, words: await line.read(checkedRead(request)) };
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      const { failure, exception, message } = error;
      return { ok: true, failure, message, ...(exception === undefined ? {} : { exception }) };
    }
  });
}

function checkedRead({
  unit,
  function: code,
  address,
  count,
  timeout_ms: timeoutMs,
  gap_ms: gapMs,
}: ControlRequest): ReadRequest {
  const whole = (value: unknown, low: number, high: number): number => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < low || value > high)
      throw new Error(`${JSON.stringify(value)} is not a whole number from ${low} to ${high}.`);
    return value;
  };
  if (code !== 3 && code !== 4) throw new Error('Only functions 3 and 4 are asked: they read.');
  return {
    unit: whole(unit, 0, 255),
    function: code,
    address: whole(address, 0, 65_535),
    count: whole(count, 1, 125),
    timeoutMs: whole(timeoutMs, 1, longestTimeoutMs),
    gapMs: whole(gapMs, 0, longestTimeoutMs),
  };
}

/** A line of a running gateway as a link that reads. `clock` is real time. Rejects with LinkError, as links do. */
export function borrowedLink(options: {
  readonly path: string;
  readonly endpoint: string;
  readonly clock: Clock;
}): Link {
  const { path, endpoint, clock } = options;
  const listeners = new Set<(state: 'up' | 'down', reason: string) => void>();
  return {
    name: endpoint,
    async read({ unit, function: code, address, count, timeoutMs, gapMs }) {
      const asked = { unit, function: code, address, count, timeout_ms: timeoutMs, gap_ms: gapMs };
      const answer = await askControl(path, { command: 'read', endpoint, ...asked }, clock, patienceMs).catch(
        (error: unknown) => {
          throw new LinkError('unreachable', `the gateway that reads ${endpoint} cannot be asked: ${messageOf(error)}`);
        },
      );
      if (!answer.ok) throw new LinkError('unreachable', answer.error);
      const failure = failures.find((one) => one === answer.failure);
      if (failure !== 'unreachable') for (const tell of [...listeners]) tell('up', 'it is open');
      if (Array.isArray(answer.words)) return answer.words as number[];
      const exception = typeof answer.exception === 'number' ? answer.exception : undefined;
      throw new LinkError(failure ?? 'unreachable', String(answer.message), exception);
    },
    write: async () => {
      throw new LinkError('stopped', 'a lent line only reads');
    },
    health: () => undefined,
    onState(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close: async () => undefined,
  };
}
