/** Alerts as the API shows them: one, and pages of them with filters. */
import {
  compareAlerts,
  severities,
  shelvedAt,
  standsAlone,
  VillagridError,
  type Alert,
  type AlertPage,
  type AlertView,
  type Severity,
} from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { GridPort } from '../ports.js';

/** Alerts of one page when nothing is asked, and at most. */
const defaultLimit = 50;

/** One alert as the API shows it. A pause that has ended is not shown. */
export function alertView(alert: Alert, nowMs: number): AlertView {
  const shelved = shelvedAt(alert, nowMs);
  return {
    alert_id: alert.alert_id,
    id: alert.alert_id,
    grid_id: alert.grid_id,
    rule_id: alert.rule_id,
    type: alert.type,
    severity: alert.severity,
    message: alert.message,
    what: alert.what,
    why: alert.why,
    steps: [...alert.steps],
    recommended_action: alert.steps.join(' '),
    ...(alert.how_long === undefined ? {} : { how_long: alert.how_long }),
    ...(alert.said === undefined ? {} : { said: alert.said }),
    device_id: alert.device_id,
    device_name: alert.device_name,
    metric: alert.metric,
    value: alert.value,
    limit: alert.limit,
    unit: alert.unit,
    status: alert.status,
    acknowledged: alert.acknowledged,
    acknowledged_by: alert.acknowledged_by,
    acknowledged_at_ms: alert.acknowledged_at_ms,
    seen_after_clearing: alert.seen_after_clearing,
    raised_at_ms: alert.raised_at_ms,
    cleared_at_ms: alert.cleared_at_ms,
    assignee: alert.assignee,
    shelved_until_ms: shelved?.until_ms ?? null,
    shelved_reason: shelved?.reason ?? null,
    suppressed_by: alert.suppressed_by,
    suppressed_because: alert.suppressed_because,
    last_known_since_ms: alert.last_known_since_ms,
    notes: alert.notes.map((note) => ({ ...note })),
    timeline: alert.timeline.map((entry) => ({ ...entry })),
  };
}

/** What a page of alerts is asked for; times in Unix milliseconds, `fromMs` included, `toMs` not. */
export interface AlertFilter {
  readonly severities?: readonly Severity[];
  readonly status?: 'active' | 'resolved';
  readonly deviceId?: string;
  readonly acknowledged?: boolean;
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly limit?: number;
  readonly cursor?: string;
}

/** Severities from a list separated by commas. Throws E_REQUEST_INVALID for an unknown one. */
export function parseSeverities(text: string): Severity[] {
  return text.split(',').map((part) => {
    const known = severities.find((severity) => severity === part.trim());
    if (known === undefined)
      throw new VillagridError('E_REQUEST_INVALID', `query.severity must be of ${severities.join(', ')}.`);
    return known;
  });
}

/** Resolved alerts that are read at once, and looked at for one page at most: other work goes on between. */
const chunkAlerts = 200;
const mostLookedAt = 2000;

/** Whether an alert is one that is asked for. */
const isWanted = (alert: Alert, filter: AlertFilter): boolean =>
  (filter.status === undefined || alert.status === filter.status) &&
  (filter.severities === undefined || filter.severities.includes(alert.severity)) &&
  (filter.deviceId === undefined || alert.device_id === filter.deviceId) &&
  (filter.acknowledged === undefined || alert.acknowledged === filter.acknowledged) &&
  (filter.fromMs === undefined || alert.raised_at_ms >= filter.fromMs) &&
  (filter.toMs === undefined || alert.raised_at_ms < filter.toMs);

/**
 * A page in the order of `compareAlerts`, read no further than it needs; the cursor is the place of the last alert, so pages
 * stay whole while alerts come and go. Where 2,000 resolved ones were looked at and few are wanted, a page may be short, or
 * empty, and its cursor leads on.
 */
export async function readAlertPage(
  grid: Pick<GridPort, 'alerts'>,
  active: readonly Alert[],
  filter: AlertFilter,
  nowMs: number,
): Promise<AlertPage> {
  const limit = filter.limit ?? defaultLimit;
  const after = filter.cursor === undefined ? undefined : placeOf(filter.cursor);
  const isNext = (alert: Alert): boolean =>
    isWanted(alert, filter) && (after === undefined || compareAlerts(after, alert) < 0);
  const found = new Map<string, Alert>();
  for (const alert of active) if (isNext(alert)) found.set(alert.alert_id, alert);
  let leadsOn: Alert | undefined;
  if (filter.status !== 'active' && found.size <= limit) {
    const activeIds = new Set(active.map(({ alert_id }) => alert_id));
    const fromMs = filter.fromMs ?? Number.MIN_SAFE_INTEGER;
    let toMs = filter.toMs ?? Number.MAX_SAFE_INTEGER;
    if (after?.status === 'resolved') toMs = Math.min(toMs, after.raised_at_ms + 1);
    const seen = new Set<string>();
    for (let chunk = chunkAlerts; found.size <= limit; ) {
      if (seen.size > 0) await nextTurn();
      const some = await grid.alerts({ status: 'resolved', raised: { fromMs, toMs }, mostResolved: chunk });
      const fresh = some.filter(({ alert_id }) => !seen.has(alert_id));
      for (const alert of fresh) {
        seen.add(alert.alert_id);
        if (!activeIds.has(alert.alert_id) && isNext(alert)) found.set(alert.alert_id, alert);
      }
      const last = some.at(-1);
      if (last === undefined || some.length < chunk) break;
      if (seen.size >= mostLookedAt) {
        leadsOn = last;
        break;
      }
      // Those of the same millisecond come once more; where they fill all of it, it must be larger.
      if (fresh.length === 0 || last.raised_at_ms + 1 >= toMs) chunk *= 2;
      toMs = Math.min(toMs, last.raised_at_ms + 1);
    }
  }
  const rest = [...found.values()].sort(compareAlerts);
  const page = rest.slice(0, limit);
  const next = rest.length > page.length ? page.at(-1) : leadsOn;
  const open = active.filter(standsAlone);
  return {
    alerts: page.map((alert) => alertView(alert, nowMs)),
    next_cursor: next === undefined ? null : cursorOf(next),
    open: open.length,
    unacknowledged: open.filter((alert) => !alert.acknowledged).length,
  };
}

function cursorOf(alert: Alert): string {
  const place = [alert.status, alert.severity, alert.acknowledged, alert.raised_at_ms, alert.alert_id];
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/** An alert with only the fields that `compareAlerts` looks at. */
function placeOf(cursor: string): Alert {
  try {
    const place = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[];
    const [status, severity, acknowledged, raised, id] = place;
    if (
      (status === 'active' || status === 'resolved') &&
      severities.includes(severity as Severity) &&
      typeof acknowledged === 'boolean' &&
      Number.isFinite(raised) &&
      typeof id === 'string'
    )
      return { status, severity, acknowledged, raised_at_ms: raised, alert_id: id } as Alert;
  } catch {
    // Falls through to the refusal.
  }
  throw new VillagridError('E_REQUEST_INVALID', 'query.cursor is not a cursor of this list; start without one.');
}
