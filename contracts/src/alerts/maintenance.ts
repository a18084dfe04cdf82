/** Planned work: what is raised while it lasts is recorded and wakes nobody. Same result for any order and repetition. */
import type { Actor, AlertEvent, MaintenancePlannedEvent, Severity } from './events.js';

/** One planned work. */
export interface Maintenance {
  readonly maintenance_id: string;
  readonly grid_id: string;
  readonly reason: string;
  /** Devices that are worked on; null for the whole grid. */
  readonly device_ids: readonly string[] | null;
  /** Start, Unix ms. */
  readonly from_ms: number;
  /** When it ends, or ended, Unix ms. */
  readonly until_ms: number;
  readonly planned_by: Actor;
  /** Who ended it before its time; null when nobody did. */
  readonly ended_by: Actor | null;
}

/** Longest planned work, 7 days in milliseconds: what is forgotten must not keep a village silent. */
export const longestMaintenanceMs = 7 * 86_400_000;

/** All planned work among these events, by its start. */
export function reduceMaintenance(events: Iterable<AlertEvent>): Maintenance[] {
  const plans = new Map<string, MaintenancePlannedEvent>();
  const ends = new Map<string, { readonly atMs: number; readonly actor: Actor }>();
  for (const event of events) {
    if (event.kind === 'maintenance_planned') {
      const known = plans.get(event.alert_id);
      if (known === undefined || event.id < known.id) plans.set(event.alert_id, event);
    } else if (event.kind === 'maintenance_ended') {
      const known = ends.get(event.alert_id);
      if (known === undefined || event.at_ms < known.atMs)
        ends.set(event.alert_id, { atMs: event.at_ms, actor: event.actor });
    }
  }
  return [...plans.values()]
    .map((plan): Maintenance => {
      const end = ends.get(plan.alert_id);
      const plannedMs = Math.min(plan.until_ms, plan.from_ms + longestMaintenanceMs);
      return {
        maintenance_id: plan.alert_id,
        grid_id: plan.grid_id,
        reason: plan.reason,
        device_ids: plan.device_ids,
        from_ms: plan.from_ms,
        // Whatever clocks say: ended before it began is never begun.
        until_ms: end === undefined ? plannedMs : Math.max(plan.from_ms, Math.min(plannedMs, end.atMs)),
        planned_by: plan.actor,
        ended_by: end?.actor ?? null,
      };
    })
    .sort((a, b) => a.from_ms - b.from_ms || (a.maintenance_id < b.maintenance_id ? -1 : 1));
}

/** A start this near to when it was said is "now" by the clock of who took it, milliseconds. */
const atOnceMs = 5000;

/**
 * An event whose time is put right. Planned work that was to begin at once was dated by the same wrong clock, so it moves
 * along; a start that a person named is the time on the wall and stays.
 */
export function retimedEvent<E extends AlertEvent>(event: E, atMs: number): E {
  const moved = { ...event, at_ms: atMs };
  if (moved.kind !== 'maintenance_planned' || Math.abs(moved.from_ms - event.at_ms) > atOnceMs) return moved;
  const byMs = atMs - event.at_ms;
  return { ...moved, from_ms: moved.from_ms + byMs, until_ms: moved.until_ms + byMs };
}

/** Whether work goes on at a time. One that somebody ended is over at once, by whosever clock. */
export function isMaintenanceInForce({ from_ms, until_ms, ended_by }: Maintenance, nowMs: number): boolean {
  return ended_by === null && from_ms <= nowMs && nowMs < until_ms;
}

/** What planned work is compared with: an alert, and the devices whose values it is about. */
export interface AlertOfWork {
  /** The alert's device; null when it is about the grid as a whole. */
  readonly deviceId: string | null;
  readonly severity: Severity;
  readonly sources: readonly string[];
}

/**
 * Whether an alert belongs to the work. Work on devices covers what is about these devices. A figure of the grid that they are
 * part of tells of others too: it is covered only where all of it is worked on, and never when it is critical, so that a
 * village without power still wakes somebody.
 */
export function maintenanceCovers({ device_ids }: Maintenance, { deviceId, severity, sources }: AlertOfWork): boolean {
  if (device_ids === null) return true;
  if (deviceId !== null) return device_ids.includes(deviceId);
  return severity !== 'critical' && sources.length > 0 && sources.every((id) => device_ids.includes(id));
}

/** One note of the hand-over from operator to operator. */
export interface HandOver {
  readonly event_id: string;
  readonly at_ms: number;
  readonly actor: Actor;
  readonly note: string;
  /** False once a later one was written by somebody who knew it. */
  readonly current: boolean;
}

/** The notes of the hand-over, newest first. Of two that were written without knowing each other both are current. */
export function reduceHandOver(events: Iterable<AlertEvent>): HandOver[] {
  const notes = new Map<string, Extract<AlertEvent, { kind: 'handed_over' }>>();
  for (const event of events) if (event.kind === 'handed_over') notes.set(event.id, event);
  const replaced = new Set([...notes.values()].flatMap(({ replaces }) => replaces));
  return [...notes.values()]
    .map(({ id, at_ms, actor, note }) => ({ event_id: id, at_ms, actor, note, current: !replaced.has(id) }))
    .sort((a, b) => Number(b.current) - Number(a.current) || b.at_ms - a.at_ms || (a.event_id < b.event_id ? 1 : -1));
}
