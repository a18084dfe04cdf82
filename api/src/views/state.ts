/** The state of a grid in one line, for the list of grids. */
import {
  compareAlerts,
  powerState,
  severities,
  shelvedAt,
  standsAlone,
  type Alert,
  type GridNeed,
  type GridState,
  type PowerState,
} from '@villagrid/contracts';
import type { GridPort } from '../ports.js';
import { figureView, gridFigures } from './figures.js';
import { nominal } from './supply-spans.js';

/** Makes the state from the grid's facts and its active alerts; `silentAfterMs` as in `ServerIdentity`. */
export function gridState(
  grid: GridPort,
  silentAfterMs: number | null,
  allActive: readonly Alert[],
  nowMs: number,
): GridState {
  const site = grid.site();
  const { figures, hottest } = gridFigures(grid, nowMs);
  const reported = grid.lastReportedMs();
  const reachable = silentAfterMs === null || (reported !== null && nowMs - reported <= silentAfterMs);
  const power = reachable ? powerState(figures, nowMs, nominal(grid).nominalV) : 'unknown';
  const battery = figures.battery_soc_pct;
  const soc = battery === undefined ? undefined : figureView(site, 'battery_soc_pct', battery, hottest, nowMs);
  const socPct = soc === undefined || soc.freshness === 'stale' ? null : soc.value;
  const active = allActive.filter(standsAlone);
  const [worst] = [...active].sort((a, b) => pressing(a, nowMs) - pressing(b, nowMs) || compareAlerts(a, b));
  return {
    grid_id: site.grid_id,
    name: site.name,
    organisation_id: site.organisation_id ?? null,
    zone: site.zone,
    power,
    reachable,
    last_reported_ms: reported,
    battery_soc_pct: socPct,
    open_alerts: active.length,
    worst_severity: worst?.severity ?? null,
    worst_message: worst?.message ?? null,
    worst_rule_id: worst?.rule_id ?? null,
    worst_since_ms: worst?.raised_at_ms ?? null,
    worst_acknowledged: worst?.acknowledged ?? false,
    worst_paused_until_ms: worst === undefined ? null : (shelvedAt(worst, nowMs)?.until_ms ?? null),
    state: sentence(power, reachable, reported, nowMs, socPct, active.length, worst),
    ...attention(grid, reachable, reported, worst, nowMs),
  };
}

/** From when on these want somebody, per cent, and how old a backlog may be while the gateway is reached, milliseconds. */
const diskHighPct = 90;
const cardHighPct = 80;
const backlogHighMs = 3_600_000;

/** Why a grid wants attention, and what is known of its gateway. Without a backlog everything up to now is here. */
function attention(
  grid: GridPort,
  reachable: boolean,
  reportedMs: number | null,
  worst: Alert | undefined,
  nowMs: number,
): Pick<GridState, 'needs' | 'gateway'> {
  const facts = grid.gateway?.();
  const needs: GridNeed[] = [];
  const pressingNow = worst !== undefined && (worst.severity === 'critical' || worst.severity === 'high');
  if (pressingNow && !worst.acknowledged && shelvedAt(worst, nowMs) === undefined) needs.push('alert');
  if (reportedMs === null) needs.push('never_heard');
  else if (!reachable) needs.push('silent');
  if (facts === undefined) return { needs };
  const { completeUntilMs, backlogFrames } = facts;
  const ageMs = completeUntilMs === null || (reachable && backlogFrames === 0) ? null : nowMs - completeUntilMs;
  if (reachable && ageMs !== null && ageMs > backlogHighMs) needs.push('backlog');
  if (facts.differingDays > 0) needs.push('differs');
  if (facts.clockTrust === 'none' || facts.clockTrust === 'floor') needs.push('clock');
  if ((facts.diskUsedPct ?? 0) >= diskHighPct) needs.push('disk');
  if ((facts.cardLifeUsedPct ?? 0) >= cardHighPct) needs.push('card');
  return {
    needs,
    gateway: {
      gateway_id: facts.gatewayId,
      version: facts.version,
      clock_trust: facts.clockTrust,
      told_ms: facts.helloMs,
      disk_used_pct: facts.diskUsedPct,
      card_life_used_pct: facts.cardLifeUsedPct,
      backlog_frames: backlogFrames,
      backlog_age_s: ageMs === null ? (completeUntilMs === null ? null : 0) : Math.max(0, Math.round(ageMs / 1000)),
      complete_until_ms: completeUntilMs,
      differing_days: facts.differingDays,
    },
  };
}

/** Whether every word is found in what names a grid, whatever its case and accents. */
export function matchesSearch(grid: GridState, search: string): boolean {
  const plain = (text: string) => text.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase();
  const { gateway_id = '', version } = grid.gateway ?? {};
  const names = plain([grid.name, grid.grid_id, grid.organisation_id, gateway_id, version].join(' '));
  return plain(search)
    .split(/\s+/)
    .every((word) => names.includes(word));
}

/**
 * Rank of an alert for the line of its grid, most pressing first: by severity, but one that is paused comes after the
 * others; a critical one only after those that are critical or high, so that it is never hidden by something small.
 */
function pressing(alert: Alert, nowMs: number): number {
  const rank = severities.indexOf(alert.severity);
  if (shelvedAt(alert, nowMs) === undefined) return rank;
  return alert.severity === 'critical' ? severities.indexOf('high') + 0.5 : severities.length + rank;
}

const powerWords: Readonly<Record<PowerState, string>> = {
  powered: 'powered',
  off: 'no power',
  partly: 'partly powered',
  unknown: 'power unknown',
};

function sentence(
  power: PowerState,
  reachable: boolean,
  reportedMs: number | null,
  nowMs: number,
  socPct: number | null,
  open: number,
  worst: Alert | undefined,
): string {
  if (reportedMs === null) return 'nothing reported yet';
  const parts = [reachable ? powerWords[power] : `not reached for ${ageWords(nowMs - reportedMs)}`];
  if (socPct !== null) parts.push(`battery ${Math.round(socPct)} %`);
  parts.push(open === 0 ? 'no alerts' : open === 1 ? '1 alert' : `${open} alerts`);
  return worst === undefined ? parts.join(', ') : `${parts.join(', ')}: ${worst.message}`;
}

/** An age in one unit: "4 min", "3 h", "2 days". */
export function ageWords(ageMs: number): string {
  const minutes = Math.max(1, Math.round(ageMs / 60_000));
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}
