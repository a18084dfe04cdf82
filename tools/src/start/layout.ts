/** Where everything of a started village is: ports and files. */
import { join } from 'node:path';
import { modbusPortsPerVillage } from '@villagrid/simulator';

/** Ports of one gateway and its virtual devices. */
export interface GridPorts {
  readonly http: number;
  readonly https: number;
  readonly mqtt: number;
  readonly mqtts: number;
  /** First of the virtual Modbus devices. */
  readonly modbus: number;
  /** The virtual link between gateway and cloud. */
  readonly link: number;
}

export interface CloudPorts {
  readonly http: number;
  readonly https: number;
  readonly mqtts: number;
}

/** Ports of the village of the index; further villages are 100 higher each. */
export function gridPorts(index: number, base: number | undefined): GridPorts {
  const up = 100 * index;
  if (base === undefined) {
    return { http: 8080 + up, https: 8443 + up, mqtt: 1883 + up, mqtts: 8883 + up, modbus: 5020 + up, link: 9884 + up };
  }
  return {
    http: base + up,
    https: base + 1 + up,
    mqtt: base + 2 + up,
    mqtts: base + 3 + up,
    modbus: base + 20 + up,
    link: base + 14 + up,
  };
}

/** Ports of the cloud. */
export function cloudPorts(base: number | undefined): CloudPorts {
  return base === undefined
    ? { http: 9080, https: 9443, mqtts: 9883 }
    : { http: base + 10, https: base + 11, mqtts: base + 13 };
}

/** Port of a virtual Modbus device from its offset over all villages. */
export const modbusPort = (ports: GridPorts, index: number, portOffset: number): number =>
  ports.modbus + portOffset - index * modbusPortsPerVillage;

/** Files below the data folder. */
export const villageFiles = (data: string) => ({
  clock: join(data, 'clock.json'),
  credentials: join(data, 'credentials.json'),
  nodes: join(data, 'node-passwords.json'),
  simulator: join(data, 'simulator.json'),
  simulatorState: join(data, 'simulator'),
  simulatorSocket: join(data, 'simulator.sock'),
  startSocket: join(data, 'start.sock'),
  lock: join(data, 'start.lock'),
  running: join(data, 'running.json'),
  logs: join(data, 'logs'),
  cloud: join(data, 'cloud'),
  /** Name of the virtual serial line. */
  line: (gridId: string) => join(data, `rs485-${gridId}`),
  gateway: (gridId: string) => join(data, 'gateways', gridId),
});
