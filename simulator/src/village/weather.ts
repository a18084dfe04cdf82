/** Sky and air over the village: a clear-sky model times the measured cloud texture, and the measured weather day moved to a warm climate. */
import type { MeasuredData } from './measured.js';
import { noise, smoothNoise } from './noise.js';
import { createLocalTime, type Place } from './place.js';
import { clearSkyWm2 } from './sun.js';

/** The weather of an instant. */
export interface Weather {
  readonly irradianceWm2: number;
  readonly clearSkyWm2: number;
  readonly ambientC: number;
  readonly humidityPct: number;
}

/** How much of the measured clouds a day has: by seed mostly sunny days, many mixed, some grey ones. */
export function cloudiness(seed: number, dayNumber: number): { readonly amount: number; readonly grey: number } {
  const draw = noise(seed, 'sky-kind', dayNumber);
  const within = noise(seed, 'sky-amount', dayNumber);
  if (draw < 0.45) return { amount: 0.04 + 0.16 * within, grey: 1 };
  if (draw < 0.87) return { amount: 0.35 + 0.4 * within, grey: 1 };
  return { amount: 0.85 + 0.15 * within, grey: 0.75 + 0.15 * within };
}

/** Degrees the measured October day of Tucson is warmed by, and points of humidity added, for a warm and moister climate. */
const warmerC = 6;
const moisterPct = 20;
const blendMinutes = 120;

const cyclic = (series: readonly number[], minute: number): number => {
  const at = (m: number): number => {
    const slot = Math.floor(m);
    const from = series[slot % series.length] ?? 0;
    const to = series[(slot + 1) % series.length] ?? from;
    return from + (to - from) * (m - slot);
  };
  // The measured day does not end where it began: its last two hours run over into its first value.
  const left = 1440 - minute;
  if (left >= blendMinutes) return at(minute);
  const share = 1 - left / blendMinutes;
  return at(Math.min(minute, 1438.99)) * (1 - share) + (series[0] ?? 0) * share;
};

/** The weather as a function of Unix milliseconds. */
export function createWeather(options: {
  readonly seed: number;
  readonly place: Place;
  readonly measured: MeasuredData;
}): (timeMs: number) => Weather {
  const { seed, place, measured } = options;
  const localTime = createLocalTime(place.zone);
  const { cloudTexture } = measured;
  const texture = (dayNumber: number, minute: number): number => {
    const x = minute + noise(seed, 'sky-offset', dayNumber) * cloudTexture.length;
    const slot = Math.floor(x);
    const from = cloudTexture[slot % cloudTexture.length] ?? 1;
    const to = cloudTexture[(slot + 1) % cloudTexture.length] ?? from;
    return from + (to - from) * (x - slot);
  };
  return (timeMs) => {
    const { dayNumber, minuteOfDay } = localTime(timeMs);
    const clear = clearSkyWm2(timeMs, place.latitude, place.longitude);
    const { amount, grey } = cloudiness(seed, dayNumber);
    const factor = clear <= 0 ? 1 : (1 - amount * (1 - texture(dayNumber, minuteOfDay))) * grey;
    const daysX = dayNumber + minuteOfDay / 1440;
    const anomalyC =
      1.8 * smoothNoise(seed, 'air', daysX / 3) + 0.15 * smoothNoise(seed, 'air-minutes', timeMs / 240_000);
    const shade = amount * Math.max(0, Math.sin(((minuteOfDay - 420) / 780) * Math.PI));
    return {
      irradianceWm2: Math.min(1350, clear * factor),
      clearSkyWm2: clear,
      ambientC: cyclic(measured.airTempC, minuteOfDay) + warmerC + anomalyC - 2.5 * shade,
      humidityPct: Math.min(
        98,
        Math.max(15, cyclic(measured.humidityPct, minuteOfDay) + moisterPct - 3 * anomalyC + 9 * shade),
      ),
    };
  };
}
