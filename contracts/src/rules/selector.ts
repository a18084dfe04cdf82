/** Which devices and series a rule's selector covers. */
import { parseMetricId } from '../metrics/catalogue.js';
import type { RuleSelector } from './rule.js';

/** What a selector may ask about a device; of the site document. */
export interface RuleDevice {
  readonly device_id: string;
  readonly kind?: string | undefined;
  readonly tags?: readonly string[] | undefined;
}

/** Whether a selector covers a device. One that the site does not know has no kind and no tags. */
export function coversDevice(selector: RuleSelector, device: RuleDevice): boolean {
  if (selector.scope === 'figure') return false;
  if (selector.device_id !== undefined && selector.device_id !== device.device_id) return false;
  if (selector.device_class !== undefined && selector.device_class !== device.kind) return false;
  return selector.tags === undefined || selector.tags.every((tag) => device.tags?.includes(tag) === true);
}

/** Whether a selector covers a series of a device. */
export function coversSeries(selector: RuleSelector, device: RuleDevice, metric: string): boolean {
  if (selector.scope !== 'series') return false;
  const { base, suffix } = parseMetricId(metric);
  if (selector.metric !== base && selector.metric !== metric) return false;
  if (selector.component !== undefined && selector.component !== suffix) return false;
  return coversDevice(selector, device);
}
