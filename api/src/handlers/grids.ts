/** Grids, summary, devices, completeness. */
import { mayOnGrid, VillagridError } from '@villagrid/contracts';
import { freshen } from '../insight/insights.js';
import { deviceViews } from '../views/devices.js';
import { parseTime } from '../views/history-request.js';
import { gridState } from '../views/state.js';
import { Answer, type Handler } from './handler.js';

export const grids: Handler<'grids'> = async ({ services, principal }) => {
  const { ports, clock } = services;
  const nowMs = Math.floor(clock.nowMs());
  const visible = ports.grids
    .list()
    .filter((grid) => mayOnGrid(principal, 'viewer', grid.gridId, grid.site().organisation_id));
  const states = await Promise.all(
    visible.map(async (grid) =>
      gridState(grid, ports.identity.silentAfterMs, await services.board(grid).active(), nowMs),
    ),
  );
  return { grids: states, now_ms: nowMs };
};

export const summary: Handler<'summary'> = ({ services, grid }) => {
  freshen(grid, Math.floor(services.clock.nowMs()));
  const board = services.board(grid);
  const made = board.summaryBytes();
  return made === undefined ? board.summaryText().then((text) => new Answer(text)) : new Answer(made);
};

export const devices: Handler<'devices'> = ({ services, grid }) => {
  const nowMs = Math.floor(services.clock.nowMs());
  return { grid_id: grid.gridId, now_ms: nowMs, devices: deviceViews(grid, nowMs) };
};

/** Width of the steps completeness ends on, and how far it stays behind now, in real milliseconds. */
const completenessStepMs = 10_000;
const completenessLagMs = 15_000;

/** Where completeness ends when nothing is asked: both sides, asked within one step, answer for the same samples. */
export function completenessUntilMs(nowMs: number, speed: number): number {
  const step = completenessStepMs * speed;
  return Math.floor((nowMs - completenessLagMs * speed) / step) * step;
}

export const completeness: Handler<'completeness'> = async ({ services, grid, query }) => {
  if (query.to !== undefined && query.until_ms !== undefined)
    throw new VillagridError(
      'E_REQUEST_INVALID',
      'query.to and query.until_ms contradict each other; give one of them.',
    );
  const asked = query.to === undefined ? query.until_ms : parseTime(query.to, 'to', grid.site().zone);
  const untilMs = Math.max(0, asked ?? completenessUntilMs(services.clock.nowMs(), services.speed));
  const facts = await grid.completeness(untilMs);
  return {
    grid_id: grid.gridId,
    side: services.ports.identity.kind,
    until_ms: untilMs,
    complete_until_number: facts.completeUntilNumber,
    epoch: facts.epoch,
    // A series without samples yet may be known on one side only.
    series: facts.series
      .filter(({ count }) => count > 0)
      .map(({ deviceId, metric, count, hash }) => ({ device_id: deviceId, metric, count, hash }))
      .sort((a, b) => compare(a.device_id, b.device_id) || compare(a.metric, b.metric)),
  };
};

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
