/** The devices of the reference village, and how a grid's figures are wired to them: static data for whoever sets a village up. */
import type { Site, Wire, WireTerm } from '@villagrid/contracts';
import { defaultPlace } from '../village/place.js';
import { defaultPlant, inverterId } from '../village/plant.js';

/** Device models the virtual Modbus devices are like. */
export type ProfileId = 'sunspec-inverter' | 'eastron-sdm630' | 'victron-gx-battery';

/** One device of a village. */
export interface VillageDevice {
  readonly device_id: string;
  readonly name: string;
  readonly kind: 'weather' | 'sensor' | 'meter' | 'switch' | 'inverter' | 'battery';
  readonly protocol: 'mqtt' | 'modbus';
  /** Only Modbus devices: model, unit id, and port counted from the first virtual Modbus port. */
  readonly profile?: ProfileId;
  readonly unit?: number;
  readonly portOffset?: number;
  /** Whether it hangs on the village's RS-485 line, where this machine can make one; else it is on its port. */
  readonly onLine?: boolean;
  /** Seconds of village time between readings (nodes) or proposed between polls (Modbus). */
  readonly period_s: number;
  /** Metric ids its series have. */
  readonly metrics: readonly string[];
  /** False for the spare node, which people's own MQTT clients play. */
  readonly simulated: boolean;
  /** Whether a node has a clock of its own and sends `ts`. */
  readonly clock?: boolean;
}

const node = (
  device_id: string,
  name: string,
  kind: VillageDevice['kind'],
  metrics: readonly string[],
  more: Partial<VillageDevice> = {},
): VillageDevice => ({ device_id, name, kind, protocol: 'mqtt', period_s: 5, metrics, simulated: true, ...more });

const inverterMetrics = [
  'generation_kw',
  'generation_energy_kwh',
  'ac_output_voltage_v',
  'ac_frequency_hz',
  'equipment_temp_c',
];

/** The RS-485 line of the first village: 8 data bits, no parity, one stop bit. */
export const villageLine = {
  baud: 19_200,
  /** Devices on the wire that nobody told the gateway of: a scan finds them. */
  strangers: [{ device_id: 'mill-meter', unit: 9, profile: 'eastron-sdm630' }],
} as const satisfies {
  readonly baud: number;
  readonly strangers: ReadonlyArray<{
    readonly device_id: string;
    readonly unit: number;
    readonly profile: ProfileId;
  }>;
};

/** Modbus ports one village takes, counted from its first. */
export const modbusPortsPerVillage = 10;

/** Every device of the reference village of the index (0 is the first), the spare node included. */
export function villageDevices(gridIndex = 0): readonly VillageDevice[] {
  const first = gridIndex * modbusPortsPerVillage;
  const modbus = (offset: number, unit: number, profile: ProfileId) =>
    ({ protocol: 'modbus', profile, unit, portOffset: first + offset, period_s: 5, simulated: true }) as const;
  return [
    node('meteo-1', 'Weather station', 'weather', ['irradiance_w_m2', 'ambient_temp_c', 'humidity_pct'], {
      period_s: 10,
      clock: true,
    }),
    node('powerhouse', 'Inverter temperature', 'sensor', ['equipment_temp_c.inverter']),
    node('battery-room', 'Battery temperature', 'sensor', ['equipment_temp_c.battery']),
    node('transformer', 'Transformer temperature', 'sensor', ['equipment_temp_c.transformer']),
    node('bus-meter', 'DC bus meter', 'meter', ['dc_bus_voltage_v', 'dc_bus_current_a'], { clock: true }),
    node('tie-switch', 'Grid-tie switch', 'switch', ['grid_tie_enabled', 'grid_tie_connected']),
    node('feeder-1', 'Feeder 1', 'meter', ['ac_output_voltage_v', 'ac_frequency_hz']),
    node('spare-1', 'Cabinet temperature (spare node)', 'sensor', ['equipment_temp_c', 'equipment_temp_c.cabinet'], {
      simulated: false,
    }),
    {
      device_id: inverterId(0),
      name: 'Solar inverter 1',
      kind: 'inverter',
      metrics: inverterMetrics,
      ...modbus(0, 1, 'sunspec-inverter'),
    },
    {
      device_id: inverterId(1),
      name: 'Solar inverter 2',
      kind: 'inverter',
      metrics: inverterMetrics,
      ...modbus(1, 1, 'sunspec-inverter'),
    },
    {
      device_id: 'village-meter',
      name: 'Village meter',
      kind: 'meter',
      metrics: ['consumption_kw', 'consumption_energy_kwh', 'ac_output_voltage_v', 'ac_frequency_hz'],
      ...modbus(2, 1, 'eastron-sdm630'),
    },
    {
      device_id: 'battery-monitor',
      name: 'Battery monitor',
      kind: 'battery',
      metrics: [
        'battery_soc_pct',
        'battery_power_kw',
        'dc_bus_voltage_v',
        'dc_bus_current_a',
        'equipment_temp_c',
        'battery_charge_energy_kwh',
        'battery_discharge_energy_kwh',
      ],
      ...modbus(3, 225, 'victron-gx-battery'),
    },
    ...(gridIndex === 0
      ? [1, 2].map(
          (number): VillageDevice => ({
            device_id: `feeder-${number}-meter`,
            name: `Meter of feeder ${number}`,
            kind: 'meter',
            metrics: ['consumption_kw', 'consumption_energy_kwh', 'ac_output_voltage_v', 'ac_frequency_hz'],
            ...modbus(3 + number, number, 'eastron-sdm630'),
            period_s: 15,
            onLine: true,
          }),
        )
      : []),
  ];
}

const term = (device_id: string, metric: string): WireTerm => ({ device_id, metric, factor: 1 });
const one = (device_id: string, metric: string, fallback?: WireTerm): Wire => ({
  terms: [term(device_id, metric)],
  ...(fallback === undefined ? {} : { fallback: [fallback] }),
});

/** The wiring of the reference village: figure of the grid to its wire. There is no mains, so mains_power_kw is not wired. */
export function villageWiring(): Record<string, Wire> {
  const sum = (metric: string): Wire => ({ terms: [term(inverterId(0), metric), term(inverterId(1), metric)] });
  return {
    consumption_kw: one('village-meter', 'consumption_kw'),
    generation_kw: sum('generation_kw'),
    battery_soc_pct: one('battery-monitor', 'battery_soc_pct'),
    battery_power_kw: one('battery-monitor', 'battery_power_kw'),
    dc_bus_voltage_v: one('battery-monitor', 'dc_bus_voltage_v', term('bus-meter', 'dc_bus_voltage_v')),
    dc_bus_current_a: one('battery-monitor', 'dc_bus_current_a', term('bus-meter', 'dc_bus_current_a')),
    // Where power reaches the village: behind its switches, so that a shed feeder is seen. The busbar is only second best.
    ac_output_voltage_v: one('feeder-1', 'ac_output_voltage_v', term('village-meter', 'ac_output_voltage_v')),
    ac_frequency_hz: one('village-meter', 'ac_frequency_hz', term('feeder-1', 'ac_frequency_hz')),
    grid_tie_enabled: one('tie-switch', 'grid_tie_enabled'),
    grid_tie_connected: one('tie-switch', 'grid_tie_connected'),
    'equipment_temp_c.inverter': one('powerhouse', 'equipment_temp_c.inverter'),
    'equipment_temp_c.battery': one('battery-room', 'equipment_temp_c.battery'),
    'equipment_temp_c.transformer': one('transformer', 'equipment_temp_c.transformer'),
    // Somebody at a terminal may name the component or not.
    'equipment_temp_c.cabinet': one('spare-1', 'equipment_temp_c', term('spare-1', 'equipment_temp_c.cabinet')),
    irradiance_w_m2: one('meteo-1', 'irradiance_w_m2'),
    ambient_temp_c: one('meteo-1', 'ambient_temp_c'),
    humidity_pct: one('meteo-1', 'humidity_pct'),
    consumption_energy_kwh: one('village-meter', 'consumption_energy_kwh'),
    generation_energy_kwh: sum('generation_energy_kwh'),
    battery_charge_energy_kwh: one('battery-monitor', 'battery_charge_energy_kwh'),
    battery_discharge_energy_kwh: one('battery-monitor', 'battery_discharge_energy_kwh'),
  };
}

const names = ['Kisima', 'Mlimani', 'Bondeni', 'Kijani', 'Mtoni', 'Nyota'];

/** Name, place and plant of the reference village of the index (0 is the first), as the simulator's configuration wants them. */
export function referenceVillage(gridIndex = 0) {
  const round = Math.floor(gridIndex / names.length);
  const name = `${names[gridIndex % names.length] ?? 'Kisima'}${round === 0 ? '' : ` ${round + 1}`}`;
  return {
    grid_id: name.toLowerCase().replaceAll(' ', '-'),
    name,
    zone: defaultPlace.zone,
    latitude: defaultPlace.latitude + 0.05 * gridIndex,
    longitude: defaultPlace.longitude - 0.05 * gridIndex,
    plant: {
      pv_kwp: defaultPlant.pvKwp,
      battery_kwh: defaultPlant.batteryKwh,
      battery_floor_pct: defaultPlant.batteryFloorPct,
      inverters: defaultPlant.inverters,
      inverter_kw: defaultPlant.inverterKw,
    },
  };
}

/** The site document of the reference village of the index, for the gateway with the id. */
export function villageSite(gridIndex: number, gatewayId: string): Site {
  const { grid_id, name, zone, latitude, longitude, plant } = referenceVillage(gridIndex);
  return {
    grid_id,
    gateway_id: gatewayId,
    name,
    zone,
    location: { latitude, longitude },
    plant: {
      pv_kwp: plant.pv_kwp,
      battery_kwh: plant.battery_kwh,
      battery_floor_pct: plant.battery_floor_pct,
      has_genset: false,
      has_mains: false,
    },
    devices: villageDevices(gridIndex).map(({ device_id, name: deviceName, kind, protocol, period_s, simulated }) => ({
      device_id,
      name: deviceName,
      kind,
      protocol,
      period_s,
      expected: simulated,
    })),
    wiring: villageWiring(),
  };
}
