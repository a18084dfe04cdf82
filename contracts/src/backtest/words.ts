/** What a back-test found, in plain sentences. */
import type { Rule } from '../rules/rule.js';
import type { Measured } from './measured.js';
import { ruleLimits, type RuleChanges } from './change.js';
import type { OccurrenceCounts } from './tally.js';

/** A duration for a sentence: "40 s", "12 min", "3 h 20 min", "2 days 4 h". */
export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days} days` : `${days} days ${hours % 24} h`;
}

const times = (count: number) => (count === 1 ? 'once' : `${count} times`);

/** "It would have been raised 14 times, 5 of them at night; the longest lasted 3 h 20 min." */
export function countsSentence({ count, atNight, standingAtStart, longestMs }: OccurrenceCounts): string {
  const before =
    standingAtStart > 0
      ? ` It stood already at the beginning${standingAtStart > 1 ? ` (${standingAtStart})` : ''}.`
      : '';
  if (count === 0) return `It would not have been raised.${before}`;
  const night =
    atNight === 0
      ? 'never at night'
      : count === 1
        ? 'at night'
        : `${atNight === count ? 'all' : atNight} of them at night`;
  return `It would have been raised ${times(count)}, ${night}; the longest lasted ${durationText(longestMs)}.${before}`;
}

/** Share of a stretch from which on it counts as measured. */
const measuredWell = 0.95;

/** "Only 2 minutes of these 30 days were measured."; null when nearly all of it was. */
export function measuredSentence({ totalMs, fromMs }: Measured, spanMs: number): string | null {
  if (fromMs === null) return 'Nothing that this rule watches was measured in this time.';
  if (totalMs >= measuredWell * spanMs) return null;
  const spelled = (ms: number) =>
    durationText(ms)
      .replace(/^(\d+) s$/, '$1 seconds')
      .replace(/^(\d+) min$/, '$1 minutes')
      .replace(/^(\d+) h$/, '$1 hours');
  return `Only ${spelled(totalMs)} of these ${spelled(spanMs)} were measured.`;
}

/** "At 25 % it would have been 3 times instead of 14, at night 1 instead of 5." `what` names the change. */
export function comparisonSentence(what: string, changed: OccurrenceCounts, asIs: OccurrenceCounts): string {
  const night =
    changed.atNight === 0 && asIs.atNight === 0 ? '' : `, at night ${changed.atNight} instead of ${asIs.atNight}`;
  if (changed.count === asIs.count) return `With ${what} it would have been as often: ${times(changed.count)}${night}.`;
  return `With ${what} it would have been ${times(changed.count)} instead of ${asIs.count}${night}.`;
}

/** Changes of a rule in a few words, as "below 25 %, on delay 5 min"; `rule` is the changed one. */
export function changesText(rule: Rule, changes: RuleChanges): string {
  const limits = new Map(ruleLimits(rule).map((one) => [one.path, one]));
  return Object.entries(changes)
    .map(([path, value]) => {
      const name = path
        .slice(path.lastIndexOf('.') + 1)
        .replace(/_ms$/, '')
        .replaceAll('_', ' ');
      if (value === null) return `no ${name}`;
      const limit = limits.get(path);
      if (limit?.unit === 'ms') return `${name} ${durationText(limit.value)}`;
      return `${name} ${String(value)} ${limit?.unit ?? ''}`.trim();
    })
    .join(', ');
}
