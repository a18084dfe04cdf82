/** Scores the forecast of the battery on villages that run empty now and then, beside the simple ways to tell. */
import { anomalyWindowMs, createBatteryForecaster, localQuarter, type BatteryForecast } from '@villagrid/contracts';
import { defaultPlant, type Plant } from '../src/village/plant.js';
import { siteOfRun, windowsOfRun } from './windows.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const firstMs = Date.UTC(2026, 4, 1) - 3 * hourMs;
const learnDays = 21;
/** What an end that is not expected within it counts as. */
const lookMs = dayMs;

/** Plants that are scored: the reference, and such as are too small for their village. */
export const forecastPlants: Readonly<Record<string, Plant>> = {
  reference: defaultPlant,
  'small battery': { ...defaultPlant, batteryKwh: 110 },
  'few panels': { ...defaultPlant, pvKwp: 38 },
};

/** Mean absolute errors of one question, ours and of the simple ways, and how often our interval held the truth. */
export interface ForecastScore {
  count: number;
  hits: number;
  own: number;
  /** Charge divided by the present current. */
  present: number;
  /** As it was a day ago. */
  yesterday: number;
}

const newScore = (): ForecastScore => ({ count: 0, hits: 0, own: 0, present: 0, yesterday: 0 });

/** What was known at a time, hour by hour. */
interface Asked {
  readonly forecast: BatteryForecast;
  /** When the battery would be empty at its present current; infinite when it is charged. */
  readonly presentMs: number;
}

/** Learns three weeks, then scores each hour's forecast of so many days. Errors: hours to empty, points at 6 o'clock. */
export function evaluateForecasts(
  seed: number,
  plant: Plant,
  days = 45,
): {
  readonly empty: ForecastScore;
  readonly morning: ForecastScore;
  readonly nights: number;
  readonly meanMs: number;
} {
  const site = siteOfRun(plant);
  const forecaster = createBatteryForecaster(site);
  const floorPct = plant.batteryFloorPct;
  const asked: Asked[] = [];
  const charge = new Map<number, number>();
  let [spent, looks] = [0, 0];
  for (const window of windowsOfRun({ seed, startMs: firstMs, days: learnDays + days, plant })) {
    const began = performance.now();
    forecaster.look(window);
    const { quarter } = localQuarter(site.zone, window.startMs);
    const isDue = quarter % 4 === 3 && window.startMs >= firstMs + learnDays * dayMs;
    const forecast = isDue ? forecaster.forecast() : undefined;
    spent += performance.now() - began;
    looks += 1;
    const soc = window.series.get('battery-monitor/battery_soc_pct')?.last ?? Number.NaN;
    const kw = window.series.get('battery-monitor/battery_power_kw')?.mean ?? Number.NaN;
    charge.set(window.startMs + anomalyWindowMs, soc);
    if (forecast === undefined) continue;
    const hours = ((Math.max(0, soc - floorPct) / 100) * plant.batteryKwh) / -kw;
    asked.push({ forecast, presentMs: kw < -0.05 ? forecast.madeAtMs + hours * hourMs : Number.POSITIVE_INFINITY });
  }
  const endMs = Math.max(...charge.keys());
  const isEmptyAt = (timeMs: number): boolean => (charge.get(timeMs) ?? 100) <= floorPct + 0.5;
  /** The first time from a time on at which it was empty, within a day. */
  const emptyFrom = (fromMs: number): number => {
    for (let timeMs = fromMs; timeMs <= fromMs + lookMs; timeMs += anomalyWindowMs)
      if (isEmptyAt(timeMs)) return timeMs;
    return Number.POSITIVE_INFINITY;
  };
  const [empty, morning] = [newScore(), newScore()];
  let nights = 0;
  for (let timeMs = firstMs + learnDays * dayMs; timeMs <= endMs; timeMs += anomalyWindowMs)
    if (isEmptyAt(timeMs) && !isEmptyAt(timeMs - anomalyWindowMs)) nights += 1;
  for (const { forecast, presentMs } of asked) {
    const { madeAtMs, socPct, emptyAtMs, earliestMs, latestMs } = forecast;
    if (madeAtMs + lookMs > endMs) continue;
    const capMs = madeAtMs + lookMs;
    const cap = (ms: number | null): number => Math.min(capMs, ms ?? capMs);
    const truthMs = emptyFrom(madeAtMs);
    // Nights on which it did not get empty and nobody said so would only praise.
    if (socPct > floorPct + 1 && (truthMs <= capMs || cap(emptyAtMs) < capMs)) {
      const beforeMs = emptyFrom(madeAtMs - dayMs);
      const yesterdayMs = beforeMs - madeAtMs < 0 ? beforeMs + dayMs : Number.POSITIVE_INFINITY;
      const off = (ms: number | null): number => Math.abs(cap(ms) - cap(truthMs)) / hourMs;
      empty.count += 1;
      empty.own += off(emptyAtMs);
      empty.present += off(presentMs);
      empty.yesterday += off(yesterdayMs);
      const [from, to] = [earliestMs ?? Number.POSITIVE_INFINITY, latestMs ?? Number.POSITIVE_INFINITY];
      // The truth is known to a quarter of an hour.
      if (truthMs > capMs ? to >= capMs : from <= truthMs && truthMs - anomalyWindowMs <= to) empty.hits += 1;
    }
    const truth = Math.max(floorPct, charge.get(forecast.morning.atMs) ?? Number.NaN);
    const before = Math.max(floorPct, charge.get(forecast.morning.atMs - dayMs) ?? Number.NaN);
    if (Number.isNaN(truth) || Number.isNaN(before)) continue;
    const hours = (forecast.morning.atMs - madeAtMs) / hourMs;
    const left = (presentMs - madeAtMs) / hourMs;
    const present = !Number.isFinite(left)
      ? 100
      : Math.max(floorPct, socPct - (left > 0 ? ((socPct - floorPct) * hours) / left : 0));
    morning.count += 1;
    morning.own += Math.abs(forecast.morning.middle - truth);
    morning.present += Math.abs(present - truth);
    morning.yesterday += Math.abs(before - truth);
    if (forecast.morning.low <= truth && truth <= forecast.morning.high) morning.hits += 1;
  }
  return { empty: means(empty), morning: means(morning), nights, meanMs: spent / looks };
}

const means = ({ count, hits, own, present, yesterday }: ForecastScore): ForecastScore => {
  const n = Math.max(1, count);
  return { count, hits: hits / n, own: own / n, present: present / n, yesterday: yesterday / n };
};
