/** Where the values on screen come from, in words: the status line under every title. Pure. */
import type { Summary } from '@villagrid/contracts';
import { momentText } from '../i18n/format.js';
import { t } from '../i18n/messages.js';
import type { ChannelState } from '../live/channel.js';
import type { IconName } from './icons.js';

/** The line and its icon; `current` is false when the values are the phone's own saved ones. */
export interface SourceLine {
  readonly icon: IconName;
  readonly text: string;
  readonly current: boolean;
}

/** After how long without a report of the gateway the line says so, ms; away from the village a cut link counts sooner. */
const reportedLateMs = { gateway: 120_000, cloud: 60_000 } as const;
/** After how long without any answer the values are the phone's own, ms. */
export const silentAfterMs = 60_000;

/** When the village was last heard by the server that answers, Unix ms, if that is too long ago; null while all is well. */
export function awaySinceMs({ source }: Pick<Summary, 'source'>, nowMs: number): number | null {
  const { kind, last_reported_ms } = source;
  return last_reported_ms !== null && nowMs - last_reported_ms > reportedLateMs[kind] ? last_reported_ms : null;
}

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
  const { kind } = summary.source;
  const server = t(`source.${kind}`);
  const awayMs = awaySinceMs(summary, nowMs);
  if (awayMs !== null) {
    const when = momentText(awayMs, nowMs, summary.zone);
    return kind === 'cloud'
      ? { icon: 'unreachable', text: t('source.away', { server, when }), current: true }
      : { icon: kind, text: t('source.serverLast', { server, when }), current: true };
  }
  const icon = kind;
  return { icon, text: t(channel === 'polling' ? 'source.polling' : 'source.live', { server }), current: true };
}
