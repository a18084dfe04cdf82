/**
 * The detector and the forecasts of one grid, fed from its history through the port: the same on the gateway, which keeps
 * their state and alerts, and in the cloud, which makes them anew from what it stores. It breathes between windows.
 */
import {
  anomalyWindowMs,
  createBatteryForecaster,
  createDetector,
  createTemperatureForecaster,
  explainInSteps,
  isAnomalous,
  localQuarter,
  rememberedDays,
  usualRange,
  watchedSeries,
  type AnomalyDetector,
  type AnomalyExplanation,
  type BatteryForecast,
  type BatteryTrack,
  type Findings,
  type SeriesWindow,
  type TemperatureForecast,
  type TrackFigures,
} from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { GridPort } from '../ports.js';

/** How long a window waits for late samples after its end, ms. */
const settleMs = 120_000;
const dayMs = 86_400_000;
/** How far back it learns when nothing is known: what is remembered, and a little to be sure of it. */
const learnMs = (rememberedDays + 3) * dayMs;
const mostRecent = 10;
/** Temperature limit where the grid has none, °C. */
const defaultLimitC = 60;

/** An anomaly from its beginning to its end. */
export interface AnomalySpan {
  readonly sinceMs: number;
  untilMs: number | null;
  explanation: AnomalyExplanation;
}

/** States as texts, by name; each may be kept by itself. */
export type InsightStates = Readonly<Record<(typeof insightStateNames)[number], string>>;
export const insightStateNames = ['detector', 'usual_day', 'battery', 'temperature'] as const;

/** What is known of a grid. */
export interface SiteInsight {
  /** Takes in all windows that are over. One that is under way is waited for. Throws what the port throws. */
  catchUp(nowMs: number): Promise<void>;
  /** Whether windows are being taken in. */
  readonly behind: boolean;
  /** End of the newest window taken in, Unix ms; null before the first. */
  readonly untilMs: number | null;
  readonly learntDays: number;
  anomaly(): AnomalySpan | undefined;
  recent(): readonly AnomalySpan[];
  battery(): BatteryForecast | undefined;
  batteryTrack(): BatteryTrack;
  temperatures(): readonly TemperatureForecast[];
  temperatureTrack(): TrackFigures;
  /** One of the states as JSON text: restoring all of them goes on from here. */
  state(name: keyof InsightStates): string;
}

type Reads = Pick<GridPort, 'site' | 'windows' | 'metricsOf' | 'limits'>;

/** Makes it, from saved states where there are some. What cannot be read begins anew. */
export function createSiteInsight(grid: Reads, saved: Partial<InsightStates> = {}): SiteInsight {
  const parsed = (text: string | undefined): unknown => {
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  };
  const first = parsed(saved.detector) as { readonly detector?: unknown; readonly recent?: unknown } | undefined;
  // Series that were known stay known: right after a start nobody has been heard yet.
  let known = seriesIn(first?.detector);
  known = seriesOf();
  let detector: AnomalyDetector = createDetector(grid.site(), known, {
    ...(first?.detector as object | undefined),
    usual_day: parsed(saved.usual_day),
  });
  let battery = createBatteryForecaster(grid.site(), parsed(saved.battery));
  let temperature = createTemperatureForecaster(grid.site(), known, limitC(), parsed(saved.temperature));
  let recent: AnomalySpan[] = Array.isArray(first?.recent) ? (first.recent as AnomalySpan[]) : [];
  let running: Promise<void> | undefined;

  function limitC(): number {
    return grid.limits().equipment_temp_c?.high ?? defaultLimitC;
  }
  function seriesOf(): { deviceId: string; metric: string }[] {
    const heard = grid
      .site()
      .devices.flatMap(({ device_id: deviceId }) => grid.metricsOf(deviceId).map((metric) => ({ deviceId, metric })));
    const all = new Map([...known, ...heard].map((one) => [`${one.deviceId}/${one.metric}`, one]));
    return watchedSeries(grid.site(), [...all.values()]).map(({ deviceId, metric }) => ({ deviceId, metric }));
  }
  /** A device that came later is watched from then on; what is known of the others stays. */
  function noticeSeries(): void {
    const now = seriesOf();
    const key = (list: typeof now): string => list.map((one) => `${one.deviceId}/${one.metric}`).join(' ');
    if (key(now) === key(known)) return;
    known = now;
    const again = <T>(state: unknown): T => JSON.parse(JSON.stringify(state)) as T;
    detector = createDetector(grid.site(), known, again(detector.state()));
    battery = createBatteryForecaster(grid.site(), again(battery.state()));
    temperature = createTemperatureForecaster(grid.site(), known, limitC(), again(temperature.state()));
  }

  async function take(nowMs: number): Promise<void> {
    noticeSeries();
    const untilMs = Math.floor((nowMs - settleMs) / anomalyWindowMs) * anomalyWindowMs;
    const newest = detector.newestMs === 0 ? Number.NEGATIVE_INFINITY : detector.newestMs + anomalyWindowMs;
    // A clock that was set back leaves the newest window ahead of now: it waits for it, up to a day, and begins anew after.
    if (newest > untilMs + dayMs) {
      detector = createDetector(grid.site(), known);
      battery = createBatteryForecaster(grid.site());
      temperature = createTemperatureForecaster(grid.site(), known, limitC());
      recent = [];
    }
    let fromMs = Math.max(newest > untilMs + dayMs ? 0 : newest, Math.floor((untilMs - learnMs) / dayMs) * dayMs);
    for (; fromMs < untilMs; fromMs += dayMs) await takeSlice(fromMs, Math.min(untilMs, fromMs + dayMs));
  }

  /** A day or less of windows of all series. */
  async function takeSlice(fromMs: number, toMs: number): Promise<void> {
    const count = Math.round((toMs - fromMs) / anomalyWindowMs);
    const rows = Array.from({ length: count }, () => new Map<string, SeriesWindow>());
    for (const { deviceId, metric } of known) {
      const { t, mean, min, max, last } = await grid.windows(deviceId, metric, '15m', fromMs, toMs);
      for (const [row, timeMs] of t.entries())
        rows[Math.round((timeMs - fromMs) / anomalyWindowMs)]?.set(`${deviceId}/${metric}`, {
          mean: mean[row] as number,
          min: min[row] as number,
          max: max[row] as number,
          last: last[row] as number,
        });
      await nextTurn();
    }
    for (const [at, series] of rows.entries()) {
      const window = { startMs: fromMs + at * anomalyWindowMs, series };
      // Before the first sample there is nothing to be silent about.
      if (series.size === 0 && detector.newestMs === 0) continue;
      await look(window);
      await nextTurn();
      battery.look(window);
      await nextTurn();
      temperature.look(window);
      await nextTurn();
    }
  }

  async function look(window: {
    readonly startMs: number;
    readonly series: ReadonlyMap<string, SeriesWindow>;
  }): Promise<void> {
    const findings = detector.look(window);
    if (findings === undefined) return;
    const [open] = recent;
    const isOpen = open !== undefined && open.untilMs === null;
    if (!isAnomalous(findings)) {
      if (isOpen) open.untilMs = window.startMs + anomalyWindowMs;
      return;
    }
    // The clearest view of it is kept: what has become less is not explained again.
    if (isOpen && worstOf(findings) <= open.explanation.score) return;
    const { quarter } = localQuarter(grid.site().zone, window.startMs);
    const steps = explainInSteps(findings, (id) => usualRange(detector.usualDay, id, quarter));
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) await nextTurn();
    const explanation = step.value;
    if (explanation === undefined) return;
    if (!isOpen) {
      recent = [{ sinceMs: window.startMs, untilMs: null, explanation }, ...recent].slice(0, mostRecent);
      return;
    }
    const isSame = explanation.inputs[0]?.series.id === open.explanation.inputs[0]?.series.id;
    if (isSame && explanation.score > open.explanation.score) open.explanation = explanation;
  }

  const worstOf = ({ checks }: Findings): number =>
    Math.max(0, ...checks.map((one) => (one.fires && one.check.raises ? one.score : 0)));

  return {
    catchUp(nowMs) {
      running ??= take(nowMs).finally(() => (running = undefined));
      return running;
    },
    get behind() {
      return running !== undefined;
    },
    get untilMs() {
      return detector.newestMs === 0 ? null : detector.newestMs + anomalyWindowMs;
    },
    get learntDays() {
      return Math.max(0, ...[...detector.usualDay.metrics.values()].map((one) => wholeDays(one.days)));
    },
    anomaly: () => recent.find((one) => one.untilMs === null),
    recent: () => recent,
    battery: () => battery.forecast(),
    batteryTrack: () => battery.track(),
    temperatures: () => temperature.forecasts(),
    temperatureTrack: () => temperature.track(),
    state(name) {
      if (name === 'battery') return JSON.stringify(battery.state());
      if (name === 'temperature') return JSON.stringify(temperature.state());
      const { usual_day: usualDay, ...others } = detector.state();
      return JSON.stringify(name === 'usual_day' ? usualDay : { detector: others, recent });
    },
  };
}

/** Days of which at least as much was measured as a village that is off at night measures. */
function wholeDays(days: ReadonlyMap<number, Float64Array>): number {
  let whole = 0;
  for (const quarters of days.values()) {
    let measured = 0;
    for (const value of quarters) if (!Number.isNaN(value)) measured += 1;
    if (measured >= quarters.length / 2) whole += 1;
  }
  return whole;
}

/** The series that a saved state of the detector is about. */
function seriesIn(state: unknown): { deviceId: string; metric: string }[] {
  const series = (state as { readonly series?: unknown } | undefined)?.series;
  if (!Array.isArray(series)) return [];
  return series.flatMap((one: unknown) => {
    const id = (one as { readonly id?: unknown } | null)?.id;
    const [deviceId, metric] = typeof id === 'string' ? id.split('/') : [];
    return deviceId !== undefined && metric !== undefined ? [{ deviceId, metric }] : [];
  });
}
