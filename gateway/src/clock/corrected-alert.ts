/** What people are told when the clock was put right. Pure. */
import { isTrusted, type AlertSubject } from '@villagrid/contracts';
import type { ClockChange } from './keeper.js';

/** A clock that was wrong by less is put right without a word, milliseconds. */
const worthTellingMs = 60_000;

/** Rule id and type of such alerts. */
export const clockCorrectedRuleId = 'clock_corrected';

/** An alert about a change of the clock, with times in the grid's zone; undefined when nobody needs to know. */
export function clockCorrectedSubject(change: ClockChange, zone: string): AlertSubject | undefined {
  const { correctionMs, restamps, sinceMs, atMs, roughBoots, to } = change;
  const wrong = Math.abs(correctionMs) >= worthTellingMs;
  if (!restamps || !isTrusted(to) || (!wrong && roughBoots === 0)) return undefined;
  const format = momentFormat(zone);
  const said = wrong
    ? `The gateway's clock was wrong by ${durationWords(Math.abs(correctionMs))} from ${format.format(sinceMs)} to ${format.format(atMs)}; times were put right.`
    : 'The gateway knows the time again.';
  const rough =
    roughBoots === 0
      ? ''
      : ` Before that it ran ${roughBoots === 1 ? 'once' : `${roughBoots} times`} without knowing the time; those times are only roughly known.`;
  return {
    rule_id: clockCorrectedRuleId,
    type: clockCorrectedRuleId,
    severity: 'low',
    message: 'the clock was put right',
    what: said + rough,
    why: 'After a power cut the gateway does not know the time until somebody or something tells it.',
    steps: ['Nothing is to be done. A small battery clock in the gateway would avoid it.'],
    device_id: null,
    device_name: null,
    metric: null,
    value: null,
    limit: null,
    unit: null,
  };
}

/** Day and time of day in a grid's zone: "28 Nov, 10:16". */
export function momentFormat(zone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
}

/** A duration in its largest whole unit: "3 hours", "1 day", "56 years". */
export function durationWords(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  const units: readonly (readonly [minutes: number, name: string])[] = [
    [525_960, 'year'],
    [1440, 'day'],
    [60, 'hour'],
    [1, 'minute'],
  ];
  const [size, name] = units.find(([one]) => minutes >= one * 2) ??
    units.find(([one]) => minutes >= one) ?? [1, 'minute'];
  const count = Math.max(1, Math.round(minutes / size));
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}
