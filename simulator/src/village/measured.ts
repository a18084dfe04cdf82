/** The measured series the village is driven by, as plain arrays. Parsing only; reading files is data/load.ts. */
import { clearSkyWm2 } from './sun.js';

/** Measured data, parsed. */
export interface MeasuredData {
  /** Days of 288 five-minute demands, kW. */
  readonly loadDays: readonly (readonly number[])[];
  /** Mean demand of each day of a (leap) year, kW. */
  readonly dailyMeanKw: readonly number[];
  /** Measured irradiance over the clear sky of its place, minute by minute of one day of broken clouds, 0 to 1.25. */
  readonly cloudTexture: readonly number[];
  /** Air temperature (deg C) and relative humidity (%) of 1440 minutes of a clear day. */
  readonly airTempC: readonly number[];
  readonly humidityPct: readonly number[];
}

/** The files of simulator/data as texts. */
export interface MeasuredTexts {
  readonly load5min: string;
  readonly loadHourly: string;
  readonly clouds: string;
  readonly weather: string;
}

const rows = (csv: string): string[][] =>
  csv
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(','));

/** Numbers of a row; an empty cell takes the value before it. */
const numbers = (cells: readonly string[]): number[] => {
  let last = 0;
  return cells.map((cell) => {
    if (cell !== '' && Number.isFinite(Number(cell))) last = Number(cell);
    return last;
  });
};

const column = (table: readonly string[][], index: number): number[] => numbers(table.map((row) => row[index] ?? ''));

/** The place and day the cloudy file was measured at. */
const cloudSite = { latitude: 39.91, longitude: -105.23, midnightMs: Date.UTC(2018, 9, 14, 7) };

/** Parses the measured series. */
export function parseMeasured(texts: MeasuredTexts): MeasuredData {
  const clouds = column(rows(texts.clouds), 1);
  const cloudTexture: number[] = [];
  for (const [minute, ghi] of clouds.entries()) {
    const clear = clearSkyWm2(cloudSite.midnightMs + minute * 60_000, cloudSite.latitude, cloudSite.longitude);
    if (clear > 150) cloudTexture.push(Math.min(1.25, Math.max(0, ghi / clear)));
  }
  const weather = rows(texts.weather);
  return {
    loadDays: rows(texts.load5min).map((row) => numbers(row.slice(1))),
    dailyMeanKw: rows(texts.loadHourly).map((row) => {
      const day = numbers(row.slice(1));
      return day.reduce((sum, kw) => sum + kw, 0) / day.length;
    }),
    cloudTexture,
    airTempC: column(weather, 1),
    humidityPct: column(weather, 2),
  };
}
