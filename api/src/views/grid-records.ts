/** What people said of the grid as a whole, as the API shows it: planned work and the hand-over. */
import {
  isMaintenanceInForce,
  reduceHandOver,
  reduceMaintenance,
  type AlertEvent,
  type HandOverView,
  type Maintenance,
  type MaintenanceList,
  type MaintenanceView,
} from '@villagrid/contracts';

/** Most entries of a list. */
const mostListed = 100;
/** Work that begins within this time is shown on the dashboard. */
const soonMs = 86_400_000;

/** One planned work as of now. */
export function maintenanceView(one: Maintenance, nowMs: number): MaintenanceView {
  const { grid_id: _grid, device_ids, ...shown } = one;
  const state = isMaintenanceInForce(one, nowMs)
    ? 'now'
    : one.ended_by === null && one.from_ms > nowMs
      ? 'ahead'
      : 'over';
  return { ...shown, device_ids: device_ids === null ? null : [...device_ids], state };
}

/** Planned work of a grid, newest first. */
export function maintenanceList(gridId: string, records: readonly AlertEvent[], nowMs: number): MaintenanceList {
  const maintenance = reduceMaintenance(records)
    .reverse()
    .slice(0, mostListed)
    .map((one) => maintenanceView(one, nowMs));
  return { grid_id: gridId, now_ms: nowMs, maintenance };
}

/** What the dashboard shows: work that goes on, and what begins within a day. */
export function maintenanceAtHand(records: readonly AlertEvent[], nowMs: number): MaintenanceView[] {
  return reduceMaintenance(records)
    .map((one) => maintenanceView(one, nowMs))
    .filter(({ state, from_ms }) => state === 'now' || (state === 'ahead' && from_ms - nowMs < soonMs));
}

/** The notes of the hand-over. */
export function handOverView(gridId: string, records: readonly AlertEvent[], nowMs: number): HandOverView {
  return { grid_id: gridId, now_ms: nowMs, notes: reduceHandOver(records).slice(0, mostListed) };
}
