/** Keeps which links are down with the commit that says so: a device that was dead before a restart is dead after it. */
import type { DurableLog } from '../log/log.js';

const stateName = 'links';

/**
 * Gives the devices whose link was down at the last commit, and takes part in those to come. That a link was up is not
 * kept: whether it still is, only the link can say. Throws when what is kept is not ours.
 */
export function keepLinks(log: DurableLog): readonly string[] {
  const saved = log.state(stateName);
  const before = saved === undefined ? [] : (JSON.parse(saved.value) as readonly string[]);
  const down = new Set(before);
  log.join((number, { entries }) => {
    let said = false;
    for (const entry of entries) {
      if (entry.type !== 'link_state') continue;
      said = true;
      if (entry.state === 'offline') down.add(entry.device_id);
      else down.delete(entry.device_id);
    }
    if (said) log.putState(stateName, number, JSON.stringify([...down]));
  });
  return before;
}
