/** Which lines a chart may carry: at most four, on at most two axes. Pure. */
import { metricDefinition, type Summary } from '@villagrid/contracts';

/** Most lines of one chart. */
export const maxLines = 4;

/** Unit of a metric, by the catalogue or the summary. */
export const metricUnit = (metric: string, summary: Summary | undefined): string =>
  metricDefinition(metric)?.unit ?? summary?.figures[metric]?.unit ?? '';

/** The lines with one more; undefined when there is no room for it. */
export function addLine(
  metrics: readonly string[],
  metric: string,
  unit: (metric: string) => string,
): string[] | undefined {
  const next = [...metrics, metric];
  if (next.length > maxLines || new Set(next.map(unit)).size > 2) return undefined;
  return next;
}
