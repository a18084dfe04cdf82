/** Conversion losses and the battery's terminals, as pure functions. Powers in kW. */

/** Loss of a PV inverter of the rated power at an AC output. */
export function pvInverterLossKw(acKw: number, ratedKw: number): number {
  return acKw <= 0 ? 0 : 0.0018 * ratedKw + 0.012 * acKw + (0.008 * acKw * acKw) / ratedKw;
}

/** AC power a PV inverter makes from DC power, before clipping. */
export function pvInverterAcKw(dcKw: number, ratedKw: number): number {
  const b = 0.008 / ratedKw;
  const rest = dcKw - 0.0018 * ratedKw;
  return rest <= 0 ? 0 : (-1.012 + Math.sqrt(1.012 * 1.012 + 4 * b * rest)) / (2 * b);
}

/** DC power of panels of the peak power at an irradiance (W/m2) and an air temperature; cell temperature by the usual NOCT rule. */
export function panelDcKw(peakKw: number, irradianceWm2: number, ambientC: number): number {
  const cellC = ambientC + 0.03 * irradianceWm2;
  return Math.max(0, peakKw * (irradianceWm2 / 1000) * (1 - 0.0038 * (cellC - 25)) * 0.96);
}

/** Loss of the battery converter at the AC power that flows through it, either way. */
export function converterLossKw(acKw: number): number {
  return 0.06 + 0.014 * Math.abs(acKw) + 0.0004 * acKw * acKw;
}

/** AC power that charges the battery with the given DC power. */
export function converterAcForDcKw(dcKw: number): number {
  let ac = dcKw;
  for (let i = 0; i < 6; i += 1) ac = dcKw + converterLossKw(ac);
  return ac;
}

const openCircuit: readonly (readonly [number, number])[] = [
  [0, 46.2],
  [0.05, 48.6],
  [0.1, 49.8],
  [0.2, 50.9],
  [0.4, 51.8],
  [0.6, 52.3],
  [0.8, 52.7],
  [0.95, 53.1],
  [1, 53.6],
];

/** Voltage of the idle 16-cell iron phosphate battery at a state of charge of 0 to 1. */
export function openCircuitV(soc: number): number {
  let previous = openCircuit[0] as readonly [number, number];
  for (const point of openCircuit) {
    if (soc <= point[0]) {
      const width = point[0] - previous[0];
      return width <= 0 ? point[1] : previous[1] + ((point[1] - previous[1]) * (soc - previous[0])) / width;
    }
    previous = point;
  }
  return previous[1];
}

/** Terminal voltage and current (charging positive) at a terminal power; voltage times current is exactly that power. */
export function batteryTerminals(
  powerKw: number,
  soc: number,
  resistanceOhm: number,
): { readonly voltageV: number; readonly currentA: number } {
  const ocv = openCircuitV(soc);
  const root = Math.max(0, ocv * ocv + 4 * resistanceOhm * powerKw * 1000);
  const voltageV = (ocv + Math.sqrt(root)) / 2;
  return { voltageV, currentA: (powerKw * 1000) / voltageV };
}

/** Moves a temperature towards its target with a time constant, both times in seconds. */
export function relax(valueC: number, targetC: number, dtS: number, tauS: number): number {
  return targetC + (valueC - targetC) * Math.exp(-dtS / tauS);
}
