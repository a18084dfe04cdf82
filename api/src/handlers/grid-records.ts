/** Planned work, the hand-over note, and what the alerts of a grid ask of its people. */
import {
  isGridRecord,
  newId,
  reduceHandOver,
  reduceMaintenance,
  VillagridError,
  type GridRecord,
  type Principal,
} from '@villagrid/contracts';
import type { GridPort } from '../ports.js';
import { readAlertLoad } from '../views/alert-load.js';
import { handOverView, maintenanceList } from '../views/grid-records.js';
import { parseTime } from '../views/history-request.js';
import type { Handler, Services } from './handler.js';

/** The load of a time that nobody asked further about, milliseconds. */
const loadPeriodMs = 30 * 86_400_000;
/** How long ago planned work may begin: work that began before anybody wrote it down. */
const oldestStartMs = 86_400_000;

export const maintenance: Handler<'maintenance'> = async ({ services, grid }) =>
  maintenanceList(grid.gridId, await grid.records(), Math.floor(services.clock.nowMs()));

export const planMaintenance: Handler<'planMaintenance'> = async ({ services, grid, principal, body }) => {
  const nowMs = Math.floor(services.clock.nowMs());
  const reason = body.reason.trim();
  if (reason === '') throw new VillagridError('E_REQUEST_INVALID', 'body.reason must hold more than spaces.');
  const fromMs = Math.round(body.from_ms ?? nowMs);
  if (fromMs < nowMs - oldestStartMs)
    throw new VillagridError('E_REQUEST_INVALID', 'body.from_ms lies more than a day back.');
  const known = new Set(grid.site().devices.map(({ device_id }) => device_id));
  const stranger = body.device_ids?.find((id) => !known.has(id));
  if (stranger !== undefined)
    throw new VillagridError('E_DEVICE_NOT_FOUND', `Grid ${grid.gridId} has no device ${stranger}.`);
  const id = body.act_id ?? newId(nowMs, services.random);
  await say(services, grid, principal, {
    kind: 'maintenance_planned',
    id,
    alert_id: id,
    reason,
    device_ids: body.device_ids ?? null,
    from_ms: fromMs,
    until_ms: fromMs + Math.round(body.duration_s * 1000),
  });
  return maintenanceList(grid.gridId, await grid.records(), nowMs);
};

export const endMaintenance: Handler<'endMaintenance'> = async ({ services, grid, principal, params, body }) => {
  const nowMs = Math.floor(services.clock.nowMs());
  const found = reduceMaintenance(await grid.records()).find(
    ({ maintenance_id }) => maintenance_id === params.maintenance_id,
  );
  if (found === undefined)
    throw new VillagridError('E_NOT_FOUND', `Grid ${grid.gridId} has no planned work of this id.`);
  if (found.ended_by === null)
    await say(services, grid, principal, {
      kind: 'maintenance_ended',
      id: body.act_id ?? newId(nowMs, services.random),
      alert_id: params.maintenance_id,
    });
  return maintenanceList(grid.gridId, await grid.records(), nowMs);
};

export const handOver: Handler<'handOver'> = async ({ services, grid }) =>
  handOverView(grid.gridId, await grid.records(), Math.floor(services.clock.nowMs()));

export const writeHandOver: Handler<'writeHandOver'> = async ({ services, grid, principal, body }) => {
  const nowMs = Math.floor(services.clock.nowMs());
  const note = body.note.trim();
  if (note === '') throw new VillagridError('E_REQUEST_INVALID', 'body.note must hold more than spaces.');
  const id = body.act_id ?? newId(nowMs, services.random);
  const known = reduceHandOver(await grid.records()).flatMap(({ current, event_id }) => (current ? [event_id] : []));
  await say(services, grid, principal, {
    kind: 'handed_over',
    id,
    alert_id: id,
    note,
    replaces: (body.replaces ?? known).filter((one) => one !== id),
  });
  return handOverView(grid.gridId, await grid.records(), nowMs);
};

export const alertLoad: Handler<'alertLoad'> = async ({ services, grid, query }) => {
  const nowMs = Math.floor(services.clock.nowMs());
  const { zone } = grid.site();
  const toMs = query.to === undefined ? nowMs : parseTime(query.to, 'to', zone);
  const fromMs = query.from === undefined ? toMs - loadPeriodMs : parseTime(query.from, 'from', zone);
  if (fromMs >= toMs) throw new VillagridError('E_REQUEST_INVALID', 'query.from must be before query.to.');
  return { grid_id: grid.gridId, now_ms: nowMs, load: await readAlertLoad(grid, { fromMs, toMs }, nowMs) };
};

type Said = {
  [Kind in GridRecord['kind']]: Omit<Extract<GridRecord, { kind: Kind }>, 'grid_id' | 'at_ms' | 'origin' | 'actor'>;
}[GridRecord['kind']];

/** Stores what a person said of the grid; the same id twice has effect once. Throws E_CONFLICT for an id that stands for something else. */
async function say({ clock }: Services, grid: GridPort, principal: Principal, what: Said): Promise<void> {
  const known = (await grid.records()).find(({ id }) => id === what.id);
  if (known !== undefined) {
    if (known.kind === what.kind && known.alert_id === what.alert_id && known.actor.user_id === principal.user_id)
      return;
    throw new VillagridError('E_CONFLICT', 'body.act_id was used for another act; make a new one.');
  }
  const event: GridRecord = {
    ...what,
    grid_id: grid.gridId,
    at_ms: Math.floor(clock.nowMs()),
    origin: grid.origin,
    actor: { user_id: principal.user_id, name: principal.display_name },
  };
  if (isGridRecord(event)) await grid.append(event);
}
