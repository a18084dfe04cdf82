/**
 * What a site's series are held against: their usual day, each other, and what physics ties them to (sun and generation,
 * load and voltage, current and temperature). Which relations there are follows from the site and the series it has; how
 * they look is learnt. Pure.
 */
import { deadVoltageV, villageVoltage } from '../dashboard/verdict.js';
import { metricCatalogue, metricDefinition, parseMetricId } from '../metrics/catalogue.js';
import type { Site } from '../site/site.js';

/** A series that is watched. `id` is `device/metric`. */
export interface WatchedSeries {
  readonly id: string;
  readonly deviceId: string;
  readonly deviceName: string;
  readonly metric: string;
}

/** What a check may read of a window: NaN where there is nothing. */
export interface WindowValues {
  /** Mean of a series. */
  mean(series: string): number;
  /** Change of a series over the window, from the last value of the window before to the last one of this. */
  change(series: string): number;
  /** A figure of the grid by its wiring. */
  figure(name: string): number;
  /** The least of a figure within the window. */
  least(name: string): number;
  /** A figure smoothed over so many windows. */
  smooth(name: string, windows: number): number;
}

/** How a check came to what it expects. */
export type CheckKind = 'usual' | 'relation' | 'twin';

/** One thing that a series is held against. */
export interface Check {
  readonly id: string;
  readonly kind: CheckKind;
  readonly series: WatchedSeries;
  /** Series that the check reads beside its own. */
  readonly inputs: readonly string[];
  /** What is compared, in words. */
  readonly words: string;
  /** Whether it may raise an anomaly by itself; the others only help to tell which series is to blame. */
  readonly raises: boolean;
  /** The value that is compared. */
  target(values: WindowValues): number;
  /** What the expectation is made of; empty for the usual day. */
  features(values: WindowValues): number[];
  /** Smallest deviation that means anything, in the target's unit. NaN while the check does not apply. */
  floor(values: WindowValues): number;
}

/** Figures that are smoothed, and over how many windows: half an hour and three hours. */
export const smoothedFigures = [
  'consumption_kw',
  'generation_kw',
  'battery_size_kw',
  'irradiance_w_m2',
  'ambient_temp_c',
];
export const smoothings = [2, 12] as const;

/** Metrics that are watched, and the smallest deviation from their usual day that means anything. */
const usualFloors: Readonly<Record<string, { readonly floor: number; readonly raises: boolean }>> = {
  consumption_kw: { floor: 0.25, raises: true },
  generation_kw: { floor: 1, raises: false },
  battery_soc_pct: { floor: 5, raises: false },
  irradiance_w_m2: { floor: 60, raises: false },
  ambient_temp_c: { floor: 2, raises: true },
  humidity_pct: { floor: 8, raises: false },
  equipment_temp_c: { floor: 3, raises: false },
  ac_output_voltage_v: { floor: 2, raises: false },
  ac_frequency_hz: { floor: 0.2, raises: false },
};
/** Metrics that are held against others only. */
const relatedOnly = ['battery_power_kw', 'dc_bus_voltage_v', 'dc_bus_current_a'];
/** Metrics of which two devices tell the same. */
const twins = ['generation_kw', 'dc_bus_voltage_v', 'dc_bus_current_a', 'ac_output_voltage_v', 'ac_frequency_hz'];

/** Above this charge a battery holds generation back, %. */
const nearlyFullPct = 92;
/** Sun below which nothing is told of generation, W/m². */
const someSunWm2 = 80;

/** Phases and the like say the same as their whole. */
const isPart = (metric: string): boolean => /^l\d/.test(parseMetricId(metric).suffix ?? '');

/** Whether the usual day of a metric is learnt. */
export const isLearnt = (metric: string): boolean =>
  (Object.hasOwn(usualFloors, parseMetricId(metric).base) || relatedOnly.includes(parseMetricId(metric).base)) &&
  !isPart(metric);

/** The series of a site that are watched. */
export function watchedSeries(
  site: Site,
  series: readonly { readonly deviceId: string; readonly metric: string }[],
): WatchedSeries[] {
  return series
    .filter(({ metric }) => isLearnt(metric))
    .flatMap(({ deviceId, metric }) => {
      const device = site.devices.find((one) => one.device_id === deviceId);
      if (device === undefined || !device.expected) return [];
      return [{ id: `${deviceId}/${metric}`, deviceId, deviceName: device.name, metric }];
    });
}

/** "generation of Solar inverter 1". */
export function seriesWords({ metric, deviceName }: Pick<WatchedSeries, 'metric' | 'deviceName'>): string {
  const label = metricDefinition(metric)?.label ?? metric;
  return `${label.toLowerCase().replace(/^(dc|ac) /, (code) => code.toUpperCase())} of ${deviceName}`;
}

/** Everything the series of a site can be held against. */
export function checksOf(site: Site, watched: readonly WatchedSeries[]): Check[] {
  const out: Check[] = [];
  const base = (one: WatchedSeries): string => parseMetricId(one.metric).base;
  const byBase = (metric: string): WatchedSeries[] => watched.filter((one) => base(one) === metric);
  const known = new Set(watched.map((one) => one.id));
  const wiredSeries = (figure: string): string[] =>
    (site.wiring[figure]?.terms ?? []).map((term) => `${term.device_id}/${term.metric}`).filter((id) => known.has(id));
  const isWired = (figure: string): boolean => wiredSeries(figure).length > 0;
  const ratedKw = site.plant.pv_kwp ?? 10;
  const deadV = deadVoltageV();
  const isFull = (v: WindowValues): boolean => v.figure('battery_soc_pct') >= nearlyFullPct;
  /** A dead line is an alert of its own; nothing is usual then. */
  const isDead = (v: WindowValues): boolean => v.least(villageVoltage) < deadV;

  for (const series of watched) {
    const usual = usualFloors[base(series)];
    if (usual === undefined) continue;
    out.push({
      id: `usual ${series.id}`,
      kind: 'usual',
      series,
      inputs: [],
      words: 'what is usual at this hour',
      raises: usual.raises,
      target: (v) => v.mean(series.id),
      features: () => [],
      floor: (v) => (isDead(v) && base(series) !== 'ambient_temp_c' ? Number.NaN : usual.floor),
    });
  }

  const relation = (
    series: WatchedSeries,
    name: string,
    figures: readonly string[],
    check: Pick<Check, 'target' | 'features' | 'floor' | 'words'>,
  ): void => {
    if (!figures.every(isWired)) return;
    const inputs = [...new Set(figures.flatMap(wiredSeries))].filter((id) => id !== series.id);
    out.push({ id: `${name} ${series.id}`, kind: 'relation', series, inputs, raises: true, ...check });
  };

  for (const series of byBase('generation_kw')) {
    const count = Math.max(1, byBase('generation_kw').length);
    relation(series, 'sun', ['irradiance_w_m2'], {
      words: 'what this much sun gives',
      target: (v) => v.mean(series.id),
      features: (v) => {
        const sun = v.figure('irradiance_w_m2') / 1000;
        const air = isWired('ambient_temp_c') ? (v.figure('ambient_temp_c') - 25) / 20 : 0;
        return [1, sun, sun * sun, sun * (Number.isNaN(air) ? 0 : air)];
      },
      floor: (v) => {
        const sun = v.figure('irradiance_w_m2');
        // At night both are nothing; while the battery is full nobody knows what the sun could give.
        const tells = sun > someSunWm2 || v.mean(series.id) > 0.1 * (ratedKw / count);
        return isFull(v) || !tells ? Number.NaN : (ratedKw / count) * (0.01 + 0.03 * Math.max(0, sun / 1000));
      },
    });
  }

  for (const metric of twins)
    for (const series of byBase(metric)) {
      const others = byBase(metric).filter((one) => one.id !== series.id);
      if (others.length === 0) continue;
      const scale = metric === 'generation_kw' ? ratedKw / (others.length + 1) : metricCatalogue.dc_bus_voltage_v.max;
      const mean = (v: WindowValues): number => {
        let [sum, count] = [0, 0];
        for (const other of others) {
          const value = v.mean(other.id);
          if (Number.isNaN(value)) continue;
          sum += value;
          count += 1;
        }
        return count === 0 ? Number.NaN : sum / count;
      };
      out.push({
        id: `twin ${series.id}`,
        kind: 'twin',
        series,
        inputs: others.map((one) => one.id),
        words: others.length === 1 ? `the ${seriesWords(others[0] as WatchedSeries)}` : 'the others like it',
        raises: true,
        target: (v) => v.mean(series.id),
        features: (v) => {
          const load = metric === 'ac_output_voltage_v' ? v.figure('consumption_kw') / 10 : 0;
          return [1, mean(v) / scale, Number.isNaN(load) ? 0 : load];
        },
        floor(v) {
          const size = Math.max(Math.abs(mean(v)), Math.abs(v.mean(series.id)));
          if (metric === 'generation_kw') return size > 0.05 * scale ? 0.02 * scale + 0.03 * size : Number.NaN;
          if (metric === 'dc_bus_current_a') return 1 + 0.02 * size;
          if (metric === 'dc_bus_voltage_v') return 0.1 + 0.002 * size;
          if (isDead(v)) return Number.NaN;
          return metric === 'ac_frequency_hz' ? 0.03 : 0.5;
        },
      });
    }

  for (const series of byBase('ac_output_voltage_v'))
    relation(series, 'load', ['consumption_kw', 'generation_kw'], {
      words: 'what the load and the generation let expect',
      target: (v) => v.mean(series.id),
      features: (v) => [1, v.figure('consumption_kw') / 10, v.figure('generation_kw') / ratedKw],
      floor: (v) => (isDead(v) || v.mean(series.id) < deadV ? Number.NaN : 0.5),
    });
  for (const series of byBase('ac_frequency_hz'))
    relation(series, 'load', ['consumption_kw'], {
      words: 'what the load lets expect',
      target: (v) => v.mean(series.id),
      features: (v) => [1, v.figure('consumption_kw') / 10],
      // A full battery makes inverters raise the frequency.
      floor: (v) => (isDead(v) || isFull(v) ? Number.NaN : 0.03),
    });

  for (const series of byBase('equipment_temp_c')) {
    const own = byBase('generation_kw').find((one) => one.deviceId === series.deviceId)?.id;
    const heating = ['consumption_kw', 'generation_kw', 'irradiance_w_m2'].filter(isWired);
    if (isWired('battery_power_kw')) heating.push('battery_power_kw');
    if (isWired('ambient_temp_c')) heating.push('ambient_temp_c');
    if (heating.length === 0) continue;
    const scales: Record<string, number> = {
      consumption_kw: 10,
      generation_kw: ratedKw,
      battery_power_kw: ratedKw,
      irradiance_w_m2: 1000,
      ambient_temp_c: 30,
    };
    relation(series, 'heat', heating, {
      words: 'what load, sun and air let expect',
      target: (v) => v.mean(series.id),
      features(v) {
        const out = [1];
        for (const figure of heating) {
          const name = figure === 'battery_power_kw' ? 'battery_size_kw' : figure;
          for (const windows of smoothings) out.push(v.smooth(name, windows) / (scales[figure] as number));
        }
        if (own !== undefined) out.push(v.mean(own) / ratedKw);
        return out;
      },
      floor: () => 1,
    });
  }

  for (const series of byBase('battery_soc_pct'))
    relation(series, 'charge', ['battery_power_kw'], {
      words: 'what went into it and out of it',
      target: (v) => v.change(series.id),
      features(v) {
        const kw = v.figure('battery_power_kw') / ratedKw;
        return [1, Math.max(0, kw), Math.min(0, kw)];
      },
      // Near full a monitor sets itself to 100 %.
      floor: (v) => (v.mean(series.id) > 96 ? Number.NaN : 0.3),
    });
  for (const series of byBase('dc_bus_voltage_v'))
    relation(series, 'battery', ['battery_soc_pct', 'battery_power_kw'], {
      words: 'what the charge and the current let expect',
      target: (v) => v.mean(series.id),
      features(v) {
        const charge = v.figure('battery_soc_pct') / 100;
        const kw = v.figure('battery_power_kw') / ratedKw;
        return [1, charge, charge ** 2, charge ** 3, Math.max(0, kw), Math.min(0, kw)];
      },
      floor: (v) => 0.003 * Math.abs(v.mean(series.id)),
    });
  for (const series of byBase('dc_bus_current_a'))
    relation(series, 'power', ['battery_power_kw', 'dc_bus_voltage_v'], {
      words: 'the power of the battery',
      target: (v) => v.mean(series.id),
      features: (v) => [1, (v.figure('battery_power_kw') * 10) / v.figure('dc_bus_voltage_v')],
      floor: (v) => 1 + 0.02 * Math.abs(v.mean(series.id)),
    });
  const hasMore = ['mains_power_kw', 'genset_power_kw'].some((figure) => site.wiring[figure] !== undefined);
  for (const series of hasMore ? [] : byBase('battery_power_kw'))
    relation(series, 'flow', ['generation_kw', 'consumption_kw'], {
      words: 'what is generated less what is used',
      target: (v) => v.mean(series.id),
      features(v) {
        const net = (v.figure('generation_kw') - v.figure('consumption_kw')) / ratedKw;
        return [1, Math.max(0, net), Math.min(0, net)];
      },
      floor: (v) => 0.15 + 0.02 * Math.abs(v.mean(series.id)),
    });
  return out;
}
