/** When the phone's clock and the server's differ, which one is believed. Pure. */
import { durationText } from '../i18n/format.js';
import { t } from '../i18n/messages.js';

/** Difference of the clocks from which it is said, ms. */
export const clockToldFromMs = 120_000;

/** Says how far the phone's clock is off, or undefined when it is not worth a word. */
export function clockDifference(offsetMs: number): { difference: string; direction: string } | undefined {
  if (Math.abs(offsetMs) < clockToldFromMs) return undefined;
  return {
    difference: durationText(Math.abs(offsetMs)),
    direction: t(offsetMs > 0 ? 'notice.behind' : 'notice.ahead'),
  };
}
