/** From the units that devices use to those of the metric catalogue. Pure. */

/** metric = quantity * factor + offset. */
export interface Conversion {
  readonly factor: number;
  readonly offset: number;
}

const factors: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  W: { kW: 0.001 },
  Wh: { kWh: 0.001 },
  W·min: { kWh: 1 / 60_000 },
  MWh: { kWh: 1000 },
  mV: { V: 0.001 },
  mA: { A: 0.001 },
  s: { h: 1 / 3600 },
  min: { h: 1 / 60 },
  // State of charge and humidity are printed differently in the catalogue.
  '%': { '% RH': 1 },
};

/** How a quantity in one unit becomes another; undefined when it cannot. */
export function conversionTo(from: string, to: string): Conversion | undefined {
  if (from === to) return { factor: 1, offset: 0 };
  if (from === '°F' && to === '°C') return { factor: 1 / 1.8, offset: -32 / 1.8 };
  if (from === 'K' && to === '°C') return { factor: 1, offset: -273.15 };
  const factor = factors[from]?.[to];
  return factor === undefined ? undefined : { factor, offset: 0 };
}
