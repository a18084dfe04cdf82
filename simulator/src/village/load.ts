/** What the village would like to use: the measured day of El Espino, scaled, with a little seeded noise. */
import type { MeasuredData } from './measured.js';
import { noise, smoothNoise } from './noise.js';
import { createLocalTime } from './place.js';

/** Demand of a village in kW at Unix milliseconds. */
export type Demand = (timeMs: number) => number;

/** Evening peak of a normal day, kW; days differ by some tenths. */
const normalPeakKw = 11.5;
/** No normal day goes above this; the limit "unusual load increase" is 14 kW. */
const ceilingKw = 12.9;
const firstOfMarch = 60;
const blendMinutes = 30;

/**
 * The demand as a function of time. The day's shape is that of the same day of March 2016, or for other months a day drawn by seed; its
 * level follows the measured season (damped, so that the peak stays a village's normal one).
 */
export function createDemand(options: {
  readonly seed: number;
  readonly zone: string;
  readonly measured: MeasuredData;
  readonly scale: number;
}): Demand {
  const { seed, measured, scale } = options;
  const { loadDays, dailyMeanKw } = measured;
  const localTime = createLocalTime(options.zone);
  const meanPeakKw = loadDays.reduce((sum, day) => sum + Math.max(...day), 0) / Math.max(1, loadDays.length);
  const yearMeanKw = dailyMeanKw.reduce((sum, kw) => sum + kw, 0) / Math.max(1, dailyMeanKw.length);
  const baseScale = normalPeakKw / meanPeakKw;

  const dayValue = (dayNumber: number, dayOfYear: number, minute: number): number => {
    const march = dayOfYear - firstOfMarch;
    const index =
      march >= 0 && march < loadDays.length ? march : Math.floor(noise(seed, 'load-day', dayNumber) * loadDays.length);
    const day = loadDays[index] ?? [];
    const position = minute / 5;
    const slot = Math.min(day.length - 1, Math.floor(position));
    const from = day[slot] ?? 0;
    const to = day[Math.min(day.length - 1, slot + 1)] ?? from;
    const season = ((dailyMeanKw[dayOfYear % Math.max(1, dailyMeanKw.length)] ?? yearMeanKw) / yearMeanKw) ** 0.25;
    return (from + (to - from) * Math.min(1, position - slot)) * baseScale * season;
  };

  return (timeMs) => {
    const { dayNumber, dayOfYear, minuteOfDay } = localTime(timeMs);
    let kw = dayValue(dayNumber, dayOfYear, minuteOfDay);
    const left = 1440 - minuteOfDay;
    if (left < blendMinutes) {
      const share = 1 - left / blendMinutes;
      kw += (dayValue(dayNumber + 1, (dayOfYear + 1) % 366, 0) - kw) * share;
    }
    kw *=
      1 +
      0.02 * smoothNoise(seed, 'load-minutes', timeMs / 90_000) +
      0.006 * (2 * noise(seed, 'load-seconds', timeMs / 5000) - 1);
    if (kw > normalPeakKw)
      kw = normalPeakKw + (ceilingKw - normalPeakKw) * Math.tanh((kw - normalPeakKw) / (ceilingKw - normalPeakKw));
    return Math.max(0.05, kw) * scale;
  };
}
