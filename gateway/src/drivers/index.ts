/** Every driver of a gateway, from its configuration. Adding a protocol is its file and its part here. */
import { fileURLToPath } from 'node:url';
import { type Clock, type RandomSource, VillagridError } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import { loadProfiles } from '../devices/profile.js';
import { createTcpLink } from '../links/tcp-link.js';
import { createModbusDriver, type ModbusConnectionOptions } from './modbus.js';
import type { Driver, DriverSink } from './port.js';

export * from './port.js';

/** Folder of the profiles that come with the gateway. */
export const profilesFolder = fileURLToPath(new URL('../../profiles', import.meta.url));

/** Makes the drivers of all Modbus TCP connections. E_CONFIG_INVALID when a device names a profile that is not there. */
export function createDrivers(options: {
  readonly connections: ReadonlyArray<ModbusConnectionOptions & { readonly host: string; readonly port: number }>;
  readonly sink: DriverSink;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  readonly profilesFolder?: string;
}): Driver[] {
  const profiles = loadProfiles(options.profilesFolder ?? profilesFolder);
  for (const { name, devices } of options.connections) {
    for (const device of devices) {
      if (profiles.has(device.profile)) continue;
      throw new VillagridError(
        'E_CONFIG_INVALID',
        `modbus connection "${name}", device "${device.device_id}": there is no profile "${device.profile}"; there are ${[...profiles.keys()].join(', ')}.`,
      );
    }
  }
  return options.connections.map((connection) =>
    createModbusDriver({
      connection,
      profiles,
      link: createTcpLink({ host: connection.host, port: connection.port, realClock: options.realClock }),
      sink: options.sink,
      clock: options.clock,
      realClock: options.realClock,
      random: options.random,
      log: options.log.child('modbus', { connection: connection.name }),
    }),
  );
}
