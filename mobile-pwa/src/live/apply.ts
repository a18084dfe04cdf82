/** Frames of the live channel applied to what the screen holds. Pure. */
import type { AlertView, DeviceView, GridState, LiveFrame, Summary } from '@villagrid/contracts';

/** What a screen knows about one grid. */
export interface GridView {
  readonly summary: Summary;
  readonly alerts: readonly AlertView[];
  readonly devices: readonly DeviceView[];
  /** Server time of the last answer for this grid, Unix ms. */
  readonly answeredAtMs: number;
}

/**
 * Puts changed alerts into a list, by id. What happened to an alert only grows: one with fewer entries is an older answer
 * that was overtaken on its way, as that of an act by the live channel, and takes nobody's act off the screen.
 */
export function mergeAlerts(list: readonly AlertView[], changed: readonly AlertView[]): AlertView[] {
  const byId = new Map(list.map((alert) => [alert.alert_id, alert]));
  for (const alert of changed) {
    const known = byId.get(alert.alert_id);
    if (known === undefined || known.timeline.length <= alert.timeline.length) byId.set(alert.alert_id, alert);
  }
  return [...byId.values()];
}

/**
 * The list a call answered with, and what changed on the phone while it was on its way: an alert that the live channel
 * told meanwhile must not vanish because the answer is older. `before` is the phone's list when the call was made.
 */
export function answeredAlerts(
  answer: readonly AlertView[],
  before: readonly AlertView[],
  now: readonly AlertView[],
): AlertView[] {
  const then = new Set(before);
  return mergeAlerts(
    answer,
    now.filter((alert) => !then.has(alert)),
  );
}

/** For how long a phone keeps what was an alert, ms. */
export const alertsKeptMs = 90 * 86_400_000;

/**
 * The alerts to keep after an answer: those of `answeredAlerts`, and of those it does not hold the ones that it could not
 * hold: past ones beyond its page (`whole` is false), and all of another server's, which may know more than this one.
 */
export function keptAlerts(
  answer: readonly AlertView[],
  before: readonly AlertView[],
  now: readonly AlertView[],
  { whole, sameServer, nowMs }: { readonly whole: boolean; readonly sameServer: boolean; readonly nowMs: number },
): AlertView[] {
  const beyond = before.filter(({ status }) => !sameServer || (!whole && status !== 'active'));
  return mergeAlerts(beyond, answeredAlerts(answer, before, now)).filter(
    ({ status, raised_at_ms }) => status === 'active' || raised_at_ms > nowMs - alertsKeptMs,
  );
}

/** Applies a frame. Undefined while nothing is known and the frame is not a snapshot. */
export function applyFrame(view: GridView | undefined, frame: LiveFrame): GridView | undefined {
  if (frame.type === 'snapshot')
    return {
      summary: frame.summary,
      alerts: mergeAlerts(view?.alerts ?? [], frame.alerts),
      devices: frame.devices,
      answeredAtMs: frame.summary.now_ms,
    };
  if (view === undefined) return undefined;
  switch (frame.type) {
    case 'values':
      return {
        ...view,
        answeredAtMs: frame.now_ms,
        summary: {
          ...view.summary,
          now_ms: frame.now_ms,
          figures: { ...view.summary.figures, ...frame.figures },
          verdict: frame.verdict,
          source: { ...view.summary.source, last_reported_ms: frame.last_reported_ms },
        },
      };
    case 'alert':
      return { ...view, alerts: mergeAlerts(view.alerts, [frame.alert]) };
    case 'devices': {
      const byId = new Map(view.devices.map((device) => [device.device_id, device]));
      for (const device of frame.devices) byId.set(device.device_id, device);
      const devices = [...byId.values()];
      // Counted as the server does: a spare or a hand-held that nobody expects is not missing.
      const expected = devices.filter((device) => device.expected);
      const seen = expected.filter(({ link_state }) => link_state === 'connected' || link_state === 'late').length;
      return {
        ...view,
        devices,
        summary: { ...view.summary, devices: { ...view.summary.devices, seen, total: expected.length } },
      };
    }
    case 'ping':
      return { ...view, answeredAtMs: frame.now_ms };
    default:
      return view;
  }
}

const severityOrder = ['critical', 'high', 'medium', 'low'];

/** Whether an alert speaks for itself: active, and nothing else explains it. */
export const speaks = (alert: AlertView): boolean =>
  alert.status === 'active' && (alert.suppressed_by ?? null) === null;

/** Whether an alert is paused at `nowMs`, Unix ms: it is open and known, and wakes nobody until then. */
export const paused = ({ status, shelved_until_ms }: AlertView, nowMs: number): boolean =>
  status === 'active' && shelved_until_ms !== null && shelved_until_ms > nowMs;

/** Whether the worst alert of a grid calls for nobody at `nowMs`, Unix ms: somebody has seen it, or it is paused. */
export const worstCalm = (grid: GridState, nowMs: number): boolean =>
  grid.worst_acknowledged || (grid.worst_paused_until_ms ?? 0) > nowMs;

/** The same alerts, those that are paused at `nowMs` after the others. */
export const pausedLast = <A extends AlertView>(alerts: readonly A[], nowMs: number): A[] => [
  ...alerts.filter((alert) => !paused(alert, nowMs)),
  ...alerts.filter((alert) => paused(alert, nowMs)),
];

/** Open alerts, worst first, unseen before seen, newest first. */
export function openAlerts<A extends AlertView>(alerts: readonly A[]): A[] {
  return alerts
    .filter(speaks)
    .sort(
      (a, b) =>
        severityOrder.indexOf(a.severity) - severityOrder.indexOf(b.severity) ||
        Number(a.acknowledged) - Number(b.acknowledged) ||
        b.raised_at_ms - a.raised_at_ms,
    );
}
