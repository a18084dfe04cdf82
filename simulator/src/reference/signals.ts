/** What each device of the reference village sees of it: named values, metric ids where there is one. */
import { inverterId, type Plant } from '../village/plant.js';
import { inverterStates, type VillageSnapshot } from '../village/state.js';

/** Values a device can be asked for, by metric id or by a name of its own. */
export type Values = Readonly<Record<string, number>>;
/** Reads a device's values from the village. */
export type Signal = (village: VillageSnapshot) => Values;

const phaseShares = [0.35, 0.34, 0.31] as const;
const phaseVolts = [0.4, -0.7, 0.3] as const;
const phaseKeys = ['l1', 'l2', 'l3'].map((phase) => ({
  volts: `ac_output_voltage_v.${phase}`,
  kw: `consumption_kw.${phase}`,
  amps: `current_a.${phase}`,
  kva: `apparent_kva.${phase}`,
  kvar: `reactive_kvar.${phase}`,
}));
const powerFactor = 0.97;
const cellCount = 16;

/** Signals of the nodes, by device id. */
export const nodeSignals: Readonly<Record<string, Signal>> = {
  'meteo-1': (v) => ({ irradiance_w_m2: v.irradianceWm2, ambient_temp_c: v.ambientC, humidity_pct: v.humidityPct }),
  powerhouse: (v) => ({
    'equipment_temp_c.inverter': Math.max(...v.inverters.map((inverter) => inverter.temperatureC)),
  }),
  'battery-room': (v) => ({ 'equipment_temp_c.battery': v.batteryC }),
  transformer: (v) => ({ 'equipment_temp_c.transformer': v.transformerC }),
  'bus-meter': (v) => ({ dc_bus_voltage_v: v.batteryVoltageV, dc_bus_current_a: v.batteryCurrentA }),
  'tie-switch': () => ({ grid_tie_enabled: 0, grid_tie_connected: 0 }),
  'feeder-1': (v) => ({ ac_output_voltage_v: v.feederVoltageV, ac_frequency_hz: v.dark ? 0 : v.acFrequencyHz }),
};

/** Values of the n-th PV inverter, from 0. */
export function inverterSignal(index: number): Signal {
  const id = inverterId(index);
  return (v) => {
    const inverter = v.inverters.find((one) => one.id === id);
    const powerKw = inverter?.powerKw ?? 0;
    const apparentKva = powerKw <= 0 ? 0 : powerKw / 0.998;
    const volts = v.acVoltageV;
    const dcVolts = inverter?.dcVoltageV ?? 0;
    return {
      generation_kw: powerKw,
      generation_energy_kwh: inverter?.energyKwh ?? 0,
      ac_output_voltage_v: volts,
      ac_frequency_hz: v.acFrequencyHz,
      equipment_temp_c: inverter?.temperatureC ?? 0,
      cabinet_c: (inverter?.temperatureC ?? 0) - 6,
      apparent_kva: apparentKva,
      reactive_kvar: Math.sqrt(Math.max(0, apparentKva * apparentKva - powerKw * powerKw)),
      power_factor: powerKw <= 0 ? 0 : 0.998,
      line_a: volts <= 0 ? 0 : (apparentKva * 1000) / volts,
      phase_a: volts <= 0 ? 0 : (apparentKva * 1000) / volts / 3,
      line_v: volts * Math.sqrt(3),
      dc_v: dcVolts,
      dc_a: dcVolts <= 0 ? 0 : ((inverter?.dcPowerKw ?? 0) * 1000) / dcVolts,
      dc_kw: inverter?.dcPowerKw ?? 0,
      state: inverter?.state ?? inverterStates.standby,
      events: inverter?.overTemperature ? 1 << 7 : 0,
    };
  };
}

/** Values of a meter that sees this share of what the village uses; the one at the busbar sees all of it. */
export const meterSignal =
  (shareOfAll = 1): Signal =>
  (v) => {
    const allKw = v.consumptionKw * shareOfAll;
    const values: Record<string, number> = {
      consumption_kw: allKw,
      consumption_energy_kwh: v.counters.consumptionKwh * shareOfAll,
      ac_output_voltage_v: v.acVoltageV,
      ac_frequency_hz: v.acFrequencyHz,
      apparent_kva: allKw / powerFactor,
      reactive_kvar: allKw * Math.tan(Math.acos(powerFactor)),
      power_factor: powerFactor,
      phase_angle_deg: (Math.acos(powerFactor) * 180) / Math.PI,
      thd_pct: 2.1 + allKw / 20,
    };
    let sumA = 0;
    for (const [index, keys] of phaseKeys.entries()) {
      const volts = v.acVoltageV <= 0 ? 0 : v.acVoltageV + (phaseVolts[index] ?? 0);
      const kw = allKw * (phaseShares[index] ?? 0);
      const amps = volts <= 0 ? 0 : (kw * 1000) / powerFactor / volts;
      sumA += amps;
      values[keys.volts] = volts;
      values[keys.kw] = kw;
      values[keys.amps] = amps;
      values[keys.kva] = kw / powerFactor;
      values[keys.kvar] = kw * Math.tan(Math.acos(powerFactor));
    }
    values.current_sum_a = sumA;
    values.current_mean_a = sumA / 3;
    return values;
  };

/** Values of the battery monitor of a battery of the nominal size. */
export function batterySignal(batteryKwh: number): Signal {
  const capacityAh = (batteryKwh * 1000) / 51.2;
  return (v) => ({
    battery_soc_pct: v.batterySocPct,
    battery_power_kw: v.batteryPowerKw,
    dc_bus_voltage_v: v.batteryVoltageV,
    dc_bus_current_a: v.batteryCurrentA,
    equipment_temp_c: v.batteryC,
    battery_charge_energy_kwh: v.counters.batteryChargeKwh,
    battery_discharge_energy_kwh: v.counters.batteryDischargeKwh,
    consumed_ah: capacityAh * (1 - v.batterySocPct / 100),
    capacity_ah: capacityAh,
    soh_pct: 98.5,
    mid_v: v.batteryVoltageV / 2,
    cycles: Math.floor(v.counters.batteryDischargeKwh / batteryKwh),
    time_to_go_s: v.batteryPowerKw >= -0.05 ? 864_000 : Math.min(864_000, (v.storedKwh / -v.batteryPowerKw) * 3600),
    cell_min_c: v.batteryC - 0.6,
    cell_max_c: v.batteryC + 0.8,
    cell_min_v: v.batteryVoltageV / cellCount - 0.01,
    cell_max_v: v.batteryVoltageV / cellCount + 0.01,
    alarm_low_voltage: v.batteryVoltageV < 46 ? 2 : 0,
    alarm_low_soc: v.batterySocPct < 15 ? 2 : 0,
    alarm_high_temperature: v.batteryC > 50 ? 2 : 0,
    alarm: v.batteryVoltageV < 46 || v.batterySocPct < 15 || v.batteryC > 50 ? 2 : 0,
  });
}

/** What the meters of the feeders, and of the mill on one of them, see of all that is used. */
const feederShares = { 'feeder-1-meter': 0.62, 'feeder-2-meter': 0.38, 'mill-meter': 0.11 } as const;

/** Signals of all devices of a village with the plant, by device id. */
export function villageSignals(plant: Plant): ReadonlyMap<string, Signal> {
  const signals = new Map<string, Signal>(Object.entries(nodeSignals));
  for (let i = 0; i < plant.inverters; i += 1) signals.set(inverterId(i), inverterSignal(i));
  signals.set('village-meter', meterSignal());
  for (const [deviceId, share] of Object.entries(feederShares)) signals.set(deviceId, meterSignal(share));
  signals.set('battery-monitor', batterySignal(plant.batteryKwh));
  return signals;
}
