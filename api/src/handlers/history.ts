/** History of metrics. */
import { historyView } from '../views/history.js';
import type { Handler } from './handler.js';

export const historical: Handler<'historical'> = ({ services, grid, params, query }) =>
  historyView(grid, { metric: params.metric, ...query }, Math.floor(services.clock.nowMs()));
