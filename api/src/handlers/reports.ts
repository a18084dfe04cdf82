/** Figures of a period, series as a file, and what the meters say of each other. */
import { balanceView } from '../views/balance.js';
import { exportCsv } from '../views/export.js';
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
