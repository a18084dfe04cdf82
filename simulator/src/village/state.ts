/** State, faults and snapshot of a village: plain data. */

/** Everything that must survive a restart; JSON. Energies in kWh, temperatures in deg C. */
export interface VillageState {
  timeMs: number;
  storedKwh: number;
  dark: boolean;
  busAlive: boolean;
  inverters: { temperatureC: number; faultHeatK: number; tripped: boolean; energyKwh: number }[];
  batteryC: number;
  transformerC: number;
  cabinetC: number;
  counters: VillageCounters;
}

/** Counters since the village began, kWh. Panels = generation + inverter loss; the parts of `loss` are all heat. */
export interface VillageCounters {
  panelsKwh: number;
  generationKwh: number;
  consumptionKwh: number;
  batteryChargeKwh: number;
  batteryDischargeKwh: number;
  lossKwh: number;
}

/** Faults inside the plant, switched from outside while it runs. */
export interface VillageFaults {
  /** Ids of inverters whose fan has failed, and of those that are held tripped. */
  readonly overheating: Set<string>;
  readonly tripped: Set<string>;
  batteryCollapsed: boolean;
}

/** State of an inverter as SunSpec numbers it. */
export const inverterStates = { sleeping: 2, starting: 3, mppt: 4, throttled: 5, fault: 7, standby: 8 } as const;

/** One inverter at an instant. */
export interface InverterSnapshot {
  readonly id: string;
  readonly powerKw: number;
  readonly dcPowerKw: number;
  readonly dcVoltageV: number;
  readonly temperatureC: number;
  readonly state: number;
  readonly overTemperature: boolean;
  readonly energyKwh: number;
}

/** The village at an instant: all numbers of the same step, so that they agree with each other. */
export interface VillageSnapshot {
  readonly timeMs: number;
  /** True while the feeders are shed because the battery is empty. */
  readonly dark: boolean;
  /** False when even the powerhouse's own AC bus is dead. */
  readonly busAlive: boolean;
  readonly curtailed: boolean;
  readonly irradianceWm2: number;
  readonly clearSkyWm2: number;
  readonly ambientC: number;
  readonly humidityPct: number;
  readonly demandKw: number;
  readonly consumptionKw: number;
  readonly generationKw: number;
  readonly panelsKw: number;
  readonly inverters: readonly InverterSnapshot[];
  readonly batterySocPct: number;
  readonly batteryPowerKw: number;
  readonly batteryVoltageV: number;
  readonly batteryCurrentA: number;
  readonly batteryC: number;
  readonly storedKwh: number;
  readonly acVoltageV: number;
  readonly feederVoltageV: number;
  readonly acFrequencyHz: number;
  readonly transformerC: number;
  readonly cabinetC: number;
  /** Loss of the battery converter and of the battery itself, kW; generation = consumption + battery power + converter loss. */
  readonly converterLossKw: number;
  readonly batteryLossKw: number;
  readonly counters: VillageCounters;
}
