/** Fills a rule's texts for one occurrence: what an alert says about itself when it is raised. */
import type { AlertSubject } from '../alerts/events.js';
import { metricDefinition, parseMetricId } from '../metrics/catalogue.js';
import type { RuleTransition } from './engine.js';

/** Units of the gateway's own figures, which no device measures. Those that are states, or tell more as a sentence, have none. */
const ownUnits: Readonly<Record<string, string | null>> = {
  gateway_disk_used_pct: '%',
  gateway_wal_mb: 'MB',
  gateway_damaged_files: '',
  gateway_lines_down: '',
  gateway_clock_trust: null,
  gateway_storage_failing: null,
  gateway_backlog_age_s: null,
};

/** Makes the subject of an alert from a raising transition and the device's name. */
export function alertSubject(found: RuleTransition, deviceName: string | null): AlertSubject {
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
  const texts: Record<string, string> = {
    device: deviceName ?? deviceId ?? 'The village',
    component: suffix === undefined || namesIt(deviceName, suffix) ? '' : ` (${suffix})`,
    value: value === null ? '' : shortNumber(value),
    limit: limit === null ? '' : shortNumber(limit),
    unit: unit ?? '',
  };
  const fill = (template: string) => template.replace(/\{(\w+)\}/g, (whole, key: string) => texts[key] ?? whole);
  return {
    rule_id: rule.id,
    type: rule.id,
    severity: rule.severity,
    message: fill(rule.message),
    what:
      found.foldedMetric === undefined ? fill(rule.what) : `${fill(rule.what)} Further places of it are beyond it too.`,
    why: fill(rule.why),
    steps: rule.steps.map(fill),
    device_id: deviceId,
    device_name: deviceName,
    metric,
    value,
    limit,
    unit,
  };
}

/** Whether a device's name says the component already: "Cabinet temperature" of `cabinet`. */
function namesIt(deviceName: string | null, suffix: string): boolean {
  const words = (text: string) =>
    ` ${text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
      .trim()} `;
  return deviceName !== null && words(deviceName).includes(words(suffix));
}

/** A number for a sentence: three significant digits, at most two decimals, no trailing zeros. */
export function shortNumber(value: number): string {
  const decimals = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(decimals)));
}
