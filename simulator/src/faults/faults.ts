/** Faults that can be switched on and off while the village runs. One entry each: what it does, what it is aimed at. */
import type { Values } from '../reference/signals.js';

/** What a fault is aimed at. */
export type FaultTarget = 'node' | 'modbus' | 'inverter' | 'device-metric' | 'grid';

/** Every fault by name. */
export const faultCatalogue = {
  'node-dies': {
    target: 'node',
    help: 'A node loses its power: no word, its kept readings are gone. Off: it boots again.',
  },
  'node-floods': { target: 'node', help: 'A node sends its newest reading again and again, about 200 times a second.' },
  'sensor-sticks': {
    target: 'device-metric',
    help: 'A metric of a device (or all of them) stays at the value it has now.',
  },
  'inverter-overheats': {
    target: 'inverter',
    help: "An inverter's fan fails: it gets hotter by 15 K a minute, derates above 70 °C and trips at 85 °C.",
  },
  'inverter-trips': { target: 'inverter', help: 'An inverter reports a fault and makes nothing.' },
  'battery-collapses': {
    target: 'grid',
    help: 'The battery loses its charge inside (2 % a minute), its voltage sags, it warms up.',
  },
  'device-silent': { target: 'modbus', help: 'A Modbus device takes requests and never answers.' },
  'device-slow': { target: 'modbus', help: 'A Modbus device answers after 3 seconds.' },
  'line-unplugged': { target: 'grid', help: 'The adapter of the RS-485 line is pulled out. Off: it is put back.' },
  'wan-cut': { target: 'grid', help: 'The link between gateway and cloud is cut.' },
  'wan-slow': { target: 'grid', help: 'The link between gateway and cloud is slow: 600 ms each way, 4 kB/s.' },
  'wan-half-open': { target: 'grid', help: 'The link between gateway and cloud swallows everything and tells nobody.' },
} as const satisfies Record<string, { readonly target: FaultTarget; readonly help: string }>;

/** Name of a fault. */
export type FaultName = keyof typeof faultCatalogue;

/** Whether a text names a fault. */
export function isFaultName(text: string): text is FaultName {
  return Object.hasOwn(faultCatalogue, text);
}

/** A fault that is on. */
export interface ActiveFault {
  readonly name: FaultName;
  readonly grid_id: string;
  readonly device_id?: string;
  readonly metric?: string;
  /** Village time it was switched on at, Unix ms. */
  readonly since_ms: number;
}

/** Values that stick: frozen at switch-on, per device and metric. */
export interface StickingSensors {
  /** Freezes a metric and its phases (or, without a metric, everything) at the values given. */
  stick(deviceId: string, metric: string | undefined, now: Values): void;
  release(deviceId: string, metric: string | undefined): void;
  /** The values as the device shows them. */
  apply(deviceId: string, values: Values): Values;
}

/** Makes the sticking layer between the village and its devices. */
export function createStickingSensors(): StickingSensors {
  const frozen = new Map<string, Map<string, Values>>();
  return {
    stick(deviceId, metric, now) {
      const of = frozen.get(deviceId) ?? new Map<string, Values>();
      const belongs = (key: string): boolean => metric === undefined || key === metric || key.startsWith(`${metric}.`);
      of.set(metric ?? '*', Object.fromEntries(Object.entries(now).filter(([key]) => belongs(key))));
      frozen.set(deviceId, of);
    },
    release(deviceId, metric) {
      frozen.get(deviceId)?.delete(metric ?? '*');
    },
    apply(deviceId, values) {
      let result = values;
      for (const stuck of frozen.get(deviceId)?.values() ?? []) result = { ...result, ...stuck };
      return result;
    },
  };
}
