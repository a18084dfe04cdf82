/** What is left of the first prototype's form here: its device, and its times. Its messages are a payload mapping of the gateway. */
import { largestTimeMs } from '../codec/frame-head.js';

/** Device id the prototype's messages are stored under. */
export const legacyDeviceId = 'legacy';

/** ISO 8601 with or without seconds and zone, as Python's isoformat and str write it. */
const isoForm = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d{1,3})\d*)?)?\s*(Z|[+-]\d{2}:?\d{2})?$/;

/** Unix milliseconds of a time as foreign firmwares write it: Unix seconds or milliseconds, or ISO 8601; undefined when it is none. A text without a zone is read as UTC: the answer must not depend on where the gateway stands. */
export function legacyTimeMs(timestamp: unknown): number | undefined {
  if (typeof timestamp === 'number') {
    const timeMs = Math.round(timestamp < 1e11 ? timestamp * 1000 : timestamp);
    return timeMs > 0 && timeMs <= largestTimeMs ? timeMs : undefined;
  }
  if (typeof timestamp === 'string') {
    const match = isoForm.exec(timestamp.trim());
    if (!match) return undefined;
    const [, day, time = '00:00', fraction = '0', zone = 'Z'] = match;
    const offset = zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone;
    const parsed = Date.parse(`${day}T${time.length === 5 ? `${time}:00` : time}.${fraction.padEnd(3, '0')}${offset}`);
    return Number.isNaN(parsed) ? undefined : parsed;
  }
  return undefined;
}
