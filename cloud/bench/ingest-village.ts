/** What villages measure in the benches of ingest: 81 series of 14 devices, smooth with the noise of meters. Pure. */

/** The series of one village. */
export const villageSeries: ReadonlyArray<{ readonly deviceId: string; readonly metric: string }> = [
  ...['inv-01', 'inv-02', 'inv-03'].flatMap((deviceId) =>
    [
      'generation_kw',
      'ac_output_voltage_v.l1',
      'ac_output_voltage_v.l2',
      'ac_output_voltage_v.l3',
      'ac_frequency_hz',
      'equipment_temp_c.inverter',
      'dc_bus_voltage_v',
      'generation_energy_kwh',
    ].map((metric) => ({ deviceId, metric })),
  ),
  ...['bat-01', 'bat-02'].flatMap((deviceId) =>
    [
      'battery_soc_pct',
      'battery_power_kw',
      'dc_bus_voltage_v',
      'dc_bus_current_a',
      'equipment_temp_c.battery',
      'battery_charge_energy_kwh',
      'battery_discharge_energy_kwh',
    ].map((metric) => ({ deviceId, metric })),
  ),
  ...['met-01', 'met-02', 'met-03', 'met-04', 'met-05', 'met-06'].flatMap((deviceId) =>
    [
      'consumption_kw',
      'ac_output_voltage_v.l1',
      'ac_output_voltage_v.l2',
      'ac_output_voltage_v.l3',
      'ac_frequency_hz',
      'consumption_energy_kwh',
    ].map((metric) => ({ deviceId, metric })),
  ),
  ...['env-01', 'env-02', 'env-03'].flatMap((deviceId) =>
    deviceId === 'env-01'
      ? ['irradiance_w_m2', 'ambient_temp_c', 'humidity_pct'].map((metric) => ({ deviceId, metric }))
      : ['equipment_temp_c.cabinet', 'humidity_pct'].map((metric) => ({ deviceId, metric })),
  ),
];

/** A quarter past the day's begin, so that windows of all widths end within a bench. */
export const startMs = 1_795_341_600_000;

/** The value of a series of a village at a time: a slow wave and noise that follows from its arguments. */
export function villageSample(series: number, village: number, timeMs: number): number {
  const seconds = (timeMs - startMs) / 1000;
  const noise = Math.sin(series * 12.9898 + village * 78.233 + seconds * 37.719) * 43_758.5453;
  const slow = Math.sin(seconds / 4000 + series) * 20;
  return Math.round((50 + slow + (noise - Math.floor(noise)) * 0.2) * 100) / 100;
}
