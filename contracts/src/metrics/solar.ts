/** Solar yield: what the sun gave, what the array and the plant made of it, and what was lost on the way. */
import { ratio } from './key-figure.js';
import { quarterHours, type DenseQuarters } from './raster.js';

/** Energies and facts a yield is made of; undefined where not measured. Energies in kWh. */
export interface YieldInputs {
  /** Nameplate of the array P0, kWp. */
  readonly ratedKwp: number | null;
  /** Sum of irradiance in the plane of the modules times hours, kWh/m². */
  readonly irradiationKwhM2: number | null;
  /** E_PV,dc where the array side is measured. */
  readonly arrayKwh: number | null;
  /** What the plant made on the AC side. */
  readonly acKwh: number | null;
  /** Solar energy that people used. */
  readonly usefulKwh: number | null;
  /** The same irradiation weighted with the temperature of the cells, kWh/m². */
  readonly correctedKwhM2: number | null;
  readonly hours: number;
}

/** Yields and losses in kWh/kWp (hours at full sun), ratios without unit. */
export interface Yields {
  readonly reference: number | null;
  readonly array: number | null;
  readonly final: number | null;
  readonly captureLoss: number | null;
  readonly systemLoss: number | null;
  readonly performanceRatio: number | null;
  readonly correctedPerformanceRatio: number | null;
  readonly specificYield: number | null;
  readonly capacityFactor: number | null;
  readonly arrayToAc: number | null;
}

const minus = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a - b);

/** Yields by METRICS section 4 (IEC 61724): Yr, Ya, Yf, Lc = Yr - Ya, Ls = Ya - Yf, PR = Yf / Yr. */
export function solarYields(inputs: YieldInputs): Yields {
  const { ratedKwp, irradiationKwhM2: reference, arrayKwh, acKwh, usefulKwh, correctedKwhM2, hours } = inputs;
  const array = ratio(arrayKwh, ratedKwp);
  const final = ratio(usefulKwh, ratedKwp);
  return {
    reference,
    array,
    final,
    captureLoss: minus(reference, array),
    systemLoss: minus(array, final),
    performanceRatio: ratio(final, reference),
    correctedPerformanceRatio: ratio(final, correctedKwhM2),
    specificYield: ratio(acKwh, ratedKwp),
    capacityFactor: ratio(acKwh, ratedKwp === null ? null : ratedKwp * hours),
    arrayToAc: ratio(acKwh, arrayKwh),
  };
}

/** Loss of power per degree of the cells, 1/K; the usual value of crystalline silicon. */
export const temperatureCoefficient = -0.004;
/** Temperature the nameplate holds for, °C. */
export const referenceCellC = 25;
/** Temperature of the cells at 800 W/m² and 20 °C air (NOCT), °C. */
export const nominalCellC = 45;

/** Temperature of the cells where no sensor of a module tells it, °C. */
export const cellTemperatureC = (airC: number, irradianceWm2: number): number =>
  airC + ((nominalCellC - 20) / 800) * irradianceWm2;

/** What heat leaves of the power at full sun: 1 + gamma (T_cell - T_ref). */
export const temperatureFactor = (airC: number, irradianceWm2: number): number =>
  1 + temperatureCoefficient * (cellTemperatureC(airC, irradianceWm2) - referenceCellC);

/**
 * How much less than its plain irradiation the sun could give because the cells were hot: mean of the temperature factor
 * weighted with irradiance over quarter hours [from, to) that have both. Null without any.
 */
export function temperatureWeight(
  irradiance: DenseQuarters,
  air: DenseQuarters,
  from: number,
  to: number,
): number | null {
  let weighted = 0;
  let weight = 0;
  for (let at = from; at < to; at += 1) {
    const sun = irradiance.mean[at] as number;
    const airC = air.mean[at] as number;
    if (!(sun > 0) || Number.isNaN(airC)) continue;
    weighted += sun * temperatureFactor(airC, sun);
    weight += sun;
  }
  return weight > 0 ? weighted / weight : null;
}

/** Columns curtailment is judged by, on one raster. `air` may be missing: then cells count as at 25 °C. */
export interface CurtailmentInputs {
  readonly generation: DenseQuarters;
  readonly irradiance: DenseQuarters;
  readonly air: DenseQuarters | undefined;
  readonly soc: DenseQuarters;
  readonly ratedKwp: number;
}

/** Charge from which a battery counts as full, and below which it takes all that comes, %. */
const fullPct = 97;
const thirstyPct = 90;
/** Irradiance above which the ratio of a site says something, W/m². */
const enoughSun = 300;
/** Fewest quarter hours of sun with a thirsty battery that tell the ratio of a site. */
const enoughQuarters = 8;

/**
 * Energy a full battery held back, kWh, over [from, to): expected power less measured power while the battery is full.
 * The expected power is the sun's, the cells' and the site's own: the median of its ratio while the battery was not full,
 * over the whole raster. An estimate; null when that ratio is not known.
 */
export function curtailedKwh(
  inputs: CurtailmentInputs,
  from: number,
  to: number,
): { readonly kwh: number; readonly hours: number } | null {
  const { generation, irradiance, air, soc, ratedKwp } = inputs;
  const possible = (at: number): number => {
    const sun = irradiance.mean[at] as number;
    const airC = air === undefined ? Number.NaN : (air.mean[at] as number);
    return ratedKwp * (sun / 1000) * (Number.isNaN(airC) ? 1 : temperatureFactor(airC, sun));
  };
  const ratios: number[] = [];
  for (let at = 0; at < generation.mean.length; at += 1) {
    const made = generation.mean[at] as number;
    if ((irradiance.mean[at] as number) > enoughSun && (soc.max[at] as number) < thirstyPct && !Number.isNaN(made))
      ratios.push(made / possible(at));
  }
  if (ratios.length < enoughQuarters) return null;
  const own = Float64Array.from(ratios).sort()[Math.floor(ratios.length / 2)] as number;
  let kwh = 0;
  let hours = 0;
  for (let at = from; at < to; at += 1) {
    const made = generation.mean[at] as number;
    if (!((soc.mean[at] as number) >= fullPct) || Number.isNaN(made) || !((irradiance.mean[at] as number) > 0))
      continue;
    const held = own * possible(at) - made;
    if (held <= 0) continue;
    kwh += held * quarterHours;
    hours += quarterHours;
  }
  return { kwh, hours };
}
