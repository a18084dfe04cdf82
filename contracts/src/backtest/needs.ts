/** What a rule reads of a grid: which series are to be fetched before it can be tried on the past. */
import type { Rule } from '../rules/rule.js';
import { coversDevice, coversSeries } from '../rules/selector.js';
import type { Site } from '../site/site.js';

/** A series by its name. */
export interface SeriesName {
  readonly deviceId: string;
  readonly metric: string;
}

/** What is to be read for some rules. */
export interface BacktestNeeds {
  readonly series: readonly SeriesName[];
  /** Figures of the grid that are worked out on the way. */
  readonly figures: readonly string[];
  /** Figures that a rule watches and no history keeps: those of the gateway itself, and those that are not wired. What else is not kept, too. */
  readonly unkept: readonly string[];
}

/**
 * What rules read. `metricsOf` gives the metrics of a device that were ever heard. Wider rather than narrower where a
 * rule's parameters do not tell: a series too many costs time, one too few changes the answer.
 */
export function backtestNeeds(
  rules: readonly Rule[],
  site: Site,
  metricsOf: (deviceId: string) => readonly string[],
): BacktestNeeds {
  const series = new Map<string, SeriesName>();
  const figures = new Set<string>();
  const unkept = new Set<string>();
  const addSeries = (deviceId: string, metric: string) => series.set(`${deviceId} ${metric}`, { deviceId, metric });

  for (const { kind, selector, parameters } of rules) {
    // It compares with what was usual then, which is not kept.
    if (kind === 'deviation') unkept.add('what is usual');
    if (selector.scope === 'figure' && site.wiring[selector.metric] === undefined) unkept.add(selector.metric);
    // Figures may be named in conditions and in expressions: whatever names one of them is taken for it.
    const named = JSON.stringify([selector, parameters]);
    for (const metric of Object.keys(site.wiring)) if (named.includes(metric)) figures.add(metric);
    if (selector.scope === 'figure') continue;
    for (const device of site.devices) {
      if (!coversDevice(selector, device)) continue;
      for (const metric of metricsOf(device.device_id))
        if (selector.scope === 'device' || coversSeries(selector, device, metric)) addSeries(device.device_id, metric);
    }
  }
  for (const figure of figures) {
    const wire = site.wiring[figure];
    for (const term of [...(wire?.terms ?? []), ...(wire?.fallback ?? [])]) addSeries(term.device_id, term.metric);
  }
  const order = new Map(site.devices.map((one, index) => [one.device_id, index]));
  const place = ({ deviceId }: SeriesName) => order.get(deviceId) ?? order.size;
  return {
    series: [...series.values()].sort((a, b) => place(a) - place(b)),
    figures: [...figures],
    unkept: [...unkept],
  };
}
