/**
 * One Modbus TCP connection: modbus-serial over a socket of ours. The library checks transaction, unit, function and
 * length; the socket is ours because the library has no deadline for connecting, takes frames of another protocol, and
 * lets a request wait out its time when the connection breaks.
 */
import type { Clock } from '@villagrid/contracts';
import { connectSocket } from './connect-socket.js';
import { exceptionText, LinkError, type ReadRequest, type WriteRequest } from './port.js';

/** Most bytes after the length field of a Modbus TCP frame: unit, function and 252 of data. */
const maxFrameLength = 254;

/** An open connection; it lives until `closed`. */
export interface TcpSession {
  readonly closed: boolean;
  /** Reads registers; one at a time. Rejects with LinkError. */
  read(request: ReadRequest): Promise<readonly number[]>;
  /** Writes registers. Rejects with LinkError. */
  write(request: WriteRequest): Promise<void>;
  destroy(): void;
}

/** Connects, or rejects with LinkError `unreachable`. Times are real milliseconds. */
export async function openTcpSession(options: {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
}): Promise<TcpSession> {
  const { host, port, timeoutMs, clock } = options;
  const where = `${host}:${port}`;
  let lost: LinkError | undefined;
  const onLost = new Set<(error: LinkError) => void>();
  const lose = (error: LinkError): void => {
    if (lost) return;
    lost = error;
    socket.destroy();
    for (const tell of [...onLost]) tell(error);
  };
  const socket = await connectSocket({ host, port, timeoutMs, clock, lost: lose });
  // Before the library's listener, so that a spoiled stream is known before anything of it is taken.
  const guard = new FrameGuard();
  socket.on('data', (data: Buffer) => {
    const wrong = guard.check(data);
    if (wrong !== undefined)
      lose(new LinkError('mismatch', `${where} answers something that is not Modbus TCP (${wrong})`));
  });
  // Loaded with the first connection: a village without Modbus has no need of it, nor of what it knows of serial lines.
  const { default: ModbusRTU } = await import('modbus-serial');
  const client = new ModbusRTU.default();
  client.on('error', () => undefined);
  await client.linkTCP(socket, { port });

  /** Asks, and waits for the answer as long as the request allows. */
  const exchange = async <T>(request: ReadRequest | WriteRequest, ask: () => Promise<T>): Promise<T> => {
    if (lost) throw lost;
    client.setID(request.unit);
    // Ours is the deadline that counts; the library's later one only clears its table.
    client.setTimeout(request.timeoutMs + 500);
    const answer = ask();
    let timer: ReturnType<Clock['after']> | undefined;
    let fail: ((error: LinkError) => void) | undefined;
    const deadline = new Promise<never>((_, reject) => {
      fail = reject;
      onLost.add(reject);
      timer = clock.after(request.timeoutMs, () =>
        reject(new LinkError('timeout', `unit ${request.unit} did not answer within ${request.timeoutMs} ms`)),
      );
    });
    try {
      const result = await Promise.race([answer, deadline]);
      if (lost) throw lost;
      return result;
    } catch (error) {
      throw lost ?? toLinkError(error);
    } finally {
      timer?.cancel();
      if (fail) onLost.delete(fail);
      answer.catch(() => undefined);
    }
  };

  return {
    get closed() {
      return lost !== undefined;
    },
    async read(request) {
      const { data } = await exchange(request, () =>
        request.function === 3
          ? client.readHoldingRegisters(request.address, request.count)
          : client.readInputRegisters(request.address, request.count),
      );
      if (data.length !== request.count)
        throw new LinkError('mismatch', `asked for ${request.count} registers, got ${data.length}`);
      return data;
    },
    async write(request) {
      const { address, words } = request;
      const said = await exchange<{ address: number; value?: number; length?: number }>(request, () =>
        request.function === 6
          ? client.writeRegister(address, words[0] ?? 0)
          : client.writeRegisters(address, [...words]),
      );
      const isThis =
        said.address === address && (request.function === 6 ? said.value === words[0] : said.length === words.length);
      if (!isThis) throw new LinkError('mismatch', 'the answer is to another write');
    },
    destroy() {
      lose(new LinkError('stopped', `the link to ${where} was closed`));
      client.destroy(() => undefined);
    },
  };
}

/** Watches the frame headers of a stream: protocol id 0 and a length that Modbus allows. */
class FrameGuard {
  #header = Buffer.alloc(0);
  #skip = 0;

  /** What is wrong, or undefined. */
  check(data: Buffer): string | undefined {
    let rest = data;
    while (rest.length > 0) {
      const skipped = Math.min(this.#skip, rest.length);
      this.#skip -= skipped;
      rest = rest.subarray(skipped);
      if (rest.length === 0) return undefined;
      const taken = Math.min(6 - this.#header.length, rest.length);
      this.#header = Buffer.concat([this.#header, rest.subarray(0, taken)]);
      rest = rest.subarray(taken);
      if (this.#header.length < 6) return undefined;
      const protocol = this.#header.readUInt16BE(2);
      const length = this.#header.readUInt16BE(4);
      if (protocol !== 0) return `protocol ${protocol}`;
      if (length < 3 || length > maxFrameLength) return `frame length ${length}`;
      this.#header = Buffer.alloc(0);
      this.#skip = length;
    }
    return undefined;
  }
}

function toLinkError(error: unknown): LinkError {
  if (error instanceof LinkError) return error;
  const { message, modbusCode, errno, name } = error as Error & { modbusCode?: number; errno?: unknown };
  if (typeof modbusCode === 'number') return new LinkError('exception', exceptionText(modbusCode), modbusCode);
  if (name === 'PortNotOpenError' || errno === 'ECONNREFUSED')
    return new LinkError('unreachable', 'the connection is gone');
  if (name === 'TransactionTimedOutError') return new LinkError('timeout', 'no answer in time');
  return new LinkError('mismatch', `the answer does not fit the request: ${message}`);
}
