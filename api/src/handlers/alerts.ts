/** Alerts: list, one, and what people do with them. */
import {
  newId,
  shelvedAt,
  VillagridError,
  type AcknowledgedEvent,
  type Actor,
  type Alert,
  type AlertView,
  type AssignedEvent,
  type NotedEvent,
  type Principal,
  type ShelvedEvent,
  type UnshelvedEvent,
} from '@villagrid/contracts';
import type { GridPort } from '../ports.js';
import { alertView, parseSeverities, readAlertPage } from '../views/alerts.js';
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
  const board = services.board(grid);
  return readAlertPage(grid, await board.active(), filter, board.nowMs());
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

export const assign: Handler<'assign'> = ({ services, grid, principal, params, body }) =>
  act(services, grid, principal, params.alert_id, body, (before) => {
    const assignee =
      body.assignee === 'me'
        ? actorOf(principal)
        : body.assignee && { user_id: body.assignee.user_id ?? '', name: body.assignee.name.trim() };
    if (assignee?.name === '') throw new VillagridError('E_REQUEST_INVALID', 'body.assignee.name must be a name.');
    const known = before.timeline.filter(({ kind }) => kind === 'assigned').map(({ event_id }) => event_id);
    return { kind: 'assigned', assignee, replaces: body.replaces ?? known };
  });

export const shelve: Handler<'shelve'> = ({ services, grid, principal, params, body }) => {
  const reason = body.reason.trim();
  if (reason === '') throw new VillagridError('E_REQUEST_INVALID', 'body.reason must hold more than spaces.');
  const what = { kind: 'shelved', reason, duration_ms: Math.round(body.duration_s * 1000) } as const;
  return act(services, grid, principal, params.alert_id, body, what);
};

export const unshelve: Handler<'unshelve'> = async ({ services, grid, principal, params, body }) => {
  const nowMs = Math.floor(services.clock.nowMs());
  for (;;) {
    const before = await requireAlert(grid, params.alert_id);
    const known = before.timeline.some(({ event_id }) => event_id === body.act_id);
    const shelved = shelvedAt(before, nowMs);
    if (known || shelved === undefined) return alertView(before, nowMs);
    // Several people may have paused it; the act of the phone's id is the last that is written.
    const isLast = before.shelvings.filter((one) => one.until_ms > nowMs).length === 1;
    const given = isLast ? body : { occurred_at_ms: body.occurred_at_ms };
    await act(services, grid, principal, params.alert_id, given, {
      kind: 'unshelved',
      shelve_event_id: shelved.event_id,
    });
  }
};

type Act =
  | Pick<AcknowledgedEvent, 'kind' | 'note'>
  | Pick<NotedEvent, 'kind' | 'note'>
  | Pick<AssignedEvent, 'kind' | 'assignee' | 'replaces'>
  | Pick<ShelvedEvent, 'kind' | 'reason' | 'duration_ms'>
  | Pick<UnshelvedEvent, 'kind' | 'shelve_event_id'>;

const actorOf = ({ user_id, display_name }: Principal): Actor => ({ user_id, name: display_name });

/** Stores what a person did; the same act id twice has effect once. Throws E_ALERT_NOT_FOUND and E_CONFLICT. */
async function act(
  { clock, random }: Services,
  grid: GridPort,
  principal: Principal,
  alertId: string,
  given: { readonly act_id?: string | undefined; readonly occurred_at_ms?: number | undefined },
  asked: Act | ((before: Alert) => Act),
): Promise<AlertView> {
  const before = await requireAlert(grid, alertId);
  const what = typeof asked === 'function' ? asked(before) : asked;
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
    actor: actorOf(principal),
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
  const note = 'note' in what ? what.note : what.kind === 'shelved' ? what.reason : null;
  const about = what.kind === 'assigned' ? (what.assignee?.name ?? null) : null;
  const same = entry.kind === what.kind && entry.note === note && entry.about === about;
  if (!same || entry.actor?.user_id !== principal.user_id) throw conflict();
  return true;
}
