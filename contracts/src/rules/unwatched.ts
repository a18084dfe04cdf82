/** What rules watch of a site, and which alerts they no longer can end. Pure. */
import type { Alert } from '../alerts/reduce.js';
import type { Site } from '../site/site.js';
import type { Rule } from './rule.js';
import { coversDevice } from './selector.js';
import { stateKey } from './state-key.js';

/** Devices whose silence rules watch. */
export function watchedDevices(site: Site): string[] {
  return site.devices.filter((one) => one.expected && one.protocol !== 'internal').map((one) => one.device_id);
}

/** Why nothing watches what an alert is about any more, as a sentence; undefined while something does. */
export function whyUnwatched(
  alert: Pick<Alert, 'rule_id' | 'device_id' | 'device_name' | 'metric'>,
  rules: readonly Rule[],
  site: Site,
): string | undefined {
  const { rule_id, device_id, device_name, metric } = alert;
  const key = stateKey(rule_id, device_id, metric);
  const selector = rules.find(({ id, enabled }) => enabled && id === rule_id)?.selector;
  if (selector === undefined) return 'The rule that raised it is no longer in force.';
  const other = 'The rule that raised it no longer watches this.';
  if (selector.scope === 'figure') return key === `${rule_id}|figure:${selector.metric}` ? undefined : other;
  const known = site.devices.find((one) => one.device_id === device_id);
  const gone = 'The device is no longer in the settings.';
  if (selector.scope === 'series') {
    if (!key.startsWith(`${rule_id}|series:`)) return other;
    // A device that the site never knew has no name of its own; its series may come back.
    return known === undefined && device_name !== null ? gone : undefined;
  }
  if (known === undefined) return gone;
  const isWatched = watchedDevices(site).includes(known.device_id) && metric === null && coversDevice(selector, known);
  return isWatched ? undefined : other;
}
