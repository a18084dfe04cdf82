/** The first prototype's flat message and alert texts, as one legacy device. */
import { largestTimeMs } from '../codec/frame-head.js';
import { toMetricValue, type MetricValue, type ParsedTelemetry } from './telemetry.js';

/** Device id the prototype's messages are stored under. */
export const legacyDeviceId = 'legacy';

/** The prototype's field names and what they are here; irradiance came as a percentage of full sun (1000 W/m²). */
export const legacyFields = {
  live_power_consumption: { metric: 'consumption_kw', factor: 1 },
  live_generation: { metric: 'generation_kw', factor: 1 },
  battery_soc: { metric: 'battery_soc_pct', factor: 1 },
  temp_equipment: { metric: 'equipment_temp_c', factor: 1 },
  solar_irradiance: { metric: 'irradiance_w_m2', factor: 10 },
} as const;

/** Turns the prototype's flat message into a telemetry reading. `timestamp` may be Unix seconds, milliseconds or ISO text. */
export function parseLegacy(text: string): ParsedTelemetry {
  let payload: unknown;
  try {
    payload = JSON.parse(text);
  } catch (error) {
    return { ok: false, code: 'E_PAYLOAD_NOT_JSON', detail: error instanceof Error ? error.message : 'not JSON' };
  }
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    return { ok: false, code: 'E_PAYLOAD_SCHEMA', detail: "The prototype's message must be a JSON object." };
  }
  const record = payload as Record<string, unknown>;
  const values: MetricValue[] = [];
  const findings = [];
  for (const [field, { metric, factor }] of Object.entries(legacyFields)) {
    if (!Object.hasOwn(record, field)) continue;
    const raw = record[field];
    const { value, finding } = toMetricValue(metric, typeof raw === 'number' ? raw * factor : raw);
    values.push(value);
    if (finding) findings.push(finding);
  }
  if (values.length === 0)
    return { ok: false, code: 'E_PAYLOAD_SCHEMA', detail: `None of ${Object.keys(legacyFields).join(', ')} is there.` };
  return {
    ok: true,
    resent: false,
    findings,
    readings: [{ boot: undefined, seq: undefined, upMs: undefined, timeMs: legacyTimeMs(record.timestamp), values }],
  };
}

/** ISO 8601 with or without seconds and zone, as Python's isoformat and str write it. */
const isoForm = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d{1,3})\d*)?)?\s*(Z|[+-]\d{2}:?\d{2})?$/;

/** A text without a zone is read as UTC: the answer must not depend on where the gateway stands. */
function legacyTimeMs(timestamp: unknown): number | undefined {
  if (typeof timestamp === 'number') {
    const timeMs = Math.round(timestamp < 1e11 ? timestamp * 1000 : timestamp);
    return timeMs > 0 && timeMs <= largestTimeMs ? timeMs : undefined;
  }
  if (typeof timestamp === 'string') {
    const match = isoForm.exec(timestamp.trim());
    if (!match) return undefined;
    const [, day, time = '00:00', fraction = '0', zone = 'Z'] = match;
    const offset = zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone;
    const parsed = Date.parse(`${day}T${time.length === 5 ? `${time}:00` : time}.${fraction.padEnd(3, '0')}${offset}`);
    return Number.isNaN(parsed) ? undefined : parsed;
  }
  return undefined;
}
