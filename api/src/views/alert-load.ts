/** What the alerts of a time asked of people, from a grid of which years may be kept. */
import { alertLoad, loadFacts, type AlertLoad, type LoadFacts } from '@villagrid/contracts';
import { nextTurn } from '@villagrid/runtime';
import type { GridPort } from '../ports.js';

/** Read at once: other work goes on between. */
const stepMs = 7 * 86_400_000;

/** The load of [fromMs, toMs): all alerts that were raised in it, however many. */
export async function readAlertLoad(
  grid: GridPort,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  nowMs: number,
): Promise<AlertLoad> {
  const facts = new Map<string, LoadFacts>();
  for (const alert of await grid.alerts({ status: 'active' })) facts.set(alert.alert_id, loadFacts(alert));
  for (let atMs = fromMs; atMs < Math.min(toMs, nowMs); atMs += stepMs) {
    await nextTurn();
    const raised = { fromMs: atMs, toMs: Math.min(atMs + stepMs, toMs) };
    // One that ended meanwhile is told as it is now.
    for (const alert of await grid.alerts({ status: 'resolved', raised })) facts.set(alert.alert_id, loadFacts(alert));
  }
  return alertLoad([...facts.values()], { fromMs, toMs, nowMs, zone: grid.site().zone });
}
