/** Rules tried out together before they are taken. Pure. */
import type { Site } from '../site/site.js';
import { createRuleEngine } from './engine.js';
import type { Rule } from './rule.js';

/**
 * Why a site's rules could not work together, one sentence; undefined when they can. `changed` names those that somebody
 * wrote. Throws what a rule fails with, E_CONFIG_INVALID where it says it of itself.
 */
export function whyNotRules(
  rules: readonly Rule[],
  changed: readonly string[],
  { devices, zone }: Pick<Site, 'devices' | 'zone'>,
  nowMs: number,
): string | undefined {
  const ids = new Set(rules.map(({ id }) => id));
  for (const id of changed) {
    const parents = [rules.find((one) => one.id === id)?.part_of ?? []].flat();
    const unknown = parents.find((parent) => parent === id || !ids.has(parent));
    if (unknown !== undefined) return `rule ${id}: there is no other rule "${unknown}" that it could be part of`;
  }
  const engine = createRuleEngine({
    rules,
    devices: devices.map(({ device_id }) => device_id),
    inventory: devices,
    zone,
    context: { figure: () => undefined },
  });
  engine.onTick(nowMs);
  return undefined;
}
