/** A virtual RS-485 line: several devices on one wire behind a pseudo-terminal, which can be unplugged and come back. */
import type { Clock } from '@villagrid/contracts';
import type { Values } from '../reference/signals.js';
import type { RegisterMap } from './image.js';
import { openPty, type Pty } from './pty.js';
import { rtuSlave } from './rtu-slave.js';
import { serveRead } from './serve.js';

/** A device on the line. */
export interface LineDevice {
  readonly deviceId: string;
  readonly unit: number;
  readonly map: RegisterMap;
  readonly values: () => Values;
}

/** A device of a running line, as faults and the status see it. */
export interface RunningLineDevice {
  readonly unit: number;
  /** Silent: never answers. Slow: answers after that many ms more. */
  silent: boolean;
  slowMs: number;
  readonly requests: () => number;
}

/** A running line. */
export interface VirtualLine {
  readonly path: string;
  readonly devices: ReadonlyMap<string, RunningLineDevice>;
  /** Whether the adapter is there. */
  readonly plugged: boolean;
  /** Pulls the adapter out, or puts it back. */
  setPlugged(plugged: boolean): Promise<void>;
  close(): Promise<void>;
}

/** How long a device thinks before it answers, milliseconds. */
const thinksMs = 8;

/** Makes the line under a name. `clock` is real time. Rejects when pseudo-terminals cannot be made. */
export async function startLine(options: {
  readonly path: string;
  readonly baud: number;
  readonly devices: readonly LineDevice[];
  readonly clock: Clock;
}): Promise<VirtualLine> {
  const { path, baud, clock } = options;
  const running = options.devices.map((device) => {
    const counted = { requests: 0 };
    const state: RunningLineDevice = { unit: device.unit, silent: false, slowMs: 0, requests: () => counted.requests };
    return { device, state, counted };
  });
  const at = (unit: number) => running.find(({ device }) => device.unit === unit);
  let pty: Pty | undefined;
  const slave = rtuSlave({
    clock,
    baud,
    write: (bytes) => pty?.write(bytes),
    delayMs: ({ unit }) => thinksMs + (at(unit)?.state.slowMs ?? 0),
    answer(request) {
      const one = at(request.unit);
      if (one === undefined) return undefined;
      one.counted.requests += 1;
      return one.state.silent ? undefined : serveRead(one.device.map, one.device.values(), request);
    },
  });
  const plug = async (): Promise<void> => {
    const opened = await openPty(path, baud);
    opened.onBytes((data) => slave.receive(data));
    pty = opened;
  };
  await plug();
  /** What is asked meanwhile waits its turn. */
  let changing: Promise<void> = Promise.resolve();
  const set = (plugged: boolean): Promise<void> => {
    changing = changing.then(async () => {
      if (plugged === (pty !== undefined)) return;
      const last = pty;
      pty = undefined;
      if (last) await last.close();
      else await plug();
    });
    return changing;
  };
  return {
    path,
    devices: new Map(running.map(({ device, state }) => [device.deviceId, state])),
    get plugged() {
      return pty !== undefined;
    },
    setPlugged: set,
    close: () => set(false),
  };
}
