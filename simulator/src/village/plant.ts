/** The plant of a village: panels, inverters, battery. */

/** Sizes of a plant. */
export interface Plant {
  /** Peak power of all panels, kW. */
  readonly pvKwp: number;
  /** How many equal three-phase PV inverters there are, and the rated AC power of each, kW. */
  readonly inverters: number;
  readonly inverterKw: number;
  /** Nominal energy of the battery, kWh; it is used down to the floor, %. */
  readonly batteryKwh: number;
  readonly batteryFloorPct: number;
  /** Factor on the measured demand; 1 is a village with an evening peak of 11 to 12 kW. */
  readonly loadScale: number;
}

/**
 * The plant of the reference village. The measured village has a long evening and a high base, about 145 kWh a day at a peak of 11.5 kW,
 * so that 45 kWp are needed for it to live from the sun alone.
 */
export const defaultPlant: Plant = {
  pvKwp: 45,
  inverters: 2,
  inverterKw: 20,
  batteryKwh: 160,
  batteryFloorPct: 20,
  loadScale: 1,
};

/** Device id of the n-th PV inverter, from 0. */
export function inverterId(index: number): string {
  return `pv-inverter-${index + 1}`;
}
