/**
 * What the energy balance is made of: each series of a site that takes part in it, what it measures of which flow, and its
 * columns over the windows of about a day. Found from the wiring alone: an undeclared device takes no part.
 */
import { metricPrecision } from '../metrics/catalogue.js';
import { isDerived } from '../site/figures.js';
import type { Site, Wire, WireTerm } from '../site/site.js';

/** The flows of a microgrid. Generation, generator and mains import come in; consumption and a charging battery go out. */
export const balanceFlows = ['generation', 'genset', 'mains', 'consumption', 'battery'] as const;
export type BalanceFlow = (typeof balanceFlows)[number];

/** What a series measures of its flow: power kW, an energy counter kWh, volts, amperes, or the state of charge %. */
export type Measure = 'power' | 'counter' | 'voltage' | 'current' | 'charge';

/** One series of the balance. */
export interface MeterChannel {
  /** `device/metric`, unique in the site. */
  readonly id: string;
  readonly deviceId: string;
  readonly deviceName: string;
  readonly metric: string;
  readonly flow: BalanceFlow;
  readonly measure: Measure;
  /** Of counters of a flow that runs both ways: which way it counts. */
  readonly counts?: 'in' | 'out';
  /** The wiring's factor: what the figure adds of it. */
  readonly factor: number;
  /** Smallest step of its values. */
  readonly step: number;
  /** True for a second device that measures the same voltage, current or charge: the wiring's fallback. */
  readonly second: boolean;
}

/** Columns of one series over the windows; NaN where it was not measured. Values are the series' own, without the wiring's factor. */
export interface MeterColumns {
  readonly mean: Float64Array;
  readonly min: Float64Array;
  readonly max: Float64Array;
  readonly last: Float64Array;
}

/** What the plant is known to be. What is unknown is left out and then not judged by. */
export interface BalancePlant {
  readonly batteryKwh?: number | undefined;
  readonly pvKwp?: number | undefined;
  readonly hasGenset: boolean;
  readonly hasMains: boolean;
  readonly dcNominalV?: number | undefined;
}

/** About a day of a site, as the balance check takes it. */
export interface BalanceDay {
  readonly channels: readonly MeterChannel[];
  readonly plant: BalancePlant;
  /** Start of the first window, Unix ms; width of all of them. */
  readonly fromMs: number;
  readonly windowMs: number;
  readonly length: number;
  readonly columns: ReadonlyMap<string, MeterColumns>;
  /** 1 where it is surely dark outside. */
  readonly dark: Uint8Array;
  /** Mean irradiance W/m2 per window, NaN where unknown. */
  readonly irradiance?: Float64Array | undefined;
}

interface Role {
  readonly flow: BalanceFlow;
  readonly measure: Measure;
  readonly counts?: 'in' | 'out';
}

/** Grid figures that take part, and as what. A new metric of the balance is a line here. */
const roles: Readonly<Record<string, Role>> = {
  generation_kw: { flow: 'generation', measure: 'power' },
  generation_energy_kwh: { flow: 'generation', measure: 'counter' },
  genset_power_kw: { flow: 'genset', measure: 'power' },
  mains_power_kw: { flow: 'mains', measure: 'power' },
  mains_import_energy_kwh: { flow: 'mains', measure: 'counter', counts: 'in' },
  consumption_kw: { flow: 'consumption', measure: 'power' },
  consumption_energy_kwh: { flow: 'consumption', measure: 'counter' },
  battery_power_kw: { flow: 'battery', measure: 'power' },
  battery_charge_energy_kwh: { flow: 'battery', measure: 'counter', counts: 'in' },
  battery_discharge_energy_kwh: { flow: 'battery', measure: 'counter', counts: 'out' },
  dc_bus_voltage_v: { flow: 'battery', measure: 'voltage' },
  dc_bus_current_a: { flow: 'battery', measure: 'current' },
  battery_soc_pct: { flow: 'battery', measure: 'charge' },
};

/** Figures the balance is made of, in the order they are shown. */
export const balanceFigures: readonly string[] = Object.keys(roles);

/** The channels of a site's balance, from its wiring. A derived figure is none: it would prove itself. */
export function meterChannels(site: Pick<Site, 'devices' | 'wiring'>): MeterChannel[] {
  const found = new Map<string, MeterChannel>();
  const nameOf = (deviceId: string) => site.devices.find((one) => one.device_id === deviceId)?.name ?? deviceId;
  for (const [figure, role] of Object.entries(roles)) {
    const wire: Wire | undefined = site.wiring[figure];
    if (wire === undefined || isDerived(figure, wire.terms)) continue;
    const add = ({ device_id, metric, factor }: WireTerm, second: boolean) => {
      const id = `${device_id}/${metric}`;
      if (found.has(id)) return;
      found.set(id, {
        id,
        deviceId: device_id,
        deviceName: nameOf(device_id),
        metric,
        ...role,
        factor,
        step: 10 ** -metricPrecision(metric),
        second,
      });
    };
    for (const term of wire.terms) add(term, false);
    // A fallback of one series measures the same thing a second time, so the two can be held against each other.
    const [only] = wire.fallback ?? [];
    if (only !== undefined && wire.fallback?.length === 1 && wire.terms.length === 1 && !isDerived(figure, [only]))
      add(only, true);
  }
  return [...found.values()];
}

/** The plant as the balance knows it, from the site document. */
export function balancePlant({ plant }: Pick<Site, 'plant'>): BalancePlant {
  return {
    batteryKwh: plant.battery_kwh,
    pvKwp: plant.pv_kwp,
    hasGenset: plant.has_genset,
    hasMains: plant.has_mains,
    dcNominalV: plant.dc_nominal_v,
  };
}
