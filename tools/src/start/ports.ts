/** Whether the ports of a village are free, before anything is made. */
import { createServer } from 'node:net';
import { referenceVillage, villageDevices } from '@villagrid/simulator';
import { cloudPorts, gridPorts, modbusPort } from './layout.js';

/** A port and the part of the village that is to listen on it. */
export interface NeededPort {
  readonly port: number;
  readonly part: string;
}

/** A port that cannot be had, and why. */
export interface TakenPort extends NeededPort {
  readonly why: string;
}

/** Every port of so many villages and their cloud. */
export function neededPorts(grids: number, base: number | undefined): NeededPort[] {
  const ofCloud = cloudPorts(base);
  const needed: NeededPort[] = [
    { port: ofCloud.http, part: 'cloud: app and API' },
    { port: ofCloud.https, part: 'cloud: app and API with TLS' },
    { port: ofCloud.mqtts, part: 'cloud: uplink of gateways' },
  ];
  for (let index = 0; index < grids; index += 1) {
    const { name } = referenceVillage(index);
    const ports = gridPorts(index, base);
    needed.push(
      { port: ports.http, part: `gateway of ${name}: app and API` },
      { port: ports.https, part: `gateway of ${name}: app and API with TLS` },
      { port: ports.mqtt, part: `gateway of ${name}: MQTT` },
      { port: ports.mqtts, part: `gateway of ${name}: MQTT with TLS` },
      { port: ports.link, part: `simulator: link of ${name} to the cloud` },
    );
    const modbus = new Map<number, string>();
    for (const device of villageDevices(index)) {
      if (device.protocol === 'modbus') modbus.set(modbusPort(ports, index, device.portOffset ?? 0), device.device_id);
    }
    for (const [port, device] of modbus) needed.push({ port, part: `simulator: ${device} of ${name} (Modbus)` });
  }
  return needed;
}

/** Those of the ports nobody can listen on now. */
export async function takenPorts(needed: readonly NeededPort[], host = '127.0.0.1'): Promise<TakenPort[]> {
  const tried = await Promise.all(needed.map(async (one) => ({ ...one, why: await tryPort(one.port, host) })));
  return tried.flatMap(({ why, ...one }) => (why === undefined ? [] : [{ ...one, why }]));
}

/** What people read when ports are taken: which, by which part they are needed, and what to do. */
export async function portsInWords(taken: readonly TakenPort[], grids: number, command: string): Promise<string> {
  const lines = taken.map(({ port, part, why }) => `  ${String(port).padEnd(5)}  ${part}${why}`);
  const base = await freeBase(grids);
  return [
    'Nothing was started, because other programs (perhaps another village) listen on ports that this village needs:',
    ...lines,
    `Stop the other program, or take other ports: ${command} --port-base ${base ?? 'N'}`,
  ].join('\n');
}

async function freeBase(grids: number): Promise<number | undefined> {
  for (let base = 20_000; base <= 29_000; base += 1000)
    if ((await takenPorts(neededPorts(grids, base))).length === 0) return base;
  return undefined;
}

/** Why the port cannot be had, as what is added to its line (nothing when it is simply taken); undefined when it can. */
function tryPort(port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'EADDRINUSE' ? '' : ` (${error.code ?? error.message})`),
    );
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}
