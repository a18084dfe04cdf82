/** Tries a profile on a device: `try-profile.main.ts <profile.yaml> <host[:port]> [unit]`. Reads once and prints; never writes. */
import { VillagridError } from '@villagrid/contracts';
import { cryptoRandom, realClock, silentLogger } from '@villagrid/runtime';
import { loadProfile } from '../devices/index.js';
import { createModbusDrivers } from './modbus.js';

async function main([path, endpoint, unitText]: readonly string[]): Promise<number> {
  if (path === undefined || endpoint === undefined) {
    console.error('Usage: try-profile.main.ts <profile.yaml> <host[:port]> [unit]');
    return 2;
  }
  const profile = loadProfile(path);
  const [host = '', port] = endpoint.split(':');
  const unit = unitText === undefined ? undefined : Number(unitText);
  const clock = realClock();
  const outcome = await new Promise<number>((resolve) => {
    const [driver] = createModbusDrivers({
      connections: [
        {
          name: 'try',
          host,
          port: Number(port ?? profile.transport.tcp?.port ?? 502),
          devices: [{ device_id: 'device', profile: profile.id, unit, period_s: 3600 }],
        },
      ],
      profiles: new Map([[profile.id, profile]]),
      clock,
      random: cryptoRandom(),
      log: silentLogger(),
      sink: {
        link: (_, state, reason) => {
          console.log(`${state}: ${reason}`);
          if (state === 'down') void driver?.stop().then(() => resolve(1));
        },
        reading: ({ values }) => {
          for (const [metric, value] of Object.entries(values))
            console.log(`${metric.padEnd(32)} ${value ?? 'no value'}`);
          void driver?.stop().then(() => resolve(0));
        },
      },
    });
    void driver?.start();
  });
  return outcome;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof VillagridError ? `${error.message}\n${error.next}` : error);
    process.exitCode = 1;
  },
);
