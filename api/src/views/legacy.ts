/** The first prototype's documents, from ours. */
import type { Alert, History, Severity } from '@villagrid/contracts';
import type { GridFigures } from './figures.js';

/** The prototype's live values; null where nothing is known. */
export interface LegacyRealtime {
  readonly timestamp: string;
  readonly live_power_consumption: number | null;
  readonly live_generation: number | null;
  readonly battery_soc: number | null;
  readonly temp_equipment: number | null;
  /** Percent of full sun (1000 W/m²). */
  readonly solar_irradiance: number | null;
}

/** The metrics behind the prototype's fields. */
export const legacyMetrics = [
  'consumption_kw',
  'generation_kw',
  'battery_soc_pct',
  'equipment_temp_c',
  'irradiance_w_m2',
] as const;

type LegacyValues = Readonly<Record<(typeof legacyMetrics)[number], number | null>>;

/** One row in the prototype's words. */
export function legacyRow(timeMs: number, values: LegacyValues): LegacyRealtime {
  const irradiance = values.irradiance_w_m2;
  return {
    timestamp: new Date(timeMs).toISOString(),
    live_power_consumption: values.consumption_kw,
    live_generation: values.generation_kw,
    battery_soc: values.battery_soc_pct,
    temp_equipment: values.equipment_temp_c,
    solar_irradiance: irradiance === null ? null : Math.round(irradiance * 10) / 100,
  };
}

/** The live values: the time is that of the newest figure, or now when there is none. */
export function legacyRealtime({ figures }: GridFigures, nowMs: number): LegacyRealtime {
  const newest = Math.max(...legacyMetrics.map((metric) => figures[metric]?.timeMs ?? 0));
  const value = (metric: (typeof legacyMetrics)[number]) => figures[metric]?.value ?? null;
  return legacyRow(newest > 0 ? newest : nowMs, {
    consumption_kw: value('consumption_kw'),
    generation_kw: value('generation_kw'),
    battery_soc_pct: value('battery_soc_pct'),
    equipment_temp_c: value('equipment_temp_c'),
    irradiance_w_m2: value('irradiance_w_m2'),
  });
}

/** History rows: one per time that any of the five metrics has. */
export function legacyHistory(history: History): LegacyRealtime[] {
  const byTime = new Map<number, Record<string, number | null>>();
  for (const series of history.series) {
    for (const [at, time] of series.times_ms.entries()) {
      const row = byTime.get(time) ?? {};
      row[series.metric] = series.mean[at] ?? null;
      byTime.set(time, row);
    }
  }
  return [...byTime]
    .sort(([a], [b]) => a - b)
    .map(([time, row]) =>
      legacyRow(time, {
        consumption_kw: row.consumption_kw ?? null,
        generation_kw: row.generation_kw ?? null,
        battery_soc_pct: row.battery_soc_pct ?? null,
        equipment_temp_c: row.equipment_temp_c ?? null,
        irradiance_w_m2: row.irradiance_w_m2 ?? null,
      }),
    );
}

/** The prototype knew critical, warning and info. */
const legacySeverity: Readonly<Record<Severity, string>> = {
  critical: 'critical',
  high: 'warning',
  medium: 'warning',
  low: 'info',
};

/** One alert in the prototype's words. */
export function legacyAlert(alert: Alert): Readonly<Record<string, unknown>> {
  return {
    id: alert.alert_id,
    type: alert.type,
    message: alert.message,
    severity: legacySeverity[alert.severity],
    timestamp: new Date(alert.raised_at_ms).toISOString(),
    status: alert.status,
    acknowledged: alert.acknowledged,
  };
}
