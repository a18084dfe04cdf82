/** A Modbus connection of the settings, and the link it means. */
import { type Clock, type RandomSource, VillagridError } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import { type Link, rtuLink, serialLine, socketLine, tcpLink } from '../links/index.js';

/** A device behind a Modbus connection, as configured. */
export interface ModbusDeviceConfig {
  readonly device_id: string;
  /** Id of a profile. */
  readonly profile: string;
  /** Unit id; the profile's usual one when left out. */
  readonly unit?: number | undefined;
  /** Seconds of village time between polls. */
  readonly period_s: number;
  /** Write points of the profile that commands may write. */
  readonly commands?: readonly string[] | undefined;
}

/** A serial line, as configured. */
export interface SerialLineConfig {
  readonly path: string;
  readonly baud: number;
  readonly parity: 'none' | 'even' | 'odd';
  readonly stop_bits: 1 | 2;
}

/** A Modbus connection, as configured: either `serial`, or `host` with a port. */
export interface ModbusConnectionConfig {
  readonly name: string;
  readonly host?: string | undefined;
  /** 502 when left out. */
  readonly port?: number | undefined;
  /** `rtu` where a converter passes RTU frames on as they are; Modbus TCP when left out. */
  readonly framing?: 'tcp' | 'rtu' | undefined;
  readonly serial?: SerialLineConfig | undefined;
  readonly devices: readonly ModbusDeviceConfig[];
}

/** Speed assumed of the wire behind a converter, for the silence between frames. */
export const converterBaud = 9600;
/** Longest wait for the connection to a converter, real milliseconds. */
const connectTimeoutMs = 3000;
/** Bounds of the wait between tries to reach a converter, real milliseconds. */
const reconnectMs = { minMs: 500, maxMs: 8000 } as const;

/** Whether its answers carry no number. */
export const isRtu = ({ serial, framing }: ModbusConnectionConfig): boolean =>
  serial !== undefined || framing === 'rtu';

/** What is the same for connections that share one line or endpoint; also its name for people. */
export function endpointOf({ serial, host = '', port = 502 }: ModbusConnectionConfig): string {
  return serial?.path ?? `${host.toLowerCase()}:${port}`;
}

/** The link a connection means; it opens at its first read. Throws E_CONFIG_INVALID for one that leads nowhere. */
export function openLink(
  connection: ModbusConnectionConfig,
  ports: { readonly clock: Clock; readonly random: RandomSource; readonly log: Logger },
): Link {
  const { serial, host, port = 502 } = connection;
  const name = endpointOf(connection);
  if (serial) {
    const { path, baud, parity, stop_bits: stopBits } = serial;
    return rtuLink({ ...ports, name, baud, open: serialLine({ path, baud, parity, stopBits }) });
  }
  if (host === undefined)
    throw new VillagridError('E_CONFIG_INVALID', `modbus connection "${connection.name}" has neither host nor serial.`);
  if (connection.framing !== 'rtu') return tcpLink({ ...ports, host, port });
  const open = socketLine({ host, port, timeoutMs: connectTimeoutMs, clock: ports.clock });
  return rtuLink({ ...ports, name, baud: converterBaud, open, reopenMs: reconnectMs });
}
