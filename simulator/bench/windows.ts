/** The reference village lived through quickly, as the windows of 15 minutes its gateway would keep of it. */
import {
  anomalyWindowMs,
  metricPrecision,
  quantise,
  type SeriesWindow,
  type Site,
  type SiteWindow,
} from '@villagrid/contracts';
import { loadMeasured } from '../src/data/load.js';
import { villageDevices, villageSite } from '../src/reference/devices.js';
import { batterySignal, inverterSignal, meterSignal, nodeSignals, type Signal } from '../src/reference/signals.js';
import type { MeasuredData } from '../src/village/measured.js';
import { hashNumbers, hashText } from '../src/village/noise.js';
import { defaultPlant, inverterId, type Plant } from '../src/village/plant.js';
import type { VillageFaults, VillageSnapshot, VillageState } from '../src/village/state.js';
import { createVillage } from '../src/village/village.js';

const minuteMs = 60_000;

/** Something that goes wrong (or only looks so) from a time on. */
export interface Trouble {
  readonly fromMs: number;
  readonly toMs: number;
  /** Switches faults of the plant itself. */
  plant?(faults: VillageFaults, on: boolean): void;
  /** Other weather meanwhile. */
  sky?(measured: MeasuredData): MeasuredData;
  /** Changes what a series shows: undefined for nothing at all. `atStart` is what it showed when the trouble began. */
  shows?(
    series: string,
    value: number,
    since: { readonly minutes: number; readonly atStart: number },
  ): number | undefined;
}

export interface VillageRun {
  readonly seed: number;
  readonly startMs: number;
  readonly days: number;
  readonly plant?: Plant;
  readonly trouble?: Trouble;
  /** Where an earlier run ended. */
  readonly state?: VillageState;
}

/** The site of the run: the reference village, with the plant of the run. */
export function siteOfRun(plant: Plant = defaultPlant): Site {
  const site = villageSite(0, 'gw-kisima');
  const { pvKwp, batteryKwh, batteryFloorPct } = plant;
  return {
    ...site,
    plant: { ...site.plant, pv_kwp: pvKwp, battery_kwh: batteryKwh, battery_floor_pct: batteryFloorPct },
  };
}

/** The series that the run has. */
export const seriesOfRun: readonly { readonly deviceId: string; readonly metric: string }[] = villageDevices(0)
  .filter((one) => one.simulated)
  .flatMap(({ device_id, metrics }) => metrics.map((metric) => ({ deviceId: device_id, metric })));

/** Lives through the run, window by window; returns the state at its end. */
export function* windowsOfRun(run: VillageRun): Generator<SiteWindow, VillageState> {
  const plant = run.plant ?? defaultPlant;
  const { trouble, startMs } = run;
  const endMs = startMs + run.days * 86_400_000;
  const make = (measured: MeasuredData, fromMs: number, state?: VillageState) =>
    createVillage({
      name: 'Kisima',
      seed: run.seed,
      measured,
      startMs: fromMs,
      plant,
      stepMs: minuteMs,
      ...(state === undefined ? {} : { state }),
    });
  let village = make(loadMeasured(), startMs, run.state);
  const signals = new Map<string, Signal>(Object.entries(nodeSignals));
  for (let i = 0; i < plant.inverters; i += 1) signals.set(inverterId(i), inverterSignal(i));
  signals.set('village-meter', meterSignal());
  signals.set('battery-monitor', batterySignal(plant.batteryKwh));
  const atStart = new Map<string, number>();
  let isOn = false;

  const read = (now: VillageSnapshot): Map<string, Readonly<Record<string, number>>> =>
    new Map([...signals].map(([id, signal]) => [id, signal(now)]));
  for (let windowMs = startMs; windowMs < endMs; windowMs += anomalyWindowMs) {
    const series = new Map<string, SeriesWindow>();
    const sums = new Map<string, { sum: number; count: number; min: number; max: number; last: number }>();
    for (let timeMs = windowMs + minuteMs; timeMs <= windowMs + anomalyWindowMs; timeMs += minuteMs) {
      const shouldBeOn = trouble !== undefined && timeMs > trouble.fromMs && timeMs <= trouble.toMs;
      if (trouble !== undefined && shouldBeOn !== isOn) {
        isOn = shouldBeOn;
        trouble.plant?.(village.faults, isOn);
        if (trouble.sky !== undefined)
          village = make(isOn ? trouble.sky(loadMeasured()) : loadMeasured(), timeMs - minuteMs, village.state());
      }
      village.advanceTo(timeMs);
      const values = read(village.snapshot());
      for (const { deviceId, metric } of seriesOfRun) {
        const id = `${deviceId}/${metric}`;
        const real = values.get(deviceId)?.[metric];
        if (real === undefined) continue;
        // Meters are not exact: a little noise of their resolution's size, the same for the same seed.
        let shown: number | undefined = quantise(
          real * (1 + meterNoise(run.seed, id, timeMs)),
          metricPrecision(metric),
        );
        if (!isOn) atStart.set(id, shown);
        else if (trouble?.shows !== undefined)
          shown = trouble.shows(id, shown, {
            minutes: (timeMs - trouble.fromMs) / minuteMs,
            atStart: atStart.get(id) ?? shown,
          });
        if (shown === undefined) continue;
        const one = sums.get(id);
        if (one === undefined) sums.set(id, { sum: shown, count: 1, min: shown, max: shown, last: shown });
        else {
          one.sum += shown;
          one.count += 1;
          one.last = shown;
          if (shown < one.min) one.min = shown;
          if (shown > one.max) one.max = shown;
        }
      }
    }
    for (const [id, { sum, count, min, max, last }] of sums) series.set(id, { mean: sum / count, min, max, last });
    yield { startMs: windowMs, series };
  }
  return village.state();
}

/** Half a thousandth of noise on what analog sensors show. */
function meterNoise(seed: number, id: string, timeMs: number): number {
  if (/energy|soc|grid_tie/.test(id)) return 0;
  return (hashNumbers(seed, hashText(id), timeMs / minuteMs) / 2 ** 32 - 0.5) * 0.001;
}
