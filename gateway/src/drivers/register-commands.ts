/** Commands that write registers: what the profile of a polled device offers and the site named, as commands like any other. */
import { type CommandValue, VillagridError } from '@villagrid/contracts';
import type { Profile, WritePoint } from '../devices/index.js';
import { LinkError } from '../links/index.js';
import type { ModbusConnectionConfig } from './connection.js';
import type { WriteOutcome } from './port.js';

/** How a write ended: done, not done and why, or nobody knows. */
export interface Performed {
  readonly state: 'acknowledged' | 'refused' | 'failed';
  readonly reason: string | null;
  readonly said?: CommandValue | undefined;
}

/** A value that was checked against a write point. */
interface PreparedWrite {
  readonly send: number;
  readonly payload: string;
  readonly isDone: (said: CommandValue) => boolean;
}

/** A write point of a device as a command. */
export interface RegisterCommand {
  readonly spec: {
    readonly name: string;
    readonly label: string;
    readonly role: 'operator' | 'installer' | 'admin';
    readonly choices?: Record<string, { send: number }>;
    readonly number?: { min: number; max: number; unit?: string };
    readonly safe: string | number;
  };
  /** The write for a value; a sentence when the value is not allowed. */
  prepare(value: string | number): PreparedWrite | string;
  /** Does it, once; `withinMs` real milliseconds are left. Does not reject. */
  perform(prepared: { readonly send: CommandValue }, withinMs: number): Promise<Performed>;
}

/** Writes a value to a point of a device, as `Driver.write`. */
export type WriteRegister = (deviceId: string, key: string, value: number, withinMs: number) => Promise<WriteOutcome>;

/** The end of the write comes this much before the command's own, so that it is told what was seen. Real milliseconds. */
const spareMs = 500;

/**
 * Commands by device. Throws E_CONFIG_INVALID for a name that the profile does not offer.
 * `write` is called when a command is carried out, not before.
 */
export function registerCommands(
  connections: readonly ModbusConnectionConfig[],
  profiles: ReadonlyMap<string, Profile>,
  write: WriteRegister,
): ReadonlyMap<string, readonly RegisterCommand[]> {
  const commands = new Map<string, readonly RegisterCommand[]>();
  for (const { name, devices } of connections)
    for (const { device_id: deviceId, profile: id, commands: named = [] } of devices) {
      const offered = profiles.get(id)?.write_points ?? [];
      const of = named.map((key) => {
        const point = offered.find((one) => one.key === key);
        if (point) return registerCommand(deviceId, point, write);
        throw new VillagridError(
          'E_CONFIG_INVALID',
          `modbus connection "${name}", device "${deviceId}": commands: profile ${id} has no write point "${key}" (${offered.map((one) => one.key).join(', ') || 'none'}).`,
        );
      });
      commands.set(deviceId, of);
    }
  return commands;
}

function registerCommand(deviceId: string, point: WritePoint, write: WriteRegister): RegisterCommand {
  const { key, label, role = 'installer', choices, min, max, unit, safe } = point;
  const nameOf = (value: number): string | number =>
    Object.entries(choices ?? {}).find(([, one]) => one === value)?.[0] ?? value;
  return {
    spec: {
      name: key,
      label,
      role,
      ...(choices
        ? { choices: Object.fromEntries(Object.entries(choices).map(([name, send]) => [name, { send }])) }
        : { number: { min, max, ...(unit === undefined ? {} : { unit }) } }),
      safe: nameOf(safe),
    },
    prepare(value) {
      if (choices) {
        const send = Object.hasOwn(choices, String(value)) ? choices[String(value)] : undefined;
        if (send === undefined) return `${String(value).slice(0, 40)} is none of ${Object.keys(choices).join(', ')}`;
        return { send, payload: String(send), isDone: (said) => said === send };
      }
      if (typeof value !== 'number' || !Number.isFinite(value) || value < min || value > max)
        return `give a number from ${min} to ${max} ${unit ?? ''}`.trimEnd();
      return { send: value, payload: String(value), isDone: (said) => said === value };
    },
    async perform({ send }, withinMs): Promise<Performed> {
      try {
        const { said, isDone } = await write(deviceId, key, Number(send), Math.max(0, withinMs - spareMs));
        const shown = said === undefined ? undefined : nameOf(said);
        if (isDone) return { state: 'acknowledged', reason: null, said: shown };
        if (said === undefined)
          return { state: 'failed', reason: 'the device took it, but does not say what it has now' };
        return { state: 'refused', reason: `the device took it, but says it has ${shown} now`, said: shown };
      } catch (error) {
        if (!(error instanceof LinkError)) return { state: 'failed', reason: 'an internal error, see the log' };
        if (error.failure === 'exception') return { state: 'refused', reason: error.message };
        return { state: 'failed', reason: `${error.message}; whether it was done is not known` };
      }
    },
  };
}
