/** A virtual Modbus TCP device: a real server on a socket that answers from a register map. */
import { type Clock, VillagridError } from '@villagrid/contracts';
import { ServerTCP } from 'modbus-serial';
import type { Values } from '../reference/signals.js';
import type { RegisterMap } from './image.js';
import { serveRead } from './serve.js';

/** What a virtual device is made from. */
export interface ModbusDeviceOptions {
  readonly deviceId: string;
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly unit: number;
  readonly map: RegisterMap;
  readonly values: () => Values;
  /** Real time, for the delay of a slow device. */
  readonly clock: Clock;
}

/** A running virtual device. */
export interface ModbusDevice {
  readonly deviceId: string;
  readonly port: number;
  /** Silent: takes requests and never answers. Slow: answers after that many ms; 0 is at once. */
  silent: boolean;
  slowMs: number;
  readonly requests: () => number;
  close(): Promise<void>;
}

type Reply = (error: Error | null, value: never) => void;
const refuse = (code: number): Error => Object.assign(new Error(`exception ${code}`), { modbusErrorCode: code });

/** Listens and answers until closed. Rejects with E_PORT_IN_USE when the port is taken. */
export async function startModbusDevice(options: ModbusDeviceOptions): Promise<ModbusDevice> {
  const { map, unit, clock } = options;
  let requests = 0;

  const read = (fc: 3 | 4, addr: number, length: number, askedUnit: number): readonly number[] | Error => {
    if (askedUnit !== unit && map.unknownUnitException !== undefined && map.functions.includes(fc))
      return refuse(map.unknownUnitException);
    const result = serveRead(map, options.values(), { function: fc, address: addr, count: length });
    return typeof result === 'number' ? refuse(-result) : result;
  };

  const answer = (fc: 3 | 4, addr: number, length: number, askedUnit: number, single: boolean, reply: Reply): void => {
    requests += 1;
    // A device that is not addressed on its line says nothing.
    if (device.silent || (askedUnit !== unit && map.unknownUnitException === undefined)) return;
    const send = (): void => {
      const result = read(fc, addr, length, askedUnit);
      // The library looks into the values even beside an error.
      if (result instanceof Error) reply(result, [] as never);
      else reply(null, (single ? result[0] : result) as never);
    };
    if (device.slowMs > 0) clock.after(device.slowMs, send);
    else send();
  };

  const server = new ServerTCP(
    {
      getHoldingRegister: (addr: number, askedUnit: number, reply: Reply) => answer(3, addr, 1, askedUnit, true, reply),
      getInputRegister: (addr: number, askedUnit: number, reply: Reply) => answer(4, addr, 1, askedUnit, true, reply),
      getMultipleHoldingRegisters: (addr: number, length: number, askedUnit: number, reply: Reply) =>
        answer(3, addr, length, askedUnit, false, reply),
      getMultipleInputRegisters: (addr: number, length: number, askedUnit: number, reply: Reply) =>
        answer(4, addr, length, askedUnit, false, reply),
    },
    // The library takes a number 0 for "not given"; the text is passed on to the socket, which takes any free port.
    { host: options.host, port: (options.port === 0 ? '0' : options.port) as number },
  );
  server.on('socketError', () => undefined);
  server.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => {
    server.on('initialized', () => resolve());
    server.on('serverError', (error) => {
      const taken = (error as NodeJS.ErrnoException | null)?.code === 'EADDRINUSE';
      const where = `${options.host}:${options.port}, wanted by the virtual device ${options.deviceId}.`;
      reject(taken ? new VillagridError('E_PORT_IN_USE', where) : (error ?? new Error(`Cannot listen on ${where}`)));
    });
  });
  const address = (server as unknown as { _server: import('node:net').Server })._server.address();
  const device: ModbusDevice = {
    deviceId: options.deviceId,
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    silent: false,
    slowMs: 0,
    requests: () => requests,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
  return device;
}
