/** One Modbus TCP endpoint: one owner, one queue. Every read has a deadline; a broken socket is replaced. */
import type { Clock } from '@villagrid/contracts';
import ModbusRTU from 'modbus-serial';

/** A read that failed: the device's own exception, or the line. */
export class ReadError extends Error {
  override readonly name = 'ReadError';
  /** Modbus exception code the device answered with; undefined when the line failed. */
  readonly exception: number | undefined;

  constructor(message: string, exception?: number) {
    super(message);
    this.exception = exception;
  }
}

/** What is to be read. */
export interface LinkRead {
  readonly unit: number;
  readonly function: 3 | 4;
  readonly address: number;
  readonly count: number;
  readonly timeoutMs: number;
  readonly gapMs: number;
}

/** A line to devices: reads go one after the other, in the order they were asked for. */
export interface Link {
  read(request: LinkRead): Promise<readonly number[]>;
  close(): Promise<void>;
}

/** How long connecting may take, milliseconds. */
const connectWithinMs = 3000;

/** Makes the link; it connects at the first read and again after a failure. Times are real. */
export function createTcpLink(options: {
  readonly host: string;
  readonly port: number;
  readonly realClock: Clock;
}): Link {
  const { realClock } = options;
  let client: InstanceType<typeof ModbusRTU.default> | undefined;
  let tail: Promise<unknown> = Promise.resolve();
  let closed = false;

  const drop = () => {
    const old = client;
    client = undefined;
    old?.close(() => undefined);
    old?.destroy(() => undefined);
  };

  const within = async <T>(work: Promise<T>, ms: number, what: string): Promise<T> => {
    let late: { cancel(): void } | undefined;
    const deadline = new Promise<never>((_, reject) => {
      late = realClock.after(ms, () => reject(new ReadError(`${what}: no answer within ${ms} ms`)));
    });
    work.catch(() => undefined);
    try {
      return await Promise.race([work, deadline]);
    } finally {
      late?.cancel();
    }
  };

  const connected = async () => {
    if (client?.isOpen) return client;
    drop();
    const made = new ModbusRTU.default();
    made.on('error', () => undefined);
    client = made;
    try {
      await within(made.connectTCP(options.host, { port: options.port }), connectWithinMs, 'connecting');
    } catch (error) {
      drop();
      throw new ReadError(error instanceof Error ? error.message : String(error));
    }
    return made;
  };

  const readNow = async (request: LinkRead): Promise<readonly number[]> => {
    if (closed) throw new ReadError('the link is closed');
    const open = await connected();
    open.setID(request.unit);
    open.setTimeout(request.timeoutMs);
    try {
      const reading =
        request.function === 3
          ? open.readHoldingRegisters(request.address, request.count)
          : open.readInputRegisters(request.address, request.count);
      const { data } = await within(
        reading,
        request.timeoutMs + 500,
        `registers ${request.address} to ${request.address + request.count - 1}`,
      );
      if (data.length !== request.count)
        throw new ReadError(`${data.length} registers came where ${request.count} were asked for`);
      return data;
    } catch (error) {
      const exception = (error as { modbusCode?: number }).modbusCode;
      if (exception !== undefined)
        throw new ReadError(`exception ${exception} at register ${request.address}`, exception);
      // After a timeout or a broken answer the next bytes could belong to this request: begin with a new socket.
      drop();
      throw error instanceof ReadError
        ? error
        : new ReadError(
            error instanceof Error ? error.message : String((error as { message?: unknown }).message ?? error),
          );
    }
  };

  return {
    read(request) {
      const work = tail.then(() => readNow(request));
      tail = work.then(
        () => (request.gapMs > 0 ? realClock.sleep(request.gapMs) : undefined),
        () => undefined,
      );
      return work;
    },
    async close() {
      closed = true;
      drop();
    },
  };
}
