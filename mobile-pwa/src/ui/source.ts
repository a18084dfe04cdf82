/** Where the values on screen come from, in words: the status line under every title. Pure. */
import type { Summary } from '@villagrid/contracts';
import { agoText, momentText } from '../i18n/format.js';
import { t } from '../i18n/messages.js';
import type { ChannelState } from '../live/channel.js';
import type { IconName } from './icons.js';

/** The line and its icon; `current` is false when the values are the phone's own saved ones. */
export interface SourceLine {
  readonly icon: IconName;
  readonly text: string;
  readonly current: boolean;
}

/** After how long without a report of the gateway the line says so, ms. */
const reportedLateMs = 120_000;
/** After how long without any answer the values are the phone's own, ms. */
export const silentAfterMs = 60_000;

/** Makes the line for one grid. */
export function sourceLine(options: {
  readonly summary: Summary | undefined;
  readonly answeredAtMs: number | null;
  readonly channel: ChannelState | 'idle';
  readonly loggedIn: boolean;
  readonly nowMs: number;
}): SourceLine {
  const { summary, answeredAtMs, channel, loggedIn, nowMs } = options;
  if (summary === undefined || answeredAtMs === null)
    return {
      icon: 'phone',
      text: channel === 'connecting' ? t('source.connecting') : t('source.nothing'),
      current: false,
    };
  const following = (channel === 'live' || channel === 'polling') && loggedIn;
  // Accelerated villages and slow polls: an answer counts as fresh as long as the channel says so.
  if (!following && (channel === 'down' || channel === 'idle' || nowMs - answeredAtMs > 5000)) {
    const when = momentText(answeredAtMs, nowMs, summary.zone);
    const key = !loggedIn ? 'source.phoneLogin' : channel === 'connecting' ? 'source.phoneConnecting' : 'source.phone';
    return {
      icon: 'phone',
      text: t(key, { when }),
      current: channel === 'connecting' && nowMs - answeredAtMs < 30_000,
    };
  }
  const { kind, last_reported_ms } = summary.source;
  const server = t(`source.${kind}`);
  const icon = kind;
  if (last_reported_ms !== null && nowMs - last_reported_ms > reportedLateMs) {
    const when = agoText(last_reported_ms, nowMs, summary.zone);
    return {
      icon,
      text: t(kind === 'cloud' ? 'source.gatewayLast' : 'source.serverLast', { server, when }),
      current: true,
    };
  }
  return { icon, text: t(channel === 'polling' ? 'source.polling' : 'source.live', { server }), current: true };
}
