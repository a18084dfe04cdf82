/** How old is too old: ages of values and link states of devices, judged by the device's own period. */

import { qualityCodes, type QualityCode } from '../quality/quality.js';

/** How a value's age is shown. */
export type Freshness = 'live' | 'late' | 'stale' | 'unknown';

/** Age up to which a value is late rather than stale, milliseconds. */
export const staleAfterMs = 600_000;

/**
 * Freshness of a value: live up to two periods (and 10 s), late up to 10 min (or six periods of a slow sensor), then stale.
 * One that is only the last known (from before a restart of unknown length) is stale whatever its time says.
 */
export function freshness(
  timeMs: number | null,
  nowMs: number,
  periodMs: number,
  quality: QualityCode = qualityCodes.good,
): Freshness {
  if (timeMs === null) return 'unknown';
  if (quality === qualityCodes.uncertain_last_known) return 'stale';
  const age = nowMs - timeMs;
  if (age <= Math.max(2 * periodMs, 10_000) + 1000) return 'live';
  return age <= Math.max(staleAfterMs, 6 * periodMs) ? 'late' : 'stale';
}

/** Link state of a device. */
export type LinkState = 'connected' | 'late' | 'stale' | 'offline' | 'never_seen';

/**
 * Link state by the newest sample and what the link itself says: `down` is a broken connection or a last will, `up` a
 * live one, undefined when the link does not tell. `quality` is that of the newest sample.
 */
export function linkState(
  lastSeenMs: number | null,
  nowMs: number,
  periodMs: number,
  link: 'up' | 'down' | undefined,
  quality: QualityCode = qualityCodes.good,
): LinkState {
  if (lastSeenMs === null) return link === 'down' ? 'offline' : 'never_seen';
  const age = freshness(lastSeenMs, nowMs, periodMs, quality);
  if (link === 'down' && age !== 'live') return 'offline';
  return age === 'live' ? 'connected' : age === 'late' ? 'late' : link === 'up' ? 'stale' : 'offline';
}
