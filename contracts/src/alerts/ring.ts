/** Whether people are to be told of an event now: the one rule for every channel. */
import type { AlertEvent } from './events.js';
import { compareSeverity } from './events.js';
import { shelvedAt, standsAlone, type Alert } from './reduce.js';

/** What happened, or was measured, longer ago than this tells about the past and rings no bell, milliseconds. */
export const oldestRingingMs = 600_000;

/**
 * Whether an event wakes people: an alert that is raised, grew worse, or comes back out of what kept it back. Not while
 * something else explains it, while it is paused, after it cleared, or when it is late. `alert` is what it is now.
 */
export function rings(event: AlertEvent, alert: Alert, nowMs: number): boolean {
  if (!standsAlone(alert) || shelvedAt(alert, nowMs) !== undefined) return false;
  if (nowMs - event.at_ms > oldestRingingMs) return false;
  switch (event.kind) {
    case 'raised':
      return true;
    case 'released':
      return event.told;
    case 'severity_changed':
      return compareSeverity(event.severity, severityBefore(event.id, alert)) < 0;
    default:
      return false;
  }
}

/** The severity an alert had before one of its changes; by its timeline, the last known one before it. */
function severityBefore(eventId: string, alert: Alert): Alert['severity'] {
  const changes = alert.timeline.filter(({ kind }) => kind === 'severity_changed');
  const at = changes.findIndex(({ event_id }) => event_id === eventId);
  const before = at > 0 ? changes[at - 1]?.about : alert.raised_severity;
  return (before ?? alert.severity) as Alert['severity'];
}
