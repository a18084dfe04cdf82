/** What people are told when the gateway had stopped without notice: it lost its power, or was stopped hard. Pure. */
import { isTrusted, type AlertSubject, type ClockTrust } from '@villagrid/contracts';
import { durationWords, momentFormat } from '../clock/corrected-alert.js';

/** Rule id and type of such alerts. */
export const stoppedHardRuleId = 'gateway_stopped_hard';
/** Shorter than this it is a restart that nobody needs to know of, milliseconds. */
const worthTellingMs = 20_000;
/** From this on people may have missed something, milliseconds. */
const longMs = 10 * 60_000;

/** The last sign of the life before: time and trust of its last frame, corrected where it has been. */
export interface LastSign {
  readonly wallMs: number;
  readonly trust: ClockTrust;
}

/**
 * An alert about the time the gateway was off, in the grid's zone; undefined when nobody needs to know. `nowMs` is a time
 * that is trusted.
 */
export function stoppedHardSubject(last: LastSign, nowMs: number, zone: string): AlertSubject | undefined {
  const offMs = nowMs - last.wallMs;
  const known = isTrusted(last.trust) && offMs >= 0;
  if (known && offMs < worthTellingMs) return undefined;
  const format = momentFormat(zone);
  const when = known
    ? `at about ${format.format(last.wallMs)} and was off for ${durationWords(offMs)}`
    : 'and was off; for how long is not known, because its clock was not set';
  return {
    rule_id: stoppedHardRuleId,
    type: stoppedHardRuleId,
    severity: known && offMs < longMs ? 'low' : 'medium',
    message: 'the gateway was without power',
    what: `The gateway lost its power, or was stopped hard, ${when}. Nothing that it had acknowledged is lost.`,
    why: 'While it is off it warns nobody. Nodes keep their readings and send them later; other devices have a gap for that time.',
    steps: [
      'If the powerhouse was dark too, look there for the cause.',
      'If it was not, look at the plug and the power supply of the gateway.',
      'If it happens often, ask your technician for a small battery for the gateway.',
    ],
    device_id: null,
    device_name: null,
    metric: null,
    value: null,
    limit: null,
    unit: null,
  };
}
