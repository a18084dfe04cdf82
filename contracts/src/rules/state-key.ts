/** Which rule and subject an alert is of. Pure. */
import { findingFigures } from './defaults.js';

/** Key under which the engine keeps the state of a rule for what an alert is about. */
export function stateKey(ruleId: string, deviceId: string | null, metric: string | null): string {
  // The grid has one finding of a kind at a time; its alert names the device that was found.
  if (Object.hasOwn(findingFigures, ruleId))
    return `${ruleId}|figure:${findingFigures[ruleId as keyof typeof findingFigures]}`;
  if (deviceId === null) return `${ruleId}|figure:${metric ?? ''}`;
  return metric === null ? `${ruleId}|device:${deviceId}` : `${ruleId}|series:${deviceId}/${metric}`;
}
