/** The verdict: is the village powered, will it last, is somebody needed. Facts only; the app puts them into words. */
import { freshness } from '../devices/freshness.js';
import type { Severity } from '../alerts/events.js';
import { parseMetricId } from '../metrics/catalogue.js';
import type { Figure } from '../site/figures.js';
import type { Plant } from '../site/site.js';

/** Whether the village has power. */
export type PowerState = 'powered' | 'off' | 'partly' | 'unknown';

/** What the verdict sentence is made from. */
export interface Verdict {
  readonly power: PowerState;
  readonly battery_soc_pct: number | null;
  /** When the battery reaches its floor, Unix ms: as forecast, else at the present discharge; null when charging, unknown, beyond days, or while something else carries the load. */
  readonly empty_at_ms: number | null;
  readonly charging: boolean | null;
  /** How long the energy above the floor carries the present load if nothing else does (no sun), ms; null when unknown. */
  readonly at_this_load_ms: number | null;
  /** Whether a fresh forecast says that the floor is not reached within its horizon of two days. */
  readonly forecast_lasts: boolean;
  readonly open_alerts: number;
  readonly worst_severity: Severity | null;
}

/** Figure of the voltage where power reaches the village; its components (`ac_output_voltage_v.feeder-2`) are single feeders. */
export const villageVoltage = 'ac_output_voltage_v';

/** Voltage below which a line counts as dead: half of nominal. */
export const deadVoltageV = (nominalV = 230): number => nominalV * 0.5;

/** Consumption up to which nobody seems to use anything, kW. */
const nothingUsedKw = 0.02;

/** The figures that tell whether the village has power: its feeders where they are wired one by one, else the one voltage. */
export function voltageFigures(wired: Iterable<string>): string[] {
  const found = [...wired].filter((metric) => parseMetricId(metric).base === villageVoltage);
  const feeders = found.filter((metric) => metric !== villageVoltage);
  return feeders.length > 0 ? feeders : found;
}

/**
 * Whether the village has power, by the voltage that reaches it: off when all feeders are dead, partly when some are;
 * unknown when nothing of it is fresh, or when only the plant's own voltage is known and nobody uses anything.
 */
export function powerState(
  figures: Readonly<Record<string, Figure | undefined>>,
  nowMs: number,
  nominalVoltage = 230,
): PowerState {
  const fresh = (figure: Figure | undefined): number | null =>
    figure === undefined || freshness(figure.timeMs, nowMs, 10_000, figure.quality) === 'stale' ? null : figure.value;
  const judged = voltageFigures(Object.keys(figures)).filter((metric) => fresh(figures[metric]) !== null);
  const dead = judged.filter((metric) => (fresh(figures[metric]) as number) < deadVoltageV(nominalVoltage));
  if (judged.length === 0) return 'unknown';
  if (dead.length === judged.length) return 'off';
  const whole = fresh(figures[villageVoltage]);
  if (dead.length > 0 || (whole !== null && whole < deadVoltageV(nominalVoltage))) return 'partly';
  const used = fresh(figures.consumption_kw);
  const behindPlant = judged.every((metric) => figures[metric]?.usedFallback === true);
  return behindPlant && used !== null && used <= nothingUsedKw ? 'unknown' : 'powered';
}

/** Share of the load from which on the battery counts as carrying it: less is sun, mains or a genset, that will not stay. */
const carriedShare = 0.8;

/** Energy above the floor, kWh; undefined without plant figures. */
const usableKwh = (socPct: number, { battery_kwh: size, battery_floor_pct: floorPct }: Plant): number | undefined =>
  size === undefined ? undefined : (Math.max(0, socPct - floorPct) / 100) * size;

/**
 * Time at which the battery reaches its floor: usable energy above the floor divided by the discharge power, in hours.
 * `dischargeKw` is positive; null when not discharging, without plant figures, or when it lies beyond 72 h.
 */
export function batteryEmptyAtMs(socPct: number, dischargeKw: number, plant: Plant, nowMs: number): number | null {
  const kwh = usableKwh(socPct, plant);
  if (kwh === undefined || dischargeKw <= 0.01) return null;
  const hours = kwh / dischargeKw;
  return hours > 72 ? null : Math.round(nowMs + hours * 3_600_000);
}

/** Makes the verdict. `batteryPowerKw` is a recent mean (charging positive), steadier than the instant value. */
export function makeVerdict(options: {
  readonly figures: Readonly<Record<string, Figure | undefined>>;
  readonly plant: Plant;
  readonly nowMs: number;
  readonly batteryPowerKw?: number | null;
  readonly openAlerts: readonly { readonly severity: Severity }[];
  /** A fresh forecast of when the battery is empty (null: not within its horizon); the present discharge tells otherwise. */
  readonly lasting?: { readonly emptyAtMs: number | null } | undefined;
  /** Nominal AC voltage, 230 V when left out. */
  readonly nominalV?: number;
}): Verdict {
  const { figures, plant, nowMs, openAlerts } = options;
  const soc = figures.battery_soc_pct;
  const socPct =
    soc !== undefined && soc.value !== null && freshness(soc.timeMs, nowMs, 10_000, soc.quality) !== 'stale'
      ? soc.value
      : null;
  const present = figures.battery_power_kw;
  const presentKw =
    present !== undefined && freshness(present.timeMs, nowMs, 10_000, present.quality) !== 'stale'
      ? present.value
      : null;
  const power = options.batteryPowerKw ?? presentKw;
  const used = figures.consumption_kw;
  const usedKw =
    used !== undefined && freshness(used.timeMs, nowMs, 10_000, used.quality) !== 'stale' ? used.value : null;
  const { lasting } = options;
  const atThisLoadMs = (): number | null => {
    const kwh = socPct === null ? undefined : usableKwh(socPct, plant);
    const loadKw = Math.max(usedKw ?? 0, -(power ?? 0));
    return kwh === undefined || loadKw <= nothingUsedKw ? null : Math.round((kwh / loadKw) * 3_600_000);
  };
  /** While it is charged nobody asks; else the forecast knows the evening, the sun, and the battery's real size. */
  const emptyAtMs = (): number | null => {
    if (socPct === null || power === null) return null;
    const carries = usedKw === null || -power >= carriedShare * usedKw;
    const present = carries ? batteryEmptyAtMs(socPct, -power, plant, nowMs) : null;
    if (lasting === undefined || power > 0) return present;
    return lasting.emptyAtMs === null ? null : Math.max(nowMs, lasting.emptyAtMs);
  };
  const order: Severity[] = ['critical', 'high', 'medium', 'low'];
  return {
    power: powerState(figures, nowMs, options.nominalV),
    battery_soc_pct: socPct,
    empty_at_ms: emptyAtMs(),
    charging: power === null ? null : power > 0,
    at_this_load_ms: atThisLoadMs(),
    forecast_lasts: lasting !== undefined && lasting.emptyAtMs === null,
    open_alerts: openAlerts.length,
    worst_severity: order.find((severity) => openAlerts.some((alert) => alert.severity === severity)) ?? null,
  };
}
