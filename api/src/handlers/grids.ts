/** Grids, summary, devices, completeness. */
import {
  granularities,
  localDays,
  localDayStartMs,
  mayOnGrid,
  VillagridError,
  zoneOffsetMs,
  type Granularity,
  type TimeSpan,
} from '@villagrid/contracts';
import { freshen } from '../insight/insights.js';
import { deviceViews } from '../views/devices.js';
import { parseTime } from '../views/history-request.js';
import { gridState, matchesSearch } from '../views/state.js';
import { Answer, type Handler } from './handler.js';

export const grids: Handler<'grids'> = async ({ services, principal, query }) => {
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
  const { search = '', needs } = query;
  const wanted = states
    .filter((state) => search.trim() === '' || matchesSearch(state, search.trim()))
    .filter((state) => needs === undefined || state.needs?.some((need) => needs === 'any' || need === needs) === true);
  return { grids: wanted, now_ms: nowMs };
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

/** Days that are answered for when none is asked for. */
const daysTold = 7;
const dayMs = 86_400_000;

/** The days to answer for: the one asked for, or the last ones up to a time. */
function daysAsked(day: string | undefined, untilMs: number, zone: string): readonly TimeSpan[] {
  if (day === undefined) return localDays(zone, untilMs - daysTold * dayMs, untilMs).slice(-daysTold);
  if (!/^\d{4}-\d{2}-\d{2}$/.test(day) || dayText(Date.parse(`${day}T00:00Z`), 'UTC') !== day)
    throw new VillagridError('E_REQUEST_INVALID', 'query.day must be a day that exists, as YYYY-MM-DD.');
  const fromMs = localDayStartMs(zone, parseTime(`${day}T12:00`, 'day', zone));
  return localDays(zone, fromMs, fromMs + 1);
}

/** The date of a moment in a zone, YYYY-MM-DD; empty for a moment that is none. */
const dayText = (timeMs: number, zone: string): string =>
  Number.isFinite(timeMs) ? new Date(timeMs + zoneOffsetMs(zone, timeMs)).toISOString().slice(0, 10) : '';

export const completeness: Handler<'completeness'> = async ({ services, grid, query }) => {
  if (query.to !== undefined && query.until_ms !== undefined)
    throw new VillagridError(
      'E_REQUEST_INVALID',
      'query.to and query.until_ms contradict each other; give one of them.',
    );
  const asked = query.to === undefined ? query.until_ms : parseTime(query.to, 'to', grid.site().zone);
  const untilMs = Math.max(0, asked ?? completenessUntilMs(services.clock.nowMs(), services.speed));
  const { zone } = grid.site();
  // What is told of a day is judged as of now, also when the samples of an earlier time are counted.
  const days = daysAsked(query.day, asked === undefined ? services.clock.nowMs() : untilMs, zone);
  const facts = await grid.completeness(untilMs);
  const proof = await grid.proof?.(days);
  return {
    grid_id: grid.gridId,
    side: services.ports.identity.kind,
    until_ms: facts.untilMs ?? untilMs,
    complete_until_number: facts.completeUntilNumber,
    epoch: facts.epoch,
    // A series without samples yet may be known on one side only.
    series: facts.series
      .filter(({ count }) => count > 0)
      .map(({ deviceId, metric, count, hash }) => ({ device_id: deviceId, metric, count, hash }))
      .sort((a, b) => compare(a.device_id, b.device_id) || compare(a.metric, b.metric)),
    ...(grid.kept === undefined ? {} : { kept: keptSince(grid.kept(), services.clock.nowMs()) }),
    ...(proof === undefined
      ? {}
      : {
          logs: [...proof.logs],
          // Noon has the date of its day also where the clock is put on at midnight.
          days: proof.days.map((one) => ({ day: dayText((one.from_ms + one.to_ms) / 2, zone), ...one })),
        }),
  };
};

/** Since when each granularity is kept. */
const keptSince = (kept: Readonly<Partial<Record<Granularity, number>>>, nowMs: number) =>
  granularities.map((granularity) => {
    const keptMs = kept[granularity];
    return { granularity, since_ms: keptMs === undefined ? null : Math.max(0, Math.floor(nowMs - keptMs)) };
  });

export const uplink: Handler<'uplink'> = async ({ grid }) => ({
  grid_id: grid.gridId,
  uplink: grid.uplink?.() ?? null,
});

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
