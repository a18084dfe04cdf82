/** Fills a rule's texts for one occurrence: what an alert says about itself when it is raised. */
import type { AlertSubject } from '../alerts/events.js';
import { metricDefinition, parseMetricId } from '../metrics/catalogue.js';
import type { RuleTransition } from './engine.js';
import { en } from './texts/en.js';
import { fillText, namesComponent, shortNumber } from './texts/fill.js';

/** Units of the gateway's own figures, which no device measures. Those that are states, or tell more as a sentence, have none. */
const ownUnits: Readonly<Record<string, string | null>> = {
  gateway_disk_used_pct: '%',
  gateway_wal_mb: 'MB',
  gateway_damaged_files: '',
  gateway_lines_down: '',
  gateway_rules_broken: '',
  gateway_clock_trust: null,
  gateway_storage_failing: null,
  gateway_backlog_age_s: null,
};

/** So much of what a device says is shown, characters. */
const longestSaid = 200;

/**
 * Makes the subject of an alert from a raising transition, the device's name, and what the device says of its own fault,
 * which only rules whose texts ask for {said} show.
 */
export function alertSubject(found: RuleTransition, deviceName: string | null, saidNow?: string): AlertSubject {
  const { rule, metric, deviceId, transition } = found;
  const own = metric === null ? undefined : ownUnits[metric];
  const value = own === null ? null : transition.value;
  const limit =
    transition.type === 'raise' && transition.limit !== null
      ? transition.limit
      : rule.kind === 'no_data'
        ? Math.round(Number((rule.parameters as { silent_for_ms?: number }).silent_for_ms ?? 0) / 60_000)
        : null;
  const unit = metric === null ? null : (own ?? metricDefinition(metric)?.unit ?? null);
  const named = found.foldedMetric ?? metric;
  const suffix = named === null ? undefined : parseMetricId(named).suffix;
  const said = rule.what.includes('{said}') ? saidNow?.slice(0, longestSaid) : undefined;
  const texts: Record<string, string> = {
    device: deviceName ?? deviceId ?? en.village,
    component: suffix === undefined || namesComponent(deviceName, suffix) ? '' : ` (${suffix})`,
    value: value === null ? '' : shortNumber(value),
    limit: limit === null ? '' : shortNumber(limit),
    unit: unit ?? '',
    place: suffix ?? '',
    window: windowOf(rule.parameters),
    said: said ?? en.fault,
  };
  const fill = (template: string) => fillText(template, texts);
  return {
    rule_id: rule.id,
    type: rule.id,
    severity: rule.severity,
    message: fill(rule.message),
    what: found.foldedMetric === undefined ? fill(rule.what) : `${fill(rule.what)} ${en.furtherPlaces}`,
    why: fill(rule.why),
    steps: rule.steps.map(fill),
    ...(rule.how_long === undefined ? {} : { how_long: fill(rule.how_long) }),
    ...(said === undefined ? {} : { said }),
    device_id: deviceId,
    device_name: deviceName,
    metric,
    value,
    limit,
    unit,
  };
}

/** The window of a rule that has one, minutes. */
function windowOf(parameters: Readonly<Record<string, unknown>>): string {
  const { window_ms } = parameters;
  return typeof window_ms === 'number' ? shortNumber(window_ms / 60_000) : '';
}
