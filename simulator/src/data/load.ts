/** Reads the measured series that lie beside the sources. */
import { readFileSync } from 'node:fs';
import { type MeasuredData, parseMeasured } from '../village/measured.js';

const read = (name: string): string => readFileSync(new URL(`../../data/${name}`, import.meta.url), 'utf8');
let cached: MeasuredData | undefined;

/** The measured series of simulator/data, parsed once. */
export function loadMeasured(): MeasuredData {
  cached ??= parseMeasured({
    load5min: read('village_load_el_espino_2016-03_5min.csv'),
    loadHourly: read('village_load_el_espino_2016_hourly.csv'),
    clouds: read('irradiance_1min_clouds_nwtc_2018-10-14.csv'),
    weather: read('weather_1min_clear_uat_2018-10-18.csv'),
  });
  return cached;
}
