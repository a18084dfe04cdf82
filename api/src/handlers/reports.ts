/** Figures of a period, series as a file, and what the meters say of each other. */
import { balanceView } from '../views/balance.js';
import { insightOf } from '../insight/insights.js';
import { exportCsv } from '../views/export.js';
import { insightView } from '../views/insight.js';
import { reportView } from '../views/report.js';
import { StreamedAnswer, type Handler } from './handler.js';

export const report: Handler<'report'> = ({ services, grid, query }) =>
  reportView(grid, query, Math.floor(services.clock.nowMs()));

export const exportSeries: Handler<'export'> = ({ services, grid, query }) => {
  const { parts, contentType, fileName } = exportCsv(grid, query, Math.floor(services.clock.nowMs()));
  return new StreamedAnswer(parts, contentType, fileName);
};

export const balance: Handler<'balance'> = ({ services, grid, query }) =>
  balanceView(grid, query, Math.floor(services.clock.nowMs()));

/** How long an answer waits for history to be read, real ms; after it, it says so. */
const insightWaitMs = 1500;

export const insight: Handler<'insight'> = async ({ services, grid }) => {
  const one = insightOf(grid);
  const caughtUp = one.catchUp(Math.floor(services.clock.nowMs()));
  await Promise.race([caughtUp, services.realClock.sleep(insightWaitMs)]);
  // Who waits no longer does not hear of it any more.
  caughtUp.catch(() => {});
  return insightView(grid.gridId, one);
};
