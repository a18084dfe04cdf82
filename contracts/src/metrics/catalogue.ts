/**
 * The metric catalogue: every quantity Villagrid measures, with its one unit, one sign and plausible range.
 * Adding a metric is adding one entry here; label keys resolve in the app's message catalogue.
 */

/** How windows of a metric are summarised: a mean of a gauge, the last state, or differences of a counter. */
export type Aggregation = 'mean' | 'last' | 'counter';

/** What a metric is: unit as printed, decimals kept, plausible range and the meaning of its sign. */
export interface MetricDefinition {
  readonly id: string;
  /** Unit as printed beside the number; empty only for states (0, 1, ...). */
  readonly unit: string;
  /** Decimals kept at intake: values are quantised to 10^-precision. */
  readonly precision: number;
  /** Plausible range in the metric's unit; a value outside is kept and marked bad. */
  readonly min: number;
  readonly max: number;
  readonly aggregation: Aggregation;
  readonly labelKey: string;
  /** English label, the fallback of every other language. */
  readonly label: string;
  /** What a positive number means, where direction matters. */
  readonly positive?: string;
  /** Changes beyond this are no changes of the thing measured; left out where anything may happen at once. */
  readonly jump?: JumpLimit;
  /** A value that varies by nature and stays exactly the same is stuck; left out where it may rest. */
  readonly stuck?: StuckLimit;
  /** The power whose energy a counter counts: a counter that stands while it flows is frozen. */
  readonly counts?: { readonly power: string; readonly sign: 1 | -1 };
}

/**
 * How far a value may be from the one before, generously: what would be an alarm must never wait for being believed.
 * Allowed are `step` at once, that share of the value itself, and so much each second.
 */
export interface JumpLimit {
  readonly step: number;
  readonly share?: number;
  readonly perS: number;
}

/** After how long the same value is stuck, and below which size it may rest (nothing flows, night). */
export interface StuckLimit {
  readonly afterS: number;
  readonly restsBelow: number;
}

type Entry = Omit<MetricDefinition, 'id' | 'labelKey'>;

const entries = {
  consumption_kw: {
    unit: 'kW',
    precision: 3,
    min: -0.5,
    max: 2000,
    aggregation: 'mean',
    label: 'Consumption',
    positive: 'used by the village',
    stuck: { afterS: 7200, restsBelow: 0.05 },
  },
  generation_kw: {
    unit: 'kW',
    precision: 3,
    min: -0.5,
    max: 2000,
    aggregation: 'mean',
    label: 'Generation',
    positive: 'made by the sun',
    stuck: { afterS: 7200, restsBelow: 0.05 },
  },
  battery_soc_pct: {
    unit: '%',
    precision: 1,
    min: 0,
    max: 100,
    aggregation: 'mean',
    label: 'Battery',
    jump: { step: 75, perS: 0.05 },
  },
  battery_power_kw: {
    unit: 'kW',
    precision: 3,
    min: -2000,
    max: 2000,
    aggregation: 'mean',
    label: 'Battery power',
    positive: 'charging',
    stuck: { afterS: 7200, restsBelow: 0.05 },
  },
  dc_bus_voltage_v: {
    unit: 'V',
    precision: 2,
    min: 0,
    max: 1000,
    aggregation: 'mean',
    label: 'DC bus voltage',
    jump: { step: 5, share: 0.3, perS: 0.05 },
  },
  dc_bus_current_a: {
    unit: 'A',
    precision: 2,
    min: -5000,
    max: 5000,
    aggregation: 'mean',
    label: 'DC bus current',
    positive: 'charging',
    stuck: { afterS: 7200, restsBelow: 0.5 },
  },
  ac_output_voltage_v: {
    unit: 'V',
    precision: 1,
    min: 0,
    max: 1000,
    aggregation: 'mean',
    label: 'AC output voltage',
    stuck: { afterS: 86_400, restsBelow: 1 },
  },
  ac_frequency_hz: { unit: 'Hz', precision: 2, min: 0, max: 80, aggregation: 'mean', label: 'AC frequency' },
  grid_tie_enabled: { unit: '', precision: 0, min: 0, max: 1, aggregation: 'last', label: 'Grid tie switched on' },
  grid_tie_connected: { unit: '', precision: 0, min: 0, max: 1, aggregation: 'last', label: 'Mains connected' },
  fault_state: {
    unit: '',
    precision: 0,
    min: 0,
    max: 2,
    aggregation: 'last',
    label: 'Own fault',
    positive: '1 switched off, 2 fault',
  },
  mains_power_kw: {
    unit: 'kW',
    precision: 3,
    min: -2000,
    max: 2000,
    aggregation: 'mean',
    label: 'Mains power',
    positive: 'imported',
    stuck: { afterS: 7200, restsBelow: 0.05 },
  },
  genset_power_kw: {
    unit: 'kW',
    precision: 3,
    min: -0.5,
    max: 2000,
    aggregation: 'mean',
    label: 'Generator power',
    positive: 'made by the generator',
    stuck: { afterS: 21_600, restsBelow: 0.05 },
  },
  genset_hours: {
    unit: 'h',
    precision: 1,
    min: 0,
    max: 1e6,
    aggregation: 'counter',
    label: 'Generator hours',
    jump: { step: 100, perS: 0.0005 },
  },
  fuel_level_pct: {
    unit: '%',
    precision: 1,
    min: 0,
    max: 100,
    aggregation: 'mean',
    label: 'Fuel level',
    jump: { step: 75, perS: 0.02 },
  },
  equipment_temp_c: {
    unit: '°C',
    precision: 2,
    min: -40,
    max: 150,
    aggregation: 'mean',
    label: 'Equipment temperature',
    jump: { step: 50, perS: 0.5 },
    stuck: { afterS: 172_800, restsBelow: -1 },
  },
  irradiance_w_m2: {
    unit: 'W/m²',
    precision: 1,
    min: -20,
    max: 1600,
    aggregation: 'mean',
    label: 'Irradiance',
    stuck: { afterS: 7200, restsBelow: 30 },
  },
  irradiance_poa_w_m2: {
    unit: 'W/m²',
    precision: 1,
    min: -20,
    max: 1800,
    aggregation: 'mean',
    label: 'Irradiance on the panels',
    stuck: { afterS: 7200, restsBelow: 30 },
  },
  ambient_temp_c: {
    unit: '°C',
    precision: 2,
    min: -50,
    max: 70,
    aggregation: 'mean',
    label: 'Ambient temperature',
    jump: { step: 25, perS: 0.1 },
    stuck: { afterS: 86_400, restsBelow: -1 },
  },
  humidity_pct: {
    unit: '% RH',
    precision: 1,
    min: 0,
    max: 100,
    aggregation: 'mean',
    label: 'Humidity',
    jump: { step: 75, perS: 0.2 },
  },
  consumption_energy_kwh: {
    unit: 'kWh',
    precision: 2,
    min: 0,
    max: 1e9,
    aggregation: 'counter',
    label: 'Energy used',
    jump: { step: 100, perS: 0.6 },
    counts: { power: 'consumption_kw', sign: 1 },
  },
  generation_energy_kwh: {
    unit: 'kWh',
    precision: 2,
    min: 0,
    max: 1e9,
    aggregation: 'counter',
    label: 'Energy made',
    jump: { step: 100, perS: 0.6 },
    counts: { power: 'generation_kw', sign: 1 },
  },
  battery_charge_energy_kwh: {
    unit: 'kWh',
    precision: 2,
    min: 0,
    max: 1e9,
    aggregation: 'counter',
    label: 'Energy into the battery',
    jump: { step: 100, perS: 0.6 },
    counts: { power: 'battery_power_kw', sign: 1 },
  },
  battery_discharge_energy_kwh: {
    unit: 'kWh',
    precision: 2,
    min: 0,
    max: 1e9,
    aggregation: 'counter',
    label: 'Energy out of the battery',
    jump: { step: 100, perS: 0.6 },
    counts: { power: 'battery_power_kw', sign: -1 },
  },
  mains_import_energy_kwh: {
    unit: 'kWh',
    precision: 2,
    min: 0,
    max: 1e9,
    aggregation: 'counter',
    label: 'Energy from the mains',
    jump: { step: 100, perS: 0.6 },
    counts: { power: 'mains_power_kw', sign: 1 },
  },
} as const satisfies Record<string, Entry>;

/** Id of a catalogued metric, without component or phase. */
export type MetricId = keyof typeof entries;

/** Every catalogued metric by its id. */
export const metricCatalogue: Readonly<Record<MetricId, MetricDefinition>> = Object.fromEntries(
  Object.entries(entries).map(([id, entry]) => [id, { id, labelKey: `metric.${id}`, ...entry }]),
) as Record<MetricId, MetricDefinition>;

/** All catalogued ids, in catalogue order. */
export const metricIds: readonly MetricId[] = Object.keys(entries) as MetricId[];

/** A metric id with its optional component or phase: `equipment_temp_c.inverter` is base `equipment_temp_c`, suffix `inverter`. */
export interface ParsedMetricId {
  readonly base: string;
  readonly suffix: string | undefined;
}

const metricIdPattern = /^[a-z][a-z0-9_]{0,47}(\.[a-z0-9][a-z0-9_-]{0,31})?$/;

/** Whether a text has the form of a metric id (known or not). */
export function isMetricIdForm(text: string): boolean {
  return metricIdPattern.test(text);
}

/** Splits a metric id into base and suffix. */
export function parseMetricId(id: string): ParsedMetricId {
  const dot = id.indexOf('.');
  return dot < 0 ? { base: id, suffix: undefined } : { base: id.slice(0, dot), suffix: id.slice(dot + 1) };
}

/** What is known of a metric id: its definition, if it is catalogued, and the decimals its values are kept with. */
export interface MetricFacts {
  readonly definition: MetricDefinition | undefined;
  readonly precision: number;
}

/** Decimals an unknown metric is kept with. */
export const unknownMetricPrecision = 3;

/** Ids that were asked for: looked up for every value that arrives. Bounded, because devices invent names. */
const asked = new Map<string, MetricFacts>();
const mostAsked = 2000;

/** What is known of an id (suffix ignored), or undefined for a text that has not the form of one. */
export function metricFacts(id: string): MetricFacts | undefined {
  const known = asked.get(id);
  if (known) return known;
  if (!isMetricIdForm(id)) return undefined;
  const definition = metricDefinition(id);
  const facts = { definition, precision: definition?.precision ?? unknownMetricPrecision };
  if (asked.size >= mostAsked) asked.clear();
  asked.set(id, facts);
  return facts;
}

/** The definition of a metric id (suffix ignored), or undefined for an unknown one. */
export function metricDefinition(id: string): MetricDefinition | undefined {
  const { base } = parseMetricId(id);
  return Object.hasOwn(metricCatalogue, base) ? metricCatalogue[base as MetricId] : undefined;
}

/** Decimals a metric is kept with at intake, in the store and on the uplink. */
export function metricPrecision(id: string): number {
  return (metricFacts(id) ?? metricDefinition(id))?.precision ?? unknownMetricPrecision;
}

const factors = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];

/** Rounds a value to its metric's declared resolution (half away from zero), in the metric's unit. */
export function quantise(value: number, precision: number): number {
  const factor = factors[precision] ?? 10 ** precision;
  const scaled = Math.round(Math.abs(value) * factor);
  return (value < 0 ? -scaled : scaled) / factor || 0;
}
