/** The insight of a grid: its own where the server keeps one, else one that is made of stored history when it is asked for. */
import type { GridPort } from '../ports.js';
import { createSiteInsight, type SiteInsight } from './site-insight.js';

/** A forecast older than this tells of another situation, ms. */
const freshForMs = 45 * 60_000;

const made = new WeakMap<GridPort, SiteInsight>();

/** What is known of a grid; empty until it has caught up. */
export function insightOf(grid: GridPort): SiteInsight {
  if (grid.insight !== undefined) return grid.insight;
  let one = made.get(grid);
  if (one === undefined) made.set(grid, (one = createSiteInsight(grid)));
  return one;
}

/** Lets a grid's insight catch up in the background where the server does not do so itself. Nobody waits for it. */
export function freshen(grid: GridPort, nowMs: number): void {
  if (grid.insight !== undefined) return;
  const one = insightOf(grid);
  if (one.behind || (one.untilMs !== null && nowMs - one.untilMs < freshForMs / 2)) return;
  // What history cannot be read is told by whoever asks for it.
  one.catchUp(nowMs).catch(() => {});
}

/** When the battery is empty by the forecast there is; undefined without a fresh one. */
export function lastingOf(grid: GridPort, nowMs: number): { readonly emptyAtMs: number | null } | undefined {
  const forecast = (grid.insight ?? made.get(grid))?.battery();
  if (forecast === undefined || Math.abs(nowMs - forecast.madeAtMs) > freshForMs) return undefined;
  return { emptyAtMs: forecast.emptyAtMs };
}
