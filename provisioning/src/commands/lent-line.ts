/** A line of the gateway that runs here, lent to a command: it asks in between, and the gateway goes on. */
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Clock, VillagridError } from '@villagrid/contracts';
import type { loadGatewayConfig } from '@villagrid/gateway/config';
import {
  borrowedLink,
  endpointOf,
  type Link,
  type LineSettings,
  linesSocket,
  type ModbusConnectionConfig,
} from '@villagrid/gateway/field';

type GatewayConfig = ReturnType<typeof loadGatewayConfig>;

/** Where a line is: a serial port by its path, or a network address. */
export type Place = Pick<ModbusConnectionConfig, 'host' | 'port' | 'framing'> & { readonly path?: string };

/** How the line is to be set, as far as it was said. */
interface WantedSettings {
  readonly baud?: number | undefined;
  readonly parity?: LineSettings['parity'] | undefined;
  readonly stopBits?: string | undefined;
  readonly everySpeed?: boolean | undefined;
}

/** Settings of a line as a person reads them. */
export const settingsText = ({ baud, parity, stop_bits: stopBits }: LineSettings): string =>
  `${baud} baud, parity ${parity}, ${stopBits} stop bit${stopBits === 1 ? '' : 's'}`;

/** A line that a running gateway lends, and how it is set. */
export interface Lender {
  readonly link: Link;
  readonly only: LineSettings | undefined;
}

/**
 * The line as lent by the gateway that reads it; undefined where none does. A device that allows one connection, or a
 * converter, must not be asked by two, and a serial port has one owner. Throws E_LINK_OWNED where it cannot be lent so.
 */
export async function lenderOf(
  config: GatewayConfig,
  place: Place,
  { baud, parity, stopBits, everySpeed }: WantedSettings,
  clock: Clock,
): Promise<Lender | undefined> {
  const endpoint = place.path ?? endpointOf({ name: '', devices: [], ...place });
  const connection = (config.modbus?.connections ?? []).find((one) => endpointOf(one) === endpoint);
  if (!connection || !(await listens(config.http.port))) return undefined;
  const { serial } = connection;
  const only = serial && { baud: serial.baud, parity: serial.parity, stop_bits: serial.stop_bits };
  const other =
    only &&
    (everySpeed === true ||
      (baud !== undefined && baud !== only.baud) ||
      (parity !== undefined && parity !== only.parity) ||
      (stopBits !== undefined && Number(stopBits) !== only.stop_bits));
  if (other)
    throw new VillagridError(
      'E_LINK_OWNED',
      `${endpoint} is read by the gateway that runs here, at ${settingsText(only)}. At its speed it can be asked while the gateway goes on; for others the gateway has to be stopped.`,
    );
  return { link: borrowedLink({ path: join(config.data_dir, linesSocket), endpoint, clock }), only };
}

function listens(port: number): Promise<boolean> {
  return new Promise((answer) => {
    const socket = connect({ host: '127.0.0.1', port });
    const end = (there: boolean) => {
      socket.destroy();
      answer(there);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
    socket.setTimeout(2000, () => end(false));
  });
}
