/** What goes wrong in the evaluation of the anomaly detector: kinds of fault, in shapes for tuning and in other ones for judging. */
import type { Trouble } from './windows.js';
import { noise } from '../src/village/noise.js';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** Which family of shapes: those that limits were chosen with, and those that figures are taken from. */
export type ShapeFamily = 'tuning' | 'judging';

/** A fault to inject. */
export interface TroubleKind {
  readonly name: string;
  /** Within how many minutes it has to be found. */
  readonly withinMinutes: number;
  /** Devices that are right to name; empty for no fault at all. */
  readonly devices: readonly string[];
  readonly trouble: Trouble;
}

const busDevices = ['pv-inverter-1', 'pv-inverter-2', 'village-meter', 'battery-monitor'];
const deviceOf = (series: string): string => series.slice(0, series.indexOf('/'));
const metricOf = (series: string): string => series.slice(series.indexOf('/') + 1);

/** Every kind of fault in the shape that the seed draws. `dayMs` is the local midnight of the day it happens on. */
export function troublesOf(family: ShapeFamily, seed: number, dayMs: number): TroubleKind[] {
  const draw = (name: string): number => noise(seed, `${family} ${name}`, 7);
  const pick = <T>(name: string, from: readonly T[]): T => from[Math.floor(draw(name) * from.length)] as T;
  const between = (name: string, low: number, high: number): number => low + draw(name) * (high - low);
  const isJudging = family === 'judging';
  /** From an hour of the day that is drawn, for so many hours. */
  const span = (name: string, low: number, high: number, hours: number) => {
    const fromMs = dayMs + Math.round(between(`${name} at`, low, high) * 60) * minuteMs;
    return { fromMs, toMs: fromMs + hours * hourMs };
  };
  const inverter = (name: string): string => pick(name, ['pv-inverter-1', 'pv-inverter-2']);

  const hot = inverter('hot');
  const fan = inverter('fan');
  const tripped = inverter('tripped');
  const stuck = isJudging
    ? pick('stuck', ['meteo-1/ambient_temp_c', 'village-meter/consumption_kw', 'battery-monitor/dc_bus_voltage_v'])
    : pick('stuck', ['meteo-1/irradiance_w_m2', 'battery-room/equipment_temp_c.battery', 'bus-meter/dc_bus_current_a']);
  const drifting = isJudging ? 'meteo-1/irradiance_w_m2' : 'bus-meter/dc_bus_voltage_v';
  const driftTo = isJudging ? between('drift', 0.55, 0.7) : between('drift', 0.93, 0.96);
  const dead = isJudging
    ? pick('dead', ['feeder-1', 'powerhouse', 'meteo-1'])
    : pick('dead', ['bus-meter', 'transformer', 'battery-room']);
  const sagV = isJudging ? between('sag', 9, 16) : between('sag', 15, 25);
  const extraKw = isJudging ? between('extra', 5, 8) : between('extra', 6, 10);
  const runaway = isJudging ? between('runaway', 9, 14) : between('runaway', 14, 22);
  return [
    {
      name: 'inverter overheats and trips',
      withinMinutes: 60,
      devices: [hot, 'powerhouse'],
      trouble: {
        ...span('hot', isJudging ? 8 : 9.5, isJudging ? 16 : 14.5, 6),
        plant: (faults, on) => void (on ? faults.overheating.add(hot) : faults.overheating.delete(hot)),
      },
    },
    {
      name: 'fan fails slowly',
      withinMinutes: 180,
      devices: [fan, 'powerhouse'],
      trouble: {
        ...span('fan', 9, 13, 8),
        shows: (series, value, { minutes }) =>
          series === `${fan}/equipment_temp_c` || series === 'powerhouse/equipment_temp_c.inverter'
            ? value + Math.min(runaway, (runaway * minutes) / (isJudging ? 120 : 60))
            : value,
      },
    },
    {
      name: 'battery collapses',
      withinMinutes: 60,
      devices: ['battery-monitor', 'bus-meter', 'battery-room'],
      trouble: {
        ...span('collapse', isJudging ? 0 : 8, isJudging ? 23 : 20, isJudging ? 2 : 4),
        plant(faults, on) {
          faults.batteryCollapsed = on;
        },
      },
    },
    {
      name: 'inverter trips',
      withinMinutes: 60,
      devices: [tripped],
      trouble: {
        ...span('trip', isJudging ? 8 : 9, isJudging ? 15.5 : 14, 4),
        plant: (faults, on) => void (on ? faults.tripped.add(tripped) : faults.tripped.delete(tripped)),
      },
    },
    {
      name: 'sensor stuck',
      withinMinutes: 120,
      devices: [deviceOf(stuck)],
      trouble: {
        ...span('stuck', isJudging ? 6 : 9, isJudging ? 20 : 15, 8),
        shows: (series, value, { atStart }) => (series === stuck ? atStart : value),
      },
    },
    {
      name: 'sensor drifts',
      withinMinutes: 360,
      devices: [deviceOf(drifting)],
      trouble: {
        ...span('drifting', 8, 10, 20),
        shows: (series, value, { minutes }) =>
          series === drifting ? value * (1 + (driftTo - 1) * Math.min(1, minutes / 90)) : value,
      },
    },
    {
      name: 'node dead',
      withinMinutes: 60,
      devices: [dead],
      trouble: {
        ...span('dead', 0, 23, 6),
        shows: (series, value) => (deviceOf(series) === dead ? undefined : value),
      },
    },
    {
      name: 'bus dead',
      withinMinutes: 60,
      devices: busDevices,
      trouble: {
        ...span('bus', 0, 23, 5),
        shows: (series, value) => (busDevices.includes(deviceOf(series)) ? undefined : value),
      },
    },
    {
      name: 'voltage sags',
      withinMinutes: 60,
      devices: ['feeder-1', ...busDevices],
      trouble: {
        ...span('sag', isJudging ? 5 : 18, isJudging ? 22 : 21, 3),
        shows: (series, value) =>
          metricOf(series) === 'ac_output_voltage_v' && value > 50 && (!isJudging || deviceOf(series) === 'feeder-1')
            ? value - sagV
            : value,
      },
    },
    {
      name: 'load beyond the usual',
      withinMinutes: 60,
      devices: ['village-meter'],
      trouble: {
        // A machine where none runs at this hour; the battery feeds it, so voltage and battery follow.
        ...span('extra', 1, 4, 3),
        shows(series, value) {
          if (series === 'village-meter/consumption_kw') return value + extraKw;
          if (series === 'battery-monitor/battery_power_kw') return value - extraKw * 1.02;
          if (metricOf(series) === 'dc_bus_current_a') return value - (extraKw * 1020) / 52;
          if (metricOf(series) === 'ac_output_voltage_v') return value - (9 * extraKw) / 40;
          return value;
        },
      },
    },
    {
      name: 'cloudy day (no fault)',
      withinMinutes: 0,
      devices: [],
      trouble: {
        fromMs: dayMs,
        toMs: dayMs + 24 * hourMs,
        sky: (measured) => ({
          ...measured,
          cloudTexture: measured.cloudTexture.map((one) =>
            isJudging ? Math.min(0.4, one * between('grey', 0.25, 0.5)) : Math.min(0.5, one * 0.4),
          ),
        }),
      },
    },
  ];
}
