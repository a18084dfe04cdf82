/** Alerts: list, one, and what people do with them. */
import {
  newId,
  VillagridError,
  type AcknowledgedEvent,
  type Alert,
  type AlertView,
  type NotedEvent,
  type Principal,
} from '@villagrid/contracts';
import type { GridPort } from '../ports.js';
import { alertPage, alertView, parseSeverities } from '../views/alerts.js';
import { parseTime } from '../views/history-request.js';
import type { Handler, Services } from './handler.js';

export const alerts: Handler<'alerts'> = async ({ services, grid, query }) => {
  const { zone } = grid.site();
  const filter = {
    ...(query.status === undefined ? {} : { status: query.status }),
    ...(query.severity === undefined ? {} : { severities: parseSeverities(query.severity) }),
    ...(query.device === undefined ? {} : { deviceId: query.device }),
    ...(query.acknowledged === undefined ? {} : { acknowledged: query.acknowledged === 'true' }),
    ...(query.from === undefined ? {} : { fromMs: parseTime(query.from, 'from', zone) }),
    ...(query.to === undefined ? {} : { toMs: parseTime(query.to, 'to', zone) }),
    ...(query.limit === undefined ? {} : { limit: query.limit }),
    ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
  };
  // Resolved ones are asked apart: the active ones are needed for the counts in any case.
  const board = services.board(grid);
  const [active, others] = await Promise.all([
    board.active(),
    query.status === 'active' ? [] : grid.alerts(query.status === undefined ? {} : { status: query.status }),
  ]);
  const all = new Map([...others, ...active].map((alert) => [alert.alert_id, alert]));
  return alertPage([...all.values()], filter, board.nowMs());
};

async function requireAlert(grid: GridPort, alertId: string): Promise<Alert> {
  const alert = await grid.alert(alertId);
  if (alert === undefined || alert.grid_id !== grid.gridId)
    throw new VillagridError('E_ALERT_NOT_FOUND', `Grid ${grid.gridId} has no alert of this id.`);
  return alert;
}

export const alert: Handler<'alert'> = async ({ services, grid, params }) =>
  alertView(await requireAlert(grid, params.alert_id), Math.floor(services.clock.nowMs()));

export const acknowledge: Handler<'acknowledge'> = ({ services, grid, principal, params, body }) => {
  const text = body.note?.trim();
  const note = text === undefined || text === '' ? null : text;
  return act(services, grid, principal, params.alert_id, body, { kind: 'acknowledged', note });
};

export const note: Handler<'note'> = ({ services, grid, principal, params, body }) => {
  const text = body.note.trim();
  if (text === '') throw new VillagridError('E_REQUEST_INVALID', 'body.note must hold more than spaces.');
  return act(services, grid, principal, params.alert_id, body, { kind: 'noted', note: text });
};

type Act = Pick<AcknowledgedEvent, 'kind' | 'note'> | Pick<NotedEvent, 'kind' | 'note'>;

/** Stores what a person did; the same act id twice has effect once. Throws E_ALERT_NOT_FOUND and E_CONFLICT. */
async function act(
  { clock, random }: Services,
  grid: GridPort,
  principal: Principal,
  alertId: string,
  given: { readonly act_id?: string | undefined; readonly occurred_at_ms?: number | undefined },
  what: Act,
): Promise<AlertView> {
  const before = await requireAlert(grid, alertId);
  const nowMs = Math.floor(clock.nowMs());
  const repeated =
    what.kind === 'acknowledged' &&
    what.note === null &&
    given.act_id === undefined &&
    before.timeline.some(({ kind, actor }) => kind === what.kind && actor?.user_id === principal.user_id);
  if (repeated) return alertView(before, nowMs);
  const id = given.act_id ?? newId(nowMs, random);
  if (isThere(before, id, principal, what)) return alertView(before, nowMs);
  await grid.append({
    ...what,
    id,
    alert_id: alertId,
    grid_id: grid.gridId,
    // A phone's clock may be wrong: nobody acts before the alert or in the future.
    at_ms: Math.max(Math.min(Math.round(given.occurred_at_ms ?? nowMs), nowMs), Math.min(before.raised_at_ms, nowMs)),
    origin: grid.origin,
    actor: { user_id: principal.user_id, name: principal.display_name },
  });
  const after = await requireAlert(grid, alertId);
  if (!isThere(after, id, principal, what)) throw conflict();
  return alertView(after, nowMs);
}

const conflict = () => new VillagridError('E_CONFLICT', 'body.act_id was used for another act; make a new one.');

/** Whether this act is in the alert's timeline already. Throws E_CONFLICT when its id stands for something else. */
function isThere(alert: Alert, id: string, principal: Principal, what: Act): boolean {
  const entry = alert.timeline.find(({ event_id }) => event_id === id);
  if (entry === undefined) return false;
  if (entry.kind !== what.kind || entry.note !== what.note || entry.actor?.user_id !== principal.user_id)
    throw conflict();
  return true;
}
