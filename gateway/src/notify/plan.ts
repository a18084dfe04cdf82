/** From the settings to what routing follows. Pure. */
import { defaultNotifyTiming, parseHours, type HourSpan, type NotifyPlan, type Recipient } from '@villagrid/contracts';
import type { NotifyConfig } from '../config/notify-schema.js';

/** The recipient that stands for the relay. */
export const relayRecipient = 'relay';
const minute = 60_000;

/** The plan of a grid. `speed`: how much faster than real time the village runs; people do not run faster. */
export function notifyPlan(config: NotifyConfig, zone: string, speed = 1): NotifyPlan {
  const { people, relay, gather_s, least_gap_min, escalate_after_min: after } = config;
  const recipients: Recipient[] = people.map((one) => ({
    // Apart from the relay, whatever somebody is called.
    id: `person ${one.name}`,
    kind: 'person',
    language: one.language,
    onCall: one.on_call ?? null,
    hours: spans(one.hours),
    ways: one.ways.map(({ channel, to, least_severity }) => ({ channel, to, leastSeverity: least_severity })),
  }));
  if (relay)
    recipients.push({
      id: relayRecipient,
      kind: 'device',
      language: 'en',
      onCall: null,
      hours: spans(relay.hours),
      ways: [{ channel: 'relay', to: '', leastSeverity: relay.least_severity }],
    });
  const long = (ms: number) => ms * speed;
  const escalation = (minutes: number) => (minutes === 0 ? null : long(minutes * minute));
  const gatherMs = gather_s * 1000;
  const gapMs = least_gap_min * minute;
  return {
    recipients,
    zone,
    gatherMs: long(gatherMs),
    leastGapMs: long(gapMs),
    criticalGatherMs: long(Math.min(gatherMs, defaultNotifyTiming.criticalGatherMs)),
    criticalGapMs: long(Math.min(gapMs, defaultNotifyTiming.criticalGapMs)),
    settleMs: long(Math.min(gatherMs * 4, defaultNotifyTiming.settleMs)),
    escalateAfterMs: {
      critical: escalation(after.critical),
      high: escalation(after.high),
      medium: escalation(after.medium),
      low: escalation(after.low),
    },
    repeatAfterMs: long(config.repeat_after_min * minute),
    repeats: config.repeats,
  };
}

function spans(hours: readonly string[] | undefined): readonly HourSpan[] | null {
  return hours === undefined ? null : hours.flatMap((text) => parseHours(text) ?? []);
}

/** How a recipient is called in what people see. */
export const recipientName = (id: string): string => id.replace(/^person /, '');
