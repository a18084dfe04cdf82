/** Virtual devices on one RS-485 line: Modbus RTU at the pace of the wire, with the ways real lines spoil it. */
import type { Clock } from '@villagrid/contracts';

/** A read that came. */
export interface SlaveRequest {
  readonly unit: number;
  readonly function: number;
  readonly address: number;
  readonly count: number;
}

/** What goes out, and how long after it would have. */
export interface SlaveBurst {
  readonly afterMs: number;
  readonly bytes: Uint8Array;
}

/** What the devices of a line are made from. */
export interface RtuSlaveOptions {
  /** Words, a Modbus exception as a negative number, or undefined where nobody answers. */
  readonly answer: (request: SlaveRequest) => readonly number[] | number | undefined;
  readonly write: (bytes: Uint8Array) => void;
  /** Real time. */
  readonly clock: Clock;
  /** Speed of the wire, bits a second; no time passes on it when left out. */
  readonly baud?: number;
  /** How long a device thinks, milliseconds. */
  readonly delayMs?: (request: SlaveRequest) => number;
  /** Makes of a good answer what comes instead. */
  readonly spoil?: (frame: Uint8Array, request: SlaveRequest) => readonly SlaveBurst[];
}

/** The devices of a line. */
export interface RtuSlave {
  /** Takes what the master sent. */
  receive(data: Uint8Array): void;
  /** Reads that came whole. */
  readonly requests: SlaveRequest[];
  /** Whole frames that were no read: a master that only looks sends none. */
  readonly others: Uint8Array[];
}

const crcTable = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc % 2 === 1 ? 0xa001 : 0);
  return crc;
});
const crcOf = (bytes: Uint8Array): number =>
  bytes.reduce((crc, byte) => (crc >>> 8) ^ (crcTable[(crc ^ byte) & 0xff] ?? 0), 0xffff);

/** Bytes with their CRC behind them. */
export function rtuFrame(bytes: readonly number[]): Uint8Array {
  const body = Uint8Array.from(bytes);
  const crc = crcOf(body);
  return Uint8Array.from([...body, crc % 256, crc >>> 8]);
}

/** Silence after which half a request is forgotten, milliseconds. */
const forgetMs = 50;

/** Makes the devices of a line; they answer what `receive` is given. */
export function rtuSlave(options: RtuSlaveOptions): RtuSlave {
  const { answer, write, clock, baud, delayMs = () => 0, spoil = (bytes) => [{ afterMs: 0, bytes }] } = options;
  const byteMs = baud === undefined ? 0 : 11_000 / baud;
  const requests: SlaveRequest[] = [];
  const others: Uint8Array[] = [];
  let heard = new Uint8Array(0);
  let heardMs = 0;

  const serve = (frame: Uint8Array): void => {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const code = view.getUint8(1);
    if (code !== 3 && code !== 4) {
      others.push(frame);
      return;
    }
    const request = { unit: view.getUint8(0), function: code, address: view.getUint16(2), count: view.getUint16(4) };
    requests.push(request);
    const result = answer(request);
    if (result === undefined) return;
    const good =
      typeof result === 'number'
        ? rtuFrame([request.unit, code | 0x80, -result])
        : rtuFrame([request.unit, code, 2 * result.length, ...result.flatMap((word) => [word >>> 8, word & 0xff])]);
    for (const { afterMs, bytes } of spoil(good, request)) {
      const atMs = afterMs + delayMs(request) + (8 + bytes.length) * byteMs;
      if (atMs <= 0) write(bytes);
      else clock.after(atMs, () => write(bytes));
    }
  };

  return {
    requests,
    others,
    receive(data) {
      const nowMs = clock.monotonicMs();
      heard = Uint8Array.from(nowMs - heardMs > forgetMs ? data : [...heard, ...data]);
      heardMs = nowMs;
      while (heard.length >= 8) {
        const frame = heard.slice(0, 8);
        const good = crcOf(frame) === 0;
        if (good) serve(frame);
        heard = heard.slice(good ? 8 : 1);
      }
    },
  };
}
