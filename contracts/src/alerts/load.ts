/**
 * How much a grid asks of its people: alerts against the figures of ISA-18.2 and against what somebody with another job can
 * bear. Pure: the same alerts give the same figures on both sides.
 */
import { zoneOffsetMs } from '../history/resolution.js';
import { severities, type Severity } from './events.js';
import type { Alert } from './reduce.js';

/** What a village operator can bear, and what ISA-18.2 allows an operator whose only work it is. */
export const alertLoadTargets = {
  perDay: 5,
  perNight: 1,
  /** ISA-18.2: at most 150 a day, 10 within ten minutes, less than 1 % of the time in a flood, 5 that stand for a day. */
  isaPerDay: 150,
  per10Min: 10,
  floodShare: 0.01,
  stale: 5,
  /** Shares of the severities: critical, high, and the rest. */
  mix: { critical: 0.05, high: 0.15, other: 0.8 },
} as const;

/** An alert that stands longer than this is stale. */
const standsLongMs = 86_400_000;
/** So many times within ten minutes is chattering. */
const chatterCount = 3;
const tenMinutesMs = 600_000;
/** Local hours of the night. */
const night = { from: 22, to: 6 } as const;

/** How often a rule spoke. */
export interface RuleLoad {
  readonly rule_id: string;
  readonly message: string;
  readonly count: number;
  /** Of all alerts of the time. */
  readonly share: number;
}

/** The load of a time. */
export interface AlertLoad {
  readonly from_ms: number;
  readonly to_ms: number;
  readonly days: number;
  /** Alerts that asked for somebody. */
  readonly alerts: number;
  /** Further ones that something else explained. */
  readonly suppressed: number;
  readonly per_day: number;
  /** In the worst local day. */
  readonly most_per_day: number;
  readonly per_night: number;
  readonly peak_10_min: { readonly count: number; readonly from_ms: number } | null;
  /** Share of the time in which more than ten came within ten minutes. */
  readonly flood_share: number;
  readonly by_severity: Readonly<Record<Severity, number>>;
  /** The rules that spoke most, at most ten. */
  readonly worst_rules: readonly RuleLoad[];
  /** Rules that came and went three times within ten minutes, and on which device. */
  readonly chattering: ReadonlyArray<{
    readonly rule_id: string;
    readonly message: string;
    readonly device_name: string | null;
    readonly count: number;
  }>;
  /** Active now, and of these for more than a day. */
  readonly standing: number;
  readonly stale: number;
  /** Median time until somebody had seen it, ms; null when nobody saw any. */
  readonly median_seen_ms: number | null;
  readonly judgement: 'good' | 'fair' | 'poor';
}

/** What the load is reckoned from: little of an alert, because there may be many thousands in a year. */
export interface LoadFacts
  extends Pick<
    Alert,
    | 'rule_id'
    | 'message'
    | 'device_id'
    | 'device_name'
    | 'metric'
    | 'severity'
    | 'status'
    | 'raised_at_ms'
    | 'acknowledged_at_ms'
  > {
  /** Kept back in the moment it was raised: nobody was woken for it. */
  readonly quiet: boolean;
}

/** That of an alert. */
export function loadFacts(alert: Alert): LoadFacts {
  const { rule_id, message, device_id, device_name, metric, severity, status, raised_at_ms, acknowledged_at_ms } =
    alert;
  const known = {
    rule_id,
    message,
    device_id,
    device_name,
    metric,
    severity,
    status,
    raised_at_ms,
    acknowledged_at_ms,
  };
  return { ...known, quiet: isQuietFromTheStart(alert) };
}

/**
 * The load of [fromMs, toMs) from the alerts of a grid; those of other times may be among them. `nowMs` bounds the time and
 * tells how long an alert stands.
 */
export function alertLoad(
  all: readonly LoadFacts[],
  { fromMs, toMs, nowMs, zone }: { fromMs: number; toMs: number; nowMs: number; zone: string },
): AlertLoad {
  const untilMs = Math.max(fromMs + 1, Math.min(toMs, nowMs));
  const raised = all
    .filter(({ raised_at_ms }) => raised_at_ms >= fromMs && raised_at_ms < untilMs)
    .sort((a, b) => a.raised_at_ms - b.raised_at_ms);
  const asked = raised.filter(({ quiet }) => !quiet);
  const days = (untilMs - fromMs) / 86_400_000;
  const times = asked.map(({ raised_at_ms }) => raised_at_ms);
  const local = times.map((timeMs) => timeMs + zoneOffsetMs(zone, timeMs));
  const nightly = local.filter((timeMs) => {
    const hour = Math.floor(timeMs / 3_600_000) % 24;
    return hour >= night.from || hour < night.to;
  }).length;
  const perDay = asked.length / Math.max(1, days);
  const perNight = nightly / Math.max(1, days);
  const peak = peakOf(times);
  const flood = floodMsOf(times) / (untilMs - fromMs);
  const standing = all.filter(({ status, raised_at_ms }) => status === 'active' && raised_at_ms < untilMs);
  const stale = standing.filter(({ raised_at_ms }) => nowMs - raised_at_ms > standsLongMs).length;
  const chattering = chatteringOf(asked);
  const seen = asked
    .flatMap(({ acknowledged_at_ms, raised_at_ms }) =>
      acknowledged_at_ms === null ? [] : [Math.max(0, acknowledged_at_ms - raised_at_ms)],
    )
    .sort((a, b) => a - b);
  const isPoor =
    perDay > 3 * alertLoadTargets.perDay ||
    (peak?.count ?? 0) > alertLoadTargets.per10Min ||
    flood > alertLoadTargets.floodShare ||
    stale > alertLoadTargets.stale;
  const isFair =
    perDay > alertLoadTargets.perDay || perNight > alertLoadTargets.perNight || chattering.length > 0 || stale > 0;
  return {
    from_ms: fromMs,
    to_ms: untilMs,
    days,
    alerts: asked.length,
    suppressed: raised.length - asked.length,
    per_day: perDay,
    most_per_day: Math.max(0, ...counts(local.map((timeMs) => Math.floor(timeMs / 86_400_000))).values()),
    per_night: perNight,
    peak_10_min: peak,
    flood_share: flood,
    by_severity: Object.fromEntries(
      severities.map((severity) => [severity, asked.filter((alert) => alert.severity === severity).length]),
    ) as Record<Severity, number>,
    worst_rules: worstOf(asked),
    chattering,
    standing: standing.length,
    stale,
    median_seen_ms: seen[Math.floor(seen.length / 2)] ?? null,
    judgement: isPoor ? 'poor' : isFair ? 'fair' : 'good',
  };
}

function isQuietFromTheStart({ timeline, raised_at_ms }: Alert): boolean {
  return (
    timeline.some(({ kind, at_ms }) => kind === 'suppressed' && at_ms <= raised_at_ms + 1000) &&
    !timeline.some(({ kind }) => kind === 'released')
  );
}

function counts<K>(keys: readonly K[]): Map<K, number> {
  const found = new Map<K, number>();
  for (const key of keys) found.set(key, (found.get(key) ?? 0) + 1);
  return found;
}

/** The ten minutes with the most alerts; times in order. */
function peakOf(times: readonly number[]): AlertLoad['peak_10_min'] {
  let best: { count: number; from_ms: number } | null = null;
  let first = 0;
  for (const [at, timeMs] of times.entries()) {
    while (timeMs - (times[first] as number) >= tenMinutesMs) first += 1;
    const count = at - first + 1;
    if (best === null || count > best.count) best = { count, from_ms: times[first] as number };
  }
  return best;
}

/** Time in which the ten minutes before held more than ten alerts. */
function floodMsOf(times: readonly number[]): number {
  let sumMs = 0;
  let reachedMs = Number.NEGATIVE_INFINITY;
  for (const [at, timeMs] of times.entries()) {
    const first = times[at - alertLoadTargets.per10Min];
    if (first === undefined || timeMs - first >= tenMinutesMs) continue;
    // From the one too many until the first of these is ten minutes old.
    const startMs = Math.max(timeMs, reachedMs);
    const endMs = first + tenMinutesMs;
    if (endMs <= startMs) continue;
    sumMs += endMs - startMs;
    reachedMs = endMs;
  }
  return sumMs;
}

function worstOf(alerts: readonly LoadFacts[]): RuleLoad[] {
  return [...counts(alerts.map(({ rule_id }) => rule_id))]
    .map(([rule_id, count]) => ({
      rule_id,
      message: alerts.findLast((alert) => alert.rule_id === rule_id)?.message ?? rule_id,
      count,
      share: count / alerts.length,
    }))
    .sort((a, b) => b.count - a.count || (a.rule_id < b.rule_id ? -1 : 1))
    .slice(0, 10);
}

function chatteringOf(alerts: readonly LoadFacts[]): AlertLoad['chattering'] {
  const bySubject = new Map<string, LoadFacts[]>();
  for (const alert of alerts) {
    const key = `${alert.rule_id}|${alert.device_id ?? ''}|${alert.metric ?? ''}`;
    bySubject.set(key, [...(bySubject.get(key) ?? []), alert]);
  }
  return [...bySubject.values()].flatMap((same) => {
    const chatters = same.some((one, at) => {
      const last = same[at + chatterCount - 1];
      return last !== undefined && last.raised_at_ms - one.raised_at_ms < tenMinutesMs;
    });
    const [one] = same;
    if (!chatters || one === undefined) return [];
    return [{ rule_id: one.rule_id, message: one.message, device_name: one.device_name, count: same.length }];
  });
}
