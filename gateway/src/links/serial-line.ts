/** A serial port as a line: opened by its stable name, locked against everybody else. */
import { messageOf } from '@villagrid/contracts';
import type { ByteLine, ByteLineEvents, OpenLine } from './byte-line.js';
import { LinkError } from './port.js';

/** How a serial line is set. */
export interface SerialSettings {
  /** Best a name of /dev/serial/by-id or by-path: it stays when adapters are plugged in another order. */
  readonly path: string;
  readonly baud: number;
  readonly parity: 'none' | 'even' | 'odd';
  readonly stopBits: 1 | 2;
}

/** Opens a serial port each time anew by its name, so that an adapter that was plugged in again is found. */
export function serialLine({ path, baud, parity, stopBits }: SerialSettings): OpenLine {
  return async (events: ByteLineEvents): Promise<ByteLine> => {
    // Gateways without a serial line do without the native library.
    const { SerialPort } = await import('serialport').catch((error: unknown) => {
      throw new LinkError('unreachable', `serial ports cannot be used on this machine: ${messageOf(error)}`);
    });
    const port = new SerialPort({ path, baudRate: baud, dataBits: 8, parity, stopBits, lock: true, autoOpen: false });
    let over = false;
    const lose = (reason: string): void => {
      if (over) return;
      over = true;
      if (port.isOpen) port.close(() => undefined);
      events.lost(reason);
    };
    // For good: an adapter that vanishes may tell more than one error, and one unheard would end the process.
    port.on('error', (error: Error) => lose(`${path} failed: ${error.message}`));
    port.on('close', () => lose(`${path} is gone: was the adapter unplugged?`));
    await new Promise<void>((resolve, reject) => {
      port.open((error) => {
        if (!error) return resolve();
        over = true;
        reject(new LinkError('unreachable', openText(path, error)));
      });
    });
    port.on('data', (data: Uint8Array) => {
      if (!over) events.bytes(data);
    });
    return {
      write(data) {
        if (!over) port.write(data, (error) => error && lose(`${path} takes no bytes: ${error.message}`));
      },
      close() {
        over = true;
        return new Promise((resolve) => {
          if (port.isOpen) port.close(() => resolve());
          else resolve();
        });
      },
    };
  };
}

function openText(path: string, error: Error): string {
  const { message } = error;
  if (/lock/i.test(message))
    return `${path} is in use by another program (the gateway itself, or a maker's tool): a serial line has one owner`;
  if (/No such file|ENOENT|cannot find/i.test(message)) return `${path} is not there: is the adapter plugged in?`;
  if (/denied|EACCES/i.test(message)) return `${path} may not be opened by this user: it needs the group dialout`;
  return `${path} cannot be opened: ${message}`;
}
