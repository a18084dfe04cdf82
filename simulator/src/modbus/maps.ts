/** Register maps of the virtual devices. Facts of the makers' public documents; addresses are 0-based on the wire. */
import type { ProfileId } from '../reference/devices.js';
import type { RegisterEntry, RegisterMap, RegisterType } from './image.js';

const at = (addr: number, type: RegisterType, from?: string, scale?: number): RegisterEntry => ({
  addr,
  type,
  ...(from === undefined ? {} : { from }),
  ...(scale === undefined ? {} : { scale }),
});
const fixed = (addr: number, type: RegisterType, value: number | string, length?: number): RegisterEntry => ({
  addr,
  type,
  fixed: value,
  ...(length === undefined ? {} : { length }),
});

/** SunSpec: marker, model 1 (identity), model 103 (three-phase inverter, integers and scale factors), a maker's own model, end. */
export function sunspecInverterMap(identity: { readonly serial: string; readonly unit: number }): RegisterMap {
  const base = 40_000;
  const common = base + 2;
  const inverter = common + 68;
  const vendor = inverter + 52;
  const i = (offset: number, type: RegisterType, from?: string, scale?: number) =>
    at(inverter + offset, type, from, scale);
  const sf = (offset: number, exponent: number) => fixed(inverter + offset, 's16', exponent);
  return {
    functions: [3],
    maxRegisters: 125,
    entries: [
      fixed(base, 'str', 'SunS', 2),
      fixed(common, 'u16', 1),
      fixed(common + 1, 'u16', 66),
      fixed(common + 2, 'str', 'Villagrid', 16),
      fixed(common + 18, 'str', 'Virtual inverter 20', 16),
      fixed(common + 34, 'str', '', 8),
      fixed(common + 42, 'str', '1.0.0', 8),
      fixed(common + 50, 'str', identity.serial, 16),
      fixed(common + 66, 'u16', identity.unit),
      at(common + 67, 's16'),
      i(0, 'u16'),
      fixed(inverter, 'u16', 103),
      fixed(inverter + 1, 'u16', 50),
      i(2, 'u16', 'line_a', 0.01),
      i(3, 'u16', 'phase_a', 0.01),
      i(4, 'u16', 'phase_a', 0.01),
      i(5, 'u16', 'phase_a', 0.01),
      sf(6, -2),
      i(7, 'u16', 'line_v', 0.1),
      i(8, 'u16', 'line_v', 0.1),
      i(9, 'u16', 'line_v', 0.1),
      i(10, 'u16', 'ac_output_voltage_v', 0.1),
      i(11, 'u16', 'ac_output_voltage_v', 0.1),
      i(12, 'u16', 'ac_output_voltage_v', 0.1),
      sf(13, -1),
      i(14, 's16', 'generation_kw', 0.001),
      sf(15, 0),
      i(16, 'u16', 'ac_frequency_hz', 0.01),
      sf(17, -2),
      i(18, 's16', 'apparent_kva', 0.001),
      sf(19, 0),
      i(20, 's16', 'reactive_kvar', 0.001),
      sf(21, 0),
      i(22, 's16', 'power_factor', 0.001),
      sf(23, -3),
      { ...i(24, 'u32', 'generation_energy_kwh', 0.001), overflow: 'wrap' },
      sf(26, 0),
      i(27, 'u16', 'dc_a', 0.01),
      sf(28, -2),
      i(29, 'u16', 'dc_v', 0.1),
      sf(30, -1),
      i(31, 's16', 'dc_kw', 0.001),
      sf(32, 0),
      i(33, 's16', 'cabinet_c', 0.1),
      i(34, 's16', 'equipment_temp_c', 0.1),
      i(35, 's16'),
      i(36, 's16'),
      sf(37, -1),
      i(38, 'u16', 'state'),
      i(39, 'u16'),
      i(40, 'u32', 'events'),
      fixed(inverter + 42, 'u32', 0),
      i(44, 'u32'),
      i(46, 'u32'),
      i(48, 'u32'),
      i(50, 'u32'),
      fixed(vendor, 'u16', 64_110),
      fixed(vendor + 1, 'u16', 3),
      fixed(vendor + 2, 'u16', 1),
      fixed(vendor + 3, 'u16', 2),
      fixed(vendor + 4, 'u16', 3),
      fixed(vendor + 5, 'u16', 0xffff),
      fixed(vendor + 6, 'u16', 0),
    ],
  };
}

const phases = ['l1', 'l2', 'l3'] as const;

/** Eastron SDM630: floats on function 4, 80 registers a read; the reserved places between the first values read 0. */
export function eastronSdm630Map(): RegisterMap {
  const known: RegisterEntry[] = [
    ...phases.map((phase, n) => at(0 + 2 * n, 'f32', `ac_output_voltage_v.${phase}`)),
    ...phases.map((phase, n) => at(6 + 2 * n, 'f32', `current_a.${phase}`)),
    ...phases.map((phase, n) => at(12 + 2 * n, 'f32', `consumption_kw.${phase}`, 0.001)),
    ...phases.map((phase, n) => at(18 + 2 * n, 'f32', `apparent_kva.${phase}`, 0.001)),
    ...phases.map((phase, n) => at(24 + 2 * n, 'f32', `reactive_kvar.${phase}`, 0.001)),
    ...phases.map((_, n) => at(30 + 2 * n, 'f32', 'power_factor')),
    ...phases.map((_, n) => at(36 + 2 * n, 'f32', 'phase_angle_deg')),
    at(42, 'f32', 'ac_output_voltage_v'),
    at(46, 'f32', 'current_mean_a'),
    at(48, 'f32', 'current_sum_a'),
    at(52, 'f32', 'consumption_kw', 0.001),
    at(56, 'f32', 'apparent_kva', 0.001),
    at(60, 'f32', 'reactive_kvar', 0.001),
    at(62, 'f32', 'power_factor'),
    at(66, 'f32', 'phase_angle_deg'),
    at(70, 'f32', 'ac_frequency_hz'),
    at(72, 'f32', 'consumption_energy_kwh'),
    fixed(74, 'f32', 0),
    at(248, 'f32', 'thd_pct'),
    at(342, 'f32', 'consumption_energy_kwh'),
  ];
  const taken = new Set(known.map((entry) => entry.addr));
  const reserved = Array.from({ length: 42 }, (_, n) => 2 * n).filter((addr) => !taken.has(addr));
  return { functions: [4], maxRegisters: 80, entries: [...known, ...reserved.map((addr) => fixed(addr, 'f32', 0))] };
}

/** Battery service of a Victron GX: functions 3 and 4 read the same map; an absent unit gives exception 10. */
export function victronBatteryMap(): RegisterMap {
  const zeros = (from: number, to: number): RegisterEntry[] =>
    Array.from({ length: to - from + 1 }, (_, n) => fixed(from + n, 'u16', 0));
  return {
    functions: [3, 4],
    maxRegisters: 125,
    unknownUnitException: 10,
    entries: [
      at(256, 's32', 'battery_power_kw', 0.001),
      at(258, 's16', 'battery_power_kw', 0.001),
      at(259, 'u16', 'dc_bus_voltage_v', 0.01),
      fixed(260, 'u16', 0),
      at(261, 's16', 'dc_bus_current_a', 0.1),
      at(262, 's16', 'equipment_temp_c', 0.1),
      at(263, 'u16', 'mid_v', 0.01),
      fixed(264, 'u16', 0),
      at(265, 'u16', 'consumed_ah', 0.1),
      at(266, 'u16', 'battery_soc_pct', 0.1),
      at(267, 'u16', 'alarm'),
      at(268, 'u16', 'alarm_low_voltage'),
      ...zeros(269, 271),
      at(272, 'u16', 'alarm_low_soc'),
      fixed(273, 'u16', 0),
      at(274, 'u16', 'alarm_high_temperature'),
      ...zeros(275, 279),
      fixed(280, 'u16', 1),
      at(284, 'u16', 'cycles'),
      { ...at(301, 'u16', 'battery_discharge_energy_kwh', 0.1), overflow: 'wrap' },
      { ...at(302, 'u16', 'battery_charge_energy_kwh', 0.1), overflow: 'wrap' },
      at(303, 'u16', 'time_to_go_s', 100),
      at(304, 'u16', 'soh_pct', 0.1),
      fixed(305, 'u16', 560),
      fixed(306, 'u16', 440),
      fixed(307, 'u16', 9600),
      fixed(308, 'u16', 9600),
      at(309, 'u16', 'capacity_ah', 0.1),
      at(318, 's16', 'cell_min_c', 0.1),
      at(319, 's16', 'cell_max_c', 0.1),
      ...zeros(320, 329),
      at(330, 'u32', 'consumed_ah'),
      fixed(1282, 'u16', 9),
      fixed(1283, 'u16', 0),
      at(1290, 'u16', 'cell_min_v', 0.01),
      at(1291, 'u16', 'cell_max_v', 0.01),
      fixed(1302, 'u16', 0),
      fixed(1303, 'u16', 10),
      fixed(1304, 'u16', 0),
      fixed(1305, 'u16', 0),
      fixed(1336, 'str', 'Village battery', 8),
    ],
  };
}

/** The map of a profile. */
export function registerMap(
  profile: ProfileId,
  identity: { readonly serial: string; readonly unit: number },
): RegisterMap {
  switch (profile) {
    case 'sunspec-inverter':
      return sunspecInverterMap(identity);
    case 'eastron-sdm630':
      return eastronSdm630Map();
    case 'victron-gx-battery':
      return victronBatteryMap();
  }
}
