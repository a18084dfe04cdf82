/** The first prototype's calls, bound to the gateway's own grid. */
import { periodsMs, VillagridError, type Period } from '@villagrid/contracts';
import { gridFigures } from '../views/figures.js';
import { historyView } from '../views/history.js';
import { legacyAlert, legacyHistory, legacyMetrics, legacyRealtime as realtimeRow } from '../views/legacy.js';
import { figureSource } from '../views/windows.js';
import type { Handler } from './handler.js';

/** Alerts the prototype's list holds at most. */
const maxAlerts = 200;

export const legacyRealtime: Handler<'legacyRealtime'> = ({ services, grid }) => {
  const nowMs = Math.floor(services.clock.nowMs());
  return realtimeRow(gridFigures(grid, nowMs), nowMs);
};

export const legacyAlerts: Handler<'legacyAlerts'> = async ({ grid }) => {
  const all = await grid.alerts({ mostResolved: maxAlerts });
  return [...all]
    .sort((a, b) => b.raised_at_ms - a.raised_at_ms)
    .slice(0, maxAlerts)
    .map(legacyAlert);
};

export const legacyHistorical: Handler<'legacyHistorical'> = async ({ services, grid, query }) => {
  const period = query.period ?? '24h';
  if (!Object.hasOwn(periodsMs, period))
    throw new VillagridError('E_REQUEST_INVALID', `query.period must be one of ${Object.keys(periodsMs).join(', ')}.`);
  const wired = legacyMetrics.filter((metric) => figureSource(grid.site(), metric).kind !== 'none');
  if (wired.length === 0) return [];
  const nowMs = Math.floor(services.clock.nowMs());
  const granularity = period === '1h' ? '1m' : 'auto';
  return legacyHistory(
    await historyView(grid, { metric: wired.join(','), period: period as Period, granularity }, nowMs),
  );
};
