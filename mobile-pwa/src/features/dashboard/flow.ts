/** The energy-flow picture as facts: which stations, which way, how strong, what is lost. Pure. */
import type { FigureView, Summary } from '@villagrid/contracts';
import { figureFreshness } from '../../ui/value.js';

/** A station of the picture. */
export interface Station {
  readonly id: 'sun' | 'mains' | 'generator' | 'village' | 'battery';
  readonly metric: string;
  /** Flow into the bus is positive, out of it negative, kW; null when not known. */
  readonly towardsBusKw: number | null;
  readonly figure: FigureView | undefined;
  /** Thickness in four steps; 0 when nothing flows or it is not known. */
  readonly step: 0 | 1 | 2 | 3 | 4;
  readonly current: boolean;
}

/** The whole picture. */
export interface Flow {
  readonly left: readonly Station[];
  readonly right: readonly Station[];
  /** What goes in minus what comes out, kW; null when a part is not known or not current. */
  readonly lossKw: number | null;
  /** False when any of the main values is too old: then no arrow is drawn. */
  readonly current: boolean;
}

/** Below this nothing flows, kW. */
const nothingKw = 0.005;

/** Makes the picture from the figures. `peakKw` is the grid's scale for the thickness of lines. */
export function makeFlow(summary: Summary, nowMs: number, connected: boolean, peakKw: number): Flow {
  const { figures, plant } = summary;
  const station = (id: Station['id'], metric: string, direction: 1 | -1): Station => {
    const figure = figures[metric];
    const state = figureFreshness(figure, nowMs);
    const current = connected && (state === 'live' || state === 'late');
    const value = figure?.value ?? null;
    const towardsBusKw = value === null ? null : direction * value;
    const size = Math.abs(towardsBusKw ?? 0);
    const share = size / Math.max(peakKw, 0.001);
    const step = !current || size < nothingKw ? 0 : share > 0.5 ? 4 : share > 0.25 ? 3 : share > 0.1 ? 2 : 1;
    return { id, metric, towardsBusKw, figure, step, current };
  };
  const left = [station('sun', 'generation_kw', 1)];
  if (plant.has_mains || figures.mains_power_kw?.value != null) left.push(station('mains', 'mains_power_kw', 1));
  if (plant.has_genset || figures.genset_power_kw?.value != null) left.push(station('generator', 'genset_power_kw', 1));
  const right = [station('village', 'consumption_kw', -1), station('battery', 'battery_power_kw', -1)];
  const all = [...left, ...right];
  const needed = all.filter(
    ({ id, figure }) => id === 'sun' || id === 'village' || id === 'battery' || figure !== undefined,
  );
  const whole = needed.every(({ current, towardsBusKw }) => current && towardsBusKw !== null);
  return {
    left,
    right,
    lossKw: whole ? needed.reduce((sum, { towardsBusKw }) => sum + (towardsBusKw ?? 0), 0) : null,
    current: connected && all.some(({ current }) => current),
  };
}

/** Scale of the lines: the largest of the panels' peak and what flows now, kW. */
export function peakOf(summary: Summary): number {
  const flows = ['generation_kw', 'consumption_kw', 'battery_power_kw', 'mains_power_kw', 'genset_power_kw'].map(
    (metric) => Math.abs(summary.figures[metric]?.value ?? 0),
  );
  return Math.max((summary.plant.pv_kwp ?? 0) * 0.7, ...flows, 1);
}
