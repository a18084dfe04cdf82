/** Whom a grid's alerts are told to, by which ways and when: what routing needs to know, and the hours of a day. Pure. */
import { compareSeverity, type Severity } from '../alerts/events.js';
import { zoneOffsetMs } from '../history/resolution.js';

/** Ways to reach somebody who has no app open. The open app is told by the live channel and needs no setting. */
export const notifyChannels = ['sms', 'email', 'relay'] as const;
export type NotifyChannelName = (typeof notifyChannels)[number];

/** One way to somebody: an SMS number, an e-mail address, or a relay that sounds a buzzer. */
export interface NotifyWay {
  readonly channel: NotifyChannelName;
  /** Number or address; empty for a relay. */
  readonly to: string;
  /** Least severity that uses this way. */
  readonly leastSeverity: Severity;
}

/** A span of the day in minutes after midnight; `toMin` not after `fromMin` goes over midnight. */
export interface HourSpan {
  readonly fromMin: number;
  readonly toMin: number;
  /** Days the span begins on, 0 is Sunday; every day when left out. */
  readonly days?: readonly number[];
}

/** Somebody, or a buzzer, that is told. */
export interface Recipient {
  /** Unique in the plan; kept in the state of routing. */
  readonly id: string;
  readonly kind: 'person' | 'device';
  readonly language: string;
  /** Tried in order until one works. */
  readonly ways: readonly NotifyWay[];
  /** When less than critical may ring; always when null. */
  readonly hours: readonly HourSpan[] | null;
  /** Place in the order in which people are called until somebody acknowledges; null is told once, beside that order. */
  readonly onCall: number | null;
}

/** All that routing follows. Times in milliseconds of the village's clock. */
export interface NotifyPlan {
  readonly recipients: readonly Recipient[];
  /** IANA zone of hours. */
  readonly zone: string;
  /** How long alerts are gathered into one message. */
  readonly gatherMs: number;
  /** Least time between two messages to one recipient. */
  readonly leastGapMs: number;
  /** The same two while one of them is critical. */
  readonly criticalGatherMs: number;
  readonly criticalGapMs: number;
  /** How long an end is held back: what begins again meanwhile has not ended. */
  readonly settleMs: number;
  /** After so long without an acknowledgement the next on call is told; null: never. */
  readonly escalateAfterMs: Readonly<Record<Severity, number | null>>;
  /** After so long, when all on call were told, it begins again. */
  readonly repeatAfterMs: number;
  /** How often it begins again. */
  readonly repeats: number;
}

/** What holds when nothing else is set. */
export const defaultNotifyTiming = {
  gatherMs: 30_000,
  leastGapMs: 300_000,
  criticalGatherMs: 3000,
  criticalGapMs: 60_000,
  settleMs: 120_000,
  escalateAfterMs: { critical: 600_000, high: 1_800_000, medium: null, low: null },
  repeatAfterMs: 3_600_000,
  repeats: 3,
} as const satisfies Omit<NotifyPlan, 'recipients' | 'zone'>;

/** The ways of a recipient that a severity uses, in order. */
export function waysFor(recipient: Recipient, severity: Severity): readonly NotifyWay[] {
  return recipient.ways.filter((way) => compareSeverity(severity, way.leastSeverity) <= 0);
}

const dayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/**
 * Reads `HH:MM-HH:MM`, such as `06:00-21:30` or over midnight `18:00-06:00`, with days it begins on before it where it is not for
 * all: `mon-fri 06:00-21:30`, `sat,sun 08:00-20:00`. `24:00` is the end of the day. Undefined when it is none.
 */
export function parseHours(text: string): HourSpan | undefined {
  const [, dayText, fromHour, fromMinute, toHour, toMinute] =
    /^(?:([a-z,-]+) )?(\d\d):(\d\d)-(\d\d):(\d\d)$/.exec(text) ?? [];
  const minutes = (hour: string | undefined, minute: string | undefined) => Number(hour) * 60 + Number(minute);
  const [fromMin, toMin] = [minutes(fromHour, fromMinute), minutes(toHour, toMinute)];
  if (!(fromMin < 1440 && toMin <= 1440 && Number(fromMinute) < 60 && Number(toMinute) < 60) || fromMin === toMin)
    return undefined;
  if (dayText === undefined) return { fromMin, toMin };
  const days = new Set<number>();
  for (const part of dayText.split(',')) {
    const [first = -1, last = first] = part.split('-').map((name) => dayNames.indexOf(name));
    if (first < 0 || last < 0 || part.split('-').length > 2) return undefined;
    for (let day = first; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === last) break;
    }
  }
  return { fromMin, toMin, days: [...days].sort() };
}

/** Whether a time lies within one of the spans, on the clock of a zone. */
export function isWithinHours(spans: readonly HourSpan[], timeMs: number, zone: string): boolean {
  const local = timeMs + zoneOffsetMs(zone, timeMs);
  const minute = Math.floor(local / 60_000) % 1440;
  // 1 January 1970 was a Thursday.
  const day = (Math.floor(local / 86_400_000) + 4) % 7;
  const begins = ({ days }: HourSpan, onDay: number) => days === undefined || days.includes(onDay);
  return spans.some((span) =>
    span.toMin > span.fromMin
      ? minute >= span.fromMin && minute < span.toMin && begins(span, day)
      : (minute >= span.fromMin && begins(span, day)) || (minute < span.toMin && begins(span, (day + 6) % 7)),
  );
}
