/** The composition of a simulator: villages and the control socket over the clocks and the randomness it is given. */
import { readFileSync } from 'node:fs';
import { type Clock, type RandomSource, VillagridError } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { SimulatorConfig } from './config.js';
import { type ControlAnswer, type ControlRequest, snakeCased, startControl } from './control/control.js';
import { loadMeasured } from './data/load.js';
import { faultCatalogue, isFaultName } from './faults/faults.js';
import { type RunningGrid, startGrid } from './grid.js';

/** A running simulator. */
export interface Simulator {
  /** Path of the control socket, which may be shorter than the one asked for. */
  readonly controlSocket: string;
  readonly grids: readonly RunningGrid[];
  stop(): Promise<void>;
}

/** The world outside that a simulator is given. */
export interface SimulatorPorts {
  readonly villageClock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly ackTimeoutMs?: number;
}

const optionalText = (request: ControlRequest, key: string): string | undefined => {
  const value = request[key];
  if (value !== undefined && typeof value !== 'string') throw new Error(`"${key}" must be a text.`);
  return value === '' ? undefined : value;
};

/** Starts everything the configuration names; what had started is stopped again when something fails. */
export async function startSimulator(config: SimulatorConfig, ports: SimulatorPorts): Promise<Simulator> {
  const measured = loadMeasured();
  const grids: RunningGrid[] = [];
  const stopGrids = async (): Promise<void> => {
    await Promise.all(grids.map((grid) => grid.stop()));
  };

  const handle = (request: ControlRequest): ControlAnswer => {
    switch (request.command) {
      case 'status':
        return {
          ok: true,
          seed: config.seed,
          time_ms: Math.round(ports.villageClock.nowMs()),
          grids: grids.map((grid) => snakeCased(grid.status())),
        };
      case 'faults':
        return { ok: true, faults: Object.entries(faultCatalogue).map(([name, fault]) => ({ name, ...fault })) };
      case 'fault': {
        const name = optionalText(request, 'name') ?? '';
        if (!isFaultName(name))
          throw new Error(`There is no fault "${name}". Faults are ${Object.keys(faultCatalogue).join(', ')}.`);
        if (typeof request.on !== 'boolean') throw new Error('"on" must be true or false.');
        const gridId = optionalText(request, 'grid_id');
        const grid = grids.find((one) => one.gridId === (gridId ?? grids[0]?.gridId));
        if (grid === undefined)
          throw new Error(
            `There is no village "${gridId ?? ''}". Villages are ${grids.map((one) => one.gridId).join(', ')}.`,
          );
        // A target is a device, or a device and a metric as device:metric.
        const [deviceId, targetMetric] = (optionalText(request, 'target') ?? '').split(':');
        const metric = optionalText(request, 'metric') ?? targetMetric;
        grid.setFault({
          name,
          on: request.on,
          ...(deviceId === undefined || deviceId === '' ? {} : { deviceId }),
          ...(metric === undefined ? {} : { metric }),
        });
        return { ok: true, grid_id: grid.gridId, faults: grid.status().faults };
      }
      default:
        throw new Error(`There is no command "${request.command}". Commands are status, faults, fault.`);
    }
  };

  try {
    for (const grid of config.grids) {
      grids.push(
        await startGrid(grid, {
          ...ports,
          seed: config.seed,
          stateDir: config.stateDir,
          measured,
          ca: grid.mqtt.caFile === undefined ? undefined : readCa(grid.mqtt.caFile),
        }),
      );
    }
    const control = await startControl(config.controlSocket, handle);
    return {
      controlSocket: control.path,
      grids,
      stop: async () => {
        await control.close();
        await stopGrids();
      },
    };
  } catch (error) {
    await stopGrids();
    throw error;
  }
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new VillagridError('E_CERTIFICATE', `Cannot read the certificate authority ${file}.`, { cause: error });
  }
}
