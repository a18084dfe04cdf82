/** How long the cloud keeps what, per organisation. Pure. */
import { parseMetricId, type Granularity } from '@villagrid/contracts';
import type { RetentionSettings } from '../config/schema.js';

const dayMs = 86_400_000;

/** How long each is kept, milliseconds; what is not named is kept for ever. */
export interface Kept extends Partial<Record<Granularity, number>> {
  readonly raw: number;
}

type KeptHere = Kept & Readonly<Record<'1m' | '15m', number>>;

/** What holds for the grids of an organisation. */
export function keptOf(settings: RetentionSettings, organisation: string | undefined): KeptHere {
  const { organisations, ...general } = settings;
  const own =
    organisation !== undefined && Object.hasOwn(organisations, organisation) ? organisations[organisation] : {};
  const { raw_days, minute_days, quarter_days } = { ...general, ...own };
  return { raw: raw_days * dayMs, '1m': minute_days * dayMs, '15m': quarter_days * dayMs };
}

const supplyMetrics = ['ac_output_voltage_v', 'ac_frequency_hz'];

/** Whether reports tell outages by the minutes of a series: they stay as long as quarter hours. */
export const tellsOutages = (metric: string): boolean => supplyMetrics.includes(parseMetricId(metric).base);
