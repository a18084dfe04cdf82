/** The state of a grid in one line, for the list of grids. */
import {
  compareAlerts,
  powerState,
  severities,
  shelvedAt,
  standsAlone,
  type Alert,
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
    worst_since_ms: worst?.raised_at_ms ?? null,
    worst_acknowledged: worst?.acknowledged ?? false,
    worst_paused_until_ms: worst === undefined ? null : (shelvedAt(worst, nowMs)?.until_ms ?? null),
    state: sentence(power, reachable, reported, nowMs, socPct, active.length, worst),
  };
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
